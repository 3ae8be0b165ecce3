//! Sections that are on when they are written.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::ask;

/// A section whose presence turns something on, with or without settings: `grpc:` alone means gRPC with its
/// defaults. `enabled: false` in it turns it off again.
///
/// The field that holds it needs `#[serde(default)]`, as every field does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optional<T> {
    /// Not written, or written with `enabled: false`.
    #[default]
    Off,
    /// Written.
    On(T),
}

impl<T> Optional<T> {
    /// The settings, when it is on.
    pub fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }

    /// The settings, when it is on.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

impl<T> From<Option<T>> for Optional<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Off, Self::On)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Written<T> {
            type Value = Optional<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a section (a map of settings)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Optional<T>, A::Error> {
                let enabled = pair.next_element()?.unwrap_or(true);
                let value = pair
                    .next_element()?
                    .ok_or_else(|| A::Error::custom("expected settings"))?;
                Ok(if enabled {
                    Optional::On(value)
                } else {
                    Optional::Off
                })
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Optional<T>, D::Error> {
                T::deserialize(deserializer).map(Optional::On)
            }
        }
        deserializer.deserialize_newtype_struct(ask::OPTIONAL, Written(PhantomData))
    }
}

impl<T: Serialize> Serialize for Optional<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::On(value) => value.serialize(serializer),
            // Null would turn it on when it is read back.
            Self::Off => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("enabled", &false)?;
                map.end()
            }
        }
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Optional<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Optional_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = T::json_schema(generator);
        if let Some(properties) = schema
            .ensure_object()
            .get_mut("properties")
            .and_then(|value| value.as_object_mut())
        {
            let switch = serde_json::json!({ "description": "Set to `false` to turn this section off.", "type": "boolean", "default": true });
            properties.entry("enabled").or_insert(switch);
            schema.insert("type".to_owned(), serde_json::json!(["object", "null"]));
        }
        schema
    }
}
