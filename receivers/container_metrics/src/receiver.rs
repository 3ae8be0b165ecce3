//! The receiver: a source that is read when somebody asks.

use std::sync::Arc;

use corten_component::{
    BoxError, CollectRequest, Component, Context, Next, Receiver, Schedule, Source, Tasks,
    async_trait,
};
use corten_pdata::Data;
use parking_lot::Mutex;

use crate::config::Config;
use crate::scraper::Scraper;

pub(crate) struct ContainerMetrics {
    source: Arc<Containers>,
}

struct Containers {
    schedule: Schedule,
    scraper: Arc<Mutex<Scraper>>,
    tasks: Tasks,
}

impl ContainerMetrics {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        Ok(Self {
            source: Arc::new(Containers {
                schedule: config.schedule(),
                scraper: Arc::new(Mutex::new(Scraper::new(&config))),
                tasks: cx.tasks().clone(),
            }),
        })
    }
}

impl Component for ContainerMetrics {}

impl Receiver for ContainerMetrics {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.source) as Arc<dyn Source>)
    }
}

#[async_trait]
impl Source for Containers {
    fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Reads on a thread where blocking is allowed: a node has hundreds of groups.
    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError> {
        let scraper = Arc::clone(&self.scraper);
        let request = request.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        self.tasks.spawn_blocking(move || {
            // Nobody waits any more when the deadline has passed.
            drop(send.send(scraper.lock().scrape(&request)));
        });
        let metrics = receive
            .await
            .map_err(|_| "the collection was given up: the agent is shutting down")?;
        Ok(metrics.into())
    }
}
