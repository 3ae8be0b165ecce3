//! A strict `serde` deserializer over the tree that finds every problem of a section in one run.
//!
//! `serde` stops at the first error. Here an error is recorded and the value it stands in is *pruned*: the section
//! is decoded again as if the value were not written, so that the next error shows itself. Configs
//! give every field a default, so a pruned value rarely leads to a second error; where it does (a
//! missing required field), that one is not reported.
//!
//! A struct tells its fields' names, so unknown ones are found here and no `deny_unknown_fields` is
//! needed. (One place needs it: the structs in an enum with `#[serde(tag = "…")]`, whose content
//! `serde` copies before it knows the variant.) An error in such a copy has lost its place; [`blame`] finds it again by
//! leaving out one value after the other.

mod access;
mod error;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use serde::de::{DeserializeOwned, Visitor};
use serde::forward_to_deserialize_any;

use self::access::{Choice, Entries, Items, One, Pair, Parts, Shared};
use self::error::{DecodeError, Kind};
use crate::node::{Entry, Map, Meaning, Node, Span, Value};
use crate::problem::{Problem, Problems};

/// Names that types of this crate pass to `deserialize_newtype_struct` to ask for more than `serde`'s model has.
pub(crate) mod ask {
    /// `(enabled, T)`, null meaning an empty map.
    pub(crate) const OPTIONAL: &str = "$corten::Optional";
    /// A list, or a single value as a list of one.
    pub(crate) const ONE_OR_MANY: &str = "$corten::OneOrMany";
    /// A string that no message may show.
    pub(crate) const SECRET: &str = "$corten::Secret";
    /// The node itself, left for [`super::take_node`].
    pub(crate) const NODE: &str = "$corten::Node";
    /// The same node again for every element of a sequence: the parts of a squashed struct.
    pub(crate) const PARTS: &str = "$corten::Parts";
    /// Fields that are not written come from the node left with [`super::leave_defaults`].
    pub(crate) const OVER: &str = "$corten::Over";
}

thread_local! {
    /// A node on its way to a type that asked for [`ask::NODE`]; `serde` has no way to hand over a value of ours.
    static TAKEN: RefCell<Option<(Node, String)>> = const { RefCell::new(None) };
}

/// The node, and its path, that the deserializer left for a type that asked for [`ask::NODE`].
pub(crate) fn take_node() -> Option<(Node, String)> {
    TAKEN.take()
}

thread_local! {
    /// Defaults on their way to the deserializer.
    static DEFAULTS: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Leaves defaults for the [`ask::OVER`] that follows.
pub(crate) fn leave_defaults(defaults: Option<Node>) {
    DEFAULTS.set(defaults);
}

/// Problems of one section; a person stops reading earlier.
const MOST: usize = 100;

/// Decodings that finding the places of copied errors may cost in one section.
const TRIES: usize = 2000;

/// Decodes `node`, which stands at `path`. Adds every problem to `problems`.
///
/// The value is there even with problems, each bad value at its default, unless nothing could be
/// made of it.
pub(crate) fn decode<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    let mut run = Run::new(node, path);
    let mut found = Vec::new();
    let mut tries = TRIES;
    let value = loop {
        let error = match T::deserialize(Decoder::new(node, &run)) {
            Ok(value) => break Some(value),
            Err(error) => error.after(Decoder::new(node, &run)),
        };
        let mut at = run.blame::<T>(&error, &mut tries);
        let told = match &error.kind {
            Kind::Null { .. } => !std::ptr::eq(at, node),
            Kind::MissingField(field) => at.get(field).is_some_and(|value| run.is_reported(value)),
            _ => false,
        };
        if !told {
            found.push(run.problem(at, &error));
        }
        if found.len() >= MOST {
            break None;
        }
        if let Kind::UnknownField { name, .. } = &error.kind
            && let Some(value) = at.get(name)
        {
            at = value;
        }
        // Leaving it out did not help: leave out what it stands in.
        while run.is_pruned(at)
            && let Some(outer) = parent(node, at)
        {
            at = outer;
        }
        if std::ptr::eq(at, node) {
            break None;
        }
        let null = matches!(error.kind, Kind::Null { .. });
        run.pruned.insert(
            address(at),
            if null { Pruned::Null } else { Pruned::Reported },
        );
    };
    for problem in run.unknown_fields().into_iter().chain(found) {
        problems.push(problem);
    }
    value
}

/// One pass over the tree: what is left out, and what was found on the way.
pub(crate) struct Run<'a> {
    root: &'a Node,
    /// The path of `root`.
    path: &'a str,
    /// Addresses of nodes that are treated as if they were not written.
    pruned: HashMap<usize, Pruned>,
    /// For every map that was read as a struct, by its address: the fields of the struct, or of
    /// several when they share the map.
    fields: RefCell<BTreeMap<usize, Vec<&'static [&'static str]>>>,
}

/// Why a node is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pruned {
    /// It is null, which is as good as not written.
    Null,
    /// It has a problem, which is recorded.
    Reported,
}

/// The tree does not move while it is decoded, so that an address names a node.
fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl<'a> Run<'a> {
    fn new(root: &'a Node, path: &'a str) -> Self {
        Self {
            root,
            path,
            pruned: HashMap::new(),
            fields: RefCell::default(),
        }
    }

    fn is_pruned(&self, node: &Node) -> bool {
        !self.pruned.is_empty() && self.pruned.contains_key(&address(node))
    }

    fn is_reported(&self, node: &Node) -> bool {
        self.pruned.get(&address(node)) == Some(&Pruned::Reported)
    }

    /// `map` is read as a struct with `fields`.
    fn reads(&self, map: &Node, fields: &'static [&'static str]) {
        let mut all = self.fields.borrow_mut();
        let of_map = all.entry(address(map)).or_default();
        if !of_map.iter().any(|known| std::ptr::eq(*known, fields)) {
            of_map.push(fields);
        }
    }

    /// A problem for every key of a struct that is none of its fields.
    fn unknown_fields(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (place, fields) in self.fields.borrow().iter() {
            let Some(at) = find(self.root, *place) else {
                continue;
            };
            let Some(map) = at.as_map() else { continue };
            let fields: Vec<&str> = fields.iter().copied().flatten().copied().collect();
            for entry in map
                .iter()
                .filter(|entry| !fields.contains(&entry.key.as_str()))
            {
                let (message, suggestion) = error::unknown("field", &entry.key, &fields);
                let problem = Problem {
                    suggestion,
                    ..Problem::error(message)
                };
                found.push(problem.span(&entry.key_span).path(self.path_to(at)));
                if found.len() >= MOST {
                    return found;
                }
            }
        }
        found
    }

    /// The node that `error` is about: where it was raised, or deeper when that value was copied
    /// first.
    fn blame<T: DeserializeOwned>(&self, error: &DecodeError, tries: &mut usize) -> &'a Node {
        let mut at = error
            .at
            .and_then(|place| find(self.root, place))
            .unwrap_or(self.root);
        if !error.copied {
            return at;
        }
        // An unknown field stands in the map that has it.
        let belongs = |node: &Node| matches!(&error.kind, Kind::UnknownField { name, .. } if node.get(name).is_some());
        'deeper: while !belongs(at) {
            for child in children(at).filter(|child| !self.is_pruned(child)) {
                *tries = match tries.checked_sub(1) {
                    Some(left) => left,
                    None => return at,
                };
                let mut without = Run::new(self.root, self.path);
                without.pruned.clone_from(&self.pruned);
                without.pruned.insert(address(child), Pruned::Reported);
                let decoder = Decoder::new(self.root, &without);
                let cured = match T::deserialize(decoder).map_err(|error| error.after(decoder)) {
                    Ok(_) => true,
                    // Without the tag of an enum nothing is known about the rest of it.
                    Err(other) => {
                        other.at != error.at
                            || (other.kind != error.kind
                                && !matches!(other.kind, Kind::MissingField(_)))
                    }
                };
                if cured {
                    at = child;
                    continue 'deeper;
                }
            }
            break;
        }
        at
    }

    fn problem(&self, at: &Node, error: &DecodeError) -> Problem {
        let (message, suggestion) = error.message(at);
        let problem = Problem {
            suggestion,
            ..Problem::error(message)
        };
        let mut place = at;
        let mut span = &at.span;
        if let Kind::UnknownField { name, .. } = &error.kind {
            span = key_span(at, |entry| entry.key == *name).unwrap_or(span);
        } else if error.key
            && let Some(outer) = parent(self.root, at)
        {
            span = key_span(outer, |entry| std::ptr::eq(&entry.value, at)).unwrap_or(span);
            place = outer;
        }
        problem.span(span).path(self.path_to(place))
    }

    fn path_to(&self, to: &Node) -> String {
        fn walk(node: &Node, to: &Node, path: &mut String) -> bool {
            if std::ptr::eq(node, to) {
                return true;
            }
            let length = path.len();
            let mut down = |part: &str, child: &Node| {
                path.push_str(part);
                let found = walk(child, to, path);
                if !found {
                    path.truncate(length);
                }
                found
            };
            match &node.value {
                Value::Null | Value::Scalar(_) => false,
                Value::Seq(items) => items
                    .iter()
                    .enumerate()
                    .any(|(index, item)| down(&format!("[{index}]"), item)),
                Value::Map(map) => map.iter().any(|entry| {
                    let separator = if length == 0 { "" } else { "::" };
                    down(&format!("{separator}{}", entry.key), &entry.value)
                }),
            }
        }
        let mut path = self.path.to_owned();
        walk(self.root, to, &mut path);
        path
    }
}

fn key_span(map: &Node, which: impl Fn(&Entry) -> bool) -> Option<&Span> {
    map.as_map()?
        .iter()
        .find(|entry| which(entry))
        .map(|entry| &entry.key_span)
}

fn children(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match &node.value {
        Value::Null | Value::Scalar(_) => Box::new(std::iter::empty()),
        Value::Seq(items) => Box::new(items.iter()),
        Value::Map(map) => Box::new(map.iter().map(|entry| &entry.value)),
    }
}

fn find(root: &Node, place: usize) -> Option<&Node> {
    if address(root) == place {
        Some(root)
    } else {
        children(root).find_map(|child| find(child, place))
    }
}

fn parent<'a>(root: &'a Node, of: &Node) -> Option<&'a Node> {
    if children(root).any(|child| std::ptr::eq(child, of)) {
        return Some(root);
    }
    children(root).find_map(|child| parent(child, of))
}

/// The deserializer of one node.
#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a> {
    node: &'a Node,
    run: &'a Run<'a>,
    /// Messages do not show the value.
    secret: bool,
    /// Values for the fields of a struct that are not written.
    defaults: Option<&'a Node>,
}

impl<'a> Decoder<'a> {
    fn new(node: &'a Node, run: &'a Run<'a>) -> Self {
        Self {
            node,
            run,
            secret: false,
            defaults: None,
        }
    }

    /// The deserializer of a node within.
    fn over(self, node: &'a Node) -> Self {
        Self {
            node,
            defaults: None,
            ..self
        }
    }

    fn expected(self, expected: impl Into<String>) -> DecodeError {
        let expected = expected.into();
        let kind = if self.node.is_null() {
            Kind::Null { expected }
        } else {
            Kind::Expected {
                expected,
                found: None,
            }
        };
        DecodeError::new(kind).at(self)
    }

    fn located<T>(self, result: Result<T, DecodeError>) -> Result<T, DecodeError> {
        result.map_err(|error| error.at(self))
    }

    fn meaning(self) -> Option<Meaning<'a>> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar.meaning()),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    fn string(self) -> Result<&'a str, DecodeError> {
        self.node.as_str().ok_or_else(|| self.expected("a string"))
    }

    fn integer<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        name: &str,
    ) -> Result<V::Value, DecodeError> {
        // 1e3 and 5.0 are whole numbers.
        let result = match self.meaning() {
            Some(Meaning::Int(value)) => signed(visitor, value),
            Some(Meaning::Uint(value)) => visitor.visit_u64(value),
            Some(Meaning::Float(value)) if let Some(value) = whole(value) => signed(visitor, value),
            _ => return Err(self.expected(error::words(name))),
        };
        self.located(result)
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match self.meaning() {
            Some(Meaning::Int(value)) => visitor.visit_i64(value),
            Some(Meaning::Uint(value)) => visitor.visit_u64(value),
            Some(Meaning::Float(value)) => visitor.visit_f64(value),
            _ => return Err(self.expected("a number")),
        };
        self.located(result)
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if let Value::Seq(items) = &self.node.value {
            return self.located(visitor.visit_seq(Items::new(items, self)));
        }
        // As the Collector has it: "a,b" is a list of two, "" of none.
        let text = self.node.as_str().ok_or_else(|| self.expected("a list"))?;
        let part = |part| Node::text(part, self.node.span.clone());
        let parts: Vec<Node> = if text.is_empty() {
            Vec::new()
        } else {
            text.split(',').map(part).collect()
        };
        let run = Run::new(self.node, "");
        // The parts have no place of their own.
        visitor
            .visit_seq(Parts {
                parts: parts.iter(),
                run: &run,
            })
            .map_err(|error| error.moved(self))
    }

    fn entries<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        fields: Option<&'static [&'static str]>,
    ) -> Result<V::Value, DecodeError> {
        match (&self.node.value, fields) {
            (Value::Map(_), _) => self.located(visitor.visit_map(Entries::new(self, fields))),
            // A section that is there but empty has its defaults.
            (Value::Null, Some(_)) => self.located(visitor.visit_map(Entries::new(self, fields))),
            (_, Some(_)) => Err(self.expected("a section (a map of settings)")),
            (_, None) => Err(self.expected("a map")),
        }
    }

    fn optional<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        const SWITCH: &str = "enabled";
        let mut enabled = true;
        self.run.reads(self.node, &[SWITCH]);
        if let Some(switch) = self
            .node
            .get(SWITCH)
            .filter(|switch| !self.run.is_pruned(switch))
        {
            enabled = <bool as serde::Deserialize>::deserialize(self.over(switch))?;
        }
        self.located(visitor.visit_seq(Pair {
            enabled: Some(enabled),
            value: Some(self),
        }))
    }
}

fn signed<'de, V: Visitor<'de>>(visitor: V, value: i64) -> Result<V::Value, DecodeError> {
    match u64::try_from(value) {
        Ok(value) => visitor.visit_u64(value),
        Err(_) => visitor.visit_i64(value),
    }
}

fn whole(value: f64) -> Option<i64> {
    // 2^53: beyond it not every whole number has a float.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= LARGEST {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number within 2^53 is exact"
        )]
        let whole = value as i64;
        Some(whole)
    } else {
        None
    }
}

macro_rules! integers {
    ($($method:ident $name:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.integer(visitor, $name)
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Seq(items) => visitor.visit_seq(Items::new(items, self)),
            Value::Map(_) => visitor.visit_map(Entries::new(self, None)),
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Bool(value) => visitor.visit_bool(value),
                Meaning::Int(value) => signed(visitor, value),
                Meaning::Uint(value) => visitor.visit_u64(value),
                Meaning::Float(value) => visitor.visit_f64(value),
                Meaning::Text(text) => visitor.visit_str(text),
            },
        };
        self.located(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.meaning() {
            Some(Meaning::Bool(value)) => self.located(visitor.visit_bool(value)),
            _ => Err(self.expected("true or false")),
        }
    }

    integers! {
        deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32" deserialize_i64 "i64" deserialize_i128 "i128"
        deserialize_u8 "u8" deserialize_u16 "u16" deserialize_u32 "u32" deserialize_u64 "u64" deserialize_u128 "u128"
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.float(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = self.string()?;
        self.located(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            self.located(visitor.visit_some(self))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Map(map) if map.is_empty() => visitor.visit_unit(),
            _ => Err(self.expected("nothing; there are no settings here")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            ask::OPTIONAL => self.optional(visitor),
            ask::ONE_OR_MANY => match &self.node.value {
                Value::Seq(items) => self.located(visitor.visit_seq(Items::new(items, self))),
                _ => self.located(visitor.visit_seq(One(Some(self)))),
            },
            ask::SECRET => Self {
                secret: true,
                ..self
            }
            .deserialize_str(visitor),
            ask::NODE => {
                TAKEN.set(Some((self.node.clone(), self.run.path_to(self.node))));
                self.located(visitor.visit_unit())
            }
            ask::PARTS => self.located(visitor.visit_seq(Shared(self))),
            ask::OVER => {
                let defaults = DEFAULTS.take();
                let defaults = defaults.as_ref();
                self.located(visitor.visit_newtype_struct(Decoder { defaults, ..self }))
            }
            _ => self.located(visitor.visit_newtype_struct(self)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.entries(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.entries(visitor, Some(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let choice = match &self.node.value {
            // The text counts, not what it looks like: 1.2 is a version here, not a number.
            Value::Scalar(scalar) => {
                let variant = self.node.original.as_deref().unwrap_or(&scalar.text);
                Choice {
                    variant,
                    content: None,
                    decoder: self,
                }
            }
            Value::Map(Map { entries }) if let [entry] = entries.as_slice() => Choice {
                variant: &entry.key,
                content: Some(self.over(&entry.value)),
                decoder: self,
            },
            _ => return Err(self.expected(format!("one of {}", known.join(", ")))),
        };
        self.located(visitor.visit_enum(choice))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit }
}
