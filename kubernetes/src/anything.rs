//! Objects of any kind, whole.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::object::{Metadata, Object};

/// An object whose kind is not known here: all of it, and its metadata read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Anything {
    /// The metadata.
    pub metadata: Metadata,
    /// The whole object, the metadata among it.
    pub value: Value,
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let metadata = match value.get("metadata") {
            Some(metadata) => Metadata::deserialize(metadata).map_err(serde::de::Error::custom)?,
            None => Metadata::default(),
        };
        Ok(Self { metadata, value })
    }
}

impl Object for Anything {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
