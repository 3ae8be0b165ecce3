//! Offers batches to the pipeline until it keeps them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{Batch, Closing, Consumer, Next};
use corten_pdata::Logs;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::metadata::{Event, Metrics};

/// Between two messages to people about what is refused for good.
const TOLD: Duration = Duration::from_secs(60);

/// Where batches go.
pub(crate) struct Outlet {
    pub(crate) next: Next,
    pub(crate) metrics: Arc<Metrics>,
    /// The pauses between two offers.
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
    pub(crate) closing: Closing,
    pub(crate) stop: CancellationToken,
    pub(crate) told: Mutex<Option<Instant>>,
}

impl Outlet {
    /// Resolves when the batch is kept, or lost for good, which is counted: refused for good, or refused when the agent ends.
    pub(crate) async fn send(&self, logs: Logs) {
        let mut batch = Batch::new(logs);
        let mut pause = self.first_pause;
        loop {
            let refused = match self.next.consume(batch).await {
                Ok(()) => return,
                Err(refused) => refused,
            };
            let items = refused.rest().items();
            if !refused.is_retryable() {
                self.metrics.count(Event::Lost, items);
                self.tell(items, refused.reason().to_string());
                return;
            }
            let wait = refused.delay().unwrap_or(pause).max(pause);
            let ended = tokio::select! {
                () = tokio::time::sleep(wait) => false,
                () = self.stop.cancelled() => true,
                () = self.closing.begun() => true,
            };
            if ended {
                self.metrics.count(Event::Lost, items);
                self.tell(items, refused.reason().to_string());
                return;
            }
            pause = (pause * 2).min(self.longest_pause);
            batch = refused.into_rest();
        }
    }

    fn tell(&self, items: usize, reason: String) {
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() > TOLD) {
            *told = Some(Instant::now());
            drop(told);
            tracing::error!(
                items,
                reason,
                "messages are lost: the pipeline did not take them"
            );
        }
    }
}
