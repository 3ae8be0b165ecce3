//! What receivers of logs share: lines become OTLP log records, and batches of them are offered to the pipeline until
//! it keeps them.
//!
//! The one idea: what a log comes from (a file, a journal) is its own queue. What was read is acknowledged to its origin only when
//! [`consume`](corten_component::Consumer::consume) has resolved, so a position moves when the backend has the line (or a disk
//! queue has synced it), and what a crash takes is read again.
//!
//! ```text
//! engine thread:  read → lines → OTLP bytes (Encoder) ──▶ shipper task: consume … Ok ──▶ receipt ──▶ position
//! ```
//!
//! Lines that operators work on take another way: [`Operated`] makes entries of them, and what an operator holds keeps its place in the
//! file unacknowledged.
//!
//! [`Follower`] is the whole of it for files; a receiver with another origin takes the [shipper](ship) alone, with a
//! [`Progress`] where that origin can be asked again from a position.

mod encoder;
mod facts;
mod follower;
mod header;
mod metrics;
mod operated;
mod progress;
mod shipper;

pub use encoder::{Encoder, Shape};
pub use facts::Facts;
pub use follower::{Follower, OUTBOX};
pub use header::Header;
pub use operated::{Claims, Marks, Operated, observe_operators};
pub use progress::{Delivery, Progress, save_progress};
pub use shipper::{Pauses, Receipt, Shipment, ship};
