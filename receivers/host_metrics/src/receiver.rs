//! The receiver: a source that is read when somebody asks.

use std::sync::Arc;

use corten_component::{
    BoxError, CollectRequest, Component, Context, Next, Receiver, Schedule, Source, Tasks,
    async_trait,
};
use corten_pdata::Data;
use parking_lot::Mutex;

use crate::config::Config;
use crate::scraper::Host;

pub(crate) struct HostMetrics {
    source: Arc<HostSource>,
}

struct HostSource {
    schedule: Schedule,
    host: Arc<Mutex<Host>>,
    tasks: Tasks,
}

impl HostMetrics {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        Ok(Self {
            source: Arc::new(HostSource {
                schedule: config.schedule(),
                host: Arc::new(Mutex::new(Host::new(&config))),
                tasks: cx.tasks().clone(),
            }),
        })
    }
}

impl Component for HostMetrics {}

impl Receiver for HostMetrics {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.source) as Arc<dyn Source>)
    }
}

#[async_trait]
impl Source for HostSource {
    fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Reads on a thread where blocking is allowed: a mount may take seconds to answer.
    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError> {
        let host = Arc::clone(&self.host);
        let request = request.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        self.tasks.spawn_blocking(move || {
            // Nobody waits any more when the deadline has passed.
            drop(send.send(host.lock().collect(&request)));
        });
        let metrics = receive
            .await
            .map_err(|_| "the collection was given up: the agent is shutting down")?;
        Ok(metrics.into())
    }
}
