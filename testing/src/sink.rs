//! A consumer that remembers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use corten_component::{Batch, Consumer, Next, Refused, Signal, Status};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How the sink answers one batch.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Keeps it.
    Keep,
    /// Refuses it for now.
    Retry(Status, Option<Duration>),
    /// Refuses it for good.
    Never(Status),
    /// Keeps it after this long.
    After(Duration),
    /// Never answers.
    Hang,
}

/// Keeps every batch that it answered with `Ok`, in order, and answers as scripted, then with
/// `Ok`.
#[derive(Debug, Default)]
pub struct RecordingSink {
    kept: Mutex<Vec<Batch>>,
    script: Mutex<VecDeque<Answer>>,
    offered: Mutex<usize>,
    changed: Notify,
}

impl RecordingSink {
    /// A sink that keeps everything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A sink that first answers these, one a batch.
    #[must_use]
    pub fn scripted(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let sink = Self::new();
        sink.script.lock().extend(answers);
        sink
    }

    /// Adds answers to the script.
    pub fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().extend(answers);
    }

    /// A [`Next`] that sends every signal here.
    #[must_use]
    pub fn next(self: &Arc<Self>) -> Next {
        [Signal::Logs, Signal::Metrics, Signal::Traces]
            .into_iter()
            .fold(Next::new(), |next, signal| {
                next.with(signal, Arc::clone(self) as Arc<dyn Consumer>)
            })
    }

    /// What it kept so far.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.kept.lock().clone()
    }

    /// Takes what it kept so far.
    #[must_use]
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut *self.kept.lock())
    }

    /// Items of all batches kept.
    #[must_use]
    pub fn items(&self) -> usize {
        self.kept.lock().iter().map(Batch::items).sum()
    }

    /// How many batches were offered, kept or not.
    #[must_use]
    pub fn offered(&self) -> usize {
        *self.offered.lock()
    }

    /// Waits until at least `items` items were kept, for at most ten seconds.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub async fn wait_for_items(&self, items: usize) -> Vec<Batch> {
        let arrived = async {
            loop {
                let changed = self.changed.notified();
                if self.items() >= items {
                    return self.batches();
                }
                changed.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(10), arrived).await {
            Ok(batches) => batches,
            Err(_) => {
                #[expect(clippy::panic, reason = "a test's wait has failed")]
                {
                    panic!("wanted {items} items, have {}", self.items())
                }
            }
        }
    }
}

#[async_trait]
impl Consumer for RecordingSink {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        *self.offered.lock() += 1;
        let answer = self.script.lock().pop_front().unwrap_or(Answer::Keep);
        match answer {
            Answer::Keep => {}
            Answer::After(delay) => tokio::time::sleep(delay).await,
            Answer::Hang => std::future::pending().await,
            Answer::Never(status) => {
                return Err(Refused::permanent(status, batch, "scripted refusal"));
            }
            Answer::Retry(status, after) => {
                let refused = Refused::retryable(status, batch, "scripted refusal");
                return Err(match after {
                    Some(delay) => refused.after(delay),
                    None => refused,
                });
            }
        }
        self.kept.lock().push(batch);
        self.changed.notify_waiters();
        Ok(())
    }
}
