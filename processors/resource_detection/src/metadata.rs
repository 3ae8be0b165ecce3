//! Who the component is.

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

use crate::processor::ResourceDetection;

/// `resource_detection`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "resource_detection",
    aliases: &["resourcedetection"],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Tells resources where they run",
};

/// The factory of `resource_detection`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, ResourceDetection::create)
}
