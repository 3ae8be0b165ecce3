//! Values of a configuration that may have expressions in them.

use corten_config::Checker;

use crate::entry::Entry;
use crate::expr::Expr;
use crate::settings::check_names;
use crate::value::Value;

/// A value in a configuration: as it is, or an expression within `EXPR(…)`.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// As it is.
    Value(Value),
    /// An expression alone: its value.
    Expr(Box<Expr>),
    /// Text with expressions in it.
    Text(Vec<Part>),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// The value of an expression.
    Expr(Expr),
}

impl Template {
    /// Reads a value of a configuration; expressions in it are compiled.
    ///
    /// # Errors
    /// An expression can't be read.
    pub fn parse(value: serde_json::Value) -> Result<Self, String> {
        let serde_json::Value::String(text) = value else {
            return Ok(Self::Value(Value::from_json(value)));
        };
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("EXPR(") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let end = closing(after).ok_or("EXPR( is not closed")?;
            let (expr, after) = after.split_at_checked(end).ok_or("EXPR( is not closed")?;
            parts.push(Part::Expr(expr.parse::<Expr>().map_err(|e| e.to_string())?));
            rest = after.strip_prefix(')').unwrap_or(after);
        }
        if parts.is_empty() {
            return Ok(Self::Value(Value::Str(text)));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if let [Part::Expr(expr)] = parts.as_slice() {
            return Ok(Self::Expr(Box::new(expr.clone())));
        }
        Ok(Self::Text(parts))
    }

    /// The value for an entry.
    ///
    /// # Errors
    /// An expression can't be evaluated, or gives no text where text is wanted.
    pub fn value(&self, entry: &Entry) -> Result<Value, crate::EvalError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Expr(expr) => expr.value(entry),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Expr(expr) => match expr.value(entry)? {
                            Value::Str(part) => text.push_str(&part),
                            other => text.push_str(&other.to_json().to_string()),
                        },
                    }
                }
                Ok(Value::Str(text))
            }
        }
    }

    /// The value for an entry as text; lists and maps are JSON.
    ///
    /// # Errors
    /// An expression can't be evaluated.
    pub fn text(&self, entry: &Entry) -> Result<String, crate::EvalError> {
        Ok(match self.value(entry)? {
            Value::Str(text) => text,
            other => other.to_json().to_string(),
        })
    }

    /// Whether it is the same for all entries.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    fn exprs(&self) -> Vec<&Expr> {
        match self {
            Self::Value(_) => Vec::new(),
            Self::Expr(expr) => vec![expr],
            Self::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Expr(expr) => Some(expr),
                    Part::Text(_) => None,
                })
                .collect(),
        }
    }

    /// Says which names in it do not exist.
    pub fn check_names(&self, setting: &str, at: &mut Checker<'_>) {
        for expr in self.exprs() {
            check_names(at, setting, expr);
        }
    }
}

/// Where the parenthesis that is open closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(at),
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_with_expressions() {
        let mut entry = Entry::text("x");
        entry.attributes.insert("n", 2);
        let value = |text: &str| {
            let template = Template::parse(text.into()).unwrap();
            template.value(&entry).unwrap().to_json().to_string()
        };
        assert_eq!(value("plain"), "\"plain\"");
        assert_eq!(value("EXPR(attributes.n * 2)"), "4");
        assert_eq!(value("EXPR(body + \"_suffix\")"), "\"x_suffix\"");
        assert_eq!(value("a-EXPR(body)-EXPR(len(')('))"), "\"a-x-2\"");
        assert_eq!(
            Template::parse("EXPR(1".into()).unwrap_err(),
            "EXPR( is not closed"
        );
        assert!(
            Template::parse("EXPR(1 +)".into())
                .unwrap_err()
                .contains("can't be read")
        );
        let map = serde_json::json!({"nestedkey": "nestedvalue"});
        assert!(Template::parse(map).unwrap().is_constant());
    }

    proptest! {
        #[test]
        fn never_panics(template in "[EXPR(a)\"\\\\']{0,20}") {
            drop(Template::parse(template.into()));
        }
    }
}
