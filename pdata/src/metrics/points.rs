//! Data points.

use crate::attributes::Attributes;
use crate::cursor::{Cursor, Fixed, Messages, Numbers, Varint, last};
use crate::wire::{Fields, Value, low32, zigzag_decode};

/// A measured number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl Number {
    /// As a floating-point number; integers beyond 2⁵³ are rounded.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "said in the contract")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// A point of a gauge or a sum. Its fields are gathered when it is made, in one pass.
#[derive(Clone, Copy, Debug)]
pub struct NumberPoint<'a> {
    raw: &'a [u8],
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    value: Option<Number>,
    flags: u32,
}

impl<'a> Cursor<'a> for NumberPoint<'a> {
    #[inline(always)]
    fn new(raw: &'a [u8]) -> Self {
        let mut point = Self {
            raw,
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            value: None,
            flags: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, Value::Fixed64(value)) => point.start_time_unix_nano = value,
                (3, Value::Fixed64(value)) => point.time_unix_nano = value,
                (4, Value::Fixed64(value)) => {
                    point.value = Some(Number::Double(f64::from_bits(value)));
                }
                (6, Value::Fixed64(value)) => point.value = Some(Number::Int(value.cast_signed())),
                (8, Value::Varint(value)) => point.flags = low32(value),
                _ => {}
            }
        }
        point
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// What all kinds of points have.
macro_rules! point {
    ($name:ident, attributes $attributes:literal) => {
        impl<'a> $name<'a> {
            /// Its attributes.
            #[inline]
            #[must_use]
            pub fn attributes(&self) -> Attributes<'a> {
                Attributes::new(self.raw, $attributes)
            }

            /// Since when it accumulates, in nanoseconds since 1970; zero if unknown.
            #[inline]
            #[must_use]
            pub fn start_time_unix_nano(&self) -> u64 {
                self.start_time_unix_nano
            }

            /// When it was measured, in nanoseconds since 1970.
            #[inline]
            #[must_use]
            pub fn time_unix_nano(&self) -> u64 {
                self.time_unix_nano
            }

            /// Its flags; see [`no_recorded_value`](Self::no_recorded_value).
            #[inline]
            #[must_use]
            pub fn flags(&self) -> u32 {
                self.flags
            }

            /// Whether it says that there is nothing more to say: the series has ended.
            #[inline]
            #[must_use]
            pub fn no_recorded_value(&self) -> bool {
                self.flags & 1 != 0
            }
        }
    };
}

point!(NumberPoint, attributes 7);
point!(HistogramPoint, attributes 9);
point!(ExponentialHistogramPoint, attributes 1);
point!(SummaryPoint, attributes 7);

impl<'a> NumberPoint<'a> {
    /// The value.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<Number> {
        self.value
    }

    /// Measurements behind the value.
    pub fn exemplars(&self) -> Messages<'a, Exemplar<'a>> {
        Messages::new(self.raw, 5)
    }
}

/// A point of a histogram with explicit buckets. Its numbers are gathered when it is made.
#[derive(Clone, Copy, Debug)]
pub struct HistogramPoint<'a> {
    raw: &'a [u8],
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    flags: u32,
}

impl<'a> Cursor<'a> for HistogramPoint<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        let mut point = Self {
            raw,
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: None,
            min: None,
            max: None,
            flags: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, Value::Fixed64(value)) => point.start_time_unix_nano = value,
                (3, Value::Fixed64(value)) => point.time_unix_nano = value,
                (4, Value::Fixed64(value)) => point.count = value,
                (5, Value::Fixed64(value)) => point.sum = Some(f64::from_bits(value)),
                (10, Value::Varint(value)) => point.flags = low32(value),
                (11, Value::Fixed64(value)) => point.min = Some(f64::from_bits(value)),
                (12, Value::Fixed64(value)) => point.max = Some(f64::from_bits(value)),
                _ => {}
            }
        }
        point
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> HistogramPoint<'a> {
    /// How many values were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, if it is known.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// The smallest, if it is known.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest, if it is known.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.max
    }

    /// How many values fell into each bucket: one more than there are bounds, or none.
    pub fn bucket_counts(&self) -> impl Iterator<Item = u64> + Clone + use<'a> {
        Numbers::<Fixed>::new(self.raw, 6).map(|count| count.0)
    }

    /// The upper bounds of all buckets but the last, inclusive.
    pub fn explicit_bounds(&self) -> impl Iterator<Item = f64> + Clone + use<'a> {
        Numbers::<f64>::new(self.raw, 7)
    }

    /// Measurements behind the counts.
    pub fn exemplars(&self) -> Messages<'a, Exemplar<'a>> {
        Messages::new(self.raw, 8)
    }
}

/// A point of a histogram with exponential buckets. Its numbers are gathered when it is made.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialHistogramPoint<'a> {
    raw: &'a [u8],
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Option<&'a [u8]>,
    negative: Option<&'a [u8]>,
    flags: u32,
}

impl<'a> Cursor<'a> for ExponentialHistogramPoint<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        let mut point = Self {
            raw,
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: None,
            min: None,
            max: None,
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: None,
            negative: None,
            flags: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, Value::Fixed64(value)) => point.start_time_unix_nano = value,
                (3, Value::Fixed64(value)) => point.time_unix_nano = value,
                (4, Value::Fixed64(value)) => point.count = value,
                (5, Value::Fixed64(value)) => point.sum = Some(f64::from_bits(value)),
                (6, Value::Varint(value)) => point.scale = sint32(value),
                (7, Value::Fixed64(value)) => point.zero_count = value,
                (8, Value::Bytes(value)) => point.positive = Some(value),
                (9, Value::Bytes(value)) => point.negative = Some(value),
                (10, Value::Varint(value)) => point.flags = low32(value),
                (12, Value::Fixed64(value)) => point.min = Some(f64::from_bits(value)),
                (13, Value::Fixed64(value)) => point.max = Some(f64::from_bits(value)),
                (14, Value::Fixed64(value)) => point.zero_threshold = f64::from_bits(value),
                _ => {}
            }
        }
        point
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// A `sint32`: the protocol drops the upper half of the varint first.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "zigzag of 32 bits fits 32 bits"
)]
fn sint32(value: u64) -> i32 {
    zigzag_decode(u64::from(low32(value))) as i32
}

impl<'a> ExponentialHistogramPoint<'a> {
    /// How many values were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, if it is known.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// The smallest, if it is known.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest, if it is known.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.max
    }

    /// The resolution: a bucket's bounds are a factor of `2^(2^-scale)` apart.
    #[must_use]
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// How many values were within the zero threshold.
    #[must_use]
    pub fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// What counts as zero.
    #[must_use]
    pub fn zero_threshold(&self) -> f64 {
        self.zero_threshold
    }

    /// Counts of positive values.
    #[must_use]
    pub fn positive(&self) -> Option<Buckets<'a>> {
        self.positive.map(Buckets::new)
    }

    /// Counts of negative values.
    #[must_use]
    pub fn negative(&self) -> Option<Buckets<'a>> {
        self.negative.map(Buckets::new)
    }

    /// Measurements behind the counts.
    pub fn exemplars(&self) -> Messages<'a, Exemplar<'a>> {
        Messages::new(self.raw, 11)
    }
}

/// A run of exponential buckets.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for Buckets<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Buckets<'a> {
    /// The index of the first bucket.
    #[must_use]
    pub fn offset(&self) -> i32 {
        sint32(last(self.raw, 1).map_or(0, Value::number))
    }

    /// How many values fell into each bucket from the first on.
    pub fn bucket_counts(&self) -> impl Iterator<Item = u64> + Clone + use<'a> {
        Numbers::<Varint>::new(self.raw, 2).map(|count| count.0)
    }
}

/// A point of a summary. Its numbers are gathered when it is made.
#[derive(Clone, Copy, Debug)]
pub struct SummaryPoint<'a> {
    raw: &'a [u8],
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    count: u64,
    sum: f64,
    flags: u32,
}

impl<'a> Cursor<'a> for SummaryPoint<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        let mut point = Self {
            raw,
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: 0.0,
            flags: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, Value::Fixed64(value)) => point.start_time_unix_nano = value,
                (3, Value::Fixed64(value)) => point.time_unix_nano = value,
                (4, Value::Fixed64(value)) => point.count = value,
                (5, Value::Fixed64(value)) => point.sum = f64::from_bits(value),
                (8, Value::Varint(value)) => point.flags = low32(value),
                _ => {}
            }
        }
        point
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> SummaryPoint<'a> {
    /// How many values were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The quantiles.
    pub fn quantile_values(&self) -> Messages<'a, ValueAtQuantile<'a>> {
        Messages::new(self.raw, 6)
    }
}

/// A quantile of a summary.
#[derive(Clone, Copy, Debug)]
pub struct ValueAtQuantile<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ValueAtQuantile<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl ValueAtQuantile<'_> {
    /// Which, from 0 to 1.
    #[must_use]
    pub fn quantile(&self) -> f64 {
        last(self.raw, 1).map_or(0.0, Value::double)
    }

    /// The value there.
    #[must_use]
    pub fn value(&self) -> f64 {
        last(self.raw, 2).map_or(0.0, Value::double)
    }
}

/// A measurement behind a point, often with the trace in which it was made.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    raw: &'a [u8],
    time_unix_nano: u64,
    value: Option<Number>,
    span_id: &'a [u8],
    trace_id: &'a [u8],
}

impl<'a> Cursor<'a> for Exemplar<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let mut exemplar = Self {
            raw,
            time_unix_nano: 0,
            value: None,
            span_id: &[],
            trace_id: &[],
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, Value::Fixed64(value)) => exemplar.time_unix_nano = value,
                (3, Value::Fixed64(value)) => {
                    exemplar.value = Some(Number::Double(f64::from_bits(value)));
                }
                (4, Value::Bytes(value)) => exemplar.span_id = value,
                (5, Value::Bytes(value)) => exemplar.trace_id = value,
                (6, Value::Fixed64(value)) => {
                    exemplar.value = Some(Number::Int(value.cast_signed()));
                }
                _ => {}
            }
        }
        exemplar
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Exemplar<'a> {
    /// The attributes that the point's own attributes leave out.
    #[must_use]
    pub fn filtered_attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 7)
    }

    /// When, in nanoseconds since 1970.
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    /// The measured value.
    #[must_use]
    pub fn value(&self) -> Option<Number> {
        self.value
    }

    /// The span in which it was measured: 8 bytes, or none.
    #[must_use]
    pub fn span_id(&self) -> &'a [u8] {
        self.span_id
    }

    /// The trace in which it was measured: 16 bytes, or none.
    #[must_use]
    pub fn trace_id(&self) -> &'a [u8] {
        self.trace_id
    }
}
