//! A writer that never rests, rotated and compressed like kubelet does it, and a reader that is stopped without a word again and
//! again: real threads, real time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use corten_storage::Directory;
use corten_tail::container::Format;
use corten_tail::{Framing, Record, Settings, Sink, Source, StartAt, Tailer, Ticket};
use flate2::write::GzEncoder;

const PODS: usize = 4;
const ROTATIONS: u64 = 40;
const LINES: u64 = 400;

#[derive(Default)]
struct Seen {
    /// Per pod and run of the reader: the numbers as they came.
    runs: Mutex<Vec<[Vec<u64>; PODS]>>,
    news: Condvar,
    stopped: AtomicBool,
}

struct Collect(Arc<Seen>);

impl Sink for Collect {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        let text = std::str::from_utf8(record.body).unwrap();
        let (number, filling) = text.split_once(' ').unwrap();
        assert!(
            filling.len() == 150 && filling.bytes().all(|byte| byte == b'x'),
            "{text}"
        );
        let pod: usize = source.container.as_ref().unwrap().pod.parse().unwrap();
        let mut runs = self.0.runs.lock().unwrap();
        runs.last_mut().unwrap()[pod].push(number.parse().unwrap());
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        // What comes after the end of a run was never sent.
        if !self.0.stopped.load(Ordering::Relaxed) {
            ticket.delivered();
        }
    }

    fn flush(&mut self) {
        self.0.news.notify_all();
    }
}

/// Writes one pod's log and does kubelet's work.
fn write(directory: &Path, written: &AtomicU64) {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join("0.log");
    let filling = "x".repeat(150);
    let mut number = 0;
    let mut old: Vec<PathBuf> = Vec::new();
    for rotation in 0..ROTATIONS {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        for line in 0..LINES {
            number += 1;
            // Every seventh line comes in two parts.
            let text = format!("{number} {filling}");
            let mut lines = String::new();
            if number % 7 == 0 {
                let (first, second) = text.split_at(20);
                lines.push_str(&format!(
                    "2026-01-01T00:00:00.000000001Z stdout P {first}\n"
                ));
                lines.push_str(&format!(
                    "2026-01-01T00:00:00.000000001Z stdout F {second}\n"
                ));
            } else {
                lines.push_str(&format!("2026-01-01T00:00:00.000000001Z stdout F {text}\n"));
            }
            if line == LINES - 1 {
                // The runtime goes on in the renamed file until it is told.
                let name = directory.join(format!("0.log.20260101-{rotation:06}"));
                fs::rename(&path, &name).unwrap();
                old.push(name);
            }
            file.write_all(lines.as_bytes()).unwrap();
        }
        drop(file);
        if old.len() > 1 {
            let name = old.remove(0);
            let (temporary, packed) = (
                name.with_added_extension("tmp"),
                name.with_added_extension("gz"),
            );
            let mut encoder = GzEncoder::new(
                File::create(&temporary).unwrap(),
                flate2::Compression::fast(),
            );
            encoder.write_all(&fs::read(&name).unwrap()).unwrap();
            encoder.finish().unwrap();
            fs::rename(&temporary, &packed).unwrap();
            fs::remove_file(&name).unwrap();
        }
        written.store(number, Ordering::Relaxed);
    }
}

#[test]
fn rotated_compressed_and_killed() {
    let root = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let directory = |pod: usize| root.path().join(format!("ns_{pod}_ab/app"));
    let settings = Settings {
        include: vec![format!("{}/*/*/*.log", root.path().display())],
        start_at: StartAt::Beginning,
        framing: Framing::Container {
            format: Format::Auto,
            join_docker: true,
        },
        poll_interval: Duration::from_millis(20),
        checkpoint_interval: Duration::from_millis(20),
        read_size: 20_000,
        max_in_flight_bytes: 100_000,
        ..Settings::default()
    };
    let start = |seen: &Arc<Seen>| {
        let state = Directory::open(state.path(), "test").unwrap();
        Tailer::start(settings.clone(), Some(state), Collect(Arc::clone(seen))).unwrap()
    };
    let written: Arc<[AtomicU64; PODS]> = Arc::default();
    let mut seen = Arc::new(Seen::default());
    seen.runs.lock().unwrap().push(Default::default());
    // A first save, so that what appears later is known to be new.
    let first = start(&seen);
    first.stop(Duration::ZERO);
    first.join();
    let writers: Vec<_> = (0..PODS)
        .map(|pod| {
            let (path, written) = (directory(pod), Arc::clone(&written));
            thread::spawn(move || write(&path, &written[pod]))
        })
        .collect();

    let mut all: [Vec<u64>; PODS] = Default::default();
    let total = ROTATIONS * LINES;
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut round = 0;
    loop {
        let tailer = start(&seen);
        // A run ends when it has read a while, the last when it has all.
        let mut runs = seen.runs.lock().unwrap();
        loop {
            let count: usize = runs.last().unwrap().iter().map(Vec::len).sum();
            let done = (0..PODS).all(|pod| {
                runs.iter().any(|run| run[pod].last() == Some(&total))
                    || all[pod].last() == Some(&total)
            });
            if done || (round < 15 && count > 2000) {
                break;
            }
            assert!(Instant::now() < deadline, "{count} lines in this run");
            runs = seen
                .news
                .wait_timeout(runs, Duration::from_millis(100))
                .unwrap()
                .0;
        }
        drop(runs);
        seen.stopped.store(true, Ordering::Relaxed);
        tailer.stop(Duration::ZERO);
        let stats = tailer.stats();
        tailer.join();
        assert_eq!(stats.gaps.load(Ordering::Relaxed), 0);
        assert_eq!(stats.gzip_errors.load(Ordering::Relaxed), 0);
        round += 1;
        let runs = std::mem::take(&mut *seen.runs.lock().unwrap());
        for run in runs {
            for (pod, numbers) in run.into_iter().enumerate() {
                for pair in numbers.windows(2) {
                    assert_eq!(pair[0] + 1, pair[1], "pod {pod}, run {round}");
                }
                // It goes on where it was, or with what was not acknowledged.
                if let Some(first) = numbers.first() {
                    let last = all[pod].last().copied().unwrap_or(0);
                    assert!(
                        *first <= last + 1,
                        "pod {pod}, run {round}: {first} after {last}"
                    );
                }
                all[pod].extend(numbers);
            }
        }
        if all.iter().all(|numbers| numbers.last() == Some(&total)) {
            break;
        }
        seen = Arc::new(Seen::default());
        seen.runs.lock().unwrap().push(Default::default());
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(round > 1, "{round} rounds");
}
