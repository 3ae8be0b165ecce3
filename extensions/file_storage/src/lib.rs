//! Extension `file_storage`: a place on disk for queues and checkpoints.
//!
//! A component that names this extension (`storage: file_storage`) gets a directory of its own under one root. The
//! directory's name is made of the component's kind, type and name, so that a restart, a reload or an upgrade finds
//! it again; what lies in it, how it is locked and how it survives damage is the affair of `corten-storage`.
//!
//! ```yaml
//! extensions:
//!   file_storage:
//!     directory: /var/lib/corten
//!     create_directory: true
//! ```

mod config;
mod names;
mod storage;

use corten_component::{Factory, Kind, Metadata, Stability};

use crate::config::Config;
use crate::storage::FileStorage;

/// Who this component is.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "file_storage",
    aliases: &[],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "Keeps queues and checkpoints in a directory, so that they outlive the process",
};

/// Makes instances of it.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, |_cx, config: Config| {
        Ok(FileStorage::new(config))
    })
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn conforms() {
        let root = tempfile::tempdir().unwrap();
        let yaml = format!(
            "directory: {}/state\ncreate_directory: true",
            root.path().display()
        );
        corten_testing::conforms(super::factory(), &yaml).await;
    }
}
