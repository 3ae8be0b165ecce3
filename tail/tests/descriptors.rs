//! A process with few descriptors follows many files. Alone in its process, since the limit is the process's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use corten_tail::{Record, Settings, Sink, Source, StartAt, Tailer, Ticket};
use rustix::process::{Resource, Rlimit, setrlimit};

type Lines = Arc<(Mutex<BTreeMap<String, Vec<String>>>, Condvar)>;

struct Collect(Lines);

impl Sink for Collect {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        let mut lines = self.0.0.lock().unwrap();
        let text = String::from_utf8(record.body.to_vec()).unwrap();
        lines.entry(source.name.clone()).or_default().push(text);
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        ticket.delivered();
    }

    fn flush(&mut self) {
        self.0.1.notify_all();
    }
}

fn wait(lines: &Lines, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut held = lines.0.lock().unwrap();
    loop {
        let have: usize = held.values().map(Vec::len).sum();
        if have >= count {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{have} of {count} lines");
        held = lines.1.wait_timeout(held, left).unwrap().0;
    }
}

#[test]
fn two_thousand_files_with_few_descriptors() {
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(128),
            maximum: Some(4096),
        },
    )
    .unwrap();
    let root = tempfile::tempdir().unwrap();
    let append = |name: &str, text: &str| {
        let path = root.path().join(name);
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true);
        // The engine may have the last descriptor for a moment.
        let mut file = loop {
            match options.open(&path) {
                Ok(file) => break file,
                Err(error) => assert_eq!(error.raw_os_error(), Some(24), "{error}"),
            }
            std::thread::yield_now();
        };
        file.write_all(text.as_bytes()).unwrap();
    };
    let files = 2000;
    for file in 0..files {
        append(&format!("{file}.log"), "one\ntwo\n");
    }
    let lines = Lines::default();
    let settings = Settings {
        include: vec![format!("{}/*.log", root.path().display())],
        start_at: StartAt::Beginning,
        poll_interval: Duration::from_millis(10),
        ..Settings::default()
    };
    let tailer = Tailer::start(settings, None, Collect(Arc::clone(&lines))).unwrap();
    wait(&lines, 2 * files);
    for file in 0..files {
        append(&format!("{file}.log"), "three\n");
        let to = root.path().join(format!("{file}.log.1"));
        fs::rename(root.path().join(format!("{file}.log")), to).unwrap();
        append(&format!("{file}.log"), "four\n");
    }
    wait(&lines, 4 * files);
    assert!(tailer.stats().open_files.load(Ordering::Relaxed) <= 65);
    // Others take all that are left.
    let mut hoard = Vec::new();
    let other = root.path().join("0.log.1");
    while let Ok(file) = fs::File::open(&other) {
        hoard.push(file);
    }
    // For this thread's own work.
    hoard.pop();
    for file in 0..files {
        append(&format!("{file}.log"), "five\n");
    }
    wait(&lines, 5 * files);
    drop(hoard);
    for file in 0..files {
        append(&format!("{file}.log"), "six\n");
    }
    wait(&lines, 6 * files);
    assert!(tailer.stats().descriptor_errors.load(Ordering::Relaxed) > 0);
    assert_eq!(tailer.stats().gaps.load(Ordering::Relaxed), 0);
    tailer.stop(Duration::ZERO);
    tailer.join();
    let lines = lines.0.lock().unwrap();
    for (file, lines) in lines.iter() {
        assert_eq!(
            lines,
            &["one", "two", "three", "four", "five", "six"],
            "{file}"
        );
    }
}
