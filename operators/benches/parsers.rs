//! What operators cost per record, on lines of 200 bytes: `cargo bench -p corten-operators`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark whose arrangement fails has to stop"
)]

use std::time::Instant;

use corten_config::{Problems, section};
use corten_operators::{Chain, Entry, EntryWriter, Operators};
use divan::Bencher;
use divan::counter::ItemsCount;

/// The agent's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const JSON: &str = r#"{"time":"2026-01-01T00:00:00.123Z","level":"info","message":"request done","method":"GET","path":"/api/v1/orders/17","status":200,"duration":0.0123,"user":"u-29","trace_id":"480140f3d770a5ae32f0a22b6a812cff"}"#;
const TEXT: &str = r#"10.0.0.17 - alice [10/Oct/2025:13:55:36 -0700] "GET /api/v1/orders/17?expand=lines HTTP/1.1" 200 2326 "https://shop.example.org/cart" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0" 0.0123"#;
const PAIRS: &str = r#"time=2026-01-01T00:00:00.123Z level=info msg="request done" method=GET path=/api/v1/orders/17 status=200 duration=12.3ms user=u-29 trace_id=480140f3d770a5ae32f0a22b6a812cff component=http node=worker-3"#;

fn main() {
    divan::main();
}

fn chain(yaml: &str) -> Chain {
    let mut problems = Problems::new();
    let operators: Operators = section(yaml, "operators", &mut problems)
        .unwrap()
        .decode(&mut problems)
        .unwrap();
    operators.build(&mut problems).unwrap()
}

/// From a line to an entry and through the operators; with `write`, to OTLP's bytes.
fn run(bencher: Bencher<'_, '_>, yaml: &str, line: &str, write: bool) {
    const LINES: usize = 1000;
    let mut chain = chain(yaml);
    let now = Instant::now();
    let base = Entry::default();
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let mut writer = EntryWriter::with_capacity(if write { 1 << 19 } else { 0 });
        for _ in 0..LINES {
            let mut entry = base.clone();
            entry.body = line.into();
            chain.process(entry, now, &mut |entry| {
                if write {
                    writer.write(entry);
                } else {
                    divan::black_box(&entry);
                }
            });
        }
        writer.len_bytes()
    });
}

/// The line and the entry alone.
#[divan::bench]
fn noop(bencher: Bencher<'_, '_>) {
    run(bencher, "[{type: noop}]", JSON, false);
}

#[divan::bench]
fn json_parser(bencher: Bencher<'_, '_>) {
    run(bencher, "[{type: json_parser}]", JSON, false);
}

#[divan::bench]
fn json_parser_written(bencher: Bencher<'_, '_>) {
    run(bencher, "[{type: json_parser}]", JSON, true);
}

#[divan::bench]
fn json_parser_with_time_and_severity(bencher: Bencher<'_, '_>) {
    let yaml = "[{type: json_parser, timestamp: {parse_from: attributes.time, layout: '%Y-%m-%dT%H:%M:%S.%LZ', location: UTC}, severity: {parse_from: attributes.level}}]";
    run(bencher, yaml, JSON, false);
}

#[divan::bench]
fn regex_parser(bencher: Bencher<'_, '_>) {
    let yaml = r#"[{type: regex_parser, regex: '^(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<bytes>\d+)'}]"#;
    run(bencher, yaml, TEXT, false);
}

#[divan::bench]
fn regex_parser_of_two_groups(bencher: Bencher<'_, '_>) {
    let yaml = r"[{type: regex_parser, regex: '^(?P<client>\S+) (?P<rest>.*)$'}]";
    run(bencher, yaml, TEXT, false);
}

#[divan::bench]
fn key_value_parser(bencher: Bencher<'_, '_>) {
    run(bencher, "[{type: key_value_parser}]", PAIRS, false);
}

#[divan::bench]
fn filter(bencher: Bencher<'_, '_>) {
    let yaml = r#"[{type: filter, expr: 'body matches "^ERROR" or body contains "fatal"'}]"#;
    run(bencher, yaml, TEXT, false);
}
