//! Whose data it is, and who hears how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corten_component::{Batch, Refused, Status};
use corten_pdata::Data;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::disk::DiskTicket;
use crate::memory::Permit;
use crate::metrics::Metrics;

/// Data that was not delivered.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) retryable: bool,
    pub(crate) status: Status,
    /// A label for metrics, of what was refused for good.
    pub(crate) reason: &'static str,
    pub(crate) after: Option<Duration>,
    pub(crate) message: Arc<str>,
    pub(crate) data: Data,
}

impl Failure {
    pub(crate) fn stopped(data: Data) -> Self {
        Self {
            retryable: true,
            status: Status::UNAVAILABLE,
            reason: "stopped",
            after: None,
            message: "shut down before it was delivered".into(),
            data,
        }
    }
}

/// What a caller hears of the failures of its batch.
pub(crate) fn refusal(batch: &Batch, failures: Vec<Failure>) -> Option<Refused> {
    let retryable = failures.iter().any(|failure| failure.retryable);
    // What was refused for good has been counted; only the rest is worth sending again.
    let mut relevant = failures
        .into_iter()
        .filter(|failure| failure.retryable == retryable);
    let first = relevant.next()?;
    let mut rest = first.data;
    for failure in relevant {
        if rest.append(failure.data).is_err() {
            tracing::debug!("a refusal of another signal's data");
        }
    }
    let rest = batch.with_data(rest);
    let message = first.message.to_string();
    Some(match (retryable, first.after) {
        (false, _) => Refused::permanent(first.status, rest, message),
        (true, None) => Refused::retryable(first.status, rest, message),
        (true, Some(delay)) => Refused::retryable(first.status, rest, message).after(delay),
    })
}

/// Who waits for the end of an accepted batch.
pub(crate) enum Origin {
    /// Nobody: these items were answered when they came into the memory queue.
    Answered(usize),
    /// The caller.
    Waiting(oneshot::Sender<Vec<Failure>>),
    /// A record of the disk queue.
    Disk(DiskTicket),
}

/// Items that were answered early: what only memory holds, and what was lost of it.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    held: AtomicU64,
    lost: AtomicU64,
}

impl Lost {
    /// Forgets what was lost before the shutdown: it was told when it was given up.
    pub(crate) fn begin_shutdown(&self) {
        self.lost.store(0, Ordering::Release);
    }

    /// What was lost, and what would be if the process ended now.
    pub(crate) fn total(&self) -> u64 {
        self.lost.load(Ordering::Acquire) + self.held.load(Ordering::Acquire)
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// Shared by the parts of one accepted batch. When the last one has ended, however it ended, the ticket
/// tells whoever waits.
pub(crate) struct Ticket {
    origin: Option<Origin>,
    failures: Mutex<Vec<Failure>>,
    metrics: Arc<Metrics>,
    lost: Arc<Lost>,
    /// Its room in the memory queue, given back with the last part.
    _permit: Option<Permit>,
}

impl Ticket {
    pub(crate) fn new(
        origin: Origin,
        permit: Option<Permit>,
        metrics: Arc<Metrics>,
        lost: Arc<Lost>,
    ) -> Arc<Self> {
        if let Origin::Answered(items) = origin {
            lost.held.fetch_add(count(items), Ordering::AcqRel);
        }
        Arc::new(Self {
            origin: Some(origin),
            failures: Mutex::default(),
            metrics,
            lost,
            _permit: permit,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let failures = std::mem::take(self.failures.get_mut());
        let undelivered = failures.iter().filter(|failure| failure.retryable);
        match self.origin.take() {
            // What could not be delivered now stays on the disk.
            Some(Origin::Disk(ticket)) if undelivered.clone().count() == 0 => ticket.done(),
            Some(Origin::Disk(ticket)) if ticket.is_kept() => {}
            // It was dropped for newer data while it was on its way.
            Some(Origin::Disk(_)) => {
                for failure in undelivered {
                    self.metrics
                        .dropped(failure.data.signal(), failure.data.items());
                }
            }
            Some(Origin::Waiting(caller)) => {
                for failure in undelivered {
                    self.metrics
                        .send_failed(failure.data.signal(), failure.data.items());
                }
                // A caller that is gone needs no answer.
                drop(caller.send(failures));
            }
            Some(Origin::Answered(items)) => {
                for failure in undelivered {
                    let items = failure.data.items();
                    self.metrics.send_failed(failure.data.signal(), items);
                    self.lost.lost.fetch_add(count(items), Ordering::AcqRel);
                }
                self.lost.held.fetch_sub(count(items), Ordering::AcqRel);
            }
            None => {}
        }
    }
}

/// Data of one accepted batch (all of it, or a piece) on its way through the queue.
pub(crate) struct Part {
    /// The data and its provenance.
    pub(crate) batch: Batch,
    ticket: Arc<Ticket>,
    settled: bool,
}

impl Part {
    pub(crate) fn new(batch: Batch, ticket: Arc<Ticket>) -> Self {
        Self {
            batch,
            ticket,
            settled: false,
        }
    }

    /// Cuts the first `count` items off, or `None` when it has no more than that.
    pub(crate) fn take_items(&mut self, count: usize) -> Option<Self> {
        if self.batch.items() <= count || count == 0 {
            return None;
        }
        let first = self.batch.data.take_items(count);
        Some(Self::new(
            self.batch.with_data(first),
            Arc::clone(&self.ticket),
        ))
    }

    /// Its number on the disk.
    pub(crate) fn sequence(&self) -> Option<u64> {
        match &self.ticket.origin {
            Some(Origin::Disk(ticket)) => Some(ticket.sequence()),
            _ => None,
        }
    }

    /// It gives way to newer data. Nothing is lost where somebody waits: who does sends it again.
    pub(crate) fn give_way(self) -> usize {
        let lost = match self.ticket.origin {
            Some(Origin::Answered(_)) => self.batch.items(),
            _ => 0,
        };
        let mut failure = Failure::stopped(self.batch.data.clone());
        failure.message = "dropped from the full sending queue for newer data".into();
        self.settle([failure]);
        lost
    }

    /// Whether it lies on the disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self.ticket.origin, Some(Origin::Disk(_)))
    }

    /// It ended; what of it was not delivered is in `failures`.
    pub(crate) fn settle(mut self, failures: impl IntoIterator<Item = Failure>) {
        self.settled = true;
        let mut known = self.ticket.failures.lock();
        known.extend(failures);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.settled {
            let failure = Failure::stopped(self.batch.data.clone());
            self.ticket.failures.lock().push(failure);
        }
    }
}
