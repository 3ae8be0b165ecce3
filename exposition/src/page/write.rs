//! The bytes of the two formats.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::escaping::Escaping;
use crate::naming::{is_legacy_label, is_legacy_metric};
use crate::negotiation::{Format, Syntax};
use crate::number::{write_float, write_integer, write_open_metrics_float};
use crate::page::{Part, Series};
use crate::template::Written;
use crate::translation::Kind;
use crate::value::{Exemplar, Histogram, Summary, Value};

/// Appends `name="value",…` without braces. Names that need quotes get them.
pub(super) fn label_block<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut first = true;
    for (name, value) in labels {
        if !first {
            out.push(b',');
        }
        first = false;
        if is_legacy_label(name) {
            out.extend_from_slice(name.as_bytes());
        } else {
            quoted(out, name);
        }
        out.push(b'=');
        quoted(out, value);
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text, true);
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    // Hardly any text needs it, and this is quicker than to look for the place at once.
    let special = |byte: &u8| (*byte == b'\\') | (*byte == b'\n') | (*byte == b'"');
    if !text
        .as_bytes()
        .iter()
        .fold(false, |found, byte| found | special(byte))
    {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut plain = 0;
    for (position, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'"' if quotes => b"\\\"",
            _ => continue,
        };
        out.extend_from_slice(text.as_bytes().get(plain..position).unwrap_or_default());
        out.extend_from_slice(escape);
        plain = position + 1;
    }
    out.extend_from_slice(text.as_bytes().get(plain..).unwrap_or_default());
}

/// Writes families one after the other.
pub(super) struct Writer<'w, 'a> {
    out: &'w mut Vec<u8>,
    open_metrics: bool,
    escaping: Escaping,
    timestamps: bool,
    /// The label blocks that series point into.
    labels: &'w [u8],
    /// Numbers whose origin is known.
    written: Vec<Written<'a>>,
}

/// The label that a line of a histogram or a summary has besides its series' own.
type Extra = Option<(&'static str, f64)>;

impl<'w, 'a> Writer<'w, 'a> {
    pub(super) fn new(
        out: &'w mut Vec<u8>,
        format: Format,
        timestamps: bool,
        labels: &'w [u8],
    ) -> Self {
        Self {
            out,
            open_metrics: format.syntax == Syntax::OpenMetrics,
            escaping: format.escaping,
            timestamps,
            labels,
            written: Vec::new(),
        }
    }

    /// One family with all its series. `is_free` says whether no other family has a name: OpenMetrics
    /// takes a counter's name without `_total`.
    pub(super) fn family(
        &mut self,
        part: &Part<'_>,
        series: &[&Series<'a>],
        is_free: impl Fn(&str) -> bool,
    ) {
        let (family, kind) = self.declared(part, is_free);
        let name = &*part.name;
        // The declared name is the beginning of it.
        let legacy = is_legacy_metric(name);
        if !part.help.is_empty() {
            self.head(b"# HELP ", family, legacy);
            escaped(self.out, part.help, self.open_metrics);
            self.out.push(b'\n');
        }
        self.head(b"# TYPE ", family, legacy);
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'\n');
        if self.open_metrics && is_unit_of(&part.unit, family) {
            self.head(b"# UNIT ", family, legacy);
            self.out.extend_from_slice(part.unit.as_bytes());
            self.out.push(b'\n');
        }
        // Prometheus refuses the whole page for an exemplar of a counter that is not declared as one.
        let takes_exemplars = kind == Kind::Counter.open_metrics_name();
        for series in series {
            match &series.value {
                Value::Number(value) => {
                    self.sample(name, legacy, "", series, None);
                    let start = self.out.len();
                    self.float(*value);
                    if let Some((origin, whole)) = series.origin {
                        self.written.push(Written {
                            origin,
                            whole,
                            text: start..self.out.len(),
                        });
                    }
                    let exemplar = series.exemplar.as_deref().filter(|_| takes_exemplars);
                    self.tail(series, exemplar);
                }
                Value::Histogram(histogram) => self.histogram(name, legacy, series, histogram),
                Value::Exponential(exponential) => {
                    self.histogram(name, legacy, series, &exponential.to_explicit());
                }
                Value::Summary(summary) => self.summary(name, legacy, series, summary),
            }
        }
    }

    /// Ends the page: the numbers on it whose origin is known.
    pub(super) fn end(self) -> Vec<Written<'a>> {
        if self.open_metrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
        self.written
    }

    /// Name and type as this format declares them. OpenMetrics knows a counter by its name without
    /// `_total`; one that has no such name, or whose shorter name is another family's, is of unknown
    /// type there, so that its samples keep the same name in both formats.
    fn declared<'p>(
        &self,
        part: &'p Part<'_>,
        is_free: impl Fn(&str) -> bool,
    ) -> (&'p str, &'static str) {
        let name = &*part.name;
        if !self.open_metrics {
            return (name, part.kind.text_name());
        }
        let (suffix, otherwise) = match part.kind {
            Kind::Counter => ("_total", Kind::Unknown),
            Kind::Info => ("_info", Kind::Gauge),
            kind => return (name, kind.open_metrics_name()),
        };
        match name.strip_suffix(suffix) {
            Some(short) if !short.is_empty() && is_free(short) => {
                (short, part.kind.open_metrics_name())
            }
            _ => (name, otherwise.open_metrics_name()),
        }
    }

    fn head(&mut self, keyword: &[u8], family: &str, legacy: bool) {
        self.out.extend_from_slice(keyword);
        if legacy {
            self.out.extend_from_slice(family.as_bytes());
        } else {
            quoted(self.out, family);
        }
        self.out.push(b' ');
    }

    fn sample(
        &mut self,
        name: &str,
        legacy: bool,
        suffix: &str,
        series: &Series<'_>,
        extra: Extra,
    ) {
        let labels = self.labels.get(series.labels.clone()).unwrap_or_default();
        let out = &mut *self.out;
        if legacy {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(suffix.as_bytes());
            if labels.is_empty() && extra.is_none() {
                out.push(b' ');
                return;
            }
            out.push(b'{');
        } else {
            out.extend_from_slice(b"{\"");
            escaped(out, name, true);
            out.extend_from_slice(suffix.as_bytes());
            out.push(b'"');
            if !labels.is_empty() || extra.is_some() {
                out.push(b',');
            }
        }
        out.extend_from_slice(labels);
        if let Some((label, value)) = extra {
            if !labels.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"=\"");
            self.float(value);
            self.out.push(b'"');
        }
        self.out.extend_from_slice(b"} ");
    }

    fn float(&mut self, value: f64) {
        if self.open_metrics {
            write_open_metrics_float(self.out, value);
        } else {
            write_float(self.out, value);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "text 0.0.4 has floats only, as Prometheus's own library prints counts"
    )]
    fn count(&mut self, count: u64) {
        if self.open_metrics {
            write_integer(self.out, count);
        } else {
            write_float(self.out, count as f64);
        }
    }

    fn tail(&mut self, series: &Series<'_>, exemplar: Option<&Exemplar>) {
        if self.timestamps && series.time_unix_nano > 0 {
            self.out.push(b' ');
            let milliseconds = milliseconds(series.time_unix_nano);
            if self.open_metrics {
                self.seconds(milliseconds);
            } else {
                write_integer(self.out, milliseconds);
            }
        }
        if self.open_metrics
            && let Some(exemplar) = exemplar
        {
            self.exemplar(exemplar);
        }
        self.out.push(b'\n');
    }

    fn seconds(&mut self, milliseconds: u64) {
        write_integer(self.out, milliseconds / 1000);
        let rest = milliseconds % 1000;
        if rest > 0 {
            self.out.push(b'.');
            for unit in [100, 10, 1] {
                write_integer(self.out, rest / unit % 10);
            }
        }
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let labels = exemplar_labels(exemplar, self.escaping);
        let labels = labels.iter().map(|(name, value)| (&**name, *value));
        self.out.extend_from_slice(b" # {");
        label_block(self.out, labels);
        self.out.extend_from_slice(b"} ");
        self.float(exemplar.value);
        if exemplar.time_unix_nano > 0 {
            self.out.push(b' ');
            self.seconds(milliseconds(exemplar.time_unix_nano));
        }
    }

    fn histogram(&mut self, name: &str, legacy: bool, series: &Series<'_>, histogram: &Histogram) {
        let mut last = f64::NEG_INFINITY;
        let infinite = std::iter::once((f64::INFINITY, histogram.total()));
        for (bound, count) in histogram.cumulative().chain(infinite) {
            self.sample(name, legacy, "_bucket", series, Some(("le", bound)));
            self.count(count);
            let exemplar = if self.open_metrics {
                newest_between(&histogram.exemplars, last, bound)
            } else {
                None
            };
            self.tail(series, exemplar);
            last = bound;
        }
        if let Some(sum) = histogram.sum {
            self.sample(name, legacy, "_sum", series, None);
            self.float(sum);
            self.tail(series, None);
        }
        self.sample(name, legacy, "_count", series, None);
        self.count(histogram.total());
        self.tail(series, None);
    }

    fn summary(&mut self, name: &str, legacy: bool, series: &Series<'_>, summary: &Summary) {
        for (quantile, value) in &summary.quantiles {
            self.sample(name, legacy, "", series, Some(("quantile", *quantile)));
            self.float(*value);
            self.tail(series, None);
        }
        self.sample(name, legacy, "_sum", series, None);
        self.float(summary.sum);
        self.tail(series, None);
        self.sample(name, legacy, "_count", series, None);
        self.count(summary.count);
        self.tail(series, None);
    }
}

/// The labels of an exemplar: the trace first, then as many attributes as there is room for, since
/// OpenMetrics allows 128 characters for all names and values together.
pub(super) fn exemplar_labels(
    exemplar: &Exemplar,
    escaping: Escaping,
) -> SmallVec<[(Cow<'_, str>, &str); 4]> {
    let mut labels: SmallVec<[(Cow<'_, str>, &str); 4]> = SmallVec::new();
    let mut room = 128usize;
    let ids = [
        (Cow::Borrowed("trace_id"), &*exemplar.trace_id),
        (Cow::Borrowed("span_id"), &*exemplar.span_id),
    ];
    let ids = ids.into_iter().filter(|(_, id)| !id.is_empty());
    let rest = exemplar.attributes.iter();
    let rest = rest
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (escaping.label(name), &**value));
    for (name, value) in ids.chain(rest) {
        let size = name.chars().count() + value.chars().count();
        if size <= room && labels.iter().all(|(known, _)| *known != name) {
            room -= size;
            labels.push((name, value));
        }
    }
    labels
}

pub(super) fn newest_between(exemplars: &[Exemplar], above: f64, bound: f64) -> Option<&Exemplar> {
    exemplars
        .iter()
        .filter(|exemplar| exemplar.value > above && exemplar.value <= bound)
        .max_by_key(|exemplar| exemplar.time_unix_nano)
}

/// Milliseconds of a time.
pub(super) fn milliseconds(time_unix_nano: u64) -> u64 {
    time_unix_nano / 1_000_000
}

/// Whether the family's name ends in its unit, as OpenMetrics demands of whoever names one.
pub(super) fn is_unit_of(unit: &str, family: &str) -> bool {
    !unit.is_empty()
        && family
            .strip_suffix(unit)
            .is_some_and(|rest| rest.ends_with('_') && rest.len() > 1)
}
