//! The `process_metrics` receiver: processes in groups, as process-exporter has them (`namedprocess_namegroup_*`).
//!
//! Each process belongs to the first group whose selector matches its name, executable and command line when it is first
//! seen, or else to that of its parent. A group's counters add up what its processes used since they were first seen;
//! they stay when a process ends. Facts: process-exporter's README and its output, to which a test holds this receiver.
//!
//! `selector` says which processes match and how a group is called, `template` makes the name, `tracker` follows
//! processes from one look to the next and adds them up, `write` says it in Prometheus's words.

mod config;
mod metadata;
mod selector;
mod template;
mod tracker;
mod write;

pub use metadata::METADATA;

use corten_component::{BlockingSource, BoxError, Context, Factory, Next};

use crate::config::Config;
use crate::write::Processes;

/// The factory of `process_metrics`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, create)
}

#[expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "the signature that a factory takes"
)]
fn create(cx: Context, config: Config, _: Next) -> Result<BlockingSource<Processes>, BoxError> {
    let schedule = config.schedule();
    Ok(BlockingSource::new(&cx, schedule, Processes::new(config)))
}
