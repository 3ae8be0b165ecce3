//! A page: families gathered, sorted, and written.

mod write;

use std::borrow::Cow;
use std::ops::Range;

use corten_pdata::metrics::Temporality;

use crate::labels::LabelSet;
use crate::naming::{Unnameable, is_legacy_label, is_legacy_metric, underscored};
use crate::negotiation::{Escaping, Format, Syntax};
use crate::translation::{Family, Kind, Point, Sink, TARGET_INFO};
use crate::value::{Exemplar, Exponential, Held, Histogram, Summary, Value, number};
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
    parts: Vec<Part<'a>>,
    series: Vec<Series<'a>>,
    /// The label blocks of all series as they will be written, without braces.
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
}

impl<'a> Page<'a> {
    /// An empty page in `format`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            timestamps: false,
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
        let name = match self.format.escaping {
            Escaping::Underscores if !is_legacy_metric(&name) => {
                Cow::Owned(underscored(&name, is_legacy_metric).into_owned())
            }
            _ => name,
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
        if self.format.escaping == Escaping::Underscores
            && labels.iter().any(|(name, _)| !is_legacy_label(name))
        {
            labels.rename(|name| match underscored(name, is_legacy_label) {
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
        write::label_block(&mut self.labels, labels.iter());
        self.series.push(Series {
            labels: start..self.labels.len(),
            value,
            time_unix_nano,
            exemplar,
        });
        part.series.end = self.series.len();
    }

    /// Whether an exemplar of the family that began last would be written.
    fn shows_exemplars(&self) -> bool {
        self.format.syntax == Syntax::OpenMetrics
            && self
                .parts
                .last()
                .is_some_and(|part| part.kind == Kind::Counter)
    }

    /// Writes the page at the end of `out`.
    pub fn write(mut self, out: &mut Vec<u8>) -> Report {
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
        let mut writer = Writer::new(out, self.format, self.timestamps, &self.labels);
        for (position, parts) in families.iter().enumerate() {
            let Some(first) = parts.first() else { continue };
            if left_out.get(position) == Some(&true) {
                continue;
            }
            for name in part_names(first) {
                if let Ok(other) = names.binary_search(&name.as_str())
                    && let Some(left_out) = left_out.get_mut(other)
                {
                    *left_out = true;
                    report.problems.push(Problem::Part {
                        family: name,
                        of: first.name.clone().into_owned(),
                    });
                }
            }
            series.clear();
            for part in *parts {
                if part.kind == first.kind {
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
            writer.family(first, &series, stands_alone);
            report.families += 1;
            report.series += series.len();
        }
        writer.end();
        report
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
                first = Some(String::from_utf8_lossy(labels(next)).into_owned());
            }
            same
        });
        // Every batch of a resource describes it; that is no conflict.
        if let Some(labels) = first.filter(|_| !part.name.ends_with(TARGET_INFO)) {
            problems.push(Problem::Duplicate {
                family: part.name.clone().into_owned(),
                labels,
                count: before - series.len(),
            });
        }
    }
}

/// Names of samples that a family of this type has besides its own.
fn part_names(part: &Part<'_>) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match part.kind {
        Kind::Histogram => &["_bucket", "_count", "_sum"],
        Kind::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes
        .iter()
        .map(|suffix| format!("{}{suffix}", part.name))
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
        let mut exemplar = None;
        let value = match point {
            Point::One => Value::Number(1.0),
            Point::Number(point) => {
                if self.shows_exemplars() {
                    exemplar =
                        Exemplar::of_number(&point).map(|exemplar| Held::Owned(Box::new(exemplar)));
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
        self.series(labels, value, point.time_unix_nano(), exemplar);
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}
