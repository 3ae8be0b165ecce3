//! What only followers of files can count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use corten_component::Context;
use corten_tail::Stats;
use opentelemetry::KeyValue;

type Counter = fn(&Stats) -> &AtomicU64;

/// What can happen to files and lines besides being read; one counter, told apart by `event`.
const EVENTS: [(&str, Counter); 13] = [
    ("rotated", |stats| &stats.rotated),
    ("truncated", |stats| &stats.truncated),
    ("gap", |stats| &stats.gaps),
    ("line_split", |stats| &stats.split),
    ("line_cut", |stats| &stats.cut),
    ("line_unparsed", |stats| &stats.unparsed),
    ("zero_bytes_skipped", |stats| &stats.zeros),
    ("compressed_damaged", |stats| &stats.gzip_errors),
    ("read_again", |stats| &stats.rewound),
    ("out_of_descriptors", |stats| &stats.descriptor_errors),
    ("read_error", |stats| &stats.read_errors),
    ("path_refused", |stats| &stats.refused),
    ("checkpoint_error", |stats| &stats.checkpoint_errors),
];

/// Registers the instruments of one receiver.
pub(crate) fn observe(cx: &Context, stats: &Arc<Stats>) {
    let meter = cx.meter();
    let receiver = KeyValue::new("receiver", cx.id().to_string());

    let (seen, attributes) = (Arc::clone(stats), [receiver.clone()]);
    meter
        .u64_observable_gauge("otelcol_fileconsumer_open_files")
        .with_description("Number of open files")
        .with_callback(move |gauge| {
            gauge.observe(seen.open_files.load(Ordering::Relaxed), &attributes);
        })
        .build();
    let (seen, attributes) = (Arc::clone(stats), [receiver.clone()]);
    meter
        .u64_observable_gauge("otelcol_fileconsumer_reading_files")
        .with_description("Number of logs being followed, rotated generations counted as one")
        .with_callback(move |gauge| {
            gauge.observe(seen.streams.load(Ordering::Relaxed), &attributes);
        })
        .build();
    let (seen, attributes) = (Arc::clone(stats), [receiver.clone()]);
    meter
        .u64_observable_gauge("corten_file_log_in_flight_bytes")
        .with_unit("By")
        .with_description("Bytes read and not yet acknowledged by the pipeline")
        .with_callback(move |gauge| {
            gauge.observe(seen.in_flight.load(Ordering::Relaxed), &attributes);
        })
        .build();
    let (seen, attributes) = (Arc::clone(stats), [receiver.clone()]);
    meter
        .u64_observable_counter("corten_file_log_read_bytes")
        .with_unit("By")
        .with_description("Bytes of lines taken from files")
        .with_callback(move |counter| {
            counter.observe(seen.bytes.load(Ordering::Relaxed), &attributes);
        })
        .build();
    let seen = Arc::clone(stats);
    let attributes = EVENTS.map(|(event, _)| [receiver.clone(), KeyValue::new("event", event)]);
    meter
        .u64_observable_counter("corten_file_log_events")
        .with_description("What happened to files and lines besides being read, by event")
        .with_callback(move |counter| {
            for ((_, read), attributes) in EVENTS.iter().zip(&attributes) {
                counter.observe(read(&seen).load(Ordering::Relaxed), attributes);
            }
        })
        .build();
}
