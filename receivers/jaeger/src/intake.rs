//! What the protocols that answer have in common.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, ClientMetadata, Consumer, Context, GrpcCode, Next, Refused};
use corten_net::admission::{Admission, Reservation};
use corten_net::listen::Peer;
use corten_pdata::Traces;
use http::HeaderMap;

use crate::config::Config;
use crate::metadata::Metrics;

/// How long a sender should wait when nobody downstream said how long.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where requests become batches.
pub(crate) struct Intake {
    next: Next,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Metrics,
}

impl Intake {
    pub(crate) fn new(cx: &Context, config: &Config, next: Next) -> Self {
        Self {
            next,
            admission: Admission::new(config.max_in_flight_size.as_usize()),
            metrics: Metrics::new(cx),
        }
    }

    /// Room for one more request, to grow as it is read. `None` when there is none: nothing is read then.
    pub(crate) fn room(&self) -> Option<Reservation> {
        // One byte: with the room used up, not even a request without a declared length may come in.
        self.admission.reserve(1)
    }

    /// Hands spans on. What has none in it is kept at once.
    pub(crate) async fn take(
        &self,
        traces: Traces,
        metadata: Arc<ClientMetadata>,
    ) -> Result<(), Refused> {
        if traces.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(traces).with_metadata(metadata);
        self.next.consume(batch).await
    }

    /// Hands on a batch again.
    pub(crate) async fn offer(&self, batch: Batch) -> Result<(), Refused> {
        self.next.consume(batch).await
    }
}

/// How long the sender should wait before it tries again. A sender drops what it hears `RESOURCE_EXHAUSTED` about
/// unless it is also told a time, so that always has one; for the rest its own back-off is better than a guess.
pub(crate) fn delay(refused: &Refused) -> Option<Duration> {
    if !refused.is_retryable() {
        return None;
    }
    let exhausted = refused.grpc_code() == GrpcCode::ResourceExhausted;
    refused.delay().or(exhausted.then_some(RETRY_AFTER))
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
