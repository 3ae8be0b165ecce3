//! Any bytes in the files of control groups, of either version, and of a container's network: they are read twice with the same result, and
//! nothing is more than it can be. The first byte says whose files they are; they are separated by `\x01`, and too few are repeated.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

#[path = "../../receivers/container_metrics/src/network.rs"]
mod network;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use corten_host::cgroup::{Cgroups, Wanted};
use corten_host::{Buffer, Roots};
use libfuzzer_sys::fuzz_target;

/// What version 2 has in each folder.
const UNIFIED: &[&str] = &[
    "cgroup.events",
    "cgroup.procs",
    "cpu.max",
    "cpu.pressure",
    "cpu.stat",
    "cpu.weight",
    "hugetlb.2MB.current",
    "hugetlb.2MB.events",
    "hugetlb.2MB.rsvd.current",
    "io.pressure",
    "io.stat",
    "memory.current",
    "memory.events",
    "memory.events.local",
    "memory.max",
    "memory.min",
    "memory.peak",
    "memory.pressure",
    "memory.stat",
    "memory.swap.current",
    "memory.swap.max",
    "pids.current",
    "pids.max",
];

/// What the controllers of version 1 have, each in a tree of its own.
const SPLIT: &[(&str, &[&str])] = &[
    (
        "cpu",
        &[
            "cpu.cfs_period_us",
            "cpu.cfs_quota_us",
            "cpu.shares",
            "cpu.stat",
            "cgroup.procs",
        ],
    ),
    (
        "cpuacct",
        &["cpuacct.stat", "cpuacct.usage", "cpuacct.usage_percpu"],
    ),
    (
        "memory",
        &[
            "memory.failcnt",
            "memory.kmem.usage_in_bytes",
            "memory.limit_in_bytes",
            "memory.max_usage_in_bytes",
            "memory.memsw.limit_in_bytes",
            "memory.numa_stat",
            "memory.oom_control",
            "memory.soft_limit_in_bytes",
            "memory.stat",
            "memory.usage_in_bytes",
        ],
    ),
    (
        "blkio",
        &[
            "blkio.throttle.io_service_bytes",
            "blkio.throttle.io_serviced",
            "blkio.io_service_bytes_recursive",
            "blkio.sectors_recursive",
        ],
    ),
    ("pids", &["pids.current", "pids.max"]),
    (
        "hugetlb",
        &[
            "hugetlb.2MB.usage_in_bytes",
            "hugetlb.2MB.max_usage_in_bytes",
            "hugetlb.2MB.failcnt",
        ],
    ),
    ("cpuset", &["cpuset.memory_migrate"]),
];

const NETWORK: &[&str] = &["dev", "tcp", "tcp6", "udp", "udp6"];

/// A folder in memory, of this process alone.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = tempfile::tempdir_in(parent).expect("a folder").keep();
        let mut folders = vec![folder.join("v2/pod/c"), folder.join("proc/7/net")];
        folders.extend(
            SPLIT
                .iter()
                .map(|(tree, _)| folder.join("v1").join(tree).join("pod/c")),
        );
        for folder in folders {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(
            folder.join("v2/cgroup.controllers"),
            "cpu io memory pids hugetlb",
        )
        .expect("a file");
        folder
    })
}

fn read(folder: &str) -> String {
    let mut groups = Cgroups::new(&root().join(folder)).with_page_sizes(vec!["2MB".to_owned()]);
    let Ok(all) = groups.read(&Wanted::ALL) else {
        return String::new();
    };
    for group in &all {
        if let Some(memory) = &group.memory {
            assert!(memory.working_set() <= memory.usage);
        }
    }
    format!("{all:?}")
}

fn network(lines: u64) {
    let (roots, mut buffer) = (Roots::below(root()), Buffer::default());
    for file in ["tcp", "tcp6"] {
        if let Some(states) = network::tcp(&roots, 7, file, &mut buffer) {
            assert!(states.iter().sum::<u64>() <= lines);
        }
    }
    for file in ["udp", "udp6"] {
        if let Some([listening, ..]) = network::udp(&roots, 7, file, &mut buffer) {
            assert!(listening <= lines);
        }
    }
    let _ = network::links(&roots, 7, &mut buffer);
}

fuzz_target!(|input: &[u8]| {
    let [whose, text @ ..] = input else {
        return;
    };
    let parts: Vec<&[u8]> = text.split(|byte| *byte == 1).collect();
    let mut next = parts.iter().cycle();
    let mut write = |folder: PathBuf, files: &[&str]| {
        for file in files {
            let part = next.next().expect("a part");
            std::fs::write(folder.join(file), part).expect("a file");
        }
    };
    match whose % 3 {
        0 => {
            write(root().join("v2/pod/c"), UNIFIED);
            assert_eq!(read("v2"), read("v2"));
        }
        1 => {
            for (tree, files) in SPLIT {
                write(root().join("v1").join(tree).join("pod/c"), files);
            }
            assert_eq!(read("v1"), read("v1"));
        }
        _ => {
            write(root().join("proc/7/net"), NETWORK);
            network(text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1);
        }
    }
});
