//! Settings with defaults that differ from their type's own, and settings that share one map.

use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::decode::{ask, leave_defaults};
use crate::node::{Entry, Map, Node, Scalar, Source, Span, Style, Value};

/// Reads settings that are not written from `defaults` instead of from their type's `Default`.
///
/// For a field of a shared type whose defaults the component chooses:
///
/// ```
/// use corten_config::{Check, from_str, over, settings::GrpcServer, types::Optional};
/// use serde::Deserializer;
///
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default)]
/// struct Protocols {
///     #[serde(deserialize_with = "grpc")]
///     grpc: Optional<GrpcServer>,
/// }
///
/// fn grpc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<GrpcServer>, D::Error> {
///     over(deserializer, &Optional::On(GrpcServer::at("localhost", 4317)))
/// }
///
/// impl Check for Protocols {}
///
/// let protocols: Protocols = from_str("grpc: {include_metadata: true}").unwrap();
/// assert_eq!(protocols.grpc.as_ref().unwrap().endpoint.to_string(), "localhost:4317");
/// assert!(!from_str::<Protocols>("{}").unwrap().grpc.is_on());
/// ```
///
/// A secret in `defaults` is not seen, since it serialises as `[REDACTED]`.
///
/// # Errors
/// What is wrong with the settings.
pub fn over<'de, D, T>(deserializer: D, defaults: &T) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Serialize,
{
    struct Inner<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a section (a map of settings)")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }
    let span = Span::new(&Source::new("default"), 1, 1);
    leave_defaults(
        serde_json::to_value(defaults)
            .ok()
            .map(|value| tree(value, &span)),
    );
    deserializer.deserialize_newtype_struct(ask::OVER, Inner(PhantomData))
}

fn tree(value: serde_json::Value, span: &Span) -> Node {
    let plain = |text: String| {
        Value::Scalar(Scalar {
            text,
            style: Style::Plain,
        })
    };
    let value = match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => plain(value.to_string()),
        serde_json::Value::Number(value) => plain(value.to_string()),
        // The text of a secret is not there.
        serde_json::Value::String(text) if text == crate::types::Secret::REDACTED => Value::Null,
        serde_json::Value::String(text) => Value::Scalar(Scalar {
            text,
            style: Style::Text,
        }),
        serde_json::Value::Array(items) => {
            Value::Seq(items.into_iter().map(|item| tree(item, span)).collect())
        }
        serde_json::Value::Object(map) => {
            let entry = |(key, value)| Entry {
                key,
                key_span: span.clone(),
                value: tree(value, span),
            };
            Value::Map(Map {
                entries: map.into_iter().map(entry).collect(),
            })
        }
    };
    Node {
        value,
        span: span.clone(),
        original: None,
    }
}

/// [`over`] as a seed; what [`squash!`](crate::squash) makes of every part.
#[doc(hidden)]
#[derive(Debug)]
pub struct Over<'a, T>(pub &'a T);

impl<'de, T: Deserialize<'de> + Serialize> DeserializeSeed<'de> for Over<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        over(deserializer, self.0)
    }
}

/// What [`squash!`](crate::squash) asks the deserializer for.
#[doc(hidden)]
pub const PARTS: &str = ask::PARTS;

/// Implements `Deserialize` for a config whose parts share one map, strictly.
///
/// The Collector writes the settings of a client or a server beside a component's own. `serde`'s `flatten`
/// cannot refuse unknown fields and forgets where values were written; this can and does not. Name every
/// field; each is a struct. What is not written comes from the config's own `Default`, which so may
/// change the defaults of a shared part. `Serialize` and `JsonSchema` are derived with `#[serde(flatten)]`.
///
/// ```
/// use corten_config::{Check, from_str, settings::HttpClient, types::Duration};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, JsonSchema)]
/// struct Config {
///     #[serde(flatten)]
///     client: HttpClient,
///     #[serde(flatten)]
///     own: Own,
/// }
///
/// #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
/// #[serde(default)]
/// struct Own {
///     /// Where traces go.
///     traces_endpoint: String,
/// }
///
/// impl Default for Config {
///     fn default() -> Self {
///         let client = HttpClient { timeout: Duration::from_secs(30), ..HttpClient::default() };
///         Self { client, own: Own::default() }
///     }
/// }
///
/// corten_config::squash!(Config { client, own });
/// impl Check for Config {}
///
/// let config: Config = from_str("{endpoint: http://tempo:4318, traces_endpoint: x}").unwrap();
/// assert_eq!(config.client.timeout, Duration::from_secs(30));
/// let problems = from_str::<Config>("{enpoint: http://tempo:4318}").unwrap_err();
/// assert_eq!(problems.to_string(), "config:1:2: unknown field 'enpoint', did you mean 'endpoint'?");
/// ```
#[macro_export]
macro_rules! squash {
    ($config:ident { $($part:ident),+ $(,)? }) => {
        impl<'de> ::serde::Deserialize<'de> for $config {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                struct Parts;
                impl<'de> ::serde::de::Visitor<'de> for Parts {
                    type Value = $config;

                    fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        f.write_str("a section (a map of settings)")
                    }

                    fn visit_seq<A: ::serde::de::SeqAccess<'de>>(
                        self,
                        mut parts: A,
                    ) -> ::core::result::Result<$config, A::Error> {
                        let defaults = <$config as ::core::default::Default>::default();
                        $(
                            let $part = parts
                                .next_element_seed($crate::defaults::Over(&defaults.$part))?
                                .ok_or_else(|| <A::Error as ::serde::de::Error>::missing_field(stringify!($part)))?;
                        )+
                        Ok($config { $($part),+ })
                    }
                }
                deserializer.deserialize_newtype_struct($crate::defaults::PARTS, Parts)
            }
        }
    };
}
