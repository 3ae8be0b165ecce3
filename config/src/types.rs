//! Values that a configuration is made of, checked as they are read.
//!
//! A field of one of these types needs no check of its own, and its message says what was expected
//! and what was found.

mod duration;
mod endpoint;
mod id;
mod one_or_many;
mod optional;
mod pattern;
mod secret;
mod size;
#[cfg(test)]
mod tests;

pub use duration::{Duration, ParseDurationError};
pub use endpoint::{Endpoint, ParseEndpointError};
pub use id::{ComponentId, ParseIdError};
pub use one_or_many::OneOrMany;
pub use optional::Optional;
pub use pattern::{Regex, translate as in_engines_syntax};
pub use secret::Secret;
pub use size::{ByteSize, ParseByteSizeError};

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
use as_text;
