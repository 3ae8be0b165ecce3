//! What a series is worth: a number, a histogram, a summary.

use std::borrow::Cow;

use corten_pdata::metrics::{
    self, Buckets, ExponentialHistogramPoint, HistogramPoint, Number, NumberPoint, SummaryPoint,
};

/// A value that somebody else keeps, or one made for the page.
#[derive(Clone, Debug)]
pub enum Held<'a, T> {
    /// Kept elsewhere.
    Borrowed(&'a T),
    /// Made for the page.
    Owned(Box<T>),
}

impl<T> std::ops::Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => value,
        }
    }
}

/// The value of a series.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A gauge, a counter, or something of unknown type.
    Number(f64),
    /// A histogram with explicit buckets.
    Histogram(Held<'a, Histogram>),
    /// A histogram with exponential buckets.
    Exponential(Held<'a, Exponential>),
    /// A summary.
    Summary(Held<'a, Summary>),
}

/// The value of a number point; zero if it has none.
#[must_use]
pub fn number(point: &NumberPoint<'_>) -> f64 {
    point.value().map_or(0.0, Number::as_f64)
}

/// A histogram with explicit buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many values were measured.
    pub count: u64,
    /// Their sum, if it is known.
    pub sum: Option<f64>,
    /// Upper bounds of all buckets but the last.
    pub bounds: Box<[f64]>,
    /// How many values fell into each bucket: one more than bounds, or none.
    pub counts: Box<[u64]>,
    /// Measurements behind the counts.
    pub exemplars: Vec<Exemplar>,
}

impl Histogram {
    /// The histogram of a point.
    #[must_use]
    pub fn of(point: &HistogramPoint<'_>) -> Self {
        Self {
            count: point.count(),
            sum: point.sum(),
            bounds: point.explicit_bounds().collect(),
            counts: point.bucket_counts().collect(),
            exemplars: point.exemplars().map(Exemplar::of).collect(),
        }
    }

    /// Becomes the histogram of a point, in the memory that it has where the buckets are as many.
    pub fn replace(&mut self, point: &HistogramPoint<'_>) {
        self.count = point.count();
        self.sum = point.sum();
        replace(&mut self.bounds, point.explicit_bounds());
        replace(&mut self.counts, point.bucket_counts());
        self.exemplars.clear();
        self.exemplars.extend(point.exemplars().map(Exemplar::of));
    }

    /// Adds a later delta. `false`, and nothing is added, if the buckets differ.
    #[must_use]
    pub fn accumulate(&mut self, delta: &Self) -> bool {
        if self.bounds != delta.bounds || self.counts.len() != delta.counts.len() {
            return false;
        }
        self.count = self.count.saturating_add(delta.count);
        self.sum = plus(self.sum, delta.sum);
        add_counts(&mut self.counts, &delta.counts);
        self.exemplars.clone_from(&delta.exemplars);
        true
    }

    /// Upper bounds with how many values lie at or below each, without the infinite one. Bounds that
    /// are no use (unordered, infinite) are merged into the next.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0u64;
        let mut last = f64::NEG_INFINITY;
        let buckets = self.bounds.iter().zip(&self.counts);
        buckets.filter_map(move |(bound, count)| {
            below = below.saturating_add(*count);
            let usable = *bound > last && bound.is_finite();
            if usable {
                last = *bound;
            }
            usable.then_some((*bound, below))
        })
    }

    /// All values, never fewer than the buckets say.
    pub(crate) fn total(&self) -> u64 {
        let counted = self
            .counts
            .iter()
            .fold(0u64, |all, count| all.saturating_add(*count));
        self.count.max(counted)
    }
}

/// A histogram with exponential buckets: bucket `i` holds values in `(base^i, base^(i+1)]` with
/// `base = 2^(2^-scale)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    /// How many values were measured.
    pub count: u64,
    /// Their sum, if it is known.
    pub sum: Option<f64>,
    /// The resolution.
    pub scale: i32,
    /// How many values were within the zero threshold.
    pub zero_count: u64,
    /// What counts as zero.
    pub zero_threshold: f64,
    /// Positive values.
    pub positive: Run,
    /// Negative values, by their size.
    pub negative: Run,
    /// Measurements behind the counts.
    pub exemplars: Vec<Exemplar>,
}

/// A run of exponential buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The index of the first bucket.
    pub offset: i64,
    /// How many values fell into each bucket from the first on.
    pub counts: Vec<u64>,
}

/// Resolutions that Prometheus's native histograms have.
const NATIVE_SCALES: std::ops::RangeInclusive<i32> = -4..=8;

/// What counts as zero where nothing is said: Prometheus tells native histograms by having such a bound.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Empty buckets in a row that are cheaper to write than to step over.
const GAP: usize = 2;

/// More buckets than this are merged by halving the resolution: the most that the SDKs make.
const MAX_BUCKETS: usize = 160;

impl Run {
    fn of(buckets: Option<Buckets<'_>>) -> Self {
        let Some(buckets) = buckets else {
            return Self::default();
        };
        let mut run = Self {
            offset: i64::from(buckets.offset()),
            counts: buckets.bucket_counts().collect(),
        };
        run.trim();
        run
    }

    fn trim(&mut self) {
        let leading = self.counts.iter().take_while(|count| **count == 0).count();
        self.counts.drain(..leading);
        self.offset += width(leading);
        let used = self.counts.iter().rposition(|count| *count != 0);
        self.counts.truncate(used.map_or(0, |last| last + 1));
    }

    /// Merges groups of `2^by` buckets.
    fn coarsen(&mut self, by: u32) {
        let by = by.min(63);
        let offset = self.offset >> by;
        let mut counts: Vec<u64> = Vec::new();
        for (index, count) in (self.offset..).zip(&self.counts) {
            let place = usize::try_from((index >> by) - offset).unwrap_or_default();
            if counts.len() <= place {
                counts.resize(place + 1, 0);
            }
            if let Some(sum) = counts.get_mut(place) {
                *sum = sum.saturating_add(*count);
            }
        }
        *self = Self { offset, counts };
    }

    /// Adds another run of the same resolution.
    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        let start = self.offset.min(other.offset);
        let end = self.end().max(other.end());
        let mut counts = vec![0u64; usize::try_from(end - start).unwrap_or_default()];
        for run in [&*self, other] {
            let from = usize::try_from(run.offset - start).unwrap_or_default();
            if let Some(place) = counts.get_mut(from..from + run.counts.len()) {
                add_counts(place, &run.counts);
            }
        }
        *self = Self {
            offset: start,
            counts,
        };
    }

    /// Ranges of buckets without long gaps between.
    pub(crate) fn spans(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = self.counts.get(from..)?;
            let start = from + rest.iter().position(|count| *count != 0)?;
            let mut end = start;
            let mut empty = 0;
            for count in self.counts.get(start..)? {
                if *count != 0 {
                    end += empty + 1;
                    empty = 0;
                } else {
                    empty += 1;
                    if empty > GAP {
                        break;
                    }
                }
            }
            from = end;
            Some(start..end)
        })
    }

    /// A place among the buckets as an index.
    pub(crate) fn index(place: usize) -> i64 {
        width(place)
    }

    /// Buckets from the first to the last index of both runs together.
    fn span_with(&self, other: &Self) -> i64 {
        if self.counts.is_empty() || other.counts.is_empty() {
            return 0;
        }
        self.end().max(other.end()) - self.offset.min(other.offset)
    }

    /// The index behind the last bucket.
    fn end(&self) -> i64 {
        self.offset + width(self.counts.len())
    }
}

impl Exponential {
    /// The histogram of a point, with at most 160 buckets on each side of zero.
    #[must_use]
    pub fn of(point: &ExponentialHistogramPoint<'_>) -> Self {
        let mut histogram = Self {
            count: point.count(),
            sum: point.sum(),
            scale: point.scale(),
            zero_count: point.zero_count(),
            zero_threshold: point.zero_threshold(),
            positive: Run::of(point.positive()),
            negative: Run::of(point.negative()),
            exemplars: point.exemplars().map(Exemplar::of).collect(),
        };
        while histogram.positive.counts.len() > MAX_BUCKETS
            || histogram.negative.counts.len() > MAX_BUCKETS
        {
            histogram.coarsen(1);
        }
        histogram
    }

    /// Adds a later delta, at the coarser resolution of the two. `false`, and nothing is added, if their
    /// zero thresholds differ.
    #[must_use]
    pub fn accumulate(&mut self, delta: &Self) -> bool {
        if self.zero_threshold.to_bits() != delta.zero_threshold.to_bits() {
            return false;
        }
        let mut delta = delta.clone();
        let most = width(MAX_BUCKETS);
        let coarser = self.scale.min(delta.scale);
        self.coarsen(self.scale.abs_diff(coarser));
        delta.coarsen(delta.scale.abs_diff(coarser));
        while self.positive.span_with(&delta.positive) > most
            || self.negative.span_with(&delta.negative) > most
        {
            self.coarsen(1);
            delta.coarsen(1);
        }
        self.count = self.count.saturating_add(delta.count);
        self.sum = plus(self.sum, delta.sum);
        self.zero_count = self.zero_count.saturating_add(delta.zero_count);
        self.positive.add(&delta.positive);
        self.negative.add(&delta.negative);
        self.exemplars = delta.exemplars;
        true
    }

    /// Lowers the resolution by `by` steps.
    fn coarsen(&mut self, by: u32) {
        if by > 0 {
            self.positive.coarsen(by);
            self.negative.coarsen(by);
            self.scale = self.scale.saturating_sub_unsigned(by);
        }
    }

    /// As Prometheus's native histograms have it, with a resolution that they have and what counts as zero.
    /// `None` for a coarser resolution than theirs, and for indexes that no double has.
    pub(crate) fn native(&self) -> Option<Cow<'_, Self>> {
        let coarser = self.scale - *NATIVE_SCALES.end().min(&self.scale);
        let has_indexes = |run: &Run| {
            let range = i64::from(i32::MIN / 2)..i64::from(i32::MAX / 2);
            range.contains(&run.offset) && range.contains(&run.end())
        };
        if self.scale < *NATIVE_SCALES.start()
            || !has_indexes(&self.positive)
            || !has_indexes(&self.negative)
        {
            return None;
        }
        let unbounded = !(self.zero_threshold.is_finite() && self.zero_threshold > 0.0);
        if coarser == 0 && !unbounded {
            return Some(Cow::Borrowed(self));
        }
        let mut native = self.clone();
        native.coarsen(coarser.unsigned_abs());
        if unbounded {
            native.zero_threshold = ZERO_THRESHOLD;
        }
        Some(Cow::Owned(native))
    }

    /// How many values the buckets hold.
    pub(crate) fn counted(&self) -> u64 {
        let runs = self.positive.counts.iter().chain(&self.negative.counts);
        runs.fold(self.zero_count, |all, count| all.saturating_add(*count))
    }

    /// The same distribution over explicit buckets, since the text formats have no others: every
    /// populated exponential bucket and those between them become one explicit bucket each, zero
    /// has its own.
    #[must_use]
    pub fn to_explicit(&self) -> Histogram {
        let mut bounds = Vec::new();
        let mut counts = Vec::new();
        let mut index = self.negative.end();
        for count in self.negative.counts.iter().rev() {
            index -= 1;
            bounds.push(-self.bound(index));
            counts.push(*count);
        }
        if self.zero_count > 0 || !self.negative.counts.is_empty() {
            bounds.push(self.zero_threshold.max(0.0));
            counts.push(self.zero_count);
        }
        if !self.positive.counts.is_empty() && bounds.is_empty() {
            // What lies below the first bucket is none of it.
            bounds.push(self.bound(self.positive.offset));
            counts.push(0);
        }
        let mut index = self.positive.offset;
        for count in &self.positive.counts {
            index += 1;
            bounds.push(self.bound(index));
            counts.push(*count);
        }
        counts.push(0);
        Histogram {
            count: self.count,
            sum: self.sum,
            bounds: bounds.into_boxed_slice(),
            counts: counts.into_boxed_slice(),
            exemplars: self.exemplars.clone(),
        }
    }

    /// `base^index`.
    #[expect(clippy::cast_precision_loss, reason = "indexes are far below 2^53")]
    fn bound(&self, index: i64) -> f64 {
        (index as f64 * (-f64::from(self.scale)).exp2()).exp2()
    }
}

/// A summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many values were measured.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles from 0 to 1 with the value at each, in order, none twice.
    pub quantiles: Vec<(f64, f64)>,
}

impl Summary {
    /// The summary of a point.
    #[must_use]
    pub fn of(point: &SummaryPoint<'_>) -> Self {
        let mut quantiles: Vec<_> = point
            .quantile_values()
            .map(|at| (at.quantile(), at.value()))
            .filter(|(quantile, _)| (0.0..=1.0).contains(quantile))
            .collect();
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        quantiles.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
        Self {
            count: point.count(),
            sum: point.sum(),
            quantiles,
        }
    }
}

/// A measurement behind a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    /// The value measured.
    pub value: f64,
    /// When, in nanoseconds since 1970; zero if unknown.
    pub time_unix_nano: u64,
    /// The trace in which it was measured, hexadecimal; empty if unknown.
    pub trace_id: Box<str>,
    /// The span in which it was measured, hexadecimal; empty if unknown.
    pub span_id: Box<str>,
    /// What else is known, names as they came.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

impl Exemplar {
    /// The exemplar of a cursor.
    #[must_use]
    pub fn of(exemplar: metrics::Exemplar<'_>) -> Self {
        Self {
            value: exemplar.value().map_or(0.0, Number::as_f64),
            time_unix_nano: exemplar.time_unix_nano(),
            trace_id: hex(exemplar.trace_id()),
            span_id: hex(exemplar.span_id()),
            attributes: exemplar
                .filtered_attributes()
                .iter()
                .map(|attribute| (attribute.key().into(), attribute.value().to_text().into()))
                .collect(),
        }
    }

    /// The newest exemplar of a number point.
    #[must_use]
    pub fn of_number(point: &NumberPoint<'_>) -> Option<Self> {
        point
            .exemplars()
            .max_by_key(metrics::Exemplar::time_unix_nano)
            .map(Self::of)
    }
}

fn replace<T>(kept: &mut Box<[T]>, values: impl Iterator<Item = T> + Clone) {
    if values.clone().count() == kept.len() {
        for (kept, value) in kept.iter_mut().zip(values) {
            *kept = value;
        }
    } else {
        *kept = values.collect();
    }
}

fn hex(id: &[u8]) -> Box<str> {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut text = String::with_capacity(id.len() * 2);
    for byte in id {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text.into_boxed_str()
}

fn width(buckets: usize) -> i64 {
    i64::try_from(buckets).unwrap_or(i64::MAX)
}

fn plus(sum: Option<f64>, delta: Option<f64>) -> Option<f64> {
    Some(sum? + delta?)
}

fn add_counts(counts: &mut [u64], more: &[u64]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count = count.saturating_add(*more);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponential(scale: i32, offset: i64, counts: &[u64]) -> Exponential {
        Exponential {
            count: counts.iter().sum(),
            sum: Some(1.0),
            scale,
            positive: Run {
                offset,
                counts: counts.to_vec(),
            },
            ..Exponential::default()
        }
    }

    #[test]
    fn exponential_buckets_become_explicit_ones() {
        let mut histogram = exponential(0, 1, &[3, 0, 2]);
        assert_eq!(
            histogram.to_explicit().cumulative().collect::<Vec<_>>(),
            [(2.0, 0), (4.0, 3), (8.0, 3), (16.0, 5)]
        );
        histogram.zero_count = 1;
        histogram.zero_threshold = 0.5;
        histogram.negative = Run {
            offset: 0,
            counts: vec![7, 8],
        };
        assert_eq!(
            histogram.to_explicit().cumulative().collect::<Vec<_>>(),
            [
                (-2.0, 8),
                (-1.0, 15),
                (0.5, 16),
                (4.0, 19),
                (8.0, 19),
                (16.0, 21)
            ]
        );
    }

    #[test]
    fn deltas_of_different_resolution_add_up() {
        let mut histogram = exponential(1, -1, &[1, 1, 1, 1]);
        assert!(histogram.accumulate(&exponential(0, 2, &[5])));
        assert_eq!(histogram.scale, 0);
        assert_eq!(
            histogram.positive,
            Run {
                offset: -1,
                counts: vec![1, 2, 1, 5]
            }
        );
        assert_eq!(histogram.count, 9);
        assert_eq!(histogram.sum, Some(2.0));
    }

    #[test]
    fn useless_bounds_are_merged_away() {
        let histogram = Histogram {
            bounds: [1.0, 1.0, f64::NAN, 0.5, 3.0, f64::INFINITY].into(),
            counts: [1, 1, 1, 1, 1, 1, 1].into(),
            count: 3,
            ..Histogram::default()
        };
        assert_eq!(
            histogram.cumulative().collect::<Vec<_>>(),
            [(1.0, 1), (3.0, 5)]
        );
        assert_eq!(histogram.total(), 7);
    }

    proptest! {
        #[test]
        fn merging_loses_no_value(
            offset in -2000i64..2000,
            counts in proptest::collection::vec(0u64..100, 0..400),
            other in proptest::collection::vec(0u64..100, 0..400),
            shift in -2000i64..2000,
        ) {
            let mut histogram = exponential(3, offset, &counts);
            let delta = exponential(2, shift, &other);
            prop_assert!(histogram.accumulate(&delta));
            let total: u64 = counts.iter().chain(&other).sum();
            prop_assert_eq!(histogram.positive.counts.iter().sum::<u64>(), total);
            let explicit = histogram.to_explicit();
            prop_assert_eq!(explicit.total(), total);
            prop_assert!(explicit.cumulative().all(|(_, below)| below <= total));
        }
    }
}
