//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `file_log`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "file_log",
    aliases: &["filelog"],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Follows log files and container logs; a line is done when the backend has it",
};
