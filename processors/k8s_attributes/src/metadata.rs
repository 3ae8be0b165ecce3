//! Who the component is, and what it counts.

use corten_component::{Context, Factory, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use crate::processor::K8sAttributes;

/// `k8s_attributes`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "k8s_attributes",
    aliases: &["k8sattributes"],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Names the pods that telemetry comes from",
};

/// The factory of `k8s_attributes`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, K8sAttributes::create)
}

/// What it counts of its own.
pub(crate) struct Metrics {
    resources: Counter<u64>,
    found: [KeyValue; 2],
    unknown: [KeyValue; 2],
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let own = KeyValue::new("processor", cx.id().to_string());
        Self {
            resources: cx
                .meter()
                .u64_counter("corten_k8s_attributes_resources")
                .with_description("Resources whose pod was looked for, by whether it was found")
                .build(),
            found: [own.clone(), KeyValue::new("pod", "found")],
            unknown: [own, KeyValue::new("pod", "unknown")],
        }
    }

    pub(crate) fn looked_up(&self, found: u64, unknown: u64) {
        if found > 0 {
            self.resources.add(found, &self.found);
        }
        if unknown > 0 {
            self.resources.add(unknown, &self.unknown);
        }
    }
}
