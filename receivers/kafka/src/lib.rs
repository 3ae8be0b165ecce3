//! The `kafka` receiver: takes telemetry from topics of Kafka.
//!
//! The one idea: *Kafka is the queue*. A message becomes a batch that its source can send again, and the group's offset moves past it
//! only when the pipeline has kept it (or refused it for good). So nothing is buffered here beyond what is under way, and
//! whatever a crash or a rebalance interrupts is read again.
//!
//! ```text
//! partition 0 ─ 17 18 19 ─┐                 ┌─▶ consume(17) ─▶ ok ─┐
//! partition 1 ─ 40 41 42 ─┴─▶ recv, decode ─┼─▶ consume(40) ─▶ …   ├─▶ progress.rs: all up to 18 kept: store 19
//!                  ▲ paused when             └─▶ consume(18) ─▶ ok ─┘                   │
//!                  └ too much is under way                                   librdkafka commits
//! ```
//!
//! - `config.rs`: the Collector's settings, and one of our own.
//! - `decode.rs`: a message's bytes become telemetry.
//! - `progress.rs`: which offset is safe; what a rebalance takes away.
//! - `worker.rs`: the loop of one signal's consumer; `group.rs`: its place in the group.
//! - `receiver.rs`: a worker for each signal that a pipeline takes.

mod config;
mod decode;
mod group;
mod metadata;
mod progress;
mod receiver;
mod worker;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `kafka`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Kafka::create)
}
