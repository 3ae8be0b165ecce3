//! Who this component is.

use corten_component::{Kind, Metadata, Stability};

/// `k8s_observer`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "k8s_observer",
    aliases: &[],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "Finds pods, containers, ports, services, ingresses and nodes that receivers are created for",
};
