//! The receiver's life.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, Signal, Tasks, async_trait};

use crate::config::Config;
use crate::worker::Worker;

/// How long the workers may take to end: what is under way, then leaving the group.
const GRACE: Duration = Duration::from_secs(12);

/// The receiver: a worker for each signal that a pipeline takes.
pub(crate) struct Kafka {
    workers: Vec<Arc<Worker>>,
    tasks: Tasks,
}

impl Kafka {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let taken: Vec<Signal> = Signal::ALL
            .into_iter()
            .filter(|signal| next.accepts(*signal))
            .collect();
        let mut topics = HashSet::new();
        for signal in &taken {
            for topic in config.own.topics(*signal) {
                if !topics.insert(topic) {
                    return Err(format!(
                        "topic '{topic}' has two signals: give each its own 'topics', or use one receiver a signal"
                    )
                    .into());
                }
            }
        }
        let mut workers = Vec::new();
        for signal in &taken {
            if let Some(next) = next.get(*signal) {
                let alone = taken.len() == 1;
                let worker = Worker::new(&cx, &config, *signal, alone, Arc::clone(next))?;
                workers.push(Arc::new(worker));
            }
        }
        Ok(Self {
            workers,
            tasks: cx.tasks().clone(),
        })
    }
}

#[async_trait]
impl Component for Kafka {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let mut clients = Vec::new();
        for worker in &self.workers {
            clients.push((Arc::clone(worker), worker.connect()?));
        }
        for (worker, client) in clients {
            self.tasks.spawn("kafka", worker.run(client));
        }
        Ok(())
    }

    /// Takes nothing new, waits a few seconds for what is under way, commits and leaves the group.
    async fn shutdown(&self) -> Result<(), BoxError> {
        if !self.tasks.shutdown(GRACE).await {
            tracing::warn!("a Kafka consumer did not leave its group in time");
        }
        Ok(())
    }
}

impl Receiver for Kafka {}
