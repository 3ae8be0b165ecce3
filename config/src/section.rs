//! A part of the configuration on its way to its type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::{ask, decode, take_node};
use crate::expand::expand;
use crate::node::{Node, Source, Span, Value};
use crate::parse::parse;
use crate::problem::{Problem, Problems};

/// The settings of one component, or of a part of one, before they have a type.
///
/// A config may have a field of this type where only other settings tell the type of its content
/// (the operators of a log receiver); decode it in [`Check::check`] or when the component is built.
#[derive(Clone, PartialEq)]
pub struct Section {
    node: Node,
    path: String,
}

impl Section {
    /// The section `node`, which messages call `path`.
    pub fn new(node: Node, path: impl Into<String>) -> Self {
        Self {
            node,
            path: path.into(),
        }
    }

    /// A section with nothing in it, for a component that somebody uses without settings.
    pub fn empty(path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            node: Node::empty(Span::whole(&Source::new(&path))),
            path,
        }
    }

    /// What it holds.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What messages call it, such as `receivers::file_log`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it begins.
    pub fn span(&self) -> &Span {
        &self.node.span
    }

    /// The section as a `T`, or `None` when it has any error. Adds every problem to `problems`.
    ///
    /// Null and `{}` mean defaults. Unknown fields are errors whether `T` denies them or not.
    pub fn decode<T: DeserializeOwned>(&self, problems: &mut Problems) -> Option<T> {
        let before = problems.error_count();
        let value = self.lenient(problems);
        value.filter(|_| problems.error_count() == before)
    }

    /// Like [`Section::decode`], and then what only [`Check`] can tell. The check runs with decode
    /// errors as well, to report all problems in one run; what it says about a field that already has an
    /// error is dropped.
    pub fn decode_checked<T: DeserializeOwned + Check>(
        &self,
        problems: &mut Problems,
    ) -> Option<T> {
        let before = problems.error_count();
        let value: Option<T> = self.lenient(problems);
        if let Some(value) = &value {
            value.check(&mut Checker::new(self, problems));
        }
        value.filter(|_| problems.error_count() == before)
    }

    /// Whatever could be made of it, bad values at their defaults.
    pub(crate) fn lenient<T: DeserializeOwned>(&self, problems: &mut Problems) -> Option<T> {
        match self.node.value {
            // The section of a component is a map; `batch:` is one without settings.
            Value::Null => decode(&Node::empty(self.node.span.clone()), &self.path, problems),
            _ => decode(&self.node, &self.path, problems),
        }
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the content: nobody has said yet what in it is secret.
        write!(f, "Section({} at {})", self.path, self.node.span)
    }
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taken;
        impl Visitor<'_> for Taken {
            type Value = Section;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a section of a configuration file")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Section, E> {
                let (node, path) = take_node().ok_or_else(|| {
                    E::custom("a section can only be read from a configuration file")
                })?;
                Ok(Section { node, path })
            }
        }
        // What another section has left behind.
        drop(take_node());
        deserializer
            .deserialize_newtype_struct(ask::NODE, Taken)
            .map_err(D::Error::custom)
    }
}

/// Plain values; secrets are shown, since a section does not know them.
impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.node.serialize(serializer)
    }
}

impl schemars::JsonSchema for Section {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Section".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
}

/// What types cannot say about a config: how its fields depend on each other.
///
/// ```
/// use corten_config::{Check, Checker, from_str};
///
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(default)]
/// struct Config {
///     send_batch_size: u32,
///     send_batch_max_size: u32,
/// }
///
/// impl Default for Config {
///     fn default() -> Self {
///         Self { send_batch_size: 8192, send_batch_max_size: 0 }
///     }
/// }
///
/// impl Check for Config {
///     fn check(&self, at: &mut Checker<'_>) {
///         if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
///             at.field("send_batch_max_size").error("must be greater or equal to send_batch_size");
///         }
///     }
/// }
///
/// let problems = from_str::<Config>("send_batch_max_size: 10").unwrap_err();
/// assert_eq!(
///     problems.to_string(),
///     "config:1:22: send_batch_max_size must be greater or equal to send_batch_size",
/// );
/// ```
pub trait Check {
    /// Reports everything that is wrong with the values; nothing by default.
    fn check(&self, at: &mut Checker<'_>) {
        // Most configs are right when their fields are.
        let _ = at;
    }
}

impl Check for () {}

/// Where a [`Check`] reports what it finds: knows the section, its places and its path.
#[derive(Debug)]
pub struct Checker<'a> {
    node: Option<&'a Node>,
    /// The section, or the next one around it that is written.
    span: Span,
    path: String,
    problems: &'a mut Problems,
}

impl<'a> Checker<'a> {
    /// For the values of `section`.
    pub fn new(section: &'a Section, problems: &'a mut Problems) -> Self {
        Self {
            node: Some(&section.node),
            span: section.node.span.clone(),
            path: section.path.clone(),
            problems,
        }
    }

    /// The section's path, such as `processors::batch`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports an error about the section as a whole.
    pub fn error(&mut self, message: impl Into<String>) {
        self.spot(None, None).error(message);
    }

    /// Reports a warning about the section as a whole.
    pub fn warning(&mut self, message: impl Into<String>) {
        self.spot(None, None).warning(message);
    }

    /// For a message that begins with the field's name: `at.field("timeout").error("must be positive")` says
    /// `processors::batch: timeout must be positive` and points at the value.
    pub fn field(&mut self, name: &str) -> Spot<'_> {
        self.spot(Some(name), Some(name.to_owned()))
    }

    /// For a message in its own words about a field: `at.on("check_interval").error("'check_interval' must be
    /// greater than zero")` points at the value, or at the section when it is not written.
    pub fn on(&mut self, name: &str) -> Spot<'_> {
        self.spot(Some(name), None)
    }

    /// Whether the field is written in the file.
    pub fn has(&self, name: &str) -> bool {
        self.node.is_some_and(|node| node.get(name).is_some())
    }

    /// For the values of the section `name` within: `self.tls.check(&mut at.section("tls"))`.
    pub fn section(&mut self, name: &str) -> Checker<'_> {
        let node = self.node.and_then(|node| node.get(name));
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}::{name}", self.path)
        };
        let span = node.map_or_else(|| self.span.clone(), |node| node.span.clone());
        Checker {
            node,
            span,
            path,
            problems: self.problems,
        }
    }

    /// For item `index` of the list `name`.
    pub fn item(&mut self, name: &str, index: usize) -> Checker<'_> {
        let inner = self.section(name);
        let node = inner.node.and_then(|node| match node.as_seq() {
            Some(items) => items.get(index),
            // A single value where a list may stand.
            None if index == 0 => Some(node),
            None => None,
        });
        let span = node.map_or(inner.span, |node| node.span.clone());
        Checker {
            node,
            span,
            path: format!("{}[{index}]", inner.path),
            problems: inner.problems,
        }
    }

    /// Where problems go: for decoding a [`Section`] that a config holds.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    fn spot(&mut self, name: Option<&str>, subject: Option<String>) -> Spot<'_> {
        let entry = name.and_then(|name| self.node?.as_map()?.entry(name));
        let span = entry.map_or_else(|| self.span.clone(), |entry| entry.value.span.clone());
        let known = name.is_some_and(|name| {
            let path = if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}::{name}", self.path)
            };
            self.problems.has_error_at(&path)
        });
        Spot {
            span,
            path: self.path.clone(),
            subject,
            known,
            problems: self.problems,
        }
    }
}

/// A place for one message.
#[derive(Debug)]
pub struct Spot<'a> {
    span: Span,
    path: String,
    subject: Option<String>,
    /// The field already has an error: what depends on its value means nothing.
    known: bool,
    problems: &'a mut Problems,
}

impl Spot<'_> {
    /// Reports an error here.
    pub fn error(self, message: impl Into<String>) {
        self.report(Problem::error(message));
    }

    /// Reports a warning here.
    pub fn warning(self, message: impl Into<String>) {
        self.report(Problem::warning(message));
    }

    fn report(self, mut problem: Problem) {
        if self.known {
            return;
        }
        if let Some(subject) = &self.subject {
            problem.message = format!("{subject} {}", problem.message);
        }
        self.problems.push(problem.span(&self.span).path(self.path));
    }
}

/// A config from YAML text, decoded and checked: for tests and examples. `${…}` is expanded with no
/// variables set.
///
/// # Errors
/// Everything that is wrong with it; messages call the text `config`.
pub fn from_str<T: DeserializeOwned + Check>(yaml: &str) -> Result<T, Problems> {
    let mut problems = Problems::new();
    let section = section(yaml, "", &mut problems);
    match section.and_then(|section| section.decode_checked(&mut problems)) {
        Some(value) if !problems.has_errors() => Ok(value),
        _ => Err(problems),
    }
}

/// A value from YAML or JSON that is no configuration, such as a list that another program writes: `$` means nothing in
/// it.
///
/// # Errors
/// Everything that is wrong with it; messages call the text `name`.
pub fn from_data<T: DeserializeOwned>(name: &str, yaml: &str) -> Result<T, Problems> {
    let mut problems = Problems::new();
    let tree = parse(yaml, &Source::new(name), &mut problems);
    match tree.and_then(|tree| Section::new(tree, "").decode(&mut problems)) {
        Some(value) if !problems.has_errors() => Ok(value),
        _ => Err(problems),
    }
}

/// A section from YAML text that messages call `path`: for tests of what takes a section.
pub fn section(yaml: &str, path: &str, problems: &mut Problems) -> Option<Section> {
    let mut tree = parse(yaml, &Source::new("config"), problems)?;
    expand(&mut tree, &BTreeMap::<String, String>::new(), problems);
    Some(Section::new(tree, path))
}
