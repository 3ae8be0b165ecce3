//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `kubelet_stats`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "kubelet_stats",
    aliases: &["kubeletstats"],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "What the kubelet measures of its node, pods, containers and volumes, under the Collector's names",
};
