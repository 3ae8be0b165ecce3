//! YAML text to a [`Node`] tree.
//!
//! The parser's events become nodes here and nowhere else, so that the rest of the crate neither knows YAML
//! nor its traps: aliases are copied within a budget, merge keys are merged, a key given twice is a
//! problem, `a::b` is a key within a key.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::merge::merge;
use crate::node::{Entry, Map, Node, Scalar, Source, Span, Style, Value, is_null};
use crate::problem::{Problem, Problems};

/// Levels of nesting. Real configurations have about ten; the rest of the crate recurses over the tree.
const DEEPEST: usize = 64;
/// Nodes that aliases may add in one file. An alias of an alias of an alias grows exponentially.
const ALIASED: usize = 100_000;
/// Keys of one map; looking a key up walks the map.
const KEYS: usize = 10_000;
/// Bytes of one source.
pub(crate) const LONGEST: usize = 4 << 20;

/// Reads one YAML document. An empty document is an empty map.
///
/// `None` when the text is not YAML at all; then `problems` has the reason. Other problems (a duplicate key) leave a tree.
pub(crate) fn parse(text: &str, source: &Source, problems: &mut Problems) -> Option<Node> {
    let start = Span::new(source, 1, 1);
    if text.len() > LONGEST {
        problems.push(
            Problem::error(format!(
                "a source may have at most {LONGEST} bytes, found {}",
                text.len()
            ))
            .span(&start),
        );
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        source,
        problems,
        anchors: HashMap::new(),
        aliased: 0,
    };
    match reader.document() {
        Ok(node) => Some(node.unwrap_or_else(|| Node::empty(start))),
        Err(Stop::Syntax(error)) => {
            let span = reader.span(error.marker());
            problems.push(Problem::error(syntax(text, &error)).span(&span));
            None
        }
        Err(Stop::Reported) => None,
    }
}

/// Reads the text of a `${…}` reference. Text that is not YAML is text.
pub(crate) fn parse_value(text: &str, span: &Span) -> Node {
    let mut problems = Problems::new();
    let mut node = match parse(text, &span.source, &mut problems) {
        Some(node) if problems.is_empty() => node,
        _ => Node::text(text, span.clone()),
    };
    if text.trim().is_empty() {
        node.value = Value::Null;
    }
    place(&mut node, span);
    node
}

/// Says that the node and all within stand at `span`.
pub(crate) fn place(node: &mut Node, span: &Span) {
    node.span = span.clone();
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::Seq(items) => items.iter_mut().for_each(|item| place(item, span)),
        Value::Map(map) => {
            for entry in &mut map.entries {
                entry.key_span = span.clone();
                place(&mut entry.value, span);
            }
        }
    }
}

fn syntax(text: &str, error: &ScanError) -> String {
    let line = text
        .lines()
        .nth(error.marker().line().saturating_sub(1))
        .unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    if indent.contains('\t') {
        "invalid YAML: a tab indents this line; indent with spaces".to_owned()
    } else {
        format!("invalid YAML: {}", error.info())
    }
}

enum Stop {
    Syntax(ScanError),
    /// The problem is already recorded and nothing after it can be trusted.
    Reported,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Syntax(error)
    }
}

type EventAt<'a> = (Event<'a>, saphyr_parser::Span);

struct Reader<'a, 'p> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'p Source,
    problems: &'p mut Problems,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
}

impl<'a> Reader<'a, '_> {
    fn span(&self, marker: &Marker) -> Span {
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(marker.col())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        Span::new(self.source, line.max(1), column)
    }

    fn next(&mut self) -> Result<EventAt<'a>, Stop> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, saphyr_parser::Span::default())),
        }
    }

    fn stop(&mut self, message: impl Into<String>, span: &Span) -> Stop {
        self.problems.push(Problem::error(message).span(span));
        Stop::Reported
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    let span = self.span(&at.start);
                    return Err(self.stop("a second YAML document begins here; put it in a file of its own and give several --config", &span));
                }
                Event::DocumentStart(_) => {
                    let event = self.next()?;
                    let (node, _) = self.node(event, 0)?;
                    root = Some(node);
                }
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => {
                    let span = self.span(&at.start);
                    return Err(self.stop("invalid YAML: content outside of the document", &span));
                }
            }
        }
    }

    /// The node that begins with `event`, and how many nodes it is made of.
    fn node(&mut self, (event, at): EventAt<'a>, depth: usize) -> Result<(Node, usize), Stop> {
        let span = self.span(&at.start);
        if depth > DEEPEST {
            return Err(self.stop(format!("nested more than {DEEPEST} levels deep"), &span));
        }
        let (node, anchor, size) = match event {
            Event::Alias(id) => return self.alias(id, &span),
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(text, style, tag, span), anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag, "seq", &span);
                let mut items = Vec::new();
                let mut size = 1;
                loop {
                    let event = self.next()?;
                    if event.0 == Event::SequenceEnd {
                        break;
                    }
                    let (item, of) = self.node(event, depth + 1)?;
                    size += of;
                    items.push(item);
                }
                (
                    Node {
                        value: Value::Seq(items),
                        span,
                        original: None,
                    },
                    anchor,
                    size,
                )
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag, "map", &span);
                let (map, size) = self.map(depth)?;
                (
                    Node {
                        value: Value::Map(map),
                        span,
                        original: None,
                    },
                    anchor,
                    size,
                )
            }
            _ => return Err(self.stop("invalid YAML: a value is missing", &span)),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<(Node, usize), Stop> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(self.stop("an alias stands within the value that it names", span));
        };
        self.aliased = self.aliased.saturating_add(*size);
        if self.aliased > ALIASED {
            return Err(self.stop(format!("aliases add more than {ALIASED} values"), span));
        }
        Ok((node.clone(), *size))
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<Cow<'a, Tag>>,
        span: Span,
    ) -> Node {
        let mut style = if style == ScalarStyle::Plain {
            Style::Plain
        } else {
            Style::Text
        };
        if let Some(tag) = tag {
            match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
                (true, "str") => style = Style::Text,
                (true, "int" | "float" | "bool" | "null") => style = Style::Plain,
                _ => self.unknown_tag(&tag, &span),
            }
        }
        let value = if style == Style::Plain && is_null(&text) {
            Value::Null
        } else {
            Value::Scalar(Scalar {
                text: text.into_owned(),
                style,
            })
        };
        Node {
            value,
            span,
            original: None,
        }
    }

    fn collection_tag(&mut self, tag: Option<Cow<'a, Tag>>, expected: &str, span: &Span) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.unknown_tag(&tag, span);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: &Span) {
        self.problems
            .push(Problem::error(format!("the YAML tag {tag} is not supported")).span(span));
    }

    fn map(&mut self, depth: usize) -> Result<(Map, usize), Stop> {
        let mut map = Map::default();
        let mut inherited = Vec::new();
        let mut keys = HashSet::new();
        let mut size = 1;
        loop {
            let event = self.next()?;
            if event.0 == Event::MappingEnd {
                break;
            }
            if keys.len() > KEYS {
                let span = self.span(&event.1.start);
                return Err(self.stop(format!("more than {KEYS} keys in one map"), &span));
            }
            let plain = matches!(&event.0, Event::Scalar(_, ScalarStyle::Plain, ..));
            let written = match &event.0 {
                Event::Scalar(text, ..) => Some(text.clone().into_owned()),
                _ => None,
            };
            let key_span = self.span(&event.1.start);
            let (key_node, of) = self.node(event, depth + 1)?;
            let key = match (written, key_node.value) {
                (Some(text), _) => Some(text),
                (None, Value::Scalar(scalar)) => Some(scalar.text),
                (None, _) => None,
            };
            let event = self.next()?;
            let (mut value, of_value) = self.node(event, depth + 1)?;
            size += of + of_value;
            if value.is_null() {
                value.span = key_span.clone();
            }
            match key {
                None => self.problems.push(
                    Problem::error("a key must be text, found a list or a map").span(&key_span),
                ),
                Some(key) if key == "<<" && plain => inherited.push(value),
                Some(key) if !keys.insert(key.clone()) => {
                    let first = map
                        .entry(&key)
                        .map(|entry| entry.key_span.line)
                        .unwrap_or_default();
                    let again = if first > 0 {
                        format!(" (first on line {first})")
                    } else {
                        String::new()
                    };
                    self.problems.push(
                        Problem::error(format!("the key '{key}' is given twice{again}"))
                            .span(&key_span),
                    );
                }
                Some(key) => map.entries.push(Entry {
                    key,
                    key_span,
                    value,
                }),
            }
        }
        for value in inherited {
            self.inherit(&mut map, &mut keys, value);
        }
        if map.entries.iter().any(|entry| nested(&entry.key).is_some()) {
            map = unflatten(map);
        }
        Ok((map, size))
    }

    /// The merge key: `value`'s entries that the map does not have itself.
    fn inherit(&mut self, map: &mut Map, keys: &mut HashSet<String>, value: Node) {
        match value.value {
            Value::Null => {}
            Value::Map(from) => {
                for entry in from.entries {
                    if keys.insert(entry.key.clone()) {
                        map.entries.push(entry);
                    }
                }
            }
            Value::Seq(items) if items.iter().all(|item| item.as_map().is_some()) => {
                items
                    .into_iter()
                    .for_each(|item| self.inherit(map, keys, item));
            }
            Value::Seq(_) | Value::Scalar(_) => {
                self.problems.push(
                    Problem::error("the merge key '<<' expects a map or a list of maps")
                        .span(&value.span),
                );
            }
        }
    }
}

/// `a::b` as (`a`, `b`).
fn nested(key: &str) -> Option<(&str, &str)> {
    key.split_once("::")
        .filter(|(outer, inner)| !outer.is_empty() && !inner.is_empty())
}

/// Keys within keys: `a::b: 1` is `a: {b: 1}`.
fn unflatten(flat: Map) -> Map {
    let mut map = Node::empty(Span::new(&Source::new(""), 0, 0));
    for Entry {
        key,
        key_span,
        mut value,
    } in flat.entries
    {
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = key.as_str();
        // As deep as a tree may be; what is left over stays one key.
        while parts.len() < DEEPEST
            && let Some((outer, inner)) = nested(rest)
        {
            parts.push(outer);
            rest = inner;
        }
        parts.push(rest);
        while let Some(part) = parts.pop() {
            let entry = Entry {
                key: part.to_owned(),
                key_span: key_span.clone(),
                value,
            };
            value = Node {
                value: Value::Map(Map {
                    entries: vec![entry],
                }),
                span: key_span.clone(),
                original: None,
            };
        }
        merge(&mut map, value);
    }
    match map.value {
        Value::Map(map) => map,
        _ => Map::default(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(yaml: &str, want: &Expect) {
        let mut problems = Problems::new();
        let tree = parse(yaml, &Source::new("c.yaml"), &mut problems);
        let mut got = tree
            .map(|tree| serde_json::to_string(&tree).unwrap())
            .unwrap_or_default();
        if !problems.is_empty() {
            got = format!("{got}\n{problems}");
        }
        want.assert_eq(&got);
    }

    #[test]
    fn reads_values() {
        check(
            "a: 5\nb: '5'\nc: [x, ~, true]\nd:\ne: |\n  two\n  lines\nf: !!str 5\n",
            &expect![[
                r#"{"a":5,"b":"5","c":["x",null,true],"d":null,"e":"two\nlines\n","f":"5"}"#
            ]],
        );
        check("", &expect!["{}"]);
        check("# nothing\n", &expect!["{}"]);
        check("\u{feff}a: 1", &expect![[r#"{"a":1}"#]]);
    }

    #[test]
    fn reads_anchors_and_merge_keys() {
        check(
            "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nuse: {<<: [*b, *o], x: 9}\nlist: [*b]\n",
            &expect![[
                r#"{"base":{"x":1,"y":2},"other":{"y":3,"z":4},"use":{"x":9,"y":2,"z":4},"list":[{"x":1,"y":2}]}"#
            ]],
        );
        check(
            "a: {<<: 5}",
            &expect![[r#"
            {"a":{}}
            c.yaml:1:9: the merge key '<<' expects a map or a list of maps"#]],
        );
        check(
            "a: &a [*a]",
            &expect![[r#"

            c.yaml:1:8: an alias stands within the value that it names"#]],
        );
    }

    #[test]
    fn keys_may_hold_keys() {
        check(
            "receivers::otlp::protocols: {grpc: }\nreceivers: {file_log: {}}\n\"::1\": x\n",
            &expect![[
                r#"{"receivers":{"otlp":{"protocols":{"grpc":null}},"file_log":{}},"::1":"x"}"#
            ]],
        );
    }

    #[test]
    fn says_what_is_not_yaml() {
        check(
            "a:\n\tb: 1\n",
            &expect![[r#"

            c.yaml:2:2: invalid YAML: a tab indents this line; indent with spaces"#]],
        );
        check(
            "a: [1, 2\nb: 3\n",
            &expect![[r#"

            c.yaml:2:2: invalid YAML: illegal placement of ':' indicator"#]],
        );
        check(
            "a: 1\n---\nb: 2\n",
            &expect![[r#"

            c.yaml:2:1: a second YAML document begins here; put it in a file of its own and give several --config"#]],
        );
        check(
            "a: 1\nb: 2\na: 3\n",
            &expect![[r#"
            {"a":1,"b":2}
            c.yaml:3:1: the key 'a' is given twice (first on line 1)"#]],
        );
        check(
            "a: !x 1\n",
            &expect![[r#"
            {"a":1}
            c.yaml:1:4: the YAML tag !x is not supported"#]],
        );
        check(
            "{[a]: 1}\n",
            &expect![[r#"
            {}
            c.yaml:1:2: a key must be text, found a list or a map"#]],
        );
    }

    #[test]
    fn bounds_aliases_and_depth() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(10);
            laughs.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        let mut problems = Problems::new();
        assert!(parse(&laughs, &Source::new("c.yaml"), &mut problems).is_none());
        assert!(
            problems
                .to_string()
                .contains("aliases add more than 100000 values"),
            "{problems}"
        );

        let mut problems = Problems::new();
        assert!(parse(&"[".repeat(100_000), &Source::new("c.yaml"), &mut problems).is_none());
        assert!(problems.has_errors());
        let mut problems = Problems::new();
        parse(
            &format!("{}: 1", vec!["a"; 5000].join("::")),
            &Source::new("c.yaml"),
            &mut problems,
        );
    }

    #[test]
    fn values_of_references_are_yaml_or_text() {
        let span = Span::new(&Source::new("c.yaml"), 3, 4);
        assert_eq!(
            parse_value("[a, b]", &span).as_seq().map(<[Node]>::len),
            Some(2)
        );
        assert_eq!(parse_value("{abc", &span).as_str(), Some("{abc"));
        assert!(parse_value("", &span).is_null());
        assert_eq!(
            parse_value("x: 1", &span)
                .get("x")
                .map(|node| node.span.clone()),
            Some(span)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[\PC\n\t]{0,200}") {
            let mut problems = Problems::new();
            let tree = parse(&text, &Source::new("c.yaml"), &mut problems);
            prop_assert!(tree.is_some() || problems.has_errors());
        }

        #[test]
        fn yaml_like_text_is_read_or_refused(text in r"([a-c<&*!|>'\x22%@`{}\[\]:,?~# \n\t-]|a: |- |&a |\*a |<<: |---\n|!!|\r\n){0,60}") {
            let mut problems = Problems::new();
            let tree = parse(&text, &Source::new("c.yaml"), &mut problems);
            prop_assert!(tree.is_some() || problems.has_errors());
        }
    }
}
