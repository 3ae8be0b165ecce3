//! Metrics that already are Prometheus's, written as OTLP.
//!
//! `node_*` and `container_*` have had their names, types and labels for years; dashboards and
//! alerts are written for them. So they are written here as they are: a counter as a monotonic
//! cumulative sum, everything else as a gauge, labels as attributes, values as doubles, and the
//! type as metadata ([`TYPE`]) that tells an exporter to leave names and labels alone.
//!
//! Bytes go straight into one buffer: a sample makes no object.

use std::time::SystemTime;

use corten_pdata::Metrics;
use corten_pdata::build::{HistogramPoints, MetricsBuilder, NumberPoints, SummaryPoints};
use corten_pdata::metrics::Temporality;

/// The key of a metric's metadata that holds its Prometheus type: `counter`, `gauge`, `untyped`,
/// `histogram` or `summary`.
pub const TYPE: &str = "prometheus.type";

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Nobody knows which of the two.
    Untyped,
}

impl Kind {
    /// Its value under [`TYPE`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// Writes families, one collection after the other. All samples of a collection have one time.
#[derive(Debug)]
pub struct Families {
    builder: MetricsBuilder,
    scope: &'static str,
    version: &'static str,
    time: u64,
    /// Bytes of the last collection: the next one is hardly larger.
    expected: usize,
}

impl Families {
    /// Families of the instrumentation scope `scope`.
    #[must_use]
    pub fn new(scope: &'static str, version: &'static str) -> Self {
        Self {
            builder: MetricsBuilder::default(),
            scope,
            version,
            time: 0,
            expected: 0,
        }
    }

    /// Begins a collection as of now.
    pub fn begin(&mut self) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.begin_at(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Begins a collection as of a time in nanoseconds since 1970.
    pub fn begin_at(&mut self, unix_nano: u64) {
        self.time = unix_nano;
        self.builder = MetricsBuilder::with_capacity(self.expected);
        self.builder.resource(|_| {});
        self.builder.scope(self.scope, self.version);
    }

    /// Begins a family, which ends the one before. Without a sample it is not written. A name that
    /// comes twice in one collection makes two families, which Prometheus refuses.
    pub fn family<'f>(&'f mut self, kind: Kind, name: &'f str, help: &'f str) -> Family<'f> {
        Family {
            state: State::Announced {
                builder: &mut self.builder,
                kind,
                name,
                help,
            },
            time: self.time,
        }
    }

    /// Begins a family of histograms, which is written at once.
    pub fn histograms<'f>(&'f mut self, name: &'f str, help: &'f str) -> Histograms<'f> {
        let mut metric = self.builder.metric(name, help, "");
        metric.metadata_str(TYPE, "histogram");
        Histograms {
            points: metric.histogram(Temporality::Cumulative),
            time: self.time,
        }
    }

    /// Begins a family of summaries, which is written at once.
    pub fn summaries<'f>(&'f mut self, name: &'f str, help: &'f str) -> Summaries<'f> {
        let mut metric = self.builder.metric(name, help, "");
        metric.metadata_str(TYPE, "summary");
        Summaries {
            points: metric.summary(),
            time: self.time,
        }
    }

    /// Ends the collection.
    pub fn finish(&mut self) -> Metrics {
        // A little more than last time, so that a counter with one digit more fits.
        self.expected = self.builder.len_bytes() + 1024;
        std::mem::take(&mut self.builder).finish()
    }
}

/// A family of histograms, being written.
#[derive(Debug)]
pub struct Histograms<'f> {
    points: HistogramPoints<'f>,
    time: u64,
}

impl Histograms<'_> {
    /// Adds one. `bounds` are the upper ones of all buckets but the last, `counts` are how many
    /// values lie in each bucket alone: one more than there are bounds.
    pub fn add(
        &mut self,
        labels: &[(&str, &str)],
        count: u64,
        sum: f64,
        bounds: &[f64],
        counts: &[u64],
    ) {
        let time = self.time;
        self.points.point(|point| {
            for (name, value) in labels {
                point.attribute_str(name, value);
            }
            point.time(time).count(count).sum(sum);
            point.buckets(bounds, counts);
        });
    }
}

/// A family of summaries, being written.
#[derive(Debug)]
pub struct Summaries<'f> {
    points: SummaryPoints<'f>,
    time: u64,
}

impl Summaries<'_> {
    /// Adds one, with its quantiles and their values.
    pub fn add(&mut self, labels: &[(&str, &str)], count: u64, sum: f64, quantiles: &[(f64, f64)]) {
        let time = self.time;
        self.points.point(|point| {
            for (name, value) in labels {
                point.attribute_str(name, value);
            }
            point.time(time).count(count).sum(sum);
            for (quantile, value) in quantiles {
                point.quantile(*quantile, *value);
            }
        });
    }
}

/// One family, being written.
#[derive(Debug)]
pub struct Family<'f> {
    state: State<'f>,
    time: u64,
}

#[derive(Debug)]
enum State<'f> {
    Announced {
        builder: &'f mut MetricsBuilder,
        kind: Kind,
        name: &'f str,
        help: &'f str,
    },
    Begun(NumberPoints<'f>),
    /// Only while one of the others becomes the other.
    Between,
}

impl Family<'_> {
    /// Adds a sample. Labels come in any order; those with an empty value count as not there.
    #[inline]
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        if !matches!(self.state, State::Begun(_)) {
            self.state = match std::mem::replace(&mut self.state, State::Between) {
                State::Announced {
                    builder,
                    kind,
                    name,
                    help,
                } => State::Begun(begin(builder, kind, name, help)),
                other => other,
            };
        }
        let time = self.time;
        if let State::Begun(points) = &mut self.state {
            points.point(|point| {
                for (name, value) in labels {
                    point.attribute_str(name, value);
                }
                point.time(time).double(value);
            });
        }
    }

    /// Ends it before the end of its scope, so that the next one can begin.
    pub fn end(self) {}
}

fn begin<'f>(
    builder: &'f mut MetricsBuilder,
    kind: Kind,
    name: &str,
    help: &str,
) -> NumberPoints<'f> {
    let mut metric = builder.metric(name, help, "");
    metric.metadata_str(TYPE, kind.name());
    match kind {
        Kind::Counter => metric.sum(Temporality::Cumulative, true),
        Kind::Gauge | Kind::Untyped => metric.gauge(),
    }
}

#[cfg(test)]
mod tests {
    use corten_pdata::metrics::MetricData;

    use super::*;

    #[test]
    fn families_are_otlp_that_remembers_its_type() {
        let mut families = Families::new("scope", "1");
        families.begin_at(17);
        let mut seconds = families.family(Kind::Counter, "a_seconds_total", "Help.");
        seconds.add(&[("mode", "idle"), ("empty", "")], 0.5);
        seconds.add(&[("mode", "user")], 1.5);
        seconds.end();
        families.family(Kind::Gauge, "nobody", "No sample.").end();
        families.family(Kind::Untyped, "c", "").add(&[], 3.0);
        let metrics = families.finish();
        assert_eq!(metrics.items(), 3);
        // What the builder wrote is what the protocol means.
        let checked = Metrics::parse(metrics.to_bytes()).unwrap();
        let resource = checked.resources().next().unwrap();
        let scope = resource.scopes().next().unwrap();
        assert_eq!(scope.scope().name(), "scope");
        let all: Vec<_> = scope.metrics().collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].name(), all[0].description(), all[0].unit()),
            ("a_seconds_total", "Help.", "")
        );
        assert_eq!(all[0].metadata().get_str(TYPE), Some("counter"));
        assert_eq!(all[1].metadata().get_str(TYPE), Some("untyped"));
        let MetricData::Sum(sum) = all[0].data() else {
            panic!("a counter is a sum")
        };
        assert!(sum.is_monotonic());
        assert_eq!(sum.temporality(), Temporality::Cumulative);
        let point = sum.points().next().unwrap();
        assert_eq!(point.time_unix_nano(), 17);
        assert_eq!(point.value().unwrap().as_f64(), 0.5);
        assert_eq!(point.attributes().get_str("mode"), Some("idle"));
        assert!(matches!(all[1].data(), MetricData::Gauge(_)));
    }

    #[test]
    fn every_collection_stands_alone() {
        let mut families = Families::new("scope", "1");
        for _ in 0..2 {
            families.begin();
            families.family(Kind::Gauge, "a", "").add(&[], 1.0);
            assert_eq!(families.finish().items(), 1);
        }
        families.begin();
        assert_eq!(families.finish().items(), 0);
    }
}
