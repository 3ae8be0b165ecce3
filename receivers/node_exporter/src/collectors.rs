//! The collectors, one file each. To add one: write its file, add it to [`ALL`] and take its name
//! from [`ELSEWHERE`].

mod cpu;
mod diskstats;
mod filesystem;
mod loadavg;
mod meminfo;
mod netdev;
mod stat;
mod time;
mod uname;
mod vmstat;

use crate::collector::{Collector, Make};
use crate::config::Config;
use crate::shared::Sources;

/// Every collector with its name, in the order in which they run.
const ALL: [(&str, Make); NAMES.len()] = [
    ("cpu", cpu::make),
    ("diskstats", diskstats::make),
    ("filesystem", filesystem::make),
    ("loadavg", loadavg::make),
    ("meminfo", meminfo::make),
    ("netdev", netdev::make),
    ("stat", stat::make),
    ("time", time::make),
    ("uname", uname::make),
    ("vmstat", vmstat::make),
];

/// Their names.
pub(crate) const NAMES: &[&str] = &[
    "cpu",
    "diskstats",
    "filesystem",
    "loadavg",
    "meminfo",
    "netdev",
    "stat",
    "time",
    "uname",
    "vmstat",
];

/// Collectors of node_exporter for Linux that are not here.
#[rustfmt::skip]
pub(crate) const ELSEWHERE: &[&str] = &[
    "arp", "bcache", "bcachefs", "bonding", "btrfs", "buddyinfo", "cgroups", "conntrack",
    "cpu_vulnerabilities", "cpufreq", "dmi", "dmmultipath", "drbd", "drm", "edac", "entropy",
    "ethtool", "fibrechannel", "filefd", "hwmon", "infiniband", "interrupts", "ipvs",
    "kernel_hung", "ksmd", "lnstat", "logind", "mdadm", "meminfo_numa", "mountstats", "netclass",
    "netstat", "network_route", "nfs", "nfsd", "ntp", "nvme", "nvmesubsystem", "os", "pcidevice",
    "perf", "powersupplyclass", "pressure", "processes", "qdisc", "rapl", "runit", "schedstat",
    "selinux", "slabinfo", "sockstat", "softirqs", "softnet", "supervisord", "swap", "sysctl",
    "systemd", "tapestats", "tcpstat", "textfile", "thermal_zone", "timex", "udp_queues",
    "watchdog", "wifi", "xfrm", "xfs", "zfs", "zoneinfo",
];

/// All of them, made for this configuration.
pub(crate) fn all(
    config: &Config,
    sources: &Sources,
) -> impl IntoIterator<Item = (&'static str, Box<dyn Collector>)> {
    ALL.map(|(name, make)| (name, make(config, sources)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_once() {
        assert_eq!(ALL.map(|(name, _)| name), NAMES);
        assert!(NAMES.iter().all(|name| !ELSEWHERE.contains(name)));
        assert!(ELSEWHERE.is_sorted());
        // node_exporter's on and off by default.
        assert_eq!(NAMES.len() + ELSEWHERE.len(), 49 + 30);
    }
}
