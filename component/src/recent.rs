//! The last telemetry that passed, for a person who wants to see some.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

use crate::Batch;

/// A bounded ring of recent batches. Every pipeline offers what leaves it through a [`Tap`] of its
/// own; at most ten batches a second of each are kept, and never more bytes than the bound, so that
/// a busy agent pays nothing for it and a busy pipeline does not hide a quiet one.
#[derive(Debug)]
pub struct Recent {
    max_bytes: usize,
    ring: Mutex<Ring>,
}

/// Where one pipeline offers its batches.
#[derive(Debug)]
pub struct Tap {
    ring: Arc<Recent>,
    pipeline: Arc<str>,
    started: Instant,
    /// Milliseconds after `started` from which the next batch is taken.
    due: AtomicU64,
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<RecentBatch>,
    bytes: usize,
}

/// One batch of the ring.
#[derive(Clone, Debug)]
pub struct RecentBatch {
    /// When it passed.
    pub at: SystemTime,
    /// The pipeline that it passed (`logs`, `traces/backend`).
    pub pipeline: Arc<str>,
    /// The telemetry.
    pub batch: Batch,
}

/// Milliseconds that a tap takes no further batch after it took one.
const PAUSE_MS: u64 = 100;

impl Recent {
    /// A ring of at most `max_bytes` of OTLP.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            ring: Mutex::default(),
        }
    }

    /// Where the pipeline `name` offers its batches.
    #[must_use]
    pub fn tap(self: &Arc<Self>, name: Arc<str>) -> Tap {
        Tap {
            ring: Arc::clone(self),
            pipeline: name,
            started: Instant::now(),
            due: AtomicU64::new(0),
        }
    }

    fn keep(&self, pipeline: &Arc<str>, batch: &Batch, size: usize) {
        let mut ring = self.ring.lock();
        ring.bytes += size;
        ring.batches.push_back(RecentBatch {
            at: SystemTime::now(),
            pipeline: Arc::clone(pipeline),
            batch: batch.clone(),
        });
        while ring.bytes > self.max_bytes {
            let Some(oldest) = ring.batches.pop_front() else {
                break;
            };
            ring.bytes = ring.bytes.saturating_sub(oldest.batch.bytes_len());
        }
    }

    /// What the ring holds, oldest first.
    #[must_use]
    pub fn batches(&self) -> Vec<RecentBatch> {
        self.ring.lock().batches.iter().cloned().collect()
    }
}

impl Tap {
    /// Keeps a reference to the batch if this tap has not just taken another one.
    pub fn offer(&self, batch: &Batch) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let size = batch.bytes_len();
        if now < self.due.load(Ordering::Relaxed) || size > self.ring.max_bytes || size == 0 {
            return;
        }
        self.due.store(now + PAUSE_MS, Ordering::Relaxed);
        self.ring.keep(&self.pipeline, batch, size);
    }
}

#[cfg(test)]
mod tests {
    use corten_pdata::build::LogsBuilder;

    use super::*;

    fn batch() -> Batch {
        let mut logs = LogsBuilder::new();
        logs.resource(|_| {});
        logs.scope("", "");
        logs.record(|record| {
            record.body_str("x");
        });
        Batch::new(logs.finish())
    }

    #[test]
    fn a_busy_pipeline_does_not_hide_a_quiet_one() {
        let recent = Arc::new(Recent::new(1 << 20));
        let (busy, quiet) = (recent.tap("logs".into()), recent.tap("traces".into()));
        for _ in 0..100 {
            busy.offer(&batch());
        }
        quiet.offer(&batch());
        let of = |name: &str| {
            let batches = recent.batches();
            batches.iter().filter(|one| &*one.pipeline == name).count()
        };
        assert!(of("logs") < 10, "sampled");
        assert_eq!(of("traces"), 1);
    }

    #[test]
    fn the_bound_holds() {
        let size = batch().bytes_len();
        let recent = Arc::new(Recent::new(3 * size));
        for _ in 0..10 {
            recent.tap("logs".into()).offer(&batch());
        }
        assert_eq!(recent.batches().len(), 3);
    }
}
