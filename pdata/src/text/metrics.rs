//! Metrics as text.

use std::fmt::Write as _;

use super::{Page, line};
use crate::attributes::Attributes;
use crate::cursor::Messages;
use crate::metrics::{
    Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number, NumberPoint,
    SummaryPoint, Temporality,
};

impl Page<'_> {
    pub(super) fn metric(&mut self, metric: &Metric<'_>) {
        line!(self, "Descriptor:");
        line!(self, "     -> Name: {}", metric.name());
        line!(self, "     -> Description: {}", metric.description());
        line!(self, "     -> Unit: {}", metric.unit());
        match metric.data() {
            MetricData::Empty => line!(self, "     -> DataType: Empty"),
            MetricData::Gauge(gauge) => {
                line!(self, "     -> DataType: Gauge");
                self.numbers(gauge.points());
            }
            MetricData::Sum(sum) => {
                line!(self, "     -> DataType: Sum");
                line!(self, "     -> IsMonotonic: {}", sum.is_monotonic());
                self.temporality(sum.temporality());
                self.numbers(sum.points());
            }
            MetricData::Histogram(histogram) => {
                line!(self, "     -> DataType: Histogram");
                self.temporality(histogram.temporality());
                for (index, point) in histogram.points().enumerate() {
                    line!(self, "HistogramDataPoints #{index}");
                    self.histogram_point(&point);
                }
            }
            MetricData::ExponentialHistogram(histogram) => {
                line!(self, "     -> DataType: ExponentialHistogram");
                self.temporality(histogram.temporality());
                for (index, point) in histogram.points().enumerate() {
                    line!(self, "ExponentialHistogramDataPoints #{index}");
                    self.exponential_point(&point);
                }
            }
            MetricData::Summary(summary) => {
                line!(self, "     -> DataType: Summary");
                for (index, point) in summary.points().enumerate() {
                    line!(self, "SummaryDataPoints #{index}");
                    self.summary_point(&point);
                }
            }
        }
    }

    fn temporality(&mut self, temporality: Temporality) {
        line!(self, "     -> AggregationTemporality: {temporality:?}");
    }

    fn point_head(&mut self, attributes: Attributes<'_>, start: u64, time: u64) {
        self.attributes("", "Data point attributes", attributes);
        self.time("StartTimestamp: ", start);
        self.time("Timestamp: ", time);
    }

    fn numbers<'a>(&mut self, points: Messages<'a, NumberPoint<'a>>) {
        for (index, point) in points.enumerate() {
            line!(self, "NumberDataPoints #{index}");
            self.point_head(
                point.attributes(),
                point.start_time_unix_nano(),
                point.time_unix_nano(),
            );
            self.number("Value: ", point.value());
            self.exemplars(point.exemplars());
        }
    }

    fn number(&mut self, label: &str, value: Option<Number>) {
        match value {
            Some(Number::Int(value)) => line!(self, "{label}{value}"),
            Some(Number::Double(value)) => self.double(label, value),
            None => {}
        }
    }

    fn double(&mut self, label: &str, value: f64) {
        self.out.push_str(label);
        self.fraction(value);
        self.out.push('\n');
    }

    /// Six digits after the point, as Go's `%f`.
    fn fraction(&mut self, value: f64) {
        // Writing to a string does not fail.
        match value {
            value if value.is_nan() => self.out.push_str("NaN"),
            f64::INFINITY => self.out.push_str("+Inf"),
            f64::NEG_INFINITY => self.out.push_str("-Inf"),
            value => write!(self.out, "{value:.6}").unwrap_or_default(),
        }
    }

    fn distribution(&mut self, count: u64, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
        line!(self, "Count: {count}");
        for (label, value) in [("Sum: ", sum), ("Min: ", min), ("Max: ", max)] {
            if let Some(value) = value {
                self.double(label, value);
            }
        }
    }

    fn histogram_point(&mut self, point: &HistogramPoint<'_>) {
        self.point_head(
            point.attributes(),
            point.start_time_unix_nano(),
            point.time_unix_nano(),
        );
        self.distribution(point.count(), point.sum(), point.min(), point.max());
        for (index, bound) in point.explicit_bounds().enumerate() {
            self.double(&format!("ExplicitBounds #{index}: "), bound);
        }
        for (index, count) in point.bucket_counts().enumerate() {
            line!(self, "Buckets #{index}, Count: {count}");
        }
        self.exemplars(point.exemplars());
    }

    fn exponential_point(&mut self, point: &ExponentialHistogramPoint<'_>) {
        self.point_head(
            point.attributes(),
            point.start_time_unix_nano(),
            point.time_unix_nano(),
        );
        self.distribution(point.count(), point.sum(), point.min(), point.max());
        // A bucket's bounds are base^index and base^(index + 1) with base = 2^(2^-scale).
        let exponent = 2f64.powi(point.scale().saturating_neg());
        let bound = |index: f64| (index * exponent).exp2();
        if let Some(buckets) = point.negative() {
            let counts: Vec<u64> = buckets.bucket_counts().collect();
            let mut index = f64::from(buckets.offset()) + counts.len() as f64;
            for count in counts.into_iter().rev() {
                index -= 1.0;
                self.bucket(("[", ")"), -bound(index + 1.0), -bound(index), count);
            }
        }
        if point.zero_count() != 0 {
            line!(self, "Bucket [0, 0], Count: {}", point.zero_count());
        }
        if let Some(buckets) = point.positive() {
            let mut index = f64::from(buckets.offset());
            for count in buckets.bucket_counts() {
                self.bucket(("(", "]"), bound(index), bound(index + 1.0), count);
                index += 1.0;
            }
        }
        self.exemplars(point.exemplars());
    }

    fn bucket(&mut self, (open, close): (&str, &str), lower: f64, upper: f64, count: u64) {
        self.out.push_str("Bucket ");
        self.out.push_str(open);
        self.fraction(lower);
        self.out.push_str(", ");
        self.fraction(upper);
        line!(self, "{close}, Count: {count}");
    }

    fn summary_point(&mut self, point: &SummaryPoint<'_>) {
        self.point_head(
            point.attributes(),
            point.start_time_unix_nano(),
            point.time_unix_nano(),
        );
        line!(self, "Count: {}", point.count());
        self.double("Sum: ", point.sum());
        for (index, quantile) in point.quantile_values().enumerate() {
            write!(self.out, "QuantileValue #{index}: Quantile ").unwrap_or_default();
            self.fraction(quantile.quantile());
            self.double(", Value ", quantile.value());
        }
    }

    fn exemplars<'a>(&mut self, exemplars: Messages<'a, Exemplar<'a>>) {
        for (index, exemplar) in exemplars.enumerate() {
            if index == 0 {
                line!(self, "Exemplars:");
            }
            line!(self, "Exemplar #{index}");
            self.id("     -> Trace ID: ", exemplar.trace_id());
            self.id("     -> Span ID: ", exemplar.span_id());
            self.time("     -> Timestamp: ", exemplar.time_unix_nano());
            self.number("     -> Value: ", exemplar.value());
            self.attributes(
                "     ",
                "     -> FilteredAttributes",
                exemplar.filtered_attributes(),
            );
        }
    }
}
