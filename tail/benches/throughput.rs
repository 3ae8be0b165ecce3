//! Reading container logs, from reading the bytes alone to records in a sink.
//!
//! `cargo bench -p corten-tail`: the ratio of the last to the first two is what the engine adds to its floor.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use corten_tail::container::Format;
use corten_tail::{Framing, Record, Settings, Sink, Source, StartAt, Tailer, Ticket};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

const LINES: usize = 400_000;

struct Logs {
    root: tempfile::TempDir,
    bytes: usize,
}

impl Logs {
    /// CRI lines of 200 bytes in one file.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut text = Vec::new();
        for line in 0..LINES {
            let nanos = line * 1000;
            writeln!(
                text,
                "2026-01-01T00:00:{:02}.{:09}Z stdout F {line:0>154}",
                nanos / 1_000_000_000,
                nanos % 1_000_000_000
            )
            .unwrap();
        }
        std::fs::write(root.path().join("0.log"), &text).unwrap();
        Self {
            root,
            bytes: text.len(),
        }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("0.log")
    }
}

fn main() {
    divan::main();
}

#[divan::bench]
fn read_alone(bencher: Bencher<'_, '_>) {
    let logs = Logs::new();
    let mut buffer = vec![0; 256 << 10];
    bencher
        .counter(BytesCount::new(logs.bytes))
        .counter(ItemsCount::new(LINES))
        .bench_local(|| {
            let mut file = File::open(logs.path()).unwrap();
            while file.read(&mut buffer).unwrap() > 0 {
                black_box(&buffer);
            }
        });
}

#[divan::bench]
fn read_and_split(bencher: Bencher<'_, '_>) {
    let logs = Logs::new();
    let mut buffer = vec![0; 256 << 10];
    bencher
        .counter(BytesCount::new(logs.bytes))
        .counter(ItemsCount::new(LINES))
        .bench_local(|| {
            let mut file = File::open(logs.path()).unwrap();
            let mut lines = 0;
            loop {
                let count = file.read(&mut buffer).unwrap();
                let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
                    break;
                };
                lines += memchr::memchr_iter(b'\n', read).count();
            }
            assert_eq!(black_box(lines), LINES);
        });
}

#[derive(Default)]
struct Count {
    records: usize,
    bytes: usize,
    done: Arc<(Mutex<bool>, Condvar)>,
}

impl Sink for Count {
    fn record(&mut self, _: &Source, record: &Record<'_>) {
        self.records += 1;
        self.bytes += black_box(record.body).len();
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        ticket.delivered();
    }

    fn flush(&mut self) {
        if self.records == LINES {
            *self.done.0.lock().unwrap() = true;
            self.done.1.notify_all();
        }
    }
}

#[divan::bench]
fn engine(bencher: Bencher<'_, '_>) {
    let logs = Logs::new();
    bencher
        .counter(BytesCount::new(logs.bytes))
        .counter(ItemsCount::new(LINES))
        .bench_local(|| {
            let sink = Count::default();
            let done = Arc::clone(&sink.done);
            let settings = Settings {
                include: vec![format!("{}/*.log", logs.root.path().display())],
                start_at: StartAt::Beginning,
                framing: Framing::Container {
                    format: Format::Auto,
                    join_docker: true,
                },
                ..Settings::default()
            };
            let tailer = Tailer::start(settings, None, sink).unwrap();
            let mut finished = done.0.lock().unwrap();
            while !*finished {
                finished = done.1.wait(finished).unwrap();
            }
            drop(finished);
            assert_eq!(tailer.stats().unparsed.load(Ordering::Relaxed), 0);
            tailer.stop(Duration::ZERO);
            tailer.join();
        });
}
