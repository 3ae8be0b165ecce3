//! One action as users write it.

use corten_config::Checker;
use corten_config::types::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an action does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Sets the attribute where it is not there yet.
    Insert,
    /// Sets the attribute where it is there already.
    Update,
    /// Sets the attribute.
    #[default]
    Upsert,
    /// Removes the attribute, and with `pattern` every attribute whose key matches.
    Delete,
    /// Replaces the value by its SHA-256 in hexadecimal digits; with `pattern` for every attribute
    /// whose key matches.
    Hash,
    /// Takes the named groups of `pattern` out of the value as attributes of their own.
    Extract,
    /// Turns the value into another type.
    Convert,
}

/// A type that `convert` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Converted {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// `true` or `false`.
    Bool,
}

/// A value in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Text.
    String(String),
}

/// One action on an attribute. They are carried out in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Action {
    /// The attribute. `delete` and `hash` may have `pattern` instead.
    pub key: String,
    /// `insert`, `update`, `upsert`, `delete`, `hash`, `extract` or `convert`.
    pub action: Verb,
    /// The value, for `insert`, `update` and `upsert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Literal>,
    /// The attribute whose value is taken, in place of `value`. Nothing happens where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_attribute: Option<String>,
    /// What the sender's request says, in place of `value`: `metadata.<header>` or
    /// `client.address`. Headers need `include_metadata: true` at the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_context: Option<String>,
    /// A regular expression: with named groups for `extract`, of keys for `delete` and `hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The type that `convert` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted_type: Option<Converted>,
}

impl Action {
    /// Says what an action lacks or has too much; `at` is this action's place.
    pub fn check(&self, at: &mut Checker<'_>) {
        let pattern = self.pattern.as_deref().map(Regex::new);
        if let Some(Err(error)) = &pattern {
            at.section("pattern").error(error);
        }
        let by_pattern = matches!(self.action, Verb::Delete | Verb::Hash) && pattern.is_some();
        if self.key.is_empty() && !by_pattern {
            at.on("key").error("missing required field \"key\"");
        }
        let sources = [
            self.value.is_some(),
            self.from_attribute.is_some(),
            self.from_context.is_some(),
        ];
        let sources = sources.into_iter().filter(|given| *given).count();
        match self.action {
            Verb::Insert | Verb::Update | Verb::Upsert => {
                if sources != 1 {
                    at.error(
                        "needs exactly one of \"value\", \"from_attribute\" and \"from_context\"",
                    );
                }
            }
            Verb::Extract => match pattern {
                None => at.error("action \"extract\" needs \"pattern\""),
                Some(Ok(pattern)) if pattern.capture_names().flatten().next().is_none() => at
                    .field("pattern")
                    .error("needs a named group such as (?P<name>.*): each becomes an attribute"),
                Some(_) => {}
            },
            Verb::Convert => {
                if self.converted_type.is_none() {
                    at.error(
                        "action \"convert\" needs \"converted_type\": string, int, double or bool",
                    );
                }
            }
            Verb::Delete | Verb::Hash => {}
        }
        if sources > 0 && !matches!(self.action, Verb::Insert | Verb::Update | Verb::Upsert) {
            at.error(
                "\"value\", \"from_attribute\" and \"from_context\" mean nothing to this action",
            );
        }
        if let Some(context) = &self.from_context
            && context != "client.address"
            && !context.starts_with("metadata.")
        {
            at.field("from_context")
                .error("must be metadata.<header> or client.address");
        }
    }
}
