//! Metrics and their data points, written.

use crate::build::{AttributesBuilder, Containers, attribute_methods, container_methods};
use crate::metrics::Temporality;
use crate::rope::Metrics;
use crate::wire;

/// Writes metrics.
///
/// ```
/// use corten_pdata::build::MetricsBuilder;
/// use corten_pdata::metrics::Temporality;
///
/// let mut metrics = MetricsBuilder::new();
/// let mut metric = metrics.metric("node_cpu_seconds_total", "Seconds in each mode.", "s");
/// metric.metadata_str("prometheus.type", "counter");
/// let mut points = metric.sum(Temporality::Cumulative, true);
/// for (cpu, seconds) in [("0", 1.5), ("1", 2.5)] {
///     points.point(|point| {
///         point.time(1_700_000_000_000_000_000).double(seconds).attribute_str("cpu", cpu);
///     });
/// }
/// assert_eq!(metrics.finish().items(), 2);
/// ```
#[derive(Debug, Default)]
pub struct MetricsBuilder {
    containers: Containers,
}

impl MetricsBuilder {
    container_methods!(Metrics);

    /// Begins a metric within the scope. Next it is told its kind, then its points.
    pub fn metric(&mut self, name: &str, description: &str, unit: &str) -> MetricBuilder<'_> {
        let containers = &mut self.containers;
        containers.end_inner();
        let opened = containers.open_in_scope(2);
        containers.inner = [Some(opened), None];
        containers.put_str(1, name);
        containers.put_str(2, description);
        containers.put_str(3, unit);
        MetricBuilder { containers }
    }
}

/// A metric whose kind is still to be said.
#[derive(Debug)]
pub struct MetricBuilder<'a> {
    containers: &'a mut Containers,
}

impl<'a> MetricBuilder<'a> {
    /// Adds metadata, such as `prometheus.type`.
    pub fn metadata_str(&mut self, key: &str, value: &str) -> &mut Self {
        AttributesBuilder::new(&mut self.containers.out, 12).attribute_str(key, value);
        self
    }

    fn open(self, number: u32) -> &'a mut Containers {
        let opened = wire::open_message(&mut self.containers.out, number, 2);
        let [_, data] = &mut self.containers.inner;
        *data = Some(opened);
        self.containers
    }

    fn open_with(self, number: u32, temporality: Temporality) -> &'a mut Containers {
        let containers = self.open(number);
        let temporality = match temporality {
            Temporality::Unspecified => return containers,
            Temporality::Delta => 1,
            Temporality::Cumulative => 2,
        };
        wire::put_varint_field(&mut containers.out, 2, temporality);
        containers
    }

    /// Current values.
    pub fn gauge(self) -> NumberPoints<'a> {
        NumberPoints {
            containers: self.open(5),
        }
    }

    /// Sums.
    pub fn sum(self, temporality: Temporality, monotonic: bool) -> NumberPoints<'a> {
        let containers = self.open_with(7, temporality);
        if monotonic {
            wire::put_varint_field(&mut containers.out, 3, 1);
        }
        NumberPoints { containers }
    }

    /// Distributions over explicit buckets.
    pub fn histogram(self, temporality: Temporality) -> HistogramPoints<'a> {
        HistogramPoints {
            containers: self.open_with(9, temporality),
        }
    }

    /// Distributions over exponential buckets.
    pub fn exponential_histogram(self, temporality: Temporality) -> ExponentialHistogramPoints<'a> {
        ExponentialHistogramPoints {
            containers: self.open_with(10, temporality),
        }
    }

    /// Quantiles computed by the source.
    pub fn summary(self) -> SummaryPoints<'a> {
        SummaryPoints {
            containers: self.open(11),
        }
    }
}

macro_rules! points {
    ($(#[$doc:meta])* $name:ident, $builder:ident, attributes $attributes:literal, flags $flags:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<'a> {
            containers: &'a mut Containers,
        }

        impl $name<'_> {
            /// Adds a point.
            #[inline]
            pub fn point(&mut self, write: impl FnOnce(&mut $builder<'_>)) -> &mut Self {
                let opened = wire::open_message(&mut self.containers.out, 1, 1);
                write(&mut $builder {
                    out: &mut self.containers.out,
                });
                wire::close_message(&mut self.containers.out, opened);
                self.containers.count_item();
                self
            }
        }

        impl $builder<'_> {
            attribute_methods!(|_: &Self| $attributes);

            /// Since when it accumulates, in nanoseconds since 1970.
            #[inline]
            pub fn start_time(&mut self, unix_nano: u64) -> &mut Self {
                wire::put_fixed64_field(self.out, 2, unix_nano);
                self
            }

            /// When it was measured, in nanoseconds since 1970.
            #[inline]
            pub fn time(&mut self, unix_nano: u64) -> &mut Self {
                wire::put_fixed64_field(self.out, 3, unix_nano);
                self
            }

            /// Its flags; 1 says that the series has ended.
            #[inline]
            pub fn flags(&mut self, flags: u32) -> &mut Self {
                wire::put_varint_field(self.out, $flags, u64::from(flags));
                self
            }
        }
    };
}

/// A point of a gauge or a sum, being written. Every method adds a field; call each at most once,
/// attributes and exemplars aside.
#[derive(Debug)]
pub struct NumberPointBuilder<'a> {
    out: &'a mut Vec<u8>,
}

/// A point of a histogram, being written. Every method adds a field; call each at most once,
/// attributes and exemplars aside.
#[derive(Debug)]
pub struct HistogramPointBuilder<'a> {
    out: &'a mut Vec<u8>,
}

/// A point of an exponential histogram, being written. Every method adds a field; call each at most
/// once, attributes and exemplars aside.
#[derive(Debug)]
pub struct ExponentialHistogramPointBuilder<'a> {
    out: &'a mut Vec<u8>,
}

/// A point of a summary, being written. Every method adds a field; call each at most once,
/// attributes and quantiles aside.
#[derive(Debug)]
pub struct SummaryPointBuilder<'a> {
    out: &'a mut Vec<u8>,
}

points! {
    /// The points of a gauge or a sum.
    NumberPoints, NumberPointBuilder, attributes 7, flags 8
}

points! {
    /// The points of a histogram.
    HistogramPoints, HistogramPointBuilder, attributes 9, flags 10
}

points! {
    /// The points of an exponential histogram.
    ExponentialHistogramPoints, ExponentialHistogramPointBuilder, attributes 1, flags 10
}

points! {
    /// The points of a summary.
    SummaryPoints, SummaryPointBuilder, attributes 7, flags 8
}

fn put_exemplar(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut ExemplarBuilder<'_>)) {
    let opened = wire::open_message(out, number, 1);
    write(&mut ExemplarBuilder { out });
    wire::close_message(out, opened);
}

impl NumberPointBuilder<'_> {
    /// The value, floating.
    #[inline]
    pub fn double(&mut self, value: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 4, value.to_bits());
        self
    }

    /// The value, an integer.
    #[inline]
    pub fn int(&mut self, value: i64) -> &mut Self {
        wire::put_fixed64_field(self.out, 6, value.cast_unsigned());
        self
    }

    /// Adds a measurement behind the value.
    pub fn exemplar(&mut self, write: impl FnOnce(&mut ExemplarBuilder<'_>)) -> &mut Self {
        put_exemplar(self.out, 5, write);
        self
    }
}

impl HistogramPointBuilder<'_> {
    /// How many values were measured.
    pub fn count(&mut self, count: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 4, count);
        self
    }

    /// Their sum.
    pub fn sum(&mut self, sum: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 5, sum.to_bits());
        self
    }

    /// The smallest and the largest.
    pub fn min_max(&mut self, min: f64, max: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 11, min.to_bits());
        wire::put_fixed64_field(self.out, 12, max.to_bits());
        self
    }

    /// The upper bounds of all buckets but the last, and every bucket's count (not cumulative): one
    /// more than there are bounds.
    pub fn buckets(&mut self, bounds: &[f64], counts: &[u64]) -> &mut Self {
        put_packed(self.out, 6, counts.iter().copied());
        put_packed(self.out, 7, bounds.iter().map(|bound| bound.to_bits()));
        self
    }

    /// Adds a measurement behind the counts.
    pub fn exemplar(&mut self, write: impl FnOnce(&mut ExemplarBuilder<'_>)) -> &mut Self {
        put_exemplar(self.out, 8, write);
        self
    }
}

/// Appends a packed list of 64-bit numbers.
fn put_packed(out: &mut Vec<u8>, number: u32, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() == 0 {
        return;
    }
    wire::put_tag(out, number, 2);
    wire::put_varint(out, 8 * values.len() as u64);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

impl ExponentialHistogramPointBuilder<'_> {
    /// How many values were measured.
    pub fn count(&mut self, count: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 4, count);
        self
    }

    /// Their sum.
    pub fn sum(&mut self, sum: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 5, sum.to_bits());
        self
    }

    /// The smallest and the largest.
    pub fn min_max(&mut self, min: f64, max: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 12, min.to_bits());
        wire::put_fixed64_field(self.out, 13, max.to_bits());
        self
    }

    /// The resolution: a bucket's bounds are a factor of `2^(2^-scale)` apart.
    pub fn scale(&mut self, scale: i32) -> &mut Self {
        wire::put_varint_field(self.out, 6, wire::zigzag_encode(i64::from(scale)));
        self
    }

    /// How many values were within the threshold of zero.
    pub fn zero(&mut self, count: u64, threshold: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 7, count);
        if threshold != 0.0 {
            wire::put_fixed64_field(self.out, 14, threshold.to_bits());
        }
        self
    }

    /// Counts of positive values from the bucket `offset` on.
    pub fn positive(&mut self, offset: i32, counts: &[u64]) -> &mut Self {
        self.buckets(8, offset, counts)
    }

    /// Counts of negative values from the bucket `offset` on.
    pub fn negative(&mut self, offset: i32, counts: &[u64]) -> &mut Self {
        self.buckets(9, offset, counts)
    }

    fn buckets(&mut self, number: u32, offset: i32, counts: &[u64]) -> &mut Self {
        let opened = wire::open_message(self.out, number, 1);
        if offset != 0 {
            wire::put_varint_field(self.out, 1, wire::zigzag_encode(i64::from(offset)));
        }
        if !counts.is_empty() {
            let packed = wire::open_message(self.out, 2, 1);
            for count in counts {
                wire::put_varint(self.out, *count);
            }
            wire::close_message(self.out, packed);
        }
        wire::close_message(self.out, opened);
        self
    }

    /// Adds a measurement behind the counts.
    pub fn exemplar(&mut self, write: impl FnOnce(&mut ExemplarBuilder<'_>)) -> &mut Self {
        put_exemplar(self.out, 11, write);
        self
    }
}

impl SummaryPointBuilder<'_> {
    /// How many values were measured.
    pub fn count(&mut self, count: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 4, count);
        self
    }

    /// Their sum.
    pub fn sum(&mut self, sum: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 5, sum.to_bits());
        self
    }

    /// Adds a quantile (0 to 1) and the value there.
    pub fn quantile(&mut self, quantile: f64, value: f64) -> &mut Self {
        wire::put_tag(self.out, 6, 2);
        wire::put_varint(self.out, 18);
        wire::put_fixed64_field(self.out, 1, quantile.to_bits());
        wire::put_fixed64_field(self.out, 2, value.to_bits());
        self
    }
}

/// A measurement behind a point, being written.
#[derive(Debug)]
pub struct ExemplarBuilder<'a> {
    out: &'a mut Vec<u8>,
}

impl ExemplarBuilder<'_> {
    attribute_methods!(|_: &Self| 7);

    /// When, in nanoseconds since 1970.
    pub fn time(&mut self, unix_nano: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 2, unix_nano);
        self
    }

    /// The value, floating.
    pub fn double(&mut self, value: f64) -> &mut Self {
        wire::put_fixed64_field(self.out, 3, value.to_bits());
        self
    }

    /// The value, an integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        wire::put_fixed64_field(self.out, 6, value.cast_unsigned());
        self
    }

    /// The trace (16 bytes) and the span (8 bytes) in which it was measured.
    pub fn ids(&mut self, trace_id: &[u8], span_id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 4, span_id);
        wire::put_bytes_field(self.out, 5, trace_id);
        self
    }
}
