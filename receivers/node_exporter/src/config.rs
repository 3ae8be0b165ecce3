//! What users set. Names follow node_exporter's flags: `--collector.filesystem.mount-timeout` is
//! `filesystem: {mount_timeout}`.

use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::types::{Duration, Regex};
use corten_config::{Check, Checker, nearest};
use corten_host::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collectors;

/// Settings of the `node_exporter` receiver.
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
    /// Where the host's file systems are mounted.
    pub(crate) path: Path,
    /// Which collectors run.
    pub(crate) collectors: Collectors,
    /// The collector `cpu`.
    pub(crate) cpu: Cpu,
    /// The collector `diskstats`.
    pub(crate) diskstats: Devices,
    /// The collector `filesystem`.
    pub(crate) filesystem: Filesystem,
    /// The collector `netdev`.
    pub(crate) netdev: Devices,
    /// The collector `stat`.
    pub(crate) stat: Stat,
    /// The collector `vmstat`.
    pub(crate) vmstat: Vmstat,
}

/// Where the host's file systems are mounted. In a container these are the places where the host's
/// are mounted into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Path {
    /// The host's `/proc`.
    pub(crate) procfs: PathBuf,
    /// The host's `/sys`.
    pub(crate) sysfs: PathBuf,
    /// The host's `/`. Mount points are reported without it.
    pub(crate) rootfs: PathBuf,
    /// udev's folders.
    pub(crate) udev: Udev,
}

/// udev's folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Udev {
    /// The database of devices, for what is said about disks.
    pub(crate) data: PathBuf,
}

/// Which collectors run: `cpu`, `diskstats`, `filesystem`, `loadavg`, `meminfo`, `netdev`, `stat`,
/// `time`, `uname`, `vmstat`. All do by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Collectors {
    /// Only those named under `enable` run.
    pub(crate) disable_defaults: bool,
    /// These run as well.
    pub(crate) enable: Vec<String>,
    /// These do not.
    pub(crate) disable: Vec<String>,
}

/// Settings of the collector `cpu`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Cpu {
    /// Whether there is `node_cpu_guest_seconds_total`.
    pub(crate) guest: bool,
    /// Whether there is `node_cpu_info`, a series for each CPU with its model.
    pub(crate) info: bool,
    /// The CPU flags that get a series of `node_cpu_flag_info`; turns `info` on.
    pub(crate) flags_include: Option<Regex>,
    /// The CPU bugs that get a series of `node_cpu_bug_info`; turns `info` on.
    pub(crate) bugs_include: Option<Regex>,
}

/// Which devices are reported. For `diskstats`, partitions, RAM disks and loop devices are left out
/// unless either expression is set; for `netdev` no interface is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Devices {
    /// Devices that match are left out. An expression matches anywhere in a name unless it is
    /// anchored with `^` and `$`.
    pub(crate) device_exclude: Option<Regex>,
    /// Only devices that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
}

/// Settings of the collector `filesystem`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Filesystem {
    /// Mounts at points that match are left out. By default those below `/dev`, `/proc`, `/sys`,
    /// `/run/credentials` and container runtimes' storage.
    pub(crate) mount_points_exclude: Option<Regex>,
    /// Only mounts at points that match are reported. Cannot be set together with
    /// `mount_points_exclude`.
    pub(crate) mount_points_include: Option<Regex>,
    /// File systems of types that match are left out. By default those that hold no data of their
    /// own, such as `proc`, `cgroup2` and `overlay`.
    pub(crate) fs_types_exclude: Option<Regex>,
    /// Only file systems of types that match are reported. Cannot be set together with
    /// `fs_types_exclude`.
    pub(crate) fs_types_include: Option<Regex>,
    /// How long a mount may take to answer. One that takes longer is reported with a device error
    /// and not asked again until it has answered.
    pub(crate) mount_timeout: Duration,
    /// How many mounts are asked at the same time.
    pub(crate) stat_workers: usize,
}

/// Settings of the collector `stat`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Stat {
    /// Whether there is `node_softirqs_total`, a series for each kind of software interrupt.
    pub(crate) softirq: bool,
}

/// Settings of the collector `vmstat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Vmstat {
    /// The lines of `/proc/vmstat` that become metrics.
    pub(crate) fields: Regex,
}

impl Default for Config {
    fn default() -> Self {
        let schedule = Schedule::default();
        Self {
            collection_interval: schedule.interval.into(),
            initial_delay: schedule.initial_delay.into(),
            timeout: schedule.timeout.into(),
            path: Path::default(),
            collectors: Collectors::default(),
            cpu: Cpu::default(),
            diskstats: Devices::default(),
            filesystem: Filesystem::default(),
            netdev: Devices::default(),
            stat: Stat::default(),
            vmstat: Vmstat::default(),
        }
    }
}

impl Default for Path {
    fn default() -> Self {
        let roots = Roots::default();
        Self {
            procfs: roots.procfs,
            sysfs: roots.sysfs,
            rootfs: roots.rootfs,
            udev: Udev::default(),
        }
    }
}

impl Default for Udev {
    fn default() -> Self {
        Self {
            data: Roots::default().udev_data,
        }
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            guest: true,
            info: false,
            flags_include: None,
            bugs_include: None,
        }
    }
}

impl Default for Filesystem {
    fn default() -> Self {
        Self {
            mount_points_exclude: None,
            mount_points_include: None,
            fs_types_exclude: None,
            fs_types_include: None,
            mount_timeout: Duration::from_secs(5),
            stat_workers: 4,
        }
    }
}

impl Default for Vmstat {
    fn default() -> Self {
        Self {
            fields: constant("^(oom_kill|pgpg|pswp|pg.*fault).*"),
        }
    }
}

/// An expression that is written in this crate.
#[expect(clippy::expect_used, reason = "a test compiles every one of them")]
pub(crate) fn constant(expression: &str) -> Regex {
    expression.parse().expect("a valid expression")
}

impl Config {
    pub(crate) fn roots(&self) -> Roots {
        Roots {
            procfs: self.path.procfs.clone(),
            sysfs: self.path.sysfs.clone(),
            rootfs: self.path.rootfs.clone(),
            udev_data: self.path.udev.data.clone(),
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

    /// Whether the collector `name` runs.
    pub(crate) fn runs(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|other| other == name);
        let Collectors {
            disable_defaults,
            enable,
            disable,
        } = &self.collectors;
        (!disable_defaults || named(enable)) && !named(disable)
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval == Duration::ZERO {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
        self.collectors.check(&mut at.section("collectors"));
        self.diskstats.check(&mut at.section("diskstats"));
        self.filesystem.check(&mut at.section("filesystem"));
        self.netdev.check(&mut at.section("netdev"));
    }
}

impl Check for Collectors {
    fn check(&self, at: &mut Checker<'_>) {
        let here = collectors::NAMES;
        for (index, name) in self.enable.iter().enumerate() {
            if here.contains(&name.as_str()) {
                continue;
            }
            if collectors::ELSEWHERE.contains(&name.as_str()) {
                at.item("enable", index).error(format!(
                    "node_exporter's collector '{name}' is not in Corten yet; there are {}",
                    here.join(", ")
                ));
            } else {
                at.item("enable", index).error(unknown(name));
            }
        }
        for (index, name) in self.disable.iter().enumerate() {
            // What Corten does not have needs no disabling, so a file that was written for
            // node_exporter stays valid.
            if !here.contains(&name.as_str()) && !collectors::ELSEWHERE.contains(&name.as_str()) {
                at.item("disable", index).error(unknown(name));
            }
            if self.enable.contains(name) {
                at.item("disable", index)
                    .error(format!("'{name}' is named under 'enable' as well"));
            }
        }
    }
}

fn unknown(name: &str) -> String {
    let all = collectors::NAMES.iter().chain(collectors::ELSEWHERE);
    match nearest(name, all.copied()) {
        Some(near) => format!("unknown collector '{name}', did you mean '{near}'?"),
        None => format!(
            "unknown collector '{name}'; there are {}",
            collectors::NAMES.join(", ")
        ),
    }
}

fn exclusive(at: &mut Checker<'_>, exclude: (&str, bool), include: (&str, bool)) {
    if exclude.1 && include.1 {
        at.field(include.0)
            .error(format!("cannot be set together with {}", exclude.0));
    }
}

impl Check for Devices {
    fn check(&self, at: &mut Checker<'_>) {
        exclusive(
            at,
            ("device_exclude", self.device_exclude.is_some()),
            ("device_include", self.device_include.is_some()),
        );
    }
}

impl Check for Filesystem {
    fn check(&self, at: &mut Checker<'_>) {
        exclusive(
            at,
            ("mount_points_exclude", self.mount_points_exclude.is_some()),
            ("mount_points_include", self.mount_points_include.is_some()),
        );
        exclusive(
            at,
            ("fs_types_exclude", self.fs_types_exclude.is_some()),
            ("fs_types_include", self.fs_types_include.is_some()),
        );
        if self.mount_timeout == Duration::ZERO {
            at.field("mount_timeout").error("must be greater than zero");
        }
        if self.stat_workers == 0 {
            at.field("stat_workers").error("must be greater than zero");
        }
    }
}
