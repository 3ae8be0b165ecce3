//! Lists of names that are reported or not.

use corten_config::Checker;
use corten_config::types::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the names of a list are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MatchType {
    /// Whole names.
    #[default]
    Strict,
    /// Regular expressions, which match anywhere unless anchored with `^` and `$`.
    Regexp,
}

/// A list as it is written, under a key that says what it lists.
pub(crate) trait List {
    const KEY: &'static str;
    fn names(&self) -> &[String];
    fn match_type(&self) -> MatchType;
}

/// A list with its match type; an empty one says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Names<T>(T);

impl<T: List> Names<T> {
    pub(crate) fn check(&self, at: &mut Checker<'_>) {
        if self.0.match_type() == MatchType::Regexp {
            for (index, name) in self.0.names().iter().enumerate() {
                if let Err(error) = name.parse::<Regex>() {
                    at.item(T::KEY, index).error(error);
                }
            }
        }
    }

    /// The list, ready for use; `None` where there is none.
    fn compile(&self) -> Option<Matcher> {
        let names = self.0.names();
        if names.is_empty() {
            return None;
        }
        Some(match self.0.match_type() {
            MatchType::Strict => Matcher::Strict(names.to_vec()),
            // Expressions have been checked with the configuration.
            MatchType::Regexp => {
                Matcher::Regexp(names.iter().filter_map(|name| name.parse().ok()).collect())
            }
        })
    }
}

#[derive(Debug)]
enum Matcher {
    Strict(Vec<String>),
    Regexp(Vec<Regex>),
}

impl Matcher {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Strict(names) => names.iter().any(|other| other == name),
            Self::Regexp(expressions) => expressions
                .iter()
                .any(|expression| expression.is_match(name)),
        }
    }
}

/// What to report: what is included, where anything is, without what is excluded.
#[derive(Debug)]
pub(crate) struct Filter {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

impl Filter {
    pub(crate) fn new<T: List>(include: &Names<T>, exclude: &Names<T>) -> Self {
        Self {
            include: include.compile(),
            exclude: exclude.compile(),
        }
    }

    pub(crate) fn lets_in(&self, name: &str) -> bool {
        self.include
            .as_ref()
            .is_none_or(|include| include.matches(name))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude.matches(name))
    }
}
