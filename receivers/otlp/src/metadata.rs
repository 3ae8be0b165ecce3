//! Who this component is, what only it can count, and what it hands on about a sender.

use std::sync::Arc;

use corten_component::{ClientMetadata, Context, Kind, Metadata, Signal, Stability};
use corten_net::listen::Peer;
use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `otlp`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "otlp",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Takes OTLP over gRPC and HTTP",
};

/// What never reaches a pipeline's edge, where everything else is counted.
pub(crate) struct Metrics {
    malformed: Counter<u64>,
    shed: Counter<u64>,
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
        self.shed.add(
            1,
            &[self.receiver.clone(), KeyValue::new("transport", transport)],
        );
    }
}

/// What the pipeline hears of a sender: nothing, unless `include_metadata` is on.
///
/// The sender's port is left out: it changes with every connection, and batches whose metadata differ are kept apart.
pub(crate) fn of_sender(
    include: bool,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Arc<ClientMetadata> {
    if !include {
        return ClientMetadata::none();
    }
    let entries = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let metadata = ClientMetadata::from_entries(entries);
    Arc::new(match peer.and_then(|peer| peer.address) {
        Some(mut address) => {
            address.set_port(0);
            metadata.with_peer(address)
        }
        None => metadata,
    })
}
