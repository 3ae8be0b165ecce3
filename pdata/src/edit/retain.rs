//! Keeping some records.

use bytes::Bytes;

use super::splice::Splicer;
use super::{Record, messages, point_attributes, record_attributes};
use crate::attributes::{Resource, Scope, resource_of, scope_of};
use crate::cursor::Cursor;
use crate::metrics::Metric;
use crate::rope::{Metrics, Rope, Segment};
use crate::signal::SignalKind;
use crate::wire::{Field, Fields, Value};
use crate::{Data, Signal};

/// Keeps the log records, spans or data points that `keep` holds for. Metrics, scopes and resources
/// that lose their last one go with it; those that had none stay.
#[must_use]
pub fn retain<S: SignalKind>(rope: &Rope<S>, mut keep: impl FnMut(&Record<'_>) -> bool) -> Rope<S> {
    each_scope(rope, |filter, scope, record| {
        filter.children(scope, 2, |filter, child| {
            if S::SIGNAL != Signal::Metrics {
                record.raw = child.value.bytes();
                return Verdict::item(keep(record));
            }
            record.metric = Some(Metric::new(child.value.bytes()));
            let data = Fields::new(child.value.bytes()).find_map(|field| {
                let attributes = point_attributes(field.number)?;
                matches!(field.value, Value::Bytes(_)).then_some((field, attributes))
            });
            let Some((data, attributes)) = data else {
                return Verdict::KEPT;
            };
            record.attributes = attributes;
            filter.splicer.enter(child);
            let verdict = filter.within(&data, 1, |_, point| {
                record.raw = point.value.bytes();
                Verdict::item(keep(record))
            });
            filter.splicer.leave();
            verdict
        })
    })
}

/// Keeps the metrics that `keep` holds for, whole. Scopes and resources that lose their last one go
/// with it; those that had none stay.
#[must_use]
pub fn retain_metrics(
    metrics: &Metrics,
    mut keep: impl FnMut(&Resource<'_>, &Scope<'_>, &Metric<'_>) -> bool,
) -> Metrics {
    each_scope(metrics, |filter, scope, record| {
        filter.children(scope, 2, |_, child| {
            let metric = Metric::new(child.value.bytes());
            Verdict {
                kept: keep(&record.resource, &record.scope, &metric),
                lost: metric.points_count(),
            }
            .normal()
        })
    })
}

impl Data {
    /// [`retain`] for any signal.
    #[must_use]
    pub fn retain(&self, keep: impl FnMut(&Record<'_>) -> bool) -> Self {
        match self {
            Self::Logs(rope) => retain(rope, keep).into(),
            Self::Metrics(rope) => retain(rope, keep).into(),
            Self::Traces(rope) => retain(rope, keep).into(),
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy)]
struct Verdict {
    /// Whether it stays, if perhaps with less in it.
    kept: bool,
    /// How many items went.
    lost: usize,
}

impl Verdict {
    const KEPT: Self = Self {
        kept: true,
        lost: 0,
    };

    fn item(keep: bool) -> Self {
        Self {
            kept: keep,
            lost: usize::from(!keep),
        }
    }

    /// What is kept whole loses nothing.
    fn normal(self) -> Self {
        if self.kept { Self::KEPT } else { self }
    }
}

struct Filter<'a> {
    splicer: Splicer<'a>,
}

impl<'a> Filter<'a> {
    /// Asks about the children (field `number`) of a message that has been entered, drops those that
    /// are not kept, and says what becomes of the message: it goes if it loses its last child.
    fn children(
        &mut self,
        parent: &Field<'a>,
        number: u32,
        mut ask: impl FnMut(&mut Self, &Field<'a>) -> Verdict,
    ) -> Verdict {
        let mut lost = 0;
        let mut kept = false;
        let mut dropped = false;
        for child in messages(parent.value.bytes(), number) {
            let mark = self.splicer.mark();
            let verdict = ask(self, &child);
            lost += verdict.lost;
            if verdict.kept {
                kept = true;
            } else {
                dropped = true;
                self.splicer.restore(mark);
                let range = self.splicer.range(child.raw);
                self.splicer.replace(range);
            }
        }
        Verdict {
            kept: kept || !dropped,
            lost,
        }
    }

    /// The same for a message that has not been entered yet.
    fn within(
        &mut self,
        parent: &Field<'a>,
        number: u32,
        ask: impl FnMut(&mut Self, &Field<'a>) -> Verdict,
    ) -> Verdict {
        self.splicer.enter(parent);
        let verdict = self.children(parent, number, ask);
        self.splicer.leave();
        verdict
    }
}

fn each_scope<'r, S: SignalKind>(
    rope: &'r Rope<S>,
    mut ask: impl FnMut(&mut Filter<'r>, &Field<'r>, &mut Record<'r>) -> Verdict,
) -> Rope<S> {
    rope.segments()
        .iter()
        .map(|segment| {
            let bytes = segment.bytes();
            let mut filter = Filter {
                splicer: Splicer::new(bytes),
            };
            let whole = Field {
                number: 0,
                value: Value::Bytes(bytes),
                raw: bytes,
            };
            let verdict = filter.children(&whole, 1, |filter, resource| {
                filter.within(resource, 2, |filter, scope| {
                    let mut record = Record {
                        resource: resource_of(resource.value.bytes()),
                        scope: scope_of(scope.value.bytes()),
                        metric: None,
                        raw: &[],
                        attributes: record_attributes(S::SIGNAL),
                    };
                    filter.splicer.enter(scope);
                    let verdict = ask(filter, scope, &mut record);
                    filter.splicer.leave();
                    verdict
                })
            });
            match filter.splicer.finish() {
                Some(bytes) => {
                    let items = segment.items().saturating_sub(verdict.lost);
                    let items = u32::try_from(items).unwrap_or(u32::MAX);
                    Segment::new_unchecked(Bytes::from(bytes), items)
                }
                None => segment.clone(),
            }
        })
        .collect()
}
