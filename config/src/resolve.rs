//! From `--config` and `--set` to one merged tree with every `${…}` replaced.

use std::collections::{BTreeMap, HashMap};
use std::io;

use crate::expand::expand;
use crate::merge::merge;
use crate::model::Document;
use crate::node::{Entry, Map, Node, Source, Span, Value};
use crate::parse::{parse, place};
use crate::problem::{Problem, Problems};

/// What a configuration may refer to outside of itself.
///
/// Tests give a map of variables; the agent gives [`Process`].
pub trait Environment {
    /// The value of an environment variable; `None` when it is unset.
    fn var(&self, name: &str) -> Option<String>;

    /// The text of a file: a `--config` or a `${file:…}`. A relative path starts at the working
    /// directory.
    ///
    /// # Errors
    /// When there is no such file, it may not be read, or it is not UTF-8.
    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// This process's environment variables and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Environment for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Environment for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

impl Environment for HashMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// Where a configuration comes from, in the order of the command line. Every `--set` is applied after
/// every `--config`.
///
/// ```
/// use corten_config::{Problems, Sources};
/// let env = std::collections::BTreeMap::from([("PORT".to_owned(), "4317".to_owned())]);
/// let mut problems = Problems::new();
/// let document = Sources::new()
///     .config("yaml:receivers::otlp::protocols::grpc::endpoint: localhost:${env:PORT}")
///     .set("processors.batch.timeout=5s")
///     .resolve(&env, &mut problems);
/// assert!(problems.is_empty(), "{problems}");
/// let otlp = document.root().get("receivers").and_then(|node| node.get("otlp"));
/// let endpoint = otlp.and_then(|node| node.get("protocols")?.get("grpc")?.get("endpoint")?.as_str());
/// assert_eq!(endpoint, Some("localhost:4317"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sources {
    configs: Vec<Config>,
    sets: Vec<String>,
}

#[derive(Clone, Debug)]
enum Config {
    Uri(String),
    Text { name: String, text: String },
}

impl Sources {
    /// No sources yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a `--config`: a path, `file:path`, `env:NAME` (a variable that holds YAML) or
    /// `yaml:text`.
    #[must_use]
    pub fn config(mut self, uri: impl Into<String>) -> Self {
        self.configs.push(Config::Uri(uri.into()));
        self
    }

    /// Adds a configuration that is already text, such as the embedded default; messages call it
    /// `name`.
    #[must_use]
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.configs.push(Config::Text {
            name: name.into(),
            text: text.into(),
        });
        self
    }

    /// Adds a `--set key=value`. The key's levels are separated by `.`, or by `::` when a level has
    /// a dot in it; the value is YAML.
    #[must_use]
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.sets.push(assignment.into());
        self
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.configs.is_empty() && self.sets.is_empty()
    }

    /// Reads, merges and expands every source.
    ///
    /// What could be read is returned even with problems, so that later stages find theirs in the
    /// same run; do not use it when `problems` has errors.
    pub fn resolve(&self, env: &dyn Environment, problems: &mut Problems) -> Document {
        if self.is_empty() {
            problems.push(Problem::error("at least one config flag must be provided"));
        }
        let mut root: Option<Node> = None;
        let mut add = |node: Node| match &mut root {
            Some(root) => merge(root, node),
            None => root = Some(node),
        };
        for config in &self.configs {
            let tree = match config {
                Config::Uri(uri) => read(uri, env, problems),
                Config::Text { name, text } => parse(text, &Source::new(name), problems),
            };
            if let Some(tree) = tree.and_then(|tree| as_map(tree, problems)) {
                add(tree);
            }
        }
        for assignment in &self.sets {
            if let Some(tree) = assign(assignment, problems) {
                add(tree);
            }
        }
        let mut root =
            root.unwrap_or_else(|| Node::empty(Span::new(&Source::new("configuration"), 1, 1)));
        expand(&mut root, env, problems);
        Document::new(root)
    }
}

/// `scheme:rest`, when the text begins with a scheme. One letter is a drive, not a scheme.
pub(crate) fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    valid.then_some((scheme, rest))
}

fn read(uri: &str, env: &dyn Environment, problems: &mut Problems) -> Option<Node> {
    let path = match scheme(uri) {
        None => uri,
        Some(("file", path)) => path,
        Some(("yaml", text)) => return parse(text, &Source::new("yaml:"), problems),
        Some(("env", name)) => {
            return match env.var(name) {
                Some(text) => parse(&text, &Source::new(uri), problems),
                None => {
                    problems.push(Problem::error(format!(
                        "--config {uri}: the environment variable {name} is not set"
                    )));
                    None
                }
            };
        }
        Some(("http" | "https", _)) => {
            problems.push(Problem::error(format!(
                "--config {uri}: fetching the configuration over HTTP is not supported; download it first and give its path"
            )));
            return None;
        }
        Some((other, _)) => {
            problems.push(
                Problem::error(format!(
                    "--config {uri}: unknown scheme '{other}' (valid: file, env, yaml)"
                ))
                .nearest(other, ["file", "env", "yaml"]),
            );
            return None;
        }
    };
    match env.read(path) {
        Ok(text) => parse(&text, &Source::new(path), problems),
        Err(error) => {
            problems.push(Problem::error(format!(
                "{path}: cannot read the configuration: {error}"
            )));
            None
        }
    }
}

fn as_map(tree: Node, problems: &mut Problems) -> Option<Node> {
    match tree.value {
        Value::Map(_) => Some(tree),
        Value::Null => None,
        Value::Scalar(_) | Value::Seq(_) => {
            problems.push(
                Problem::error(format!(
                    "a configuration is a map of sections, found {}",
                    tree.describe()
                ))
                .span(&tree.span),
            );
            None
        }
    }
}

fn assign(assignment: &str, problems: &mut Problems) -> Option<Node> {
    let (key, value) = match assignment.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => (key.trim(), value.trim()),
        _ => {
            problems.push(Problem::error(format!(
                "--set {assignment}: expected key=value, such as processors.batch.timeout=5s"
            )));
            return None;
        }
    };
    // The key alone: the value may be a secret.
    let source = Source::new(format!("--set {key}"));
    let span = Span::whole(&source);
    let mut tree = if value.is_empty() {
        Node::null(span.clone())
    } else {
        parse(value, &source, problems)?
    };
    place(&mut tree, &span);
    let separator = if key.contains("::") { "::" } else { "." };
    let levels: Vec<&str> = key.split(separator).collect();
    if levels.len() > 32 || levels.iter().any(|level| level.is_empty()) {
        problems.push(Problem::error(format!(
            "--set {key}: the key has an empty level or too many"
        )));
        return None;
    }
    for level in levels.into_iter().rev() {
        let entry = Entry {
            key: level.to_owned(),
            key_span: span.clone(),
            value: tree,
        };
        tree = Node {
            value: Value::Map(Map {
                entries: vec![entry],
            }),
            span: span.clone(),
            original: None,
        };
    }
    Some(tree)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(sources: &Sources, want: &Expect) {
        let env = BTreeMap::from([("WHOLE".to_owned(), "a: {b: 1}".to_owned())]);
        let mut problems = Problems::new();
        let document = sources.resolve(&env, &mut problems);
        let mut got = serde_json::to_string(document.root()).unwrap();
        if !problems.is_empty() {
            got = format!("{got}\n{problems}");
        }
        want.assert_eq(&got);
    }

    #[test]
    fn later_sources_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "a: {b: 0, c: 2, d: [1, 2]}\n").unwrap();
        check(
            &Sources::new()
                .set("a.d=[9]")
                .config(path.to_str().unwrap())
                .config(format!("file:{}", path.display()))
                .config("env:WHOLE")
                .config("yaml:a::e: 5")
                .set("x::y.z=1")
                .set("a.c="),
            &expect![[r#"{"a":{"b":1,"c":null,"d":[9],"e":5},"x":{"y.z":1}}"#]],
        );
    }

    #[test]
    fn set_says_its_key_but_never_its_value() {
        let mut problems = Problems::new();
        let document = Sources::new()
            .set("a.password=[hunter2]")
            .set("b={")
            .resolve(&BTreeMap::new(), &mut problems);
        let section = crate::Section::new(document.root().get("a").unwrap().clone(), "a");
        section.decode::<BTreeMap<String, crate::types::Secret>>(&mut problems);
        expect![[r#"
            --set a.password: a::password: expected a string; write it in quotes
            --set b:2:1: invalid YAML: while parsing a node, did not find expected node content"#]]
        .assert_eq(&problems.to_string());
    }

    #[test]
    fn says_what_cannot_be_read() {
        check(
            &Sources::new()
                .config("/nonexistent/c.yaml")
                .config("https://x/y")
                .config("evn:WHOLE")
                .config("env:UNSET")
                .config("yaml:[1]")
                .set("novalue")
                .set("a..b=1"),
            &expect![[r#"
                {}
                /nonexistent/c.yaml: cannot read the configuration: No such file or directory (os error 2)
                --config https://x/y: fetching the configuration over HTTP is not supported; download it first and give its path
                --config evn:WHOLE: unknown scheme 'evn' (valid: file, env, yaml), did you mean 'env'?
                --config env:UNSET: the environment variable UNSET is not set
                --set novalue: expected key=value, such as processors.batch.timeout=5s
                --set a..b: the key has an empty level or too many
                yaml::1:1: a configuration is a map of sections, found a list"#]],
        );
        check(
            &Sources::new(),
            &expect![[r#"
            {}
            at least one config flag must be provided"#]],
        );
    }
}
