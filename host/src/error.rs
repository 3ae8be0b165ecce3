//! What can go wrong with a read.

use std::io;
use std::path::PathBuf;

/// A file of the host could not be read or did not say what the kernel's documentation promises.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was read and a line is not as the kernel writes it.
    #[error("{file}:{line}: expected {expected}, found {found:?}")]
    Malformed {
        /// The file, as named below `/proc`, `/sys` or a control group.
        file: &'static str,
        /// Its line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// The host has nothing of the kind: no such hardware, no such file system.
    #[error("nothing to report: {0}")]
    NoData(&'static str),
    /// It lacks something that every kernel writes.
    #[error("{file}: expected {expected}, found none")]
    Missing {
        /// The file.
        file: &'static str,
        /// What should be there.
        expected: &'static str,
    },
}

impl HostError {
    /// The file at `path` could not be read.
    #[must_use]
    pub fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    /// Line `line` of `file` says `found` where it should say what is expected.
    #[must_use]
    pub fn malformed(
        file: &'static str,
        line: usize,
        expected: &'static str,
        found: &[u8],
    ) -> Self {
        const LONGEST: usize = 80;
        let shown = found.get(..LONGEST).unwrap_or(found);
        Self::Malformed {
            file,
            line,
            expected,
            found: String::from_utf8_lossy(shown).into_owned(),
        }
    }

    /// Whether the file is simply not there: hardware or a kernel feature that this host lacks.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::NoData(_) => true,
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}
