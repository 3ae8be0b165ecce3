//! The `k8s_attributes` processor: names the pods that telemetry comes from.
//!
//! Watches keep an index of pods in memory; a batch is looked up there and never waits for the API server. Only
//! resources are read and changed, records are not touched.
//!
//! - `config.rs`: the settings, the Collector's;
//! - `association.rs`, `container.rs`: which pod a resource is from, and which of its containers;
//! - `extraction.rs`: what a pod's resource is told;
//! - `image.rs`: what an image's reference says;
//! - `surroundings.rs`, `index.rs`: namespaces, nodes and workloads, and what is kept of them;
//! - `processor.rs`: the life and the work.

mod association;
mod config;
mod container;
mod extraction;
mod image;
mod index;
mod metadata;
mod processor;
mod surroundings;

pub use metadata::{METADATA, factory};
