//! The receiver's life.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_config::Problems;
use corten_lines::{Pauses, observe_operators, ship};
use corten_storage::{Checkpoint, Directory, Outcome};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, StartAt};
use crate::follow::{Follow, UNDER_WAY};
use crate::metadata::Metrics;
use crate::progress::{Position, Progress};

/// How long shutdown waits for what is under way. What is not acknowledged by then is read again.
const DRAIN: Duration = Duration::from_secs(5);

/// Follows the journal.
pub(crate) struct Journald {
    cx: Context,
    config: Config,
    next: Next,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Read no more.
    stop: CancellationToken,
    /// Wait for no answer any more.
    end: CancellationToken,
    /// All is saved.
    done: CancellationToken,
}

impl Journald {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        if let Some(storage) = &config.storage {
            cx.storage(storage)?;
        }
        Ok(Self {
            cx,
            config,
            next,
            running: Mutex::new(None),
        })
    }

    /// Where to begin, and where that is remembered.
    fn recall(&self) -> Result<(Position, Option<Position>, Option<Checkpoint>), BoxError> {
        let fresh = || Position {
            cursor: String::new(),
            micros: match self.config.start_at {
                StartAt::Beginning => 0,
                StartAt::End => now(),
            },
        };
        let Some(storage) = &self.config.storage else {
            return Ok((fresh(), None, None));
        };
        let (kind, id) = (self.cx.kind(), self.cx.id());
        let path = self.cx.storage(storage)?.directory(kind, id, "cursor")?;
        let directory = Directory::open(path, &format!("receivers::{id}"))?;
        let (checkpoint, loaded) = Checkpoint::open(directory, "cursor");
        let known = match loaded.outcome {
            Outcome::Fresh => None,
            Outcome::Current | Outcome::Previous { .. } => Position::from_bytes(&loaded.bytes),
            Outcome::Lost { reason } => {
                tracing::error!(
                    reason,
                    "the journal's cursor is lost: the journal is read again"
                );
                Some(Position::default())
            }
        };
        Ok(match known {
            Some(position) => (position, None, Some(checkpoint)),
            None => {
                // What comes until the first entry is delivered belongs to us, whatever happens before.
                let position = fresh();
                (position.clone(), Some(position), Some(checkpoint))
            }
        })
    }
}

#[async_trait]
impl Component for Journald {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let (position, unsaved, checkpoint) = self.recall()?;
        let metrics = Arc::new(Metrics::new(&self.cx));
        let chain = if self.config.operators.is_empty() {
            None
        } else {
            let mut problems = Problems::new();
            let chain = self.config.operators.build(&mut problems);
            let chain = chain.ok_or_else(|| problems.to_string())?;
            observe_operators(&self.cx, chain.stats());
            Some(chain)
        };
        let progress = Progress::new(unsaved);
        let [stop, end, done] = std::array::from_fn(|_| CancellationToken::new());
        let (outbox, inbox) = mpsc::channel(UNDER_WAY);
        let follow = Follow {
            config: self.config.clone(),
            health: self.cx.health().clone(),
            metrics: Arc::clone(&metrics),
            progress: Arc::clone(&progress),
            outbox,
            stop: stop.clone(),
            position,
            pause: Follow::PAUSE,
        };
        let retry = &self.config.retry_on_failure;
        let pauses = Pauses {
            first: retry.initial_interval.get(),
            longest: retry.max_interval.get(),
        };
        let shipping = ship(
            self.cx.clone(),
            self.next.clone(),
            inbox,
            pauses,
            end.clone(),
        );
        let answered = CancellationToken::new();
        let saving = progress.save(checkpoint, metrics, answered.clone());
        let finished = done.clone();
        let tasks = self.cx.tasks();
        tasks.spawn("journalctl", follow.run(chain));
        tasks.spawn("shipper", async move {
            // Also when it is dropped.
            let _answered = answered.drop_guard();
            shipping.await;
        });
        tasks.spawn("cursor", async move {
            let _finished = finished.drop_guard();
            saving.await;
        });
        *self.running.lock() = Some(Running { stop, end, done });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        let running = self.running.lock().take();
        if let Some(Running { stop, end, done }) = running {
            // Ended in any case, also when the deadline drops this call.
            let end = end.drop_guard();
            stop.cancel();
            if timeout(DRAIN, done.cancelled()).await.is_err() {
                drop(end);
                done.cancelled().await;
            }
        }
        Ok(())
    }
}

impl Receiver for Journald {}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
