//! The last telemetry that passed, for a person who wants to see some.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

use crate::Batch;

/// A bounded ring of recent batches. The pipeline offers what leaves it; at most ten
/// batches a second are kept, and never more bytes than the bound, so that a busy agent pays
/// nothing for it.
#[derive(Debug)]
pub struct Recent {
    max_bytes: usize,
    started: Instant,
    next_at_ms: AtomicU64,
    ring: Mutex<Ring>,
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

/// Milliseconds that the ring takes no further batch after it took one.
const PAUSE_MS: u64 = 100;

impl Recent {
    /// A ring of at most `max_bytes` of OTLP.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            started: Instant::now(),
            next_at_ms: AtomicU64::new(0),
            ring: Mutex::default(),
        }
    }

    /// Keeps a reference to the batch if the ring has not just taken another one.
    pub fn offer(&self, pipeline: &Arc<str>, batch: &Batch) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.next_at_ms.load(Ordering::Relaxed);
        let size = batch.bytes_len();
        if now < due || size > self.max_bytes || size == 0 {
            return;
        }
        self.next_at_ms.store(now + PAUSE_MS, Ordering::Relaxed);
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
