//! Control groups of this machine's kernel, made by the tests, with a known load.
//!
//! Where the machine lets nobody make groups (no privileges, a read-only tree) there is nothing to
//! compare with, and the tests say so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's failure is a panic"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{CollectRequest, ComponentId, Context, Create, Kind, Receiver, Source};
use corten_container_metrics_receiver::factory;
use corten_pdata::Data;
use corten_testing::{RecordingSink, decode, render_metrics};

const ROOT: &str = "/sys/fs/cgroup";

/// A container's group in some trees, removed with everything in it at the end.
struct Made {
    folders: Vec<PathBuf>,
    children: Vec<Child>,
}

impl Made {
    /// `None` where that is not possible.
    fn new(trees: &[&str], id: &str) -> Option<Self> {
        let mut made = Self {
            folders: Vec::new(),
            children: Vec::new(),
        };
        for tree in trees {
            let folder = Path::new(ROOT).join(tree).join(id.trim_start_matches('/'));
            if !Path::new(ROOT).join(tree).join("cgroup.procs").exists()
                || std::fs::create_dir_all(&folder).is_err()
            {
                eprintln!("no group can be made in {ROOT}/{tree}: nothing to compare with");
                return None;
            }
            made.folders.push(folder);
        }
        Some(made)
    }

    fn write(&self, file: &str, text: &str) {
        let folder = self
            .folders
            .iter()
            .find(|folder| folder.join(file).exists());
        std::fs::write(folder.unwrap().join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        let folder = self
            .folders
            .iter()
            .find(|folder| folder.join(file).exists());
        std::fs::read_to_string(folder.unwrap().join(file)).unwrap()
    }

    /// Runs a shell in the group.
    fn run(&mut self, script: &str) {
        let mut joined = String::new();
        for folder in &self.folders {
            joined += &format!("echo $$ > {}/cgroup.procs; ", folder.display());
        }
        let child = Command::new("sh").arg("-c").arg(joined + script).spawn();
        self.children.push(child.unwrap());
    }

    fn end(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        for folder in &self.folders {
            // The kernel takes a moment to let go of the last process.
            while folder.exists()
                && std::fs::remove_dir(folder).is_err()
                && Instant::now() < deadline
            {
                std::thread::yield_now();
            }
            drop(std::fs::remove_dir(folder.parent().unwrap()));
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.end();
    }
}

fn receiver(yaml: &str) -> (Arc<dyn Receiver>, Context) {
    let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let id: ComponentId = "container_metrics".parse().unwrap();
    let cx = Context::detached(Kind::Receiver, id);
    (create(cx.clone(), RecordingSink::new().next()).unwrap(), cx)
}

async fn text(source: &Arc<dyn Source>) -> String {
    let request = CollectRequest::all(Duration::from_secs(60));
    match source.collect(&request).await.unwrap() {
        Data::Metrics(metrics) => render_metrics(&metrics),
        other => panic!("{other:?}"),
    }
}

/// The value of a family for a group, and for further labels.
fn value(text: &str, family: &str, id: &str, more: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.starts_with(&format!("{family}{{"))
            && line.contains(&format!("id=\"{id}\""))
            && line.contains(more)
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn id(digit: char) -> String {
    format!(
        "/corten-test-{}-{digit}/{}",
        std::process::id(),
        digit.to_string().repeat(64)
    )
}

async fn until(mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < deadline, "the load did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn version_1_agrees_with_the_kernel() {
    let id = id('a');
    let Some(mut made) = Made::new(&["cpu", "cpuacct", "memory", "pids"], &id) else {
        return;
    };
    made.write("cpu.cfs_quota_us", "20000");
    made.write("cpu.cfs_period_us", "100000");
    made.write("memory.limit_in_bytes", "67108864");
    made.run("while :; do :; done");
    let throttled = |made: &Made| {
        let stat = made.read("cpu.stat");
        let number = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        number.unwrap().parse::<f64>().unwrap()
    };
    until(|| throttled(&made) >= 3.0).await;
    let (receiver, _cx) = receiver("runtime: {type: none}");
    let usage = |made: &Made| made.read("cpuacct.usage").trim().parse::<f64>().unwrap() / 1e9;
    let (before, throttled_before) = (usage(&made), throttled(&made));
    let text = text(&receiver.source().unwrap()).await;
    let (after, throttled_after) = (usage(&made), throttled(&made));
    let of = |family| value(&text, family, &id, "").unwrap_or_else(|| panic!("{family}\n{text}"));
    let total = value(
        &text,
        "container_cpu_usage_seconds_total",
        &id,
        "cpu=\"total\"",
    )
    .unwrap();
    assert!(
        (before..=after).contains(&total),
        "{before} {total} {after}"
    );
    let shown = of("container_cpu_cfs_throttled_periods_total");
    assert!((throttled_before..=throttled_after).contains(&shown));
    assert!(of("container_cpu_cfs_throttled_seconds_total") > 0.0);
    assert_eq!(of("container_spec_cpu_quota"), 20_000.0);
    assert_eq!(of("container_spec_cpu_period"), 100_000.0);
    assert_eq!(of("container_spec_memory_limit_bytes"), 67_108_864.0);
    assert!(of("container_memory_usage_bytes") >= of("container_memory_working_set_bytes"));
    assert_eq!(of("container_processes"), 1.0);
    assert_eq!(of("container_threads"), 1.0);
    assert!(of("container_file_descriptors") >= 3.0);
    assert!(of("container_ulimits_soft") >= -1.0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 120.0..=now).contains(&of("container_start_time_seconds")));
    // Without Kubernetes a container has a network of its own.
    assert!(text.contains("container_network_receive_bytes_total{") || !text.contains("eth0"));
}

#[tokio::test]
async fn version_2_agrees_with_the_kernel() {
    let tree = ["", "unified"].into_iter().find(|tree| {
        Path::new(ROOT)
            .join(tree)
            .join("cgroup.controllers")
            .exists()
    });
    let Some(tree) = tree else {
        eprintln!("no tree of version 2 here: nothing to compare with");
        return;
    };
    let id = id('b');
    let Some(mut made) = Made::new(&[tree], &id) else {
        return;
    };
    made.run("while :; do :; done");
    let usage = |made: &Made| {
        let stat = made.read("cpu.stat");
        let number = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        number.unwrap().parse::<f64>().unwrap() / 1e6
    };
    until(|| usage(&made) > 0.1).await;
    let (receiver, _cx) = receiver(&format!(
        "path: {{cgroup: '{ROOT}/{tree}'}}\nruntime: {{type: none}}"
    ));
    let before = usage(&made);
    let text = text(&receiver.source().unwrap()).await;
    let after = usage(&made);
    let total = value(
        &text,
        "container_cpu_usage_seconds_total",
        &id,
        "cpu=\"total\"",
    )
    .unwrap();
    assert!(
        (before..=after).contains(&total),
        "{before} {total} {after}"
    );
    assert_eq!(value(&text, "container_processes", &id, ""), Some(1.0));
    if made.folders[0].join("cpu.pressure").exists() {
        let waited = value(
            &text,
            "container_pressure_cpu_waiting_seconds_total",
            &id,
            "",
        );
        assert!(waited.is_some_and(|waited| waited >= 0.0), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_between_two_scrapes_is_in_the_next_one() {
    let versions: [(&[&str], &str, char); 3] = [
        (&["cpu", "cpuacct"], "", 'c'),
        (&["unified"], "unified", 'd'),
        (&[""], "", 'e'),
    ];
    for (trees, path, digit) in versions {
        if trees == [""] && !Path::new(ROOT).join("cgroup.controllers").exists() {
            continue;
        }
        // The folder above is there before the watch, as that of the pods is.
        let id = id(digit);
        let Some(mut made) = Made::new(trees, &id) else {
            continue;
        };
        made.end();
        let (receiver, cx) = receiver(&format!(
            "path: {{cgroup: '{}'}}\nruntime: {{type: none}}",
            Path::new(ROOT).join(path).display()
        ));
        Arc::clone(&receiver).start().await.unwrap();
        let source = receiver.source().unwrap();
        let mut found = None;
        // The first look may come before the watch is there.
        for _ in 0..10 {
            let mut made = Made::new(trees, &id).unwrap();
            made.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
            drop(made.children[0].wait());
            tokio::time::sleep(Duration::from_millis(300)).await;
            made.end();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let text = text(&source).await;
            found = value(&text, "container_cpu_usage_seconds_total", &id, "");
            if found.is_some_and(|used| used > 0.0) {
                break;
            }
        }
        assert!(found.is_some_and(|used| used > 0.0), "{trees:?}: {found:?}");
        let again = text(&source).await;
        assert!(value(&again, "container_cpu_usage_seconds_total", &id, "").is_none());
        receiver.shutdown().await.unwrap();
        drop(cx);
    }
}
