//! What users set: the Collector's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::types::{Duration, Optional};
use corten_config::{Check, Checker, Section, nearest};
use corten_host::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::filter::Names;
use crate::scrapers;

/// Settings of the `host_metrics` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How often the host is looked at when the metrics are pushed somewhere. An exporter that is
    /// scraped looks when it is scraped, whatever this says.
    pub(crate) collection_interval: Duration,
    /// Time between the start and the first look.
    pub(crate) initial_delay: Duration,
    /// How long one look may take; `0s` means as long as the interval.
    pub(crate) timeout: Duration,
    /// Where the host's `/` is mounted, in a container: `/hostfs`. Empty means that this is the
    /// host. Mount points are reported without it.
    pub(crate) root_path: PathBuf,
    /// Accepted for the Collector's sake; Corten has no metadata that it would collect apart.
    pub(crate) metadata_collection_interval: Duration,
    /// What is looked at; nothing unless it is named here.
    pub(crate) scrapers: Scrapers,
}

/// The scrapers. Each runs when it is named, with or without settings (`cpu:` is enough).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Scrapers {
    /// CPU time: `system.cpu.*`.
    pub(crate) cpu: Optional<Plain>,
    /// Disk activity: `system.disk.*`.
    pub(crate) disk: Optional<Disk>,
    /// How full file systems are: `system.filesystem.*`.
    pub(crate) filesystem: Optional<Filesystem>,
    /// Load averages: `system.cpu.load_average.*`.
    pub(crate) load: Optional<Load>,
    /// Memory use: `system.memory.*`, `system.linux.memory.*`.
    pub(crate) memory: Optional<Plain>,
    /// Network traffic: `system.network.*`.
    pub(crate) network: Optional<Network>,
    /// Paging: `system.paging.*`.
    pub(crate) paging: Optional<Plain>,
    /// How many processes there are: `system.processes.*`.
    pub(crate) processes: Optional<Plain>,
    /// The host itself: `system.uptime`.
    pub(crate) system: Optional<Plain>,
    /// Each process, as a resource of its own: `process.*`.
    pub(crate) process: Optional<Process>,
    /// The client's and the server's counters of NFS: `system.nfs.*`, `system.nfsd.*`.
    pub(crate) nfs: Optional<Plain>,
    /// Not in Corten yet.
    pub(crate) hardware: Option<Section>,
}

/// Metrics by name, with what is to be changed about them.
pub(crate) type Metrics = BTreeMap<String, MetricSettings>;

/// What can be changed about a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct MetricSettings {
    /// Whether it is reported; each metric has a default of its own.
    pub(crate) enabled: Option<bool>,
    /// The attributes that its points have. Points that differ only in others are made one.
    pub(crate) attributes: Option<Vec<String>>,
    /// How points are made one: by default sums are added and gauges averaged.
    pub(crate) aggregation_strategy: Option<Strategy>,
}

/// How several points become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// Their sum.
    Sum,
    /// Their average.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// A scraper without settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Plain {
    /// Its metrics, to turn them on or off: `system.cpu.utilization: {enabled: true}`.
    pub(crate) metrics: Metrics,
}

/// Settings of the scraper `load`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Load {
    /// Its metrics, to turn them on or off.
    pub(crate) metrics: Metrics,
    /// Whether the averages are divided by the number of CPUs.
    pub(crate) cpu_average: bool,
}

/// Settings of the scraper `disk`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Disk {
    /// Its metrics, to turn them on or off.
    pub(crate) metrics: Metrics,
    /// Only these devices are reported.
    pub(crate) include: Names<Devices>,
    /// These devices are not reported.
    pub(crate) exclude: Names<Devices>,
}

/// Settings of the scraper `network`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Network {
    /// Its metrics, to turn them on or off.
    pub(crate) metrics: Metrics,
    /// Only these interfaces are reported.
    pub(crate) include: Names<Interfaces>,
    /// These interfaces are not reported.
    pub(crate) exclude: Names<Interfaces>,
}

/// Settings of the scraper `filesystem`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Filesystem {
    /// Its metrics, to turn them on or off.
    pub(crate) metrics: Metrics,
    /// Whether file systems without a device (`tmpfs`, `overlay`, `nfs`) are reported too.
    pub(crate) include_virtual_filesystems: bool,
    /// Only these devices are reported.
    pub(crate) include_devices: Names<Devices>,
    /// These devices are not reported.
    pub(crate) exclude_devices: Names<Devices>,
    /// Only file systems of these types are reported.
    pub(crate) include_fs_types: Names<FsTypes>,
    /// File systems of these types are not reported.
    pub(crate) exclude_fs_types: Names<FsTypes>,
    /// Only these mount points are reported.
    pub(crate) include_mount_points: Names<MountPoints>,
    /// These mount points are not reported.
    pub(crate) exclude_mount_points: Names<MountPoints>,
}

/// Settings of the scraper `process`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Process {
    /// Its metrics, to turn them on or off.
    pub(crate) metrics: Metrics,
    /// Only processes of these names are reported.
    pub(crate) include: Names<ProcessNames>,
    /// Processes of these names are not reported.
    pub(crate) exclude: Names<ProcessNames>,
    /// Attributes of the resource that are off unless they are turned on here.
    pub(crate) resource_attributes: ProcessAttributes,
    /// Say nothing of processes that cannot be read in full. Corten says it once in any case.
    pub(crate) mute_process_all_errors: bool,
    /// Accepted for the Collector's sake.
    pub(crate) mute_process_name_error: bool,
    /// Accepted for the Collector's sake.
    pub(crate) mute_process_exe_error: bool,
    /// Say nothing of processes whose `io` cannot be read.
    pub(crate) mute_process_io_error: bool,
    /// Accepted for the Collector's sake.
    pub(crate) mute_process_user_error: bool,
    /// Accepted for the Collector's sake.
    pub(crate) mute_process_cgroup_error: bool,
    /// Processes younger than this are not reported.
    pub(crate) scrape_process_delay: Duration,
}

/// Attributes of a process's resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProcessAttributes {
    /// `process.cgroup`.
    #[serde(rename = "process.cgroup")]
    pub(crate) cgroup: Switch,
}

/// Something that is off unless it is turned on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Switch {
    /// Whether it is on.
    pub(crate) enabled: bool,
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident $key:literal)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub(crate) struct $name {
            /// The names, or expressions for them.
            #[serde(rename = $key)]
            pub(crate) names: Vec<String>,
            /// What the names are.
            pub(crate) match_type: crate::filter::MatchType,
        }

        impl crate::filter::List for $name {
            const KEY: &'static str = $key;

            fn names(&self) -> &[String] {
                &self.names
            }

            fn match_type(&self) -> crate::filter::MatchType {
                self.match_type
            }
        }
    )*};
}

lists! {
    /// Devices: `sda`.
    Devices "devices"
    /// Interfaces: `eth0`.
    Interfaces "interfaces"
    /// Types of file system: `ext4`.
    FsTypes "fs_types"
    /// Mount points: `/data`.
    MountPoints "mount_points"
    /// Names of processes: `nginx`.
    ProcessNames "names"
}

impl Default for Config {
    fn default() -> Self {
        let schedule = Schedule::default();
        Self {
            collection_interval: schedule.interval.into(),
            initial_delay: schedule.initial_delay.into(),
            timeout: schedule.timeout.into(),
            root_path: PathBuf::new(),
            metadata_collection_interval: Duration::from_secs(300),
            scrapers: Scrapers::default(),
        }
    }
}

impl Config {
    pub(crate) fn roots(&self) -> Roots {
        if self.root_path.as_os_str().is_empty() {
            Roots::default()
        } else {
            Roots::below(&self.root_path)
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

/// The Collector's scrapers that are not here.
const ABSENT: [&str; 1] = ["hardware"];

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval == Duration::ZERO {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
        self.scrapers.check(&mut at.section("scrapers"));
        let written = at.section("scrapers");
        let mut names = scrapers::NAMES.into_iter().chain(ABSENT);
        let none = !names.any(|name| written.has(name));
        if none {
            at.error("must specify at least one scraper when using the host_metrics receiver");
        }
    }
}

impl Scrapers {
    /// The metrics' settings of each scraper that runs.
    fn metrics(&self) -> impl Iterator<Item = (&'static str, &Metrics)> {
        [
            ("cpu", self.cpu.as_ref().map(|settings| &settings.metrics)),
            ("disk", self.disk.as_ref().map(|settings| &settings.metrics)),
            (
                "filesystem",
                self.filesystem.as_ref().map(|settings| &settings.metrics),
            ),
            ("load", self.load.as_ref().map(|settings| &settings.metrics)),
            (
                "memory",
                self.memory.as_ref().map(|settings| &settings.metrics),
            ),
            (
                "network",
                self.network.as_ref().map(|settings| &settings.metrics),
            ),
            ("nfs", self.nfs.as_ref().map(|settings| &settings.metrics)),
            (
                "paging",
                self.paging.as_ref().map(|settings| &settings.metrics),
            ),
            (
                "process",
                self.process.as_ref().map(|settings| &settings.metrics),
            ),
            (
                "processes",
                self.processes.as_ref().map(|settings| &settings.metrics),
            ),
            (
                "system",
                self.system.as_ref().map(|settings| &settings.metrics),
            ),
        ]
        .into_iter()
        .filter_map(|(name, metrics)| Some((name, metrics?)))
    }
}

impl Check for Scrapers {
    fn check(&self, at: &mut Checker<'_>) {
        for name in ABSENT {
            if at.has(name) {
                at.on(name).error(format!(
                    "the scraper '{name}' is not in Corten yet; there are {}",
                    scrapers::NAMES.join(", ")
                ));
            }
        }
        for (name, metrics) in self.metrics() {
            let mut at = at.section(name);
            check_metrics(
                metrics,
                scrapers::definitions(name),
                &mut at.section("metrics"),
            );
        }
        if let Some(disk) = self.disk.as_ref() {
            let mut at = at.section("disk");
            disk.include.check(&mut at.section("include"));
            disk.exclude.check(&mut at.section("exclude"));
        }
        if let Some(network) = self.network.as_ref() {
            let mut at = at.section("network");
            network.include.check(&mut at.section("include"));
            network.exclude.check(&mut at.section("exclude"));
        }
        if let Some(process) = self.process.as_ref() {
            let mut at = at.section("process");
            process.include.check(&mut at.section("include"));
            process.exclude.check(&mut at.section("exclude"));
        }
        if let Some(filesystem) = self.filesystem.as_ref() {
            let mut at = at.section("filesystem");
            let f = filesystem;
            f.include_devices.check(&mut at.section("include_devices"));
            f.exclude_devices.check(&mut at.section("exclude_devices"));
            f.include_fs_types
                .check(&mut at.section("include_fs_types"));
            f.exclude_fs_types
                .check(&mut at.section("exclude_fs_types"));
            f.include_mount_points
                .check(&mut at.section("include_mount_points"));
            f.exclude_mount_points
                .check(&mut at.section("exclude_mount_points"));
        }
    }
}

fn check_metrics(metrics: &Metrics, known: &[Definition], at: &mut Checker<'_>) {
    for (name, settings) in metrics {
        let Some(definition) = known.iter().find(|definition| definition.name == name) else {
            let names = known.iter().map(|definition| definition.name);
            at.on(name).error(match nearest(name, names) {
                Some(near) => format!("unknown metric '{name}', did you mean '{near}'?"),
                None => format!("unknown metric '{name}'"),
            });
            continue;
        };
        for attribute in settings.attributes.iter().flatten() {
            if !definition.knows(attribute) {
                at.section(name).field("attributes").error(format!(
                    "has '{attribute}', but the points of {name} have {}",
                    definition.all_attributes().collect::<Vec<_>>().join(", ")
                ));
            }
        }
    }
}
