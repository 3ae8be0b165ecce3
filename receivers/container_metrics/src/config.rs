//! What users set.

use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::types::{Duration, OneOrMany};
use corten_config::{Check, Checker};
use corten_host::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::groups::{Enabled, MetricGroup};

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
    /// Who is asked for the names of containers and pods.
    pub(crate) runtime: corten_runtimes::Config,
    /// Only these groups of metrics, in cAdvisor's names: `cpu`, `memory`, `network`, `disk`, `diskIO`, `process`,
    /// `oom_event`, `pressure`, `cpuLoad`, `percpu`, `hugetlb`, `cpuset`, `memory_numa`, `tcp`, `udp`. What is named here wins over
    /// `disable_metrics`.
    pub(crate) enable_metrics: OneOrMany<MetricGroup>,
    /// All groups but these. As with cAdvisor, a list replaces the default. Without one the groups of the kubelet are
    /// on: `cpu`, `memory`, `network`, `disk`, `diskIO`, `process`, `oom_event`, `pressure` and `cpuLoad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disable_metrics: Option<OneOrMany<MetricGroup>>,
    /// Whether every label of a container's becomes a label `container_label_<key>` of its samples. cAdvisor on its own
    /// does this by default, the kubelet never.
    pub(crate) store_container_labels: bool,
    /// Without `store_container_labels`: these labels of containers become labels of their samples.
    pub(crate) whitelisted_container_labels: OneOrMany<String>,
    /// Environment variables whose names begin so become labels `container_env_<name>`, where the runtime tells them
    /// (Docker).
    pub(crate) env_metadata_whitelist: OneOrMany<String>,
    /// Only containers and the root: no pods, services or other groups, but those that
    /// `raw_cgroup_prefix_whitelist` names.
    pub(crate) docker_only: bool,
    /// Of groups that are no containers only those whose path begins with one of these, and the root. Empty: all.
    pub(crate) raw_cgroup_prefix_whitelist: OneOrMany<String>,
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
            runtime: corten_runtimes::Config::default(),
            enable_metrics: OneOrMany::default(),
            disable_metrics: None,
            store_container_labels: false,
            whitelisted_container_labels: OneOrMany::default(),
            env_metadata_whitelist: OneOrMany::default(),
            docker_only: false,
            raw_cgroup_prefix_whitelist: OneOrMany::default(),
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
    pub(crate) fn enabled(&self) -> Enabled {
        Enabled::new(&self.enable_metrics, self.disable_metrics.as_deref())
    }

    /// Whether a group is shown: containers always, the root too.
    pub(crate) fn shows(&self, id: &str, is_container: bool) -> bool {
        if is_container || id == "/" {
            return true;
        }
        let mut prefixes = self
            .raw_cgroup_prefix_whitelist
            .iter()
            .filter(|prefix| !prefix.is_empty())
            .peekable();
        match prefixes.peek() {
            None => !self.docker_only,
            Some(_) => prefixes.any(|prefix| id.starts_with(prefix.as_str())),
        }
    }

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
