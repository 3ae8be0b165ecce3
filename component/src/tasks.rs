//! Tasks that shutdown knows about.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The task set of one component. Nothing outlives shutdown unseen: whoever spawns does it here.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` until it ends. It should watch [`stopping`](Self::stopping) and end soon
    /// after; at the deadline of the shutdown it is dropped.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // What the future holds is dropped with it: nobody sees it half done. Combinators and not a block, which
        // would keep room for the future twice.
        let watched = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
            if ended.is_err() {
                tracing::error!(
                    task = name,
                    "a task panicked: this is a bug in Corten, please report it"
                );
            }
        });
        self.tracker.spawn(watched);
    }

    /// Runs blocking work on tokio's blocking threads. It must end by itself once
    /// [`is_stopping`](Self::is_stopping).
    pub fn spawn_blocking<F>(&self, work: F)
    where
        F: FnOnce() + Send + 'static,
    {
        self.tracker.spawn_blocking(work);
    }

    /// Resolves when the component should stop.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the component should stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to stop, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// Tells every task to stop and waits at most `grace` for them. `true` when all ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop();
        tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
    }

    /// How many tasks are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// Set when the shutdown of a whole run begins, before any component is asked to stop.
///
/// An exporter that only waits to try again gives up waiting then: what can be replayed goes back
/// as refused, so that nobody upstream waits for it in vain. Attempts that are under way go on, and
/// what comes in is still sent, once.
#[derive(Clone, Debug, Default)]
pub struct Closing(CancellationToken);

impl Closing {
    /// Not yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The shutdown begins.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when it begins.
    pub fn begun(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_tasks_that_stop() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicBool::new(false));
        let (stopping, flag) = (tasks.stopping(), Arc::clone(&ended));
        tasks.spawn("test", async move {
            stopping.await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            flag.store(true, Ordering::Relaxed);
        });
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
        assert!(ended.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_gives_up_at_its_deadline() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        assert!(!tasks.shutdown(Duration::from_secs(5)).await);
    }
}
