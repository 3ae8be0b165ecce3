//! Writing the metrics that the user wants, of one resource after another.

use std::collections::{HashMap, HashSet};

use corten_pdata::build::MetricsBuilder;
use corten_pdata::metrics::Temporality;

use crate::config::{ATTRIBUTES, Config};
use crate::metrics::{ALL, Definition, Shape};

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    metrics: HashMap<&'static str, &'static Definition>,
    attributes: HashSet<&'static str>,
}

impl Wanted {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            metrics: ALL
                .iter()
                .filter(|one| config.has_metric(one.name))
                .map(|one| (one.name, one))
                .collect(),
            attributes: ATTRIBUTES
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| config.has_attribute(name))
                .collect(),
        }
    }
}

/// A point's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl From<u64> for Number {
    /// What does not fit is the largest that does.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// Where metrics are written.
pub(crate) struct Emit<'a> {
    pub(crate) builder: &'a mut MetricsBuilder,
    pub(crate) wanted: &'a Wanted,
    /// Nanoseconds since 1970: now.
    pub(crate) now: u64,
    /// When the resource began; 0 when it is not known.
    start: u64,
    /// The attributes of a resource that has no metric yet: one without any is not written.
    pending: Option<Vec<(&'static str, &'a str)>>,
}

impl<'a> Emit<'a> {
    pub(crate) fn new(builder: &'a mut MetricsBuilder, wanted: &'a Wanted, now: u64) -> Self {
        Self {
            builder,
            wanted,
            now,
            start: 0,
            pending: None,
        }
    }

    /// Begins a resource that has been there since `start`.
    pub(crate) fn resource(&mut self, start: u64, attributes: &[(&'static str, &'a str)]) {
        self.start = start;
        self.pending = Some(attributes.to_vec());
    }

    fn begin(&mut self) {
        let Some(attributes) = self.pending.take() else {
            return;
        };
        let wanted = &self.wanted.attributes;
        self.builder.resource(|resource| {
            for (name, value) in attributes {
                if !value.is_empty() && wanted.contains(name) {
                    resource.attribute_str(name, value);
                }
            }
        });
        self.builder
            .scope("kubelet_stats", env!("CARGO_PKG_VERSION"));
    }

    /// The one point of a metric, where there is a value.
    pub(crate) fn value(&mut self, name: &str, value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.points(name, [(&[][..], value.into())]);
        }
    }

    /// All points of a metric.
    pub(crate) fn points<'p>(
        &mut self,
        name: &str,
        all: impl IntoIterator<Item = (&'p [(&'p str, &'p str)], Number)>,
    ) {
        let Some(definition) = self.wanted.metrics.get(name).copied() else {
            return;
        };
        let mut all = all.into_iter().peekable();
        if all.peek().is_none() {
            return;
        }
        self.begin();
        let metric = self
            .builder
            .metric(definition.name, definition.description, definition.unit);
        let counter = definition.shape == Shape::Counter;
        let mut points = match definition.shape {
            Shape::Gauge => metric.gauge(),
            Shape::UpDown => metric.sum(Temporality::Cumulative, false),
            Shape::Counter => metric.sum(Temporality::Cumulative, true),
        };
        for (attributes, value) in all {
            points.point(|point| {
                for (name, value) in attributes {
                    point.attribute_str(name, value);
                }
                if counter && self.start != 0 {
                    point.start_time(self.start);
                }
                point.time(self.now);
                match value {
                    Number::Int(value) => point.int(value),
                    Number::Double(value) => point.double(value),
                };
            });
        }
    }

    /// Seconds since the resource began.
    pub(crate) fn uptime(&self) -> Option<u64> {
        (self.start != 0).then(|| self.now.saturating_sub(self.start) / 1_000_000_000)
    }
}
