//! Relabeling: Prometheus's rules over labels, for targets and for series.
//!
//! Semantics: <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>.

use std::borrow::Cow;
use std::str::FromStr;

use corten_config::types::Regex;
use corten_config::{Check, Checker};
use md5::{Digest as _, Md5};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The label that holds a series' name.
pub(crate) const NAME: &str = "__name__";

/// Labels of a target or a series: few, so that a list is searched faster than a tree. No value is empty: an empty
/// label is none, as Prometheus has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Labels<'a> {
    /// The labels of a sample, whose names are all different.
    pub(crate) fn of_sample(mut labels: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Self {
        labels.retain(|(_, value)| !value.is_empty());
        Self(labels)
    }

    /// The value of a label; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// Gives a label a value; an empty one takes it away.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        let at = self.0.iter().position(|(known, _)| *known == name);
        match at {
            Some(at) if value.is_empty() => {
                self.0.remove(at);
            }
            Some(at) => {
                if let Some(label) = self.0.get_mut(at) {
                    label.1 = value;
                }
            }
            None if value.is_empty() => {}
            None => self.0.push((name, value)),
        }
    }

    /// Keeps the labels that `keep` says by name.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<'a, N: Into<Cow<'a, str>>, V: Into<Cow<'a, str>>> FromIterator<(N, V)> for Labels<'a> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(all: I) -> Self {
        let mut labels = Self::default();
        for (name, value) in all {
            labels.set(name, value);
        }
        labels
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Where `regex` matches the sources, `target_label` becomes `replacement`.
    #[default]
    Replace,
    /// Leaves out what does not match.
    Keep,
    /// Leaves out what matches.
    Drop,
    /// `target_label` becomes the sources' hash modulo `modulus`.
    HashMod,
    /// Copies every label whose name matches to the name that `replacement` makes.
    LabelMap,
    /// Removes every label whose name matches.
    LabelDrop,
    /// Removes every label whose name does not match.
    LabelKeep,
    /// `target_label` becomes the sources in lower case.
    Lowercase,
    /// `target_label` becomes the sources in upper case.
    Uppercase,
    /// Leaves out what has not the same value in the sources and `target_label`.
    KeepEqual,
    /// Leaves out what has the same value in the sources and `target_label`.
    DropEqual,
}

/// A regular expression that has to match the whole; `.` matches line feeds too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Anchored(Regex);

impl FromStr for Anchored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Regex::whole(text).map(Self)
    }
}

impl Serialize for Anchored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Anchored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Anchored {
    fn schema_name() -> Cow<'static, str> {
        "AnchoredRegex".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Rule {
    /// The labels whose values are looked at, joined by `separator`.
    pub(crate) source_labels: Vec<String>,
    /// What stands between the sources' values.
    pub(crate) separator: String,
    /// What the sources, or the labels' names, have to match as a whole. By default anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regex: Option<Anchored>,
    /// For `hashmod`.
    pub(crate) modulus: u64,
    /// The label that is written; `$1` is what the first group matched.
    pub(crate) target_label: String,
    /// What is written; `$1` is what the first group matched.
    pub(crate) replacement: String,
    /// What is done.
    pub(crate) action: Action,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::Replace,
        }
    }
}

impl Check for Rule {
    fn check(&self, at: &mut Checker<'_>) {
        use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        let action = self.action;
        let writes = matches!(
            action,
            Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual
        );
        let called = serde_json::to_value(action).unwrap_or_default();
        let called = called.as_str().unwrap_or_default();
        if writes && self.target_label.is_empty() {
            at.error(format!("action '{called}' needs target_label"));
        }
        if action == HashMod && self.modulus == 0 {
            at.error("action 'hashmod' needs a modulus greater than zero");
        }
        let plain = Self::default();
        let by_name = matches!(action, Action::LabelDrop | Action::LabelKeep);
        let idle = [
            (
                "source_labels",
                (by_name || action == Action::LabelMap) && !self.source_labels.is_empty(),
            ),
            ("target_label", by_name && !self.target_label.is_empty()),
            (
                "replacement",
                (by_name || matches!(action, KeepEqual | DropEqual))
                    && self.replacement != plain.replacement,
            ),
            (
                "regex",
                matches!(action, KeepEqual | DropEqual) && self.regex.is_some(),
            ),
        ];
        for (field, _) in idle.into_iter().filter(|(_, idle)| *idle) {
            at.field(field)
                .error(format!("means nothing with action '{called}'"));
        }
    }
}

/// Applies rules in order; `false` when what has these labels is left out.
pub(crate) fn apply(rules: &[Rule], labels: &mut Labels<'_>) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

impl Rule {
    fn sources(&self, labels: &Labels<'_>) -> String {
        let mut joined = String::new();
        for (at, name) in self.source_labels.iter().enumerate() {
            if at > 0 {
                joined.push_str(&self.separator);
            }
            joined.push_str(labels.get(name));
        }
        joined
    }

    /// Without a regular expression everything matches.
    fn matches(&self, text: &str) -> bool {
        self.regex
            .as_ref()
            .is_none_or(|regex| regex.0.is_match(text))
    }

    /// What a template makes of a text that matches; the default expression is one group around everything.
    fn expand(&self, text: &str, template: &str) -> Option<String> {
        if !template.contains('$') {
            return self.matches(text).then(|| template.to_owned());
        }
        let mut made = String::new();
        match &self.regex {
            Some(regex) => regex.0.captures(text)?.expand(template, &mut made),
            None if template == "$1" => made.push_str(text),
            None => everything().captures(text)?.expand(template, &mut made),
        }
        Some(made)
    }

    fn apply(&self, labels: &mut Labels<'_>) -> bool {
        match self.action {
            Action::Keep => return self.matches(&self.sources(labels)),
            Action::Drop => return !self.matches(&self.sources(labels)),
            Action::KeepEqual => return self.sources(labels) == labels.get(&self.target_label),
            Action::DropEqual => return self.sources(labels) != labels.get(&self.target_label),
            Action::Replace => {
                let sources = self.sources(labels);
                if let Some(value) = self.expand(&sources, &self.replacement)
                    && let Some(target) = self.expand(&sources, &self.target_label)
                    && !target.is_empty()
                {
                    labels.set(target, value);
                }
            }
            Action::Lowercase => {
                let value = self.sources(labels).to_lowercase();
                labels.set(self.target_label.clone(), value);
            }
            Action::Uppercase => {
                let value = self.sources(labels).to_uppercase();
                labels.set(self.target_label.clone(), value);
            }
            Action::HashMod => {
                let hash = Md5::digest(self.sources(labels).as_bytes());
                let last = hash.iter().skip(8);
                let hash = last.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                let modulo = hash.checked_rem(self.modulus).unwrap_or_default();
                labels.set(self.target_label.clone(), modulo.to_string());
            }
            Action::LabelMap => {
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((self.expand(name, &self.replacement)?, value.to_owned()))
                    })
                    .collect();
                for (name, value) in mapped {
                    labels.set(name, value);
                }
            }
            Action::LabelDrop => labels.retain(|name| !self.matches(name)),
            Action::LabelKeep => labels.retain(|name| self.matches(name)),
        }
        true
    }
}

/// The default of `regex`.
fn everything() -> &'static Regex {
    static EVERYTHING: std::sync::OnceLock<Regex> = std::sync::OnceLock::new();
    EVERYTHING.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "a constant that a test reads")]
        Regex::whole("(.*)").expect("an expression")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(yaml: &str) -> Vec<Rule> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Rules {
            rules: Vec<Rule>,
        }
        impl Check for Rules {
            fn check(&self, at: &mut Checker<'_>) {
                for (index, rule) in self.rules.iter().enumerate() {
                    rule.check(&mut at.item("rules", index));
                }
            }
        }
        corten_config::from_str::<Rules>(&format!("rules: {yaml}"))
            .unwrap_or_else(|problems| panic!("{problems}"))
            .rules
    }

    fn after(yaml: &str) -> Option<String> {
        let mut labels: Labels<'_> = [
            ("__name__", "up"),
            ("a", "foo"),
            ("b", "Bar"),
            ("c", "baz:80"),
            ("__meta_x", "1"),
        ]
        .into_iter()
        .collect();
        apply(&rules(yaml), &mut labels).then(|| {
            labels.0.sort();
            labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
    }

    #[test]
    fn every_action_does_what_prometheus_does() {
        let same = "__meta_x=1 __name__=up a=foo b=Bar c=baz:80";
        for (yaml, expected) in [
            (
                "[{target_label: d, replacement: x}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 d=x"),
            ),
            (
                "[{source_labels: [a, b], target_label: d}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 d=foo;Bar"),
            ),
            (
                "[{source_labels: [c], regex: '(.+):(\\d+)', target_label: 'p_$2', replacement: '$${1}!'}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 p_80=baz!"),
            ),
            // Anchored: a part is no match, and without a match nothing happens.
            (
                "[{source_labels: [c], regex: 'baz', target_label: a}]",
                Some(same),
            ),
            // An empty result takes the label away.
            (
                "[{source_labels: [nothing], target_label: a}]",
                Some("__meta_x=1 __name__=up b=Bar c=baz:80"),
            ),
            (
                "[{source_labels: [a], regex: foo, action: keep}]",
                Some(same),
            ),
            ("[{source_labels: [a], regex: fo, action: keep}]", None),
            ("[{source_labels: [a], regex: foo, action: drop}]", None),
            (
                "[{source_labels: [a], regex: fo, action: drop}]",
                Some(same),
            ),
            (
                "[{regex: '__meta_(.+)', action: labelmap}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 x=1"),
            ),
            (
                "[{regex: '__meta_(.+)', replacement: 'k_$1', action: labelmap}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 k_x=1"),
            ),
            (
                "[{regex: '[ab]', action: labeldrop}]",
                Some("__meta_x=1 __name__=up c=baz:80"),
            ),
            ("[{regex: '[ab]', action: labelkeep}]", Some("a=foo b=Bar")),
            (
                "[{source_labels: [b], target_label: b, action: lowercase}]",
                Some("__meta_x=1 __name__=up a=foo b=bar c=baz:80"),
            ),
            (
                "[{source_labels: [b], target_label: d, action: uppercase}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 d=BAR"),
            ),
            (
                "[{source_labels: [a], target_label: b, action: keepequal}]",
                None,
            ),
            (
                "[{source_labels: [a], target_label: a, action: keepequal}]",
                Some(same),
            ),
            (
                "[{source_labels: [a], target_label: a, action: dropequal}]",
                None,
            ),
            (
                "[{source_labels: [a], target_label: b, action: dropequal}]",
                Some(same),
            ),
            // md5("foo") = acbd18db4cc2f85cedef654fccc4a4d8, its last eight bytes modulo 1000.
            (
                "[{source_labels: [a], target_label: d, modulus: 1000, action: hashmod}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 d=696"),
            ),
            // In order: what one has made is what the next one sees, and after a drop nothing is.
            (
                "[{target_label: d, replacement: x}, {source_labels: [d], target_label: e, replacement: '$0-$1'}]",
                Some("__meta_x=1 __name__=up a=foo b=Bar c=baz:80 d=x e=x-x"),
            ),
        ] {
            assert_eq!(after(yaml).as_deref(), expected, "{yaml}");
        }
    }

    #[test]
    fn what_a_rule_lacks_is_said() {
        for (yaml, expected) in [
            ("{}", "action 'replace' needs target_label"),
            ("{action: hashmod, target_label: a}", "needs a modulus"),
            (
                "{action: labeldrop, source_labels: [a]}",
                "source_labels means nothing with action 'labeldrop'",
            ),
            (
                "{action: keepequal, target_label: a, regex: b}",
                "regex means nothing",
            ),
            ("{action: kep}", "did you mean 'keep'?"),
            (
                "{regex: '(', target_label: a}",
                "expected a regular expression, found '('",
            ),
            (
                "{regex: ')(', target_label: a}",
                "expected a regular expression, found ')('",
            ),
        ] {
            let problems = corten_config::from_str::<Rule>(yaml)
                .unwrap_err()
                .to_string();
            assert!(problems.contains(expected), "{yaml}: {problems}");
        }
    }
}
