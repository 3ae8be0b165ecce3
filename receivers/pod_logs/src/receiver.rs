//! The receiver's life.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_lines::{Encoder, Follower, Pauses};
use parking_lot::Mutex;

use crate::config::Config;

/// A file can wait, so there is no end of offering.
const PAUSES: Pauses = Pauses {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// Follows pods.
pub(crate) struct PodLogs {
    cx: Context,
    config: Config,
    next: Next,
    running: Mutex<Option<Follower>>,
}

impl PodLogs {
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
impl Component for PodLogs {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        if !self.config.path.is_dir() {
            // It may be mounted later, or kubelet may not have run yet.
            tracing::warn!(
                path = %self.config.path.display(),
                "there is no such directory: on a Kubernetes node mount it, elsewhere set receivers::pod_logs::path"
            );
        }
        let follower = Follower::start(
            &self.cx,
            self.config.tail(&self.cx.id().to_string()),
            self.config.storage.as_ref(),
            self.next.clone(),
            PAUSES,
            |outbox| Encoder::new(self.config.shape(), outbox).without_tag(),
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

impl Receiver for PodLogs {}
