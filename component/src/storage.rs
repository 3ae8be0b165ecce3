//! State that outlives the process.

use std::path::PathBuf;

use crate::{ComponentId, Kind};

/// A place where components keep queues and checkpoints (extension `file_storage`).
///
/// What lies in a directory and how it is locked is the affair of the crate that owns the format.
pub trait Storage: Send + Sync {
    /// The directory of one component, created if it is not there, readable by this user alone.
    /// The same component gets the same directory after a restart, a reload, or an upgrade that
    /// renamed its type.
    ///
    /// `purpose` tells apart what one component keeps (`checkpoint`, `queue_logs`, …).
    ///
    /// # Errors
    ///
    /// [`StorageError`] names the path and what stood in the way.
    fn directory(
        &self,
        kind: Kind,
        id: &ComponentId,
        purpose: &str,
    ) -> Result<PathBuf, StorageError>;
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct StorageError {
    /// The directory.
    pub path: PathBuf,
    /// What stood in the way.
    pub source: std::io::Error,
}
