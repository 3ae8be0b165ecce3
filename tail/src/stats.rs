//! What the engine counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters and gauges of one engine, readable at any time.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Records given to the sink.
    pub records: AtomicU64,
    /// Bytes read from files and taken (not those that were read again).
    pub bytes: AtomicU64,
    /// Files that became shorter than what was read, or changed under it (copytruncate).
    pub truncated: AtomicU64,
    /// Rotations seen: another file took a path.
    pub rotated: AtomicU64,
    /// Times that unread data is known to be gone: removed before it was opened, truncated away.
    pub gaps: AtomicU64,
    /// Lines longer than the limit that were split.
    pub split: AtomicU64,
    /// Lines longer than the limit whose rest was dropped.
    pub cut: AtomicU64,
    /// Lines that are not of the container format; they are passed on as they are.
    pub unparsed: AtomicU64,
    /// Zero bytes of holes that were skipped.
    pub zeros: AtomicU64,
    /// Times that the sink gave a chunk back undelivered and its files were read again.
    pub rewound: AtomicU64,
    /// Compressed files that are cut off or damaged; what is good was read.
    pub gzip_errors: AtomicU64,
    /// Failed opens: too many open files.
    pub descriptor_errors: AtomicU64,
    /// Other failed opens, reads and directory listings.
    pub read_errors: AtomicU64,
    /// Files and links that lie outside of the configured roots.
    pub refused: AtomicU64,
    /// Failed checkpoint saves.
    pub checkpoint_errors: AtomicU64,
    /// Now: descriptors held.
    pub open_files: AtomicU64,
    /// Now: streams followed.
    pub streams: AtomicU64,
    /// Now: bytes given to the sink and not yet acknowledged.
    pub in_flight: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Ordering::Relaxed);
}
