//! JSON into values, without a document in between.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

use crate::parse::keys::Keys;
use crate::value::{Key, Map, Value};

/// Levels of nesting, at most.
const DEEPEST: u32 = 64;
/// Reads JSON.
#[derive(Clone, Debug)]
pub(crate) struct Json {
    /// Whole numbers stay whole; otherwise every number is a floating-point one, as upstream has it.
    whole: bool,
    keys: Keys,
}

/// What is wrong with a text.
pub(crate) type Wrong = String;

impl Json {
    pub(crate) fn new(whole: bool) -> Self {
        Self {
            whole,
            keys: Keys::remembered(),
        }
    }

    /// Any value.
    pub(crate) fn value(&mut self, text: &str) -> Result<Value, Wrong> {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = Seed {
            json: self,
            depth: DEEPEST,
        }
        .deserialize(&mut json);
        let value = value.map_err(|error| error.to_string())?;
        json.end().map_err(|error| error.to_string())?;
        Ok(value)
    }

    /// A map.
    pub(crate) fn map(&mut self, text: &str) -> Result<Map, Wrong> {
        match self.value(text)? {
            Value::Map(map) => Ok(map),
            // As upstream: nothing in it.
            Value::Null => Ok(Map::new()),
            other => Err(format!("expected an object, found {}", other.type_name())),
        }
    }
}

/// Reads JSON of which nothing is known beforehand; whole numbers stay whole.
pub(crate) fn value(text: &str) -> Result<Value, Wrong> {
    Json {
        whole: true,
        keys: Keys::default(),
    }
    .value(text)
}

struct Seed<'j> {
    json: &'j mut Json,
    depth: u32,
}

impl Seed<'_> {
    fn inner<E: serde::de::Error>(&mut self) -> Result<Seed<'_>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("it is nested deeper than 64 levels"))?;
        Ok(Seed {
            json: self.json,
            depth,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(if self.json.whole {
            Value::Int(value)
        } else {
            Value::Float(float(value))
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what JSON's numbers are where they are floating-point ones"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(match i64::try_from(value) {
            Ok(value) if self.json.whole => Value::Int(value),
            _ => Value::Float(value as f64),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(KeySeed(self.json))? {
            let value = entries.next_value_seed(self.inner()?)?;
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}

struct KeySeed<'j>(&'j mut Json);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(self.0.keys.get(text))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what JSON's numbers are where they are floating-point ones"
)]
fn float(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_as_they_were_asked_for() {
        let text = r#"{"a":1,"b":1.5,"c":-3,"d":18446744073709551615,"e":1e3}"#;
        let mut floats = Json::new(false);
        let map = floats.map(text).unwrap();
        assert_eq!(map.get("a"), Some(&1.0.into()));
        assert_eq!(map.get("c"), Some(&(-3.0).into()));
        let map = Json::new(true).map(text).unwrap();
        assert_eq!(map.get("a"), Some(&1.into()));
        assert_eq!(map.get("b"), Some(&1.5.into()));
        assert_eq!(map.get("d"), Some(&18_446_744_073_709_551_615.0.into()));
        assert_eq!(map.get("e"), Some(&1000.0.into()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let mut json = Json::new(false);
        for text in [
            "",
            "[1]",
            "\"x\"",
            "{",
            "{\"a\":1}x",
            "{\"a\":1,}",
            "nul",
            "{'a':1}",
        ] {
            assert!(json.map(text).is_err(), "{text}");
        }
        assert_eq!(json.map("null"), Ok(Map::new()));
        assert_eq!(json.map(" { } \n"), Ok(Map::new()));
        // The last of two wins.
        let map = json.map(r#"{"a":1,"a":"x"}"#).unwrap();
        assert_eq!(map.get("a"), Some(&"x".into()));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value(&nested(64)).is_ok());
        assert!(value(&nested(65)).unwrap_err().contains("deeper than 64"));
        assert!(value(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        /// Remembered keys never show.
        #[test]
        fn agrees_with_serde_json(texts in prop::collection::vec("\\{\"[ab]{0,2}\":(1|\"x\\\\n\"|null|\\[true,\\{\\}\\]),\"c\":-2\\}", 1..4)) {
            let mut json = Json::new(true);
            for text in texts {
                let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(json.value(&text).unwrap(), Value::from_json(expected));
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            drop(value(&text));
        }
    }
}
