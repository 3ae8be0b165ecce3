//! The same host, read by Debian's node_exporter (1.5) and by Corten (1.12's families): names, types, labels and values
//! agree, apart from a list of what changed in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use corten_tests::{Child, Command, Metrics, Peer, case, free_port, get, peer, scrape, wait_for};

/// Those that both have, the ones that are off by default among them.
const COLLECTORS: [&str; 59] = [
    "arp",
    "bcache",
    "bonding",
    "btrfs",
    "buddyinfo",
    "cgroups",
    "conntrack",
    "cpu",
    "cpufreq",
    "diskstats",
    "dmi",
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
    "ksmd",
    "loadavg",
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
    "os",
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
    "softnet",
    "stat",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "xfs",
    "zfs",
    "zoneinfo",
];
/// Both are given the same choice: their defaults differ, by version and by Debian's patches.
const MOUNT_POINTS_EXCLUDE: &str = "^/(dev|proc|sys|tmp)($|/)";
const FS_TYPES_EXCLUDE: &str = "^(autofs|binfmt_misc|cgroup2?|devpts|devtmpfs|fusectl|mqueue|nsfs|proc|securityfs|squashfs|sysfs|tracefs)$";
const NETDEV_EXCLUDE: &str = "^(veth|docker)";
const DISK_EXCLUDE: &str = "^(zram|ram|loop|fd)\\d+$";

/// What is different on purpose.
enum Change {
    /// A family that only 1.5 has.
    Gone(&'static str),
    /// A family that only 1.12 has.
    New(&'static str),
    /// A label that only 1.12 has.
    Label(&'static str, &'static str),
    /// A family whose values say nothing about the host.
    Values(&'static str),
}
use Change::{Gone, Label, New, Values};

/// What changed, and why. Families that a host has not are no contradiction.
const CHANGES: &[(Change, &str)] = &[
    (
        Gone("node_memory_KReclaimable_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_SecPageTables_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_FileHugePages_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_FilePmdMapped_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_Hugetlb_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_Balloon_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("node_memory_Unaccepted_bytes"),
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        Gone("promhttp_metric_handler_errors_total"),
        "tells about Go's HTTP handler, not about the host",
    ),
    (
        New("node_filesystem_mount_info"),
        "1.8: which device is mounted where",
    ),
    (
        New("node_filesystem_purgeable_bytes"),
        "1.9: only Darwin has values for it",
    ),
    (New("node_cpu_online"), "1.9: CPUs can be taken offline"),
    (
        New("node_disk_info"),
        "1.4 and later, where udev's data or the queue's attributes can be read",
    ),
    (
        New("node_ksmd_general_profit_bytes"),
        "1.10: what sharing pages saves",
    ),
    (
        New("node_netstat_TcpExt_TCPOFOQueue"),
        "1.7: reads it by default",
    ),
    (
        New("node_netstat_TcpExt_TCPRcvQDrop"),
        "1.7: reads it by default",
    ),
    (
        New("node_softnet_backlog_len"),
        "1.6: more columns of softnet_stat",
    ),
    (
        New("node_softnet_cpu_collision_total"),
        "1.6: more columns of softnet_stat",
    ),
    (
        New("node_softnet_flow_limit_count_total"),
        "1.6: more columns of softnet_stat",
    ),
    (
        New("node_softnet_received_rps_total"),
        "1.6: more columns of softnet_stat",
    ),
    (
        New("node_pressure_irq_stalled_seconds_total"),
        "1.9: Linux 6.1 tells of interrupts too",
    ),
    (
        New("node_cpu_frequency_avg_hertz"),
        "1.9: a file of newer kernels",
    ),
    (New("node_md_degraded"), "1.10: /sys/block/*/md"),
    (New("node_md_raid_disks"), "1.10: /sys/block/*/md"),
    (
        New("node_os_support_end_timestamp_seconds"),
        "1.7: SUPPORT_END of os-release",
    ),
    (
        New("node_xfs_inode_operation_attempts_total"),
        "1.8: inodes of XFS",
    ),
    (
        Label("node_network_info", "adminstate"),
        "1.6: whether somebody wants the interface up",
    ),
    (
        Values("node_perf_context_switches_total"),
        "each counts from its own start",
    ),
    (
        Values("node_perf_cpu_migrations_total"),
        "each counts from its own start",
    ),
    (
        Values("node_perf_major_faults_total"),
        "each counts from its own start",
    ),
    (
        Values("node_perf_minor_faults_total"),
        "each counts from its own start",
    ),
    (
        Values("node_perf_page_faults_total"),
        "each counts from its own start",
    ),
    (
        Label("node_processes_state", "state"),
        "a state that a process is in now and then is there now and then",
    ),
    (
        Values("node_processes_state"),
        "a state that a process is in now and then is there now and then",
    ),
    (
        Label("node_processes_threads_state", "thread_state"),
        "a state that a thread is in now and then is there now and then",
    ),
    (
        Values("node_processes_threads_state"),
        "a state that a thread is in now and then is there now and then",
    ),
    (
        Label("node_tcp_connection_states", "state"),
        "a state that a connection is in now and then is there now and then",
    ),
    (
        Values("node_tcp_connection_states"),
        "netlink tells of sockets that listen how many connections may wait, /proc/net/tcp tells of bytes",
    ),
    (
        Label("node_filesystem_", "device_error"),
        "1.7: why the device could not be read",
    ),
    (
        Label("node_disk_info", "rotational"),
        "1.9: whether the disk turns",
    ),
    (
        Label("node_exporter_build_info", "tags"),
        "1.6: how it was built",
    ),
    (
        Values("node_exporter_build_info"),
        "who was built, and when",
    ),
    (
        Values("node_scrape_collector_duration_seconds"),
        "how long each took",
    ),
];

type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Both exporters.
struct Pair {
    _node_exporter: Child,
    _agent: corten_tests::Agent,
    old: u16,
    new: u16,
}

impl Pair {
    /// With all collectors.
    fn start() -> Self {
        let args = COLLECTORS.map(|collector| format!("--collector.{collector}"));
        let env = [("COLLECTORS", format!("[{}]", COLLECTORS.join(", ")))];
        Self::with(&args, "corten.yaml", &env)
    }

    fn with(args: &[String], config: &str, env: &[(&str, String)]) -> Self {
        let (old, new) = (free_port(), free_port());
        let mut node_exporter = std::process::Command::new(peer(Peer::NodeExporter));
        node_exporter
            .arg(format!("--web.listen-address=127.0.0.1:{old}"))
            .arg("--web.disable-exporter-metrics")
            .arg("--collector.disable-defaults")
            .arg(format!(
                "--collector.filesystem.mount-points-exclude={MOUNT_POINTS_EXCLUDE}"
            ))
            .arg(format!(
                "--collector.filesystem.fs-types-exclude={FS_TYPES_EXCLUDE}"
            ))
            .arg(format!(
                "--collector.netdev.device-exclude={NETDEV_EXCLUDE}"
            ))
            .arg(format!(
                "--collector.diskstats.device-exclude={DISK_EXCLUDE}"
            ))
            // Debian's looks into a folder of its own.
            .arg("--collector.textfile.directory=")
            .args(args);
        let node_exporter = Child::start(&mut node_exporter);
        let mut agent = Command::new()
            .arg("--config")
            .arg(case("node_exporter_parity").join(config))
            .env("MOUNT_POINTS_EXCLUDE", MOUNT_POINTS_EXCLUDE)
            .env("FS_TYPES_EXCLUDE", FS_TYPES_EXCLUDE)
            .env("NETDEV_EXCLUDE", NETDEV_EXCLUDE)
            .env("DISK_EXCLUDE", DISK_EXCLUDE)
            .env("PORT", new.to_string());
        for (name, value) in env {
            agent = agent.env(name, value);
        }
        let agent = agent.start();
        wait_for("node_exporter answers", Duration::from_secs(10), || {
            get(old, "/metrics").ok()
        });
        Self {
            _node_exporter: node_exporter,
            _agent: agent,
            old,
            new,
        }
    }

    /// node_exporter, Corten, node_exporter again.
    fn read(&self) -> [Metrics; 3] {
        [self.old, self.new, self.old].map(|port| scrape(port, "/metrics"))
    }
}

fn gone(family: &str) -> bool {
    CHANGES
        .iter()
        .any(|(change, _)| matches!(change, Gone(name) if *name == family))
}

fn new(family: &str) -> bool {
    CHANGES
        .iter()
        .any(|(change, _)| matches!(change, New(name) if *name == family))
}

fn has_values(family: &str) -> bool {
    !CHANGES
        .iter()
        .any(|(change, _)| matches!(change, Values(name) if *name == family))
}

/// The series by name and labels, without what changed.
fn series(metrics: &Metrics) -> Series {
    let mut series = Series::new();
    for (name, labels, value) in &metrics.samples {
        if gone(name) || new(name) {
            continue;
        }
        let mut labels = labels.clone();
        for (change, _) in CHANGES {
            if let Label(family, label) = change
                && name.starts_with(family)
            {
                labels.remove(*label);
            }
        }
        if name == "node_exporter_build_info" {
            labels = labels
                .into_keys()
                .map(|label| (label, String::new()))
                .collect();
        }
        series.insert((name.clone(), labels), *value);
    }
    series
}

#[test]
fn families_types_and_labels_are_node_exporters() {
    let pair = Pair::start();
    let [old, corten, _] = pair.read();
    let (old_families, families) = (old.families(), corten.families());
    let missing: BTreeSet<_> = old_families
        .difference(&families)
        .filter(|family| !gone(family))
        .collect();
    assert_eq!(
        missing,
        BTreeSet::new(),
        "families that only node_exporter has"
    );
    let more: BTreeSet<_> = families
        .difference(&old_families)
        .filter(|family| !new(family))
        .collect();
    assert_eq!(more, BTreeSet::new(), "families that only Corten has");
    assert!(families.len() > 100, "{families:?}");
    for family in old_families.intersection(&families) {
        assert_eq!(
            old.types.get(family),
            corten.types.get(family),
            "the type of {family}"
        );
    }
    let (old, corten) = (series(&old), series(&corten));
    let keys = |series: &Series| series.keys().cloned().collect::<BTreeSet<_>>();
    let (old, corten) = (keys(&old), keys(&corten));
    assert_eq!(
        old.difference(&corten).collect::<Vec<_>>(),
        Vec::<&_>::new(),
        "series that only node_exporter has"
    );
    assert_eq!(
        corten.difference(&old).collect::<Vec<_>>(),
        Vec::<&_>::new(),
        "series that only Corten has"
    );
}

/// A value agrees when it is between those that node_exporter told right before and right after, give or take a percent
/// for what goes up and down; every series has to agree in one of many rounds.
#[test]
fn values_are_node_exporters() {
    let pair = Pair::start();
    let mut open: Option<BTreeMap<_, _>> = None;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut rounds = 0;
    while open.as_ref().is_none_or(|open| !open.is_empty()) && Instant::now() < deadline {
        rounds += 1;
        let [before, corten, after] = pair.read();
        let types = before.types.clone();
        let [before, corten, after] = [before, corten, after].map(|metrics| series(&metrics));
        let still = open.take().unwrap_or_else(|| {
            let keys = before.keys().filter(|(name, _)| has_values(name));
            keys.map(|key| (key.clone(), String::new())).collect()
        });
        let disagrees = still.into_keys().filter_map(|key| {
            let (Some(first), Some(value), Some(last)) =
                (before.get(&key), corten.get(&key), after.get(&key))
            else {
                return Some((key, "it is not everywhere".to_owned()));
            };
            let slack = if types.get(&key.0).is_some_and(|kind| kind == "counter") {
                1e-6
            } else {
                (first.abs().max(last.abs()) * 0.01).max(1e-6)
            };
            let fits = (first.min(*last) - slack..=first.max(*last) + slack).contains(value);
            (!fits).then(|| (key, format!("{value} is not between {first} and {last}")))
        });
        open = Some(disagrees.collect());
    }
    let open = open.unwrap();
    assert!(open.is_empty(), "after {rounds} rounds:\n{open:#?}");
}

/// What no time changes is equal to the last bit.
#[test]
fn constants_are_equal() {
    let pair = Pair::start();
    let [old, corten, _] = pair.read().map(|metrics| series(&metrics));
    for family in [
        "node_memory_MemTotal_bytes",
        "node_memory_SwapTotal_bytes",
        "node_uname_info",
        "node_boot_time_seconds",
        "node_filesystem_size_bytes",
        "node_filesystem_files",
        "node_filesystem_readonly",
        "node_network_receive_errs_total",
        "node_scrape_collector_success",
        "node_time_zone_offset_seconds",
    ] {
        let of = |series: &Series| {
            let of = series.iter().filter(|((name, _), _)| name == family);
            of.map(|(key, value)| (key.clone(), value.to_bits()))
                .collect::<BTreeMap<_, _>>()
        };
        assert!(!of(&old).is_empty(), "{family} is not there");
        assert_eq!(of(&old), of(&corten), "{family}");
    }
}

/// The counters of netlink and of the file under their own names, the aliases and the addresses.
#[test]
fn detailed_counters_of_interfaces_are_node_exporters() {
    for netlink in [true, false] {
        let mut args = vec![
            "--collector.netdev".to_owned(),
            "--collector.netdev.address-info".to_owned(),
            "--collector.netdev.enable-detailed-metrics".to_owned(),
        ];
        if !netlink {
            args.push("--no-collector.netdev.netlink".to_owned());
        }
        let pair = Pair::with(&args, "detailed.yaml", &[("NETLINK", netlink.to_string())]);
        let [old, corten, _] = pair.read();
        let types = |metrics: &Metrics| {
            let of = metrics
                .types
                .iter()
                .filter(|(name, _)| name.starts_with("node_network_"));
            of.map(|(name, kind)| (name.clone(), kind.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(types(&old), types(&corten), "netlink {netlink}");
        let of = |metrics: &Metrics| {
            let keys = metrics
                .samples
                .iter()
                .cloned()
                .map(|(name, mut labels, _)| {
                    // 1.5 has no such label yet.
                    labels.remove("ifalias");
                    (name, labels)
                });
            keys.filter(|(name, _)| name.starts_with("node_network_"))
                .collect::<BTreeSet<_>>()
        };
        let (before, now) = (of(&old), of(&corten));
        assert!(before.len() > 15, "{before:?}");
        assert_eq!(before, now, "netlink {netlink}");
        let aliased =
            |sample: &&(String, BTreeMap<String, String>, f64)| sample.1.contains_key("ifalias");
        assert!(corten.samples.iter().filter(aliased).count() > 15);
    }
}
