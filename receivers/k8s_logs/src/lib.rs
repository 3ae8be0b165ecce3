//! The `k8s_logs` receiver: logs of pods through the API server, for clusters where the node's files are out of reach.
//!
//! `pods/log` is a stream that ends without a word: when the kubelet rotates the file, when the API server restarts, when a
//! proxy is tired of it. So it is opened again and again from the second of the last line, and what comes twice is
//! known by its time and a hash of its text ([`window`]): no line is told twice, and two that are the same are two. The
//! window moves when the pipeline has kept the lines, and is kept over restarts by a storage extension.
//!
//! - [`targets`]: which containers there are, from a watch of this node's pods;
//! - [`reader`]: one container's log, from its first line to its end;
//! - [`window`]: what was read last; [`positions`]: the windows of all containers, kept.

mod config;
mod metadata;
mod positions;
mod reader;
mod receiver;
mod targets;
mod window;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_logs`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::K8sLogs::create)
}
