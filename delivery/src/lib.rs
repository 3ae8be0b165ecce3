//! What stands between a pipeline and a sink: queue, batching, retry, and the queue on disk.
//!
//! An exporter brings a [`Sink`]: how a batch becomes requests, and one attempt to send one. [`Delivery`]
//! is the rest, and a [`Consumer`](corten_component::Consumer):
//!
//! ```text
//! consume ─► queue (memory or disk) ─► batching ─► consumers ─► encode once ─► attempt ─► attempt ─► …
//!    ▲         bounded                  optional    num_consumers               back-off, the server's delay
//!    └── answered: delivered | on the disk | in the memory queue | refused
//! ```
//!
//! # What an answer means
//!
//! | | data that its source can replay | data that it cannot |
//! |---|---|---|
//! | no queue | delivered | delivered |
//! | memory queue (`wait_for_result: auto`) | delivered | in the queue: survives an outage, not a crash |
//! | disk queue (`storage`) | on the disk (synced): survives both | on the disk (synced): survives both |
//!
//! Data that can be replayed, and what lies on the disk, is retried without end. What a memory queue answered early
//! is given up after `retry_on_failure::max_elapsed_time`, counted.
//!
//! # What goes wrong, and what then happens
//!
//! - *An attempt fails for now* (or takes longer than `timeout`): the identical bytes are sent again after the longer of the back-off
//!   and the server's own delay. Other requests go on meanwhile, `num_consumers` at once.
//! - *Refused for good*: when the request was put together from several segments, each is sent alone, so that one
//!   bad piece costs only itself; what is refused then is counted by reason, and kept with it where `dead_letters` is set.
//! - *Too large*: sent in halves; a single item that is too large counts as refused.
//! - *The queue is full* (in its sizer's unit, or in bytes): the sender is told to come back (`RESOURCE_EXHAUSTED` with a
//!   delay), or waits when `block_on_overflow` is set; with `overflow: drop_oldest` the oldest data goes instead, counted.
//! - *The disk is full or fails*: the same; it recovers by itself. Never a memory queue in place of the disk's.
//! - *Shutdown*: new data is refused retryably, everything queued in memory gets an attempt; what memory still holds at the deadline is
//!   counted as lost, and told in one line. The disk keeps its content (and is drained for a short while if that works).

mod backoff;
mod compression;
mod courier;
mod dead_letters;
mod delivery;
mod disk;
mod grouping;
mod memory;
mod metrics;
pub mod otlp;
mod part;
pub mod queues;
mod report;
mod sink;

pub use compression::Compressor;
pub use delivery::{Delivery, Settings};
pub use sink::{Encoded, Rejected, SendError, Sent, Sink};
