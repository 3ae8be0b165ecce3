//! The five kinds of component and what each can do.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    BoxError, ClientAuth, Consumer, Feed, Leadership, Observer, ServerAuth, Source, Storage,
};

pub use corten_config::model::Kind;

/// The life of every component.
///
/// `start` is called once, after everything downstream has started; `shutdown` once or more, after
/// everything upstream has shut down, also when `start` failed or was never called.
#[async_trait]
pub trait Component: Send + Sync + 'static {
    /// Begins to work: binds, opens, connects, spawns (through [`Context::tasks`]). Returns when
    /// the component is ready for its first batch; work that may take long or forever (a backend
    /// that is away) belongs in a task.
    ///
    /// # Errors
    ///
    /// An error stops the start of the whole process and is shown to the user as it is: say what
    /// was wanted, where, and how to mend it.
    ///
    /// [`Context::tasks`]: crate::Context::tasks
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Stops intake, then flushes what is held, then returns. The pipeline gives up waiting at a
    /// deadline and counts what memory still held as lost.
    ///
    /// # Errors
    ///
    /// What could not be flushed or closed; everything else is shut down all the same.
    async fn shutdown(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Brings telemetry in. One instance serves every pipeline and signal that it is named in; its
/// [`Next`](crate::Next) came with `create`.
pub trait Receiver: Component {
    /// Set when this receiver scrapes: it has no timer of its own, the pipeline collects from it
    /// on a schedule or on demand.
    fn source(&self) -> Option<Arc<dyn Source>> {
        None
    }
}

/// Works on what passes; one instance per pipeline, so it holds its own `next`.
pub trait Processor: Component + Consumer {}

/// Sends telemetry out. One instance takes every signal of every pipeline that names it.
pub trait Exporter: Component + Consumer {
    /// Whether it serves telemetry when somebody asks (a Prometheus endpoint) instead of sending
    /// it. Such an exporter gets [`Feed`]s and no scheduled collections.
    fn collects_on_demand(&self) -> bool {
        false
    }

    /// Whether it counts sent and failed items itself, because a queue stands between taking a
    /// batch over and delivering it. For all others the pipeline's edge counts.
    fn counts_deliveries(&self) -> bool {
        false
    }

    /// Called once before `start` with the scraping receivers that lead here, each through its
    /// pipeline's processors.
    fn attach(&self, feeds: Vec<Arc<dyn Feed>>) {
        drop(feeds);
    }
}

/// Ends pipelines as a [`Consumer`] and begins others through the [`Next`](crate::Next) that came
/// with `create`.
pub trait Connector: Component + Consumer {}

/// Serves other components or the operator.
pub trait Extension: Component {
    /// Set when components can keep state in it.
    fn storage(&self) -> Option<&dyn Storage> {
        None
    }

    /// Set when it can sign outgoing requests.
    fn client_auth(&self) -> Option<&dyn ClientAuth> {
        None
    }

    /// Set when it can check incoming requests.
    fn server_auth(&self) -> Option<&dyn ServerAuth> {
        None
    }

    /// Set when it can say whether this process leads.
    fn leadership(&self) -> Option<&dyn Leadership> {
        None
    }

    /// Set when it finds endpoints.
    fn observer(&self) -> Option<&dyn Observer> {
        None
    }
}
