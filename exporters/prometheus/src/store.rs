//! What was pushed: the last value of every series.
//!
//! - Of several points of a series the one measured last counts; what arrives late is passed over.
//! - Deltas of monotonic sums and of histograms are added up, as long as each begins where the one
//!   before it ended; otherwise the total begins anew, which Prometheus sees as a restart. Deltas of
//!   other sums have no total, and are dropped.
//! - A point that says its series has ended (`NoRecordedValue`) removes it at once.
//! - A series that got no point for the expiration time is removed.
//! - A name keeps the type it came with for as long as it has a series.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use corten_exposition::{
    Exemplar, Exponential, Family, Held, Histogram, Kind, LabelSet, PackedLabels, Page, Point,
    Problem, Sink, Summary, Value, number, units_clash,
};
use corten_pdata::metrics::Temporality;

/// Every series that was pushed and has neither ended nor expired.
#[derive(Debug)]
pub(crate) struct Store {
    families: HashMap<Box<str>, Kept>,
    series: usize,
    max_series: usize,
    expiration: Duration,
    swept: Instant,
    /// The labels of the point at hand.
    packed: Vec<u8>,
}

/// One family.
#[derive(Debug)]
struct Kept {
    kind: Kind,
    help: Box<str>,
    unit: Box<str>,
    series: HashMap<PackedLabels, Series>,
}

#[derive(Debug)]
struct Series {
    total: Total,
    time_unix_nano: u64,
    updated: Instant,
    exemplar: Option<Box<Exemplar>>,
}

#[derive(Debug)]
enum Total {
    Number(f64),
    Histogram(Box<Histogram>),
    Exponential(Box<Exponential>),
    Summary(Box<Summary>),
}

/// What became of the points of one batch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Points of further series than there may be.
    pub(crate) over_limit: u64,
    /// Points of a type that the name does not have.
    pub(crate) wrong_type: u64,
    /// Points in a unit that the name does not have.
    pub(crate) wrong_unit: u64,
    /// Points that no total can be made of.
    pub(crate) not_cumulative: u64,
    /// Points older than what is known.
    pub(crate) late: u64,
    /// What to tell the user.
    pub(crate) problems: Vec<Problem>,
}

impl Store {
    /// Keeps at most `max_series` series (0: any number) for `expiration` after their last point.
    pub(crate) fn new(max_series: usize, expiration: Duration) -> Self {
        Self {
            families: HashMap::new(),
            series: 0,
            max_series: if max_series == 0 {
                usize::MAX
            } else {
                max_series
            },
            expiration,
            swept: Instant::now(),
            packed: Vec::new(),
        }
    }

    /// Takes points at the time `now`. The visitor must be dropped before anything else.
    pub(crate) fn take(&mut self, now: Instant) -> Taking<'_> {
        // Without scrapes nothing else would ever make room.
        if now.saturating_duration_since(self.swept) > self.expiration {
            self.sweep(now);
        }
        Taking {
            store: self,
            now,
            open: None,
            outcome: Outcome::default(),
        }
    }

    /// Removes what has expired.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.swept = now;
        let mut series = 0;
        self.families.retain(|_, family| {
            family.series.retain(|_, series| {
                now.saturating_duration_since(series.updated) <= self.expiration
            });
            series += family.series.len();
            !family.series.is_empty()
        });
        self.series = series;
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series
    }

    /// Puts every series on the page.
    pub(crate) fn show<'a>(&'a self, page: &mut Page<'a>) {
        let mut labels = LabelSet::new();
        for (name, family) in &self.families {
            page.begin(
                Cow::Borrowed(name),
                family.kind,
                &family.help,
                Cow::Borrowed(&family.unit),
            );
            for (packed, series) in &family.series {
                packed.unpack(&mut labels);
                let value = match &series.total {
                    Total::Number(value) => Value::Number(*value),
                    Total::Histogram(value) => Value::Histogram(Held::Borrowed(value)),
                    Total::Exponential(value) => Value::Exponential(Held::Borrowed(value)),
                    Total::Summary(value) => Value::Summary(Held::Borrowed(value)),
                };
                let exemplar = series.exemplar.as_deref().map(Held::Borrowed);
                page.series(&mut labels, value, series.time_unix_nano, exemplar);
            }
        }
    }
}

/// Takes the points of one batch.
pub(crate) struct Taking<'s> {
    store: &'s mut Store,
    now: Instant,
    /// The family whose points are coming; out of the store meanwhile.
    open: Option<Open>,
    outcome: Outcome,
}

struct Open {
    name: Box<str>,
    family: Kept,
    temporality: Temporality,
    /// The type differs from the one that the name has.
    wrong_type: bool,
    /// The unit does.
    wrong_unit: bool,
}

impl Taking<'_> {
    /// What became of the points.
    pub(crate) fn finish(mut self) -> Outcome {
        self.close();
        self.outcome
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take()
            && !open.family.series.is_empty()
        {
            self.store.families.insert(open.name, open.family);
        }
    }
}

impl<'a> Sink<'a> for Taking<'_> {
    fn family(&mut self, family: Family<'a>) -> bool {
        self.close();
        let (name, kept) = match self.store.families.remove_entry(&*family.name) {
            Some(known) => known,
            None => (
                Box::from(&*family.name),
                Kept {
                    kind: family.kind,
                    help: family.help.into(),
                    unit: Box::from(&*family.unit),
                    series: HashMap::new(),
                },
            ),
        };
        let wrong_type = kept.kind != family.kind;
        let wrong_unit = units_clash(&kept.unit, &family.unit);
        if wrong_type {
            self.outcome.problems.push(Problem::Type {
                family: family.name.into_owned(),
                kept: kept.kind,
                left_out: family.kind,
            });
        } else if wrong_unit {
            self.outcome.problems.push(Problem::Unit {
                family: family.name.into_owned(),
                kept: kept.unit.to_string(),
                left_out: family.unit.into_owned(),
            });
        } else if !has_total(family.kind, family.temporality) {
            self.outcome.problems.push(Problem::Temporality {
                family: family.name.into_owned(),
            });
        }
        self.open = Some(Open {
            name,
            family: kept,
            temporality: family.temporality,
            wrong_type,
            wrong_unit,
        });
        true
    }

    fn point(&mut self, labels: &mut LabelSet<'a>, point: Point<'a>) {
        let Some(open) = &mut self.open else { return };
        if open.wrong_type {
            self.outcome.wrong_type += 1;
            return;
        }
        if open.wrong_unit {
            self.outcome.wrong_unit += 1;
            return;
        }
        if !has_total(open.family.kind, open.temporality) {
            self.outcome.not_cumulative += 1;
            return;
        }
        labels.pack_into(&mut self.store.packed);
        let packed = self.store.packed.as_slice();
        if point.has_ended() {
            if open.family.series.remove(packed).is_some() {
                self.store.series = self.store.series.saturating_sub(1);
            }
            return;
        }
        let time_unix_nano = point.time_unix_nano();
        let delta = open.temporality == Temporality::Delta;
        if let Some(known) = open.family.series.get_mut(packed) {
            let late = if delta {
                time_unix_nano <= known.time_unix_nano
            } else {
                time_unix_nano < known.time_unix_nano
            };
            if late {
                self.outcome.late += 1;
                return;
            }
            let continues = delta && point.start_time_unix_nano() == known.time_unix_nano;
            match (&mut known.total, &point) {
                (Total::Number(total), Point::Number(point)) if continues => {
                    *total += number(point);
                }
                (Total::Histogram(total), Point::Histogram(point)) if !delta => {
                    total.replace(point);
                }
                (known, point) => {
                    let total = total(point);
                    if !(continues && known.add(&total)) {
                        *known = total;
                    }
                }
            }
            known.exemplar = exemplar(&point);
            known.time_unix_nano = time_unix_nano;
            known.updated = self.now;
        } else if self.store.series >= self.store.max_series {
            self.outcome.over_limit += 1;
        } else {
            self.store.series += 1;
            open.family.series.insert(
                labels.pack(),
                Series {
                    total: total(&point),
                    time_unix_nano,
                    updated: self.now,
                    exemplar: exemplar(&point),
                },
            );
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.outcome.problems.push(problem);
    }
}

fn has_total(kind: Kind, temporality: Temporality) -> bool {
    match temporality {
        Temporality::Cumulative => true,
        Temporality::Delta => matches!(kind, Kind::Counter | Kind::Histogram),
        Temporality::Unspecified => false,
    }
}

fn total(point: &Point<'_>) -> Total {
    match point {
        Point::One => Total::Number(1.0),
        Point::Number(point) => Total::Number(number(point)),
        Point::Histogram(point) => Total::Histogram(Box::new(Histogram::of(point))),
        Point::Exponential(point) => Total::Exponential(Box::new(Exponential::of(point))),
        Point::Summary(point) => Total::Summary(Box::new(Summary::of(point))),
    }
}

fn exemplar(point: &Point<'_>) -> Option<Box<Exemplar>> {
    match point {
        Point::Number(point) => Exemplar::of_number(point).map(Box::new),
        _ => None,
    }
}

impl Total {
    /// Adds a delta; `false`, and nothing is added, if the two do not fit together.
    fn add(&mut self, delta: &Self) -> bool {
        match (self, delta) {
            (Self::Histogram(total), Self::Histogram(delta)) => total.accumulate(delta),
            (Self::Exponential(total), Self::Exponential(delta)) => total.accumulate(delta),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_exposition::{Format, Translation};
    use corten_pdata::Metrics;
    use corten_pdata::model::ExportMetricsServiceRequest;
    use corten_pdata::model::common::{AnyValue, KeyValue, any_value};
    use corten_pdata::model::metrics::{
        Gauge, Histogram as HistogramModel, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    };

    use super::*;

    fn labelled(value: &str) -> Vec<KeyValue> {
        vec![KeyValue {
            key: "a".to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue(value.to_owned())),
            }),
            ..KeyValue::default()
        }]
    }

    fn at(label: &str, start: u64, time: u64, value: f64) -> NumberDataPoint {
        NumberDataPoint {
            attributes: labelled(label),
            start_time_unix_nano: start,
            time_unix_nano: time,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    fn metrics(name: &str, data: Data) -> Metrics {
        metrics_in("", name, data)
    }

    fn metrics_in(unit: &str, name: &str, data: Data) -> Metrics {
        Metrics::from_model(&ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![Metric {
                        name: name.to_owned(),
                        unit: unit.to_owned(),
                        data: Some(data),
                        ..Metric::default()
                    }],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        })
        .unwrap()
    }

    fn gauge(points: Vec<NumberDataPoint>) -> Data {
        Data::Gauge(Gauge {
            data_points: points,
        })
    }

    fn sum(temporality: i32, is_monotonic: bool, points: Vec<NumberDataPoint>) -> Data {
        Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: temporality,
            is_monotonic,
        })
    }

    fn histogram(start: u64, time: u64, counts: &[u64], bounds: &[f64]) -> Data {
        Data::Histogram(HistogramModel {
            aggregation_temporality: 1,
            data_points: vec![HistogramDataPoint {
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: counts.iter().sum(),
                sum: Some(1.0),
                bucket_counts: counts.to_vec(),
                explicit_bounds: bounds.to_vec(),
                ..HistogramDataPoint::default()
            }],
        })
    }

    struct Fixture {
        store: Store,
        now: Instant,
    }

    impl Fixture {
        fn new(max_series: usize) -> Self {
            Self {
                store: Store::new(max_series, Duration::from_secs(300)),
                now: Instant::now(),
            }
        }

        fn push(&mut self, name: &str, data: Data) -> Outcome {
            let translation = Translation::default();
            let metrics = metrics(name, data);
            let mut taking = self.store.take(self.now);
            translation.visit(&metrics, &mut taking);
            taking.finish()
        }

        fn samples(&mut self) -> Vec<String> {
            self.store.sweep(self.now);
            let mut page = Page::new(Format::TEXT);
            self.store.show(&mut page);
            let mut out = Vec::new();
            assert_eq!(page.write(&mut out).problems, []);
            let text = String::from_utf8(out).unwrap();
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples.map(str::to_owned).collect()
        }
    }

    #[test]
    fn the_latest_measurement_counts() {
        let mut fixture = Fixture::new(0);
        fixture.push("g", gauge(vec![at("x", 0, 10, 1.0), at("x", 0, 30, 3.0)]));
        assert_eq!(fixture.push("g", gauge(vec![at("x", 0, 20, 2.0)])).late, 1);
        assert_eq!(fixture.samples(), ["g{a=\"x\"} 3"]);
    }

    #[test]
    fn deltas_are_added_up_while_they_connect() {
        let mut fixture = Fixture::new(0);
        fixture.push(
            "c",
            sum(1, true, vec![at("x", 0, 10, 5.0), at("x", 10, 20, 2.0)]),
        );
        fixture.push("c", sum(1, true, vec![at("x", 20, 30, 1.0)]));
        assert_eq!(fixture.samples(), ["c_total{a=\"x\"} 8"]);
        let outcome = fixture.push("c", sum(1, true, vec![at("x", 20, 30, 1.0)]));
        assert_eq!(outcome.late, 1, "a delta that comes twice counts once");
        fixture.push("c", sum(1, true, vec![at("x", 35, 40, 4.0)]));
        assert_eq!(
            fixture.samples(),
            ["c_total{a=\"x\"} 4"],
            "a gap begins a new total"
        );
    }

    #[test]
    fn a_name_keeps_its_unit_while_it_has_series() {
        use corten_exposition::naming::{Namer, TranslationStrategy};
        let translation = Translation {
            namer: Namer::new(TranslationStrategy::UnderscoreEscapingWithoutSuffixes, ""),
            ..Translation::default()
        };
        let mut fixture = Fixture::new(0);
        let mut push = |label: &str, unit: &str| {
            let metrics = metrics_in(unit, "took", gauge(vec![at(label, 0, 10, 1.0)]));
            let mut taking = fixture.store.take(fixture.now);
            translation.visit(&metrics, &mut taking);
            taking.finish()
        };
        assert_eq!(push("x", "s"), Outcome::default());
        let outcome = push("y", "ms");
        assert_eq!((outcome.wrong_unit, outcome.problems.len()), (1, 1));
        assert_eq!(
            push("z", ""),
            Outcome::default(),
            "no unit contradicts none"
        );
        assert_eq!(fixture.samples(), ["took{a=\"x\"} 1", "took{a=\"z\"} 1"]);
    }

    #[test]
    fn a_point_of_a_known_series_takes_no_memory() {
        let translation = Translation::default();
        let mut store = Store::new(0, Duration::from_secs(300));
        let mut taken = |points: u32, time: u64| {
            let labels: Vec<String> = (0..points).map(|number| number.to_string()).collect();
            let points = labels.iter().map(|label| at(label, 0, time, 1.0));
            let metrics = metrics("some.metric", sum(2, true, points.collect()));
            allocation_counter::measure(|| {
                let mut taking = store.take(Instant::now());
                translation.visit(&metrics, &mut taking);
                assert_eq!(taking.finish(), Outcome::default());
            })
            .count_total
        };
        assert!(taken(1000, 1) > 1000, "new series do");
        let (few, many) = (taken(10, 2), taken(1000, 3));
        assert_eq!(few, many);
    }

    #[test]
    fn what_has_no_total_is_dropped() {
        let mut fixture = Fixture::new(0);
        let outcome = fixture.push("s", sum(1, false, vec![at("x", 0, 10, 5.0)]));
        assert_eq!((outcome.not_cumulative, outcome.problems.len()), (1, 1));
        let outcome = fixture.push("u", sum(0, true, vec![at("x", 0, 10, 5.0)]));
        assert_eq!(outcome.not_cumulative, 1);
        fixture.push("up_down", sum(2, false, vec![at("x", 0, 10, 5.0)]));
        assert_eq!(fixture.samples(), ["up_down{a=\"x\"} 5"]);
    }

    #[test]
    fn histograms_are_added_up_while_their_buckets_agree() {
        let mut fixture = Fixture::new(0);
        fixture.push("h", histogram(0, 10, &[1, 2], &[1.0]));
        fixture.push("h", histogram(10, 20, &[3, 0], &[1.0]));
        assert_eq!(
            fixture.samples(),
            [
                "h_bucket{le=\"1\"} 4",
                "h_bucket{le=\"+Inf\"} 6",
                "h_sum 2",
                "h_count 6"
            ]
        );
        fixture.push("h", histogram(20, 30, &[7], &[]));
        assert_eq!(
            fixture.samples(),
            ["h_bucket{le=\"+Inf\"} 7", "h_sum 1", "h_count 7"]
        );
    }

    #[test]
    fn an_ended_series_goes_and_the_rest_of_its_metric_stays() {
        let mut fixture = Fixture::new(0);
        fixture.push("g", gauge(vec![at("x", 0, 10, 1.0), at("y", 0, 10, 1.0)]));
        let mut ended = at("x", 0, 20, 0.0);
        ended.flags = 1;
        fixture.push("g", gauge(vec![ended, at("y", 0, 20, 2.0)]));
        assert_eq!(fixture.samples(), ["g{a=\"y\"} 2"]);
        assert_eq!(fixture.store.len(), 1);
    }

    #[test]
    fn every_series_expires_by_itself() {
        let mut fixture = Fixture::new(0);
        fixture.push(
            "g",
            gauge(vec![at("old", 0, 10, 1.0), at("new", 0, 10, 1.0)]),
        );
        fixture.now += Duration::from_secs(200);
        fixture.push("g", gauge(vec![at("new", 0, 20, 2.0)]));
        fixture.now += Duration::from_secs(101);
        assert_eq!(fixture.samples(), ["g{a=\"new\"} 2"]);
        fixture.now += Duration::from_secs(400);
        assert_eq!(fixture.samples(), Vec::<String>::new());
        assert_eq!(fixture.store.len(), 0);
    }

    #[test]
    fn a_name_keeps_its_type_while_it_has_series() {
        let mut fixture = Fixture::new(0);
        fixture.push("g", gauge(vec![at("x", 0, 10, 1.0)]));
        let outcome = fixture.push("g", histogram(0, 10, &[1], &[]));
        assert_eq!((outcome.wrong_type, outcome.problems.len()), (1, 1));
        assert_eq!(fixture.samples(), ["g{a=\"x\"} 1"]);
        fixture.now += Duration::from_secs(301);
        fixture.store.sweep(fixture.now);
        assert_eq!(fixture.push("g", histogram(0, 10, &[1], &[])).wrong_type, 0);
    }

    #[test]
    fn further_series_than_allowed_are_counted() {
        let mut fixture = Fixture::new(2);
        let points = ["x", "y", "z"].map(|label| at(label, 0, 10, 1.0)).to_vec();
        assert_eq!(fixture.push("g", gauge(points)).over_limit, 1);
        let outcome = fixture.push("g", gauge(vec![at("x", 0, 20, 9.0)]));
        assert_eq!(outcome, Outcome::default(), "known series go on");
        // Nobody scrapes, and the room comes back all the same.
        fixture.now += Duration::from_secs(301);
        assert_eq!(
            fixture
                .push("g", gauge(vec![at("z", 0, 20, 1.0)]))
                .over_limit,
            0
        );
    }
}
