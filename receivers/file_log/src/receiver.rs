//! The receiver's life.

use std::sync::Arc;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_lines::{Encoder, Follower, Pauses};
use parking_lot::Mutex;

use crate::config::Config;

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
        let follower = Follower::start(
            &self.cx,
            self.config.tail(&self.cx.id().to_string()),
            self.config.storage.as_ref(),
            self.next.clone(),
            Pauses {
                first: retry.initial_interval.get(),
                longest: retry.max_interval.get(),
            },
            |outbox| Encoder::new(self.config.shape(), outbox),
        )?;
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
