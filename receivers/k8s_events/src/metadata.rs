//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `k8s_events`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "k8s_events",
    aliases: &["k8sevents"],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "The events of a Kubernetes cluster as log records, each once",
};
