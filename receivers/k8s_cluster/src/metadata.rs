//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `k8s_cluster`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "k8s_cluster",
    aliases: &["k8scluster"],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "What the objects of a Kubernetes cluster should be and are, as metrics under the Collector's names",
};
