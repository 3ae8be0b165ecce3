//! `key=value` pairs.

use crate::parse::keys::Keys;
use crate::time::short;
use crate::value::Map;

/// How pairs are written.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    /// Between a key and its value.
    pub(crate) delimiter: String,
    /// Between pairs; `None` is any white space.
    pub(crate) pair_delimiter: Option<String>,
    pub(crate) keys: Keys,
}

impl Pairs {
    pub(crate) fn read(&mut self, text: &str) -> Result<Map, String> {
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
            map.insert(self.keys.get(bare(key)), bare(value));
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
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if byte == b'\\' => escaped = true,
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None => {
                    if let Some(len) = self.delimiter_at(text, at, byte) {
                        let pair = text.get(..at).unwrap_or_default();
                        return Ok((pair, text.get(at + len..).unwrap_or_default()));
                    }
                    if matches!(byte, b'"' | b'\'') {
                        quote = Some(byte);
                    }
                }
            }
            at += 1;
        }
        match quote {
            // An apostrophe in `it's` opens nothing that was meant to be closed.
            Some(b'\'') if !text.contains("='") => Ok((text, "")),
            Some(_) => Err("never reached the end of a quoted value".to_owned()),
            None => Ok((text, "")),
        }
    }
}

impl Pairs {
    /// How long the delimiter is that stands there, where `byte` is.
    fn delimiter_at(&self, text: &str, at: usize, byte: u8) -> Option<usize> {
        if let Some(delimiter) = &self.pair_delimiter {
            let begins = delimiter.as_bytes().first() == Some(&byte)
                && text
                    .get(at..)
                    .is_some_and(|rest| rest.starts_with(delimiter.as_str()));
            return begins.then_some(delimiter.len());
        }
        if byte.is_ascii() {
            return matches!(byte, b' ' | b'\t'..=b'\r').then_some(1);
        }
        let c = text.get(at..)?.chars().next()?;
        c.is_whitespace().then_some(c.len_utf8())
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
        let mut pairs = Pairs {
            delimiter: delimiter.to_owned(),
            pair_delimiter: pair_delimiter.map(str::to_owned),
            keys: Keys::remembered(),
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
