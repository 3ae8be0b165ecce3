//! OTLP metrics in Prometheus's terms.

use std::borrow::Cow;

use corten_pdata::metrics::{
    ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, NumberPoint, ScopeMetrics,
    SummaryPoint, Temporality,
};
use corten_pdata::{AnyValue, Attributes, Metrics, Resource};

use crate::labels::LabelSet;
use crate::naming::{Namer, Shape, Unnameable, is_legacy_label, unit_suffixes};
use crate::page::Problem;
use crate::translated::Translated;

/// Prometheus's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `untyped` in text, `unknown` in OpenMetrics.
    Unknown,
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
    /// A distribution.
    Histogram,
    /// Quantiles.
    Summary,
    /// Labels with the value 1: a gauge in text.
    Info,
}

impl Kind {
    /// As text 0.0.4 names it.
    #[must_use]
    pub fn text_name(self) -> &'static str {
        match self {
            Self::Unknown => "untyped",
            Self::Gauge | Self::Info => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// As OpenMetrics names it.
    #[must_use]
    pub fn open_metrics_name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            other => other.text_name(),
        }
    }
}

/// What the series of one name have in common.
#[derive(Clone, Debug)]
pub struct Family<'a> {
    /// Prometheus's name, `_total` included. It may still hold UTF-8 for a scraper to be asked about.
    pub name: Cow<'a, str>,
    /// The type.
    pub kind: Kind,
    /// What it means; may be empty.
    pub help: &'a str,
    /// Prometheus's word for its unit (`seconds`), empty if it has none or the name does not say so.
    pub unit: Cow<'a, str>,
    /// Whether its points are totals or what came since the last. Gauges count as totals.
    pub temporality: Temporality,
}

/// One point of a family.
#[derive(Clone, Copy, Debug)]
pub enum Point<'a> {
    /// The constant 1 of `target_info`.
    One,
    /// A number.
    Number(NumberPoint<'a>),
    /// A histogram with explicit buckets.
    Histogram(HistogramPoint<'a>),
    /// A histogram with exponential buckets.
    Exponential(ExponentialHistogramPoint<'a>),
    /// A summary.
    Summary(SummaryPoint<'a>),
}

macro_rules! of_each {
    ($self:expr, $default:expr, $point:ident => $body:expr) => {
        match $self {
            Point::One => $default,
            Point::Number($point) => $body,
            Point::Histogram($point) => $body,
            Point::Exponential($point) => $body,
            Point::Summary($point) => $body,
        }
    };
}

impl Point<'_> {
    /// When it was measured, in nanoseconds since 1970.
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        of_each!(self, 0, point => point.time_unix_nano())
    }

    /// Since when it accumulates, in nanoseconds since 1970; zero if unknown.
    #[must_use]
    pub fn start_time_unix_nano(&self) -> u64 {
        of_each!(self, 0, point => point.start_time_unix_nano())
    }

    /// Whether it says that its series has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        of_each!(self, false, point => point.no_recorded_value())
    }
}

/// Takes what [`Translation::visit`] finds.
pub trait Sink<'a> {
    /// A family begins; its points follow. `false`: they are of no use, and are left out.
    fn family(&mut self, family: Family<'a>) -> bool;

    /// A point of the family that began last. The labels are finished.
    fn point(&mut self, labels: &mut LabelSet<'a>, point: Point<'a>);

    /// Something cannot be shown.
    fn problem(&mut self, problem: Problem);
}

/// Which attributes of the resource become labels of every series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceLabels {
    /// Patterns of keys, `*` stands for anything; empty: none.
    pub included: Vec<String>,
    /// Patterns of keys that are left out all the same.
    pub excluded: Vec<String>,
}

impl ResourceLabels {
    /// All attributes.
    #[must_use]
    pub fn all() -> Self {
        Self {
            included: vec!["*".to_owned()],
            excluded: Vec::new(),
        }
    }

    fn wants(&self, key: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, key));
        any(&self.included) && !any(&self.excluded)
    }
}

/// Whether `pattern` with its `*`s covers `text`.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((part, tail)) = rest.split_once('*') {
        let Some((_, behind)) = text.split_once(part) else {
            return false;
        };
        (text, rest) = (behind, tail);
    }
    text.ends_with(rest)
}

/// How OTLP metrics become Prometheus's.
#[derive(Clone, Debug)]
pub struct Translation {
    /// Names of metrics and labels.
    pub namer: Namer,
    /// Labels that every series gets.
    pub const_labels: Vec<(String, String)>,
    /// Whether series carry `otel_scope_name` and the rest of their scope.
    pub scope_labels: bool,
    /// Attributes of the resource that every series gets.
    pub resource_labels: ResourceLabels,
    /// Whether `service.name`, `service.namespace` and `service.instance.id` become labels of every series
    /// (`service_name`, …), and the rest of the resource a series of `target_info` with them.
    pub target_labels: bool,
    /// Names that were translated before.
    pub translated: Translated,
}

impl Default for Translation {
    fn default() -> Self {
        Self {
            namer: Namer::default(),
            const_labels: Vec::new(),
            scope_labels: true,
            resource_labels: ResourceLabels::default(),
            target_labels: true,
            translated: Translated::default(),
        }
    }
}

/// Labels in common, made once for a resource or a scope.
type Common<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl Translation {
    /// Tells `sink` of every family and point in `metrics`.
    pub fn visit<'a>(&'a self, metrics: &'a Metrics, sink: &mut impl Sink<'a>) {
        let mut labels = LabelSet::new();
        for resource_metrics in metrics.resources() {
            let resource = resource_metrics.resource();
            let always = self.always(&resource);
            let mut target: Option<Common<'a>> = None;
            let mut scraped: Option<Common<'a>> = None;
            let of_a_target = is_of_a_target(&resource);
            for scope_metrics in resource_metrics.scopes() {
                let mut scope: Option<Common<'a>> = None;
                for metric in scope_metrics.metrics() {
                    let declared = metric.metadata().get_str("prometheus.type");
                    let common = match declared {
                        // Scraped somewhere else: several targets have the same series.
                        Some(_) if of_a_target => scraped.get_or_insert_with(|| {
                            let target = target
                                .get_or_insert_with(|| self.target(&resource, &mut labels, sink));
                            let mut common = always.clone();
                            common.extend(target.iter().cloned());
                            common
                        }),
                        Some(_) => &always,
                        None => {
                            let target = target
                                .get_or_insert_with(|| self.target(&resource, &mut labels, sink));
                            scope.get_or_insert_with(|| {
                                let mut common = always.clone();
                                common.extend(target.iter().cloned());
                                self.scope(&scope_metrics, &mut common);
                                common
                            })
                        }
                    };
                    self.metric(&metric, declared, common, &mut labels, sink);
                }
            }
        }
    }

    fn always<'a>(&'a self, resource: &Resource<'a>) -> Common<'a> {
        let mut common: Common<'a> = self
            .const_labels
            .iter()
            .map(|(name, value)| {
                (
                    scrapers_own(Cow::Borrowed(name.as_str())),
                    Cow::Borrowed(value.as_str()),
                )
            })
            .collect();
        if !self.resource_labels.included.is_empty() {
            for attribute in resource.attributes() {
                let key = attribute.key();
                if self.resource_labels.wants(key)
                    && let Some(name) = self.label(key)
                {
                    common.push((name, text(attribute.value())));
                }
            }
        }
        common
    }

    /// The label for the attribute `key`. `None` when nothing is left of it.
    fn label<'a>(&'a self, key: &'a str) -> Option<Cow<'a, str>> {
        if is_legacy_label(key) && !key.starts_with('_') {
            return Some(scrapers_own(Cow::Borrowed(key)));
        }
        self.made_label(key)
    }

    /// The same for a key that will not be what the label is called.
    fn made_label(&self, key: &str) -> Option<Cow<'_, str>> {
        self.translated.get(key, "", LABEL, || {
            let name = self.namer.label(key)?;
            Some(scrapers_own(name).into_owned())
        })
    }

    /// The name of a metric.
    fn name(&self, metric: &Metric<'_>, shape: Shape) -> Result<Cow<'_, str>, Unnameable> {
        let name = || self.namer.metric(metric.name(), metric.unit(), shape);
        let sort = match shape {
            Shape::Counter => 0,
            Shape::Gauge => 1,
            Shape::Other => 2,
        };
        let found = self
            .translated
            .get(metric.name(), metric.unit(), sort, || name().ok());
        match found {
            Some(name) => Ok(name),
            None => name().map(Cow::Owned),
        }
    }

    /// The labels that tell targets apart; tells the sink of `target_info`.
    fn target<'a>(
        &'a self,
        resource: &Resource<'a>,
        labels: &mut LabelSet<'a>,
        sink: &mut impl Sink<'a>,
    ) -> Common<'a> {
        if !self.target_labels {
            return Common::new();
        }
        let target: Common<'a> = IDENTITY
            .into_iter()
            .filter_map(|key| {
                let value = resource.attributes().get(key)?;
                Some((self.label(key)?, text(value)))
            })
            .collect();
        if target.is_empty() {
            return target;
        }
        labels.clear();
        let mut described = false;
        for attribute in resource.attributes() {
            let key = attribute.key();
            if IDENTITY.contains(&key) {
                continue;
            }
            if let Some(name) = self.label(key) {
                described = true;
                labels.attribute(key, name, text(attribute.value()));
            }
        }
        let name = self.namer.metric(TARGET_INFO, "", Shape::Other);
        if described && let Ok(name) = name {
            for (name, value) in &target {
                labels.add(name.clone(), value.clone());
            }
            for (name, value) in &self.const_labels {
                labels.add(scrapers_own(Cow::Borrowed(name)), Cow::Borrowed(value));
            }
            labels.finish();
            let wanted = sink.family(Family {
                name: Cow::Owned(name),
                kind: Kind::Info,
                help: "Target metadata",
                unit: Cow::Borrowed(""),
                temporality: Temporality::Cumulative,
            });
            if wanted {
                sink.point(labels, Point::One);
            }
        }
        target
    }

    fn scope<'a>(&'a self, scope_metrics: &ScopeMetrics<'a>, common: &mut Common<'a>) {
        if !self.scope_labels {
            return;
        }
        let scope = scope_metrics.scope();
        for (name, value) in [
            ("otel_scope_name", scope.name()),
            ("otel_scope_version", scope.version()),
            ("otel_scope_schema_url", scope_metrics.schema_url()),
        ] {
            if !value.is_empty() {
                common.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            }
        }
        for attribute in scope.attributes() {
            let key = attribute.key();
            // These would replace what the scope says of itself.
            if matches!(key, "name" | "version" | "schema_url") {
                continue;
            }
            let name = format!("otel_scope_{key}");
            if let Some(name) = self.made_label(&name) {
                common.push((name, text(attribute.value())));
            }
        }
    }

    fn metric<'a>(
        &'a self,
        metric: &Metric<'a>,
        declared: Option<&str>,
        common: &Common<'a>,
        labels: &mut LabelSet<'a>,
        sink: &mut impl Sink<'a>,
    ) {
        let data = metric.data();
        let (kind, shape, temporality) = describe(&data, declared);
        let name = match declared {
            Some(_) if metric.name().is_empty() => Err(Unnameable {
                name: String::new(),
            }),
            Some(_) => Ok(Cow::Borrowed(metric.name())),
            None => self.name(metric, shape),
        };
        let name = match name {
            Ok(name) => name,
            Err(problem) => return sink.problem(Problem::Name(problem)),
        };
        let unit = match declared {
            Some(_) => Cow::Borrowed(""),
            None => unit_suffixes(metric.unit()).0,
        };
        let wanted = sink.family(Family {
            name,
            kind,
            help: metric.description(),
            unit,
            temporality,
        });
        if !wanted {
            return;
        }
        // Prometheus's own labels are not renamed, whatever the strategy.
        let mut tell = |attributes: Attributes<'a>, point: Point<'a>| {
            labels.clear();
            for attribute in attributes {
                let key = attribute.key();
                let name = match declared {
                    None => self.label(key),
                    Some(_) if key == "__name__" => self.label(key),
                    Some(_) => Some(Cow::Borrowed(key)).filter(|key| !key.is_empty()),
                };
                if let Some(name) = name {
                    labels.attribute(key, name, text(attribute.value()));
                }
            }
            for (name, value) in common {
                labels.add(name.clone(), value.clone());
            }
            labels.finish();
            sink.point(labels, point);
        };
        match data {
            MetricData::Empty => {}
            MetricData::Gauge(gauge) => {
                gauge
                    .points()
                    .for_each(|point| tell(point.attributes(), Point::Number(point)));
            }
            MetricData::Sum(sum) => {
                sum.points()
                    .for_each(|point| tell(point.attributes(), Point::Number(point)));
            }
            MetricData::Histogram(histogram) => histogram
                .points()
                .for_each(|point| tell(point.attributes(), Point::Histogram(point))),
            MetricData::ExponentialHistogram(histogram) => histogram
                .points()
                .for_each(|point| tell(point.attributes(), Point::Exponential(point))),
            MetricData::Summary(summary) => summary
                .points()
                .for_each(|point| tell(point.attributes(), Point::Summary(point))),
        }
    }
}

/// The name of the family that holds what is known of the sources themselves.
pub(crate) const TARGET_INFO: &str = "target_info";

/// What labels are among the names that are remembered; metrics go by shape.
const LABEL: u8 = 3;

/// What tells one source from another.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", INSTANCE];
const INSTANCE: &str = "service.instance.id";

/// Whether somebody scraped this over HTTP, as Prometheus receivers say of every target.
fn is_of_a_target(resource: &Resource<'_>) -> bool {
    let says = |key| resource.attributes().get(key).is_some();
    says(INSTANCE) && (says("url.scheme") || says("http.scheme"))
}

/// Labels that the scraper gives every series keep out of its way: under the names that Prometheus itself
/// gives them where they meet its own.
fn scrapers_own(name: Cow<'_, str>) -> Cow<'_, str> {
    match &*name {
        "job" => Cow::Borrowed("exported_job"),
        "instance" => Cow::Borrowed("exported_instance"),
        "__name__" => Cow::Borrowed("exported___name__"),
        _ => name,
    }
}

/// Type for Prometheus, for the naming rules, and temporality. What Prometheus declared counts for
/// numbers; the data says whether it is a histogram or a summary.
fn describe(data: &MetricData<'_>, declared: Option<&str>) -> (Kind, Shape, Temporality) {
    let (kind, shape, temporality) = match data {
        MetricData::Empty | MetricData::Gauge(_) => {
            (Kind::Gauge, Shape::Gauge, Temporality::Cumulative)
        }
        MetricData::Sum(sum) if sum.is_monotonic() => {
            (Kind::Counter, Shape::Counter, sum.temporality())
        }
        MetricData::Sum(sum) => (Kind::Gauge, Shape::Gauge, sum.temporality()),
        MetricData::Histogram(histogram) => {
            (Kind::Histogram, Shape::Other, histogram.temporality())
        }
        MetricData::ExponentialHistogram(histogram) => {
            (Kind::Histogram, Shape::Other, histogram.temporality())
        }
        MetricData::Summary(_) => (Kind::Summary, Shape::Other, Temporality::Cumulative),
    };
    let kind = match declared {
        Some(declared) if matches!(kind, Kind::Gauge | Kind::Counter) => match declared {
            "gauge" | "stateset" => Kind::Gauge,
            "counter" => Kind::Counter,
            "info" => Kind::Info,
            _ => Kind::Unknown,
        },
        _ => kind,
    };
    (kind, shape, temporality)
}

/// Text as it is; anything else as the Collector prints it.
#[inline]
fn text(value: AnyValue<'_>) -> Cow<'_, str> {
    match value {
        AnyValue::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, key, expected) in [
            ("*", "anything", true),
            ("k8s.*", "k8s.pod.name", true),
            ("k8s.*.name", "k8s.pod.name", true),
            ("k8s.*.name", "k8s.pod.uid", false),
            ("host.name", "host.name", true),
            ("host.name", "host.names", false),
            ("*.name", "name", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern, key), expected, "{pattern} {key}");
        }
    }
}
