//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `jaeger`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "jaeger",
    aliases: &[],
    signals: &[Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Takes spans from Jaeger's clients and agents",
};

/// What never reaches a pipeline's edge, where everything else is counted.
pub(crate) struct Metrics {
    malformed: Counter<u64>,
    shed: Counter<u64>,
    dropped: Counter<u64>,
    receiver: KeyValue,
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let meter = cx.meter();
        Self {
            malformed: meter
                .u64_counter("corten_receiver_malformed_requests")
                .with_description("Number of requests that were refused because of what they are")
                .build(),
            shed: meter
                .u64_counter("corten_receiver_shed_requests")
                .with_description("Number of requests that were told to come again because too many bytes were in flight")
                .build(),
            dropped: meter
                .u64_counter("corten_jaeger_dropped_spans")
                .with_description("Number of spans that came as datagrams and were dropped")
                .build(),
            receiver: KeyValue::new("receiver", cx.id().to_string()),
        }
    }

    pub(crate) fn malformed(&self, transport: &'static str, reason: &'static str) {
        let attributes = [
            self.receiver.clone(),
            KeyValue::new("transport", transport),
            KeyValue::new("reason", reason),
        ];
        self.malformed.add(1, &attributes);
    }

    pub(crate) fn shed(&self, transport: &'static str) {
        let attributes = [self.receiver.clone(), KeyValue::new("transport", transport)];
        self.shed.add(1, &attributes);
    }

    pub(crate) fn dropped(&self, transport: &'static str, reason: &'static str, spans: usize) {
        let attributes = [
            self.receiver.clone(),
            KeyValue::new("transport", transport),
            KeyValue::new("reason", reason),
        ];
        self.dropped.add(spans as u64, &attributes);
    }
}
