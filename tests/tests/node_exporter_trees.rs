//! Hosts recorded as files, read by Debian's node_exporter (1.5) and by Corten: the hardware that no machine of tests has.
//!
//! One tree is the receiver's own; the other is the one that node_exporter's library is tested with, taken from Debian's
//! package and in no repository of ours.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_tests::{
    Child, Command, Metrics, Peer, case, free_port, get, peer, recorded_host, repository, scrape,
    wait_for,
};

/// Those that read files alone, and that both have.
const COLLECTORS: [&str; 55] = [
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
    "drbd",
    "drm",
    "edac",
    "entropy",
    "fibrechannel",
    "filefd",
    "hwmon",
    "infiniband",
    "interrupts",
    "ipvs",
    "ksmd",
    "lnstat",
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
    "powersupplyclass",
    "pressure",
    "processes",
    "rapl",
    "schedstat",
    "slabinfo",
    "sockstat",
    "softnet",
    "stat",
    "sysctl",
    "tapestats",
    "thermal_zone",
    "udp_queues",
    "uname",
    "vmstat",
    "xfs",
    "zfs",
    "zoneinfo",
    "time",
];

/// Labels that came after 1.5.
const NEW_LABELS: &[(&str, &str)] = &[
    ("node_disk_info", "rotational"),
    ("node_network_info", "adminstate"),
    ("node_nvme_info", "cntlid"),
];

/// Families, by the beginning of their names, in which the two differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("node_scrape_collector_", "how the collectors fared"),
    ("node_exporter_build_info", "who was built, and when"),
    ("node_time_", "the present time"),
    ("promhttp_", "tells about Go's HTTP handler"),
    (
        "node_cpu_seconds_total",
        "1.5 fills numbers that a host's CPUs do not have with zeros",
    ),
    (
        "node_cpu_guest_seconds_total",
        "1.5 fills numbers that a host's CPUs do not have with zeros",
    ),
    (
        "node_softnet_",
        "1.5 counts lines, later ones take the CPU's number, where the kernel writes it",
    ),
    (
        "node_memory_FromTheFuture_bytes",
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        "node_memory_KReclaimable_bytes",
        "1.9 reads /proc/meminfo by a fixed list of names",
    ),
    (
        "node_mountstats_nfs_transport_",
        "1.9 tells the connections of a mount apart",
    ),
    (
        "node_nfs_requests_total",
        "1.6 and later take GETDEVICEINFO before LAYOUTGET, as the kernel does",
    ),
    (
        "node_nfsd_requests_total",
        "1.6 and later know of one operation more",
    ),
    ("node_md_disks", "1.9 has disks that are down"),
    (
        "node_hwmon_sensor_label",
        "1.6 knows sensors of frequencies",
    ),
    ("node_zfs_zpool_state", "1.6 knows pools that are suspended"),
];

type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn series(metrics: &Metrics) -> Series {
    let of = metrics.samples.iter().cloned();
    of.map(|(name, mut labels, value)| {
        for (family, label) in NEW_LABELS {
            if name == *family {
                labels.remove(*label);
            }
        }
        ((name, labels), value)
    })
    .collect()
}

/// What both make of the host below `tree`: node_exporter first.
fn read(tree: &Path) -> [Metrics; 2] {
    let (old, new) = (free_port(), free_port());
    let mut command = std::process::Command::new(peer(Peer::NodeExporter));
    command
        .arg(format!("--web.listen-address=127.0.0.1:{old}"))
        .arg("--web.disable-exporter-metrics")
        .arg("--collector.disable-defaults")
        .arg(format!("--path.procfs={}/proc", tree.display()))
        .arg(format!("--path.sysfs={}/sys", tree.display()))
        .arg(format!("--path.rootfs={}/root", tree.display()))
        .arg(format!("--path.udev.data={}/udev", tree.display()))
        .args([
            "--collector.cpu.info",
            "--collector.cpu.info.flags-include=.",
            "--collector.cpu.info.bugs-include=.",
            "--collector.stat.softirq",
            "--collector.sysctl.include=kernel.threads-max",
            "--collector.sysctl.include=fs.file-nr:total,current,max",
            "--no-collector.netdev.netlink",
            // Debian's leave out more.
            "--collector.netdev.device-exclude=^$",
            "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
        ])
        .args(COLLECTORS.map(|collector| format!("--collector.{collector}")));
    let _node_exporter = Child::start(&mut command);
    let _agent = Command::new()
        .arg("--config")
        .arg(case("node_exporter_trees").join("corten.yaml"))
        .env("TREE", tree)
        .env("PORT", new.to_string())
        .env("COLLECTORS", format!("[{}]", COLLECTORS.join(", ")))
        .start();
    wait_for("node_exporter answers", Duration::from_secs(10), || {
        get(old, "/metrics").ok()
    });
    [scrape(old, "/metrics"), scrape(new, "/metrics")]
}

/// Which of the known differences begins `family`.
fn known(family: &str) -> Option<&'static str> {
    let mut of = DIFFERENT.iter().map(|(prefix, _)| *prefix);
    of.find(|prefix| family.starts_with(prefix))
}

/// What differs without a reason, and the differences that were met.
fn compare(tree: &Path) -> (Vec<String>, BTreeSet<&'static str>) {
    let [old, corten] = read(tree);
    let families = old.families();
    let (before, now) = (series(&old), series(&corten));
    assert!(
        before.len() > 500,
        "{} has only {}",
        tree.display(),
        before.len()
    );
    let mut differences = Vec::new();
    let mut met = BTreeSet::new();
    let mut differs = |family: &str, what: String| match known(family) {
        Some(prefix) => {
            met.insert(prefix);
        }
        None => differences.push(what),
    };
    for ((family, labels), value) in &before {
        match now.get(&(family.clone(), labels.clone())) {
            None => differs(family, format!("{family} {labels:?} {value} is missing")),
            Some(other) if other != value && !(other.is_nan() && value.is_nan()) => {
                differs(
                    family,
                    format!("{family} {labels:?} is {other}, not {value}"),
                );
            }
            Some(_) => {}
        }
    }
    for ((family, labels), value) in &now {
        let alone = !before.contains_key(&(family.clone(), labels.clone()));
        if alone && families.contains(family) {
            differs(family, format!("{family} {labels:?} {value} is too much"));
        }
    }
    for family in families.intersection(&corten.families()) {
        let (before, now) = (&old.types[family], &corten.types[family]);
        if before != now {
            differs(family, format!("{family} is a {now}, not a {before}"));
        }
    }
    // What node_exporter can read, Corten can.
    let fared = |series: &Series, collector: &str| {
        let labels = [("collector".to_owned(), collector.to_owned())];
        series[&("node_scrape_collector_success".to_owned(), labels.into())]
    };
    for collector in COLLECTORS {
        if fared(&before, collector) > fared(&now, collector) {
            differences.push(format!("only node_exporter's {collector} succeeds"));
        }
    }
    (differences, met)
}

/// Unpacks an archive of ttar's: text, a header and the lines of each file.
fn unpack(archive: &Path, into: &Path) {
    let archive = std::fs::read_to_string(archive).unwrap();
    let mut lines = archive.lines();
    let mut path = PathBuf::new();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(": ") else {
            continue;
        };
        match key {
            "Directory" => std::fs::create_dir_all(into.join(value)).unwrap(),
            "Path" => {
                path = into.join(value);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            }
            "SymlinkTo" => std::os::unix::fs::symlink(value, &path).unwrap(),
            "Lines" => {
                let count = value.parse().unwrap();
                let text: String = lines
                    .by_ref()
                    .take(count)
                    .map(|line| format!("{}\n", line.replace("NULLBYTE", "\0")))
                    .collect();
                let text = text.strip_suffix("EOF\n").unwrap_or(&text);
                std::fs::write(&path, text).unwrap();
            }
            _ => {}
        }
    }
}

#[test]
fn hosts_of_files_read_alike() {
    let unpacked = tempfile::tempdir().unwrap();
    unpack(&recorded_host(), unpacked.path());
    let trees = [
        repository().join("receivers/node_exporter/tests/fixtures"),
        unpacked.path().join("fixtures"),
    ];
    let mut reasons = BTreeSet::new();
    for tree in trees {
        let (differences, met) = compare(&tree);
        assert!(
            differences.is_empty(),
            "{}:\n{}",
            tree.display(),
            differences.join("\n")
        );
        reasons.extend(met);
    }
    let given: BTreeSet<_> = DIFFERENT.iter().map(|(prefix, _)| *prefix).collect();
    assert_eq!(reasons, given, "reasons that nothing needs any more");
}
