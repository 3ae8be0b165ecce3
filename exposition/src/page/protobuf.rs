//! The protobuf format: each `io.prometheus.client.MetricFamily` after its length.
//!
//! The messages and their numbers are those of `prometheus/client_model`'s `metrics.proto`; the constants
//! below name them. It is the only format with native histograms.

use corten_pdata::wire::{
    Fields, close_message, open_message, put_bytes_field, put_fixed64_field, put_pair_field,
    put_varint, put_varint_field, zigzag_encode,
};

use crate::escaping::Escaping;
use crate::negotiation::Format;
use crate::page::write::{exemplar_labels, is_unit_of, label_block, milliseconds, newest_between};
use crate::page::{Part, Series};
use crate::translation::Kind;
use crate::value::{Exemplar, Exponential, Histogram, Run, Summary, Value};

/// `Metric`, and where its labels are in it.
const METRIC_LABEL: u32 = 1;
const METRIC_GAUGE: u32 = 2;
const METRIC_COUNTER: u32 = 3;
const METRIC_SUMMARY: u32 = 4;
const METRIC_UNTYPED: u32 = 5;
const METRIC_TIMESTAMP: u32 = 6;
const METRIC_HISTOGRAM: u32 = 7;

/// `MetricFamily`.
const FAMILY_NAME: u32 = 1;
const FAMILY_HELP: u32 = 2;
const FAMILY_TYPE: u32 = 3;
const FAMILY_METRIC: u32 = 4;
const FAMILY_UNIT: u32 = 5;

/// `Histogram`.
const HISTOGRAM_COUNT: u32 = 1;
const HISTOGRAM_SUM: u32 = 2;
const HISTOGRAM_BUCKET: u32 = 3;
const HISTOGRAM_SCHEMA: u32 = 5;
const HISTOGRAM_ZERO_THRESHOLD: u32 = 6;
const HISTOGRAM_ZERO_COUNT: u32 = 7;
/// Spans; the deltas have the next number.
const HISTOGRAM_NEGATIVE: u32 = 9;
const HISTOGRAM_POSITIVE: u32 = 12;
const HISTOGRAM_EXEMPLARS: u32 = 16;

/// Appends the labels as a `Metric` has them.
pub(super) fn label_messages<'a>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    for (name, value) in labels {
        put_pair_field(out, METRIC_LABEL, name.as_bytes(), value.as_bytes());
    }
}

/// The labels that [`label_messages`] wrote, for people.
pub(super) fn readable(labels: &[u8]) -> String {
    let pairs = Fields::new(labels).map(|label| {
        let (mut name, mut text) = ("", "");
        for field in Fields::new(label.value.bytes()) {
            match field.number {
                1 => name = field.value.text(),
                _ => text = field.value.text(),
            }
        }
        (name, text)
    });
    let mut out = Vec::new();
    label_block(&mut out, pairs);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes families one after the other.
pub(super) struct ProtobufWriter<'w> {
    out: &'w mut Vec<u8>,
    escaping: Escaping,
    timestamps: bool,
    /// The label messages that series point into.
    labels: &'w [u8],
    /// The family being written: its length comes before it.
    family: Vec<u8>,
}

impl<'w> ProtobufWriter<'w> {
    pub(super) fn new(
        out: &'w mut Vec<u8>,
        format: Format,
        timestamps: bool,
        labels: &'w [u8],
    ) -> Self {
        Self {
            out,
            escaping: format.escaping,
            timestamps,
            labels,
            family: Vec::with_capacity(4096),
        }
    }

    /// One family with all its series.
    pub(super) fn family(&mut self, part: &Part<'_>, series: &[&Series<'_>]) {
        self.family.clear();
        put_bytes_field(&mut self.family, FAMILY_NAME, part.name.as_bytes());
        if !part.help.is_empty() {
            put_bytes_field(&mut self.family, FAMILY_HELP, part.help.as_bytes());
        }
        let kind = match part.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info => 1,
            Kind::Summary => 2,
            Kind::Unknown => 3,
            Kind::Histogram => 4,
        };
        put_varint_field(&mut self.family, FAMILY_TYPE, kind);
        for series in series {
            self.metric(part.kind, series);
        }
        // Prometheus refuses the page for a unit that the name does not end in.
        let named = match part.kind {
            Kind::Counter => part.name.strip_suffix("_total").unwrap_or(&part.name),
            _ => &part.name,
        };
        if is_unit_of(&part.unit, named) {
            put_bytes_field(&mut self.family, FAMILY_UNIT, part.unit.as_bytes());
        }
        put_varint(self.out, self.family.len() as u64);
        self.out.extend_from_slice(&self.family);
    }

    fn metric(&mut self, kind: Kind, series: &Series<'_>) {
        let labels = self.labels.get(series.labels.clone()).unwrap_or_default();
        // A number takes eleven bytes, its time as many at most.
        let width = match &series.value {
            Value::Number(_) if labels.len() < 100 && series.exemplar.is_none() => 1,
            _ => 2,
        };
        let metric = open_message(&mut self.family, FAMILY_METRIC, width);
        self.family.extend_from_slice(labels);
        match &series.value {
            Value::Number(value) => self.number(kind, *value, series.exemplar.as_deref()),
            Value::Histogram(histogram) => self.histogram(histogram),
            Value::Exponential(exponential) => self.exponential(exponential),
            Value::Summary(summary) => self.summary(summary),
        }
        if self.timestamps && series.time_unix_nano > 0 {
            let time = milliseconds(series.time_unix_nano);
            put_varint_field(&mut self.family, METRIC_TIMESTAMP, time);
        }
        close_message(&mut self.family, metric);
    }

    fn number(&mut self, kind: Kind, value: f64, exemplar: Option<&Exemplar>) {
        let field = match kind {
            Kind::Counter => METRIC_COUNTER,
            Kind::Unknown => METRIC_UNTYPED,
            _ => METRIC_GAUGE,
        };
        let message = open_message(&mut self.family, field, 1);
        self.double(1, value);
        if let Some(exemplar) = exemplar.filter(|_| kind == Kind::Counter) {
            self.exemplar(2, exemplar);
        }
        close_message(&mut self.family, message);
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let message = open_message(&mut self.family, METRIC_HISTOGRAM, 2);
        put_varint_field(&mut self.family, HISTOGRAM_COUNT, histogram.total());
        self.sum(histogram.sum);
        self.buckets(histogram);
        close_message(&mut self.family, message);
    }

    /// Native buckets, and classic ones for those who do not read them: a Prometheus with native histograms passes over the
    /// latter unless told otherwise, older ones take examples from them.
    fn exponential(&mut self, exponential: &Exponential) {
        let Some(native) = exponential.native() else {
            return self.histogram(&exponential.to_explicit());
        };
        let native = &*native;
        let message = open_message(&mut self.family, METRIC_HISTOGRAM, 2);
        // Prometheus refuses a page on which a native histogram's count is not that of its buckets.
        put_varint_field(&mut self.family, HISTOGRAM_COUNT, native.counted());
        self.sum(native.sum);
        let mut classic = native.to_explicit();
        classic.count = native.counted();
        self.buckets(&classic);
        let schema = zigzag_encode(i64::from(native.scale));
        put_varint_field(&mut self.family, HISTOGRAM_SCHEMA, schema);
        self.double(HISTOGRAM_ZERO_THRESHOLD, native.zero_threshold);
        put_varint_field(&mut self.family, HISTOGRAM_ZERO_COUNT, native.zero_count);
        self.run(HISTOGRAM_NEGATIVE, &native.negative);
        self.run(HISTOGRAM_POSITIVE, &native.positive);
        for exemplar in &native.exemplars {
            // Prometheus takes none without a time from here.
            if exemplar.time_unix_nano > 0 {
                self.exemplar(HISTOGRAM_EXEMPLARS, exemplar);
            }
        }
        close_message(&mut self.family, message);
    }

    fn buckets(&mut self, histogram: &Histogram) {
        let mut last = f64::NEG_INFINITY;
        let infinite = std::iter::once((f64::INFINITY, histogram.total()));
        for (bound, count) in histogram.cumulative().chain(infinite) {
            let exemplar = newest_between(&histogram.exemplars, last, bound);
            // Prometheus adds the infinite one itself.
            if bound.is_finite() || exemplar.is_some() {
                let bucket = open_message(&mut self.family, HISTOGRAM_BUCKET, 1);
                put_varint_field(&mut self.family, 1, count);
                self.double(2, bound);
                if let Some(exemplar) = exemplar {
                    self.exemplar(3, exemplar);
                }
                close_message(&mut self.family, bucket);
            }
            last = bound;
        }
    }

    /// One side of a native histogram: spans of buckets, each from the end of the one before it, and the
    /// count of each bucket as its difference to the one before it.
    fn run(&mut self, field: u32, run: &Run) {
        if run.counts.is_empty() {
            return;
        }
        // An index is one more than OTLP's: it names the upper bound.
        let mut expected = 0;
        for span in run.spans() {
            let message = open_message(&mut self.family, field, 1);
            let start = run.offset + 1 + Run::index(span.start);
            put_varint_field(&mut self.family, 1, zigzag_encode(start - expected));
            put_varint_field(&mut self.family, 2, span.len() as u64);
            close_message(&mut self.family, message);
            expected = run.offset + 1 + Run::index(span.end);
        }
        let deltas = open_message(&mut self.family, field + 1, 2);
        let mut last = 0i64;
        for span in run.spans() {
            for count in run.counts.get(span).unwrap_or_default() {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                put_varint(&mut self.family, zigzag_encode(count - last));
                last = count;
            }
        }
        close_message(&mut self.family, deltas);
    }

    fn summary(&mut self, summary: &Summary) {
        let message = open_message(&mut self.family, METRIC_SUMMARY, 2);
        put_varint_field(&mut self.family, 1, summary.count);
        self.double(2, summary.sum);
        for (quantile, value) in &summary.quantiles {
            let message = open_message(&mut self.family, 3, 1);
            self.double(1, *quantile);
            self.double(2, *value);
            close_message(&mut self.family, message);
        }
        close_message(&mut self.family, message);
    }

    /// A histogram's sum. What is left out reads as zero, which would be a claim.
    fn sum(&mut self, sum: Option<f64>) {
        self.double(HISTOGRAM_SUM, sum.unwrap_or(f64::NAN));
    }

    fn double(&mut self, field: u32, value: f64) {
        put_fixed64_field(&mut self.family, field, value.to_bits());
    }

    fn exemplar(&mut self, field: u32, exemplar: &Exemplar) {
        let message = open_message(&mut self.family, field, 1);
        for (name, value) in exemplar_labels(exemplar, self.escaping) {
            put_pair_field(&mut self.family, 1, name.as_bytes(), value.as_bytes());
        }
        self.double(2, exemplar.value);
        if exemplar.time_unix_nano > 0 {
            let time = open_message(&mut self.family, 3, 1);
            put_varint_field(&mut self.family, 1, exemplar.time_unix_nano / 1_000_000_000);
            put_varint_field(&mut self.family, 2, exemplar.time_unix_nano % 1_000_000_000);
            close_message(&mut self.family, time);
        }
        close_message(&mut self.family, message);
    }
}
