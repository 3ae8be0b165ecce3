//! What a line costs, beside what compressing it costs.
//!
//! `cargo test --release -p corten-loki-exporter cost -- --nocapture` prints the figures.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{attribute, batch, config, pod, record, text};
use crate::job::Job;
use crate::mapping::Mapping;
use crate::request::Workshop;
use crate::sender::sort;
use crate::streams::{Outcome, Streams};

const PODS: usize = 50;
const LINES: usize = 200;

/// Something that does not compress, as request ids do not.
fn id(seed: usize) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(seed);
    hasher.finish()
}

#[test]
fn a_line_costs_less_than_its_compression() {
    let rounds = if cfg!(debug_assertions) { 1 } else { 200 };
    let resources = (0..PODS).map(|at| {
        let records = (0..LINES).map(|line| {
            let mut record = record(
                1_700_000_000_000_000_000 + u64::try_from(line).unwrap() * 1_000_003,
                &format!(
                    r#"{{"level":"info","ts":"2026-01-02T03:04:05.{line:06}Z","caller":"server/handler.go:{line}","msg":"request finished","method":"GET","path":"/api/v1/items/{}","status":200,"request_id":"{:016x}","duration_ms":{}.{at}}}"#,
                    line * 7919 % 100_003,
                    id(at * LINES + line),
                    line % 97
                ),
            );
            record.attributes = vec![attribute("log.iostream", text("stdout")), attribute("log.file.path", text(&format!("/var/log/pods/shop_pod-{at}_uid/main/0.log")))];
            record
        });
        pod(&format!("pod-{at}"), records.collect())
    });
    let batch = batch(resources.collect());
    let mapping = Mapping::new(&config(""));
    let mut workshop = Workshop::default();
    let (mut sorting, mut all) = (Duration::MAX, Duration::MAX);
    let mut bytes = 0;
    for _ in 0..rounds {
        let (job, _end) = Job::new(batch.items(), true);
        let started = Instant::now();
        let mut streams = Streams::default();
        let now = tokio::time::Instant::now();
        for (key, labels, run) in sort(batch.data.segments(), &mapping, &job).runs {
            streams.push(&key, &labels, run, now);
        }
        sorting = sorting.min(started.elapsed());
        let mut lines = 0;
        bytes = 0;
        while let Some(taken) = streams.take(1 << 20) {
            let (request, left_out) = workshop.make(taken, &mapping, 1 << 20).unwrap();
            lines += request.lines;
            bytes += request.size;
            for stream in left_out {
                streams.give_back(stream.key, stream.runs, Outcome::Back, now);
            }
            let ended: Vec<_> = request
                .streams
                .into_iter()
                .map(|part| part.rest())
                .map(|(key, runs)| (key, runs, Outcome::Done))
                .collect();
            streams.settle(ended, now);
        }
        all = all.min(started.elapsed());
        assert_eq!(lines, PODS * LINES);
    }
    // The floor: compressing the same bytes.
    let mut body = Vec::new();
    let mut encoder = snap::raw::Encoder::new();
    let mut streams = Streams::default();
    let (job, _end) = Job::new(batch.items(), true);
    let now = tokio::time::Instant::now();
    for (key, labels, run) in sort(batch.data.segments(), &mapping, &job).runs {
        streams.push(&key, &labels, run, now);
    }
    let taken = streams.take(1 << 20).unwrap();
    let (request, _) = workshop.make(taken, &mapping, 1 << 20).unwrap();
    body.extend_from_slice(workshop.encoder.body());
    let mut floor = Duration::MAX;
    let mut out = vec![0; snap::raw::max_compress_len(body.len())];
    for _ in 0..rounds {
        let started = Instant::now();
        black_box(encoder.compress(black_box(&body), &mut out).unwrap());
        floor = floor.min(started.elapsed());
    }
    let per_line = |time: Duration, lines: usize| {
        time.as_secs_f64() * 1e9 / f64::from(u32::try_from(lines).unwrap())
    };
    let (sorted, total, compressed) = (
        per_line(sorting, PODS * LINES),
        per_line(all, PODS * LINES),
        per_line(floor, request.lines),
    );
    println!(
        "{} B of body per line; sort {sorted:.0} ns, encode {:.0} ns, snappy {compressed:.0} ns: {:.2} of snappy's speed",
        bytes / (PODS * LINES),
        total - sorted - compressed,
        compressed / total
    );
    if !cfg!(debug_assertions) {
        assert!(
            total < 2.0 * compressed,
            "{total} ns, of which {compressed} ns compress"
        );
    }
}
