//! Credentials in files that somebody else rotates.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// The largest file that is taken for a credential.
const LARGEST: u64 = 1 << 20;

/// A file with a credential, read again when it changed.
///
/// A change is seen in the file's identity, size or time of modification, so that both a file written in
/// place and a symlink that is moved (as Kubernetes rotates tokens) are noticed. Reading costs one `stat`
/// when nothing changed.
pub struct SecretFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<str>)>>,
}

/// A credential that cannot be had now.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing but white space: somebody is writing it, or it is the wrong file.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SecretFile {
    /// The file at `path`; it is not touched yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read: Mutex::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds now, without white space at either end.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no text, or is empty. What it held before is not used then: a credential
    /// that was taken away must not go on working.
    pub fn read(&self) -> Result<Arc<str>, SecretFileError> {
        let failed = |source| SecretFileError::Unreadable {
            path: self.path.clone(),
            source,
        };
        let mut read = self.read.lock();
        let now = Stamp::from(&std::fs::metadata(&self.path).map_err(failed)?);
        if let Some((stamp, text)) = &*read
            && *stamp == now
        {
            return Ok(Arc::clone(text));
        }
        *read = None;
        let file = File::open(&self.path).map_err(failed)?;
        let stamp = Stamp::from(&file.metadata().map_err(failed)?);
        if stamp.size > LARGEST {
            let message = format!("{} bytes are too large for a credential", stamp.size);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        let mut text = String::new();
        file.take(LARGEST)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretFileError::Empty {
                path: self.path.clone(),
            });
        }
        let text: Arc<str> = text.into();
        *read = Some((stamp, Arc::clone(&text)));
        Ok(text)
    }

    /// Reads the file anew the next time, whatever it looks like.
    pub fn forget(&self) {
        *self.read.lock() = None;
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SecretFile").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("corten-secret-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let directory = temporary("rotated");
        let path = directory.join("token");
        std::fs::write(&path, "first\n").unwrap();
        let file = SecretFile::new(&path);
        assert_eq!(&*file.read().unwrap(), "first");
        assert!(Arc::ptr_eq(&file.read().unwrap(), &file.read().unwrap()));

        let next = directory.join("next");
        std::fs::write(&next, "other\n").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(&*file.read().unwrap(), "other");

        file.forget();
        assert_eq!(&*file.read().unwrap(), "other");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_gone_or_empty_is_no_credential() {
        let directory = temporary("gone");
        let path = directory.join("token");
        std::fs::write(&path, "first").unwrap();
        let file = SecretFile::new(&path);
        assert_eq!(&*file.read().unwrap(), "first");
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(file.read(), Err(SecretFileError::Empty { .. })));
        std::fs::remove_file(&path).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
