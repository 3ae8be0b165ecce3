//! The extension's life.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Extension, Leadership, async_trait};
use corten_kubernetes::{ApiClient, Elector, Surroundings};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::Config;

/// How long giving the lease up may take at the end; it ends by itself otherwise.
const RELEASE: Duration = Duration::from_secs(2);

/// Takes part in the election while it runs.
pub(crate) struct LeaderElector {
    cx: Context,
    config: Config,
    leading: watch::Receiver<bool>,
    /// Taken by the task.
    sender: Mutex<Option<watch::Sender<bool>>>,
}

impl LeaderElector {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let (sender, leading) = watch::channel(false);
        Ok(Self {
            cx,
            config,
            leading,
            sender: Mutex::new(Some(sender)),
        })
    }

    fn identity(&self) -> String {
        if !self.config.identity.is_empty() {
            return self.config.identity.clone();
        }
        let host = rustix::system::uname();
        // Every `RandomState` has keys of its own.
        let chance = RandomState::new().hash_one(std::process::id());
        format!("{}_{chance:016x}", host.nodename().to_string_lossy())
    }
}

#[async_trait]
impl Component for LeaderElector {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let Some(sender) = self.sender.lock().take() else {
            return Ok(());
        };
        let client = Arc::new(ApiClient::new(self.config.api(), Surroundings::of_pod()));
        let mut elector = Elector::new(client, self.config.lease(self.identity()));
        let stopping = self.cx.tasks().stopping();
        self.cx.tasks().spawn("elector", async move {
            tokio::select! {
                () = elector.run(&sender) => {}
                () = stopping => {}
            }
            // Whoever works because of the lease hears of the end before the next one can begin.
            sender.send_replace(false);
            match tokio::time::timeout(RELEASE, elector.release()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease is not given up; it ends by itself")
                }
                Err(_) => tracing::warn!("the lease is not given up in time; it ends by itself"),
            }
        });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.cx
            .tasks()
            .shutdown(RELEASE + Duration::from_secs(1))
            .await;
        Ok(())
    }
}

impl Extension for LeaderElector {
    fn leadership(&self) -> Option<&dyn Leadership> {
        Some(self)
    }
}

impl Leadership for LeaderElector {
    fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }
}
