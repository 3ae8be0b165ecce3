//! What moves through a pipeline.

use std::net::SocketAddr;
use std::sync::Arc;

use corten_pdata::{Data, Signal};
use parking_lot::Mutex;

/// Telemetry of one signal on its way through a pipeline, with what is known of its sender.
///
/// Cloning is cheap (reference counts only), which is how fan-out shares a batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The telemetry itself: OTLP bytes, validated where they came in.
    pub data: Data,
    /// Whether its source can send it again after a crash of this process (a file, the API
    /// server's log, a persistent client) or not (an application's push). A memory queue answers
    /// early only for what can *not* be replayed.
    pub replayable: bool,
    /// What the sender's request said about itself.
    pub metadata: Arc<ClientMetadata>,
    /// Whether a schedule or a scrape caused this batch; [`Collection::Pushed`] for all else.
    pub collection: Collection,
}

impl Batch {
    /// A batch pushed by a sender that will not send it again.
    pub fn new(data: impl Into<Data>) -> Self {
        Self {
            data: data.into(),
            replayable: false,
            metadata: ClientMetadata::none(),
            collection: Collection::Pushed,
        }
    }

    /// The same batch from a source that reads it again after a crash.
    #[must_use]
    pub fn replayable(mut self) -> Self {
        self.replayable = true;
        self
    }

    /// The same batch with what the sender's request said about itself.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Arc<ClientMetadata>) -> Self {
        self.metadata = metadata;
        self
    }

    /// Other telemetry with this batch's provenance: what a processor that rewrites returns.
    #[must_use]
    pub fn with_data(&self, data: impl Into<Data>) -> Self {
        Self {
            data: data.into(),
            replayable: self.replayable,
            metadata: Arc::clone(&self.metadata),
            collection: self.collection.clone(),
        }
    }

    /// The signal that it carries.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.data.signal()
    }

    /// Log records, data points or spans.
    #[must_use]
    pub fn items(&self) -> usize {
        self.data.items()
    }

    /// Bytes of the OTLP encoding.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.data.bytes_len()
    }

    /// Whether `other` may be merged with this batch: same signal, same replayability, same
    /// client metadata, and neither was collected for somebody in particular.
    #[must_use]
    pub fn mergeable_with(&self, other: &Self) -> bool {
        self.signal() == other.signal()
            && self.replayable == other.replayable
            && self.collection == Collection::Pushed
            && other.collection == Collection::Pushed
            && (Arc::ptr_eq(&self.metadata, &other.metadata) || self.metadata == other.metadata)
    }
}

/// Why a batch exists. Metrics that Prometheus pulls are collected when it asks; the same receiver
/// may also feed push exporters on a schedule. One batch must reach only whom it was made for.
#[derive(Clone, Debug, Default)]
pub enum Collection {
    /// A sender pushed it: every exporter of the pipeline gets it.
    #[default]
    Pushed,
    /// The schedule of a scraping receiver: exporters that collect on demand are passed over.
    Scheduled,
    /// A scrape of one exporter: it alone gets it, and processors must not hold it back.
    Demanded(Arc<Demand>),
}

impl Collection {
    /// Whether a processor may keep the batch back to merge it with others.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        !matches!(self, Self::Demanded(_))
    }
}

impl PartialEq for Collection {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pushed, Self::Pushed) | (Self::Scheduled, Self::Scheduled) => true,
            (Self::Demanded(a), Self::Demanded(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// One scrape in progress: who asked, and what has arrived for it at the end of the pipeline.
#[derive(Debug)]
pub struct Demand {
    exporter: corten_config::types::ComponentId,
    collected: Mutex<Vec<Batch>>,
}

impl Demand {
    /// A demand of the exporter `exporter`, nothing collected yet.
    #[must_use]
    pub fn new(exporter: corten_config::types::ComponentId) -> Arc<Self> {
        Arc::new(Self {
            exporter,
            collected: Mutex::default(),
        })
    }

    /// The exporter that asked.
    #[must_use]
    pub fn exporter(&self) -> &corten_config::types::ComponentId {
        &self.exporter
    }

    /// Called by the pipeline's last edge: the batch has passed every processor.
    pub fn deliver(&self, batch: Batch) {
        self.collected.lock().push(batch);
    }

    /// Takes what has been delivered so far.
    #[must_use]
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut *self.collected.lock())
    }
}

/// What a sender's request said about itself: headers (only where the receiver's
/// `include_metadata` is on) and its address. Equality decides which batches may be merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientMetadata {
    entries: Vec<(Box<str>, Box<str>)>,
    peer: Option<SocketAddr>,
}

impl ClientMetadata {
    /// Nothing known; shared, so that comparing two of them is a pointer comparison.
    #[must_use]
    pub fn none() -> Arc<Self> {
        static NONE: std::sync::OnceLock<Arc<ClientMetadata>> = std::sync::OnceLock::new();
        Arc::clone(NONE.get_or_init(Arc::default))
    }

    /// Metadata from header names (any case) and values. A name may stand several times.
    pub fn from_entries<K: AsRef<str>, V: Into<Box<str>>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut entries: Vec<(Box<str>, Box<str>)> = entries
            .into_iter()
            .map(|(key, value)| (key.as_ref().to_ascii_lowercase().into(), value.into()))
            .collect();
        entries.sort();
        Self {
            entries,
            peer: None,
        }
    }

    /// The same with the sender's address (used by processors that look up who sent it).
    #[must_use]
    pub fn with_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Every value of the header `name` (case does not matter), in the order of their text.
    pub fn get<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// All entries, names in lower case, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The sender's address, where the receiver recorded it.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch::new(Data::empty(Signal::Logs))
    }

    #[test]
    fn batches_merge_only_with_their_like() {
        assert!(batch().mergeable_with(&batch()));
        assert!(!batch().mergeable_with(&batch().replayable()));
        assert!(!batch().mergeable_with(&Batch::new(Data::empty(Signal::Traces))));
        let tenant = Arc::new(ClientMetadata::from_entries([("X-Scope-OrgID", "a")]));
        assert!(!batch().mergeable_with(&batch().with_metadata(Arc::clone(&tenant))));
        let same = Arc::new(ClientMetadata::from_entries([("x-scope-orgid", "a")]));
        assert!(
            batch()
                .with_metadata(tenant)
                .mergeable_with(&batch().with_metadata(same))
        );
        let mut scheduled = batch();
        scheduled.collection = Collection::Scheduled;
        assert!(!scheduled.mergeable_with(&scheduled.clone()));
    }

    #[test]
    fn metadata_is_found_whatever_its_case() {
        let metadata = ClientMetadata::from_entries([("X-B", "2"), ("x-a", "1"), ("X-B", "1")]);
        assert_eq!(metadata.get("x-b").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(metadata.get("absent").count(), 0);
    }
}
