//! What is wrong with a configuration: every problem with its place, found in one run.

use std::borrow::Cow;
use std::fmt;

use crate::node::Span;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration is used; somebody should look at this.
    Warning,
}

/// One thing that is wrong, where it is, and what to do about it.
///
/// Displayed as `file:line:column: path: message, did you mean 'x'?`, for example
/// `corten.yaml:14:5: receivers::file_log: unknown field 'includes', did you mean 'include'?`.
/// A warning says `warning:` after its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The place in a file. `None` when there is none, such as for a file that does not exist.
    pub span: Option<Span>,
    /// The section, its levels joined by `::`, such as `receivers::file_log::poll_interval`;
    /// empty for the whole configuration.
    pub path: String,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// The nearest valid name.
    pub suggestion: Option<String>,
}

impl Problem {
    /// An error without a place; add one with [`Problem::span`] and [`Problem::path`].
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: None,
            path: String::new(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// The same problem at `span`.
    #[must_use]
    pub fn span(self, span: &Span) -> Self {
        Self {
            span: Some(span.clone()),
            ..self
        }
    }

    /// The same problem in the section `path`.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..self
        }
    }

    /// The same problem with the nearest of `names` to `wrong` as its suggestion, if one is near.
    #[must_use]
    pub fn nearest<'a>(self, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            suggestion: nearest(wrong, names).map(str::to_owned),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", one_line(&self.path))?;
        }
        f.write_str(&one_line(&self.message))?;
        if let Some(name) = &self.suggestion {
            write!(f, ", did you mean '{}'?", one_line(name))?;
        }
        Ok(())
    }
}

/// A problem is one line of output, whatever text of the user's it quotes.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(
            text.chars()
                .flat_map(|c| {
                    if c.is_control() {
                        c.escape_debug().collect::<Vec<_>>()
                    } else {
                        vec![c]
                    }
                })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Nobody reads more.
const MOST: usize = 1000;

/// Every problem of a configuration.
///
/// Displayed one per line, in the order of the files; an empty collector displays nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
}

impl Problems {
    /// No problems yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one problem. The same problem twice (an anchor used in two places) is kept once. After
    /// a thousand, errors are only counted.
    pub fn push(&mut self, problem: Problem) {
        let full = self.list.len() >= MOST;
        if !full && self.list.contains(&problem) {
            return;
        }
        if problem.severity == Severity::Error {
            self.errors += 1;
        }
        if !full {
            self.list.push(problem);
        }
    }

    /// Adds every problem of `other`.
    pub fn append(&mut self, other: Self) {
        for problem in other.list {
            self.push(problem);
        }
    }

    /// Whether anything was found that keeps the configuration from being used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are; warnings are not counted.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// Whether nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many problems there are, warnings included.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The problems sorted by file, line and column; those without a place come first.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.list.iter().collect();
        all.sort_by(|a, b| (&a.span, a.severity).cmp(&(&b.span, b.severity)));
        all
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Whether an error is already known at `path` or below it.
    pub(crate) fn has_error_at(&self, path: &str) -> bool {
        self.list.iter().any(|problem| {
            problem.severity == Severity::Error
                && problem.path.strip_prefix(path).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with("::") || rest.starts_with('[')
                })
        })
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.sorted().into_iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The name among `names` that `wrong` was most likely meant to be, if any is near enough.
///
/// Near is: equal but for case, `-`, `_` and `.`; or at most one edit per three characters
/// (insert, delete, replace, swap neighbours).
///
/// ```
/// use corten_config::nearest;
/// assert_eq!(nearest("includes", ["exclude", "include"]), Some("include"));
/// assert_eq!(nearest("batchSize", ["batch_size"]), Some("batch_size"));
/// assert_eq!(nearest("something", ["include"]), None);
/// ```
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distance costs the product of both lengths; nobody means a name this long.
    if wrong.len() > 128 {
        return None;
    }
    let plain = |s: &str| -> String {
        s.chars()
            .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
            .flat_map(char::to_lowercase)
            .collect()
    };
    let wanted = plain(wrong);
    let mut best: Option<(usize, &'a str)> = None;
    for name in names {
        let candidate = plain(name);
        let distance = strsim::damerau_levenshtein(&wanted, &candidate);
        let length = wanted.chars().count().max(candidate.chars().count());
        if distance <= length.div_ceil(3).min(length.saturating_sub(1))
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Source;

    #[test]
    fn shows_place_path_message_and_suggestion() {
        let span = Span::new(&Source::new("corten.yaml"), 14, 5);
        let problem = Problem::error("unknown field 'includes'")
            .path("receivers::file_log")
            .span(&span)
            .nearest("includes", ["exclude", "include"]);
        assert_eq!(
            problem.to_string(),
            "corten.yaml:14:5: receivers::file_log: unknown field 'includes', did you mean 'include'?"
        );
        assert_eq!(
            Problem::warning("x\ny").span(&span).to_string(),
            "corten.yaml:14:5: warning: x\\ny"
        );
    }

    #[test]
    fn nearest_is_near() {
        assert_eq!(nearest("batchl", ["batch", "attributes"]), Some("batch"));
        assert_eq!(nearest("endpiont", ["endpoint"]), Some("endpoint"));
        assert_eq!(nearest("Timeout", ["timeout"]), Some("timeout"));
        assert_eq!(
            nearest("ca-file", ["cert_file", "ca_file"]),
            Some("ca_file")
        );
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", ["y"]), None);
        assert_eq!(nearest("logs", ["metrics", "traces"]), None);
    }

    #[test]
    fn sorts_by_place_and_keeps_one_of_each() {
        let file = Source::new("a.yaml");
        let mut problems = Problems::new();
        problems.push(Problem::error("second").span(&Span::new(&file, 10, 1)));
        problems.push(Problem::error("first").span(&Span::new(&file, 9, 7)));
        problems.push(Problem::warning("nowhere"));
        problems.push(Problem::error("first").span(&Span::new(&file, 9, 7)));
        assert_eq!(
            problems.to_string(),
            "warning: nowhere\na.yaml:9:7: first\na.yaml:10:1: second"
        );
        assert_eq!((problems.len(), problems.error_count()), (3, 2));
    }
}
