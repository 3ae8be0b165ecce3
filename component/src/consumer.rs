//! Taking batches, and where a receiver's batches go.

use std::sync::Arc;

use async_trait::async_trait;
use corten_pdata::Signal;

use crate::{Batch, Refused, Status};

/// Takes batches. Processors, exporters and connectors are consumers, and so are the edges that
/// the pipeline puts between them.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Resolves when the batch is safe: delivered, or stored so that a crash cannot lose it (or,
    /// for data its sender cannot replay, accepted by a bounded memory queue).
    ///
    /// Dropping the future before it resolves says that the caller no longer waits; it never
    /// affects another caller's data, and what was merged into a larger batch goes on.
    ///
    /// # Errors
    ///
    /// [`Refused`] means that nothing downstream kept what its `rest` holds.
    async fn consume(&self, batch: Batch) -> Result<(), Refused>;
}

/// Where the batches of a receiver (or of a connector's downstream side) go: one consumer per
/// signal, which fans out to every pipeline that names the component.
#[derive(Clone, Default)]
pub struct Next {
    logs: Option<Arc<dyn Consumer>>,
    metrics: Option<Arc<dyn Consumer>>,
    traces: Option<Arc<dyn Consumer>>,
    pipelines: Arc<[(String, Arc<dyn Consumer>)]>,
}

impl Next {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends batches of `signal` to `consumer`.
    #[must_use]
    pub fn with(mut self, signal: Signal, consumer: Arc<dyn Consumer>) -> Self {
        *self.slot(signal) = Some(consumer);
        self
    }

    /// Names the pipelines one by one (`logs/audit`, …), for connectors that choose among them.
    #[must_use]
    pub fn with_pipelines(mut self, pipelines: Vec<(String, Arc<dyn Consumer>)>) -> Self {
        self.pipelines = pipelines.into();
        self
    }

    /// The consumer of `signal`, when a pipeline of that signal names the component.
    #[must_use]
    pub fn get(&self, signal: Signal) -> Option<&Arc<dyn Consumer>> {
        match signal {
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Traces => self.traces.as_ref(),
        }
    }

    /// Whether some pipeline takes `signal` from this component.
    #[must_use]
    pub fn accepts(&self, signal: Signal) -> bool {
        self.get(signal).is_some()
    }

    /// The pipelines downstream with their names.
    #[must_use]
    pub fn pipelines(&self) -> &[(String, Arc<dyn Consumer>)] {
        &self.pipelines
    }

    fn slot(&mut self, signal: Signal) -> &mut Option<Arc<dyn Consumer>> {
        match signal {
            Signal::Logs => &mut self.logs,
            Signal::Metrics => &mut self.metrics,
            Signal::Traces => &mut self.traces,
        }
    }
}

#[async_trait]
impl Consumer for Next {
    /// Sends the batch to the consumer of its signal; a signal that no pipeline takes is refused
    /// for good.
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let signal = batch.signal();
        match self.get(signal) {
            Some(consumer) => consumer.consume(batch).await,
            None => Err(Refused::permanent(
                Status::UNIMPLEMENTED,
                batch,
                format!("no pipeline takes {signal} from this component"),
            )),
        }
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signals = [Signal::Logs, Signal::Metrics, Signal::Traces];
        f.debug_list()
            .entries(signals.into_iter().filter(|signal| self.accepts(*signal)))
            .finish()
    }
}
