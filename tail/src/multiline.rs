//! Records of several lines, told apart by a pattern.

use std::ops::Range;
use std::sync::Arc;

use regex::bytes::Regex;

/// Where records begin or end, instead of at newlines.
#[derive(Debug, Clone)]
pub struct Multiline {
    pattern: Arc<Regex>,
    starts: bool,
    omit: bool,
}

impl PartialEq for Multiline {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str()
            && (self.starts, self.omit) == (other.starts, other.omit)
    }
}

impl Eq for Multiline {}

impl Multiline {
    /// A record begins where `pattern` matches. `^` and `$` match at every line. `omit` leaves what it matched out of the records.
    pub fn line_start(pattern: &str, omit: bool) -> Result<Self, regex::Error> {
        Self::new(pattern, omit, true)
    }

    /// A record ends where `pattern` has matched.
    pub fn line_end(pattern: &str, omit: bool) -> Result<Self, regex::Error> {
        Self::new(pattern, omit, false)
    }

    fn new(pattern: &str, omit: bool, starts: bool) -> Result<Self, regex::Error> {
        // `\d` and the like mean ASCII, and `.` any byte; patterns that need Unicode have it.
        let pattern = Regex::new(&format!("(?m-u){pattern}"))
            .or_else(|_| Regex::new(&format!("(?m){pattern}")))?;
        Ok(Self {
            pattern: Arc::new(pattern),
            starts,
            omit,
        })
    }

    /// The first record of `text`, where one begins: what it has and where the next begins. `None` when its end is not there.
    /// What a match at the very end means is known only when `last` says that nothing more comes.
    pub(crate) fn record(&self, text: &[u8], last: bool) -> Option<(Range<usize>, usize)> {
        let sure = |found: &regex::bytes::Match<'_>| last || found.end() < text.len();
        let first = self.pattern.find(text).filter(sure)?;
        if !self.starts {
            let end = match first.end() {
                0 => self.from(text, 1).filter(sure)?,
                _ => first,
            };
            let keep = if self.omit { end.start() } else { end.end() };
            return Some((0..keep, end.end()));
        }
        if first.start() > 0 {
            return Some((0..first.start(), first.start()));
        }
        let next = self.from(text, first.end().max(1)).filter(sure)?;
        let begin = if self.omit { first.end() } else { 0 };
        Some((begin..next.start(), next.start()))
    }

    /// What is left of the text when nothing more comes.
    pub(crate) fn remainder(&self, text: &[u8]) -> Range<usize> {
        let begin = match self.pattern.find(text) {
            Some(first) if self.starts && self.omit && first.start() == 0 => first.end(),
            _ => 0,
        };
        begin..text.len()
    }

    /// Where the record that is at `at` of `text` is over.
    pub(crate) fn next_boundary(&self, text: &[u8], at: usize) -> Option<usize> {
        let found = self
            .from(text, at)
            .filter(|found| found.end() < text.len())?;
        Some(if self.starts {
            found.start()
        } else {
            found.end()
        })
    }

    fn from<'a>(&self, text: &'a [u8], at: usize) -> Option<regex::bytes::Match<'a>> {
        if at > text.len() {
            return None;
        }
        self.pattern.find_at(text, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(multiline: &Multiline, text: &str, last: bool) -> Vec<String> {
        let mut rest = text.as_bytes();
        let mut found = Vec::new();
        while let Some((record, next)) = multiline.record(rest, last) {
            found.push(String::from_utf8_lossy(&rest[record]).into_owned());
            rest = &rest[next..];
        }
        found.push(format!("…{}", String::from_utf8_lossy(rest)));
        found
    }

    #[test]
    fn beginnings() {
        let lines = Multiline::line_start(r"^\d{4}-", false).unwrap();
        assert_eq!(
            records(&lines, "lost\n2026-1 a\n at x\n2026-2 b\n2026-3", false),
            ["lost\n", "2026-1 a\n at x\n", "2026-2 b\n", "…2026-3"]
        );
        // Whether the last one is a match may show later.
        assert_eq!(
            records(&lines, "2026-1 a\n2026-", false),
            ["…2026-1 a\n2026-"]
        );
        let lines = Multiline::line_start("START ", true).unwrap();
        assert_eq!(
            records(&lines, "START a START b START c", false),
            ["a ", "b ", "…START c"]
        );
        assert_eq!(lines.remainder(b"START c"), 6..7);
    }

    #[test]
    fn ends() {
        let lines = Multiline::line_end(r";$", false).unwrap();
        assert_eq!(
            records(&lines, "select\n1;\nselect 2;\nsel", false),
            ["select\n1;", "\nselect 2;", "…\nsel"]
        );
        assert_eq!(records(&lines, "a;", false), ["…a;"]);
        assert_eq!(records(&lines, "a;", true), ["a;", "…"]);
        let lines = Multiline::line_end("END\n", true).unwrap();
        assert_eq!(records(&lines, "aEND\nbEND\nc", false), ["a", "b", "…c"]);
    }

    #[test]
    fn empty_matches_and_bytes_do_no_harm() {
        let lines = Multiline::line_start("^", false).unwrap();
        assert_eq!(records(&lines, "a\nb\nc\n", false), ["a\n", "b\n", "…c\n"]);
        let lines = Multiline::line_end("", false).unwrap();
        assert_eq!(records(&lines, "ab", true), ["a", "b", "…"]);
        let lines = Multiline::line_start(r"^\pL\d", false).unwrap();
        assert_eq!(records(&lines, "é1 x\né2 y", false), ["é1 x\n", "…é2 y"]);
        assert!(Multiline::line_start("(", false).is_err());
    }
}
