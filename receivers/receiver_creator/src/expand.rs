//! Backticks in settings: `` https://`pod.labels["host"]`:8443 ``.
//!
//! What stands between backticks is an expression about the endpoint. One that is the whole text keeps its type; beside
//! other text it becomes text. `` \` `` is a backtick that means itself.

use std::borrow::Cow;

use corten_config::{Entry, Node, Scalar, Span, Style, Value as Setting};
use corten_operators::{EvalError, FreeExpr, Map, ParseExprError, Value};

/// A text with expressions in it, ready to be expanded.
#[derive(Clone, Debug)]
pub(crate) struct Text(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Expr(Box<FreeExpr>),
}

/// A text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandError {
    /// ``` `` ```
    #[error("the expression between backticks is empty")]
    Empty,
    /// The second backtick is missing.
    #[error("the expression that begins at character {} has no closing backtick", at + 1)]
    Open {
        /// Characters before it.
        at: usize,
    },
    /// It cannot be read.
    #[error("in `{text}`: {source}")]
    Parse {
        /// The expression.
        text: String,
        /// Why.
        source: ParseExprError,
    },
    /// It has no value for this endpoint.
    #[error("`{text}`: {source}")]
    Eval {
        /// The expression.
        text: String,
        /// Why.
        source: EvalError,
    },
    /// It has one that is no part of a text.
    #[error("`{text}` is {found}, and stands in the middle of a text")]
    NoText {
        /// The expression.
        text: String,
        /// What it is.
        found: &'static str,
    },
}

impl Text {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpandError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        // The expression that is open: where it began, what it says so far.
        let mut open: Option<(usize, String)> = None;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((at, c)) = chars.next() {
            let escaped = c == '\\' && matches!(chars.peek(), Some((_, '`')));
            let to = open.as_mut().map_or(&mut literal, |(_, expr)| expr);
            match c {
                '\\' if escaped => {
                    chars.next();
                    to.push('`');
                }
                '`' => match open.take() {
                    None => open = Some((at, String::new())),
                    Some((_, expr)) => {
                        if !literal.is_empty() {
                            parts.push(Part::Literal(std::mem::take(&mut literal)));
                        }
                        parts.push(Part::Expr(Box::new(parse(&expr)?)));
                    }
                },
                c => to.push(c),
            }
        }
        if let Some((at, _)) = open {
            return Err(ExpandError::Open { at });
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// What it says about an endpoint.
    pub(crate) fn expand(&self, names: &Map) -> Result<Value, ExpandError> {
        if let [Part::Expr(expr)] = self.0.as_slice() {
            return eval(expr, names);
        }
        let mut all = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => all.push_str(text),
                Part::Expr(expr) => {
                    let value = eval(expr, names)?;
                    let text = shown(&value).ok_or_else(|| ExpandError::NoText {
                        text: expr.as_str().to_owned(),
                        found: value.type_name(),
                    })?;
                    all.push_str(&text);
                }
            }
        }
        Ok(Value::Str(all))
    }
}

fn parse(text: &str) -> Result<FreeExpr, ExpandError> {
    if text.trim().is_empty() {
        return Err(ExpandError::Empty);
    }
    text.parse().map_err(|source| ExpandError::Parse {
        text: text.to_owned(),
        source,
    })
}

fn eval(expr: &FreeExpr, names: &Map) -> Result<Value, ExpandError> {
    expr.value(names).map_err(|source| ExpandError::Eval {
        text: expr.as_str().to_owned(),
        source,
    })
}

/// A value as a part of a text; nothing, lists and maps are none.
pub(crate) fn shown(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(text) => Some(Cow::Borrowed(text)),
        Value::Bool(value) => Some(Cow::Owned(value.to_string())),
        Value::Int(value) => Some(Cow::Owned(value.to_string())),
        Value::Float(value) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// Settings that cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{span}: {error}")]
pub(crate) struct SettingError {
    /// Where they are written.
    pub(crate) span: Span,
    /// What is wrong.
    pub(crate) error: ExpandError,
}

/// The text of a setting that may have backticks in it.
fn text_of(node: &Node) -> Option<&str> {
    node.as_str().filter(|text| text.contains('`'))
}

/// Settings for an endpoint. Keys are never expanded.
pub(crate) fn settings(node: &Node, names: &Map) -> Result<Node, SettingError> {
    let expanded = match &node.value {
        Setting::Map(map) => {
            let entries = map.iter().map(|entry| {
                Ok(Entry {
                    key: entry.key.clone(),
                    key_span: entry.key_span.clone(),
                    value: settings(&entry.value, names)?,
                })
            });
            Setting::Map(entries.collect::<Result<_, _>>()?)
        }
        Setting::Seq(items) => {
            let items = items.iter().map(|item| settings(item, names));
            Setting::Seq(items.collect::<Result<_, _>>()?)
        }
        Setting::Null | Setting::Scalar(_) => {
            let Some(text) = text_of(node) else {
                return Ok(node.clone());
            };
            let value = Text::parse(text).and_then(|text| text.expand(names));
            return match value {
                Ok(value) => Ok(setting(value, &node.span)),
                Err(error) => Err(SettingError {
                    span: node.span.clone(),
                    error,
                }),
            };
        }
    };
    Ok(Node {
        value: expanded,
        span: node.span.clone(),
        original: None,
    })
}

/// Whether the settings are the same for every endpoint.
pub(crate) fn is_static(node: &Node) -> bool {
    match &node.value {
        Setting::Map(map) => map.iter().all(|entry| is_static(&entry.value)),
        Setting::Seq(items) => items.iter().all(is_static),
        Setting::Null | Setting::Scalar(_) => text_of(node).is_none(),
    }
}

/// Every text in the settings that cannot be read, for all endpoints alike.
pub(crate) fn check(node: &Node, wrong: &mut Vec<SettingError>) {
    match &node.value {
        Setting::Map(map) => map.iter().for_each(|entry| check(&entry.value, wrong)),
        Setting::Seq(items) => items.iter().for_each(|item| check(item, wrong)),
        Setting::Null | Setting::Scalar(_) => {
            if let Some(Err(error)) = text_of(node).map(Text::parse) {
                wrong.push(SettingError {
                    span: node.span.clone(),
                    error,
                });
            }
        }
    }
}

/// A value as it would stand in a file.
pub(crate) fn setting(value: Value, span: &Span) -> Node {
    let plain = |text: String| Node {
        value: Setting::Scalar(Scalar {
            text,
            style: Style::Plain,
        }),
        span: span.clone(),
        original: None,
    };
    let value = match value {
        Value::Null | Value::Bytes(_) => Setting::Null,
        Value::Bool(value) => return plain(value.to_string()),
        Value::Int(value) => return plain(value.to_string()),
        Value::Float(value) => return plain(value.to_string()),
        // A label that says 9090 is text, and a port where a field wants a number: as what `${env:X}` stands for.
        Value::Str(text) => {
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
                return Node::text(text, span.clone());
            }
            let original = Some(text.as_str().into());
            return Node {
                original,
                ..plain(text)
            };
        }
        Value::List(items) => {
            Setting::Seq(items.into_iter().map(|item| setting(item, span)).collect())
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| Entry {
                key: key.as_str().to_owned(),
                key_span: span.clone(),
                value: setting(value.clone(), span),
            });
            Setting::Map(entries.collect())
        }
    };
    Node {
        value,
        span: span.clone(),
        original: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::{Problems, Section, section};
    use proptest::prelude::*;

    fn names() -> Map {
        let json = serde_json::json!({
            "type": "port", "endpoint": "10.0.0.7:6379", "port": 6379,
            "pod": {"labels": {"host": "redis.shop", "port": "9090"}, "annotations": {}, "uid": "u"},
        });
        match Value::from_json(json) {
            Value::Map(map) => map,
            _ => Map::new(),
        }
    }

    fn expand(text: &str) -> Result<String, String> {
        let text = Text::parse(text).map_err(|error| error.to_string())?;
        let value = text.expand(&names()).map_err(|error| error.to_string())?;
        Ok(value.to_json().to_string())
    }

    #[test]
    fn texts_and_values() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("`endpoint`", r#""10.0.0.7:6379""#),
            ("`port`", "6379"),
            (r#"`"x" in pod.labels`"#, "false"),
            (
                r#"https://`pod.labels["host"]`:`port + 1`/x"#,
                r#""https://redis.shop:6380/x""#,
            ),
            ("`true``false`", r#""truefalse""#),
            (r"a \` b", r#""a ` b""#),
            (r"C:\dir", r#""C:\\dir""#),
            ("`pod.nothing`", "null"),
            (r#"`pod.labels["none"]`"#, r#""""#),
            (
                r#"`"metrics" in pod.annotations ? pod.annotations["metrics"] : "/metrics"`"#,
                r#""/metrics""#,
            ),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("``", "is empty"),
            ("a`port", "at character 2"),
            ("`port ==`", "in `port ==`"),
            ("`port + pod`", "`port + pod`: "),
            ("x`pod.nothing`", "is nothing, and stands in the middle"),
            ("x`pod`", "is a map"),
        ] {
            let error = expand(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Target {
        endpoint: String,
        port: u16,
        label: u16,
        text: String,
        on: bool,
        list: Vec<String>,
        same: String,
    }

    #[test]
    fn settings_get_the_types_that_they_want() {
        let yaml = r#"
endpoint: 'http://`endpoint`'
port: '`port`'
label: '`pod.labels["port"]`'
text: '`pod.labels["port"]`'
on: '`port > 80`'
list: ['`pod.uid`', b]
same: "12"
"#;
        let mut problems = Problems::new();
        let template = section(yaml, "x", &mut problems).unwrap();
        let node = settings(template.node(), &names()).unwrap();
        let target: Option<Target> = Section::new(node, "x").decode(&mut problems);
        assert_eq!(problems.to_string(), "");
        let expected = Target {
            endpoint: "http://10.0.0.7:6379".to_owned(),
            port: 6379,
            label: 9090,
            text: "9090".to_owned(),
            on: true,
            list: vec!["u".to_owned(), "b".to_owned()],
            same: "12".to_owned(),
        };
        assert_eq!(target, Some(expected));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let mut problems = Problems::new();
        let template = section("a: {b: ['x', '`']}\nc: '`(`'", "x", &mut problems).unwrap();
        let mut wrong = Vec::new();
        check(template.node(), &mut wrong);
        let places: Vec<_> = wrong.iter().map(|wrong| wrong.span.to_string()).collect();
        assert_eq!(places, ["config:1:14", "config:2:4"]);
        let error = settings(template.node(), &names()).unwrap_err();
        assert!(
            error.to_string().starts_with("config:1:14: the expression"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[`\\\\a-z.+\" ]{0,20}|\\PC{0,20}") {
            if let Ok(text) = Text::parse(&text) {
                drop(text.expand(&names()));
            }
        }

        #[test]
        fn text_without_backticks_means_itself(text in "[^`]{0,30}") {
            let parsed = Text::parse(&text).unwrap();
            prop_assert_eq!(parsed.expand(&names()), Ok(Value::Str(text)));
        }
    }
}
