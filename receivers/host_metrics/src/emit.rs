//! Writing a metric's points, those that the user wants, with the attributes that the user wants.

use std::time::Instant;

use corten_pdata::build::{MetricsBuilder, NumberPoints};
use corten_pdata::metrics::Temporality;

use crate::config::{Metrics, Strategy};
use crate::definition::{Definition, Shape};

/// A point's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl From<u64> for Number {
    /// The kernel's counters fit; what does not is the largest that does.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl Number {
    fn join(
        self,
        other: Self,
        ints: impl Fn(i64, i64) -> i64,
        doubles: impl Fn(f64, f64) -> f64,
    ) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Self::Int(ints(a, b)),
            (a, b) => Self::Double(doubles(a.as_f64(), b.as_f64())),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "only where integers and fractions meet, which no metric's points do"
    )]
    fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }

    fn divided(self, count: u32) -> Self {
        match self {
            Self::Int(value) => Self::Int(value / i64::from(count)),
            Self::Double(value) => Self::Double(value / f64::from(count)),
        }
    }
}

/// The metrics of one scraper that the user wants.
#[derive(Debug)]
pub(crate) struct Wanted(Vec<Selected>);

#[derive(Debug)]
struct Selected {
    definition: &'static Definition,
    /// The attributes that stay, when not all do.
    reduced: Option<Reduction>,
}

#[derive(Clone, Debug)]
struct Reduction {
    attributes: Vec<&'static str>,
    strategy: Strategy,
}

impl Wanted {
    /// Applies the user's settings to the table of a scraper.
    pub(crate) fn new(definitions: &'static [Definition], settings: &Metrics) -> Self {
        let selected = definitions.iter().filter_map(|definition| {
            let settings = settings.get(definition.name);
            let on = settings
                .and_then(|settings| settings.enabled)
                .unwrap_or(definition.on);
            let chosen = settings.and_then(|settings| settings.attributes.as_ref());
            let stays = |attribute: &&'static str| match chosen {
                Some(chosen) => chosen.iter().any(|name| name == attribute),
                None => definition.attributes.contains(attribute),
            };
            let attributes: Vec<_> = definition.all_attributes().filter(stays).collect();
            let reduced = (attributes.len() < definition.all_attributes().count()).then(|| {
                let default = match definition.shape {
                    Shape::Gauge => Strategy::Avg,
                    Shape::UpDown | Shape::Counter => Strategy::Sum,
                };
                Reduction {
                    attributes,
                    strategy: settings
                        .and_then(|settings| settings.aggregation_strategy)
                        .unwrap_or(default),
                }
            });
            on.then_some(Selected {
                definition,
                reduced,
            })
        });
        Self(selected.collect())
    }

    /// Whether any of these is wanted, for reads that serve nothing else.
    pub(crate) fn any(&self, names: &[&str]) -> bool {
        self.0
            .iter()
            .any(|selected| names.contains(&selected.definition.name))
    }
}

/// Where a scraper writes.
pub(crate) struct Emit<'a> {
    pub(crate) builder: &'a mut MetricsBuilder,
    pub(crate) wanted: &'a Wanted,
    /// Nanoseconds since 1970: now, and when the host booted (0 when not known).
    pub(crate) time: u64,
    pub(crate) boot: u64,
    /// What is not there by then is left out.
    pub(crate) deadline: Instant,
}

impl Emit<'_> {
    /// The points of the metric `name`; what is added to a metric that nobody wants goes nowhere.
    pub(crate) fn metric(&mut self, name: &str) -> Points<'_> {
        let selected = self
            .wanted
            .0
            .iter()
            .find(|selected| selected.definition.name == name);
        Points {
            state: match selected {
                Some(selected) => State::Announced(self.builder, selected.definition),
                None => State::Unwanted,
            },
            reduction: selected.and_then(|selected| selected.reduced.as_ref()),
            groups: Vec::new(),
            time: self.time,
            boot: self.boot,
        }
    }

    /// The one point, without attributes, of the metric `name`.
    pub(crate) fn single(&mut self, name: &str, value: impl Into<Number>) {
        self.metric(name).add(&[], value);
    }
}

/// The points of one metric, written when it goes out of scope at the latest.
pub(crate) struct Points<'e> {
    state: State<'e>,
    reduction: Option<&'e Reduction>,
    groups: Vec<Group>,
    time: u64,
    boot: u64,
}

enum State<'e> {
    Unwanted,
    Announced(&'e mut MetricsBuilder, &'static Definition),
    Begun(NumberPoints<'e>, Shape),
}

/// Points that have become one.
struct Group {
    /// In the order of the reduction's attributes.
    values: Vec<String>,
    number: Number,
    count: u32,
}

impl Points<'_> {
    /// Adds a point with all attributes that the metric can have.
    pub(crate) fn add(&mut self, attributes: &[(&str, &str)], value: impl Into<Number>) {
        if matches!(self.state, State::Unwanted) {
            return;
        }
        let value = value.into();
        match self.reduction {
            None => self.write(attributes.iter().copied(), value),
            Some(reduction) => self.reduce(reduction, attributes, value),
        }
    }

    /// Writes what is held, so that the next metric can begin.
    pub(crate) fn end(self) {}

    fn reduce(&mut self, reduction: &Reduction, attributes: &[(&str, &str)], value: Number) {
        let of = |key: &str| {
            attributes
                .iter()
                .find(|(name, _)| *name == key)
                .map_or("", |(_, value)| value)
        };
        let known = self.groups.iter_mut().find(|group| {
            let keys = reduction.attributes.iter().map(|key| of(key));
            group.values.iter().map(String::as_str).eq(keys)
        });
        match known {
            Some(group) => {
                group.count += 1;
                group.number = match reduction.strategy {
                    Strategy::Sum | Strategy::Avg => {
                        group.number.join(value, i64::saturating_add, |a, b| a + b)
                    }
                    Strategy::Min => group.number.join(value, i64::min, f64::min),
                    Strategy::Max => group.number.join(value, i64::max, f64::max),
                };
            }
            None => self.groups.push(Group {
                values: reduction
                    .attributes
                    .iter()
                    .map(|key| of(key).to_owned())
                    .collect(),
                number: value,
                count: 1,
            }),
        }
    }

    fn write<'p>(&mut self, attributes: impl Iterator<Item = (&'p str, &'p str)>, value: Number) {
        self.begin();
        let (time, boot) = (self.time, self.boot);
        if let State::Begun(points, shape) = &mut self.state {
            points.point(|point| {
                for (name, value) in attributes {
                    point.attribute_str(name, value);
                }
                if *shape != Shape::Gauge && boot != 0 {
                    point.start_time(boot);
                }
                point.time(time);
                match value {
                    Number::Int(value) => point.int(value),
                    Number::Double(value) => point.double(value),
                };
            });
        }
    }

    fn begin(&mut self) {
        if let State::Announced(..) = self.state
            && let State::Announced(builder, definition) =
                std::mem::replace(&mut self.state, State::Unwanted)
        {
            let metric = builder.metric(definition.name, definition.description, definition.unit);
            let points = match definition.shape {
                Shape::Gauge => metric.gauge(),
                Shape::UpDown => metric.sum(Temporality::Cumulative, false),
                Shape::Counter => metric.sum(Temporality::Cumulative, true),
            };
            self.state = State::Begun(points, definition.shape);
        }
    }
}

impl Drop for Points<'_> {
    fn drop(&mut self) {
        let Some(reduction) = self.reduction else {
            return;
        };
        for group in std::mem::take(&mut self.groups) {
            let number = match reduction.strategy {
                Strategy::Avg => group.number.divided(group.count),
                Strategy::Sum | Strategy::Min | Strategy::Max => group.number,
            };
            let attributes = reduction
                .attributes
                .iter()
                .copied()
                .zip(group.values.iter().map(String::as_str));
            self.write(attributes, number);
        }
    }
}
