//! A page becomes OTLP while it is read.
//!
//! A family's samples are gathered, relabeled and written before the next family is looked at. Between two scrapes of
//! a target only [`Seen`] is kept: the page as it came and a hash of every series. When a series is
//! missing, the old page is read once more, and those of its points whose hash is missing are written as
//! ended (`NoRecordedValue`).
//!
//! The mapping is that of the OpenTelemetry specification, "Prometheus and OpenMetrics compatibility": counters are
//! monotonic sums, buckets become histograms, quantiles summaries, everything else gauges; `job` and
//! `instance` are the resource, `otel_scope_…` the scope, `target_info` attributes of the resource.

mod emit;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use bytes::Bytes;
use corten_exposition::text::{Exemplar, Line, Sample, TextError, parse};
use corten_pdata::Metrics;

use self::emit::Outlets;
use crate::access::Packed;
use crate::relabel::{self, Labels, NAME, Rule};

/// What is done with every series of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Treatment {
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    /// Leave suffixes of type and unit out of names.
    pub(crate) trim: bool,
    pub(crate) track_timestamps_staleness: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) external_labels: BTreeMap<String, String>,
    /// `0` means none, here and below.
    pub(crate) sample_limit: u64,
    pub(crate) label_limit: u64,
    pub(crate) label_name_length_limit: u64,
    pub(crate) label_value_length_limit: u64,
}

/// Who exposes the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The labels of the target that its series get, `job` and `instance` among them.
    pub(crate) labels: BTreeMap<String, String>,
    /// What else its resource says: `server.address`, `k8s.pod.name`, …
    pub(crate) attributes: Vec<(String, String)>,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// Its text, unless it is kept packed.
    bytes: Bytes,
    /// The text as it came, with its length, if that was compressed.
    packed: Option<(Packed, usize)>,
    open_metrics: bool,
}

impl Text {
    /// A page that came as `packed`, if that is not how it stands here.
    pub(crate) fn new(bytes: Bytes, packed: Option<Packed>, open_metrics: bool) -> Self {
        Self {
            packed: packed.map(|packed| (packed, bytes.len())),
            bytes,
            open_metrics,
        }
    }

    /// The same in less memory.
    fn folded(mut self) -> Self {
        if self.packed.is_some() {
            self.bytes = Bytes::new();
        }
        self
    }

    fn unfolded(&self) -> Bytes {
        match &self.packed {
            // It was unpacked before.
            Some((packed, len)) if self.bytes.is_empty() => packed.open(*len).unwrap_or_default(),
            _ => self.bytes.clone(),
        }
    }
}

/// Hashes of series.
type Hashes = HashSet<u64, BuildHasherDefault<Itself>>;

/// What is a hash already is its own.
#[derive(Clone, Copy, Debug, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What is kept of a scrape until the next one.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    text: Text,
    series: Hashes,
}

/// What a scrape brought.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Samples of the page.
    pub(crate) scraped: u64,
    /// Samples after relabeling.
    pub(crate) kept: u64,
    /// Samples of series that were not there the last time.
    pub(crate) added: u64,
    /// Samples that were there twice: only the first counts.
    pub(crate) duplicates: u64,
}

/// A page cannot be used, as a whole.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum PageError {
    #[error("the page is not UTF-8, at byte {0}")]
    NotUtf8(usize),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("the page does not end with # EOF, so it may be cut off")]
    CutOff,
    #[error("sample_limit: more than {0} samples")]
    Samples(u64),
    #[error("label_limit: a series of {metric} has {found} labels, more than {limit}")]
    Labels {
        metric: String,
        found: usize,
        limit: u64,
    },
    #[error("{limit_name}: the label {label} of a series of {metric} is longer than {limit} bytes")]
    Long {
        limit_name: &'static str,
        metric: String,
        label: String,
        limit: u64,
    },
}

/// How a scrape went, for the metrics that Prometheus makes of every scrape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) up: bool,
    pub(crate) seconds: f64,
}

/// Makes OTLP of a page, with the end of what `seen` had and the page has not, and with the scrape's own metrics;
/// `now` is when the scrape began, in nanoseconds since 1970. `seen` is what was kept of the scrape before
/// and becomes what is kept of this one.
///
/// # Errors
///
/// The page cannot be used; `seen` is as it was. [`ended`] says what is left then.
pub(crate) fn convert(
    text: Text,
    identity: &Identity,
    treatment: &Treatment,
    now: u64,
    report: impl FnOnce() -> Report,
    seen: &mut Seen,
) -> Result<(Metrics, Outcome), PageError> {
    let page = utf8(&text.bytes)?;
    let info = target_info(page);
    let mut outlets = Outlets::new(identity, &info, now, page.len());
    let mut read = Reading::new(identity, treatment, now, &seen.series);
    read.all(page, text.open_metrics, &mut outlets, None)?;
    let (mut series, outcome) = (read.points, read.outcome);
    for timed in read.timed {
        series.remove(&timed);
    }
    let gone: Hashes = seen.series.difference(&series).copied().collect();
    if !gone.is_empty() {
        let former = seen.text.unfolded();
        let open_metrics = seen.text.open_metrics;
        end(
            &former,
            open_metrics,
            identity,
            treatment,
            now,
            &gone,
            &mut outlets,
        );
    }
    outlets.report(report(), &outcome);
    let metrics = outlets.finish();
    let text = text.folded();
    *seen = Seen { text, series };
    Ok((metrics, outcome))
}

/// What is left when a scrape brought nothing: the end of everything that `seen` had, and the scrape's own metrics,
/// unless the target is no longer one.
pub(crate) fn ended(
    identity: &Identity,
    treatment: &Treatment,
    now: u64,
    report: Option<Report>,
    seen: &mut Seen,
) -> Metrics {
    let Seen { text, series } = std::mem::take(seen);
    let page = text.unfolded();
    let info = utf8(&page).map(target_info).unwrap_or_default();
    let mut outlets = Outlets::new(identity, &info, now, 1024);
    if !series.is_empty() {
        end(
            &page,
            text.open_metrics,
            identity,
            treatment,
            now,
            &series,
            &mut outlets,
        );
    }
    match report {
        Some(report) => outlets.report(report, &Outcome::default()),
        None => outlets.end_report(),
    }
    outlets.finish()
}

fn utf8(bytes: &[u8]) -> Result<&str, PageError> {
    std::str::from_utf8(bytes).map_err(|error| PageError::NotUtf8(error.valid_up_to()))
}

/// Writes the end of the series of a former page.
fn end(
    page: &[u8],
    open_metrics: bool,
    identity: &Identity,
    treatment: &Treatment,
    now: u64,
    gone: &Hashes,
    outlets: &mut Outlets<'_>,
) {
    let none = Hashes::default();
    let mut read = Reading::new(identity, treatment, now, &none);
    let Ok(page) = utf8(page) else { return };
    if let Err(error) = read.all(page, open_metrics, outlets, Some(gone)) {
        tracing::warn!("a page that was read before cannot be read again: {error}");
    }
}

/// The labels of `target_info`, which describe the target itself.
fn target_info(page: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for at in memchr::memmem::find_iter(page.as_bytes(), b"target_info{") {
        let line = page.get(at..).unwrap_or_default();
        let begins = at == 0 || page.as_bytes().get(at - 1) == Some(&b'\n');
        let line = line.split('\n').next().unwrap_or_default();
        if begins && let Some(Ok(Line::Sample(sample))) = parse(line).next() {
            let plain = |name: &str| !matches!(name, "job" | "instance");
            let own = sample.labels.into_iter().filter(|(name, _)| plain(name));
            labels.extend(own.map(|(name, value)| (name.into_owned(), value.into_owned())));
        }
    }
    labels
}

/// What a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Gauge,
    Counter,
    Histogram,
    Summary,
    Info,
    StateSet,
}

impl Kind {
    fn named(name: &str) -> Self {
        match name {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => Self::Unknown,
        }
    }

    /// As `prometheus.type` says it.
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// Whether points are made of several samples.
    fn is_compound(self) -> bool {
        matches!(self, Self::Histogram | Self::Summary)
    }

    /// What a sample is whose name is the family's and `suffix`. The suffixes `_total` and `_info` stay in a metric's name.
    fn part(self, suffix: &str) -> Option<Part> {
        Some(match (self, suffix) {
            (Self::Histogram, "_bucket") => Part::Bucket,
            (Self::Histogram | Self::Summary, "_sum") => Part::Sum,
            (Self::Histogram | Self::Summary, "_count") => Part::Count,
            (Self::Histogram | Self::Summary | Self::Counter, "_created") => Part::Created,
            (Self::Summary, "") => Part::Quantile,
            (Self::Histogram, _) => return None,
            (_, "") | (Self::Counter, "_total") | (Self::Info, "_info") => Part::Value,
            _ => return None,
        })
    }
}

/// What a sample is to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Value,
    Bucket,
    Sum,
    Count,
    Created,
    Quantile,
}

/// What a page says of a family.
#[derive(Clone, Debug, Default)]
struct About<'a> {
    kind: Kind,
    help: Cow<'a, str>,
    unit: &'a str,
}

/// A sample after relabeling.
struct Row<'a> {
    /// The metric's name: without the suffixes of histograms and summaries.
    name: Cow<'a, str>,
    part: Part,
    kind: Kind,
    labels: Labels<'a>,
    /// The series, or what the parts of a histogram and a summary have in common.
    hash: u64,
    value: f64,
    /// `le` or `quantile`.
    bound: f64,
    /// Nanoseconds since 1970.
    time: u64,
    exemplar: Option<Box<Exemplar<'a>>>,
}

const SUFFIXES: [&str; 6] = ["_bucket", "_sum", "_count", "_total", "_created", "_info"];

/// The longest suffix that a sample's name may have beside its family's.
fn stem(name: &str) -> Option<(&str, &str)> {
    let suffix = SUFFIXES.iter().find(|suffix| name.ends_with(**suffix))?;
    name.split_at_checked(name.len() - suffix.len())
}

struct Reading<'a, 's> {
    identity: &'a Identity,
    treatment: &'a Treatment,
    now: u64,
    /// Of the scrape before.
    before: &'s Hashes,
    abouts: HashMap<&'a str, About<'a>>,
    /// The samples of the family that is being read.
    rows: Vec<Row<'a>>,
    /// Hashes of points.
    points: Hashes,
    /// Of these, the points whose time the page says, if their end is not to be told.
    timed: Vec<u64>,
    /// Hashes of samples that are a part of a point: no series may be there twice.
    parts: Hashes,
    outcome: Outcome,
}

impl<'a, 's> Reading<'a, 's> {
    fn new(identity: &'a Identity, treatment: &'a Treatment, now: u64, before: &'s Hashes) -> Self {
        Self {
            identity,
            treatment,
            now,
            before,
            abouts: HashMap::new(),
            rows: Vec::new(),
            points: Hashes::with_capacity_and_hasher(before.len(), BuildHasherDefault::default()),
            timed: Vec::new(),
            parts: Hashes::default(),
            outcome: Outcome::default(),
        }
    }

    /// Reads a page. With `ended`, writes only the end of the series that are in there.
    fn all(
        &mut self,
        page: &'a str,
        open_metrics: bool,
        outlets: &mut Outlets<'_>,
        ended: Option<&Hashes>,
    ) -> Result<(), PageError> {
        // The family that is being read.
        let mut family = "";
        let mut family_kind = Kind::Unknown;
        let mut whole = false;
        for line in parse(page) {
            match line? {
                Line::Help { name, help } => self.abouts.entry(name).or_default().help = help,
                Line::Type { name, kind } => {
                    self.abouts.entry(name).or_default().kind = Kind::named(kind);
                }
                Line::Unit { name, unit } => self.abouts.entry(name).or_default().unit = unit,
                Line::Eof => {
                    whole = true;
                    if open_metrics {
                        break;
                    }
                }
                Line::Sample(sample) => {
                    let (of, kind, part) = self.family((family, family_kind), &sample.name);
                    if *of != *family || self.rows.is_empty() {
                        self.flush(family, outlets, ended);
                        // A name with escapes is nowhere in the page; it is its own family each time.
                        family = match of {
                            Cow::Borrowed(of) => of,
                            Cow::Owned(_) => "",
                        };
                        family_kind = kind;
                    }
                    self.sample(sample, kind, part, open_metrics)?;
                }
            }
        }
        if open_metrics && !whole {
            return Err(PageError::CutOff);
        }
        self.flush(family, outlets, ended);
        Ok(())
    }

    /// The family that a sample belongs to, what that is, and what the sample is in it.
    fn family(&self, current: (&'a str, Kind), name: &Cow<'a, str>) -> (Cow<'a, str>, Kind, Part) {
        let (current, kind) = current;
        if let Some(suffix) = name.strip_prefix(current)
            && let Some(part) = kind.part(suffix)
            && !current.is_empty()
        {
            return (Cow::Borrowed(current), kind, part);
        }
        let of = |text: &str| -> Cow<'a, str> {
            match name {
                Cow::Borrowed(whole) => Cow::Borrowed(whole.get(..text.len()).unwrap_or(whole)),
                Cow::Owned(_) => Cow::Owned(text.to_owned()),
            }
        };
        if let Some(about) = self.abouts.get(&**name)
            && let Some(part) = about.kind.part("")
        {
            return (of(name), about.kind, part);
        }
        if let Some((stem, suffix)) = stem(name)
            && let Some(about) = self.abouts.get(stem)
            && let Some(part) = about.kind.part(suffix)
        {
            return (of(stem), about.kind, part);
        }
        (of(name), Kind::Unknown, Part::Value)
    }

    fn sample(
        &mut self,
        sample: Sample<'a>,
        mut kind: Kind,
        mut part: Part,
        open_metrics: bool,
    ) -> Result<(), PageError> {
        let Sample {
            mut name,
            labels,
            value,
            timestamp,
            exemplar,
        } = sample;
        self.outcome.scraped += 1;
        let mut labels = self.labelled(labels);
        if !self.treatment.rules.is_empty() {
            labels.set(NAME, name.clone());
            if !relabel::apply(&self.treatment.rules, &mut labels) {
                return Ok(());
            }
            let now_called = labels.get(NAME);
            if now_called.is_empty() {
                return Ok(());
            }
            if *now_called != *name {
                let suffix = stem(&name).filter(|_| kind.is_compound());
                let suffix = suffix.map_or("", |(_, suffix)| suffix);
                // A part of a histogram that is no longer called as one stands alone.
                if kind.is_compound() && !now_called.ends_with(suffix) {
                    (kind, part) = (Kind::Unknown, Part::Value);
                }
                name = Cow::Owned(now_called.to_owned());
            }
            labels.set(NAME, "");
        }
        self.check(&name, &labels)?;
        self.outcome.kept += 1;
        let limit = self.treatment.sample_limit;
        if limit > 0 && self.outcome.kept > limit {
            return Err(PageError::Samples(limit));
        }
        for (key, value) in &self.treatment.external_labels {
            if labels.get(key).is_empty() {
                labels.set(key.as_str(), value.as_str());
            }
        }
        // It is on the resource.
        if name == "target_info" {
            return Ok(());
        }
        let mut bound = 0.0_f64;
        if kind.is_compound() {
            let key = match part {
                Part::Bucket => "le",
                Part::Quantile => "quantile",
                _ => "",
            };
            if !key.is_empty() {
                match labels.get(key).parse() {
                    Ok(number) => bound = number,
                    // A bucket without a bound is a number like any other.
                    Err(_) => (kind, part) = (Kind::Unknown, Part::Value),
                }
            }
            if kind.is_compound() {
                labels.set(key, "");
                if let Some((stem, _)) = stem(&name).filter(|_| part != Part::Quantile) {
                    name = Cow::Owned(stem.to_owned());
                }
            }
        } else if part == Part::Created {
            // Said of the counter: found by what the two have in common.
            if let Some((stem, _)) = stem(&name) {
                name = Cow::Owned(format!("{stem}_total"));
            }
        }
        let point = hash(&name, &labels);
        let is_new = if part == Part::Value {
            self.points.insert(point)
        } else {
            if part != Part::Created {
                self.points.insert(point);
            }
            let own = HASH.hash_one((part, bound.to_bits()));
            self.parts.insert(point ^ own)
        };
        if !is_new {
            self.outcome.duplicates += 1;
            return Ok(());
        }
        let timestamp = timestamp.filter(|_| self.treatment.honor_timestamps);
        if timestamp.is_some() && !self.treatment.track_timestamps_staleness {
            self.timed.push(point);
        }
        if !self.before.contains(&point) {
            self.outcome.added += 1;
        }
        let scale = if open_metrics { 1e3 } else { 1.0 };
        self.rows.push(Row {
            name,
            part,
            kind,
            labels,
            hash: point,
            value,
            bound,
            time: timestamp.map_or(self.now, |time| milliseconds(time * scale)),
            exemplar,
        });
        Ok(())
    }

    /// A sample's labels with the target's.
    fn labelled(&self, own: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Labels<'a> {
        let mut labels = Labels::of_sample(own);
        for (name, value) in &self.identity.labels {
            let taken = labels.get(name);
            if taken.is_empty() {
                labels.set(name.as_str(), value.as_str());
            } else if !self.treatment.honor_labels {
                let exported = taken.to_owned();
                let mut free = format!("exported_{name}");
                while !labels.get(&free).is_empty() || self.identity.labels.contains_key(&free) {
                    free.insert_str(0, "exported_");
                }
                labels.set(name.as_str(), value.as_str());
                labels.set(free, exported);
            }
        }
        labels
    }

    fn check(&self, metric: &str, labels: &Labels<'_>) -> Result<(), PageError> {
        let limits = self.treatment;
        let over = |len: usize, limit: u64| limit > 0 && len as u64 > limit;
        if over(labels.len(), limits.label_limit) {
            return Err(PageError::Labels {
                metric: metric.to_owned(),
                found: labels.len(),
                limit: limits.label_limit,
            });
        }
        let [names, values] = [
            limits.label_name_length_limit,
            limits.label_value_length_limit,
        ];
        if names == 0 && values == 0 {
            return Ok(());
        }
        for (name, value) in labels.iter() {
            for (limit_name, len, limit) in [
                ("label_name_length_limit", name.len(), names),
                ("label_value_length_limit", value.len(), values),
            ] {
                if over(len, limit) {
                    return Err(PageError::Long {
                        limit_name,
                        metric: metric.to_owned(),
                        label: name.to_owned(),
                        limit,
                    });
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self, family: &str, outlets: &mut Outlets<'_>, ended: Option<&Hashes>) {
        if self.rows.is_empty() {
            return;
        }
        if let Some(ended) = ended {
            self.rows.retain(|row| ended.contains(&row.hash));
        }
        let unknown = About::default();
        let about = self.abouts.get(family).unwrap_or(&unknown);
        outlets.family(&self.rows, about, self.treatment.trim, ended.is_some());
        self.rows.clear();
    }
}

static HASH: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

/// The same in every order of the labels.
fn hash(name: &str, labels: &Labels<'_>) -> u64 {
    labels.iter().fold(HASH.hash_one(name), |sum, label| {
        sum.wrapping_add(HASH.hash_one(label))
    })
}

/// A time in nanoseconds, to the millisecond as Prometheus has it; a page may say anything.
fn milliseconds(time: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates: before 1970 is 1970"
    )]
    let time = time.round() as u64;
    time.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
