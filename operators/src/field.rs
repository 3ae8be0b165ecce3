//! Where in an entry something is: `body`, `body.user["first name"]`, `attributes["log.file.path"]`, `resource.cluster`.
//!
//! What begins with none of the three is of the body: `message` is `body.message`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::entry::Entry;
use crate::value::{Key, Map, Value};

/// Names in a field, at most.
const DEEPEST: usize = 16;

/// Where in an entry something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub(crate) root: Root,
    pub(crate) keys: Vec<Key>,
}

/// Which part of an entry a field is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Body,
    Attributes,
    Resource,
}

/// What stands at a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found<'a> {
    Value(&'a Value),
    /// All attributes, or the whole resource.
    Map(&'a Map),
}

impl<'a> Found<'a> {
    pub(crate) fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::Map(_) => None,
        }
    }

    pub(crate) fn as_map(self) -> Option<&'a Map> {
        match self {
            Self::Value(value) => value.as_map(),
            Self::Map(map) => Some(map),
        }
    }

    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Map(map) => Value::Map(map.clone()),
        }
    }

    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Value(value) => value.type_name(),
            Self::Map(_) => "a map",
        }
    }
}

/// All attributes and a whole resource can only be a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only a map can be all attributes or a whole resource")]
pub struct NotAMap;

impl Field {
    /// The whole body.
    #[must_use]
    pub const fn body() -> Self {
        Self {
            root: Root::Body,
            keys: Vec::new(),
        }
    }

    /// All attributes.
    #[must_use]
    pub const fn attributes() -> Self {
        Self {
            root: Root::Attributes,
            keys: Vec::new(),
        }
    }

    /// An attribute.
    #[must_use]
    pub fn attribute(name: &str) -> Self {
        Self {
            root: Root::Attributes,
            keys: vec![Key::from(name)],
        }
    }

    /// Whether it is all attributes or a whole resource.
    pub(crate) fn is_whole_map(&self) -> bool {
        self.keys.is_empty() && self.root != Root::Body
    }

    pub(crate) fn get<'e>(&self, entry: &'e Entry) -> Option<Found<'e>> {
        let (first, rest) = match self.keys.split_first() {
            None => {
                return Some(match self.root {
                    Root::Body => Found::Value(&entry.body),
                    Root::Attributes => Found::Map(&entry.attributes),
                    Root::Resource => Found::Map(&entry.resource),
                });
            }
            Some(keys) => keys,
        };
        let map = match self.root {
            Root::Body => entry.body.as_map()?,
            Root::Attributes => &entry.attributes,
            Root::Resource => &entry.resource,
        };
        let value = rest
            .iter()
            .try_fold(map.get(first.as_str())?, |value, key| {
                value.as_map()?.get(key.as_str())
            });
        value.map(Found::Value)
    }

    /// Puts a value there. A map is merged into the map that is there; maps on the way are made where there are none.
    pub(crate) fn set(&self, entry: &mut Entry, value: Value) -> Result<(), NotAMap> {
        let Entry {
            body,
            attributes,
            resource,
            ..
        } = entry;
        let map = match self.root {
            Root::Body => {
                if self.keys.is_empty() && !matches!(value, Value::Map(_)) {
                    *body = value;
                    return Ok(());
                }
                if !matches!(body, Value::Map(_)) {
                    *body = Value::Map(Map::new());
                }
                match body {
                    Value::Map(map) => map,
                    _ => return Ok(()),
                }
            }
            Root::Attributes => attributes,
            Root::Resource => Arc::make_mut(resource),
        };
        match value {
            Value::Map(values) => self
                .keys
                .iter()
                .fold(map, |map, key| map.nested(key))
                .merge(values),
            value => {
                let Some((last, way)) = self.keys.split_last() else {
                    return Err(NotAMap);
                };
                way.iter()
                    .fold(map, |map, key| map.nested(key))
                    .insert(last.clone(), value);
            }
        }
        Ok(())
    }

    /// Takes what is there out of the entry.
    pub(crate) fn remove(&self, entry: &mut Entry) -> Option<Value> {
        let map = match (self.root, self.keys.is_empty()) {
            (Root::Body, true) => return Some(std::mem::take(&mut entry.body)),
            (Root::Attributes, true) => {
                return Some(Value::Map(std::mem::take(&mut entry.attributes)));
            }
            (Root::Resource, true) => {
                let resource = std::mem::take(&mut entry.resource);
                return Some(Value::Map(Arc::unwrap_or_clone(resource)));
            }
            (Root::Body, false) => match &mut entry.body {
                Value::Map(map) => map,
                _ => return None,
            },
            (Root::Attributes, false) => &mut entry.attributes,
            (Root::Resource, false) => Arc::make_mut(&mut entry.resource),
        };
        let (last, way) = self.keys.split_last()?;
        let map = way
            .iter()
            .try_fold(map, |map, key| match map.get_mut(key.as_str()) {
                Some(Value::Map(map)) => Some(map),
                _ => None,
            })?;
        map.remove(last.as_str())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::Body => "body",
            Root::Attributes => "attributes",
            Root::Resource => "resource",
        })?;
        for key in &self.keys {
            let key = key.as_str();
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | '/');
            if !key.is_empty() && key.chars().all(plain) {
                write!(f, ".{key}")?;
            } else if key.contains('"') {
                write!(f, "['{key}']")?;
            } else {
                write!(f, "[\"{key}\"]")?;
            }
        }
        Ok(())
    }
}

/// The text is no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a field such as body.user, attributes[\"log.file.path\"] or resource, found '{text}': {why}"
)]
pub struct ParseFieldError {
    text: String,
    why: &'static str,
}

impl FromStr for Field {
    type Err = ParseFieldError;

    fn from_str(text: &str) -> Result<Self, ParseFieldError> {
        let wrong = |why| ParseFieldError {
            text: text.to_owned(),
            why,
        };
        let mut keys = names(text).map_err(wrong)?;
        if keys.len() > DEEPEST {
            return Err(wrong("it has more than 16 names"));
        }
        let root = match keys.first().map(String::as_str) {
            Some("body" | "$body" | "$") => Some(Root::Body),
            Some("attributes" | "$attributes") => Some(Root::Attributes),
            Some("resource" | "$resource") => Some(Root::Resource),
            _ => None,
        };
        if root.is_some() {
            keys.remove(0);
        }
        Ok(Self {
            root: root.unwrap_or(Root::Body),
            keys: keys.into_iter().map(Key::from).collect(),
        })
    }
}

fn names(text: &str) -> Result<Vec<String>, &'static str> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = match inner.chars().next() {
                Some(quote @ ('"' | '\'')) => quote,
                _ => return Err("a name in brackets needs quotes"),
            };
            let inner = inner.strip_prefix(quote).unwrap_or(inner);
            let (name, after) = inner.split_once(quote).ok_or("a quote is not closed")?;
            names.push(name.to_owned());
            rest = after.strip_prefix(']').ok_or("a bracket is not closed")?;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if name.is_empty() {
                return Err("a name is empty");
            }
            if name.contains(']') {
                return Err("a bracket was not opened");
            }
            names.push(name.to_owned());
            rest = after;
        }
        if rest.is_empty() {
            return Ok(names);
        }
        match rest.strip_prefix('.') {
            Some(after) => {
                rest = after;
                if rest.starts_with('[') {
                    return Err("a name is empty");
                }
            }
            None if rest.starts_with('[') => {}
            None => return Err("names are separated by points"),
        }
    }
}

crate::as_text!(Field, "a field", "attributes[\"log.file.path\"]");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(text: &str) -> Field {
        text.parse().unwrap()
    }

    #[test]
    fn ways_to_write_one() {
        for (text, expected) in [
            ("body", "body"),
            ("$body", "body"),
            ("message", "body.message"),
            ("body.a.b", "body.a.b"),
            ("body.a['b.c'].d", "body.a[\"b.c\"].d"),
            (
                "attributes[\"k8s.pod.name\"]",
                "attributes[\"k8s.pod.name\"]",
            ),
            ("attributes['a\"b']", "attributes['a\"b']"),
            ("resource", "resource"),
            ("$resource.x", "resource.x"),
            ("['a b']", "body[\"a b\"]"),
        ] {
            assert_eq!(field(text).to_string(), expected, "{text}");
            assert_eq!(field(expected), field(text), "{text}");
        }
        assert!(field("attributes").is_whole_map());
    }

    #[test]
    fn what_is_no_field_says_why() {
        for (text, why) in [
            ("", "a name is empty"),
            ("body.", "a name is empty"),
            ("body..a", "a name is empty"),
            ("body[a]", "needs quotes"),
            ("body['a]", "quote is not closed"),
            ("body['a'", "bracket is not closed"),
            ("body['a']b", "separated by points"),
            ("body.a]", "was not opened"),
            ("body.['a']", "a name is empty"),
            ("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "more than 16"),
        ] {
            let error = text.parse::<Field>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn values_are_put_found_and_taken() {
        let mut entry = Entry::text("line");
        assert_eq!(field("body").get(&entry).unwrap().as_str(), Some("line"));
        assert_eq!(field("body.a").get(&entry), None);
        assert_eq!(field("body.a").remove(&mut entry), None);
        // A body that is no map becomes one.
        field("body.a.b").set(&mut entry, 1.into()).unwrap();
        assert_eq!(
            field("body.a")
                .get(&entry)
                .unwrap()
                .to_value()
                .to_json()
                .to_string(),
            r#"{"b":1}"#
        );
        // Maps are merged, other values replaced.
        let mut more = Map::new();
        more.insert("c", 2);
        field("body.a")
            .set(&mut entry, more.clone().into())
            .unwrap();
        field("body.a.b").set(&mut entry, 3.into()).unwrap();
        field("attributes").set(&mut entry, more.into()).unwrap();
        assert_eq!(entry.body.to_json().to_string(), r#"{"a":{"b":3,"c":2}}"#);
        assert_eq!(entry.attributes.to_json().to_string(), r#"{"c":2}"#);
        assert_eq!(field("attributes").set(&mut entry, 1.into()), Err(NotAMap));
        assert_eq!(field("resource").set(&mut entry, 1.into()), Err(NotAMap));
        assert_eq!(field("body.a.c").remove(&mut entry), Some(2.into()));
        assert_eq!(field("body.a.c.d").remove(&mut entry), None);
        field("body").set(&mut entry, "text".into()).unwrap();
        assert_eq!(entry.body, "text".into());
        assert_eq!(field("body").remove(&mut entry), Some("text".into()));
        assert_eq!(entry.body, Value::Null);
        assert!(field("attributes").remove(&mut entry).is_some());
        assert!(entry.attributes.is_empty());
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_what_it_writes(text in "[a-z.\\[\\]'\"$é]{0,20}") {
            if let Ok(field) = text.parse::<Field>() {
                let written = field.to_string();
                if !field.keys.iter().any(|key| key.as_str().contains('"') && key.as_str().contains('\'')) {
                    prop_assert_eq!(written.parse::<Field>().unwrap(), field);
                }
            }
        }
    }
}
