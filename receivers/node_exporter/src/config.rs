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
use crate::collectors::ipvs::Label;

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
    /// The collector `arp`.
    pub(crate) arp: Arp,
    /// The collector `bcache`.
    pub(crate) bcache: Bcache,
    /// The collector `cpu`.
    pub(crate) cpu: Cpu,
    /// The collector `diskstats`.
    pub(crate) diskstats: Devices,
    /// The collector `ethtool`.
    pub(crate) ethtool: Ethtool,
    /// The collector `filesystem`.
    pub(crate) filesystem: Filesystem,
    /// The collector `hwmon`.
    pub(crate) hwmon: Hwmon,
    /// The collector `interrupts`.
    pub(crate) interrupts: Interrupts,
    /// The collector `ipvs`.
    pub(crate) ipvs: Ipvs,
    /// The collector `netclass`.
    pub(crate) netclass: Netclass,
    /// The collector `netdev`.
    pub(crate) netdev: Netdev,
    /// The collector `netstat`.
    pub(crate) netstat: Netstat,
    /// The collector `powersupplyclass`.
    pub(crate) powersupply: Powersupply,
    /// The collector `perf`.
    pub(crate) perf: Perf,
    /// The collector `qdisc`.
    pub(crate) qdisc: Qdisc,
    /// The collector `wifi`.
    pub(crate) wifi: Wifi,
    /// The collector `rapl`.
    pub(crate) rapl: Rapl,
    /// The collector `slabinfo`.
    pub(crate) slabinfo: Slabinfo,
    /// The collector `stat`.
    pub(crate) stat: Stat,
    /// The collector `sysctl`.
    pub(crate) sysctl: Sysctls,
    /// The collector `systemd`.
    pub(crate) systemd: Systemd,
    /// The collector `tapestats`.
    pub(crate) tapestats: Tapestats,
    /// The collector `textfile`.
    pub(crate) textfile: Textfile,
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

/// Which collectors run. Those that node_exporter runs by default do, and others where they are
/// enabled.
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
/// unless either expression is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Devices {
    /// Devices that match are left out. An expression matches anywhere in a name unless it is
    /// anchored with `^` and `$`.
    pub(crate) device_exclude: Option<Regex>,
    /// Only devices that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
}

/// Settings of the collector `ethtool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Ethtool {
    /// Interfaces that match are left out. An expression matches anywhere in a name unless it is
    /// anchored with `^` and `$`.
    pub(crate) device_exclude: Option<Regex>,
    /// Only interfaces that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
    /// Only counters whose names match are reported.
    pub(crate) metrics_include: Regex,
}

impl Default for Ethtool {
    fn default() -> Self {
        Self {
            device_exclude: None,
            device_include: None,
            metrics_include: constant(".*"),
        }
    }
}

/// Settings of the collector `perf`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Perf {
    /// Which CPUs are counted on: `0-3,8` or `0-10:2`. By default all that are online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<PerfCpus>,
    /// Count nothing that the kernel counts itself.
    pub(crate) disable_software_profilers: bool,
    /// Only these: `PageFault`, `ContextSwitch`, `CpuMigration`, `MinorFault`, `MajorFault`.
    pub(crate) software_profilers: Vec<String>,
    /// Count nothing of the CPU's own counters.
    pub(crate) disable_hardware_profilers: bool,
    /// Only these: `CpuCycles`, `CpuInstr`, `CacheRef`, `CacheMisses`, `BranchInstr`, `BranchMisses`, `StalledCyclesBackend`,
    /// `StalledCyclesFrontend`, `RefCpuCycles`.
    pub(crate) hardware_profilers: Vec<String>,
    /// Count nothing of the caches.
    pub(crate) disable_cache_profilers: bool,
    /// Only these: `L1DataReadHit`, `L1DataReadMiss`, `L1DataWriteHit`, `L1InstrReadMiss`, `LLReadHit`, `LLReadMiss`, `LLWriteHit`,
    /// `LLWriteMiss`, `InstrTLBReadHit`, `InstrTLBReadMiss`, `BPUReadHit`, `BPUReadMiss`.
    pub(crate) cache_profilers: Vec<String>,
}

/// CPUs by their numbers, as the kernel and node_exporter write them: `0-3,8`, `0-10:2` for every second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PerfCpus(Vec<(usize, usize, usize)>);

/// No machine has more.
const MOST_CPUS: usize = 8192;

impl PerfCpus {
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let ranges = self.0.iter();
        ranges.flat_map(|(first, last, step)| (*first..=*last).step_by(*step))
    }
}

impl std::str::FromStr for PerfCpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected numbers of CPUs such as 0-3,8, found '{text}'");
        let range = |part: &str| {
            let (range, step) = part.split_once(':').unwrap_or((part, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.trim().parse::<usize>().ok();
            let (first, last, step) = (number(first)?, number(last)?, number(step)?);
            (first <= last && last < MOST_CPUS && step > 0).then_some((first, last, step))
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for PerfCpus {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PerfCpus> for String {
    fn from(cpus: PerfCpus) -> Self {
        let written = |(first, last, step): (usize, usize, usize)| match (first == last, step) {
            (true, _) => first.to_string(),
            (false, 1) => format!("{first}-{last}"),
            (false, step) => format!("{first}-{last}:{step}"),
        };
        cpus.0
            .into_iter()
            .map(written)
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Check for Perf {
    fn check(&self, at: &mut Checker<'_>) {
        use crate::collectors::perf;
        for (field, chosen, group) in [
            (
                "software_profilers",
                &self.software_profilers,
                perf::SOFTWARE,
            ),
            (
                "hardware_profilers",
                &self.hardware_profilers,
                perf::HARDWARE,
            ),
            ("cache_profilers", &self.cache_profilers, perf::CACHES),
        ] {
            let unknown = |name: &&String| !group.names().any(|known| known == **name);
            for name in chosen.iter().filter(unknown) {
                let near = nearest(name, group.names());
                let near =
                    near.map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
                at.on(field)
                    .error(format!("unknown profiler '{name}'{near}"));
            }
        }
    }
}

/// Settings of the collector `wifi`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Wifi {
    /// A folder whose JSON files are read in place of asking the kernel: for tests.
    pub(crate) fixtures: PathBuf,
}

/// Settings of the collector `qdisc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Qdisc {
    /// Interfaces that match are left out. An expression matches anywhere in a name unless it is
    /// anchored with `^` and `$`.
    pub(crate) device_exclude: Option<Regex>,
    /// Only interfaces that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
    /// A folder whose `results.json` is read in place of asking the kernel: for tests.
    pub(crate) fixtures: PathBuf,
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

/// Settings of the collector `arp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Arp {
    /// Devices that match are left out.
    pub(crate) device_exclude: Option<Regex>,
    /// Only devices that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
    /// Accepted for files written for node_exporter. The answer is the same either way.
    pub(crate) netlink: bool,
}

/// Settings of the collector `bcache`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Bcache {
    /// Whether there are `node_bcache_priority_stats_…`, which the kernel needs long for.
    #[serde(rename = "priorityStats", alias = "priority_stats")]
    pub(crate) priority_stats: bool,
}

/// Settings of the collector `hwmon`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Hwmon {
    /// Chips that match are left out.
    pub(crate) chip_exclude: Option<Regex>,
    /// Only chips that match are reported. Cannot be set together with `chip_exclude`.
    pub(crate) chip_include: Option<Regex>,
    /// Sensors whose `chip;sensor` matches are left out.
    pub(crate) sensor_exclude: Option<Regex>,
    /// Only sensors whose `chip;sensor` matches are reported. Cannot be set together with
    /// `sensor_exclude`.
    pub(crate) sensor_include: Option<Regex>,
}

/// Settings of the collector `interrupts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Interrupts {
    /// Interrupts whose `type;info;devices` matches are left out.
    pub(crate) name_exclude: Option<Regex>,
    /// Only interrupts whose `type;info;devices` matches are reported. Cannot be set together with
    /// `name_exclude`.
    pub(crate) name_include: Option<Regex>,
    /// Whether CPUs that an interrupt has never reached are reported.
    pub(crate) include_zeros: bool,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self {
            name_exclude: None,
            name_include: None,
            include_zeros: true,
        }
    }
}

/// Settings of the collector `slabinfo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Slabinfo {
    /// Pools that match are left out.
    pub(crate) slabs_exclude: Option<Regex>,
    /// Only pools that match are reported. Cannot be set together with `slabs_exclude`.
    pub(crate) slabs_include: Option<Regex>,
}

/// Settings of the collector `sysctl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Sysctls {
    /// Settings that are numbers: `kernel.threads-max`. Where there are several beside each other they
    /// may be named: `fs.file-nr:total,current,max`.
    pub(crate) include: Vec<String>,
    /// Settings that are words: `kernel.seccomp.actions_avail`.
    pub(crate) include_info: Vec<String>,
}

/// Settings of the collector `ipvs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Ipvs {
    /// The labels by which backends are told apart, separated by commas: `local_address`,
    /// `local_port`, `remote_address`, `remote_port`, `proto`, `local_mark`. Backends that the others
    /// do not tell apart are added up.
    pub(crate) backend_labels: String,
}

/// Settings of the collector `netclass`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Netclass {
    /// Devices that match are left out.
    pub(crate) ignored_devices: Regex,
    /// Whether the speed of interfaces that do not know theirs is left out, and not -125000.
    pub(crate) ignore_invalid_speed: bool,
    /// Adds `node_network_altnames_info`: the other names of the interfaces. Whatever this says, the kernel is asked
    /// with netlink where that costs less than reading files.
    pub(crate) netlink: bool,
}

/// Settings of the collector `netdev`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Netdev {
    /// Devices that match are left out.
    pub(crate) device_exclude: Option<Regex>,
    /// Only devices that match are reported. Cannot be set together with `device_exclude`.
    pub(crate) device_include: Option<Regex>,
    /// Whether detailed metrics are asked of the kernel with netlink instead of being read from `/proc/net/dev`, which
    /// has fewer. Netlink answers for the network that the agent itself is in.
    pub(crate) netlink: bool,
    /// Adds `node_network_address_info`: the addresses that the interfaces of the agent's own network have.
    pub(crate) address_info: bool,
    /// Adds the label `ifalias`: what somebody calls the interface.
    pub(crate) label_ifalias: bool,
    /// One counter for each that the kernel has, under the kernel's names, in place of the classic ones.
    pub(crate) enable_detailed_metrics: bool,
}

impl Default for Netdev {
    fn default() -> Self {
        Self {
            device_exclude: None,
            device_include: None,
            netlink: true,
            address_info: false,
            label_ifalias: false,
            enable_detailed_metrics: false,
        }
    }
}

/// Settings of the collector `netstat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Netstat {
    /// The counters that become metrics, as `protocol_name`.
    pub(crate) fields: Regex,
}

/// Settings of the collector `powersupplyclass`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Powersupply {
    /// Supplies that match are left out.
    pub(crate) ignored_supplies: Regex,
}

/// Settings of the collector `rapl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Rapl {
    /// Whether the zone is a label and not a part of the name.
    pub(crate) enable_zone_label: bool,
}

/// Settings of the collector `systemd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Systemd {
    /// Only units whose whole name matches are reported.
    pub(crate) unit_include: Regex,
    /// Units whose whole name matches are left out, also those that `unit_include` names.
    pub(crate) unit_exclude: Regex,
    /// Whether there is `node_systemd_service_restart_total`.
    pub(crate) enable_restarts_metrics: bool,
    /// Whether there is `node_systemd_unit_start_time_seconds`.
    pub(crate) enable_start_time_metrics: bool,
    /// Whether there are `node_systemd_unit_tasks_current` and `node_systemd_unit_tasks_max`.
    pub(crate) enable_task_metrics: bool,
}

/// Settings of the collector `tapestats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tapestats {
    /// Drives that match are left out.
    pub(crate) ignored_devices: Regex,
}

/// Settings of the collector `textfile`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Textfile {
    /// The folders of `*.prom` files, whose names may have `*`, `?` and `[…]`.
    pub(crate) directory: OneOrMany,
}

/// A value or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// `a`
    One(String),
    /// `[a, b]`
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Default for Arp {
    fn default() -> Self {
        Self {
            device_exclude: None,
            device_include: None,
            netlink: true,
        }
    }
}

impl Default for Ipvs {
    fn default() -> Self {
        Self {
            backend_labels: Label::ALL.map(Label::name).join(","),
        }
    }
}

impl Ipvs {
    /// The labels; those that there are not are reported by the check.
    pub(crate) fn labels(&self) -> Vec<Label> {
        let named = self.backend_labels.split(',').map(str::trim);
        named
            .filter_map(|name| Label::ALL.into_iter().find(|label| label.name() == name))
            .collect()
    }
}

impl Default for Netclass {
    fn default() -> Self {
        Self {
            ignored_devices: constant("^$"),
            ignore_invalid_speed: false,
            netlink: false,
        }
    }
}

impl Default for Netstat {
    fn default() -> Self {
        Self {
            fields: constant(
                "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
            ),
        }
    }
}

impl Default for Powersupply {
    fn default() -> Self {
        Self {
            ignored_supplies: constant("^$"),
        }
    }
}

impl Default for Systemd {
    fn default() -> Self {
        Self {
            unit_include: constant(".+"),
            unit_exclude: constant(r".+\.(automount|device|mount|scope|slice)"),
            enable_restarts_metrics: false,
            enable_start_time_metrics: false,
            enable_task_metrics: false,
        }
    }
}

impl Default for Tapestats {
    fn default() -> Self {
        Self {
            ignored_devices: constant("^$"),
        }
    }
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
            arp: Arp::default(),
            bcache: Bcache::default(),
            cpu: Cpu::default(),
            diskstats: Devices::default(),
            ethtool: Ethtool::default(),
            filesystem: Filesystem::default(),
            hwmon: Hwmon::default(),
            interrupts: Interrupts::default(),
            ipvs: Ipvs::default(),
            netclass: Netclass::default(),
            netdev: Netdev::default(),
            netstat: Netstat::default(),
            powersupply: Powersupply::default(),
            perf: Perf::default(),
            qdisc: Qdisc::default(),
            wifi: Wifi::default(),
            rapl: Rapl::default(),
            slabinfo: Slabinfo::default(),
            stat: Stat::default(),
            sysctl: Sysctls::default(),
            systemd: Systemd::default(),
            tapestats: Tapestats::default(),
            textfile: Textfile::default(),
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
        let wanted = named(enable) || (!disable_defaults && collectors::by_default(name));
        wanted && !named(disable)
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval == Duration::ZERO {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
        self.collectors.check(&mut at.section("collectors"));
        exclusive(
            &mut at.section("arp"),
            ("device_exclude", self.arp.device_exclude.is_some()),
            ("device_include", self.arp.device_include.is_some()),
        );
        let hwmon = &self.hwmon;
        let mut section = at.section("hwmon");
        exclusive(
            &mut section,
            ("chip_exclude", hwmon.chip_exclude.is_some()),
            ("chip_include", hwmon.chip_include.is_some()),
        );
        exclusive(
            &mut section,
            ("sensor_exclude", hwmon.sensor_exclude.is_some()),
            ("sensor_include", hwmon.sensor_include.is_some()),
        );
        drop(section);
        exclusive(
            &mut at.section("interrupts"),
            ("name_exclude", self.interrupts.name_exclude.is_some()),
            ("name_include", self.interrupts.name_include.is_some()),
        );
        exclusive(
            &mut at.section("slabinfo"),
            ("slabs_exclude", self.slabinfo.slabs_exclude.is_some()),
            ("slabs_include", self.slabinfo.slabs_include.is_some()),
        );
        if self.ipvs.labels().len() != self.ipvs.backend_labels.split(',').count() {
            at.section("ipvs").field("backend_labels").error(format!(
                "must be some of {}",
                Label::ALL.map(Label::name).join(", ")
            ));
        }
        self.diskstats.check(&mut at.section("diskstats"));
        self.filesystem.check(&mut at.section("filesystem"));
        exclusive(
            &mut at.section("netdev"),
            ("device_exclude", self.netdev.device_exclude.is_some()),
            ("device_include", self.netdev.device_include.is_some()),
        );
        exclusive(
            &mut at.section("ethtool"),
            ("device_exclude", self.ethtool.device_exclude.is_some()),
            ("device_include", self.ethtool.device_include.is_some()),
        );
        self.qdisc.check(&mut at.section("qdisc"));
        self.perf.check(&mut at.section("perf"));
    }
}

impl Check for Collectors {
    fn check(&self, at: &mut Checker<'_>) {
        let here = collectors::NAMES;
        for (index, name) in self.enable.iter().enumerate() {
            if here.contains(&name.as_str()) {
                continue;
            }
            if let Some(why) = collectors::elsewhere(name) {
                at.item("enable", index).error(format!(
                    "node_exporter's collector '{name}' is not in Corten: {why}"
                ));
            } else {
                at.item("enable", index).error(unknown(name));
            }
        }
        for (index, name) in self.disable.iter().enumerate() {
            // What Corten does not have needs no disabling, so a file that was written for
            // node_exporter stays valid.
            if !here.contains(&name.as_str()) && collectors::elsewhere(name).is_none() {
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
    let elsewhere = collectors::ELSEWHERE.iter().map(|(name, _)| name);
    let all = collectors::NAMES.iter().chain(elsewhere);
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

impl Check for Qdisc {
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
