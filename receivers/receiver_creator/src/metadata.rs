//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `receiver_creator`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "receiver_creator",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Starts and stops receivers for pods, containers, ports and nodes as they come and go",
};
