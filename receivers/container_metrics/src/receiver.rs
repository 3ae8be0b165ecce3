//! The receiver: a source that is read when somebody asks.

use std::sync::Arc;

use corten_component::{
    BoxError, CollectRequest, Component, Context, Next, Receiver, Schedule, Source, Tasks,
    async_trait,
};
use corten_pdata::Data;
use corten_runtimes::Directory;
use parking_lot::Mutex;

use crate::config::Config;
use crate::scraper::Scraper;
use crate::short_lived::{self, ShortLived};

pub(crate) struct ContainerMetrics {
    source: Arc<Containers>,
    directory: Arc<Directory>,
    short_lived: Arc<ShortLived>,
    config: Config,
}

struct Containers {
    schedule: Schedule,
    scraper: Arc<Mutex<Scraper>>,
    tasks: Tasks,
}

impl ContainerMetrics {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        let directory = Arc::new(Directory::new(&cx, &config.runtime, &config.path.rootfs)?);
        let short_lived = Arc::<ShortLived>::default();
        let scraper = Scraper::new(&config, Arc::clone(&directory), Arc::clone(&short_lived));
        Ok(Self {
            source: Arc::new(Containers {
                schedule: config.schedule(),
                scraper: Arc::new(Mutex::new(scraper)),
                tasks: cx.tasks().clone(),
            }),
            directory,
            short_lived,
            config,
        })
    }
}

#[async_trait]
impl Component for ContainerMetrics {
    /// Begins to ask for names and to watch the groups; neither is waited for.
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let tasks = &self.source.tasks;
        Arc::clone(&self.directory).start(tasks);
        let (roots, wanted) = (self.config.roots(), self.config.enabled().wanted());
        let (into, stop) = (Arc::clone(&self.short_lived), tasks.clone());
        tasks.spawn_blocking(move || short_lived::watch(&roots, wanted, &stop, &into));
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.source.tasks.stop();
        Ok(())
    }
}

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
