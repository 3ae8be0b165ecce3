//! Metrics and their data points, read in place.

mod points;

pub use points::{
    Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Number, NumberPoint,
    SummaryPoint, ValueAtQuantile,
};

use crate::attributes::{Attributes, Resource, Scope, resource_of, schema_url_of, scope_of};
use crate::cursor::{Cursor, Messages, Resources, last};
use crate::rope::Metrics;
use crate::wire::{self, Fields, Value, low32};

impl Metrics {
    /// The resources of all segments, in order.
    pub fn resources(&self) -> Resources<'_, ResourceMetrics<'_>> {
        Resources::new(self.segments())
    }
}

/// The metrics of one resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceMetrics<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ResourceMetrics<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ResourceMetrics<'a> {
    /// The resource; an empty one if it is missing.
    #[inline]
    #[must_use]
    pub fn resource(&self) -> Resource<'a> {
        resource_of(self.raw)
    }

    /// The schema of the resource's attributes, empty if unknown.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        schema_url_of(self.raw)
    }

    /// Its metrics by scope.
    #[inline]
    pub fn scopes(&self) -> Messages<'a, ScopeMetrics<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// The metrics of one scope.
#[derive(Clone, Copy, Debug)]
pub struct ScopeMetrics<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ScopeMetrics<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ScopeMetrics<'a> {
    /// The scope; an empty one if it is missing.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Scope<'a> {
        scope_of(self.raw)
    }

    /// The schema of the scope's and the metrics' attributes, empty if unknown.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        schema_url_of(self.raw)
    }

    /// The metrics.
    #[inline]
    pub fn metrics(&self) -> Messages<'a, Metric<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// A metric: one name and the data points under it.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    data: Option<(u32, &'a [u8])>,
}

impl<'a> Cursor<'a> for Metric<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        let mut metric = Self {
            raw,
            name: &[],
            description: &[],
            unit: &[],
            data: None,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, Value::Bytes(value)) => metric.name = value,
                (2, Value::Bytes(value)) => metric.description = value,
                (3, Value::Bytes(value)) => metric.unit = value,
                (number @ (5 | 7 | 9 | 10 | 11), Value::Bytes(value)) => {
                    metric.data = Some((number, value));
                }
                _ => {}
            }
        }
        metric
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Metric<'a> {
    /// Its name.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &'a str {
        wire::text(self.name)
    }

    /// What it means.
    #[must_use]
    pub fn description(&self) -> &'a str {
        wire::text(self.description)
    }

    /// Its unit, in UCUM's notation.
    #[must_use]
    pub fn unit(&self) -> &'a str {
        wire::text(self.unit)
    }

    /// What is known of the metric itself; Prometheus's own type among it (`prometheus.type`).
    #[must_use]
    pub fn metadata(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 12)
    }

    /// The data points by kind.
    #[inline]
    #[must_use]
    pub fn data(&self) -> MetricData<'a> {
        let Some((number, raw)) = self.data else {
            return MetricData::Empty;
        };
        match number {
            5 => MetricData::Gauge(Gauge { raw }),
            7 => MetricData::Sum(Sum { raw }),
            9 => MetricData::Histogram(Histogram { raw }),
            10 => MetricData::ExponentialHistogram(ExponentialHistogram { raw }),
            _ => MetricData::Summary(Summary { raw }),
        }
    }

    /// How many data points it has, of whichever kind.
    #[inline]
    #[must_use]
    pub fn points_count(&self) -> usize {
        self.data.map_or(0, |(_, raw)| {
            Fields::new(raw).filter(|field| field.number == 1).count()
        })
    }
}

/// The data points of a metric.
#[derive(Clone, Copy, Debug)]
pub enum MetricData<'a> {
    /// None, or of a kind that this version does not know.
    Empty,
    /// Current values.
    Gauge(Gauge<'a>),
    /// Sums.
    Sum(Sum<'a>),
    /// Distributions over explicit buckets.
    Histogram(Histogram<'a>),
    /// Distributions over exponential buckets.
    ExponentialHistogram(ExponentialHistogram<'a>),
    /// Quantiles computed by the source.
    Summary(Summary<'a>),
}

/// Over which time a sum or a histogram accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Not said, or said in a way that this version does not know.
    Unspecified,
    /// Since the last report.
    Delta,
    /// Since the start.
    Cumulative,
}

fn temporality_of(raw: &[u8]) -> Temporality {
    match last(raw, 2).map(Value::number).map(low32) {
        Some(1) => Temporality::Delta,
        Some(2) => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $point:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            raw: &'a [u8],
        }

        impl<'a> Cursor<'a> for $name<'a> {
            fn new(raw: &'a [u8]) -> Self {
                Self { raw }
            }

            fn raw(&self) -> &'a [u8] {
                self.raw
            }
        }

        impl<'a> $name<'a> {
            /// The data points.
            #[inline]
            pub fn points(&self) -> Messages<'a, $point<'a>> {
                Messages::new(self.raw, 1)
            }
        }
    };
}

kind! {
    /// Current values.
    Gauge, NumberPoint
}

kind! {
    /// Sums.
    Sum, NumberPoint
}

kind! {
    /// Distributions over explicit buckets.
    Histogram, HistogramPoint
}

kind! {
    /// Distributions over exponential buckets.
    ExponentialHistogram, ExponentialHistogramPoint
}

kind! {
    /// Quantiles computed by the source.
    Summary, SummaryPoint
}

impl Sum<'_> {
    /// Over which time the points accumulate.
    #[must_use]
    pub fn temporality(&self) -> Temporality {
        temporality_of(self.raw)
    }

    /// Whether it never falls.
    #[must_use]
    pub fn is_monotonic(&self) -> bool {
        last(self.raw, 3).is_some_and(|value| value.number() != 0)
    }
}

impl Histogram<'_> {
    /// Over which time the points accumulate.
    #[must_use]
    pub fn temporality(&self) -> Temporality {
        temporality_of(self.raw)
    }
}

impl ExponentialHistogram<'_> {
    /// Over which time the points accumulate.
    #[must_use]
    pub fn temporality(&self) -> Temporality {
        temporality_of(self.raw)
    }
}
