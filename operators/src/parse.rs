//! What the parsers read: text in one format each, knowing nothing of entries.

pub(crate) mod container;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod key_value;
pub(crate) mod keys;
pub(crate) mod uri;
