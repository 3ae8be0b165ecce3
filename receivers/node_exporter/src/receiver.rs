//! The receiver: a source that is read when somebody asks.

use std::sync::Arc;

use corten_component::{
    BoxError, CollectRequest, Component, Context, Next, Receiver, Schedule, Source, Tasks,
    async_trait,
};
use corten_pdata::Data;
use parking_lot::Mutex;

use crate::collector::Scraper;
use crate::config::Config;

pub(crate) struct NodeExporter {
    source: Arc<Host>,
}

struct Host {
    schedule: Schedule,
    scraper: Arc<Mutex<Scraper>>,
    tasks: Tasks,
}

impl NodeExporter {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        Ok(Self {
            source: Arc::new(Host {
                schedule: config.schedule(),
                scraper: Arc::new(Mutex::new(Scraper::new(&config))),
                tasks: cx.tasks().clone(),
            }),
        })
    }
}

impl Component for NodeExporter {}

impl Receiver for NodeExporter {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.source) as Arc<dyn Source>)
    }
}

#[async_trait]
impl Source for Host {
    fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Reads on a thread where blocking is allowed: a mount may take seconds to answer.
    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError> {
        let scraper = Arc::clone(&self.scraper);
        let request = request.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        self.tasks.spawn_blocking(move || {
            // Nobody waits any more when the deadline has passed.
            let mut scraper = scraper.lock();
            let result = match scraper.refuse(&request) {
                Some(reason) => Err(reason),
                None => Ok(scraper.scrape(&request)),
            };
            drop(send.send(result));
        });
        let metrics = receive
            .await
            .map_err(|_| "the collection was given up: the agent is shutting down")??;
        Ok(metrics.into())
    }
}
