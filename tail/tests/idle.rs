//! A node where little is written: what it costs, and how soon the little is read. Alone in its process, whose CPU
//! time it looks at.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use corten_tail::container::Format;
use corten_tail::{Framing, Record, Settings, Sink, Source, StartAt, Tailer, Ticket};
use rustix::time::{ClockId, clock_gettime};

struct Pass(SyncSender<String>);

impl Sink for Pass {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        let text = String::from_utf8_lossy(record.body);
        self.0.send(format!("{} {text}", source.path)).unwrap();
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        ticket.delivered();
    }

    fn flush(&mut self) {}
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// What the process has in memory, KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

struct Node {
    root: tempfile::TempDir,
    lines: Receiver<String>,
    tailer: Tailer,
}

impl Node {
    fn new(pods: usize, poll: Duration, watches: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        for pod in 0..pods {
            let directory = root.path().join(format!("ns_pod-{pod}_uid/app"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(
                directory.join("0.log"),
                "2026-01-01T00:00:00Z stdout F begin\n",
            )
            .unwrap();
        }
        let settings = Settings {
            include: vec![format!("{}/*/*/*.log", root.path().display())],
            start_at: StartAt::Beginning,
            poll_interval: poll,
            max_watches: watches,
            framing: Framing::Container {
                format: Format::Auto,
                join_docker: true,
            },
            ..Settings::default()
        };
        let (sender, lines) = sync_channel(1000);
        let tailer = Tailer::start(settings, None, Pass(sender)).unwrap();
        let node = Self {
            root,
            lines,
            tailer,
        };
        for _ in 0..pods {
            node.lines.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        node
    }

    fn path(&self, pod: usize) -> PathBuf {
        self.root.path().join(format!("ns_pod-{pod}_uid/app/0.log"))
    }

    fn write(&self, pod: usize) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.path(pod))
            .unwrap();
        writeln!(file, "2026-01-01T00:00:00Z stdout F hello").unwrap();
    }

    fn quiet(&self, time: Duration) {
        assert_eq!(
            self.lines.recv_timeout(time),
            Err(RecvTimeoutError::Timeout)
        );
    }
}

#[test]
fn idle_costs_next_to_nothing_and_a_line_wakes_the_engine() {
    // Looked at everything only now and then: what comes sooner comes by a hint.
    let node = Node::new(200, Duration::from_secs(600), 10_000);
    for pod in [0, 7, 199] {
        let begun = Instant::now();
        node.write(pod);
        let line = node.lines.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(
            line.ends_with("hello") && line.contains(&format!("pod-{pod}_")),
            "{line}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    // A new pod shows by hints alone, too.
    fs::create_dir_all(node.root.path().join("ns_new_uid/app")).unwrap();
    let path = node.root.path().join("ns_new_uid/app/0.log");
    fs::write(path, "2026-01-01T00:00:00Z stdout F new\n").unwrap();
    assert!(
        node.lines
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .ends_with("new")
    );
    node.tailer.stop(Duration::ZERO);
    node.tailer.join();

    for (watches, most) in [(10_000, 0.01), (0, 0.03)] {
        let node = Node::new(200, Duration::from_millis(200), watches);
        node.quiet(Duration::from_millis(2500));
        let (begun, before) = (Instant::now(), cpu_time());
        node.quiet(Duration::from_secs(2));
        let share = (cpu_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let memory = memory();
        eprintln!(
            "{watches} watches: {:.3} % of a core, {memory} KiB",
            share * 100.0
        );
        assert!(memory < 30 << 10, "{memory} KiB");
        assert!(share < most, "{watches} watches: {share}");
        node.tailer.stop(Duration::ZERO);
        node.tailer.join();
    }

    let before = memory();
    let node = Node::new(2000, Duration::from_millis(200), 10_000);
    node.quiet(Duration::from_millis(500));
    let more = memory().saturating_sub(before);
    eprintln!("2,000 files: {more} KiB more");
    assert!(more < 20 << 10, "{more} KiB");
    node.tailer.stop(Duration::ZERO);
    node.tailer.join();
}
