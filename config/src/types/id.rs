//! Names of components.

use std::fmt;
use std::str::FromStr;

/// A component's id: its type, and a name when there are several of the type, such as `otlp` or `otlp/edge`.
///
/// A type begins with a letter and has at most 63 letters, digits and underscores. A name has at
/// most 1024 characters, none of them a space or a control character. Spaces around both are cut off.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    component_type: String,
    /// Empty when there is none.
    name: String,
}

impl ComponentId {
    /// The part before the slash.
    pub fn component_type(&self) -> &str {
        &self.component_type
    }

    /// The part after the slash; empty when there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same name with another type: for a type that goes by several names.
    ///
    /// # Errors
    /// When `component_type` is not a valid type.
    pub fn with_type(&self, component_type: &str) -> Result<Self, ParseIdError> {
        let text = if self.name.is_empty() {
            component_type.to_owned()
        } else {
            format!("{component_type}/{}", self.name)
        };
        text.parse()
    }
}

/// The text is not a component's id. The messages are the Collector's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// There is no text.
    #[error("id must not be empty")]
    Empty,
    /// Nothing before the slash.
    #[error("in \"{0}\" id: the part before / should not be empty")]
    NoType(String),
    /// Nothing after the slash.
    #[error("in \"{0}\" id: the part after / should not be empty")]
    NoName(String),
    /// The type is too long or has a character that it may not have.
    #[error("in \"{0}\" id: invalid character(s) in type \"{1}\"")]
    Type(String, String),
    /// The name is too long.
    #[error("in \"{0}\" id: name is longer than 1024 characters ({1})")]
    Long(String, usize),
    /// The name has a character that it may not have.
    #[error("in \"{0}\" id: invalid character(s) in name \"{1}\"")]
    Name(String, String),
}

impl FromStr for ComponentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (component_type, name) = match text.split_once('/') {
            Some((component_type, name)) => (component_type.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        let shown = || text.chars().take(80).collect::<String>();
        match (component_type, name) {
            ("", None) => return Err(ParseIdError::Empty),
            ("", Some(_)) => return Err(ParseIdError::NoType(shown())),
            (_, Some("")) => return Err(ParseIdError::NoName(shown())),
            _ => {}
        }
        let valid = component_type.len() <= 63
            && component_type.starts_with(|c: char| c.is_ascii_alphabetic())
            && component_type
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(ParseIdError::Type(
                shown(),
                component_type.chars().take(80).collect(),
            ));
        }
        let name = name.unwrap_or_default();
        let length = name.chars().count();
        if length > 1024 {
            return Err(ParseIdError::Long(shown(), length));
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ParseIdError::Name(shown(), name.chars().take(80).collect()));
        }
        Ok(Self {
            component_type: component_type.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.component_type)?;
        if self.name.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.name)
        }
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

super::as_text!(
    ComponentId,
    "a component's id, type or type/name, such as file_storage",
    "file_storage"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_types_and_names() {
        for (text, component_type, name) in [
            ("otlp", "otlp", ""),
            (" otlp / edge/2 ", "otlp", "edge/2"),
            ("prometheus/a.b::c", "prometheus", "a.b::c"),
        ] {
            let id: ComponentId = text.parse().unwrap();
            assert_eq!((id.component_type(), id.name()), (component_type, name));
        }
        assert_eq!(
            "otlp/edge"
                .parse::<ComponentId>()
                .unwrap()
                .with_type("otlp_grpc")
                .unwrap()
                .to_string(),
            "otlp_grpc/edge"
        );
    }

    #[test]
    fn refuses_in_the_collectors_words() {
        let long = format!("a/{}", "b".repeat(1025));
        for (text, want) in [
            ("", "id must not be empty"),
            ("/x", "in \"/x\" id: the part before / should not be empty"),
            ("x/", "in \"x/\" id: the part after / should not be empty"),
            ("1x", "in \"1x\" id: invalid character(s) in type \"1x\""),
            (
                "a-b/c",
                "in \"a-b/c\" id: invalid character(s) in type \"a-b\"",
            ),
            (
                "a/b c",
                "in \"a/b c\" id: invalid character(s) in name \"b c\"",
            ),
        ] {
            assert_eq!(text.parse::<ComponentId>().unwrap_err().to_string(), want);
        }
        assert!(matches!(
            long.parse::<ComponentId>(),
            Err(ParseIdError::Long(_, 1025))
        ));
        assert!("a".repeat(64).parse::<ComponentId>().is_err());
    }
}
