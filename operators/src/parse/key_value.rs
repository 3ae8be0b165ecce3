//! `key=value` pairs.

use crate::time::short;
use crate::value::{Key, Map};

/// How pairs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// Between a key and its value.
    pub(crate) delimiter: String,
    /// Between pairs; `None` is any white space.
    pub(crate) pair_delimiter: Option<String>,
}

impl Pairs {
    pub(crate) fn read(&self, text: &str) -> Result<Map, String> {
        let mut map = Map::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (pair, after) = self.pair(rest)?;
            rest = after;
            if pair.is_empty() {
                continue;
            }
            let Some((key, value)) = pair.split_once(self.delimiter.as_str()) else {
                return Err(format!(
                    "expected '{}' to split by '{}' into two items, got 1",
                    short(pair),
                    self.delimiter
                ));
            };
            map.insert(Key::from(bare(key)), bare(value));
        }
        if map.is_empty() {
            return Err("the text is empty".to_owned());
        }
        Ok(map)
    }

    /// The next pair and what follows its delimiter; what is between quotes belongs together.
    fn pair<'t>(&self, text: &'t str) -> Result<(&'t str, &'t str), String> {
        let mut quote = None;
        let mut escaped = false;
        for (at, c) in text.char_indices() {
            let rest = text.get(at..).unwrap_or_default();
            match quote {
                Some(open) => {
                    if escaped {
                        escaped = false;
                    } else if c == '\\' {
                        escaped = true;
                    } else if c == open {
                        quote = None;
                    }
                }
                None => {
                    let delimiter = match &self.pair_delimiter {
                        Some(delimiter) => rest
                            .starts_with(delimiter.as_str())
                            .then_some(delimiter.len()),
                        None => c.is_whitespace().then_some(c.len_utf8()),
                    };
                    if let Some(len) = delimiter {
                        let pair = text.get(..at).unwrap_or_default();
                        return Ok((pair, rest.get(len..).unwrap_or_default()));
                    }
                    if matches!(c, '"' | '\'') {
                        quote = Some(c);
                    }
                }
            }
        }
        match quote {
            // An apostrophe in `it's` opens nothing that was meant to be closed.
            Some('\'') if !text.contains("='") => Ok((text, "")),
            Some(_) => Err("never reached the end of a quoted value".to_owned()),
            None => Ok((text, "")),
        }
    }
}

/// Without the space and the quotes around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
        {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(delimiter: &str, pair_delimiter: Option<&str>, text: &str) -> String {
        let pairs = Pairs {
            delimiter: delimiter.to_owned(),
            pair_delimiter: pair_delimiter.map(str::to_owned),
        };
        match pairs.read(text) {
            Ok(map) => map.to_json().to_string(),
            Err(error) => error,
        }
    }

    #[test]
    fn pairs() {
        for (delimiter, pair, text, expected) in [
            ("=", None, "name=stanza", r#"{"name":"stanza"}"#),
            ("=", None, " a=1\tb=2  c= ", r#"{"a":"1","b":"2","c":""}"#),
            ("=", None, r#"a="x y" b='p q'"#, r#"{"a":"x y","b":"p q"}"#),
            (
                "=",
                None,
                r#"a="say \"hi\" you" b=1"#,
                r#"{"a":"say \\\"hi\\\" you","b":"1"}"#,
            ),
            ("=", None, "url=http://x?y=z", r#"{"url":"http://x?y=z"}"#),
            (":", None, "name:stanza", r#"{"name":"stanza"}"#),
            (
                "=",
                Some("!"),
                "name=stanza ! org=otel      ! group=dev",
                r#"{"group":"dev","name":"stanza","org":"otel"}"#,
            ),
            ("==", Some("||"), "a==1||b==2", r#"{"a":"1","b":"2"}"#),
            (
                "=",
                None,
                "a=1 b",
                "expected 'b' to split by '=' into two items, got 1",
            ),
            ("=", None, "", "the text is empty"),
            (
                "=",
                None,
                "a=\"x",
                "never reached the end of a quoted value",
            ),
        ] {
            assert_eq!(read(delimiter, pair, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ab= '\"\\\\é!]{0,24}") {
            read("=", None, &text);
            read("=", Some("!"), &text);
        }
    }
}
