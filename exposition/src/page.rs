//! A page: families gathered, sorted, and written.

mod protobuf;
mod write;

use std::borrow::Cow;
use std::ops::Range;

use corten_pdata::Metrics;
use corten_pdata::metrics::Temporality;

use crate::escaping::Escaping;
use crate::labels::LabelSet;
use crate::naming::{Unnameable, is_legacy_label};
use crate::negotiation::{Format, Syntax};
use crate::template::{self, Eight, Template, Written};
use crate::translation::{Family, Kind, Point, Sink, TARGET_INFO};
use crate::value::{Exemplar, Exponential, Held, Histogram, Summary, Value, number};
use protobuf::ProtobufWriter;
use write::Writer;

/// Something that could not be shown. The rest of the page is complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A name of which nothing is left.
    #[error(transparent)]
    Name(#[from] Unnameable),
    /// Two types under one name.
    #[error("{family}: is a {} already, the {} of the same name is left out: rename one of them", kept.text_name(), left_out.text_name())]
    Type {
        /// The name.
        family: String,
        /// The type that came first.
        kept: Kind,
        /// The other.
        left_out: Kind,
    },
    /// Two units under one name.
    #[error(
        "{family}: is in {kept} already, the one of the same name in {left_out} is left out: rename one of them, or choose a translation_strategy that adds the unit"
    )]
    Unit {
        /// The name.
        family: String,
        /// The unit that came first.
        kept: String,
        /// The other.
        left_out: String,
    },
    /// The same series several times.
    #[error(
        "{family}{{{labels}}}: comes from several sources, all but the first are left out ({count} series of this name): add a label that tells them apart"
    )]
    Duplicate {
        /// The name.
        family: String,
        /// The first duplicate's labels.
        labels: String,
        /// Duplicates of this family.
        count: usize,
    },
    /// A family whose name means a part of another.
    #[error("{family}: left out, {of} has samples of that name: rename one of them")]
    Part {
        /// The family left out.
        family: String,
        /// The histogram or summary.
        of: String,
    },
    /// A label that the format needs for itself.
    #[error("{family}: series with the label {label} are left out, a {} needs it for itself: rename the attribute", kind.text_name())]
    Label {
        /// The family.
        family: String,
        /// Its type.
        kind: Kind,
        /// The label.
        label: &'static str,
    },
    /// Deltas on a page that shows totals.
    #[error("{family}: is not cumulative and is left out: convert it before (deltatocumulative)")]
    Temporality {
        /// The family.
        family: String,
    },
}

impl Problem {
    /// What kind of problem it is, in one word: for counting.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Type { .. } => "type_conflict",
            Self::Unit { .. } => "unit_conflict",
            Self::Duplicate { .. } => "duplicate",
            Self::Part { .. } => "name_of_a_part",
            Self::Label { .. } => "reserved_label",
            Self::Temporality { .. } => "not_cumulative",
        }
    }
}

/// Whether two units of one name contradict each other. Who names none agrees with everybody.
#[must_use]
pub fn units_clash(kept: &str, other: &str) -> bool {
    !kept.is_empty() && !other.is_empty() && kept != other
}

/// What became of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Families written.
    pub families: usize,
    /// Series written; a histogram is one.
    pub series: usize,
    /// What could not be shown.
    pub problems: Vec<Problem>,
}

/// Gathers families from any number of sources; [`write`](Self::write) puts each in one place, sorted
/// by name, its series by labels.
#[derive(Debug)]
pub struct Page<'a> {
    format: Format,
    timestamps: bool,
    /// Whether it is noted which numbers are the telemetry's.
    notes_origins: bool,
    parts: Vec<Part<'a>>,
    series: Vec<Series<'a>>,
    /// The labels of all series as they will be written: blocks without braces, or messages.
    labels: Vec<u8>,
    problems: Vec<Problem>,
}

/// One arrival of a family.
#[derive(Debug)]
struct Part<'a> {
    name: Cow<'a, str>,
    kind: Kind,
    help: &'a str,
    unit: Cow<'a, str>,
    series: Range<usize>,
}

#[derive(Debug)]
struct Series<'a> {
    labels: Range<usize>,
    value: Value<'a>,
    time_unix_nano: u64,
    exemplar: Option<Held<'a, Exemplar>>,
    /// The bytes that the value was made of, where that is noted, and whether it is a whole number.
    origin: Option<(Eight<'a>, bool)>,
}

impl<'a> Page<'a> {
    /// An empty page in `format`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            timestamps: false,
            notes_origins: false,
            parts: Vec::new(),
            series: Vec::new(),
            labels: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Whether samples carry the time they were measured at; they do not unless this is called.
    #[must_use]
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Begins a family, or goes on with one that another source began.
    pub fn begin(&mut self, name: Cow<'a, str>, kind: Kind, help: &'a str, unit: Cow<'a, str>) {
        let name = match self.format.escaping.metric(&name) {
            Cow::Owned(escaped) => Cow::Owned(escaped),
            Cow::Borrowed(_) => name,
        };
        let at = self.series.len();
        self.parts.push(Part {
            name,
            kind,
            help,
            unit,
            series: at..at,
        });
    }

    /// A series of the family that began last. A zero time is unknown.
    pub fn series(
        &mut self,
        labels: &mut LabelSet<'_>,
        value: Value<'a>,
        time_unix_nano: u64,
        exemplar: Option<Held<'a, Exemplar>>,
    ) {
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        let escaping = self.format.escaping;
        let to_escape = match escaping {
            Escaping::AllowUtf8 => false,
            Escaping::Dots => true,
            Escaping::Underscores | Escaping::Values => {
                labels.iter().any(|(name, _)| !is_legacy_label(name))
            }
        };
        if to_escape {
            labels.rename(|name| match escaping.label(name) {
                Cow::Borrowed(_) => None,
                Cow::Owned(name) => Some(name),
            });
            labels.finish();
        }
        let reserved = match part.kind {
            Kind::Histogram => Some("le"),
            Kind::Summary => Some("quantile"),
            _ => None,
        };
        if let Some(label) = reserved.filter(|label| labels.contains(label)) {
            let problem = Problem::Label {
                family: part.name.clone().into_owned(),
                kind: part.kind,
                label,
            };
            if self.problems.last() != Some(&problem) {
                self.problems.push(problem);
            }
            return;
        }
        let start = self.labels.len();
        match self.format.syntax {
            Syntax::Protobuf => protobuf::label_messages(&mut self.labels, labels.iter()),
            _ => write::label_block(&mut self.labels, labels.iter()),
        }
        self.series.push(Series {
            labels: start..self.labels.len(),
            value,
            time_unix_nano,
            exemplar,
            origin: None,
        });
        part.series.end = self.series.len();
    }

    /// Whether an exemplar of the family that began last would be written.
    fn shows_exemplars(&self) -> bool {
        self.format.syntax != Syntax::Text
            && self
                .parts
                .last()
                .is_some_and(|part| part.kind == Kind::Counter)
    }

    /// Notes which numbers are the telemetry's, for [`write_and_learn`](Self::write_and_learn).
    #[must_use]
    pub fn noting_origins(mut self) -> Self {
        self.notes_origins = !self.timestamps && self.format.syntax != Syntax::Protobuf;
        self
    }

    /// Writes the page at the end of `out`.
    pub fn write(self, out: &mut Vec<u8>) -> Report {
        self.write_all(out).0
    }

    /// The same for a page that consists of `metrics` alone, of which `out` is to hold nothing else. With it comes what
    /// writes it again, unless it is a page that is not worth it.
    pub fn write_and_learn(
        self,
        metrics: impl Iterator<Item = &'a Metrics> + Clone,
        out: &mut Vec<u8>,
    ) -> (Report, Option<Template>) {
        let (format, notes_origins) = (self.format, self.notes_origins);
        let (report, written) = self.write_all(out);
        let template = notes_origins
            .then(|| Template::learn(format, metrics, out, &written, &report))
            .flatten();
        (report, template)
    }

    fn write_all(mut self, out: &mut Vec<u8>) -> (Report, Vec<Written<'a>>) {
        let mut report = Report {
            problems: std::mem::take(&mut self.problems),
            ..Report::default()
        };
        let mut order: Vec<&Part<'a>> = self
            .parts
            .iter()
            .filter(|part| !part.series.is_empty())
            .collect();
        order.sort_by(|a, b| a.name.cmp(&b.name));
        let families: Vec<&[&Part<'a>]> = order.chunk_by(|a, b| a.name == b.name).collect();
        let names: Vec<&str> = families
            .iter()
            .filter_map(|parts| parts.first())
            .map(|part| &*part.name)
            .collect();
        let mut left_out = vec![false; families.len()];
        let mut series: Vec<&Series<'a>> = Vec::new();
        let mut writer = match self.format.syntax {
            Syntax::Protobuf => Either::Protobuf(ProtobufWriter::new(
                out,
                self.format,
                self.timestamps,
                &self.labels,
            )),
            _ => Either::Text(Writer::new(out, self.format, self.timestamps, &self.labels)),
        };
        for (position, parts) in families.iter().enumerate() {
            let Some(first) = parts.first() else { continue };
            if left_out.get(position) == Some(&true) {
                continue;
            }
            for suffix in part_suffixes(first.kind) {
                let part = first.name.bytes().chain(suffix.bytes());
                if let Ok(other) = names.binary_search_by(|name| name.bytes().cmp(part.clone()))
                    && let Some(left_out) = left_out.get_mut(other)
                {
                    *left_out = true;
                    report.problems.push(Problem::Part {
                        family: format!("{}{suffix}", first.name),
                        of: first.name.clone().into_owned(),
                    });
                }
            }
            series.clear();
            for part in *parts {
                if part.kind == first.kind && units_clash(&first.unit, &part.unit) {
                    report.problems.push(Problem::Unit {
                        family: part.name.clone().into_owned(),
                        kept: first.unit.clone().into_owned(),
                        left_out: part.unit.clone().into_owned(),
                    });
                } else if part.kind == first.kind {
                    series.extend(self.series.get(part.series.clone()).unwrap_or_default());
                } else {
                    report.problems.push(Problem::Type {
                        family: part.name.clone().into_owned(),
                        kept: first.kind,
                        left_out: part.kind,
                    });
                }
            }
            self.sort_and_dedup(first, &mut series, &mut report.problems);
            let stands_alone = |name: &str| names.binary_search(&name).is_err();
            match &mut writer {
                Either::Text(writer) => writer.family(first, &series, stands_alone),
                Either::Protobuf(writer) => writer.family(first, &series),
            }
            report.families += 1;
            report.series += series.len();
        }
        let written = match writer {
            Either::Text(writer) => writer.end(),
            Either::Protobuf(_) => Vec::new(),
        };
        (report, written)
    }

    fn sort_and_dedup(
        &self,
        part: &Part<'a>,
        series: &mut Vec<&Series<'a>>,
        problems: &mut Vec<Problem>,
    ) {
        let labels =
            |series: &Series<'a>| self.labels.get(series.labels.clone()).unwrap_or_default();
        if series.is_sorted_by(|a, b| labels(a) < labels(b)) {
            return;
        }
        series.sort_by(|a, b| labels(a).cmp(labels(b)));
        let before = series.len();
        let mut first = None;
        series.dedup_by(|next, kept| {
            let same = labels(next) == labels(kept);
            if same && first.is_none() {
                first = Some(match self.format.syntax {
                    Syntax::Protobuf => protobuf::readable(labels(next)),
                    _ => String::from_utf8_lossy(labels(next)).into_owned(),
                });
            }
            same
        });
        // Every batch of a resource describes it; that is no conflict.
        if let Some(labels) = first.filter(|_| !describes_targets(part, self.format.escaping)) {
            problems.push(Problem::Duplicate {
                family: part.name.clone().into_owned(),
                labels,
                count: before - series.len(),
            });
        }
    }
}

/// Whether the family is `target_info`, whatever is before it and however it is escaped.
fn describes_targets(part: &Part<'_>, escaping: Escaping) -> bool {
    part.kind == Kind::Info && part.name.ends_with(&*escaping.metric(TARGET_INFO))
}

/// One of the writers.
enum Either<'w, 'a> {
    Text(Writer<'w, 'a>),
    Protobuf(ProtobufWriter<'w>),
}

/// What the names of samples have behind their family's in a family of this type.
fn part_suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Histogram => &["_bucket", "_count", "_sum"],
        Kind::Summary => &["_count", "_sum"],
        _ => &[],
    }
}

impl<'a> Sink<'a> for Page<'a> {
    fn family(&mut self, family: Family<'a>) -> bool {
        if family.temporality != Temporality::Cumulative {
            self.problems.push(Problem::Temporality {
                family: family.name.into_owned(),
            });
            return false;
        }
        self.begin(family.name, family.kind, family.help, family.unit);
        true
    }

    fn point(&mut self, labels: &mut LabelSet<'a>, point: Point<'a>) {
        if point.has_ended() {
            return;
        }
        let (mut exemplar, mut origin) = (None, None);
        let value = match point {
            Point::One => Value::Number(1.0),
            Point::Number(point) => {
                if self.shows_exemplars() {
                    exemplar =
                        Exemplar::of_number(&point).map(|exemplar| Held::Owned(Box::new(exemplar)));
                }
                if self.notes_origins {
                    origin = template::origin(&point);
                }
                Value::Number(number(&point))
            }
            Point::Histogram(point) => {
                Value::Histogram(Held::Owned(Box::new(Histogram::of(&point))))
            }
            Point::Exponential(point) => {
                Value::Exponential(Held::Owned(Box::new(Exponential::of(&point))))
            }
            Point::Summary(point) => Value::Summary(Held::Owned(Box::new(Summary::of(&point)))),
        };
        let before = self.series.len();
        self.series(labels, value, point.time_unix_nano(), exemplar);
        if let Some(series) = self.series.get_mut(before) {
            series.origin = origin;
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}
