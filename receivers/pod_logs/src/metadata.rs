//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `pod_logs`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "pod_logs",
    aliases: &[],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Follows the logs of this node's pods, with nothing to configure",
};
