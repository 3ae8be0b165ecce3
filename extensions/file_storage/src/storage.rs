//! The root directory and what is handed out of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_component::{
    BoxError, Component, ComponentId, Extension, Kind, Storage, StorageError, async_trait,
};
use parking_lot::Mutex;

use crate::config::Config;
use crate::names::directory_name;

/// The running extension.
pub(crate) struct FileStorage {
    config: Config,
    /// Who was given which directory, so that two components never share one.
    given: Mutex<BTreeMap<String, (Kind, ComponentId, String)>>,
}

/// A root directory that cannot be used; the process does not start with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error(
        "directory must exist: stat {path}: no such file or directory. You can enable the create_directory option to automatically create it",
        path = path.display()
    )]
    Missing { path: PathBuf },
    #[error("{path} is not a directory: name one in directory, or move that file away", path = path.display())]
    NotADirectory { path: PathBuf },
    #[error("{path}: create the directory: {source}; create it for the user that runs Corten, or name another in directory", path = path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("{path}: {source}; the user that runs Corten must be able to enter it", path = path.display())]
    Stat { path: PathBuf, source: io::Error },
    #[error("{path} is not writable: {source}; give it to the user that runs Corten, or name another in directory", path = path.display())]
    NotWritable { path: PathBuf, source: io::Error },
}

impl FileStorage {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            given: Mutex::default(),
        }
    }

    /// Makes sure that the root is there and can be written to.
    fn prepare(&self) -> Result<(), RootError> {
        let path = &self.config.directory;
        let owned = || path.clone();
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(RootError::NotADirectory { path: owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.config.create_directory {
                    return Err(RootError::Missing { path: owned() });
                }
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(self.config.directory_permissions.mode())
                    .create(path)
                    .map_err(|source| RootError::Create {
                        path: owned(),
                        source,
                    })?;
            }
            Err(source) => {
                return Err(RootError::Stat {
                    path: owned(),
                    source,
                });
            }
        }
        probe(path).map_err(|source| RootError::NotWritable {
            path: owned(),
            source,
        })
    }
}

/// Permission bits do not tell about read-only mounts, quotas or capabilities; writing does.
fn probe(root: &Path) -> io::Result<()> {
    let path = root.join(format!(".writable-{}", std::process::id()));
    fs::write(&path, b"")?;
    fs::remove_file(&path)
}

#[async_trait]
impl Component for FileStorage {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        Ok(self.prepare()?)
    }
}

impl Extension for FileStorage {
    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

impl Storage for FileStorage {
    fn directory(
        &self,
        kind: Kind,
        id: &ComponentId,
        purpose: &str,
    ) -> Result<PathBuf, StorageError> {
        let name = directory_name(kind, id, purpose);
        let path = self.config.directory.join(&name);
        let failed = |source| StorageError {
            path: path.clone(),
            source,
        };
        let asks = (kind, id.clone(), purpose.to_owned());
        {
            let mut given = self.given.lock();
            if let Some((kind, id, purpose)) = given.get(&name)
                && directory_differs(&asks, (*kind, id, purpose))
            {
                let message = format!(
                    "already given to the {kind} \"{id}\" for {purpose:?}: rename one of the two"
                );
                return Err(failed(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    message,
                )));
            }
            given.insert(name, asks);
        }
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::metadata(&path).map_err(failed)?.is_dir() {
                    return Err(failed(io::ErrorKind::NotADirectory.into()));
                }
                // An operator may have copied it with wider permissions; what is in it is nobody else's.
                let private = fs::Permissions::from_mode(0o700);
                if let Err(error) = fs::set_permissions(&path, private) {
                    tracing::debug!(path = %path.display(), %error, "permissions stay as they are");
                }
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(path)
    }
}

/// Whether somebody else got the directory: the same component may ask again, under either spelling of its type.
fn directory_differs(
    asks: &(Kind, ComponentId, String),
    given: (Kind, &ComponentId, &str),
) -> bool {
    asks.0 != given.0 || asks.1.name() != given.1.name() || asks.2 != given.2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Permissions;

    fn storage(directory: &Path, create_directory: bool) -> Arc<FileStorage> {
        Arc::new(FileStorage::new(Config {
            directory: directory.to_owned(),
            create_directory,
            directory_permissions: Permissions::default(),
            ..Config::default()
        }))
    }

    fn id(text: &str) -> ComponentId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_missing_root_is_refused_in_the_collectors_words() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        let error = storage(&path, false).start().await.unwrap_err();
        let path = path.display();
        assert_eq!(
            error.to_string(),
            format!(
                "directory must exist: stat {path}: no such file or directory. \
                 You can enable the create_directory option to automatically create it"
            )
        );
    }

    #[tokio::test]
    async fn the_root_is_created_when_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        storage(&path, true).start().await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o750, 0, "{mode:o}");
        assert_eq!(
            fs::read_dir(&path).unwrap().count(),
            0,
            "the probe was left behind"
        );
    }

    #[tokio::test]
    async fn a_root_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = storage(file.path(), true).start().await.unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }

    #[tokio::test]
    async fn a_root_that_cannot_be_written_to_is_named() {
        // Nobody can create files there, root included.
        let error = storage(Path::new("/proc/self"), false)
            .start()
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/proc/self is not writable: "),
            "{error}"
        );
    }

    #[test]
    fn every_component_has_a_private_directory_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let storage = storage(root.path(), false);
        let first = storage
            .directory(Kind::Receiver, &id("filelog/a"), "checkpoint")
            .unwrap();
        assert_eq!(first, root.path().join("receiver_file_log_a_checkpoint"));
        let mode = fs::metadata(&first).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(first.join("state"), b"kept").unwrap();
        let again = storage
            .directory(Kind::Receiver, &id("file_log/a"), "checkpoint")
            .unwrap();
        assert_eq!(first, again);
        assert_eq!(fs::read(again.join("state")).unwrap(), b"kept");
        let other = storage
            .directory(Kind::Receiver, &id("file_log/b"), "checkpoint")
            .unwrap();
        assert_ne!(first, other);
    }

    #[test]
    fn two_components_never_share_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let storage = storage(root.path(), false);
        storage
            .directory(Kind::Exporter, &id("loki/x_queue"), "logs")
            .unwrap();
        let error = storage
            .directory(Kind::Exporter, &id("loki/x"), "queue_logs")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("already given to the exporter \"loki/x_queue\""),
            "{error}"
        );
    }

    #[test]
    fn a_root_that_went_away_is_an_error_with_its_path() {
        let storage = storage(Path::new("/nonexistent/root"), false);
        let error = storage
            .directory(Kind::Exporter, &id("loki"), "q")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nonexistent/root/exporter_loki__q: "),
            "{error}"
        );
    }
}
