//! A pull parser for JSON: just enough to go through a document once.

use std::borrow::Cow;

use super::JsonError;

/// How deep objects and lists may nest, those that are skipped included. An OTLP message may nest
/// `validate::MAX_DEPTH` deep, and each level may be a list within an object.
const MAX_DEPTH: u32 = 256;

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

#[derive(Debug)]
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        let text = match simdutf8::compat::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                let valid = text.get(..error.valid_up_to()).unwrap_or_default();
                return Err(error_at(valid, "the text is not UTF-8".to_owned()));
            }
        };
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Ok(Self { text, at, depth: 0 })
    }

    /// An error where the parser stands.
    pub(super) fn error(&self, what: impl Into<String>) -> JsonError {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        error_at(before, what.into())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek_byte(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += blank;
        rest.get(blank).copied()
    }

    pub(super) fn peek(&mut self) -> Result<Next, JsonError> {
        match self.peek_byte() {
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(b'"') => Ok(Next::String),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b't') => Ok(Next::True),
            Some(b'f') => Ok(Next::False),
            Some(b'n') => Ok(Next::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("expected a value, but the text ends")),
        }
    }

    fn take(&mut self, byte: u8, what: &str) -> Result<(), JsonError> {
        if self.peek_byte() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek_byte() {
            None => Ok(()),
            Some(_) => Err(self.error("expected the end of the text")),
        }
    }

    /// Goes into an object. Then [`next_key`](Self::next_key) until it returns `None`.
    pub(super) fn object(&mut self) -> Result<(), JsonError> {
        self.enter(b'{', "expected an object")
    }

    /// Goes into a list. Then [`next_element`](Self::next_element) until it returns false.
    pub(super) fn array(&mut self) -> Result<(), JsonError> {
        self.enter(b'[', "expected a list")
    }

    fn enter(&mut self, byte: u8, what: &str) -> Result<(), JsonError> {
        self.take(byte, what)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("the text nests too deeply"));
        }
        Ok(())
    }

    /// The next key of the object, its colon read, or `None` after the last.
    pub(super) fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.another(first, b'}', "expected ',' or '}'")? {
            return Ok(None);
        }
        if self.peek_byte() != Some(b'"') {
            return Err(self.error("expected a name in quotes"));
        }
        let key = self.string()?;
        self.take(b':', "expected ':'")?;
        Ok(Some(key))
    }

    pub(super) fn next_element(&mut self, first: bool) -> Result<bool, JsonError> {
        self.another(first, b']', "expected ',' or ']'")
    }

    fn another(&mut self, first: bool, close: u8, what: &str) -> Result<bool, JsonError> {
        if self.peek_byte() == Some(close) {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            return Ok(false);
        }
        if !first {
            self.take(b',', what)?;
        }
        Ok(true)
    }

    pub(super) fn null(&mut self) -> Result<(), JsonError> {
        self.word("null")
    }

    pub(super) fn bool(&mut self) -> Result<bool, JsonError> {
        if self.peek()? == Next::True {
            self.word("true").map(|()| true)
        } else {
            self.word("false").map(|()| false)
        }
    }

    /// A number's own spelling.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        let rest = self.rest();
        let len = number_len(rest);
        if len == 0 {
            return Err(self.error("expected a number"));
        }
        let start = self.at;
        self.at += len;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.take(b'"', "expected a text in quotes")?;
        let start = self.at;
        let plain = plain_len(self.rest());
        self.at += plain;
        let text = self.text.get(start..self.at).unwrap_or_default();
        match self.rest().first() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped(text.to_owned()).map(Cow::Owned),
            Some(_) => {
                Err(self.error("a text contains a control character, which must be escaped"))
            }
            None => Err(self.error("a text has no end")),
        }
    }

    fn escaped(&mut self, mut text: String) -> Result<String, JsonError> {
        loop {
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(text);
                }
                [b'\\', escape, ..] => {
                    let plain = match escape {
                        b'"' => '"',
                        b'\\' => '\\',
                        b'/' => '/',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => {
                            text.push(self.unicode()?);
                            continue;
                        }
                        _ => return Err(self.error("a text contains an unknown escape")),
                    };
                    text.push(plain);
                    self.at += 2;
                }
                [] | [b'\\'] => return Err(self.error("a text has no end")),
                rest => {
                    let plain = plain_len(rest);
                    if plain == 0 {
                        let what = "a text contains a control character, which must be escaped";
                        return Err(self.error(what));
                    }
                    let start = self.at;
                    self.at += plain;
                    text.push_str(self.text.get(start..self.at).unwrap_or_default());
                }
            }
        }
    }

    /// `\uXXXX`, or two of them for a character beyond the first plane. A half of a pair alone is
    /// replaced by U+FFFD.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        if self.rest().starts_with(b"\\u") {
            let low = self.code_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at + 2..self.at + 6).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(self.error("'\\u' needs four hexadecimal digits"));
        }
        self.at += 6;
        Ok(u32::from_str_radix(digits, 16).unwrap_or_default())
    }

    /// Goes over a value that nobody asked for.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            Next::Object => {
                self.object()?;
                let mut first = true;
                while self.next_key(first)?.is_some() {
                    first = false;
                    self.skip()?;
                }
                Ok(())
            }
            Next::Array => {
                self.array()?;
                let mut first = true;
                while self.next_element(first)? {
                    first = false;
                    self.skip()?;
                }
                Ok(())
            }
            Next::String => self.string().map(drop),
            Next::Number => self.number().map(drop),
            Next::True | Next::False => self.bool().map(drop),
            Next::Null => self.null(),
        }
    }
}

/// Bytes up to what a text cannot contain as it is.
fn plain_len(rest: &[u8]) -> usize {
    rest.iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .unwrap_or(rest.len())
}

/// Bytes of the number that `rest` begins with, zero if it begins with none.
fn number_len(rest: &[u8]) -> usize {
    let digits = |from: usize| {
        rest.get(from..).map_or(0, |rest| {
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        })
    };
    let mut len = usize::from(rest.first() == Some(&b'-'));
    let whole = digits(len);
    if whole == 0 || whole > 1 && rest.get(len) == Some(&b'0') {
        return 0;
    }
    len += whole;
    if rest.get(len) == Some(&b'.') {
        let fraction = digits(len + 1);
        if fraction == 0 {
            return 0;
        }
        len += 1 + fraction;
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent == 0 {
            return 0;
        }
        len += 1 + sign + exponent;
    }
    len
}

fn error_at(before: &[u8], what: String) -> JsonError {
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    JsonError {
        line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        column: 1 + before.len() - line_start,
        what,
    }
}
