//! The `journald` receiver: entries of the systemd journal.
//!
//! The one idea: the journal keeps its entries, so it is its own queue. `journalctl --output=json --follow` is run and read; the
//! cursor of an entry is remembered only when the pipeline has kept the entry, in order, and from there the next start goes on.
//! What a crash takes is read again.
//!
//! ```text
//! journalctl ──▶ Lines ──▶ Entry ──▶ Batches ──▶ corten_lines::ship: consume … Ok ──▶ Progress ──▶ checkpoint
//! ```
//!
//! A `journalctl` that ends is started again, after a pause and from the last entry that was read; what is on its way to the pipeline is
//! not affected.

mod batches;
mod command;
mod config;
mod entry;
mod follow;
mod lines;
mod metadata;
mod progress;
mod receiver;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `journald`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Journald::create)
}
