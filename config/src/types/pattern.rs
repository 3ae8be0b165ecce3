//! Regular expressions as Go reads them, for the engine that runs them here.
//!
//! Both are RE2's kind, so a pattern means the same in either but for details, which are rewritten: `\d`, `\w`, `\s`
//! and `\b` know ASCII alone, a brace that begins no repetition is one, `\Q…\E` quotes, and within brackets `[`, `&&`, `--` and `~~` are
//! what they look like.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use regex::RegexBuilder;

/// What a compiled pattern may take, bytes. `\pL{1000}` and its kind end here.
const LARGEST: usize = 4 << 20;

/// A regular expression in Go's syntax.
#[derive(Clone)]
pub struct Regex {
    text: String,
    engine: regex::Regex,
}

impl Regex {
    /// # Errors
    ///
    /// What is wrong with `text`, in a line.
    pub fn new(text: &str) -> Result<Self, String> {
        Self::within(text, "", "")
    }

    /// One that has to match the whole, as Prometheus' do; `.` matches line feeds too.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`, in a line.
    pub fn whole(text: &str) -> Result<Self, String> {
        // Alone first, so that `)(` is none.
        Self::new(text)?;
        Self::within(text, "^(?s:", ")$")
    }

    fn within(text: &str, before: &str, after: &str) -> Result<Self, String> {
        let engine = RegexBuilder::new(&format!("{before}{}{after}", translate(text)))
            .size_limit(LARGEST)
            .build()
            .map_err(|error| {
                // The last line says what is wrong; those above draw where, in several lines.
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                format!("expected a regular expression, found '{text}': {why}")
            })?;
        Ok(Self {
            text: text.to_owned(),
            engine,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Deref for Regex {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.engine
    }
}

impl FromStr for Regex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Regex {}

super::as_text!(Regex, "a regular expression", "^level=(error|warn)");

/// A pattern of Go's in the syntax of the engine, for those that have to build another form of it.
#[must_use]
pub fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    // Within brackets.
    let mut class = false;
    // The first of a class, where `]` means itself.
    let mut first = false;
    while let Some(c) = chars.next() {
        let begins = std::mem::take(&mut first);
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => out.push_str(if class {
                    r"\t\n\f\r\x20"
                } else {
                    r"[\t\n\f\r\x20]"
                }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str(r"[^\t\n\f\r\x20]"),
                Some('b') if !class => out.push_str(r"(?-u:\b)"),
                Some('Q') => {
                    while let Some(c) = chars.next() {
                        if c == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        push_literal(&mut out, c);
                    }
                }
                Some(c @ '0'..='7') => {
                    // Octal, of which Go knows up to three digits.
                    let mut value = c.to_digit(8).unwrap_or_default();
                    for _ in 0..2 {
                        match chars.peek().and_then(|c| c.to_digit(8)) {
                            Some(digit) => {
                                value = value * 8 + digit;
                                chars.next();
                            }
                            None => break,
                        }
                    }
                    out.push_str(&format!("\\x{{{value:x}}}"));
                }
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push('\\'),
            },
            '[' if !class => {
                class = true;
                first = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            '[' if chars.peek() == Some(&':') => {
                // A class by its name, `[:alpha:]`.
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' if class && !begins => {
                class = false;
                out.push(']');
            }
            '[' | ']' | '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            // The first of two begins a range, or is its sign.
            '-' if class && begins => out.push_str("\\-"),
            '-' if class && chars.peek() == Some(&'-') => {
                chars.next();
                out.push_str("-\\-");
            }
            '{' if !class => {
                let rest: String = chars.clone().take_while(|c| *c != '}').take(12).collect();
                let repeats =
                    chars.clone().nth(rest.chars().count()) == Some('}') && is_repetition(&rest);
                out.push_str(if repeats { "{" } else { "\\{" });
            }
            c => out.push(c),
        }
    }
    out
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

/// `3`, `3,` or `3,5`.
fn is_repetition(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once(',') {
        None => digits(text),
        Some((least, "")) => digits(least),
        Some((least, most)) => digits(least) && digits(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
        Regex::new(pattern)
            .unwrap()
            .find(text)
            .map(|found| found.as_str())
    }

    #[test]
    fn gos_patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            (r"^{.*}$", r#"{"a":1}"#, Some(r#"{"a":1}"#)),
            (r"a{2}", "aaa", Some("aa")),
            (r"a{2,}", "aaa", Some("aaa")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"\d+", "٣ 7", Some("7")),
            (r"\w+", "é x_1", Some("x_1")),
            (r"[\w.-]+", "é a.b-c", Some("a.b-c")),
            (r"[^\s]+", "\u{a0}x y", Some("\u{a0}x")),
            (r"[\S]+", " xé ", Some("xé")),
            (r"[^[]+", "ab[c", Some("ab")),
            (r"[]a]+", "x]a", Some("]a")),
            (r"[[:digit:]x]+", "ax1", Some("x1")),
            (r"[a&&b]+", "&&", Some("&&")),
            (r"[+--]+", "a,-+", Some(",-+")),
            (r"\Qa.b{\E+", "a.b{{", Some("a.b{{")),
            (r"\bx\b", "éx x", Some("x")),
            (r"\x1b\[\d+m", "\x1b[31m", Some("\x1b[31m")),
            (r"\033\[", "\x1b[", Some("\x1b[")),
            (r"(?i)error", "an ERROR", Some("ERROR")),
            (r"(?P<a>x)(?<b>y)", "xy", Some("xy")),
            (r"\.\{\}", ".{}", Some(".{}")),
            (r"a|b$", "cb", Some("b")),
        ] {
            assert_eq!(
                found(pattern, text),
                expected,
                "{pattern} becomes {}",
                translate(pattern)
            );
        }
    }

    #[test]
    fn what_is_none_says_why() {
        let error = Regex::new("a(").unwrap_err();
        assert_eq!(
            error,
            "expected a regular expression, found 'a(': unclosed group"
        );
        assert!(
            Regex::new(r"(\pL{1000}){1000}")
                .unwrap_err()
                .contains("size limit")
        );
    }

    #[test]
    fn a_whole_one_matches_all_of_a_text() {
        let regex = Regex::whole("a|b\\d.").unwrap();
        for (text, expected) in [("a", true), ("ab", false), ("b1\n", true), ("b٣x", false)] {
            assert_eq!(regex.is_match(text), expected, "{text}");
        }
        assert_eq!(regex.as_str(), "a|b\\d.");
        assert!(Regex::whole(")(").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[\\\\a-zQE0-9{},\\[\\]():^$&~.*+?-]{0,24}") {
            drop(Regex::new(&pattern));
        }
    }
}
