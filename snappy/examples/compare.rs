//! Speed and size beside the `snap` crate, sample by sample, the best of many runs that take turns.
//!
//! `cargo run --release -p corten-snappy --example compare [runs] [part of a sample's name] [bytes]`
#![allow(clippy::unwrap_used, reason = "a tool for whoever changes the encoder")]

#[path = "../benches/samples.rs"]
mod samples;

use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let mut args = std::env::args().skip(1);
    let runs: u32 = args.next().map_or(100, |runs| runs.parse().unwrap());
    let only = args.next().unwrap_or_default();
    let len = args.next().map_or(1 << 20, |len| len.parse().unwrap());
    let mut ours = corten_snappy::Encoder::new();
    let mut theirs = snap::raw::Encoder::new();
    let mut table =
        String::from("sample               ns/B     snap  speed    ratio   snap   size\n");
    for (name, body) in samples::all(len) {
        if !name.contains(&only) {
            continue;
        }
        let mut out = Vec::new();
        let mut snapped = vec![0; snap::raw::max_compress_len(body.len())];
        let (mut fast, mut slow) = (Duration::MAX, Duration::MAX);
        let mut snapped_len = 0;
        for _ in 0..runs {
            let begun = Instant::now();
            out.clear();
            ours.compress_into(black_box(&body), &mut out).unwrap();
            fast = fast.min(begun.elapsed());
            let begun = Instant::now();
            snapped_len = theirs.compress(black_box(&body), &mut snapped).unwrap();
            slow = slow.min(begun.elapsed());
        }
        let number = |count: usize| f64::from(u32::try_from(count).unwrap());
        let per_byte = |time: Duration| time.as_secs_f64() * 1e9 / number(body.len());
        table += &format!(
            "{name:16} {:8.3} {:8.3} {:6.2}   {:6.2} {:6.2} {:6.3}\n",
            per_byte(fast),
            per_byte(slow),
            slow.as_secs_f64() / fast.as_secs_f64(),
            number(body.len()) / number(out.len()),
            number(body.len()) / number(snapped_len),
            number(out.len()) / number(snapped_len)
        );
    }
    std::io::Write::write_all(&mut std::io::stdout(), table.as_bytes()).unwrap();
}
