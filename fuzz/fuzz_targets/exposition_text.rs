//! Any text as Prometheus's: read or refused, line by line; what a page of it would say again reads the same.

#![no_main]

use corten_exposition::text::{Line, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = 0;
    for line in parse(text) {
        lines += 1;
        let Ok(Line::Sample(sample)) = line else {
            continue;
        };
        assert!(!sample.name.is_empty());
        let labels: Vec<String> = sample
            .labels
            .iter()
            .map(|(name, value)| format!("{}={}", quoted(name), quoted(value)))
            .collect();
        let again = format!(
            "{{{}}} {}",
            [vec![quoted(&sample.name)], labels].concat().join(","),
            sample.value
        );
        let Some(Ok(Line::Sample(read))) = parse(&again).next() else {
            panic!("{again:?} is not read");
        };
        assert_eq!(
            (&read.name, &read.labels),
            (&sample.name, &sample.labels),
            "{again:?}"
        );
        assert!(read.value == sample.value || (read.value.is_nan() && sample.value.is_nan()));
    }
    assert!(lines <= text.split('\n').count());
});

fn quoted(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}
