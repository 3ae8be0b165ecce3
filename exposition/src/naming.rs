//! From OTLP's names to Prometheus's.
//!
//! The rules are those of the OpenTelemetry specification ("Prometheus and OpenMetrics
//! Compatibility") as `prometheus/otlptranslator`, and with it the Collector and Prometheus's own
//! OTLP endpoint, apply them; the tables in the tests say what that means.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How names and units become Prometheus's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TranslationStrategy {
    /// `http.server.duration` in `s` becomes `http_server_duration_seconds`, counters end in
    /// `_total`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// `http.server.duration` becomes `http_server_duration`: no suffix for unit or type.
    UnderscoreEscapingWithoutSuffixes,
    /// `http.server.duration` becomes `http.server.duration_seconds`: characters stay for scrapers
    /// that take UTF-8 names, suffixes are added.
    NoUTF8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl TranslationStrategy {
    /// Whether characters that are not Prometheus's become underscores.
    #[must_use]
    pub fn escapes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes
        )
    }

    /// Whether unit and type are appended to the name.
    #[must_use]
    pub fn adds_suffixes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::NoUTF8EscapingWithSuffixes
        )
    }
}

/// What the rules have to know of a metric's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A cumulative sum that only grows: `_total`.
    Counter,
    /// A gauge, or a sum that may shrink: `_ratio` with the unit `1`.
    Gauge,
    /// Histograms and summaries.
    Other,
}

/// A name of which nothing is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "metric name {name:?} has no character that Prometheus accepts: rename it in a processor, or choose a translation_strategy that keeps UTF-8"
)]
pub struct Unnameable {
    /// The name as it came.
    pub name: String,
}

/// Applies the rules.
#[derive(Clone, Debug, Default)]
pub struct Namer {
    strategy: TranslationStrategy,
    namespace: String,
}

impl Namer {
    /// Names by `strategy`, every one prefixed with `namespace` and an underscore unless it is
    /// empty.
    #[must_use]
    pub fn new(strategy: TranslationStrategy, namespace: &str) -> Self {
        Self {
            strategy,
            namespace: namespace.to_owned(),
        }
    }

    /// The name of a metric.
    ///
    /// # Errors
    ///
    /// [`Unnameable`] when nothing or nothing but underscores remains.
    pub fn metric(&self, name: &str, unit: &str, shape: Shape) -> Result<String, Unnameable> {
        let result = match (self.strategy.escapes(), self.strategy.adds_suffixes()) {
            (true, true) => self.escaped_with_suffixes(name, unit, shape),
            (true, false) => self.escaped(name),
            (false, true) => suffixed(self.prefixed(name), unit, shape),
            (false, false) => self.prefixed(name),
        };
        let nothing = if self.strategy.escapes() && result != name {
            result.bytes().all(|byte| byte == b'_')
        } else {
            result.is_empty()
        };
        if nothing {
            return Err(Unnameable {
                name: name.to_owned(),
            });
        }
        Ok(result)
    }

    /// The name of the label for the attribute `key`. `None` when nothing is left of it.
    #[must_use]
    pub fn label<'a>(&self, key: &'a str) -> Option<Cow<'a, str>> {
        if key.is_empty() {
            return None;
        }
        if !self.strategy.escapes() {
            return Some(Cow::Borrowed(key));
        }
        legacy_label(key)
    }

    fn prefixed(&self, name: &str) -> String {
        if self.namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{}_{name}", self.namespace)
        }
    }

    fn escaped(&self, name: &str) -> String {
        let kept = |c: char| is_name_char(c) || c == '_';
        let name = tokens(name, kept).collect::<Vec<_>>().join("_");
        if !self.namespace.is_empty() {
            let namespace = tokens(&self.namespace, kept).collect::<Vec<_>>().join("_");
            return format!("{namespace}_{name}");
        }
        guard_digit(name)
    }

    fn escaped_with_suffixes(&self, name: &str, unit: &str, shape: Shape) -> String {
        let mut parts: Vec<&str> = tokens(name, is_name_char).collect();
        let (main, per) = unit_suffixes(unit);
        let mut main = clean_unit(&main);
        let mut per = match clean_unit(&per) {
            only if only == "per_" => String::new(),
            per => per.trim_end_matches('_').to_owned(),
        };
        if parts.contains(&main.as_str()) {
            main.clear();
        }
        if parts.contains(&per.as_str()) {
            per.clear();
        }
        if !per.is_empty() {
            main.truncate(main.trim_end_matches('_').len());
        }
        parts.extend(
            [main.as_str(), per.as_str()]
                .iter()
                .filter(|part| !part.is_empty()),
        );
        if shape == Shape::Counter {
            parts.retain(|part| *part != "total");
            parts.push("total");
        }
        if shape == Shape::Gauge && unit == "1" {
            parts.retain(|part| *part != "ratio");
            parts.push("ratio");
        }
        if !self.namespace.is_empty() {
            parts.insert(0, &self.namespace);
        }
        guard_digit(parts.join("_"))
    }
}

/// Whether `name` is a metric name for every Prometheus: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[inline]
#[must_use]
pub fn is_legacy_metric(name: &str) -> bool {
    is_made_of(name, LABEL | COLON)
}

/// Whether `name` is a label name for every Prometheus: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[inline]
#[must_use]
pub fn is_legacy_label(name: &str) -> bool {
    is_made_of(name, LABEL)
}

const LABEL: u8 = 1;
const COLON: u8 = 2;

/// What each byte may stand in: every label of every sample is looked at.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when it is compiled, where it could not go unseen"
)]
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            classes[byte as usize] = LABEL;
        }
        byte += 1;
    }
    classes[b':' as usize] = COLON;
    classes
};

#[inline]
fn is_made_of(name: &str, classes: u8) -> bool {
    let class = |byte: &u8| CLASSES.get(usize::from(*byte)).copied().unwrap_or(0);
    match name.as_bytes().first() {
        None | Some(b'0'..=b'9') => false,
        Some(_) => name
            .as_bytes()
            .iter()
            .all(|byte| class(byte) & classes != 0),
    }
}

/// `name` with every character that an older Prometheus does not accept as an underscore: how a
/// UTF-8 name is shown to a scraper that did not ask for such names.
#[must_use]
pub fn underscored(name: &str, is_legacy: fn(&str) -> bool) -> Cow<'_, str> {
    if is_legacy(name) {
        return Cow::Borrowed(name);
    }
    let colon = is_legacy(":");
    let mut escaped: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || (c == ':' && colon) {
                c
            } else {
                '_'
            }
        })
        .collect();
    if escaped.starts_with(|c: char| c.is_ascii_digit()) || escaped.is_empty() {
        escaped.insert(0, '_');
    }
    Cow::Owned(escaped)
}

fn legacy_label(key: &str) -> Option<Cow<'_, str>> {
    // A single leading underscore is moved behind `key`, two are the user's own intention.
    let lone_underscore = key.starts_with('_') && !key.starts_with("__");
    if is_legacy_label(key) && !lone_underscore {
        return Some(Cow::Borrowed(key));
    }
    let escaped: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let named = if escaped.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{escaped}")
    } else if escaped.starts_with('_') && !escaped.starts_with("__") {
        format!("key{escaped}")
    } else {
        escaped
    };
    named
        .bytes()
        .any(|byte| byte != b'_')
        .then_some(Cow::Owned(named))
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn tokens(name: &str, kept: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    name.split(move |c| !kept(c))
        .filter(|part| !part.is_empty())
}

fn guard_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Suffixes for names that keep their characters: unit, then `_total` or `_ratio`, none doubled.
fn suffixed(mut name: String, unit: &str, shape: Shape) -> String {
    let last = match shape {
        Shape::Gauge if unit == "1" => "ratio",
        Shape::Counter => "total",
        _ => "",
    };
    cut_suffix(&mut name, last);
    let (main, per) = unit_suffixes(unit);
    cut_suffix(&mut name, &per);
    let main = if name.ends_with(&*main) { "" } else { &*main };
    for suffix in [main, &per, last] {
        if !suffix.is_empty() {
            name.push('_');
            name.push_str(suffix);
        }
    }
    name
}

/// Cuts `suffix` off with the one character before it.
fn cut_suffix(name: &mut String, suffix: &str) {
    let Some(rest) = name.strip_suffix(suffix) else {
        return;
    };
    if suffix.is_empty() {
        return;
    }
    let mut before = rest.chars();
    if before.next_back().is_some() && !before.as_str().is_empty() {
        name.truncate(before.as_str().len());
    }
}

/// `By/s` → (`bytes`, `per_second`). Units in braces are annotations and say nothing.
#[must_use]
pub fn unit_suffixes(unit: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (main, per) = match unit.split_once('/') {
        Some((main, per)) => (main.trim(), per.trim()),
        None => (unit.trim(), ""),
    };
    let usable = |unit: &str| !unit.is_empty() && !unit.contains(['{', '}']);
    let main = if usable(main) { main_unit(main) } else { "" };
    let per = if usable(per) {
        Cow::Owned(format!("per_{}", per_unit(per)))
    } else {
        Cow::Borrowed("")
    };
    (Cow::Borrowed(main), per)
}

fn clean_unit(unit: &str) -> String {
    let mut cleaned = String::with_capacity(unit.len());
    for c in unit.chars() {
        let c = if is_name_char(c) { c } else { '_' };
        if c != '_' || !(cleaned.is_empty() || cleaned.ends_with('_')) {
            cleaned.push(c);
        }
    }
    cleaned
}

fn main_unit(unit: &str) -> &str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => other,
    }
}

fn per_unit(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(strategy: TranslationStrategy, name: &str, unit: &str, shape: Shape) -> String {
        Namer::new(strategy, "")
            .metric(name, unit, shape)
            .unwrap_or_default()
    }

    #[test]
    fn escaping_with_suffixes() {
        use Shape::{Counter, Gauge, Other};
        for (raw, unit, shape, expected) in [
            (
                "http.server.duration",
                "s",
                Other,
                "http_server_duration_seconds",
            ),
            (
                "system.filesystem.usage",
                "By",
                Gauge,
                "system_filesystem_usage_bytes",
            ),
            (
                "system.cpu.time",
                "s",
                Counter,
                "system_cpu_time_seconds_total",
            ),
            ("system.io", "By", Counter, "system_io_bytes_total"),
            ("hertz.rate", "Hz", Gauge, "hertz_rate"),
            ("storage.bytes.total", "By", Counter, "storage_bytes_total"),
            ("total.of.things", "{thing}", Counter, "of_things_total"),
            ("cpu.utilization", "1", Gauge, "cpu_utilization_ratio"),
            ("ratio.of", "1", Gauge, "of_ratio"),
            ("events", "1", Counter, "events_total"),
            ("speed", "m/s", Gauge, "speed_meters_per_second"),
            ("requests", "{request}/s", Gauge, "requests_per_second"),
            ("requests", "1/s", Gauge, "requests_per_second"),
            ("custom", "widgets", Gauge, "custom_widgets"),
            ("custom", "wid gets/mo", Gauge, "custom_wid_gets_per_month"),
            ("broken disk", "%", Gauge, "broken_disk_percent"),
            ("__lots__of___underscores", "", Gauge, "lots_of_underscores"),
            ("3.14 digits", "", Gauge, "_3_14_digits"),
            (
                "unsupported.metric.temperature",
                "°F",
                Gauge,
                "unsupported_metric_temperature_F",
            ),
            (
                "unsupported.metric.redundant",
                "__test $/°C",
                Gauge,
                "unsupported_metric_redundant_test_per_C",
            ),
            ("instance:rate:sum", "", Gauge, "instance:rate:sum"),
            ("a", "ms/", Gauge, "a_milliseconds"),
            ("日本", "", Gauge, ""),
            ("__", "", Gauge, ""),
        ] {
            assert_eq!(
                name(
                    TranslationStrategy::UnderscoreEscapingWithSuffixes,
                    raw,
                    unit,
                    shape
                ),
                expected,
                "{raw} in {unit}"
            );
        }
    }

    #[test]
    fn escaping_without_suffixes() {
        for (raw, expected) in [
            ("http.server.duration", "http_server_duration"),
            ("keeps__its_underscores_", "keeps__its_underscores_"),
            ("many...dots.", "many_dots"),
            ("2xx", "_2xx"),
            ("é", ""),
        ] {
            let strategy = TranslationStrategy::UnderscoreEscapingWithoutSuffixes;
            assert_eq!(name(strategy, raw, "s", Shape::Counter), expected, "{raw}");
        }
    }

    #[test]
    fn utf8_names_with_suffixes() {
        use Shape::{Counter, Gauge, Other};
        for (raw, unit, shape, expected) in [
            (
                "http.server.duration",
                "s",
                Other,
                "http.server.duration_seconds",
            ),
            ("storage.total", "By", Counter, "storage_bytes_total"),
            ("requests_total", "", Counter, "requests_total"),
            ("total", "", Counter, "total_total"),
            ("cpu_ratio", "1", Gauge, "cpu_ratio"),
            ("speed_meters", "m/s", Gauge, "speed_meters_per_second"),
            ("温度", "Cel", Gauge, "温度_celsius"),
        ] {
            assert_eq!(
                name(
                    TranslationStrategy::NoUTF8EscapingWithSuffixes,
                    raw,
                    unit,
                    shape
                ),
                expected,
                "{raw} in {unit}"
            );
        }
        assert_eq!(
            name(TranslationStrategy::NoTranslation, "a.b", "s", Counter),
            "a.b"
        );
    }

    #[test]
    fn namespaces_come_first() {
        for (strategy, expected) in [
            (
                TranslationStrategy::UnderscoreEscapingWithSuffixes,
                "my-app_up_seconds_total",
            ),
            (
                TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
                "my_app_up",
            ),
            (TranslationStrategy::NoTranslation, "my-app_up"),
        ] {
            let namer = Namer::new(strategy, "my-app");
            assert_eq!(namer.metric("up", "s", Shape::Counter).unwrap(), expected);
        }
    }

    #[test]
    fn labels() {
        let namer = Namer::default();
        for (key, expected) in [
            ("http.method", Some("http_method")),
            ("method", Some("method")),
            ("0day", Some("key_0day")),
            ("_private", Some("key_private")),
            ("__reserved__", Some("__reserved__")),
            ("héllo", Some("h_llo")),
            ("a:b", Some("a_b")),
            ("…", Some("key_")),
            ("……", None),
            ("", None),
        ] {
            assert_eq!(namer.label(key).as_deref(), expected, "{key}");
        }
        let verbatim = Namer::new(TranslationStrategy::NoTranslation, "");
        assert_eq!(
            verbatim.label("http.method").as_deref(),
            Some("http.method")
        );
    }

    proptest! {
        #[test]
        fn escaped_names_are_legal(raw: String, unit: String, counter: bool) {
            let shape = if counter { Shape::Counter } else { Shape::Gauge };
            for strategy in [
                TranslationStrategy::UnderscoreEscapingWithSuffixes,
                TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
            ] {
                let namer = Namer::new(strategy, "");
                if let Ok(name) = namer.metric(&raw, &unit, shape) {
                    prop_assert!(is_legacy_metric(&name), "{raw:?} {unit:?} became {name:?}");
                }
                if let Some(label) = namer.label(&raw) {
                    prop_assert!(is_legacy_label(&label), "{raw:?} became {label:?}");
                }
            }
            prop_assert!(is_legacy_metric(&underscored(&raw, is_legacy_metric)));
            prop_assert!(is_legacy_label(&underscored(&raw, is_legacy_label)));
        }
    }
}
