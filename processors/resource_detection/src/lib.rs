//! The `resource_detection` processor: tells resources where they run.
//!
//! Detectors ask once, at the start, all at the same time and no longer than `timeout`; what they found is then added to every resource.
//! One that fails says why in one line and costs its own attributes alone; it is asked again in the background.
//!
//! - `config.rs`: the settings, the Collector's;
//! - `detectors.rs` and below: who is asked, and what the answers mean;
//! - `processor.rs`: the life and the work.

mod config;
mod detectors;
mod metadata;
mod processor;

pub use metadata::{METADATA, factory};
