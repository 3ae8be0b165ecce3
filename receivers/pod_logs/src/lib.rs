//! The `pod_logs` receiver: the logs of this node's pods.
//!
//! The one idea: kubelet's path says whose log a file is, so there is nothing to configure.
//! `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log` becomes the resource of its lines, which is what the exporter
//! `loki` makes its default labels of. Which namespaces and containers are wanted becomes part of the globs, so that nothing is
//! spent on the others.
//!
//! `corten-tail` follows the files, `corten-lines` gives their lines the shape of OTLP log records and carries the pipeline's
//! answer back.

mod config;
mod metadata;
mod paths;
mod receiver;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `pod_logs`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::PodLogs::create)
}
