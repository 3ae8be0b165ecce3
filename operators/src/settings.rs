//! What users set, as far as several operators share it.

use std::collections::BTreeMap;

use corten_config::Checker;
use corten_config::defaults::{Over, PARTS};
use corten_config::types::OneOrMany;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::expr::{self, Expr};
use crate::field::Field;
use crate::time::Location;

/// What every operator has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Common {
    /// Which operator it is.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its name, for `output` and for messages; the type when it is not given.
    pub(crate) id: String,
    /// Who gets its entries, by id; the next operator when it is not given.
    pub(crate) output: OneOrMany<String>,
    /// What becomes of an entry that it fails on: `send` passes it on as it is, `drop` does not; `send_quiet` and
    /// `drop_quiet` do the same and say so only in debug messages. All are counted.
    pub(crate) on_error: OnError,
    /// An expression: entries for which it is false pass unchanged.
    #[serde(rename = "if")]
    pub(crate) condition: Option<Expr>,
}

/// What becomes of an entry that an operator fails on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is passed on as it is.
    #[default]
    Send,
    /// The same, and nobody is told.
    SendQuiet,
    /// It is dropped.
    Drop,
    /// The same, and nobody is told.
    DropQuiet,
}

impl OnError {
    /// Whether the entry ends here.
    #[must_use]
    pub fn drops(self) -> bool {
        matches!(self, Self::Drop | Self::DropQuiet)
    }

    pub(crate) fn is_quiet(self) -> bool {
        matches!(self, Self::SendQuiet | Self::DropQuiet)
    }
}

/// What every parser has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Parsing {
    /// What is parsed.
    pub(crate) parse_from: Field,
    /// Where the result goes; a map is merged into what is there.
    pub(crate) parse_to: Field,
    /// Keeps what was parsed here.
    pub(crate) preserve_to: Option<Field>,
    /// Takes the time of the entry from a field, once it is parsed.
    pub(crate) timestamp: Option<Timestamp>,
    /// Takes the severity of the entry from a field, once it is parsed.
    pub(crate) severity: Option<Severity>,
    /// Takes the trace of the entry from fields, once it is parsed.
    pub(crate) trace: Option<Trace>,
    /// Takes the scope's name of the entry from a field, once it is parsed.
    pub(crate) scope_name: Option<ScopeName>,
    /// Makes this field the body, once it is parsed.
    pub(crate) body: Option<Field>,
}

impl Default for Parsing {
    fn default() -> Self {
        Self {
            parse_from: Field::body(),
            parse_to: Field::attributes(),
            preserve_to: None,
            timestamp: None,
            severity: None,
            trace: None,
            scope_name: None,
            body: None,
        }
    }
}

/// How a time is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Timestamp {
    /// Where it stands.
    pub(crate) parse_from: Option<Field>,
    /// The language of `layout`: `strptime`, `gotime` or `epoch`.
    pub(crate) layout_type: LayoutType,
    /// How it is written, such as `%Y-%m-%d %H:%M:%S.%L`, `2006-01-02 15:04:05.000`, or for `epoch` `s`, `ms`, `us`, `ns`, `s.ms`,
    /// `s.us` or `s.ns`.
    pub(crate) layout: String,
    /// Where times without an offset are, such as `Europe/Berlin`.
    pub(crate) location: Location,
    /// Locations by the abbreviations of zones that `%Z` reads, such as `PDT: America/Los_Angeles`.
    pub(crate) time_zone_locations: BTreeMap<String, Location>,
}

impl Default for Timestamp {
    fn default() -> Self {
        Self {
            parse_from: None,
            layout_type: LayoutType::Strptime,
            layout: String::new(),
            location: Location::local(),
            time_zone_locations: BTreeMap::new(),
        }
    }
}

/// The language of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LayoutType {
    /// `%Y-%m-%d`
    Strptime,
    /// `2006-01-02`
    Gotime,
    /// A number since 1970.
    Epoch,
    /// As `gotime`.
    Native,
}

/// How a severity is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Severity {
    /// Where it stands.
    pub(crate) parse_from: Option<Field>,
    /// `default` knows OTLP's names (`trace` to `fatal4`), `none` nothing.
    pub(crate) preset: Preset,
    /// What else means a severity: `error: [oops, 500, {min: 400, max: 499}, 5xx]`.
    pub(crate) mapping: BTreeMap<String, serde_json::Value>,
    /// Makes the severity's text OTLP's short name (`ERROR`) instead of what was found.
    pub(crate) overwrite_text: bool,
}

/// Severities that need no mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    /// OTLP's names.
    #[default]
    Default,
    /// None.
    None,
}

/// Where the parts of a trace's context stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Trace {
    /// The trace's id: 32 hexadecimal digits.
    pub(crate) trace_id: ParseFrom,
    /// The span's id: 16 hexadecimal digits.
    pub(crate) span_id: ParseFrom,
    /// The flags: 2 hexadecimal digits.
    pub(crate) trace_flags: ParseFrom,
}

impl Default for Trace {
    fn default() -> Self {
        let of = |name| ParseFrom {
            parse_from: Some(Field {
                root: crate::field::Root::Body,
                keys: vec![crate::value::Key::from(name)],
            }),
        };
        Self {
            trace_id: of("trace_id"),
            span_id: of("span_id"),
            trace_flags: of("trace_flags"),
        }
    }
}

/// A place to read from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ParseFrom {
    /// Where it stands.
    pub(crate) parse_from: Option<Field>,
}

/// Where the name of a scope stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ScopeName {
    /// Where it stands.
    pub(crate) parse_from: Field,
}

impl Default for ScopeName {
    fn default() -> Self {
        Self {
            parse_from: Field::body(),
        }
    }
}

/// The settings of an operator that has only its own and what all have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Plain<T> {
    #[serde(flatten)]
    pub(crate) common: Common,
    #[serde(flatten)]
    pub(crate) own: T,
}

/// The settings of a parser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Parser<T> {
    #[serde(flatten)]
    pub(crate) common: Common,
    #[serde(flatten)]
    pub(crate) parsing: Parsing,
    #[serde(flatten)]
    pub(crate) own: T,
}

impl<'de, T: Default + DeserializeOwned + Serialize> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(std::marker::PhantomData<T>);
        impl<'de, T: Default + DeserializeOwned + Serialize> Visitor<'de> for Parts<T> {
            type Value = Plain<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an operator (a map of settings)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Plain<T>, A::Error> {
                Ok(Plain {
                    common: part(&mut parts, &Common::default())?,
                    own: part(&mut parts, &T::default())?,
                })
            }
        }
        deserializer.deserialize_newtype_struct(PARTS, Parts(std::marker::PhantomData))
    }
}

impl<'de, T: Default + DeserializeOwned + Serialize + Defaults> Deserialize<'de> for Parser<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(std::marker::PhantomData<T>);
        impl<'de, T: Default + DeserializeOwned + Serialize + Defaults> Visitor<'de> for Parts<T> {
            type Value = Parser<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an operator (a map of settings)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Parser<T>, A::Error> {
                Ok(Parser {
                    common: part(&mut parts, &Common::default())?,
                    parsing: part(&mut parts, &T::parsing())?,
                    own: part(&mut parts, &T::default())?,
                })
            }
        }
        deserializer.deserialize_newtype_struct(PARTS, Parts(std::marker::PhantomData))
    }
}

/// A parser may have defaults of its own for what all have.
pub(crate) trait Defaults {
    fn parsing() -> Parsing {
        Parsing::default()
    }
}

fn part<'de, A: SeqAccess<'de>, T: DeserializeOwned + Serialize>(
    parts: &mut A,
    defaults: &T,
) -> Result<T, A::Error> {
    parts
        .next_element_seed(Over(defaults))?
        .ok_or_else(|| A::Error::custom("a part of the settings is missing"))
}

/// Says which names in an expression do not exist; they are nothing, and nearly always a mistake.
pub(crate) fn check_names(at: &mut Checker<'_>, setting: &str, expr: &Expr) {
    for name in expr.unknown() {
        let near = corten_config::nearest(name, expr::variables())
            .map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
        at.field(setting).warning(format!(
            "has the name '{name}', which no entry has: it is nothing{near}"
        ));
    }
}
