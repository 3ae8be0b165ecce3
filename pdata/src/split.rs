//! Cutting a rope into pieces: at resources first, then scopes, then records.
//!
//! Resources that go whole into a piece are shared, not copied. What is cut carries its envelope
//! (the resource, the scope, a metric's name, unknown fields) into every piece.

use std::mem;

use bytes::Bytes;

use crate::rope::{Rope, Segment};
use crate::schema::{self, Kind, Message};
use crate::signal::SignalKind;
use crate::wire::{self, Field, Fields, Opened, Value};

impl<S: SignalKind> Rope<S> {
    /// Cuts the rope into pieces of at most `max` items (at least one), in order. All pieces but the
    /// last are full. Resources, scopes and metrics without items stay in the piece of what stands
    /// before them.
    #[must_use]
    pub fn split_items(self, max: usize) -> Vec<Self> {
        if self.items() <= max {
            return vec![self];
        }
        self.cut(Budget::items(max.max(1)), usize::MAX)
    }

    /// Cuts the rope into pieces of at most `max` bytes, in order. A single record that is larger
    /// than that, with its envelope, is a piece of its own.
    #[must_use]
    pub fn split_bytes(self, max: usize) -> Vec<Self> {
        if self.bytes_len() <= max {
            return vec![self];
        }
        self.cut(Budget::bytes(max), usize::MAX)
    }

    /// Takes the first `count` items out of the rope, all of them if there are fewer.
    #[must_use]
    pub fn take_items(&mut self, count: usize) -> Self {
        if count >= self.items() {
            return mem::take(self);
        }
        if count == 0 {
            return Self::new();
        }
        let mut pieces = mem::take(self).cut(Budget::items(count), 1).into_iter();
        let first = pieces.next().unwrap_or_default();
        for piece in pieces {
            self.append(piece);
        }
        first
    }

    fn cut(self, budget: Budget, cuts: usize) -> Vec<Self> {
        let mut cutter = Cutter {
            budget,
            cuts_left: cuts,
            done: Vec::new(),
            piece: Self::new(),
            out: Vec::new(),
            out_items: 0,
            open: Vec::new(),
        };
        for segment in self.segments() {
            cutter.segment(segment);
        }
        cutter.next_piece();
        cutter.done
    }
}

/// How much goes into a piece.
#[derive(Clone, Copy)]
struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    fn items(items: usize) -> Self {
        Self {
            items,
            bytes: usize::MAX,
        }
    }

    fn bytes(bytes: usize) -> Self {
        Self {
            items: usize::MAX,
            bytes,
        }
    }

    /// Whether pieces are filled up by cutting what would fit whole into the next one. Pieces by
    /// items are; for pieces by bytes that would only repeat envelopes.
    fn fills(self) -> bool {
        self.bytes == usize::MAX
    }
}

/// A container that is being cut.
struct Level {
    /// Its own field's number in its parent.
    number: u32,
    /// Bytes of its length as it was; no part of it needs more.
    width: usize,
    /// What every part of it carries: all of its fields but the children.
    envelope: Vec<u8>,
    /// Its place in the piece that is being written, once something of it is there.
    opened: Option<Opened>,
}

impl Level {
    fn new(number: u32, message: &'static Message, raw: &[u8]) -> Self {
        let mut envelope = Vec::new();
        for field in Fields::new(raw) {
            if child_of(message, &field).is_none() {
                envelope.extend_from_slice(field.raw);
            }
        }
        Self {
            number,
            width: wire::length_len(raw.len()),
            envelope,
            opened: None,
        }
    }

    fn open_len(&self) -> usize {
        1 + self.width + self.envelope.len()
    }
}

/// Whole fields of a request that go into a piece as they stand.
#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
    items: usize,
}

impl Run {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

struct Cutter<S> {
    budget: Budget,
    cuts_left: usize,
    done: Vec<Rope<S>>,
    /// The piece in work: finished segments of it …
    piece: Rope<S>,
    /// … and the one being written.
    out: Vec<u8>,
    out_items: usize,
    open: Vec<Level>,
}

/// The message that may be cut further or is an item, if `field` is one: a resource in a request, a
/// scope in a resource, a record or a metric in a scope, data in a metric, a point in data.
fn child_of(message: &Message, field: &Field<'_>) -> Option<&'static Message> {
    match (message.field(field.number)?.kind, field.value) {
        (Kind::Message(child), Value::Bytes(_)) if child.item || child.holds_items => Some(child),
        _ => None,
    }
}

fn count_items(message: &'static Message, raw: &[u8]) -> usize {
    if message.item {
        return 1;
    }
    Fields::new(raw)
        .filter_map(|field| Some((child_of(message, &field)?, field.value.bytes())))
        .map(|(child, raw)| count_items(child, raw))
        .sum()
}

impl<S: SignalKind> Cutter<S> {
    fn segment(&mut self, segment: &Segment) {
        let bytes = segment.bytes();
        if self.fits(segment.items(), bytes.len()) {
            self.piece.push(segment.clone());
            return;
        }
        let request = schema::request(S::SIGNAL);
        let mut run = Run::default();
        for field in Fields::new(bytes) {
            let start = run.end;
            let end = start + field.raw.len();
            let child = child_of(request, &field);
            let items = child.map_or(0, |child| count_items(child, field.value.bytes()));
            if !self.fits(run.items + items, run.len() + field.raw.len()) {
                self.share(bytes, &run);
                run = Run {
                    start,
                    end: start,
                    items: 0,
                };
                let Some(child) = child else {
                    // A field that nobody knows travels with what follows it.
                    self.next_piece();
                    run.end = end;
                    continue;
                };
                if self.must_cut(child, items, field.raw.len()) {
                    self.container(field.number, child, field.value.bytes());
                    self.flush();
                    run.start = end;
                    run.end = end;
                    continue;
                }
            }
            run.end = end;
            run.items += items;
        }
        self.share(bytes, &run);
    }

    fn share(&mut self, bytes: &Bytes, run: &Run) {
        let items = u32::try_from(run.items).unwrap_or(u32::MAX);
        self.piece.push(Segment::new_unchecked(
            bytes.slice(run.start..run.end),
            items,
        ));
    }

    /// Makes room for a child that does not fit, by beginning the next piece where that helps, and
    /// says whether it must be cut.
    fn must_cut(&mut self, child: &Message, items: usize, len: usize) -> bool {
        let cuttable = !child.item && items > 0;
        if cuttable && self.budget.fills() && self.items() < self.budget.items {
            return true;
        }
        self.next_piece();
        cuttable && !self.fits(items, len + self.envelopes_len())
    }

    /// Writes a container that does not fit whole, child by child.
    fn container(&mut self, number: u32, message: &'static Message, raw: &[u8]) {
        self.open.push(Level::new(number, message, raw));
        for field in Fields::new(raw) {
            let Some(child) = child_of(message, &field) else {
                continue;
            };
            let child_raw = field.value.bytes();
            let items = count_items(child, child_raw);
            if !self.fits(items, field.raw.len() + self.envelopes_len())
                && self.must_cut(child, items, field.raw.len())
            {
                self.container(field.number, child, child_raw);
            } else {
                self.open_levels();
                self.out.extend_from_slice(field.raw);
                self.out_items += items;
            }
        }
        if let Some(opened) = self.open.pop().and_then(|level| level.opened) {
            wire::close_message(&mut self.out, opened);
        }
    }

    fn open_levels(&mut self) {
        for level in &mut self.open {
            if level.opened.is_none() {
                level.opened = Some(wire::open_message(&mut self.out, level.number, level.width));
                self.out.extend_from_slice(&level.envelope);
            }
        }
    }

    /// Bytes that it takes to open the levels that are not open in this piece.
    fn envelopes_len(&self) -> usize {
        self.open
            .iter()
            .filter(|level| level.opened.is_none())
            .map(Level::open_len)
            .sum()
    }

    fn items(&self) -> usize {
        self.piece.items() + self.out_items
    }

    /// Whether so much more goes into the piece. Anything goes once no cut is left.
    fn fits(&self, items: usize, bytes: usize) -> bool {
        let have = self.piece.bytes_len() + self.out.len();
        self.cuts_left == 0
            || (items == 0 || self.items() + items <= self.budget.items)
                && have.saturating_add(bytes) <= self.budget.bytes
    }

    fn next_piece(&mut self) {
        for level in self.open.iter_mut().rev() {
            if let Some(opened) = level.opened.take() {
                wire::close_message(&mut self.out, opened);
            }
        }
        self.flush();
        if self.piece.bytes_len() > 0 {
            self.done.push(mem::take(&mut self.piece));
            self.cuts_left = self.cuts_left.saturating_sub(1);
        }
    }

    fn flush(&mut self) {
        let items = u32::try_from(mem::take(&mut self.out_items)).unwrap_or(u32::MAX);
        let bytes = Bytes::from(mem::take(&mut self.out));
        self.piece.push(Segment::new_unchecked(bytes, items));
    }
}

#[cfg(test)]
mod tests {
    use crate::build::{LogsBuilder, MetricsBuilder};
    use crate::{Logs, Metrics, Rope, Segment, Signal};

    fn logs() -> Logs {
        let mut logs = LogsBuilder::new();
        for resource in ["a", "b"] {
            logs.resource(|r| {
                r.attribute_str("name", resource);
            });
            for scope in ["x", "y", "z"] {
                logs.scope(scope, "");
                for line in 0..4 {
                    logs.record(|record| {
                        record.body_str(&format!("{resource}{scope}{line}"));
                    });
                }
            }
        }
        logs.finish()
    }

    fn bodies(logs: &Logs) -> Vec<String> {
        let mut bodies = Vec::new();
        for resource in logs.resources() {
            let name = resource.resource().attributes().get_str("name").unwrap();
            for scope in resource.scopes() {
                for record in scope.records() {
                    let body = record.body().unwrap().to_text();
                    assert!(body.starts_with(&format!("{name}{}", scope.scope().name())));
                    bodies.push(body);
                }
            }
        }
        bodies
    }

    fn valid<S: crate::SignalKind>(rope: &Rope<S>) {
        for segment in rope.segments() {
            let again = Segment::validate(S::SIGNAL, segment.bytes().clone()).unwrap();
            assert_eq!(again.items(), segment.items());
        }
    }

    #[test]
    fn pieces_by_items_are_full_and_in_order() {
        for max in 1..26 {
            let pieces = logs().split_items(max);
            let sizes: Vec<_> = pieces.iter().map(Logs::items).collect();
            let (last, full) = sizes.split_last().unwrap();
            assert!(full.iter().all(|size| *size == max), "{sizes:?}");
            assert!((1..=max).contains(last));
            pieces.iter().for_each(valid);
            let all: Vec<_> = pieces.iter().flat_map(bodies).collect();
            assert_eq!(all, bodies(&logs()));
        }
    }

    #[test]
    fn pieces_by_bytes_keep_to_the_limit() {
        for max in 1..400 {
            let pieces = logs().split_bytes(max);
            for piece in &pieces {
                valid(piece);
                assert!(piece.bytes_len() <= max || piece.items() == 1);
            }
            let all: Vec<_> = pieces.iter().flat_map(bodies).collect();
            assert_eq!(all, bodies(&logs()));
        }
    }

    #[test]
    fn taking_leaves_the_rest() {
        for count in 0..26 {
            let mut rest = logs();
            let taken = rest.take_items(count);
            assert_eq!(taken.items(), count.min(24));
            assert_eq!(taken.items() + rest.items(), 24);
            let all: Vec<_> = [&taken, &rest].into_iter().flat_map(bodies).collect();
            assert_eq!(all, bodies(&logs()));
        }
    }

    #[test]
    fn points_of_one_metric_are_cut_apart() {
        let mut metrics = MetricsBuilder::new();
        let mut points = metrics
            .metric("m", "d", "u")
            .sum(crate::metrics::Temporality::Delta, true);
        for value in 0..5 {
            points.point(|point| {
                point.int(value);
            });
        }
        let metrics: Metrics = metrics.finish();
        let pieces = metrics.split_items(2);
        assert_eq!(pieces.len(), 3);
        for piece in &pieces {
            valid(piece);
            let model = piece.decode().unwrap();
            let metric = &model.resource_metrics[0].scope_metrics[0].metrics[0];
            assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("m", "u"));
        }
        assert_eq!(pieces[0].signal(), Signal::Metrics);
    }
}
