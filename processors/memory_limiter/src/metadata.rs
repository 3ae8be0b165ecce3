//! Who this component is, and what only it can count.

use corten_component::{Batch, Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `memory_limiter`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "memory_limiter",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Refuses telemetry, with a time to come back, before memory runs out",
};

/// `otelcol_processor_memory_limiter_{accepted,refused}_*`.
pub(crate) struct Metrics {
    accepted: [Counter<u64>; 3],
    refused: [Counter<u64>; 3],
    attributes: [KeyValue; 1],
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let counters = |outcome: &str, what: &str| {
            ["log_records", "metric_points", "spans"].map(|items| {
                cx.meter()
                    .u64_counter(format!(
                        "otelcol_processor_memory_limiter_{outcome}_{items}"
                    ))
                    .with_description(format!("Number of {items} {what}"))
                    .build()
            })
        };
        Self {
            accepted: counters("accepted", "passed on"),
            refused: counters("refused", "refused because memory was short"),
            attributes: [KeyValue::new("processor", cx.id().to_string())],
        }
    }

    pub(crate) fn accepted(&self, batch: &Batch) {
        self.count(&self.accepted, batch);
    }

    pub(crate) fn refused(&self, batch: &Batch) {
        self.count(&self.refused, batch);
    }

    fn count(&self, [logs, metrics, traces]: &[Counter<u64>; 3], batch: &Batch) {
        let counter = match batch.signal() {
            Signal::Logs => logs,
            Signal::Metrics => metrics,
            Signal::Traces => traces,
        };
        let items = u64::try_from(batch.items()).unwrap_or(u64::MAX);
        counter.add(items, &self.attributes);
    }
}
