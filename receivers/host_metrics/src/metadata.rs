//! Who this component is.

use corten_component::{Kind, Metadata, Signal, Stability};

/// `host_metrics`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "host_metrics",
    aliases: &["hostmetrics"],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Stable,
    summary: "The host's system.* metrics under OpenTelemetry's names, as the Collector has them",
};
