//! Names for scrapers that do not take every one: what `escaping=…` in `Accept` asks for.

use std::borrow::Cow;

use crate::naming::{is_legacy_label, is_legacy_metric, underscored};

/// What becomes of names that older scrapers do not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// `allow-utf-8`: the names as they are, in quotes.
    AllowUtf8,
    /// `underscores` in place of other characters: the only one that loses something.
    Underscores,
    /// `dots`: a dot becomes `_dot_`, an underscore `__`, other characters `__` too.
    Dots,
    /// `values`: `U__` and then each other character as its number between underscores.
    Values,
}

impl Escaping {
    /// The one of this name in a header.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [
            ("allow-utf-8", Self::AllowUtf8),
            ("underscores", Self::Underscores),
            ("dots", Self::Dots),
            ("values", Self::Values),
        ]
        .into_iter()
        .find_map(|(known, escaping)| known.eq_ignore_ascii_case(name).then_some(escaping))
    }

    /// A metric's name as it is shown.
    #[inline]
    pub(crate) fn metric(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, is_legacy_metric)
    }

    /// A label's name as it is shown.
    #[inline]
    pub(crate) fn label(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, is_legacy_label)
    }

    #[inline]
    fn escaped(self, name: &str, is_legacy: fn(&str) -> bool) -> Cow<'_, str> {
        match self {
            Self::AllowUtf8 => Cow::Borrowed(name),
            Self::Underscores => underscored(name, is_legacy),
            Self::Dots if name.contains('_') || !is_legacy(name) => {
                Cow::Owned(dotted(name, is_legacy))
            }
            Self::Values if !is_legacy(name) => Cow::Owned(spelled(name, is_legacy)),
            Self::Dots | Self::Values => Cow::Borrowed(name),
        }
    }
}

/// Characters, each with whether a name may have it at its place.
fn classified(name: &str, is_legacy: fn(&str) -> bool) -> impl Iterator<Item = (char, bool)> {
    let colon = is_legacy(":");
    name.char_indices().map(move |(at, character)| {
        let fits = character.is_ascii_alphabetic()
            || (character == ':' && colon)
            || (at > 0 && character.is_ascii_digit());
        (character, fits)
    })
}

fn dotted(name: &str, is_legacy: fn(&str) -> bool) -> String {
    let mut escaped = String::with_capacity(name.len() + 16);
    for (character, fits) in classified(name, is_legacy) {
        match character {
            '.' => escaped.push_str("_dot_"),
            _ if fits => escaped.push(character),
            _ => escaped.push_str("__"),
        }
    }
    escaped
}

fn spelled(name: &str, is_legacy: fn(&str) -> bool) -> String {
    let mut escaped = String::with_capacity(name.len() + 16);
    escaped.push_str("U__");
    for (character, fits) in classified(name, is_legacy) {
        match character {
            '_' => escaped.push_str("__"),
            _ if fits => escaped.push(character),
            _ => escaped.push_str(&format!("_{:x}_", u32::from(character))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_in_each_way() {
        for (escaping, name, expected) in [
            (Escaping::AllowUtf8, "a.b", "a.b"),
            (Escaping::Underscores, "http.status:sum", "http_status:sum"),
            (Escaping::Underscores, "ok_name", "ok_name"),
            (
                Escaping::Dots,
                "http.status_code:sum",
                "http_dot_status__code:sum",
            ),
            (Escaping::Dots, "plain", "plain"),
            (Escaping::Dots, "label with 😱", "label__with____"),
            (
                Escaping::Values,
                "http.status_code",
                "U__http_2e_status__code",
            ),
            (Escaping::Values, "ok_name", "ok_name"),
            (Escaping::Values, "1a😱", "U___31_a_1f631_"),
        ] {
            assert_eq!(escaping.metric(name), expected, "{escaping:?} {name}");
        }
        assert_eq!(Escaping::Values.label("a:b"), "U__a_3a_b");
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_legal(name in ".{1,12}") {
            for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values] {
                prop_assert!(is_legacy_metric(&escaping.metric(&name)));
                prop_assert!(is_legacy_label(&escaping.label(&name)));
            }
        }

        #[test]
        fn values_lose_nothing(one in "[a-c._:é]{1,6}", other in "[a-c._:é]{1,6}") {
            // A legal name may look like an escaped one; those that have to be escaped stay apart.
            let both = [&one, &other].map(|name| !is_legacy_metric(name));
            if one != other && both == [true, true] {
                prop_assert_ne!(Escaping::Values.metric(&one), Escaping::Values.metric(&other));
            }
        }
    }
}
