//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `node_exporter`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "node_exporter",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Stable,
    summary: "The host's node_* metrics under the names, types and labels of node_exporter",
};
