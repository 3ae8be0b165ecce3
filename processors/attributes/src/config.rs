//! What users set.

use corten_actions::{Action, Literal};
use corten_config::types::Regex;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `attributes` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Which records are changed; all when it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include: Option<Choice>,
    /// Which of them are left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exclude: Option<Choice>,
    /// Actions on the attributes, carried out in this order.
    pub(crate) actions: Vec<Action>,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MatchType {
    /// They are equal.
    #[default]
    Strict,
    /// The entry is a regular expression that matches somewhere in the text.
    Regexp,
}

/// Which records are meant. Every list that is given has to match, by one of its entries; of
/// `attributes`, `resources` all entries have to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Choice {
    /// `strict` or `regexp`.
    pub(crate) match_type: MatchType,
    /// Values of the resource attribute `service.name`.
    pub(crate) services: Vec<String>,
    /// Attributes of the resource.
    pub(crate) resources: Vec<Attribute>,
    /// Instrumentation scopes.
    pub(crate) libraries: Vec<Library>,
    /// Attributes of the record.
    pub(crate) attributes: Vec<Attribute>,
    /// Names of spans.
    pub(crate) span_names: Vec<String>,
    /// Kinds of spans: `SPAN_KIND_SERVER` or `server`, ….
    pub(crate) span_kinds: Vec<String>,
    /// Bodies of log records that are text.
    pub(crate) log_bodies: Vec<String>,
    /// Severity texts of log records.
    pub(crate) log_severity_texts: Vec<String>,
    /// The least severity of log records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_severity_number: Option<Severity>,
    /// Names of metrics.
    pub(crate) metric_names: Vec<String>,
    /// Accepted for the Collector's sake; there is no cache to set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regexp: Option<RegexpCache>,
}

/// An attribute, and which value it has to have; any value when none is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Attribute {
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Literal>,
}

/// An instrumentation scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Library {
    /// Its name.
    pub(crate) name: String,
    /// Its version; any when it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

/// The least severity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Severity {
    /// A number from 1 (TRACE) to 24 (FATAL4), or a name such as `INFO`, `WARN2`.
    pub(crate) min: SeverityNumber,
    /// Whether records without a severity match.
    pub(crate) match_undefined: bool,
}

/// A severity as a number or a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum SeverityNumber {
    /// From 1 to 24.
    Number(i32),
    /// `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL`, with 2, 3 or 4 behind it or not.
    Name(String),
}

impl Default for SeverityNumber {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl SeverityNumber {
    /// The number; `None` for what is no severity.
    pub(crate) fn number(&self) -> Option<i32> {
        match self {
            Self::Number(number) => (0..=24).contains(number).then_some(*number),
            Self::Name(name) => {
                let upper = name.to_ascii_uppercase();
                let upper = upper.strip_prefix("SEVERITY_NUMBER_").unwrap_or(&upper);
                let base = upper.trim_end_matches(['2', '3', '4']);
                let names = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
                let place = i32::try_from(names.iter().position(|known| *known == base)?).ok()?;
                let offset = match upper.strip_prefix(base)? {
                    "" => 0,
                    "2" => 1,
                    "3" => 2,
                    "4" => 3,
                    _ => return None,
                };
                Some(place * 4 + 1 + offset)
            }
        }
    }
}

/// Accepted for the Collector's sake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RegexpCache {
    /// Changes nothing.
    pub(crate) cacheenabled: bool,
    /// Changes nothing.
    pub(crate) cachemaxnumentries: u32,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.actions.is_empty() {
            at.field("actions").error("needs at least one action");
        }
        for (index, action) in self.actions.iter().enumerate() {
            action.check(&mut at.item("actions", index));
        }
        for (name, choice) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(choice) = choice {
                choice.check(&mut at.section(name));
            }
        }
    }
}

impl Choice {
    /// Its lists of texts by name.
    pub(crate) fn texts(&self) -> [(&'static str, &[String]); 6] {
        [
            ("services", &self.services),
            ("span_names", &self.span_names),
            ("span_kinds", &self.span_kinds),
            ("log_bodies", &self.log_bodies),
            ("log_severity_texts", &self.log_severity_texts),
            ("metric_names", &self.metric_names),
        ]
    }

    fn check(&self, at: &mut Checker<'_>) {
        let empty = self.texts().iter().all(|(_, texts)| texts.is_empty())
            && self.resources.is_empty()
            && self.libraries.is_empty()
            && self.attributes.is_empty()
            && self.log_severity_number.is_none();
        if empty {
            at.error("needs at least one of services, resources, libraries, attributes, span_names, span_kinds, log_bodies, log_severity_texts, log_severity_number, metric_names");
        }
        if self.match_type == MatchType::Regexp {
            for (name, texts) in self.texts() {
                for (index, text) in texts.iter().enumerate() {
                    if let Err(error) = Regex::new(text) {
                        at.item(name, index).error(error);
                    }
                }
            }
        }
        if let Some(severity) = &self.log_severity_number
            && severity.min.number().is_none()
        {
            at.field("log_severity_number").error(
                "has a min that is no severity: a number up to 24, or a name such as INFO or WARN2",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SeverityNumber;

    #[test]
    fn severities_have_numbers_and_names() {
        let number = |name: &str| SeverityNumber::Name(name.to_owned()).number();
        assert_eq!(number("TRACE"), Some(1));
        assert_eq!(number("info"), Some(9));
        assert_eq!(number("WARN2"), Some(14));
        assert_eq!(number("SEVERITY_NUMBER_FATAL4"), Some(24));
        assert_eq!(number("loud"), None);
        assert_eq!(SeverityNumber::Number(25).number(), None);
    }
}
