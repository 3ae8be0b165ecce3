//! The same processes, read by Debian's process-exporter and by Corten: groups, names, types, labels and values agree.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child as Process, Command as Program, Stdio};
use std::time::Duration;

use corten_tests::{Child, Command, Metrics, Peer, free_port, get, peer, python, scrape, wait_for};

/// The groups that both are asked for.
const GROUPS: &str = "process_names:
  - {name: 'sleepers {{.Matches.Seconds}}', comm: [sleep], cmdline: ['^sleep (?P<Seconds>1111|2222)$']}
  - {name: '{{.ExeBase}} of {{.Username}}', exe: [python], cmdline: [get_native_id]}
  - {name: '{{.ExeFull}}', exe: [/bin/sh], cmdline: ['cat; true']}
";

/// Works a little, with two threads, and waits for a line between two rounds.
const WORK: &str = "
import sys, threading, time
def work(name):
    open('/proc/self/task/%d/comm' % threading.get_native_id(), 'w').write(name)
    while True:
        for _ in range(2000): sum(range(100))
        time.sleep(0.01)
for name in ('one', 'two'):
    threading.Thread(target=work, args=(name,), daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
";

/// Ends with the test.
struct Running(Process);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn run(program: &str, args: &[&str]) -> Running {
    let mut command = Program::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Running(command.spawn().unwrap())
}

type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn series(metrics: &Metrics) -> Series {
    let ours = |name: &str| name.starts_with("namedprocess_namegroup_");
    metrics
        .samples
        .iter()
        .filter(|(name, ..)| ours(name))
        .map(|(name, labels, value)| ((name.clone(), labels.clone()), *value))
        .collect()
}

#[test]
fn groups_are_those_of_process_exporter() {
    let _sleepers = [
        run("sleep", &["1111"]),
        run("sleep", &["1111"]),
        run("sleep", &["2222"]),
    ];
    let mut worker = run(python().to_str().unwrap(), &["-c", WORK]);
    let mut ready = [0; 6];
    worker
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .unwrap();
    // A shell with a child that no entry matches.
    let _shell = run("/bin/sh", &["-c", "cat; true"]);
    let (theirs, ours) = (free_port(), free_port());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groups.yaml");
    std::fs::write(&file, GROUPS).unwrap();
    let mut exporter = Program::new(peer(Peer::ProcessExporter));
    exporter
        .arg("-config.path")
        .arg(&file)
        .arg(format!("-web.listen-address=127.0.0.1:{theirs}"));
    let _exporter = Child::start(&mut exporter);
    let groups = GROUPS.replace('\n', "\n    ");
    let _agent = Command::yaml(&format!(
        "
receivers:
  process_metrics:
    {groups}
exporters: {{prometheus: {{endpoint: '127.0.0.1:{ours}'}}}}
service: {{pipelines: {{metrics: {{receivers: [process_metrics], exporters: [prometheus]}}}}}}
"
    ))
    .start();
    wait_for("process-exporter answers", Duration::from_secs(10), || {
        get(theirs, "/metrics").ok()
    });
    // Counters begin at the first look, which neither takes when the other does: what they grow by is compared.
    let look = || series(&scrape(theirs, "/metrics"));
    let (earlier, own_earlier, later) = (look(), series(&scrape(ours, "/metrics")), look());
    std::thread::sleep(Duration::from_millis(500));
    let before = look();
    let own_metrics = scrape(ours, "/metrics");
    let after_metrics = scrape(theirs, "/metrics");
    let (own, after) = (series(&own_metrics), series(&after_metrics));

    let names: BTreeSet<_> = own.keys().map(|(_, labels)| &labels["groupname"]).collect();
    let wanted = [
        "/bin/sh",
        "python of root",
        "sleepers 1111",
        "sleepers 2222",
    ];
    assert!(
        names.iter().map(|name| name.as_str()).eq(wanted),
        "{names:?}"
    );
    // What a thread waits for differs from moment to moment.
    let fleeting = |name: &str| name.ends_with("_wchan");
    let keys = |series: &Series| -> BTreeSet<_> {
        let keys = series.keys().filter(|(name, _)| !fleeting(name));
        keys.cloned().collect()
    };
    let (expected, found) = (keys(&after), keys(&own));
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:#?}\nmore {more:#?}"
    );
    for family in own_metrics.families() {
        if family.starts_with("namedprocess_") {
            let types = (
                own_metrics.types.get(&family),
                after_metrics.types.get(&family),
            );
            assert_eq!(types.0, types.1, "{family}");
        }
    }
    for (key, value) in &own {
        let (name, labels) = key;
        if fleeting(name) {
            continue;
        }
        // Between the two looks of process-exporter around Corten's.
        let (mut low, mut high) = (before[key].min(after[key]), before[key].max(after[key]));
        let mut value = *value;
        if name.ends_with("_total") {
            value -= own_earlier[key];
            low -= later[key];
            high -= earlier[key];
        }
        let slack = match name.trim_start_matches("namedprocess_namegroup_") {
            // Ticks are hundredths, and each of several threads has one that is not full.
            "cpu_seconds_total" | "thread_cpu_seconds_total" => 0.03,
            "context_switches_total" | "thread_context_switches_total" => 5.0,
            // One more or less that runs at the moment, of a process and its thread.
            "states" => 2.0,
            "memory_bytes" => high * 0.05,
            "minor_page_faults_total" | "thread_minor_page_faults_total" => 5.0,
            _ => 0.0,
        };
        assert!(
            (low - slack..=high + slack).contains(&value),
            "{name} {labels:?}: {value}, between {low} and {high}"
        );
    }
    let worked: f64 = own
        .iter()
        .filter(|((name, labels), _)| {
            name.ends_with("thread_cpu_seconds_total") && labels["threadname"] == "one"
        })
        .map(|(_, value)| value)
        .sum();
    assert!(worked > 0.0, "a thread that works uses the processor");
}
