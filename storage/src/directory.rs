//! A component's directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file::{File, Fs, Lock, LockError, Open, OsFs, lock_path};

/// Why a directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It could not be created.
    #[error("{path}: create the directory: {source}", path = path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file could not be opened.
    #[error("{path}: lock the directory: {source}; it must be writable for this process", path = path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else uses it.
    #[error("{path}: in use by {holder}; stop it or name another directory", path = path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// What the holder wrote into the lock: its process and the component.
        holder: String,
    },
}

/// A directory that belongs to one component of one process: created private (0700), its files 0600,
/// locked until the last clone is dropped.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    /// `None`: it is only looked at.
    lock: Option<Box<dyn Lock>>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.inner.path).finish()
    }
}

impl Directory {
    /// Creates `path` when it is missing and locks it for `owner` (a component's id).
    pub fn open(path: impl Into<PathBuf>, owner: &str) -> Result<Self, DirectoryError> {
        Self::open_on(Arc::new(OsFs), path, owner)
    }

    /// The same on a given file system.
    pub fn open_on(
        fs: Arc<dyn Fs>,
        path: impl Into<PathBuf>,
        owner: &str,
    ) -> Result<Self, DirectoryError> {
        let path = path.into();
        fs.create_directory(&path)
            .map_err(|source| DirectoryError::Create {
                path: path.clone(),
                source,
            })?;
        let owner = format!("process {} ({owner})", std::process::id());
        let lock = match fs.lock(&lock_path(&path), &owner) {
            Ok(lock) => lock,
            Err(LockError::Held(holder)) => return Err(DirectoryError::Held { path, holder }),
            Err(LockError::Io(source)) => return Err(DirectoryError::Lock { path, source }),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                fs,
                path,
                lock: Some(lock),
            }),
        })
    }

    /// Looks at a directory that may be somebody else's: it is neither created nor locked, and nothing in
    /// it can be changed. Its owner may change it meanwhile.
    pub fn look(path: impl Into<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                fs: Arc::new(OsFs),
                path: path.into(),
                lock: None,
            }),
        }
    }

    /// Whether it is only [looked at](Self::look).
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.lock.is_none()
    }

    /// The directory of a component below this one: its id becomes a file name ([`file_name`]).
    pub fn child(&self, id: &str) -> Result<Self, DirectoryError> {
        Self::open_on(
            Arc::clone(&self.inner.fs),
            self.inner.path.join(file_name(id)),
            id,
        )
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Opens a file of the directory. `name` is a plain file name.
    pub fn file(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        if how != Open::Read {
            self.may_change()?;
        }
        self.inner.fs.open(&self.place(name)?, how)
    }

    /// The names of the files, sorted; the lock isn't among them.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.inner.fs.list(&self.inner.path)?;
        names.retain(|name| name != "lock");
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file; call [`sync`](Self::sync) when the removal must outlive a crash.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        self.inner.fs.remove(&self.place(name)?)
    }

    /// Renames a file, replacing what is there.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may_change()?;
        self.inner.fs.rename(&self.place(from)?, &self.place(to)?)
    }

    /// Returns when creations, renames and removals are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.inner.fs.sync_directory(&self.inner.path)
    }

    /// Replaces the contents of a file in one step: after a crash it holds either the old or the new bytes.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.new");
        let file = self.file(&temporary, Open::CreateOrOpen)?;
        file.set_size(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        self.sync()
    }

    fn may_change(&self) -> io::Result<()> {
        if self.is_read_only() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn place(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name == "lock" || name.contains('/') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not a file name of a storage directory"),
            ));
        }
        Ok(self.inner.path.join(name))
    }
}

/// A component's id as a file name: letters, digits, `_` and `-` stay, any other byte becomes `~` and two hex
/// digits. Different ids give different names.
#[must_use]
pub fn file_name(id: &str) -> String {
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            name.extend(['~', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    if name.is_empty() {
        name.push('~');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_private_and_locked_until_dropped() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let first = Directory::open(&path, "file_log").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        first.file("state", Open::CreateNew).unwrap();
        let mode = std::fs::metadata(path.join("state"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        let error = Directory::open(&path, "other").unwrap_err().to_string();
        let holder = format!("in use by process {} (file_log)", std::process::id());
        assert!(error.contains(&holder), "{error}");
        let clone = first.clone();
        drop(first);
        assert!(Directory::open(&path, "other").is_err());
        drop(clone);
        Directory::open(&path, "other").unwrap();
    }

    #[test]
    fn replaces_in_one_step_and_lists_without_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), "x").unwrap();
        directory.replace("b", b"a longer first version").unwrap();
        directory.replace("b", b"second").unwrap();
        directory.replace("a", b"").unwrap();
        assert_eq!(std::fs::read(root.path().join("b")).unwrap(), b"second");
        assert_eq!(directory.list().unwrap(), ["a", "b"]);
        directory.remove("a").unwrap();
        assert_eq!(directory.list().unwrap(), ["b"]);
    }

    #[test]
    fn a_look_needs_no_lock_and_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let owner = Directory::open(root.path(), "x").unwrap();
        owner.replace("a", b"bytes").unwrap();
        let look = Directory::look(root.path());
        assert_eq!(look.list().unwrap(), ["a"]);
        look.file("a", Open::Read).unwrap();
        assert!(look.file("a", Open::Write).is_err());
        assert!(look.file("b", Open::CreateNew).is_err());
        assert!(look.remove("a").is_err() && look.rename("a", "b").is_err());
        assert!(look.replace("a", b"").is_err());
        assert_eq!(owner.list().unwrap(), ["a"]);
        let missing = Directory::look(root.path().join("missing"));
        assert!(missing.list().is_err() && !root.path().join("missing").exists());
    }

    #[test]
    fn names_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), "x").unwrap();
        for name in ["", ".", "..", "../x", "a/b", "lock"] {
            assert!(directory.file(name, Open::CreateOrOpen).is_err(), "{name}");
        }
    }

    #[test]
    fn ids_become_different_file_names() {
        assert_eq!(file_name("otlp_grpc/tempo"), "otlp_grpc~2ftempo");
        assert_eq!(file_name("a~2fb"), "a~7e2fb");
        assert_eq!(file_name(".."), "~2e~2e");
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), "storage").unwrap();
        let _first = directory.child("otlp/a").unwrap();
        let _second = directory.child("otlp/b").unwrap();
        assert!(directory.child("otlp/a").is_err());
    }
}
