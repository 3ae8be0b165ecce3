//! Dealing records out, each to one of several ropes.

use bytes::Bytes;

use crate::Signal;
use crate::cursor::Cursor as _;
use crate::metrics::Metric;
use crate::rope::{Rope, Segment};
use crate::signal::SignalKind;
use crate::wire::{self, Fields, Opened, Value};

/// A log record, a span or a whole metric with what it stands in, as bytes, for the cursors of their kinds.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The `Resource…` message that it stands in: its fields apart from the scopes are the resource's.
    pub resource: &'a [u8],
    /// The `Scope…` message that it stands in: its fields apart from the records are the scope's.
    pub scope: &'a [u8],
    /// Its own bytes.
    pub raw: &'a [u8],
}

/// Deals log records, spans or whole metrics out to `parts` ropes: `place` says which, from 0; what it says beyond the last
/// goes to the last. The order within a part is that of the rope; resources and scopes without any record are left
/// out.
///
/// Segments whose records go to one place are shared. Of others, records are copied once, and resources and
/// scopes once for every part.
#[must_use]
pub fn partition<S: SignalKind>(
    rope: &Rope<S>,
    parts: usize,
    mut place: impl FnMut(&Whole<'_>) -> usize,
) -> Vec<Rope<S>> {
    let last = parts.saturating_sub(1);
    let mut ropes: Vec<Rope<S>> = (0..=last).map(|_| Rope::new()).collect();
    let mut places = Vec::new();
    for segment in rope.segments() {
        places.clear();
        records(segment.bytes(), |record| {
            places.push(place(record).min(last));
        });
        let Some(first) = places.first() else {
            continue;
        };
        if places.iter().all(|place| place == first) {
            if let Some(rope) = ropes.get_mut(*first) {
                rope.push(segment.clone());
            }
            continue;
        }
        let is_metrics = S::SIGNAL == Signal::Metrics;
        let dealt = deal(segment, &places, last + 1, is_metrics);
        for (rope, part) in ropes.iter_mut().zip(dealt) {
            rope.push(Segment::new_unchecked(Bytes::from(part.out), part.items));
        }
    }
    ropes
}

/// Every record of a request.
fn records<'a>(request: &'a [u8], mut each: impl FnMut(&Whole<'a>)) {
    for resource in messages(request, 1) {
        for scope in messages(resource, 2) {
            for raw in messages(scope, 2) {
                each(&Whole {
                    resource,
                    scope,
                    raw,
                });
            }
        }
    }
}

fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message).filter_map(move |field| match field.value {
        Value::Bytes(raw) if field.number == number => Some(raw),
        _ => None,
    })
}

/// A request in the making.
#[derive(Default)]
struct Part {
    out: Vec<u8>,
    items: u32,
    resource: Option<Opened>,
    scope: Option<Opened>,
}

impl Part {
    fn end_scope(&mut self) {
        if let Some(opened) = self.scope.take() {
            wire::close_message(&mut self.out, opened);
        }
    }

    fn end_resource(&mut self) {
        self.end_scope();
        if let Some(opened) = self.resource.take() {
            wire::close_message(&mut self.out, opened);
        }
    }
}

/// Begins a container of a part with all of the fields that are not its children.
fn open(out: &mut Vec<u8>, number: u32, container: &[u8]) -> Opened {
    let opened = wire::open_message(out, number, wire::length_len(container.len()));
    for field in Fields::new(container) {
        if field.number != 2 || !matches!(field.value, Value::Bytes(_)) {
            out.extend_from_slice(field.raw);
        }
    }
    opened
}

/// Writes the records of a segment to where they go, `places` being theirs in order.
fn deal(segment: &Segment, places: &[usize], parts: usize, is_metrics: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = (0..parts).map(|_| Part::default()).collect();
    let mut places = places.iter();
    for resource in messages(segment.bytes(), 1) {
        for scope in messages(resource, 2) {
            for raw in messages(scope, 2) {
                let Some(part) = places.next().and_then(|place| parts.get_mut(*place)) else {
                    continue;
                };
                if part.resource.is_none() {
                    part.resource = Some(open(&mut part.out, 1, resource));
                }
                if part.scope.is_none() {
                    part.scope = Some(open(&mut part.out, 2, scope));
                }
                wire::put_bytes_field(&mut part.out, 2, raw);
                let items = if is_metrics {
                    Metric::new(raw).points_count()
                } else {
                    1
                };
                let items = u32::try_from(items).unwrap_or(u32::MAX);
                part.items = part.items.saturating_add(items);
            }
            parts.iter_mut().for_each(Part::end_scope);
        }
        parts.iter_mut().for_each(Part::end_resource);
    }
    parts
}
