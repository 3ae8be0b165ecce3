//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `process_metrics`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "process_metrics",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Stable,
    summary: "Groups of processes under the names, types and labels of process-exporter",
};
