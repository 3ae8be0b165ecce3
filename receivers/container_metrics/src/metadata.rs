//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `container_metrics`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "container_metrics",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "CPU, memory, disk, network and processes of every container under the names and labels of cAdvisor",
};
