//! What is counted, under the Collector's names.

use corten_component::{Context, Signal};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter, UpDownCounter};

/// The counters of one exporter.
pub(crate) struct Metrics {
    exporter: KeyValue,
    own: [KeyValue; 1],
    meter: Meter,
    logs: PerSignal,
    metrics: PerSignal,
    traces: PerSignal,
    rejected: Counter<u64>,
    damaged: Counter<u64>,
    damaged_records: Counter<u64>,
    dropped: Counter<u64>,
    dead_letters: Counter<u64>,
    dead_letters_dropped: Counter<u64>,
    in_flight: UpDownCounter<i64>,
}

struct PerSignal {
    sent: Counter<u64>,
    send_failed: Counter<u64>,
    enqueue_failed: Counter<u64>,
}

/// The word for a signal's items in metric names and messages.
pub(crate) fn items_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "log_records",
        Signal::Metrics => "metric_points",
        Signal::Traces => "spans",
    }
}

fn data_type(signal: Signal) -> KeyValue {
    KeyValue::new("data_type", signal.as_str())
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let meter = cx.meter().clone();
        let per_signal = |signal| {
            let items = items_name(signal);
            PerSignal {
                sent: meter
                    .u64_counter(format!("otelcol_exporter_sent_{items}"))
                    .with_description("Number of items successfully sent to the destination")
                    .build(),
                send_failed: meter
                    .u64_counter(format!("otelcol_exporter_send_failed_{items}"))
                    .with_description("Number of items that the destination did not take and that are not tried again")
                    .build(),
                enqueue_failed: meter
                    .u64_counter(format!("otelcol_exporter_enqueue_failed_{items}"))
                    .with_description("Number of items that did not get into the sending queue; their sender was told")
                    .build(),
            }
        };
        let exporter = KeyValue::new("exporter", cx.id().to_string());
        Self {
            own: [exporter.clone()],
            exporter,
            logs: per_signal(Signal::Logs),
            metrics: per_signal(Signal::Metrics),
            traces: per_signal(Signal::Traces),
            rejected: meter
                .u64_counter("corten_exporter_rejected_items")
                .with_description(
                    "Number of items that the destination refused for good, by reason",
                )
                .build(),
            damaged: meter
                .u64_counter("corten_exporter_queue_damaged_bytes")
                .with_description(
                    "Number of bytes of the queue on disk that were damaged and skipped",
                )
                .with_unit("By")
                .build(),
            damaged_records: meter
                .u64_counter("corten_exporter_queue_damaged_records")
                .with_description(
                    "Number of damaged places of the queue on disk; each has cost one record unless several in a row are damaged",
                )
                .build(),
            dropped: meter
                .u64_counter("corten_exporter_queue_dropped_items")
                .with_description(
                    "Number of items that the full queue dropped for newer ones (overflow: drop_oldest)",
                )
                .build(),
            dead_letters: meter
                .u64_counter("corten_exporter_dead_letters_items")
                .with_description(
                    "Number of items that the destination refused for good and that are kept as dead letters",
                )
                .build(),
            dead_letters_dropped: meter
                .u64_counter("corten_exporter_dead_letters_dropped_items")
                .with_description(
                    "Number of items of dead letters that were dropped for newer ones or could not be written",
                )
                .build(),
            in_flight: meter
                .i64_up_down_counter("otelcol_exporter_in_flight_requests")
                .with_description("Number of requests that wait for the destination's answer")
                .build(),
            meter,
        }
    }

    fn of(&self, signal: Signal) -> &PerSignal {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }

    pub(crate) fn sent(&self, signal: Signal, items: usize) {
        self.of(signal).sent.add(count(items), &self.own);
    }

    pub(crate) fn send_failed(&self, signal: Signal, items: usize) {
        self.of(signal).send_failed.add(count(items), &self.own);
    }

    pub(crate) fn enqueue_failed(&self, signal: Signal, items: usize) {
        self.of(signal).enqueue_failed.add(count(items), &self.own);
    }

    /// Refused for good; counts as not sent, too.
    pub(crate) fn rejected(&self, signal: Signal, items: usize, reason: &'static str) {
        self.send_failed(signal, items);
        self.rejected.add(
            count(items),
            &[self.exporter.clone(), KeyValue::new("reason", reason)],
        );
    }

    pub(crate) fn damaged(&self, bytes: u64) {
        self.damaged.add(bytes, &self.own);
        self.damaged_records.add(1, &self.own);
    }

    /// The end of a write that was never answered: bytes, but no record.
    pub(crate) fn torn(&self, bytes: u64) {
        self.damaged.add(bytes, &self.own);
    }

    /// Gave way to newer data; counts as not sent, too.
    pub(crate) fn dropped(&self, signal: Signal, items: usize) {
        self.send_failed(signal, items);
        self.dropped_early(signal, items);
    }

    /// The same of what is counted as not sent elsewhere.
    pub(crate) fn dropped_early(&self, signal: Signal, items: usize) {
        self.dropped
            .add(count(items), &[self.exporter.clone(), data_type(signal)]);
    }

    pub(crate) fn dead_letters(&self, signal: Signal, items: usize) {
        self.dead_letters
            .add(count(items), &[self.exporter.clone(), data_type(signal)]);
    }

    pub(crate) fn dead_letters_dropped(&self, signal: Signal, items: usize) {
        self.dead_letters_dropped
            .add(count(items), &[self.exporter.clone(), data_type(signal)]);
    }

    /// Counts a request as under way until the result is dropped.
    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.add(1, &self.own);
        InFlight(self)
    }

    /// Shows a queue's size and capacity for as long as `read` answers.
    pub(crate) fn watch_queue(
        &self,
        signal: Signal,
        unit: &'static str,
        read: impl Fn() -> Option<(u64, u64)> + Send + Sync + Clone + 'static,
    ) {
        let attributes = [self.exporter.clone(), data_type(signal)];
        let (of_size, of_capacity) = (read.clone(), read);
        let for_capacity = attributes.clone();
        let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // The meter keeps the callbacks.
        let _size = self
            .meter
            .i64_observable_gauge("otelcol_exporter_queue_size")
            .with_description("Present size of the sending queue")
            .with_unit(unit)
            .with_callback(move |observer| {
                if let Some((size, _)) = of_size() {
                    observer.observe(clamp(size), &attributes);
                }
            })
            .build();
        let _capacity = self
            .meter
            .i64_observable_gauge("otelcol_exporter_queue_capacity")
            .with_description("Fixed capacity of the sending queue")
            .with_unit(unit)
            .with_callback(move |observer| {
                if let Some((_, capacity)) = of_capacity() {
                    observer.observe(clamp(capacity), &for_capacity);
                }
            })
            .build();
    }
}

/// A request under way.
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1, &self.0.own);
    }
}
