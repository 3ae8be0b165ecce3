//! The condition under which an endpoint gets a receiver.

use std::fmt;
use std::str::FromStr;

use corten_operators::{EvalError, FreeExpr, Map, ParseExprError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The endpoint types of the Collector's observers.
pub(crate) const ENDPOINT_TYPES: [&str; 9] = [
    "pod",
    "pod.container",
    "port",
    "hostport",
    "container",
    "k8s.service",
    "k8s.ingress",
    "k8s.node",
    "kafka.topics",
];

/// An expression that begins with the endpoint's type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct Rule(FreeExpr);

/// The text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseRuleError {
    /// There is nothing.
    #[error("rule cannot be empty")]
    Empty,
    /// Every endpoint would have to be looked at in full, and names differ by type.
    #[error("rule must specify type: expected it to begin with type == \"port\", or another of {}", ENDPOINT_TYPES.join(", "))]
    NoType,
    /// It cannot be read.
    #[error(transparent)]
    Expr(#[from] ParseExprError),
}

impl Rule {
    /// Whether it is true of these names.
    pub(crate) fn matches(&self, names: &Map) -> Result<bool, EvalError> {
        self.0.matches(names)
    }
}

/// Whether it begins with `type == "…"`.
fn has_type(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix("type");
    let rest = rest.and_then(|rest| rest.trim_start().strip_prefix("=="));
    let Some(rest) = rest.map(str::trim_start) else {
        return false;
    };
    ['"', '\''].into_iter().any(|quote| {
        let quoted = rest.strip_prefix(quote);
        quoted
            .and_then(|rest| rest.split_once(quote))
            .is_some_and(|(name, _)| ENDPOINT_TYPES.contains(&name))
    })
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        if text.trim().is_empty() {
            return Err(ParseRuleError::Empty);
        }
        let expr = text.parse()?;
        if !has_type(text) {
            return Err(ParseRuleError::NoType);
        }
        Ok(Self(expr))
    }
}

impl TryFrom<String> for Rule {
    type Error = ParseRuleError;

    fn try_from(text: String) -> Result<Self, ParseRuleError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_operators::Value;
    use proptest::prelude::*;

    fn names() -> Map {
        let json = serde_json::json!({
            "type": "port", "id": "o/u/redis(6379)", "endpoint": "10.0.0.7:6379", "name": "redis", "port": 6379, "transport": "TCP",
            "pod": {"name": "redis-0", "namespace": "shop", "uid": "u", "labels": {"app": "redis"}, "annotations": {"scrape": "true"}},
        });
        match Value::from_json(json) {
            Value::Map(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn rules_of_the_field() {
        for (text, expected) in [
            (
                r#"type == "port" && pod.name matches "redis" && port == 6379"#,
                true,
            ),
            (r#"type == "port" and pod.labels["app"] == "redis""#, true),
            ("type == 'port' && pod.annotations.scrape == 'true'", true),
            (r#"type == "port" && name in ["redis", "sentinel"]"#, true),
            (r#"type == "port" && pod.labels["team"] != """#, false),
            (
                r#"type == "port" && not (pod.name startsWith "redis")"#,
                false,
            ),
            (r#"type == "port" && node?.name == nil"#, true),
            (r#"type == "pod" && labels["app"] == "redis""#, false),
            (r#"  type=="pod" || type == "port""#, true),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.matches(&names()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_said() {
        let error = |text: &str| text.parse::<Rule>().unwrap_err().to_string();
        assert_eq!(error(" "), "rule cannot be empty");
        assert!(error("port == 1").starts_with("rule must specify type"));
        assert!(error(r#"type == "prot""#).contains("k8s.node"));
        assert!(error(r#"type == "port" &&"#).contains("character"));
        let rule: Rule = r#"type == "port" && port"#.parse().unwrap();
        assert!(rule.matches(&names()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(type ?== ?)?[\"'a-z.=]{0,20}\\PC{0,10}") {
            if let Ok(rule) = text.parse::<Rule>() {
                drop(rule.matches(&names()));
            }
        }
    }
}
