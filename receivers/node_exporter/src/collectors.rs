//! The collectors, one file each. To add one: write its file, add it to [`ALL`] and take its name
//! from [`ELSEWHERE`].

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod buddyinfo;
mod cgroups;
mod conntrack;
mod cpu;
mod cpu_vulnerabilities;
mod cpufreq;
mod diskstats;
mod dmi;
mod dmmultipath;
mod drbd;
mod drm;
mod edac;
mod entropy;
mod ethtool;
mod fibrechannel;
mod filefd;
mod filesystem;
mod hwmon;
mod infiniband;
mod interrupts;
pub(crate) mod ipvs;
mod kernel_hung;
mod ksmd;
mod lnstat;
mod loadavg;
mod logind;
mod mdadm;
mod meminfo;
mod meminfo_numa;
mod mountstats;
mod netclass;
mod netdev;
mod netstat;
mod network_route;
mod nfs;
mod nfsd;
mod nvme;
mod nvmesubsystem;
mod os;
mod pcidevice;
pub(crate) mod perf;
mod powersupplyclass;
mod pressure;
mod processes;
mod qdisc;
mod rapl;
mod schedstat;
mod selinux;
mod slabinfo;
mod sockstat;
mod softirqs;
mod softnet;
mod stat;
mod swap;
mod sysctl;
mod systemd;
mod tapestats;
mod tcpstat;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod wifi;
mod xfrm;
mod xfs;
mod zfs;
mod zoneinfo;

use crate::collector::{Collector, Make};
use crate::config::Config;
use crate::shared::Sources;

/// Every collector with its name, in the order in which they run, and whether it runs by default.
const ALL: [(&str, Make, bool); NAMES.len()] = [
    ("arp", arp::make, true),
    ("bcache", bcache::make, true),
    ("bcachefs", bcachefs::make, true),
    ("bonding", bonding::make, true),
    ("btrfs", btrfs::make, true),
    ("buddyinfo", buddyinfo::make, false),
    ("cgroups", cgroups::make, false),
    ("conntrack", conntrack::make, true),
    ("cpu", cpu::make, true),
    ("cpu_vulnerabilities", cpu_vulnerabilities::make, false),
    ("cpufreq", cpufreq::make, true),
    ("diskstats", diskstats::make, true),
    ("dmi", dmi::make, true),
    ("dmmultipath", dmmultipath::make, true),
    ("drbd", drbd::make, false),
    ("drm", drm::make, false),
    ("edac", edac::make, true),
    ("entropy", entropy::make, true),
    ("ethtool", ethtool::make, false),
    ("fibrechannel", fibrechannel::make, true),
    ("filefd", filefd::make, true),
    ("filesystem", filesystem::make, true),
    ("hwmon", hwmon::make, true),
    ("infiniband", infiniband::make, true),
    ("interrupts", interrupts::make, false),
    ("ipvs", ipvs::make, true),
    ("kernel_hung", kernel_hung::make, true),
    ("ksmd", ksmd::make, false),
    ("lnstat", lnstat::make, false),
    ("loadavg", loadavg::make, true),
    ("logind", logind::make, false),
    ("mdadm", mdadm::make, true),
    ("meminfo", meminfo::make, true),
    ("meminfo_numa", meminfo_numa::make, false),
    ("mountstats", mountstats::make, false),
    ("netclass", netclass::make, true),
    ("netdev", netdev::make, true),
    ("netstat", netstat::make, true),
    ("network_route", network_route::make, false),
    ("nfs", nfs::make, true),
    ("nfsd", nfsd::make, true),
    ("nvme", nvme::make, true),
    ("nvmesubsystem", nvmesubsystem::make, false),
    ("os", os::make, true),
    ("pcidevice", pcidevice::make, false),
    ("perf", perf::make, false),
    ("powersupplyclass", powersupplyclass::make, true),
    ("pressure", pressure::make, true),
    ("processes", processes::make, false),
    ("qdisc", qdisc::make, false),
    ("rapl", rapl::make, true),
    ("schedstat", schedstat::make, true),
    ("selinux", selinux::make, true),
    ("slabinfo", slabinfo::make, false),
    ("sockstat", sockstat::make, true),
    ("softirqs", softirqs::make, false),
    ("softnet", softnet::make, true),
    ("stat", stat::make, true),
    ("swap", swap::make, false),
    ("sysctl", sysctl::make, false),
    ("systemd", systemd::make, false),
    ("tapestats", tapestats::make, true),
    ("tcpstat", tcpstat::make, false),
    ("textfile", textfile::make, true),
    ("thermal_zone", thermal_zone::make, true),
    ("time", time::make, true),
    ("timex", timex::make, true),
    ("udp_queues", udp_queues::make, true),
    ("uname", uname::make, true),
    ("vmstat", vmstat::make, true),
    ("watchdog", watchdog::make, true),
    ("wifi", wifi::make, false),
    ("xfrm", xfrm::make, false),
    ("xfs", xfs::make, true),
    ("zfs", zfs::make, true),
    ("zoneinfo", zoneinfo::make, false),
];

/// Their names.
pub(crate) const NAMES: &[&str] = &[
    "arp",
    "bcache",
    "bcachefs",
    "bonding",
    "btrfs",
    "buddyinfo",
    "cgroups",
    "conntrack",
    "cpu",
    "cpu_vulnerabilities",
    "cpufreq",
    "diskstats",
    "dmi",
    "dmmultipath",
    "drbd",
    "drm",
    "edac",
    "entropy",
    "ethtool",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "interrupts",
    "ipvs",
    "kernel_hung",
    "ksmd",
    "lnstat",
    "loadavg",
    "logind",
    "mdadm",
    "meminfo",
    "meminfo_numa",
    "mountstats",
    "netclass",
    "netdev",
    "netstat",
    "network_route",
    "nfs",
    "nfsd",
    "nvme",
    "nvmesubsystem",
    "os",
    "pcidevice",
    "perf",
    "powersupplyclass",
    "pressure",
    "processes",
    "qdisc",
    "rapl",
    "schedstat",
    "selinux",
    "slabinfo",
    "sockstat",
    "softirqs",
    "softnet",
    "stat",
    "swap",
    "sysctl",
    "systemd",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "watchdog",
    "wifi",
    "xfrm",
    "xfs",
    "zfs",
    "zoneinfo",
];

/// Collectors of node_exporter for Linux that are not here, and why.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ntp",
        "node_exporter has deprecated it; 'timex' has what the kernel knows of the clock",
    ),
    (
        "runit",
        "node_exporter has deprecated it; a 'textfile' can tell of services",
    ),
    (
        "supervisord",
        "node_exporter has deprecated it; a 'textfile' can tell of services",
    ),
];

/// Why the collector `name` of node_exporter is not here; `None` where it is, or nobody has it.
pub(crate) fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, why)| *why)
}

/// Whether a collector runs when nobody says so.
pub(crate) fn by_default(name: &str) -> bool {
    ALL.iter()
        .any(|(known, _, default)| *known == name && *default)
}

/// Those that the configuration wants, made for this configuration.
pub(crate) fn all(
    config: &Config,
    sources: &Sources,
) -> impl IntoIterator<Item = (&'static str, Box<dyn Collector>)> {
    ALL.into_iter()
        .filter(|(name, ..)| config.runs(name))
        .map(|(name, make, _)| (name, make(config, sources)))
        .collect::<Vec<_>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_once() {
        assert_eq!(ALL.map(|(name, ..)| name), NAMES);
        assert!(NAMES.iter().all(|name| elsewhere(name).is_none()));
        assert!(ELSEWHERE.is_sorted());
        assert!(NAMES.is_sorted());
        // node_exporter's on and off by default.
        assert_eq!(NAMES.len() + ELSEWHERE.len(), 49 + 30);
    }
}
