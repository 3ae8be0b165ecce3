//! Whose a file is.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use crate::sink::FileOwner;

pub(crate) fn of(metadata: &Metadata) -> FileOwner {
    FileOwner {
        user: name("/etc/passwd", metadata.uid()),
        group: name("/etc/group", metadata.gid()),
        permissions: format!("{:03o}", metadata.mode() & 0o777),
    }
}

fn name(database: &str, id: u32) -> String {
    let text = fs::read_to_string(database).unwrap_or_default();
    find(&text, id).map_or_else(|| id.to_string(), str::to_owned)
}

/// `name:password:id:…`, passwd(5) and group(5).
fn find(database: &str, id: u32) -> Option<&str> {
    let id = id.to_string();
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_numbers() {
        let database = "root:x:0:0:root:/root:/bin/sh\n# comment\nlog:x:1000:\n:x:5:\nshort";
        assert_eq!(find(database, 0), Some("root"));
        assert_eq!(find(database, 1000), Some("log"));
        assert_eq!(find(database, 5), None);
        assert_eq!(find(database, 100), None);
    }

    #[test]
    fn of_a_file() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let owner = of(&fs::metadata(file.path()).unwrap());
        assert_eq!(owner.permissions, "640");
        assert!(!owner.user.is_empty() && !owner.group.is_empty());
    }
}
