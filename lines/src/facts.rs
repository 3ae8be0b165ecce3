//! What a file is besides its lines: whose it is, what may be done with it, where its links lead.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Which facts of a file its records have as attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// `log.file.name_resolved`
    pub name_resolved: bool,
    /// `log.file.path_resolved`
    pub path_resolved: bool,
    /// `log.file.owner.name`
    pub owner: bool,
    /// `log.file.owner.group.name`
    pub group: bool,
    /// `log.file.permissions`
    pub permissions: bool,
}

impl Facts {
    /// Whether any is wanted.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Finds the facts out, and gives each to `put`. What can't be found out is left out.
    pub(crate) fn of(self, path: &Path, mut put: impl FnMut(&'static str, &str)) {
        if !self.any() {
            return;
        }
        if (self.name_resolved || self.path_resolved)
            && let Ok(resolved) = fs::canonicalize(path)
        {
            if let (true, Some(name)) = (self.name_resolved, resolved.file_name()) {
                put("log.file.name_resolved", &name.to_string_lossy());
            }
            if self.path_resolved {
                put("log.file.path_resolved", &resolved.to_string_lossy());
            }
        }
        let Ok(metadata) = fs::metadata(path) else {
            return;
        };
        if self.owner {
            put("log.file.owner.name", &named("/etc/passwd", metadata.uid()));
        }
        if self.group {
            put(
                "log.file.owner.group.name",
                &named("/etc/group", metadata.gid()),
            );
        }
        if self.permissions {
            let mode = metadata.permissions().mode() & 0o7777;
            put("log.file.permissions", &format!("{mode:04o}"));
        }
    }
}

/// The name of a user or a group by its number; the number where it has none.
fn named(list: &str, id: u32) -> String {
    let text = fs::read_to_string(list).unwrap_or_default();
    let names: HashMap<u32, &str> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name))
        })
        .collect();
    names
        .get(&id)
        .map_or_else(|| id.to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_a_file() {
        let all = Facts {
            name_resolved: true,
            path_resolved: true,
            owner: true,
            group: true,
            permissions: true,
        };
        let mut found = HashMap::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        all.of(&path, |name, value| {
            drop(found.insert(name, value.to_owned()))
        });
        assert_eq!(found["log.file.name_resolved"], "Cargo.toml");
        assert_eq!(
            found["log.file.path_resolved"],
            path.canonicalize().unwrap().to_str().unwrap()
        );
        assert!(
            found["log.file.permissions"].starts_with('0') && found.len() == 5,
            "{found:?}"
        );
        assert_eq!(named("/etc/passwd", 0), "root");
        assert_eq!(named("/nowhere", 7), "7");
        let mut count = 0;
        all.of(Path::new("/nowhere/at/all"), |_, _| count += 1);
        Facts::default().of(&path, |_, _| count += 1);
        assert_eq!(count, 0);
    }
}
