//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

/// `batch`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "batch",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Gathers small batches into larger ones; every sender still hears what became of its own",
};

/// Why a batch went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// It had `send_batch_size` items.
    Size,
    /// Its first item had waited for `timeout`.
    Timeout,
    /// The agent shuts down.
    Shutdown,
}

/// `otelcol_processor_batch_*`.
pub(crate) struct Metrics {
    size: Histogram<u64>,
    bytes: Histogram<u64>,
    by_size: Counter<u64>,
    by_timeout: Counter<u64>,
    attributes: [KeyValue; 1],
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let meter = cx.meter();
        Self {
            size: meter
                .u64_histogram("otelcol_processor_batch_batch_send_size")
                .with_description("Number of units in the batch")
                .with_boundaries(vec![
                    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0,
                    4000.0, 5000.0, 6000.0, 7000.0, 8000.0, 9000.0, 10_000.0, 20_000.0, 30_000.0,
                    50_000.0, 100_000.0,
                ])
                .build(),
            bytes: meter
                .u64_histogram("otelcol_processor_batch_batch_send_size_bytes")
                .with_unit("By")
                .with_description("Number of bytes in the batch")
                .with_boundaries((7..=24).map(|power| f64::from(1u32 << power)).collect())
                .build(),
            by_size: meter
                .u64_counter("otelcol_processor_batch_batch_size_trigger_send")
                .with_description("Number of times the batch was sent due to a size trigger")
                .build(),
            by_timeout: meter
                .u64_counter("otelcol_processor_batch_timeout_trigger_send")
                .with_description("Number of times the batch was sent due to a timeout trigger")
                .build(),
            attributes: [KeyValue::new("processor", cx.id().to_string())],
        }
    }

    pub(crate) fn sent(&self, trigger: Trigger, items: usize, bytes: usize) {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.size.record(wide(items), &self.attributes);
        self.bytes.record(wide(bytes), &self.attributes);
        match trigger {
            Trigger::Size => self.by_size.add(1, &self.attributes),
            Trigger::Timeout => self.by_timeout.add(1, &self.attributes),
            Trigger::Shutdown => {}
        }
    }
}
