//! Writes families as OTLP metrics.

use std::borrow::Cow;
use std::collections::HashMap;

use corten_exposition::text::Exemplar;
use corten_pdata::Metrics;
use corten_pdata::build::{ExemplarBuilder, MetricBuilder, MetricsBuilder};
use corten_pdata::metrics::Temporality;

use super::{About, Identity, Kind, Outcome, Part, Report, Row, milliseconds};
use crate::relabel::Labels;

/// The flag of a point whose series has ended.
const NO_RECORDED_VALUE: u32 = 1;

/// What Prometheus says of every scrape: name, description, unit.
const OF_A_SCRAPE: [(&str, &str, &str); 5] = [
    ("up", "Whether the target could be scraped", ""),
    ("scrape_duration_seconds", "How long the scrape took", "s"),
    (
        "scrape_samples_scraped",
        "How many samples the page had",
        "",
    ),
    (
        "scrape_samples_post_metric_relabeling",
        "How many samples were left after metric_relabel_configs",
        "",
    ),
    (
        "scrape_series_added",
        "How many samples were of series that the scrape before did not have",
        "",
    ),
];

/// Whose a metric is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    job: String,
    instance: String,
    /// `otel_scope_…` without the prefix; empty for what the scrape itself found.
    scope: Vec<(String, String)>,
}

/// Where metrics are written, by whose they are. Most pages have one owner.
pub(super) struct Outlets<'i> {
    identity: &'i Identity,
    info: &'i [(String, String)],
    now: u64,
    all: Vec<(Owner, MetricsBuilder)>,
}

const SCOPE: &str = "otel_scope_";

/// Whether a label says whose a series is, rather than which.
fn is_owners(name: &str) -> bool {
    matches!(name, "job" | "instance") || name.starts_with(SCOPE)
}

impl<'i> Outlets<'i> {
    /// For a page of so many bytes.
    pub(super) fn new(
        identity: &'i Identity,
        info: &'i [(String, String)],
        now: u64,
        bytes: usize,
    ) -> Self {
        let mut outlets = Self {
            identity,
            info,
            now,
            all: Vec::new(),
        };
        let of = |name: &str| identity.labels.get(name).cloned().unwrap_or_default();
        let owner = Owner {
            job: of("job"),
            instance: of("instance"),
            scope: Vec::new(),
        };
        outlets.open(owner, bytes);
        outlets
    }

    fn open(&mut self, owner: Owner, bytes: usize) {
        let mut builder = MetricsBuilder::with_capacity(bytes);
        builder.resource(|resource| {
            resource.attribute_str("service.name", &owner.job);
            resource.attribute_str("service.instance.id", &owner.instance);
            let known = |name: &str| matches!(name, "service.name" | "service.instance.id");
            let all = self.identity.attributes.iter();
            for (name, value) in all.filter(|(name, _)| !known(name)) {
                resource.attribute_str(name, value);
            }
            for (name, value) in self.info {
                let taken = self
                    .identity
                    .attributes
                    .iter()
                    .any(|(known, _)| known == name);
                if !taken && !known(name) {
                    resource.attribute_str(name, value);
                }
            }
        });
        let of = |name: &str| {
            let mut all = owner.scope.iter();
            all.find(|(known, _)| known == name)
                .map_or("", |(_, value)| value.as_str())
        };
        if owner.scope.is_empty() {
            builder.scope("prometheus", env!("CARGO_PKG_VERSION"));
        } else {
            builder.scope_with(of("name"), of("version"), of("schema_url"), |attributes| {
                for (name, value) in &owner.scope {
                    if !matches!(name.as_str(), "name" | "version" | "schema_url") {
                        attributes.attribute_str(name, value);
                    }
                }
            });
        }
        self.all.push((owner, builder));
    }

    /// Whose the series with these labels is.
    fn of(&mut self, labels: &Labels<'_>) -> usize {
        let (job, instance) = (labels.get("job"), labels.get("instance"));
        let scoped = labels.iter().any(|(name, _)| name.starts_with(SCOPE));
        let is = |owner: &Owner| owner.job == job && owner.instance == instance;
        if !scoped {
            let found = self
                .all
                .iter()
                .position(|(owner, _)| is(owner) && owner.scope.is_empty());
            if let Some(found) = found {
                return found;
            }
        }
        let scope: Vec<(String, String)> = labels
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(SCOPE)?.to_owned(), value.to_owned()))
            })
            .collect();
        let found = self
            .all
            .iter()
            .position(|(owner, _)| is(owner) && owner.scope == scope);
        found.unwrap_or_else(|| {
            let owner = Owner {
                job: job.to_owned(),
                instance: instance.to_owned(),
                scope,
            };
            self.open(owner, 1024);
            self.all.len() - 1
        })
    }

    /// Writes the samples of a family: their points, or that they have ended.
    pub(super) fn family(&mut self, rows: &[Row<'_>], about: &About<'_>, trim: bool, ended: bool) {
        let mut metrics: Vec<(usize, &str, Kind)> = Vec::new();
        let mut places: Vec<(usize, &Row<'_>)> = Vec::with_capacity(rows.len());
        for row in rows {
            let key = (self.of(&row.labels), &*row.name, row.kind);
            // The last one is nearly always the same.
            let known = match metrics.last() {
                Some(last) if *last == key => Some(metrics.len() - 1),
                _ => metrics.iter().position(|known| *known == key),
            };
            let place = known.unwrap_or_else(|| {
                metrics.push(key);
                metrics.len() - 1
            });
            places.push((place, row));
        }
        for (place, (owner, name, kind)) in metrics.iter().enumerate() {
            let own = places.iter().filter(|(at, _)| *at == place);
            let own: Vec<&Row<'_>> = own.map(|(_, row)| *row).collect();
            // A time of creation alone is no metric.
            if own.iter().all(|row| row.part == Part::Created) {
                continue;
            }
            let Some((_, builder)) = self.all.get_mut(*owner) else {
                continue;
            };
            let name = if trim {
                trimmed(name, *kind, about.unit)
            } else {
                name
            };
            let mut metric = builder.metric(name, &about.help, &unit(about.unit));
            metric.metadata_str("prometheus.type", kind.name());
            let write = Write {
                rows: &own,
                ended: ended.then_some(self.now),
            };
            match kind {
                Kind::Histogram => write.histograms(metric),
                Kind::Summary => write.summaries(metric),
                _ => write.numbers(*kind, metric),
            }
        }
    }

    /// Writes what Prometheus says of every scrape.
    pub(super) fn report(&mut self, report: Report, outcome: &Outcome) {
        #[expect(clippy::cast_precision_loss, reason = "no page has 2^53 samples")]
        let counts = [outcome.scraped, outcome.kept, outcome.added].map(|count| count as f64);
        let [scraped, kept, added] = counts;
        let up = if report.up { 1.0 } else { 0.0 };
        self.of_a_scrape(Some([up, report.seconds, scraped, kept, added]));
    }

    /// Writes that nothing is said any more.
    pub(super) fn end_report(&mut self) {
        self.of_a_scrape(None);
    }

    fn of_a_scrape(&mut self, values: Option<[f64; 5]>) {
        let Some((_, builder)) = self.all.first_mut() else {
            return;
        };
        let labels = &self.identity.labels;
        for (index, (name, description, unit)) in OF_A_SCRAPE.into_iter().enumerate() {
            let mut metric = builder.metric(name, description, unit);
            metric.metadata_str("prometheus.type", "gauge");
            metric.gauge().point(|point| {
                for (name, value) in labels.iter().filter(|(name, _)| !is_owners(name)) {
                    point.attribute_str(name, value);
                }
                point.time(self.now);
                match values.and_then(|values| values.get(index).copied()) {
                    Some(value) => point.double(value),
                    None => point.flags(NO_RECORDED_VALUE),
                };
            });
        }
    }

    pub(super) fn finish(self) -> Metrics {
        let mut metrics = Metrics::new();
        for (_, builder) in self.all {
            if !builder.is_empty() {
                metrics.append(builder.finish());
            }
        }
        metrics
    }
}

/// The rows of one metric.
struct Write<'w, 'a> {
    rows: &'w [&'w Row<'a>],
    /// When the series ended, if that is what is written.
    ended: Option<u64>,
}

/// The parts of a histogram or a summary.
#[derive(Default)]
struct Parts<'w, 'a> {
    labels: Option<&'w Labels<'a>>,
    time: u64,
    /// Bounds or quantiles, and their values.
    values: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
    created: Option<f64>,
    exemplars: Vec<&'w Exemplar<'a>>,
}

macro_rules! attributes {
    ($point:ident, $labels:expr) => {
        for (name, value) in $labels.iter().filter(|(name, _)| !is_owners(name)) {
            $point.attribute_str(name, value);
        }
    };
}

impl<'w, 'a> Write<'w, 'a> {
    fn numbers(&self, kind: Kind, metric: MetricBuilder<'_>) {
        let created: HashMap<u64, f64> = self
            .rows
            .iter()
            .filter(|row| row.part == Part::Created)
            .map(|row| (row.hash, row.value))
            .collect();
        let mut points = match kind {
            Kind::Counter => metric.sum(Temporality::Cumulative, true),
            Kind::Info | Kind::StateSet => metric.sum(Temporality::Cumulative, false),
            _ => metric.gauge(),
        };
        for row in self.rows.iter().filter(|row| row.part != Part::Created) {
            points.point(|point| {
                attributes!(point, row.labels);
                if let Some(now) = self.ended {
                    point.time(now).flags(NO_RECORDED_VALUE);
                    return;
                }
                if let Some(seconds) = created.get(&row.hash) {
                    point.start_time(milliseconds(seconds * 1e3));
                }
                point.time(row.time).double(row.value);
                if let Some(example) = &row.exemplar {
                    point.exemplar(|to| exemplar(example, row.time, to));
                }
            });
        }
    }

    /// The rows of each point, in the order in which they were begun.
    fn compounds(&self) -> Vec<Parts<'w, 'a>> {
        let mut known: HashMap<u64, usize> = HashMap::new();
        let mut all: Vec<Parts<'w, 'a>> = Vec::new();
        for &row in self.rows {
            let next = all.len();
            let at = *known.entry(row.hash).or_insert(next);
            if at == next {
                all.push(Parts {
                    labels: Some(&row.labels),
                    ..Parts::default()
                });
            }
            let Some(parts) = all.get_mut(at) else {
                continue;
            };
            parts.time = row.time;
            match row.part {
                Part::Sum => parts.sum = Some(row.value),
                Part::Count => parts.count = Some(row.value),
                Part::Created => parts.created = Some(row.value),
                Part::Bucket | Part::Quantile | Part::Value => {
                    parts.values.push((row.bound, row.value));
                }
            }
            parts.exemplars.extend(row.exemplar.as_deref());
        }
        for parts in &mut all {
            parts.values.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        all
    }

    fn histograms(&self, metric: MetricBuilder<'_>) {
        let mut points = metric.histogram(Temporality::Cumulative);
        for parts in self.compounds() {
            points.point(|point| {
                if let Some(labels) = parts.labels {
                    attributes!(point, labels);
                }
                if let Some(now) = self.ended {
                    point.time(now).flags(NO_RECORDED_VALUE);
                    return;
                }
                if let Some(seconds) = parts.created {
                    point.start_time(milliseconds(seconds * 1e3));
                }
                point.time(parts.time);
                let last = parts
                    .values
                    .last()
                    .filter(|(bound, _)| *bound == f64::INFINITY);
                let total = last.map(|(_, count)| *count).or(parts.count);
                let total = whole(total.unwrap_or_default());
                point.count(total);
                if let Some(sum) = parts.sum {
                    point.sum(sum);
                }
                if !parts.values.is_empty() {
                    let (bounds, counts) = buckets(&parts.values, total);
                    point.buckets(&bounds, &counts);
                }
                for example in &parts.exemplars {
                    point.exemplar(|to| exemplar(example, parts.time, to));
                }
            });
        }
    }

    fn summaries(&self, metric: MetricBuilder<'_>) {
        let mut points = metric.summary();
        for parts in self.compounds() {
            points.point(|point| {
                if let Some(labels) = parts.labels {
                    attributes!(point, labels);
                }
                if let Some(now) = self.ended {
                    point.time(now).flags(NO_RECORDED_VALUE);
                    return;
                }
                if let Some(seconds) = parts.created {
                    point.start_time(milliseconds(seconds * 1e3));
                }
                point.time(parts.time);
                point.count(whole(parts.count.unwrap_or_default()));
                point.sum(parts.sum.unwrap_or_default());
                for (quantile, value) in &parts.values {
                    point.quantile(*quantile, *value);
                }
            });
        }
    }
}

/// Bounds and what lies between them, from counts that each hold the ones before.
fn buckets(cumulative: &[(f64, f64)], total: u64) -> (Vec<f64>, Vec<u64>) {
    let mut bounds = Vec::with_capacity(cumulative.len());
    let mut counts = Vec::with_capacity(cumulative.len() + 1);
    let mut before = 0;
    for (bound, count) in cumulative.iter().filter(|(bound, _)| bound.is_finite()) {
        let count = whole(*count);
        bounds.push(*bound);
        counts.push(count.saturating_sub(before));
        before = before.max(count);
    }
    counts.push(total.saturating_sub(before));
    (bounds, counts)
}

/// A count, which may be anything that a page says.
fn whole(count: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and NaN is 0"
    )]
    let count = count as u64;
    count
}

fn exemplar(example: &Exemplar<'_>, time: u64, to: &mut ExemplarBuilder<'_>) {
    to.time(example.timestamp.map_or(time, |at| milliseconds(at * 1e3)));
    to.double(example.value);
    let (mut trace, mut span) = (Vec::new(), Vec::new());
    for (name, value) in &example.labels {
        let (id, bytes) = match &**name {
            "trace_id" => (&mut trace, 16),
            "span_id" => (&mut span, 8),
            _ => {
                to.attribute_str(name, value);
                continue;
            }
        };
        match hex(value, bytes) {
            Some(decoded) => *id = decoded,
            // No id of OpenTelemetry's, but still worth to be told.
            None => {
                to.attribute_str(name, value);
            }
        }
    }
    to.ids(&trace, &span);
}

fn hex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    if text.len() != bytes * 2 {
        return None;
    }
    (0..bytes)
        .map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect()
}

/// A name without what the type and the unit say; never nothing.
fn trimmed<'n>(name: &'n str, kind: Kind, unit: &str) -> &'n str {
    let without = |name: &'n str, suffix: &str| {
        let rest = name.strip_suffix(suffix).filter(|_| !suffix.is_empty());
        let rest = rest.and_then(|rest| rest.strip_suffix('_'));
        rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
    };
    let name = if kind == Kind::Counter {
        without(name, "total")
    } else {
        name
    };
    without(name, unit)
}

/// A unit as OpenTelemetry writes it (UCUM).
fn unit(word: &str) -> Cow<'_, str> {
    Cow::Borrowed(match word {
        "days" => "d",
        "hours" => "h",
        "minutes" => "min",
        "seconds" => "s",
        "milliseconds" => "ms",
        "microseconds" => "us",
        "nanoseconds" => "ns",
        "bytes" => "By",
        "kibibytes" => "KiBy",
        "mebibytes" => "MiBy",
        "gibibytes" => "GiBy",
        "tibibytes" => "TiBy",
        "kilobytes" => "KBy",
        "megabytes" => "MBy",
        "gigabytes" => "GBy",
        "terabytes" => "TBy",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        "celsius" => "Cel",
        "hertz" => "Hz",
        "ratio" => "1",
        "percent" => "%",
        other => return Cow::Borrowed(other),
    })
}
