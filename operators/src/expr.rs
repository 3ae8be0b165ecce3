//! The language of conditions: `attributes["stream"] == "stderr" and body matches "^E\\d+"`.
//!
//! It is expr-lang as the Collector's operators use it. An entry offers `body` (or `$`), `attributes`, `resource`,
//! `timestamp`, `severity_text`, `severity_number` and `scope_name`. There are `and`/`&&`, `or`/`||`, `not`/`!`, comparisons,
//! `in`, `contains`, `startsWith`, `endsWith`, `matches` (a regular expression), arithmetic, `a ? b : c`, `??`, `?.`, lists, maps, slices,
//! ranges, `let`, `|`, functions such as `len`, `type`, `env`, `lower`, `split`, `fromJSON`, and those that look at every element, such as
//! `any(body.tags, # == "x")`.
//!
//! An expression is parsed once. Evaluating it recurses no deeper than it is nested (256 levels at most), takes a
//! bounded number of steps, and never panics; what can't be done with what is there (text in place of a number) is an [`EvalError`].
//!
//! ```
//! use corten_operators::{Entry, Expr};
//!
//! let expr: Expr = r#"body contains "denied" && (attributes["code"] ?? 0) in 400..499"#.parse()?;
//! let mut entry = Entry::text("access denied");
//! entry.attributes.insert("code", 403);
//! assert_eq!(expr.matches(&entry), Ok(true));
//! # Ok::<(), corten_operators::ParseExprError>(())
//! ```

mod ast;
mod closures;
mod eval;
mod functions;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod val;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::entry::Entry;
use crate::value::{Map, Value};

/// A parsed expression.
#[derive(Clone)]
pub struct Expr {
    text: String,
    node: ast::Node,
    unknown: Vec<String>,
}

impl Expr {
    /// Whether it is true of an entry.
    ///
    /// # Errors
    /// It can't be evaluated, or is neither true nor false.
    pub fn matches(&self, entry: &Entry) -> Result<bool, EvalError> {
        truth(&eval::Run::new(eval::Given::Entry(entry)), &self.node)
    }

    /// Its value for an entry.
    ///
    /// # Errors
    /// It can't be evaluated.
    pub fn value(&self, entry: &Entry) -> Result<Value, EvalError> {
        let run = eval::Run::new(eval::Given::Entry(entry));
        let value = run.eval(&self.node, &eval::Scope::None)?;
        run.owned(value)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names in it that no entry has. They are nothing, as in the Collector, and nearly always a mistake.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }
}

/// A parsed expression about something else than an entry: the rules by which receivers are created, say.
///
/// What its names mean is given when it is evaluated; a name that is not given is nothing. As upstream does where
/// `type` is a name, the function `type` is called `typeOf` here; there is no `env`. A map of text alone, such as a pod's labels, has empty
/// text for what it lacks.
///
/// ```
/// use corten_operators::{FreeExpr, Map};
///
/// let rule: FreeExpr = r#"type == "port" && pod.name matches "^redis""#.parse()?;
/// let mut pod = Map::new();
/// pod.insert("name", "redis-0");
/// let mut names = Map::new();
/// names.insert("type", "port");
/// names.insert("pod", pod);
/// assert_eq!(rule.matches(&names), Ok(true));
/// # Ok::<(), corten_operators::ParseExprError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FreeExpr {
    text: String,
    node: ast::Node,
}

impl FreeExpr {
    /// Whether it is true of these names.
    ///
    /// # Errors
    /// It can't be evaluated, or is neither true nor false.
    pub fn matches(&self, names: &Map) -> Result<bool, EvalError> {
        truth(&eval::Run::new(eval::Given::Names(names)), &self.node)
    }

    /// Its value for these names.
    ///
    /// # Errors
    /// It can't be evaluated.
    pub fn value(&self, names: &Map) -> Result<Value, EvalError> {
        let run = eval::Run::new(eval::Given::Names(names));
        let value = run.eval(&self.node, &eval::Scope::None)?;
        run.owned(value)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for FreeExpr {
    type Err = ParseExprError;

    fn from_str(text: &str) -> Result<Self, ParseExprError> {
        let parser::Parsed { node, .. } = parser::parse(text, true)?;
        Ok(Self {
            text: text.to_owned(),
            node,
        })
    }
}

fn truth<'a>(run: &eval::Run<'a>, node: &'a ast::Node) -> Result<bool, EvalError> {
    match run.eval(node, &eval::Scope::None)? {
        val::Val::Bool(value) => Ok(value),
        other => Err(EvalError(Cow::Owned(format!(
            "the expression must be true or false, found {}",
            other.type_name()
        )))),
    }
}

/// The names that an entry offers to expressions.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    ast::VARIABLES.iter().map(|(name, _)| *name)
}

impl FromStr for Expr {
    type Err = ParseExprError;

    fn from_str(text: &str) -> Result<Self, ParseExprError> {
        let parser::Parsed { node, unknown } = parser::parse(text, false)?;
        Ok(Self {
            text: text.to_owned(),
            node,
            unknown,
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.text)
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

crate::as_text!(Expr, "an expression", "body matches \"^E\"");

/// The text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expression can't be read at character {}: {why}", at + 1)]
pub struct ParseExprError {
    /// Bytes before it.
    at: usize,
    why: String,
}

impl ParseExprError {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Self {
            at,
            why: why.into(),
        }
    }
}

/// An expression can't be evaluated for an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(Cow<'static, str>);

impl EvalError {
    fn within(self, function: &str) -> Self {
        if self.0.is_empty() {
            return self;
        }
        Self(Cow::Owned(format!("{function}: {}", self.0)))
    }
}
