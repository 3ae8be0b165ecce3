//! Listing the same small folders again and again at little cost.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RawDir, SeekFrom, fstat, seek};
use rustix::io::Errno;

use crate::HostError;
use crate::anchor::{open, stat};
use crate::file::is_in_sysfs;

/// Room for what the kernel tells of a folder in one go; any name has its place in it.
const ROOM: usize = 4096;

/// A folder that is listed at every collection. In sysfs its descriptor is kept between them: what the kernel tells through it
/// is the present content.
#[derive(Debug)]
pub(crate) struct HostFolder {
    path: PathBuf,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    descriptor: OwnedFd,
    inode: u64,
}

impl HostFolder {
    /// The folder at `path`, which need not exist yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, kept: None }
    }

    /// Whether a descriptor is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The names in it, sorted; those that are no UTF-8 are left out.
    pub(crate) fn names(&mut self) -> Result<Vec<String>, HostError> {
        if let Some(kept) = &self.kept {
            let listed = seek(&kept.descriptor, SeekFrom::Start(0))
                .and_then(|_| names_through(&kept.descriptor));
            match listed {
                // Nothing is in a folder that was removed either, and another one may have come under its path.
                Ok(names) if !names.is_empty() || kept.is_at(&self.path) => return Ok(names),
                _ => self.kept = None,
            }
        }
        self.open_and_list()
            .map_err(|error| HostError::read(&self.path, error))
    }

    fn open_and_list(&mut self) -> io::Result<Vec<String>> {
        let descriptor = open(&self.path, OFlags::DIRECTORY)?;
        let names = names_through(&descriptor)?;
        if is_in_sysfs(&descriptor) {
            let inode = fstat(&descriptor)?.st_ino;
            self.kept = Some(Kept { descriptor, inode });
        }
        Ok(names)
    }
}

impl Kept {
    fn is_at(&self, path: &Path) -> bool {
        stat(path).is_ok_and(|found| found.st_ino == self.inode)
    }
}

/// What the kernel tells through a descriptor that stands at its beginning.
fn names_through(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut entries = RawDir::new(folder, &mut room);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if let Ok(name) = name.to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_kept_folder_shows_its_present_content() {
        for path in ["/sys/class/net", "/sys/devices/system/cpu", "/sys/fs"] {
            let path = Path::new(path);
            let mut folder = HostFolder::new(path.into());
            for _ in 0..3 {
                assert_eq!(folder.names().unwrap(), listed(path));
            }
            assert!(folder.is_kept(), "{}", path.display());
        }
    }

    #[test]
    fn a_folder_of_files_is_not_kept_and_may_come_and_go() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("class");
        let mut folder = HostFolder::new(path.clone());
        assert!(folder.names().unwrap_err().is_absent());
        std::fs::create_dir(&path).unwrap();
        assert!(folder.names().unwrap().is_empty());
        for number in 0..300 {
            std::fs::write(path.join(format!("{number}{}", "x".repeat(90))), "").unwrap();
        }
        assert_eq!(folder.names().unwrap(), listed(&path));
        assert!(!folder.is_kept());
        std::fs::remove_dir_all(&path).unwrap();
        assert!(folder.names().unwrap_err().is_absent());
        std::fs::write(&path, "").unwrap();
        assert!(folder.names().is_err());
    }

    #[test]
    fn another_folder_under_the_path_is_found() {
        let mut folder = HostFolder::new("/sys/class/net".into());
        folder.names().unwrap();
        // As if what is kept were a folder that has gone since.
        folder.path = "/sys/class/no_such_class".into();
        let empty = tempfile::tempdir().unwrap();
        let descriptor = OwnedFd::from(std::fs::File::open(empty.path()).unwrap());
        folder.kept = Some(Kept {
            descriptor,
            inode: 1,
        });
        assert!(folder.names().unwrap_err().is_absent());
        assert!(!folder.is_kept());
    }
}
