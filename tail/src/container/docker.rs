//! Docker's `json-file` lines: `{"log":"…\n","stream":"stdout","time":"…"}`.

use memchr::memchr2;

use super::StdStream;

/// One line, its strings unescaped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) log: &'a [u8],
    pub(crate) stream: StdStream,
    pub(crate) time: &'a [u8],
}

/// Reads one line; other keys (`attrs`) are skipped. `scratch` holds the log when it has escapes. `None` when the
/// line isn't an object with a `log`, or its `stream` is neither `stdout` nor `stderr`.
pub(crate) fn parse<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Line<'a>> {
    let mut json = Json { rest: line };
    let (mut log, mut stream, mut time) = (None, None, None);
    json.token(b'{')?;
    if json.peek()? != b'}' {
        loop {
            let key = json.string()?;
            json.token(b':')?;
            match key {
                b"log" => log = Some(json.string()?),
                b"stream" => stream = StdStream::parse(json.string()?),
                b"time" => time = Some(json.string()?),
                _ => json.skip(0)?,
            }
            match json.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    let raw = log?;
    let (stream, time) = (stream?, time.unwrap_or_default());
    let log = if memchr::memchr(b'\\', raw).is_some() {
        scratch.clear();
        unescape(raw, scratch);
        scratch.as_slice()
    } else {
        raw
    };
    Some(Line { log, stream, time })
}

struct Json<'a> {
    rest: &'a [u8],
}

impl<'a> Json<'a> {
    /// The next byte that isn't white space, left in place.
    fn peek(&mut self) -> Option<u8> {
        while let Some((b' ' | b'\t' | b'\r' | b'\n', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.rest = self.rest.get(1..)?;
        Some(byte)
    }

    fn token(&mut self, token: u8) -> Option<()> {
        (self.next()? == token).then_some(())
    }

    /// A string as it stands, escapes and all.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.token(b'"')?;
        let text = self.rest;
        let mut at = 0;
        loop {
            let hit = at + memchr2(b'"', b'\\', text.get(at..)?)?;
            if text.get(hit) == Some(&b'"') {
                self.rest = text.get(hit + 1..)?;
                return text.get(..hit);
            }
            at = hit + 2;
        }
    }

    /// Steps over a value of any kind.
    fn skip(&mut self, depth: u8) -> Option<()> {
        if depth > 32 {
            return None;
        }
        match self.peek()? {
            b'"' => drop(self.string()?),
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.next()?;
                if self.peek()? == close {
                    self.next()?;
                    return Some(());
                }
                loop {
                    if open == b'{' {
                        self.string()?;
                        self.token(b':')?;
                    }
                    self.skip(depth + 1)?;
                    match self.next()? {
                        b',' => {}
                        byte if byte == close => break,
                        _ => return None,
                    }
                }
            }
            _ => {
                let len = self
                    .rest
                    .iter()
                    .take_while(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
                    })
                    .count();
                if len == 0 {
                    return None;
                }
                self.rest = self.rest.get(len..)?;
            }
        }
        Some(())
    }
}

/// Appends `raw` without its escapes. What is no escape stays as it is; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&kind, after)) = escape.get(1..).and_then(<[u8]>::split_first) else {
            out.push(b'\\');
            return;
        };
        rest = after;
        match kind {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'"' | b'\\' | b'/' => out.push(kind),
            b'u' => match unicode(after) {
                Some((character, len)) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = after.get(len..).unwrap_or_default();
                }
                None => out.extend_from_slice(b"\\u"),
            },
            _ => out.extend_from_slice(&[b'\\', kind]),
        }
    }
    out.extend_from_slice(rest);
}

/// The character of `XXXX` or `XXXX\uXXXX`, and how many bytes that takes.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = hex4(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 4));
    }
    let second = text
        .get(4..)
        .and_then(|rest| rest.strip_prefix(b"\\u"))
        .and_then(hex4)
        .filter(|second| (0xDC00..0xE000).contains(second));
    match (first, second) {
        (0xD800..0xDC00, Some(second)) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            Some((char::from_u32(code)?, 10))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 4)),
    }
}

fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |value, digit| {
        Some(value * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_in_any_order_with_others_between() {
        let line = br#" {"time" : "t", "attrs":{"a":[1,-2.5e3,null,{"b":"}\""}],"c":{}},"log":"x\n" ,"stream":"stderr"}"#;
        let mut scratch = Vec::new();
        let parsed = parse(line, &mut scratch).unwrap();
        assert_eq!(
            parsed,
            Line {
                log: b"x\n",
                stream: StdStream::Stderr,
                time: b"t"
            }
        );
    }

    #[test]
    fn escapes() {
        for (raw, plain) in [
            (r#"a\"b\\c\/d"#, "a\"b\\c/d"),
            (r"\u0041\u00e9\u20ac", "Aé€"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d!", "\u{FFFD}!"),
            (r"\ud83d\u0041", "\u{FFFD}A"),
            (r"\ude00", "\u{FFFD}"),
            (r"\u12", "\\u12"),
            (r"\q", "\\q"),
            (r"\b\f\r\t", "\u{8}\u{c}\r\t"),
        ] {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            assert_eq!(out, plain.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn what_is_no_docker_line_is_refused() {
        for line in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"log":"a","stream":"stdin","time":"t"}"#,
            r#"{"log":1,"stream":"stdout","time":"t"}"#,
            r#"{"log":"a"#,
            r#"{"log":"a\"#,
            r#"{"stream":"stdout","time":"t"}"#,
            r#"{"log":"a","stream":"stdout","x":}"#,
        ] {
            assert_eq!(parse(line.as_bytes(), &mut Vec::new()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_json_library(log in any::<String>(), extra in any::<String>(), err in any::<bool>()) {
            let stream = if err { "stderr" } else { "stdout" };
            let line = serde_json::json!({ "log": log, "stream": stream, "time": "now", "extra": [extra] });
            let line = line.to_string();
            let mut scratch = Vec::new();
            let parsed = parse(line.as_bytes(), &mut scratch).unwrap();
            prop_assert_eq!(parsed.log, log.as_bytes());
            prop_assert_eq!(parsed.stream == StdStream::Stderr, err);
        }

        #[test]
        fn never_panics(noise in "[\\{\\}\\[\\]\",:\\\\ulogstream0-9d8 ]{0,60}") {
            parse(noise.as_bytes(), &mut Vec::new());
        }
    }
}
