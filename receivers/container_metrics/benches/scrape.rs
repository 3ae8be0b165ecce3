//! What one scrape of a full node costs: 110 pods, each with a sandbox and a container.
//!
//! The groups are folders of files with the kernel's texts, so that any machine has as many; opening
//! and reading them costs about what it costs in the kernel's own tree, less what the kernel spends
//! on writing the texts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark's failure is a panic, its result a line"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{CollectRequest, Context, Create, Kind, Source};
use corten_container_metrics_receiver::factory;
use corten_pdata::Data;
use corten_testing::{RecordingSink, decode};

const PODS: usize = 110;
const ROUNDS: u32 = 100;

const FILES: [(&str, &str); 18] = [
    ("cgroup.events", "populated 1\nfrozen 0\n"),
    ("cgroup.procs", ""),
    (
        "cpu.stat",
        "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\nnr_periods 70000\nnr_throttled 300\nthrottled_usec 1100000\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("cpu.max", "100000 100000\n"),
    ("cpu.weight", "79\n"),
    (
        "cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n",
    ),
    (
        "memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n",
    ),
    (
        "io.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n",
    ),
    ("memory.current", "104857600\n"),
    ("memory.max", "209715200\n"),
    ("memory.min", "0\n"),
    ("memory.peak", "123456789\n"),
    ("memory.swap.current", "0\n"),
    ("memory.swap.max", "max\n"),
    (
        "memory.events.local",
        "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
    ),
    (
        "io.stat",
        "8:0 rbytes=4096000 wbytes=81920000 rios=1000 wios=2000 dbytes=0 dios=0\n",
    ),
    ("pids.current", "17\n"),
    ("pids.max", "4096\n"),
];

fn stat() -> String {
    let mut text = String::from(
        "anon 50000000\nfile 30000000\nfile_mapped 1000000\nfile_dirty 4096\nfile_writeback 0\nactive_file 10000000\ninactive_file 20000000\n",
    );
    for number in 0..45 {
        text += &format!("counter_{number} 123456\n");
    }
    text + "workingset_refault_anon 0\nworkingset_refault_file 17\npgscan 100\npgsteal 90\npgfault 123456\npgmajfault 12\n"
}

fn group(root: &Path, path: &str, stat: &str) {
    let folder = root.join(path);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("memory.stat"), stat).unwrap();
    std::fs::write(folder.join("memory.events"), FILES[14].1).unwrap();
}

fn source(root: &Path) -> Arc<dyn Source> {
    let yaml = format!(
        "path: {{cgroup: '{}'}}\nruntime: {{type: none}}",
        root.display()
    );
    let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let cx = Context::detached(Kind::Receiver, "container_metrics".parse().unwrap());
    create(cx, RecordingSink::new().next())
        .unwrap()
        .source()
        .unwrap()
}

/// CPU time of this process, in ticks of 10 ms, and its resident memory in KiB.
fn used() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = stat
        .split(' ')
        .skip(13)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    (ticks, resident)
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let stat = stat();
    group(root, "", &stat);
    std::fs::write(root.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
    group(root, "kubepods.slice", &stat);
    for pod in 0..PODS {
        let slice =
            format!("kubepods.slice/kubepods-pod{pod:08x}_bbbb_cccc_dddd_eeeeeeeeeeee.slice");
        group(root, &slice, &stat);
        for container in 0..2 {
            let id = format!("{:064x}", pod * 2 + container);
            group(root, &format!("{slice}/cri-containerd-{id}.scope"), &stat);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let source = source(root);
    let request = CollectRequest::all(Duration::from_secs(60));
    let collect = || match runtime.block_on(source.collect(&request)).unwrap() {
        Data::Metrics(metrics) => metrics.items(),
        other => panic!("{other:?}"),
    };
    let samples = collect();
    let ((before, _), began) = (used(), Instant::now());
    for _ in 0..ROUNDS {
        collect();
    }
    let (after, resident) = used();
    println!(
        "{} groups, {samples} samples: {} us of CPU and {} us in all a scrape, {} KiB resident",
        PODS * 3 + 2,
        (after - before) * 10_000 / u64::from(ROUNDS),
        began.elapsed().as_micros() / u128::from(ROUNDS),
        resident
    );
}
