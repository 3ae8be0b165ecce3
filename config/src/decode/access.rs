//! What the deserializer hands to `serde`'s visitors: lists, maps, choices.

use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{DecodeError, Kind};
use super::{Decoder, Run};
use crate::node::{Entry, Map, Node};

/// The items of a list that are not left out.
pub(super) struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    decoder: Decoder<'a>,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node], decoder: Decoder<'a>) -> Self {
        Self {
            items: items.iter(),
            decoder,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let run = self.decoder.run;
        let Some(item) = self.items.by_ref().find(|item| !run.is_pruned(item)) else {
            return Ok(None);
        };
        let decoder = self.decoder.over(item);
        seed.deserialize(decoder)
            .map(Some)
            .map_err(|error| error.after(decoder).not_null(item))
    }
}

impl DecodeError {
    /// A list has no defaults for its items: a null there is a mistake.
    fn not_null(mut self, item: &Node) -> Self {
        if let Kind::Null { expected } = &self.kind
            && item.is_null()
        {
            self.kind = Kind::Expected {
                expected: expected.clone(),
                found: None,
            };
        }
        self
    }
}

/// The parts of a text that stands for a list.
pub(super) struct Parts<'n, 'r> {
    pub(super) parts: std::slice::Iter<'n, Node>,
    pub(super) run: &'r Run<'n>,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.parts
            .next()
            .map(|part| seed.deserialize(Decoder::new(part, self.run)))
            .transpose()
    }
}

/// A single value as a list of one.
pub(super) struct One<'a>(pub(super) Option<Decoder<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.0
            .take()
            .map(|decoder| {
                seed.deserialize(decoder)
                    .map_err(|error| error.after(decoder))
            })
            .transpose()
    }
}

/// `(enabled, value)`.
pub(super) struct Pair<'a> {
    pub(super) enabled: Option<bool>,
    pub(super) value: Option<Decoder<'a>>,
}

impl<'de> SeqAccess<'de> for Pair<'_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        if let Some(enabled) = self.enabled.take() {
            return seed
                .deserialize(serde::de::value::BoolDeserializer::new(enabled))
                .map(Some);
        }
        self.value
            .take()
            .map(|decoder| {
                seed.deserialize(decoder)
                    .map_err(|error| error.after(decoder))
            })
            .transpose()
    }
}

/// The same node for every element: the parts of a squashed struct.
pub(super) struct Shared<'a>(pub(super) Decoder<'a>);

impl<'de> SeqAccess<'de> for Shared<'_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        seed.deserialize(self.0)
            .map(Some)
            .map_err(|error| error.after(self.0))
    }
}

/// The entries of a map that are not left out; of a struct, those that it has a field for, then its
/// defaults for the rest.
pub(super) struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    defaults: std::slice::Iter<'a, Entry>,
    decoder: Decoder<'a>,
    fields: Option<&'static [&'static str]>,
    current: Option<Decoder<'a>>,
}

impl<'a> Entries<'a> {
    /// Of the map that `decoder` stands at; of none when that is null.
    pub(super) fn new(decoder: Decoder<'a>, fields: Option<&'static [&'static str]>) -> Self {
        let entries = |node: &'a Node| node.as_map().map(Map::iter).unwrap_or_default();
        let defaults = decoder
            .defaults
            .filter(|_| fields.is_some())
            .map(entries)
            .unwrap_or_default();
        if let Some(fields) = fields {
            decoder.run.reads(decoder.node, fields);
        }
        Self {
            entries: entries(decoder.node),
            defaults,
            decoder,
            fields,
            current: None,
        }
    }

    fn is_field(&self, key: &str) -> bool {
        self.fields.is_none_or(|fields| fields.contains(&key))
    }

    /// The next key, and the decoder of its value.
    fn next(&mut self) -> Option<(&'a str, Decoder<'a>)> {
        let run = self.decoder.run;
        while let Some(entry) = self.entries.next() {
            if self.is_field(&entry.key) && !run.is_pruned(&entry.value) {
                let mut decoder = self.decoder.over(&entry.value);
                decoder.defaults = self
                    .decoder
                    .defaults
                    .filter(|_| self.fields.is_some())
                    .and_then(|node| node.get(&entry.key));
                return Some((&entry.key, decoder));
            }
        }
        while let Some(entry) = self.defaults.next() {
            let written = self
                .decoder
                .node
                .get(&entry.key)
                .is_some_and(|value| !run.is_pruned(value));
            if self.is_field(&entry.key) && !written && !entry.value.is_null() {
                return Some((&entry.key, self.decoder.over(&entry.value)));
            }
        }
        None
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, decoder)) = self.next() else {
            return Ok(None);
        };
        self.current = Some(decoder);
        seed.deserialize(Key(key)).map(Some).map_err(|error| {
            let mut error = error.at(decoder);
            error.key = true;
            error
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        match self.current.take() {
            Some(decoder) => seed
                .deserialize(decoder)
                .map_err(|error| error.after(decoder)),
            None => Err(DecodeError::new(Kind::Other(
                "a value was asked for before its key".to_owned(),
            ))),
        }
    }
}

/// A map's key: text, or what the text says where a number is wanted.
struct Key<'a>(&'a str);

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.0.parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(DecodeError::new(Kind::Other(format!("expected {} as a key, found '{}'", $expected, self.0)))),
            }
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Key<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if known.contains(&self.0) {
            visitor.visit_enum(serde::de::value::StrDeserializer::new(self.0))
        } else {
            Err(DecodeError::new(Kind::UnknownVariant {
                name: self.0.to_owned(),
                known,
            }))
        }
    }

    numbers! {
        deserialize_u8 visit_u8 u8, "a number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i8 visit_i8 i8, "a whole number";
        deserialize_i16 visit_i16 i16, "a whole number";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// One variant of an enum, alone or as the only key of a map.
pub(super) struct Choice<'a> {
    pub(super) variant: &'a str,
    pub(super) content: Option<Decoder<'a>>,
    /// Where the choice itself stands.
    pub(super) decoder: Decoder<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DecodeError> {
        let variant = seed
            .deserialize(Key(self.variant))
            .map_err(|error| error.at(self.decoder))?;
        Ok((variant, self))
    }
}

impl<'a> Choice<'a> {
    fn content(&self) -> Result<Decoder<'a>, DecodeError> {
        self.content.ok_or_else(|| {
            DecodeError::new(Kind::Other(format!(
                "'{}' needs settings; write it as a map",
                self.variant
            )))
            .at(self.decoder)
        })
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            Some(content) if !content.node.is_null() => Err(DecodeError::new(Kind::Other(
                format!("'{}' has no settings", self.variant),
            ))
            .at(self.decoder)),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let content = self.content()?;
        seed.deserialize(content)
            .map_err(|error| error.after(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.content()?.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.content()?.entries(visitor, Some(fields))
    }
}
