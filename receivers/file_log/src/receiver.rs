//! The receiver's life.

use std::sync::Arc;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_lines::{Encoder, Follower, Operated, Pauses, observe_operators};
use parking_lot::Mutex;

use crate::config::{Config, SlowPath};

/// Follows files.
pub(crate) struct FileLog {
    cx: Context,
    config: Config,
    next: Next,
    running: Mutex<Option<Follower>>,
}

impl FileLog {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        if let Some(storage) = &config.storage {
            cx.storage(storage)?;
        }
        Ok(Self {
            cx,
            config,
            next,
            running: Mutex::new(None),
        })
    }
}

#[async_trait]
impl Component for FileLog {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let retry = &self.config.retry_on_failure;
        let (cx, config, next) = (&self.cx, &self.config, self.next.clone());
        let (tail, storage) = (config.tail(&cx.id().to_string()), config.storage.as_ref());
        let pauses = Pauses {
            first: retry.initial_interval.get(),
            longest: retry.max_interval.get(),
        };
        let shape = config.shape();
        let follower = match config.slow_path() {
            None => Follower::start(cx, tail, storage, next, pauses, |outbox| {
                Encoder::new(shape, outbox)
            })?,
            Some(SlowPath {
                chain,
                marks,
                header,
            }) => {
                observe_operators(cx, chain.stats());
                Follower::start(cx, tail, storage, next, pauses, |outbox| {
                    Operated::new(shape, marks, chain, outbox).with_header(header)
                })?
            }
        };
        *self.running.lock() = Some(follower);
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        let running = self.running.lock().take();
        match running {
            Some(follower) => follower.stop().await,
            None => Ok(()),
        }
    }
}

impl Receiver for FileLog {}
