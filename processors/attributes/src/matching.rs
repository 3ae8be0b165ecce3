//! Choosing records.

use corten_actions::Literal;
use corten_config::types::Regex;
use corten_pdata::edit::Record;
use corten_pdata::logs::LogRecord;
use corten_pdata::traces::Span;
use corten_pdata::{AnyValue, Attributes, Cursor, Signal};

use crate::config::{Attribute, Choice, Library, MatchType};

/// A [`Choice`] made ready.
pub(crate) struct Matcher {
    services: Texts,
    resources: Vec<Wanted>,
    libraries: Vec<Library>,
    attributes: Vec<Wanted>,
    span_names: Texts,
    span_kinds: Texts,
    log_bodies: Texts,
    log_severity_texts: Texts,
    /// The least severity, and whether none at all will do.
    severity: Option<(i32, bool)>,
    metric_names: Texts,
}

/// Texts of which one has to match; no text at all asks for nothing.
enum Texts {
    Any,
    Strict(Vec<String>),
    Regexp(Vec<Regex>),
}

impl Texts {
    fn new(texts: &[String], match_type: MatchType) -> Self {
        match match_type {
            _ if texts.is_empty() => Self::Any,
            MatchType::Strict => Self::Strict(texts.to_vec()),
            MatchType::Regexp => Self::Regexp(
                texts
                    .iter()
                    .filter_map(|text| Regex::new(text).ok())
                    .collect(),
            ),
        }
    }

    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Strict(texts) => texts.iter().any(|wanted| wanted == text),
            Self::Regexp(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }
}

/// An attribute that has to be there.
struct Wanted {
    key: String,
    value: Option<Value>,
}

enum Value {
    Exactly(Literal),
    Matching(Regex),
}

impl Wanted {
    fn new(attribute: &Attribute, match_type: MatchType) -> Self {
        let value = attribute
            .value
            .as_ref()
            .map(|value| match (value, match_type) {
                (Literal::String(text), MatchType::Regexp) => match Regex::new(text) {
                    Ok(pattern) => Value::Matching(pattern),
                    Err(_) => Value::Exactly(value.clone()),
                },
                _ => Value::Exactly(value.clone()),
            });
        Self {
            key: attribute.key.clone(),
            value,
        }
    }

    fn is_in(&self, attributes: Attributes<'_>) -> bool {
        let Some(found) = attributes.get(&self.key) else {
            return false;
        };
        match (&self.value, found) {
            (None, _) => true,
            (Some(Value::Matching(pattern)), found) => pattern.is_match(&found.to_text()),
            (Some(Value::Exactly(Literal::String(wanted))), AnyValue::String(text)) => {
                wanted == text
            }
            (Some(Value::Exactly(Literal::Bool(wanted))), AnyValue::Bool(value)) => {
                *wanted == value
            }
            (Some(Value::Exactly(Literal::Int(wanted))), AnyValue::Int(value)) => *wanted == value,
            (Some(Value::Exactly(Literal::Double(wanted))), AnyValue::Double(value)) => {
                wanted.to_bits() == value.to_bits()
            }
            _ => false,
        }
    }
}

impl Matcher {
    pub(crate) fn new(choice: &Choice) -> Self {
        let texts = |texts: &[String]| Texts::new(texts, choice.match_type);
        let wanted = |attributes: &[Attribute]| {
            attributes
                .iter()
                .map(|attribute| Wanted::new(attribute, choice.match_type))
                .collect()
        };
        Self {
            services: texts(&choice.services),
            resources: wanted(&choice.resources),
            libraries: choice.libraries.clone(),
            attributes: wanted(&choice.attributes),
            span_names: texts(&choice.span_names),
            span_kinds: texts(&choice.span_kinds),
            log_bodies: texts(&choice.log_bodies),
            log_severity_texts: texts(&choice.log_severity_texts),
            severity: choice
                .log_severity_number
                .as_ref()
                .and_then(|severity| Some((severity.min.number()?, severity.match_undefined))),
            metric_names: texts(&choice.metric_names),
        }
    }

    /// Whether everything that is asked for holds. What asks for another signal's fields holds
    /// for none of this one's records.
    pub(crate) fn matches(&self, signal: Signal, record: &Record<'_>) -> bool {
        self.origin(record)
            && self
                .attributes
                .iter()
                .all(|wanted| wanted.is_in(record.attributes()))
            && match signal {
                Signal::Logs => {
                    self.asks_nothing_of_spans() && self.metric_names.is_any() && self.log(record)
                }
                Signal::Traces => {
                    self.asks_nothing_of_logs() && self.metric_names.is_any() && self.span(record)
                }
                Signal::Metrics => {
                    self.asks_nothing_of_logs()
                        && self.asks_nothing_of_spans()
                        && self
                            .metric_names
                            .matches(record.metric.map_or("", |metric| metric.name()))
                }
            }
    }

    fn origin(&self, record: &Record<'_>) -> bool {
        let resource = record.resource.attributes();
        let service = || resource.get_str("service.name").unwrap_or_default();
        let scope = record.scope;
        (self.services.is_any() || self.services.matches(service()))
            && self.resources.iter().all(|wanted| wanted.is_in(resource))
            && (self.libraries.is_empty()
                || self.libraries.iter().any(|library| {
                    library.name == scope.name()
                        && library
                            .version
                            .as_deref()
                            .is_none_or(|version| version == scope.version())
                }))
    }

    fn asks_nothing_of_spans(&self) -> bool {
        self.span_names.is_any() && self.span_kinds.is_any()
    }

    fn asks_nothing_of_logs(&self) -> bool {
        self.log_bodies.is_any() && self.log_severity_texts.is_any() && self.severity.is_none()
    }

    fn log(&self, record: &Record<'_>) -> bool {
        if self.asks_nothing_of_logs() {
            return true;
        }
        let log = LogRecord::new(record.raw);
        let body = || match log.body() {
            Some(AnyValue::String(text)) => Some(text),
            _ => None,
        };
        (self.log_bodies.is_any() || body().is_some_and(|text| self.log_bodies.matches(text)))
            && self.log_severity_texts.matches(log.severity_text())
            && self
                .severity
                .is_none_or(|(least, undefined)| match log.severity_number() {
                    0 => undefined,
                    number => number >= least,
                })
    }

    fn span(&self, record: &Record<'_>) -> bool {
        if self.asks_nothing_of_spans() {
            return true;
        }
        let span = Span::new(record.raw);
        let (long, short) = match span.kind() {
            1 => ("SPAN_KIND_INTERNAL", "internal"),
            2 => ("SPAN_KIND_SERVER", "server"),
            3 => ("SPAN_KIND_CLIENT", "client"),
            4 => ("SPAN_KIND_PRODUCER", "producer"),
            5 => ("SPAN_KIND_CONSUMER", "consumer"),
            _ => ("SPAN_KIND_UNSPECIFIED", "unspecified"),
        };
        self.span_names.matches(span.name())
            && (self.span_kinds.matches(long) || self.span_kinds.matches(short))
    }
}
