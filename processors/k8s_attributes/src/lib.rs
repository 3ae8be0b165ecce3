//! The `k8s_attributes` processor: names the pods that telemetry comes from.
//!
//! Watches keep an index of pods in memory; a batch is looked up there and never waits for the API server. Only
//! resources are read and changed, records are not touched.
//!
//! - `config.rs`: the settings, the Collector's;
//! - `association.rs`: which pod a resource is from;
//! - `extraction.rs`: what a pod's resource is told;
//! - `index.rs`: what the watches keep;
//! - `processor.rs`: the life and the work.

mod association;
mod config;
mod extraction;
mod index;
mod metadata;
mod processor;

pub use metadata::{METADATA, factory};
