//! A receiver that is nothing but a source, and reads with calls that block.

use std::sync::Arc;

use async_trait::async_trait;
use corten_pdata::Data;
use parking_lot::Mutex;

use crate::{BoxError, CollectRequest, Component, Context, Receiver, Schedule, Source, Tasks};

/// Reads what is observed, on a thread where blocking is allowed.
pub trait Reader: Send + 'static {
    /// See [`Source::collect`].
    ///
    /// # Errors
    ///
    /// Nothing at all could be read.
    fn read(&mut self, request: &CollectRequest) -> Result<Data, BoxError>;
}

/// A receiver around a [`Reader`]: one reading at a time, and nothing between two of them.
pub struct BlockingSource<R>(Arc<Inner<R>>);

struct Inner<R> {
    schedule: Schedule,
    reader: Arc<Mutex<R>>,
    tasks: Tasks,
}

impl<R: Reader> BlockingSource<R> {
    /// Reads with `reader`.
    #[must_use]
    pub fn new(cx: &Context, schedule: Schedule, reader: R) -> Self {
        Self(Arc::new(Inner {
            schedule,
            reader: Arc::new(Mutex::new(reader)),
            tasks: cx.tasks().clone(),
        }))
    }
}

impl<R: Reader> Component for BlockingSource<R> {}

impl<R: Reader> Receiver for BlockingSource<R> {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.0) as Arc<dyn Source>)
    }
}

#[async_trait]
impl<R: Reader> Source for Inner<R> {
    fn schedule(&self) -> Schedule {
        self.schedule
    }

    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError> {
        let reader = Arc::clone(&self.reader);
        let request = request.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        self.tasks.spawn_blocking(move || {
            // Nobody waits any more when the deadline has passed.
            drop(send.send(reader.lock().read(&request)));
        });
        receive
            .await
            .map_err(|_| "the collection was given up: the agent is shutting down")?
    }
}
