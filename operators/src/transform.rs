//! The operators that change an entry in place.

use std::borrow::Cow;

use corten_config::types::Regex;
use corten_config::{Checker, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Edit};
use crate::embedded::required;
use crate::entry::Entry;
use crate::failure::{Failure, Reason};
use crate::field::{Field, Root};
use crate::parsers::put;
use crate::settings::Plain;
use crate::template::Template;
use crate::value::{Key, Map, Value};

pub(crate) fn failed(error: &crate::EvalError) -> Failure {
    Failure::new(Reason::Expression, error.to_string())
}

pub(crate) fn missing(at: &mut Checker<'_>, field: &str) {
    at.on(field)
        .error(format!("missing required field `{field}`"));
}

/// Settings of `add`: puts a value into a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AddSettings {
    /// Which field.
    pub(crate) field: Option<Field>,
    /// What is put there: any value, or text with expressions, `EXPR(body.user + "@" + resource.host)`.
    pub(crate) value: Option<serde_json::Value>,
}

pub(crate) fn add(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<AddSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let AddSettings { field, value } = settings.own;
    if field.is_none() {
        missing(&mut at, "field");
    }
    let Some(value) = value else {
        missing(&mut at, "value");
        return None;
    };
    match Template::parse(value) {
        Ok(value) => {
            value.check_names("value", &mut at);
            let field = field?;
            if let (true, Template::Value(value)) = (field.is_whole_map(), &value)
                && value.as_map().is_none()
            {
                at.field("value")
                    .error(format!("must be a map to be {field}"));
                return None;
            }
            Some(Built::edit(settings.common, Add { field, value }))
        }
        Err(error) => {
            at.field("value").error(format!("can't be read: {error}"));
            None
        }
    }
}

struct Add {
    field: Field,
    value: Template,
}

impl Edit for Add {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let value = self.value.value(entry).map_err(|error| failed(&error))?;
        put(&self.field, entry, value)
    }
}

/// Settings of `copy` and `move`: a field to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct FromToSettings {
    /// Of `copy` and `move`: from which field.
    pub(crate) from: Option<Field>,
    /// Of `copy` and `move`: to which.
    pub(crate) to: Option<Field>,
}

fn from_to(section: &Section, problems: &mut Problems, moves: bool) -> Option<Built> {
    let settings: Plain<FromToSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let FromToSettings { from, to } = settings.own;
    if from.is_none() {
        missing(&mut at, "from");
    }
    if to.is_none() {
        missing(&mut at, "to");
    }
    let (from, to) = (from?, to?);
    Some(Built::edit(settings.common, FromTo { from, to, moves }))
}

pub(crate) fn copy(section: &Section, problems: &mut Problems) -> Option<Built> {
    from_to(section, problems, false)
}

pub(crate) fn move_field(section: &Section, problems: &mut Problems) -> Option<Built> {
    from_to(section, problems, true)
}

struct FromTo {
    from: Field,
    to: Field,
    moves: bool,
}

impl Edit for FromTo {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let found = required(&self.from, entry)?;
        if self.to.is_whole_map() && found.as_map().is_none() {
            return Err(Failure::new(
                Reason::Type,
                format!(
                    "{}: only a map can be put there, found {}",
                    self.to,
                    found.type_name()
                ),
            ));
        }
        let value = if self.moves {
            self.from.remove(entry).unwrap_or_default()
        } else {
            found.to_value()
        };
        put(&self.to, entry, value)
    }
}

/// Settings of what works on one field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct FieldSettings {
    /// Which field.
    pub(crate) field: Option<Field>,
}

fn one_field<E: Edit + 'static>(
    section: &Section,
    problems: &mut Problems,
    default: Option<Field>,
    make: impl FnOnce(Field, &mut Checker<'_>) -> Option<E>,
) -> Option<Built> {
    let settings: Plain<FieldSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let Some(field) = settings.own.field.or(default) else {
        missing(&mut at, "field");
        return None;
    };
    let edit = make(field, &mut at)?;
    Some(Built::edit(settings.common, edit))
}

pub(crate) fn remove(section: &Section, problems: &mut Problems) -> Option<Built> {
    one_field(section, problems, None, |field, _| Some(Remove(field)))
}

struct Remove(Field);

impl Edit for Remove {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        match self.0.remove(entry) {
            Some(_) => Ok(()),
            None => Err(Failure::new(
                Reason::Missing,
                format!("there is no {}", self.0),
            )),
        }
    }
}

pub(crate) fn flatten(section: &Section, problems: &mut Problems) -> Option<Built> {
    one_field(section, problems, None, |field, at| {
        if field.keys.is_empty() {
            at.field("field")
                .error(format!("must be within the {field}, such as {field}.inner"));
            return None;
        }
        Some(Flatten(field))
    })
}

struct Flatten(Field);

impl Edit for Flatten {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let found = required(&self.0, entry)?;
        if found.as_map().is_none() {
            return Err(Failure::new(
                Reason::Type,
                format!("{} must be a map, found {}", self.0, found.type_name()),
            ));
        }
        let mut keys = self.0.keys.clone();
        keys.pop();
        let parent = Field {
            root: self.0.root,
            keys,
        };
        match self.0.remove(entry) {
            Some(inner) => put(&parent, entry, inner),
            None => Ok(()),
        }
    }
}

/// Settings of `retain`: keeps these fields. A part of the entry of which none is named is kept whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RetainSettings {
    /// Of `retain`: which fields are kept. A part of the entry of which none is named is kept whole.
    pub(crate) fields: Vec<Field>,
}

pub(crate) fn retain(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<RetainSettings> = section.decode(problems)?;
    if settings.own.fields.is_empty() {
        missing(&mut Checker::new(section, problems), "fields");
        return None;
    }
    Some(Built::edit(settings.common, Retain(settings.own.fields)))
}

struct Retain(Vec<Field>);

impl Edit for Retain {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let mut kept = Entry {
            body: Value::Map(Map::new()),
            ..Entry::default()
        };
        let mut named = [false; 3];
        for field in &self.0 {
            let place = match field.root {
                Root::Body => 0,
                Root::Attributes => 1,
                Root::Resource => 2,
            };
            if let Some(named) = named.get_mut(place) {
                *named = true;
            }
            if let Some(found) = field.get(entry) {
                put(field, &mut kept, found.to_value())?;
            }
        }
        let [body, attributes, resource] = named;
        if body {
            entry.body = kept.body;
        }
        if attributes {
            entry.attributes = kept.attributes;
        }
        if resource {
            entry.resource = kept.resource;
        }
        Ok(())
    }
}

/// Settings of `regex_replace`: replaces what a regular expression matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ReplaceSettings {
    /// Of `regex_replace`: in which field.
    pub(crate) field: Option<Field>,
    /// Of `regex_replace`: what is replaced.
    pub(crate) regex: Option<Regex>,
    /// A regular expression that has a name: `ansi_control_sequences`.
    pub(crate) regex_name: String,
    /// Of `regex_replace`: by what; `${1}` and `${name}` are what a group matched.
    pub(crate) replace_with: String,
}

pub(crate) fn regex_replace(section: &Section, problems: &mut Problems) -> Option<Built> {
    const ANSI: &str = r"\x1b\[[0-?]*[ -/]*[@-~]";
    let settings: Plain<ReplaceSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let ReplaceSettings {
        field,
        regex,
        regex_name,
        replace_with,
    } = settings.own;
    if field.is_none() {
        missing(&mut at, "field");
    }
    let regex = match (regex, regex_name.as_str()) {
        (Some(_), name) if !name.is_empty() => {
            at.field("regex").error("and regex_name can't both be set");
            return None;
        }
        (Some(regex), _) => regex,
        (None, "ansi_control_sequences") => Regex::new(ANSI).ok()?,
        (None, "") => {
            at.on("regex")
                .error("missing required field `regex`, or `regex_name`");
            return None;
        }
        (None, name) => {
            at.field("regex_name").error(format!(
                "'{name}' does not exist: there is ansi_control_sequences"
            ));
            return None;
        }
    };
    let replace = Replace {
        field: field?,
        regex,
        replace_with,
    };
    Some(Built::edit(settings.common, replace))
}

struct Replace {
    field: Field,
    regex: Regex,
    replace_with: String,
}

impl Edit for Replace {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let text = crate::embedded::text(&self.field, entry)?;
        match self.regex.replace_all(text, self.replace_with.as_str()) {
            Cow::Borrowed(_) => Ok(()),
            Cow::Owned(text) => put(&self.field, entry, text.into()),
        }
    }
}

pub(crate) fn unquote(section: &Section, problems: &mut Problems) -> Option<Built> {
    one_field(section, problems, None, |field, _| Some(Unquote(field)))
}

struct Unquote(Field);

impl Edit for Unquote {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let text = crate::embedded::text(&self.0, entry)?;
        let unquoted = unquoted(text).ok_or_else(|| {
            Failure::new(
                Reason::Format,
                format!(
                    "{} is not quoted as Go quotes: \"…\", `…` or '…' for one character",
                    self.0
                ),
            )
        })?;
        put(&self.0, entry, unquoted.into())
    }
}

/// What Go's `strconv.Unquote` makes of a text.
fn unquoted(text: &str) -> Option<String> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '`' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return (!inner.contains('`')).then(|| inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut count = 0;
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        count += 1;
        let mut push = |c: char| {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        };
        if c == quote || c == '\n' {
            return None;
        }
        if c != '\\' {
            push(c);
            continue;
        }
        match chars.next()? {
            'a' => push('\x07'),
            'b' => push('\x08'),
            'f' => push('\x0c'),
            'n' => push('\n'),
            'r' => push('\r'),
            't' => push('\t'),
            'v' => push('\x0b'),
            '\\' => push('\\'),
            c if c == quote => push(c),
            'x' => {
                let value = (0..2).try_fold(0_u32, |value, _| {
                    Some(value * 16 + chars.next()?.to_digit(16)?)
                })?;
                bytes.push(u8::try_from(value).ok()?);
            }
            digit @ ('u' | 'U') => {
                let digits = if digit == 'u' { 4 } else { 8 };
                let value = (0..digits).try_fold(0_u32, |value: u32, _| {
                    value
                        .checked_mul(16)?
                        .checked_add(chars.next()?.to_digit(16)?)
                })?;
                push(char::from_u32(value)?);
            }
            digit @ '0'..='7' => {
                let first = digit.to_digit(8)?;
                let value = (0..2).try_fold(first, |value, _| {
                    Some(value * 8 + chars.next()?.to_digit(8)?)
                })?;
                bytes.push(u8::try_from(value).ok()?);
            }
            _ => return None,
        }
    }
    if quote == '\'' && count != 1 {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn sanitize_utf8(section: &Section, problems: &mut Problems) -> Option<Built> {
    one_field(section, problems, Some(Field::body()), |field, _| {
        Some(Sanitize(field))
    })
}

/// Text is valid UTF-8 here from the beginning; bytes (`encoding: nop`) become text.
struct Sanitize(Field);

impl Edit for Sanitize {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let found = required(&self.0, entry)?;
        match found.to_value() {
            Value::Str(_) => Ok(()),
            Value::Bytes(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                put(&self.0, entry, text.into())
            }
            other => Err(Failure::new(
                Reason::Type,
                format!("{} must be text, found {}", self.0, other.type_name()),
            )),
        }
    }
}

/// Settings of `assign_keys`: gives the elements of a list names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AssignSettings {
    /// Of `assign_keys`: which list.
    pub(crate) field: Option<Field>,
    /// Of `assign_keys`: the names, as many as the list has elements.
    pub(crate) keys: Vec<String>,
}

pub(crate) fn assign_keys(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<AssignSettings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let AssignSettings { field, keys } = settings.own;
    if field.is_none() {
        missing(&mut at, "field");
    }
    if keys.is_empty() {
        missing(&mut at, "keys");
        return None;
    }
    let keys = keys.into_iter().map(Key::from).collect();
    Some(Built::edit(
        settings.common,
        Assign {
            field: field?,
            keys,
        },
    ))
}

struct Assign {
    field: Field,
    keys: Vec<Key>,
}

impl Edit for Assign {
    fn edit(&mut self, entry: &mut Entry) -> Result<(), Failure> {
        let Value::List(list) = required(&self.field, entry)?.to_value() else {
            return Err(Failure::new(
                Reason::Type,
                format!("{} must be a list", self.field),
            ));
        };
        if list.len() != self.keys.len() {
            return Err(Failure::new(
                Reason::Format,
                format!(
                    "expected {} elements in {}, found {}",
                    self.keys.len(),
                    self.field,
                    list.len()
                ),
            ));
        }
        let map: Map = self.keys.iter().cloned().zip(list).collect();
        put(&self.field, entry, map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gos_quotes() {
        for (text, expected) in [
            ("\"hello\"", Some("hello")),
            ("`a\\n`", Some("a\\n")),
            ("'v'", Some("v")),
            ("'é'", Some("é")),
            ("'ab'", None),
            ("\"a\\tb\\x41\\u00e9\\101\\\"\"", Some("a\tbAéA\"")),
            ("\"a", None),
            ("\"", None),
            ("a", None),
            ("", None),
            ("\"a\"b\"", None),
            ("\"\\q\"", None),
            ("\"\\xc3\\xa9\"", Some("é")),
        ] {
            assert_eq!(unquoted(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\"'`\\axu0é
    ]{0,12}") {
            drop(unquoted(&text));
        }
    }
}
