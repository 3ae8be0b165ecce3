//! Which devices, mounts or types are reported.

use corten_config::types::Regex;

/// An expression that leaves out, or one that lets in; never both.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Exclude(Regex),
    Include(Regex),
    None,
}

impl Filter {
    /// The user's expressions, else `default` as the one that leaves out.
    pub(crate) fn new(
        exclude: Option<&Regex>,
        include: Option<&Regex>,
        default: Option<Regex>,
    ) -> Self {
        match (exclude, include, default) {
            (_, Some(include), _) => Self::Include(include.clone()),
            (Some(exclude), None, _) => Self::Exclude(exclude.clone()),
            (None, None, Some(default)) => Self::Exclude(default),
            (None, None, None) => Self::None,
        }
    }

    pub(crate) fn lets_in(&self, name: &str) -> bool {
        match self {
            Self::Exclude(expression) => !expression.is_match(name),
            Self::Include(expression) => expression.is_match(name),
            Self::None => true,
        }
    }
}
