//! The `memory_limiter` processor: refuses telemetry before memory runs out.
//!
//! Two numbers decide: the process's anonymous resident memory, read at most once per
//! `check_interval` and only while telemetry flows, and the bytes admitted through this limiter
//! since that reading. Together they are an estimate that is never older than the last batch, so a
//! burst between two readings meets a closed door as well. A refusal is retryable and says when to
//! come back.

mod config;
mod limiter;
mod memory;
mod metadata;
mod processor;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `memory_limiter`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, processor::MemoryLimiter::create)
}
