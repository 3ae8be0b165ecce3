//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `kafka`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "kafka",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Takes telemetry from topics of Kafka and moves the group's offset past what is safe",
};

/// What never reaches a pipeline's edge, and what the offset moved past all the same.
pub(crate) struct Metrics {
    messages: Counter<u64>,
    malformed: Counter<u64>,
    skipped: Counter<u64>,
    own: [KeyValue; 2],
}

impl Metrics {
    pub(crate) fn new(cx: &Context, signal: Signal) -> Self {
        let meter = cx.meter();
        Self {
            messages: meter
                .u64_counter("otelcol_kafka_receiver_messages")
                .with_description("Number of received messages")
                .build(),
            malformed: meter
                .u64_counter("corten_receiver_malformed_messages")
                .with_description(
                    "Number of messages that are not what the topic's encoding says; they were passed over",
                )
                .build(),
            skipped: meter
                .u64_counter("corten_receiver_skipped_messages")
                .with_description("Number of messages that were refused and passed over")
                .build(),
            own: [
                KeyValue::new("receiver", cx.id().to_string()),
                KeyValue::new("data_type", signal.to_string()),
            ],
        }
    }

    pub(crate) fn message(&self) {
        self.messages.add(1, &self.own);
    }

    pub(crate) fn malformed(&self) {
        self.malformed.add(1, &self.own);
    }

    pub(crate) fn skipped(&self) {
        self.skipped.add(1, &self.own);
    }
}
