//! Push bodies of 1 MiB: this crate beside `snap`.
//!
//! `cargo bench -p corten-snappy`. `cargo run --release -p corten-snappy --example compare` prints sizes too.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};

mod samples;

fn main() {
    divan::main();
}

const NAMES: [&str; 13] = [
    "push-bench",
    "push-bench-meta",
    "push-json",
    "push-json-meta",
    "push-nginx",
    "push-logfmt",
    "push-klog",
    "push-java",
    "push-mixed",
    "plain-200",
    "cri-json",
    "random",
    "zeros",
];

fn body(name: &str) -> Vec<u8> {
    let sample = samples::all(1 << 20).into_iter().find(|(n, _)| *n == name);
    sample.map(|(_, body)| body).unwrap_or_default()
}

#[divan::bench(args = NAMES)]
fn corten(bencher: Bencher<'_, '_>, name: &str) {
    let body = body(name);
    let mut encoder = corten_snappy::Encoder::new();
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            out.clear();
            encoder.compress_into(black_box(&body), &mut out)
        });
}

#[divan::bench(args = NAMES)]
fn snap(bencher: Bencher<'_, '_>, name: &str) {
    let body = body(name);
    let mut encoder = snap::raw::Encoder::new();
    let mut out = vec![0; snap::raw::max_compress_len(body.len())];
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| encoder.compress(black_box(&body), &mut out));
}
