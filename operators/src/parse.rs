//! What the parsers read: text in one format each, knowing nothing of entries.

pub(crate) mod json;
