//! Who this component is.

use corten_component::{Kind, Metadata, Stability};

/// `k8s_leader_elector`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "k8s_leader_elector",
    aliases: &["k8sleaderelector"],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "One agent of many leads, by a Lease: what a cluster has once is read once",
};
