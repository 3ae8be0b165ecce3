//! The operators of log receivers: from a line to a record with fields, time and severity.
//!
//! They are those of the Collector's receivers (`regex_parser`, `json_parser`, `recombine`, `router`, …) with the same settings
//! and the same results. [`Operators`] is what users set, [`Chain`] what does the work, [`Entry`] what is worked on. An entry is owned
//! and easy to change: this is the slow path, and a receiver whose lines need no operators never makes one.
//!
//! ```text
//! record ─▶ Entry ─▶ Chain::process ──▶ Entry … ─▶ EntryWriter ─▶ OTLP bytes
//!                      │ recombine holds entries; Chain::flush lets go what waited long enough
//! ```
//!
//! **Checked before anything starts.** Settings are decoded strictly; fields, regular expressions, layouts of times, expressions and the ways
//! between operators are compiled when the configuration is checked, and every problem is told with its place.
//!
//! **Nothing is lost in silence.** An entry that an operator can't work on goes on as it is, or is dropped, as `on_error` says; both
//! are counted by operator and reason ([`OperatorStats`]), and told once per operator and minute. What an entry was read from
//! ([`Origins`]) goes with it: an entry that `recombine` holds keeps its origins, and so its place in the file, unacknowledged. An entry that
//! disappears without having been delivered or dropped on purpose tells its origins so.
//!
//! **Bounded.** Regular expressions have a size limit and no backtracking, expressions a step limit, JSON a depth, `recombine` limits for
//! entries, logs and bytes.
//!
//! ```
//! use corten_operators::{Entry, Operators};
//! use corten_config::{Problems, section};
//!
//! let yaml = "
//! - type: regex_parser
//!   regex: '^(?P<time>[^ ]+) (?P<level>[A-Z]+) (?P<message>.*)$'
//!   timestamp: {parse_from: attributes.time, layout: '%Y-%m-%dT%H:%M:%S%z'}
//!   severity: {parse_from: attributes.level}
//! - {type: move, from: attributes.message, to: body}
//! - {type: remove, field: attributes.time}
//! ";
//! let mut problems = Problems::new();
//! let operators: Operators = section(yaml, "operators", &mut problems).unwrap().decode(&mut problems).unwrap();
//! let mut chain = operators.build(&mut problems).unwrap();
//!
//! let mut out = Vec::new();
//! let entry = Entry::text("2026-01-01T00:00:00Z ERROR it broke");
//! chain.process(entry, std::time::Instant::now(), &mut |entry| out.push(entry));
//! assert_eq!(out[0].body, "it broke".into());
//! assert_eq!(out[0].time, Some(1_767_225_600_000_000_000));
//! assert_eq!((out[0].severity, out[0].severity_text.as_str()), (17, "ERROR"));
//! ```

mod chain;
mod container;
mod embedded;
mod entry;
pub mod expr;
mod failure;
mod field;
mod kinds;
mod parse;
mod parsers;
mod recombine;
mod route;
mod settings;
mod severity;
pub mod syslog;
mod template;
#[cfg(test)]
mod tests;
mod time;
mod transform;
mod value;
mod write;

pub use chain::Chain;
pub use container::{ContainerFormat, LeadingContainer};
pub use entry::{Entry, Origin, Origins};
pub use expr::{EvalError, Expr, FreeExpr, ParseExprError};
pub use failure::{OperatorStats, Reason};
pub use field::{Field, NotAMap, ParseFieldError};
pub use settings::OnError;
pub use template::{Part, Template};
pub use value::{Key, Map, Value};
pub use write::EntryWriter;

use corten_config::{Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operators as users write them, in order. Compiled by [`build`](Self::build).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Operators(Vec<Section>);

impl Operators {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first operator, if it is a `container` whose work a receiver can do itself.
    #[must_use]
    pub fn leading_container(&self) -> Option<LeadingContainer> {
        let first = self.0.first()?;
        let name = first.node().get("type").map(|node| &node.value);
        match name {
            Some(corten_config::Value::Scalar(name)) if name.text == "container" => {
                container::leading(first)
            }
            _ => None,
        }
    }

    /// All operators, ready to work. Adds everything that is wrong with them to `problems`, each with its place.
    pub fn build(&self, problems: &mut Problems) -> Option<Chain> {
        self.build_after(0, problems)
    }

    /// The same; the first `done` operators are done by the receiver itself, and entries come as if they had passed them.
    pub fn build_after(&self, done: usize, problems: &mut Problems) -> Option<Chain> {
        let before = problems.error_count();
        let chain = Chain::build(&self.0, done, problems);
        chain.filter(|_| problems.error_count() == before)
    }
}

impl JsonSchema for Operators {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Operators".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let operator = kinds::schema(generator);
        schemars::json_schema!({ "type": ["array", "null"], "items": operator })
    }
}

/// `Deserialize`, `Serialize` and `JsonSchema` for a type that is written as one string.
macro_rules! as_text {
    ($type:ident, $description:literal, $example:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($description)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description, "examples": [$example] })
            }
        }
    };
}
pub(crate) use as_text;
