//! What users set.

use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_host::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `container_metrics` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How often the containers are looked at when the metrics are pushed somewhere. An exporter
    /// that is scraped looks when it is scraped, whatever this says.
    pub(crate) collection_interval: Duration,
    /// Time between the start and the first look.
    pub(crate) initial_delay: Duration,
    /// How long one look may take; `0s` means as long as the interval.
    pub(crate) timeout: Duration,
    /// Where the host's file systems are mounted.
    pub(crate) path: Path,
}

/// Where the host's file systems are mounted. In a container these are the places where the host's
/// are mounted into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Path {
    /// The host's control groups, of either version.
    pub(crate) cgroup: PathBuf,
    /// The host's `/proc`.
    pub(crate) procfs: PathBuf,
    /// The host's `/sys`.
    pub(crate) sysfs: PathBuf,
    /// The host's `/`.
    pub(crate) rootfs: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        let schedule = Schedule::default();
        Self {
            collection_interval: schedule.interval.into(),
            initial_delay: schedule.initial_delay.into(),
            timeout: schedule.timeout.into(),
            path: Path::default(),
        }
    }
}

impl Default for Path {
    fn default() -> Self {
        let roots = Roots::default();
        Self {
            cgroup: roots.cgroup,
            procfs: roots.procfs,
            sysfs: roots.sysfs,
            rootfs: roots.rootfs,
        }
    }
}

impl Config {
    pub(crate) fn roots(&self) -> Roots {
        Roots {
            cgroup: self.path.cgroup.clone(),
            procfs: self.path.procfs.clone(),
            sysfs: self.path.sysfs.clone(),
            rootfs: self.path.rootfs.clone(),
            ..Roots::default()
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.collection_interval.into(),
            initial_delay: self.initial_delay.into(),
            timeout: self.timeout.into(),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval == Duration::ZERO {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
    }
}
