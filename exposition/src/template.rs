//! A page that is written again with other numbers.
//!
//! From one scrape to the next a node's metrics differ in their numbers and times alone: the same families, the same
//! labels. A [`Template`] keeps a page with the telemetry that it was made of. When the next telemetry is the same, byte for
//! byte, but for the numbers, so is its page: text is copied, numbers are written, and nothing is translated, sorted or
//! escaped again. Anything else makes the page anew.

use std::ops::Range;

use bytes::Bytes;
use corten_pdata::metrics::{MetricData, NumberPoint};
use corten_pdata::wire::{Fields, Value};
use corten_pdata::{Cursor, Metrics};

use crate::negotiation::{Format, Syntax};
use crate::number::{write_float, write_open_metrics_float};
use crate::page::Report;

/// Bytes of telemetry that are worth being kept: some five thousand series.
const LARGEST: usize = 1 << 20;

/// Eight bytes of a message: a number or a time as the encoding has it.
pub(crate) type Eight<'a> = &'a [u8; 8];

/// A page with what it was made of.
#[derive(Debug)]
pub struct Template {
    format: Format,
    /// The serialized requests, in order.
    sources: Vec<Source>,
    page: Vec<u8>,
    /// In the order of the page.
    numbers: Vec<Number>,
    report: Report,
}

#[derive(Debug)]
struct Source {
    bytes: Bytes,
    /// Where the eights begin that may be others next time; ascending.
    free: Vec<u32>,
}

/// A number on the page.
#[derive(Debug)]
struct Number {
    source: u32,
    /// Where its eight bytes begin there.
    at: u32,
    whole: bool,
    text: Range<u32>,
}

/// A number that was written on a page, and what it was made of.
pub(crate) struct Written<'a> {
    pub(crate) origin: Eight<'a>,
    pub(crate) whole: bool,
    pub(crate) text: Range<usize>,
}

impl Template {
    /// `None` when the page is not one that comes again: it is large, or the numbers were not the telemetry's.
    pub(crate) fn learn<'a>(
        format: Format,
        metrics: impl Iterator<Item = &'a Metrics> + Clone,
        page: &[u8],
        written: &[Written<'_>],
        report: &Report,
    ) -> Option<Self> {
        let size: usize = metrics.clone().map(Metrics::bytes_len).sum();
        if size > LARGEST || format.syntax == Syntax::Protobuf {
            return None;
        }
        let sources = metrics.flat_map(sources).collect::<Option<Vec<_>>>()?;
        let place = |origin: Eight<'_>| {
            let mut places = sources.iter().zip(0u32..);
            places.find_map(|(source, index)| Some((index, source.place(origin)?)))
        };
        let numbers = written
            .iter()
            .map(|written| {
                let (source, at) = place(written.origin)?;
                let text = &written.text;
                Some(Number {
                    source,
                    at,
                    whole: written.whole,
                    text: u32::try_from(text.start).ok()?..u32::try_from(text.end).ok()?,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            format,
            sources,
            page: page.to_vec(),
            numbers,
            report: report.clone(),
        })
    }

    /// Appends the page of `metrics` to `out`, if it is this one but for its numbers.
    pub fn write<'a>(
        &mut self,
        format: Format,
        metrics: impl Iterator<Item = &'a Metrics> + Clone,
        out: &mut Vec<u8>,
    ) -> Option<Report> {
        if format != self.format {
            return None;
        }
        let now = || metrics.clone().flat_map(Metrics::segments);
        let same = now().count() == self.sources.len()
            && now()
                .zip(&self.sources)
                .all(|(segment, source)| source.is_like(segment.bytes()));
        if !same {
            return None;
        }
        // The numbers are read from it, and what was there before can go.
        for (segment, source) in now().zip(&mut self.sources) {
            source.bytes = segment.bytes().clone();
        }
        let write_number = match format.syntax {
            Syntax::OpenMetrics => write_open_metrics_float,
            _ => write_float,
        };
        let mut copied = 0;
        for number in &self.numbers {
            let [start, end] = [number.text.start, number.text.end].map(position);
            out.extend_from_slice(self.page.get(copied..start).unwrap_or_default());
            write_number(out, self.value(number));
            copied = end;
        }
        out.extend_from_slice(self.page.get(copied..).unwrap_or_default());
        Some(self.report.clone())
    }

    fn value(&self, number: &Number) -> f64 {
        let source = self.sources.get(position(number.source));
        let rest = source.and_then(|source| source.bytes.get(position(number.at)..));
        let bits = rest
            .and_then(|rest| rest.first_chunk::<8>())
            .map_or(0, |eight| u64::from_le_bytes(*eight));
        if number.whole {
            corten_pdata::metrics::Number::Int(bits.cast_signed()).as_f64()
        } else {
            f64::from_bits(bits)
        }
    }
}

fn position(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The segments of one message with what may change in them. `None` when one is too large to count in.
fn sources(metrics: &Metrics) -> Vec<Option<Source>> {
    let mut sources: Vec<_> = metrics
        .segments()
        .iter()
        .map(|segment| {
            u32::try_from(segment.bytes().len()).ok()?;
            Some(Source {
                bytes: segment.bytes().clone(),
                free: Vec::new(),
            })
        })
        .collect();
    let mut free = |eight: Eight<'_>| {
        for source in sources.iter_mut().flatten() {
            if let Some(at) = source.place(eight) {
                source.free.push(at);
            }
        }
    };
    let mut points = |points: &mut dyn Iterator<Item = NumberPoint<'_>>| {
        for point in points {
            for (_, eight) in eights(&point) {
                free(eight);
            }
        }
    };
    for resource in metrics.resources() {
        for scope in resource.scopes() {
            for metric in scope.metrics() {
                match metric.data() {
                    MetricData::Gauge(gauge) => points(&mut gauge.points()),
                    MetricData::Sum(sum) => points(&mut sum.points()),
                    // Their numbers are many, and are told in text in more than one place.
                    _ => {}
                }
            }
        }
    }
    sources
}

/// Times and values of a point by their fields' numbers.
fn eights<'a>(point: &NumberPoint<'a>) -> impl Iterator<Item = (u32, Eight<'a>)> {
    Fields::new(point.raw()).filter_map(|field| match (field.number, field.value) {
        (2 | 3 | 4 | 6, Value::Fixed64(_)) => Some((field.number, field.raw.last_chunk()?)),
        _ => None,
    })
}

/// The bytes of a point's value, and whether it is a whole number.
pub(crate) fn origin<'a>(point: &NumberPoint<'a>) -> Option<(Eight<'a>, bool)> {
    eights(point)
        .filter(|(number, _)| matches!(number, 4 | 6))
        .last()
        .map(|(number, eight)| (eight, number == 6))
}

impl Source {
    /// Where `eight` is in it, when that is a part of it.
    fn place(&self, eight: Eight<'_>) -> Option<u32> {
        let at = eight
            .as_ptr()
            .addr()
            .checked_sub(self.bytes.as_ptr().addr())?;
        (at + eight.len() <= self.bytes.len()).then_some(())?;
        u32::try_from(at).ok()
    }

    /// Whether `other` is the same but for what may be another.
    fn is_like(&self, other: &Bytes) -> bool {
        if other.len() != self.bytes.len() {
            return false;
        }
        let mut begin = 0;
        let same = |range: Range<usize>| other.get(range.clone()) == self.bytes.get(range);
        for free in &self.free {
            let free = position(*free);
            if !same(begin..free) {
                return false;
            }
            begin = free + 8;
        }
        same(begin..other.len())
    }
}
