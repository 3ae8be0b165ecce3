//! The `file_log` receiver.
//!
//! `corten-tail` follows the files; this crate gives its lines the shape of OTLP log records and carries the pipeline's
//! answer back. The one idea: a file is its own queue. What was read is acknowledged to the engine only when
//! [`consume`](corten_component::Consumer::consume) has resolved, so a position moves when the backend has the line (or a disk
//! queue has synced it), and what a crash takes is read again.
//!
//! ```text
//! engine thread:  read → lines → OTLP bytes (Encoder) ──▶ shipper task: consume … Ok ──▶ ticket ──▶ position
//! ```

mod config;
mod encoder;
mod metadata;
mod receiver;
mod shipper;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `file_log`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::FileLog::create)
}
