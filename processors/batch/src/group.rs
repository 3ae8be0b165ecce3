//! What waits together, and whom to tell what became of it.

use std::sync::Arc;

use corten_component::{Batch, ClientMetadata, Consumer, Refused};
use corten_pdata::Data;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What keeps batches apart. Two callers' data is merged only when their keys are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    replayable: bool,
    metadata: Vec<(String, String)>,
}

impl Key {
    /// The key of a batch: all of its metadata, or only the named headers where some are named.
    pub(crate) fn of(batch: &Batch, named: &[String]) -> Self {
        let metadata = batch.metadata.entries().filter(|(name, _)| {
            named.is_empty() || named.iter().any(|key| key.eq_ignore_ascii_case(name))
        });
        Self {
            replayable: batch.replayable,
            metadata: metadata
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// Told what became of one part; an error carries that part back.
pub(crate) type Answer = oneshot::Receiver<Result<(), Refused>>;

/// One caller's data, or a piece of it where the size limit cut it.
struct Part {
    data: Data,
    tell: oneshot::Sender<Result<(), Refused>>,
}

impl Part {
    /// A caller that stopped waiting needs no answer.
    fn answer(self, outcome: Result<(), Refused>) {
        drop(self.tell.send(outcome));
    }
}

/// Parts that will go on as one batch.
pub(crate) struct Group {
    key: Key,
    /// The first caller's, less what the others do not share.
    metadata: Arc<ClientMetadata>,
    parts: Vec<Part>,
    items: usize,
    /// When the last part came.
    last: Instant,
}

impl Group {
    /// An empty group for batches like this one.
    pub(crate) fn new(key: Key, batch: &Batch) -> Self {
        Self {
            key,
            metadata: Arc::clone(&batch.metadata),
            parts: Vec::new(),
            items: 0,
            last: Instant::now(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// When the last part came.
    pub(crate) fn last(&self) -> Instant {
        self.last
    }

    /// Items waiting.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Callers waiting.
    pub(crate) fn callers(&self) -> usize {
        self.parts.len()
    }

    /// Adds one caller's data.
    pub(crate) fn add(&mut self, data: Data, metadata: &Arc<ClientMetadata>) -> Answer {
        if !Arc::ptr_eq(&self.metadata, metadata) && *self.metadata != **metadata {
            // Same key, other details (the peer's address): only what is common stays true.
            self.metadata = Arc::new(ClientMetadata::from_entries(
                self.key
                    .metadata
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            ));
        }
        self.last = Instant::now();
        let (tell, answer) = oneshot::channel();
        self.items += data.items();
        self.parts.push(Part { data, tell });
        answer
    }

    /// The parts as one batch.
    pub(crate) fn merged(&self) -> Option<Batch> {
        let mut parts = self.parts.iter();
        let mut data = parts.next()?.data.clone();
        for part in parts {
            data.append(part.data.clone()).ok()?;
        }
        Some(self.batch(data))
    }

    /// Tells every caller what became of its part. A merged batch that was refused for good may
    /// have been refused for the sake of one part: then each is sent on its own.
    pub(crate) async fn settle(self, outcome: Result<(), Refused>, next: &Arc<dyn Consumer>) {
        let alone = self.parts.len() == 1;
        let batch = |data: Data| Batch {
            data,
            replayable: self.key.replayable,
            metadata: Arc::clone(&self.metadata),
            collection: corten_component::Collection::Pushed,
        };
        match outcome {
            Ok(()) => self.parts.into_iter().for_each(|part| part.answer(Ok(()))),
            Err(refused) if refused.is_retryable() || alone => {
                for part in self.parts {
                    let own = refused.for_batch(batch(part.data.clone()));
                    part.answer(Err(own));
                }
            }
            Err(_) => {
                for part in self.parts {
                    let outcome = next.consume(batch(part.data.clone())).await;
                    part.answer(outcome);
                }
            }
        }
    }

    fn batch(&self, data: Data) -> Batch {
        Batch {
            data,
            replayable: self.key.replayable,
            metadata: Arc::clone(&self.metadata),
            collection: corten_component::Collection::Pushed,
        }
    }
}
