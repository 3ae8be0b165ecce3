//! `${env:X}`, `${file:…}`, `${yaml:…}` and `$$`, after parsing.
//!
//! Because the tree already stands, a value cannot become structure by accident: inside a longer
//! string a reference is text, whatever it holds. Only a reference that is the *whole* value is read
//! as YAML, and even then a field that wants a string gets the exact text.
//!
//! The text of a variable is taken as it is, with one exception: when it holds `${`, it is expanded
//! again, as the Collector does it. So a password with a `$` or `$$` in it stays what it is.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::node::{Map, Node, Scalar, Source, Span, Style, Value};
use crate::parse::{LONGEST, parse, parse_value};
use crate::problem::{Problem, Problems};
use crate::resolve::{Environment, scheme};

/// References within references.
const DEEPEST: usize = 32;
/// References in all. Two files that name each other twice grow exponentially.
const MOST: usize = 10_000;

/// Replaces every reference in the tree. A reference that cannot be replaced is a problem and leaves null.
pub(crate) fn expand(root: &mut Node, env: &dyn Environment, problems: &mut Problems) {
    let at = root.span.clone();
    Expander {
        env,
        problems,
        path: Vec::new(),
        at,
        left: MOST,
        bytes: LONGEST,
    }
    .node(root, 0);
}

struct Expander<'a> {
    env: &'a dyn Environment,
    problems: &'a mut Problems,
    path: Vec<String>,
    /// The value that is being expanded.
    at: Span,
    /// References that may still be looked up.
    left: usize,
    /// Bytes that they may still bring.
    bytes: usize,
}

/// Why a reference was not replaced.
type Refused = String;

enum Found {
    /// The variable is not set and there is no default.
    Unset,
    /// Data: not to be read as part of the configuration's own text.
    Data(String),
    /// Text of the configuration: may have references itself.
    Config {
        text: String,
        source: Option<Source>,
    },
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, depth: usize) {
        match &mut node.value {
            Value::Null => {}
            Value::Scalar(scalar) if scalar.text.contains('$') => self.scalar(node, depth),
            Value::Scalar(_) => {}
            Value::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(format!("[{index}]"));
                    self.node(item, depth);
                    self.path.pop();
                }
            }
            Value::Map(Map { entries }) => {
                for entry in entries {
                    self.path.push(entry.key.clone());
                    self.node(&mut entry.value, depth);
                    self.path.pop();
                }
            }
        }
    }

    fn scalar(&mut self, node: &mut Node, depth: usize) {
        let Value::Scalar(scalar) = &node.value else {
            return;
        };
        let text = scalar.text.clone();
        self.at = node.span.clone();
        let replaced = match whole(&text) {
            Some(reference) => self.whole(reference, node, depth),
            None => self.inline(&text, depth).map(|text| {
                node.value = Value::Scalar(Scalar {
                    text,
                    style: Style::Text,
                });
            }),
        };
        if let Err(why) = replaced {
            self.problems
                .push(Problem::error(why).span(&node.span).path(self.path()));
            node.value = Value::Null;
            node.original = None;
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for part in &self.path {
            let separator = if path.is_empty() || part.starts_with('[') {
                ""
            } else {
                "::"
            };
            // Writing to a string cannot fail.
            write!(path, "{separator}{part}").ok();
        }
        path
    }

    fn whole(&mut self, reference: &str, node: &mut Node, depth: usize) -> Result<(), Refused> {
        match self.look_up(reference, depth)? {
            Found::Unset => {
                node.value = Value::Null;
                node.original = None;
            }
            Found::Data(text) => {
                let span = node.span.clone();
                *node = parse_value(&text, &span);
                node.original = Some(Arc::from(text));
            }
            Found::Config { text, source } => {
                let span = node.span.clone();
                let mut problems = Problems::new();
                // Only a map or a list is worth pointing into; a scalar's place is the reference.
                let tree = source
                    .and_then(|source| parse(&text, &source, &mut problems))
                    .filter(|tree| {
                        problems.is_empty() && matches!(tree.value, Value::Map(_) | Value::Seq(_))
                    });
                *node = match tree {
                    Some(tree) if !text.trim().is_empty() => tree,
                    _ => parse_value(&text, &span),
                };
                self.node(node, depth + 1);
                let original = if text.contains('$') {
                    self.inline(&text, depth + 1)?
                } else {
                    text
                };
                node.original = Some(Arc::from(original));
            }
        }
        Ok(())
    }

    /// The text with every reference replaced by text.
    fn inline(&mut self, text: &str, depth: usize) -> Result<String, Refused> {
        let ends = ends(text);
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| rest.find('$')) {
            let dollar = at + found;
            out.push_str(text.get(at..dollar).unwrap_or_default());
            if text
                .get(dollar..)
                .is_some_and(|rest| rest.starts_with("$$"))
            {
                out.push('$');
                at = dollar + 2;
            } else if let Some(end) = ends.get(&dollar) {
                let reference = text.get(dollar + 2..*end).unwrap_or_default();
                let replaced = self.within_text(reference, depth)?;
                out.push_str(&replaced);
                at = end + 1;
            } else {
                out.push('$');
                at = dollar + 1;
            }
            self.spend(out.len())?;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Ok(out)
    }

    /// What a reference that is part of a longer text is replaced with.
    fn within_text(&mut self, reference: &str, depth: usize) -> Result<String, Refused> {
        match self.look_up(reference, depth)? {
            Found::Unset => Ok(String::new()),
            Found::Data(text) => Ok(text),
            Found::Config { text, .. } => {
                let value = parse_value(&text, &self.at);
                if matches!(value.value, Value::Map(_) | Value::Seq(_)) {
                    return Err(format!(
                        "${{{reference}}} holds {}; inside a longer text only a single value can stand",
                        value.describe()
                    ));
                }
                if text.contains('$') {
                    self.inline(&text, depth + 1)
                } else {
                    Ok(text)
                }
            }
        }
    }

    fn spend(&mut self, length: usize) -> Result<(), Refused> {
        if length > self.bytes {
            return Err(format!("references expand to more than {LONGEST} bytes"));
        }
        Ok(())
    }

    fn look_up(&mut self, reference: &str, depth: usize) -> Result<Found, Refused> {
        if depth > DEEPEST {
            return Err(format!(
                "references are nested more than {DEEPEST} deep; does one name itself?"
            ));
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => {
                return Err(format!(
                    "more than {MOST} references; does one name itself?"
                ));
            }
        };
        let uri = if reference.contains('$') {
            self.inline(reference, depth + 1)?
        } else {
            reference.to_owned()
        };
        let found = match scheme(&uri) {
            Some(("env", name)) => self.variable(name, depth)?,
            Some(("file", path)) => match self.env.read(path) {
                Ok(mut text) => {
                    // The newline that ends a file is not part of the token in it.
                    let trimmed = text
                        .strip_suffix('\n')
                        .map(|t| t.strip_suffix('\r').unwrap_or(t).len());
                    text.truncate(trimmed.unwrap_or(text.len()));
                    Found::Config {
                        text,
                        source: Some(Source::new(path)),
                    }
                }
                Err(error) => {
                    return Err(format!("${{file:{path}}}: cannot read the file: {error}"));
                }
            },
            Some(("yaml", text)) => Found::Config {
                text: text.to_owned(),
                source: None,
            },
            Some((scheme @ ("http" | "https"), _)) => {
                return Err(format!(
                    "${{{scheme}:…}} is not supported; download it first and use ${{file:…}}"
                ));
            }
            // `X:-default`, where `X` only looks like a scheme.
            Some((_, rest)) if rest.starts_with('-') => self.variable(&uri, depth)?,
            Some((other, _)) => {
                return Err(format!(
                    "${{{uri}}}: unknown scheme '{other}' (valid: env, file, yaml)"
                ));
            }
            None => self.variable(&uri, depth)?,
        };
        let length = match &found {
            Found::Unset => 0,
            Found::Data(text) | Found::Config { text, .. } => text.len(),
        };
        self.spend(length)?;
        self.bytes -= length.min(self.bytes);
        Ok(found)
    }

    fn variable(&mut self, reference: &str, depth: usize) -> Result<Found, Refused> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(format!(
                "environment variable \"{name}\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"
            ));
        }
        match (self.env.var(name), default) {
            (Some(text), _) if text.contains("${") => {
                Ok(Found::Data(self.inline(&text, depth + 1)?))
            }
            (Some(text), _) => Ok(Found::Data(text)),
            (None, Some(default)) => Ok(Found::Data(default.to_owned())),
            (None, None) => {
                let message = format!("configuration references unset environment variable {name}");
                self.problems
                    .push(Problem::warning(message).span(&self.at).path(self.path()));
                Ok(Found::Unset)
            }
        }
    }
}

/// The reference, when it is all there is.
fn whole(text: &str) -> Option<&str> {
    let reference = text.strip_prefix("${")?.strip_suffix('}')?;
    (ends(text).get(&0) == Some(&(text.len() - 1))).then_some(reference)
}

/// Where each `${` that is closed has its `}`, in one pass: looking anew for each would take for ever
/// with many that are not closed.
fn ends(text: &str) -> HashMap<usize, usize> {
    let mut ends = HashMap::new();
    let mut open = Vec::new();
    let mut previous = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if previous == b'$' => open.push(at - 1),
            b'}' => {
                if let Some(start) = open.pop() {
                    ends.insert(start, at);
                }
            }
            _ => {}
        }
        previous = byte;
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    struct Fixture;

    impl Environment for Fixture {
        fn var(&self, name: &str) -> Option<String> {
            Some(
                match name {
                    "PORT" => "4317",
                    "ZIP" => "0123",
                    "LIST" => "[a, b]",
                    "TRAP" => "x: 1\ny: {",
                    "PASSWORD" => "pa$$w$rd",
                    "NAME" => "PORT",
                    "EMPTY" => "",
                    "AGAIN" => "<${env:PORT}>",
                    "LOOP" => "${LOOP}",
                    "TWICE" => "${TWICE}${TWICE}",
                    _ => return None,
                }
                .to_owned(),
            )
        }

        fn read(&self, path: &str) -> io::Result<String> {
            match path {
                "token" => Ok("s3cret\n".to_owned()),
                "map.yaml" => Ok("a: ${PORT}\nb: [1, $$]\n".to_owned()),
                "loop.yaml" => Ok("a: ${file:loop.yaml}\nb: ${file:loop.yaml}\n".to_owned()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn expanded(yaml: &str, env: &dyn Environment) -> (Node, Problems) {
        let mut problems = Problems::new();
        let mut tree = parse(yaml, &Source::new("c.yaml"), &mut problems).unwrap();
        expand(&mut tree, env, &mut problems);
        (tree, problems)
    }

    fn check(value: &str, want: &Expect) {
        let (tree, problems) = expanded(&format!("k: {value}"), &Fixture);
        let node = tree.get("k").unwrap();
        let mut got = serde_json::to_string(node).unwrap();
        if let Some(original) = &node.original {
            got = format!("{got} from {original:?}");
        }
        if !problems.is_empty() {
            got = format!("{got}; {problems}");
        }
        want.assert_eq(&got);
    }

    #[test]
    fn variables() {
        check("${env:PORT}", &expect![[r#"4317 from "4317""#]]);
        check("${PORT}", &expect![[r#"4317 from "4317""#]]);
        check("localhost:${PORT}", &expect![[r#""localhost:4317""#]]);
        check("${env:ZIP}", &expect![[r#"83 from "0123""#]]);
        check("a-${env:ZIP}-b", &expect![[r#""a-0123-b""#]]);
        check("${env:LIST}", &expect![[r#"["a","b"] from "[a, b]""#]]);
        check(
            "${env:PASSWORD}",
            &expect![[r#""pa$$w$rd" from "pa$$w$rd""#]],
        );
        check("x${env:PASSWORD}", &expect![[r#""xpa$$w$rd""#]]);
        check("${env:EMPTY}", &expect![[r#"null from """#]]);
        check("${env:AGAIN}", &expect![[r#""<4317>" from "<4317>""#]]);
        check("${env:${NAME}}", &expect![[r#"4317 from "4317""#]]);
    }

    #[test]
    fn defaults() {
        check("${env:UNSET:-5}", &expect![[r#"5 from "5""#]]);
        check("${env:UNSET:-}", &expect![[r#"null from """#]]);
        check("${UNSET:-http://x:1}/y", &expect![[r#""http://x:1/y""#]]);
        check("${UNSET:-${env:PORT}}", &expect![[r#"4317 from "4317""#]]);
        check("${UNSET:-a$$b}", &expect![[r#""a$b" from "a$b""#]]);
        check("${PORT:-1}", &expect![[r#"4317 from "4317""#]]);
        check(
            "${env:UNSET}",
            &expect![
                "null; c.yaml:1:4: warning: k: configuration references unset environment variable UNSET"
            ],
        );
        check(
            "a${UNSET}b",
            &expect![[
                r#""ab"; c.yaml:1:4: warning: k: configuration references unset environment variable UNSET"#
            ]],
        );
    }

    #[test]
    fn dollars() {
        check("$$", &expect![[r#""$""#]]);
        check("$${env:PORT}", &expect![[r#""${env:PORT}""#]]);
        check("$$${env:PORT}", &expect![[r#""$4317""#]]);
        check("$PORT", &expect![[r#""$PORT""#]]);
        check("${PORT", &expect![[r#""${PORT""#]]);
        check("5$", &expect![[r#""5$""#]]);
        check("'a $1 b'", &expect![[r#""a $1 b""#]]);
    }

    #[test]
    fn a_value_never_becomes_structure_within_text() {
        check("'<${env:TRAP}>'", &expect![[r#""<x: 1\ny: {>""#]]);
        check(
            "${env:TRAP}",
            &expect![[r#""x: 1\ny: {" from "x: 1\ny: {""#]],
        );
    }

    #[test]
    fn files_and_yaml() {
        check("${file:token}", &expect![[r#""s3cret" from "s3cret""#]]);
        check("'Bearer ${file:token}'", &expect![[r#""Bearer s3cret""#]]);
        check(
            "${file:map.yaml}",
            &expect![[r#"{"a":4317,"b":[1,"$"]} from "a: 4317\nb: [1, $]""#]],
        );
        check(
            "'x ${file:map.yaml}'",
            &expect![
                "null; c.yaml:1:4: k: ${file:map.yaml} holds a map; inside a longer text only a single value can stand"
            ],
        );
        check("'${yaml:[1, 2]}'", &expect![[r#"[1,2] from "[1, 2]""#]]);
        check(
            "${file:none}",
            &expect!["null; c.yaml:1:4: k: ${file:none}: cannot read the file: entity not found"],
        );
    }

    #[test]
    fn refuses() {
        check(
            "${env:1X}",
            &expect![[
                r#"null; c.yaml:1:4: k: environment variable "1X" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"#
            ]],
        );
        check(
            "${https://x}",
            &expect![
                "null; c.yaml:1:4: k: ${https:…} is not supported; download it first and use ${file:…}"
            ],
        );
        check(
            "${vault:x}",
            &expect![
                "null; c.yaml:1:4: k: ${vault:x}: unknown scheme 'vault' (valid: env, file, yaml)"
            ],
        );
        check(
            "${env:LOOP}",
            &expect![
                "null; c.yaml:1:4: k: references are nested more than 32 deep; does one name itself?"
            ],
        );
        check(
            "${env:TWICE}",
            &expect![
                "null; c.yaml:1:4: k: references are nested more than 32 deep; does one name itself?"
            ],
        );
    }

    #[test]
    fn what_is_not_closed_is_text_and_takes_no_time() {
        let text = "${".repeat(100_000);
        let mut problems = Problems::new();
        let mut node = Node::text(text.clone(), Span::new(&Source::new("c.yaml"), 1, 1));
        expand(&mut node, &Fixture, &mut problems);
        assert_eq!(node.as_str(), Some(text.as_str()));
        check("'${a ${PORT}'", &expect![[r#""${a 4317""#]]);
        check("'${PORT}}'", &expect![[r#""4317}""#]]);
    }

    #[test]
    fn files_that_name_themselves_end() {
        let (_, problems) = expanded("${file:loop.yaml}: 1\nb: ${file:loop.yaml}", &Fixture);
        assert!(problems.has_errors());
    }

    proptest! {
        #[test]
        fn any_text_is_expanded_or_refused(text in r"(\$|\{|\}|\$\{|env:|yaml:|file:|:-|LOOP|TWICE|PORT|LIST|TRAP|[a-z :\[\]\n]){0,30}") {
            let mut problems = Problems::new();
            let mut node = Node::text(text, Span::new(&Source::new("c.yaml"), 1, 1));
            expand(&mut node, &Fixture, &mut problems);
        }

        #[test]
        fn text_without_dollars_stays(text in r"[^$]{0,40}") {
            let mut problems = Problems::new();
            let mut node = Node::text(text.clone(), Span::new(&Source::new("c.yaml"), 1, 1));
            expand(&mut node, &Fixture, &mut problems);
            prop_assert_eq!(node.as_str(), Some(text.as_str()));
        }

        #[test]
        fn data_is_never_interpreted(value in r"[^$]{0,40}|[a-z$]{0,10}") {
            let env = BTreeMap::from([("V".to_owned(), value.clone())]);
            let (tree, problems) = expanded("whole: ${V}\npart: '<${V}>'", &env);
            prop_assert_eq!(tree.get("whole").unwrap().as_str(), Some(value.as_str()));
            let part = format!("<{value}>");
            prop_assert_eq!(tree.get("part").unwrap().as_str(), Some(part.as_str()));
            prop_assert!(problems.is_empty());
        }
    }
}
