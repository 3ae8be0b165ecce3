//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `k8s_objects`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "k8s_objects",
    aliases: &["k8sobjects"],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Objects of a Kubernetes cluster as log records, listed now and then or as they change",
};
