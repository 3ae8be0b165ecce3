//! Opening and looking below the kernel's own folders without walking there from the root.
//!
//! Much of what a collection looks for is not there (no RAID, no Infiniband, no NFS), and most of the cost of being told so is the
//! way to it. The folders here exist for as long as the kernel runs, so their descriptors are kept by the process once.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, openat, statat};
use rustix::io::retry_on_intr;

use crate::file::is_of_kernel;

/// Longer ones before those that they begin with. `/proc/net` is a link to the process's own.
const FOLDERS: [&str; 5] = [
    "/proc/net/",
    "/proc/",
    "/sys/class/",
    "/sys/devices/system/",
    "/sys/fs/",
];

/// Opens what is at `path` to be read; `flags` beside that.
pub(crate) fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let (folder, rest) = below(path);
    let opened = retry_on_intr(|| openat(folder, rest, flags, Mode::empty()));
    Ok(opened?)
}

/// What is known of the file at `path`, or of what a link there leads to.
pub(crate) fn stat(path: &Path) -> io::Result<Stat> {
    let (folder, rest) = below(path);
    Ok(retry_on_intr(|| statat(folder, rest, AtFlags::empty()))?)
}

/// The nearest folder that is kept, and the way from there.
fn below(path: &Path) -> (BorrowedFd<'static>, &[u8]) {
    static KEPT: OnceLock<[Option<OwnedFd>; FOLDERS.len()]> = OnceLock::new();
    let kept = KEPT.get_or_init(|| FOLDERS.map(folder));
    let path = path.as_os_str().as_bytes();
    let below = FOLDERS.iter().zip(kept).find_map(|(folder, kept)| {
        let rest = path.strip_prefix(folder.as_bytes())?;
        // An absolute path would lead away from the descriptor, and an empty one is none.
        let rest = Some(rest).filter(|rest| rest.first().is_some_and(|byte| *byte != b'/'))?;
        Some((kept.as_ref()?.as_fd(), rest))
    });
    below.unwrap_or((CWD, path))
}

/// The same for a file.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    open(path, OFlags::empty()).map(File::from)
}

fn folder(path: &str) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty()).ok()?;
    is_of_kernel(&opened).then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_found_as_from_the_root() {
        let inode = |opened: &OwnedFd| rustix::fs::fstat(opened).unwrap().st_ino;
        for path in [
            "/proc/stat",
            "/proc//stat",
            "/proc/self/stat",
            "/proc/net/../stat",
            "/sys/class/net",
            "/sys/class/net/",
            "/sys/class/net/lo/mtu",
            "/sys/devices/system/cpu/online",
            "/sys/fs/",
            "/sys/class",
            "/etc/passwd",
            "relative/../src/lib.rs",
        ] {
            let path = Path::new(path);
            match (open(path, OFlags::empty()), File::open(path)) {
                (Ok(here), Ok(there)) => {
                    let there = inode(&there.into());
                    assert_eq!(inode(&here), there, "{}", path.display());
                    assert_eq!(stat(path).unwrap().st_ino, there, "{}", path.display());
                }
                (here, there) => assert_eq!(
                    here.unwrap_err().raw_os_error(),
                    there.unwrap_err().raw_os_error(),
                    "{}",
                    path.display()
                ),
            }
        }
    }

    #[test]
    fn what_is_absent_is_told_as_such() {
        for path in ["/proc/net/none", "/proc/none", "/sys/class/none/", "/none"] {
            let error = open_file(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
            let error = stat(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
        }
    }
}
