//! Regular expressions.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A regular expression in the syntax that Go and Rust share (RE2: no look-around, no back-references).
#[derive(Clone)]
pub struct Regex(regex::Regex);

impl Regex {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Deref for Regex {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.0
    }
}

impl FromStr for Regex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        regex::Regex::new(text).map(Self).map_err(|error| {
            // The last line says what is wrong; those above draw where, in several lines.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default();
            format!(
                "expected a regular expression, found '{text}': {}",
                why.strip_prefix("error: ").unwrap_or(why)
            )
        })
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Regex {}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str())
    }
}

super::as_text!(Regex, "a regular expression", "^level=(error|warn)");
