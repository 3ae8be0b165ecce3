//! Who this component is.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `k8s_logs`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "k8s_logs",
    aliases: &[],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Logs of pods through the API server, where the node's files are out of reach",
};

/// What only this receiver can count.
pub(crate) struct Metrics {
    reopened: Counter<u64>,
    refused: Counter<u64>,
    repeated: Counter<u64>,
    receiver: KeyValue,
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let counter = |name: &'static str, description: &'static str| {
            cx.meter()
                .u64_counter(name)
                .with_description(description)
                .build()
        };
        Self {
            reopened: counter(
                "corten_k8s_logs_reopened_streams",
                "Number of times that a log was opened again, by reason",
            ),
            refused: counter(
                "corten_k8s_logs_refused_pods",
                "Number of pods whose logs the API server refuses to this service account",
            ),
            repeated: counter(
                "corten_k8s_logs_repeated_lines",
                "Number of lines that came again after a log was opened again, and were left out",
            ),
            receiver: KeyValue::new("receiver", cx.id().to_string()),
        }
    }

    pub(crate) fn reopened(&self, reason: &'static str) {
        let reason = KeyValue::new("reason", reason);
        self.reopened.add(1, &[self.receiver.clone(), reason]);
    }

    pub(crate) fn refused(&self) {
        self.refused.add(1, std::slice::from_ref(&self.receiver));
    }

    pub(crate) fn repeated(&self, lines: u64) {
        if lines > 0 {
            self.repeated
                .add(lines, std::slice::from_ref(&self.receiver));
        }
    }
}
