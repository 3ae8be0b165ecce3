//! The `file_log` receiver.
//!
//! `corten-tail` follows the files, `corten-lines` gives their lines the shape of OTLP log records and carries the pipeline's
//! answer back; here is what users set.

mod config;
mod metadata;
mod ordering;
mod receiver;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `file_log`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::FileLog::create)
}
