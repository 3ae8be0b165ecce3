//! Opens files only where the operator said that logs are.
//!
//! Whoever may write into a log folder may plant a symbolic link there, to a secret of the machine that only the
//! agent can read. So a path is resolved first, must end beneath one of the configured roots, and is then opened
//! from that root with symbolic links forbidden: what is swapped in between makes the opening fail.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::identity::Inode;

/// The directories beneath which files may lie.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    configured: Vec<PathBuf>,
    resolved: Vec<PathBuf>,
    /// Opening without a trace is not allowed.
    noticed: Cell<bool>,
}

impl Roots {
    pub(crate) fn new(mut configured: Vec<PathBuf>) -> Self {
        configured.sort_unstable();
        configured.dedup();
        let mut roots = Self {
            configured,
            resolved: Vec::new(),
            noticed: Cell::new(false),
        };
        roots.refresh();
        roots
    }

    /// Resolves the roots anew: one may have been mounted late.
    pub(crate) fn refresh(&mut self) {
        self.resolved = self
            .configured
            .iter()
            .filter_map(|root| root.canonicalize().ok())
            .collect();
    }

    /// Whether a resolved path lies beneath a root.
    pub(crate) fn contain(&self, resolved: &Path) -> bool {
        self.resolved.iter().any(|root| resolved.starts_with(root))
    }

    /// Opens a regular file for reading. `resolved` has no symbolic links.
    pub(crate) fn open(&self, resolved: &Path) -> io::Result<File> {
        // A FIFO must not block the open, a terminal not become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.open_unnoticed(resolved, flags)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(file)
    }

    /// Opens without a trace in the time of the last access, where that is allowed: reading what was written costs a write of the
    /// inode otherwise.
    fn open_unnoticed(&self, resolved: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if !self.noticed.get() {
            let opened = self.open_with(resolved, flags | OFlags::NOATIME);
            let refused = opened.as_ref().err().and_then(Errno::from_io_error) == Some(Errno::PERM);
            if !refused {
                return opened;
            }
        }
        let opened = self.open_with(resolved, flags)?;
        // It takes the file's owner or a capability, which is so for one log as for the other.
        self.noticed.set(true);
        Ok(opened)
    }

    /// Deletes a regular file, if it is the one with that inode.
    pub(crate) fn remove(&self, resolved: &Path, inode: Inode) -> io::Result<()> {
        let (Some(parent), Some(name)) = (resolved.parent(), resolved.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = if self.resolved.iter().any(|root| root == parent) {
            OwnedFd::from(File::open(parent)?)
        } else {
            self.open_with(parent, OFlags::PATH | OFlags::DIRECTORY)?
        };
        let found = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (found.st_dev, found.st_ino) != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(rustix::fs::unlinkat(&directory, name, AtFlags::empty())?)
    }

    fn open_with(&self, resolved: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let root = self
            .resolved
            .iter()
            .find(|root| resolved.starts_with(root) && resolved != root.as_path())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::PermissionDenied, "not beneath a log root")
            })?;
        let below = resolved.strip_prefix(root).map_err(io::Error::other)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::openat(
            CWD,
            root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&directory, below, flags, Mode::empty(), resolve) {
            Ok(file) => Ok(file),
            // Kernels before 5.6, and sandboxes that don't know the call.
            Err(Errno::NOSYS | Errno::PERM) => checked_open(&directory, below, flags, resolved),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens first and asks afterwards where that led.
fn checked_open(
    directory: &OwnedFd,
    below: &Path,
    flags: OFlags,
    resolved: &Path,
) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let file = rustix::fs::openat(directory, below, flags, Mode::empty())?;
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    if opened != resolved {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "a symbolic link took its place",
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_planted_link_opens_nothing() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        let base = root.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("pod")).unwrap();
        std::fs::write(base.join("pod/0.log"), "x").unwrap();
        symlink(&secret, base.join("link")).unwrap();
        symlink(outside.path(), base.join("dir")).unwrap();
        rustix::fs::mkfifoat(CWD, base.join("fifo"), Mode::RUSR).unwrap();
        // /dev/zero; who may not make one is not in danger.
        let device = rustix::fs::makedev(1, 5);
        let kind = rustix::fs::FileType::CharacterDevice;
        let _made = rustix::fs::mknodat(CWD, base.join("zero"), kind, Mode::RUSR, device);
        std::os::unix::net::UnixListener::bind(base.join("socket")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        symlink("fifo", base.join("pod/1.log")).unwrap();
        symlink("../..", base.join("pod/up")).unwrap();

        let roots = Roots::new(vec![root.path().to_owned()]);
        assert!(roots.open(&base.join("pod/0.log")).is_ok());
        for refused in [
            "link",
            "dir/secret",
            "fifo",
            "zero",
            "socket",
            "loop",
            "pod/1.log",
            "pod/up/secret",
            "pod",
            "missing",
            "pod/../../x",
        ] {
            assert!(roots.open(&base.join(refused)).is_err(), "{refused}");
        }
        assert!(roots.open(&secret).is_err());
        assert!(roots.open(&base).is_err());
    }

    #[test]
    fn removes_the_file_that_is_meant_and_no_other() {
        use std::os::unix::fs::MetadataExt;
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        let secret = outside.path().join("secret");
        let inode = |path: &Path| {
            let metadata = std::fs::metadata(path).unwrap();
            (metadata.dev(), metadata.ino())
        };
        std::fs::create_dir(base.join("pod")).unwrap();
        for path in [&secret, &base.join("pod/a"), &base.join("b")] {
            std::fs::write(path, "x").unwrap();
        }
        symlink(&secret, base.join("link")).unwrap();
        symlink(outside.path(), base.join("dir")).unwrap();
        let roots = Roots::new(vec![base.clone()]);
        assert!(roots.remove(&base.join("link"), inode(&secret)).is_err());
        assert!(
            roots
                .remove(&base.join("dir/secret"), inode(&secret))
                .is_err()
        );
        assert!(roots.remove(&secret, inode(&secret)).is_err());
        assert!(roots.remove(&base.join("b"), inode(&secret)).is_err());
        assert!(
            roots
                .remove(&base.join("pod"), inode(&base.join("pod")))
                .is_err()
        );
        for path in [base.join("pod/a"), base.join("b")] {
            roots.remove(&path, inode(&path)).unwrap();
            assert!(!path.exists());
        }
        assert!(secret.exists());
    }

    #[test]
    fn a_root_may_appear_late() {
        let parent = tempfile::tempdir().unwrap();
        let late = parent.path().canonicalize().unwrap().join("late");
        let mut roots = Roots::new(vec![late.clone()]);
        assert!(!roots.contain(&late.join("a")));
        std::fs::create_dir(&late).unwrap();
        std::fs::write(late.join("a"), "x").unwrap();
        roots.refresh();
        assert!(roots.contain(&late.join("a")));
        assert!(roots.open(&late.join("a")).is_ok());
    }

    #[test]
    fn reading_leaves_no_trace_in_ones_own_files() {
        use std::io::Read as _;
        use std::time::{Duration, SystemTime};
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        let path = base.join("0.log");
        std::fs::write(&path, "x").unwrap();
        // Read before it was written last: the next access would be noted.
        let then = SystemTime::now() - Duration::from_secs(3600);
        let times = std::fs::FileTimes::new().set_accessed(then);
        let file = File::options().append(true).open(&path).unwrap();
        file.set_times(times).unwrap();
        let roots = Roots::new(vec![base]);
        let mut text = String::new();
        let mut opened = roots.open(&path).unwrap();
        opened.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(opened.metadata().unwrap().accessed().unwrap(), then);
    }
}
