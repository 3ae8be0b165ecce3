//! Who this component is.

use corten_component::{ComponentId, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter, UpDownCounter};

/// `receiver_creator`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "receiver_creator",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Starts and stops receivers for pods, containers, ports and nodes as they come and go",
};

/// What only the creator knows, by the type of the receivers that it creates.
pub(crate) struct Instruments {
    receivers: UpDownCounter<i64>,
    failures: Counter<u64>,
    creator: String,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter, creator: &ComponentId) -> Self {
        Self {
            receivers: meter
                .i64_up_down_counter("corten_receiver_creator_receivers")
                .with_description("Number of receivers that run for endpoints, by type")
                .build(),
            failures: meter
                .u64_counter("corten_receiver_creator_failures")
                .with_description(
                    "Number of receivers that an endpoint should have got and did not, by type",
                )
                .build(),
            creator: creator.to_string(),
        }
    }

    fn attributes(&self, created: &str) -> [KeyValue; 2] {
        [
            KeyValue::new("receiver", self.creator.clone()),
            KeyValue::new("type", created.to_owned()),
        ]
    }

    /// A receiver of the type `created` runs.
    pub(crate) fn started(&self, created: &str) {
        self.receivers.add(1, &self.attributes(created));
    }

    /// It runs no longer.
    pub(crate) fn stopped(&self, created: &str) {
        self.receivers.add(-1, &self.attributes(created));
    }

    /// One could not be created.
    pub(crate) fn failed(&self, created: &str) {
        self.failures.add(1, &self.attributes(created));
    }
}
