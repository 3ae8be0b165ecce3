//! Lines out of a buffer.

use std::ops::Range;

/// What a line becomes that is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverLimit {
    /// Pieces of at most the limit, one record each.
    #[default]
    Split,
    /// Its beginning; the rest is dropped and counted.
    Truncate,
}

/// One line or piece of a line in a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The text, without newline and the carriage return before it.
    pub(crate) text: Range<usize>,
    /// Where reading goes on.
    pub(crate) next: usize,
    /// The limit cut it: the line goes on behind `next`.
    pub(crate) cut: bool,
}

/// Finds the complete lines of `buffer` from `at` on. Where a line is cut depends on where it begins and
/// on nothing else, so the same file gives the same pieces however it is read.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    buffer: &'a [u8],
    at: usize,
    limit: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(buffer: &'a [u8], at: usize, limit: usize) -> Self {
        Self {
            buffer,
            at,
            limit: limit.max(4),
        }
    }

    /// Where the bytes begin that are no complete line yet.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Steps over the rest of a line. `false` when the buffer ends before the line does.
    pub(crate) fn skip_line(&mut self) -> bool {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(newline) => {
                self.at += newline + 1;
                true
            }
            None => {
                self.at = self.buffer.len();
                false
            }
        }
    }

    /// Steps over zero bytes at the beginning of a line, when there are at least `least` of them: the hole that
    /// a writer leaves whose file was truncated under it. Returns how many.
    pub(crate) fn skip_zeros(&mut self, least: usize) -> usize {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if zeros < least {
            return 0;
        }
        self.at += zeros;
        zeros
    }

    /// What is left when no more is to come: the last line without its newline.
    pub(crate) fn rest(&mut self) -> Option<Frame> {
        let range = self.at..self.buffer.len();
        if range.is_empty() {
            return None;
        }
        self.at = self.buffer.len();
        Some(Frame {
            text: self.trimmed(range),
            next: self.at,
            cut: false,
        })
    }

    fn trimmed(&self, mut range: Range<usize>) -> Range<usize> {
        if let Some([.., b'\r']) = self.buffer.get(range.clone()) {
            range.end -= 1;
        }
        range
    }

    /// The end of a piece of at most `limit` bytes that doesn't cut a character.
    fn cut(&self) -> usize {
        let end = self.at + self.limit;
        for back in 0..4 {
            let at = end - back;
            // Bytes 10xxxxxx continue a character.
            if self.buffer.get(at).is_none_or(|byte| byte & 0xC0 != 0x80) {
                return at;
            }
        }
        end
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let rest = self.buffer.get(self.at..)?;
        let newline = memchr::memchr(b'\n', rest);
        if newline.unwrap_or(rest.len()) > self.limit {
            let end = self.cut();
            let text = self.at..end;
            self.at = end;
            return Some(Frame {
                text,
                next: end,
                cut: true,
            });
        }
        let end = self.at + newline?;
        let text = self.trimmed(self.at..end);
        self.at = end + 1;
        Some(Frame {
            text,
            next: self.at,
            cut: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(text: &str, limit: usize) -> (Vec<(String, bool)>, usize) {
        let mut frames = Frames::new(text.as_bytes(), 0, limit);
        let found = frames
            .by_ref()
            .map(|frame| (text.get(frame.text).unwrap().to_owned(), frame.cut))
            .collect();
        (found, frames.at())
    }

    fn whole(lines: &[&str]) -> Vec<(String, bool)> {
        lines
            .iter()
            .map(|line| ((*line).to_owned(), false))
            .collect()
    }

    #[test]
    fn complete_lines_only() {
        assert_eq!(frames("", 10), (whole(&[]), 0));
        assert_eq!(frames("a\n\nb\r\nc", 10), (whole(&["a", "", "b"]), 6));
        assert_eq!(frames("\r\r\n", 10), (whole(&["\r"]), 3));
    }

    #[test]
    fn long_lines_are_cut_at_the_limit() {
        // A line of exactly the limit is no long line, and that shows only with its next byte.
        assert_eq!(frames("12345678", 8), (whole(&[]), 0));
        assert_eq!(frames("12345678\n", 8), (whole(&["12345678"]), 9));
        let cut = |text: &str| (text.to_owned(), true);
        assert_eq!(frames("123456789", 8), (vec![cut("12345678")], 8));
        let (mut found, at) = frames("123456789abcdefgh\n", 8);
        assert_eq!(found.pop(), Some(("h".to_owned(), false)));
        assert_eq!((found, at), (vec![cut("12345678"), cut("9abcdefg")], 18));
    }

    #[test]
    fn a_cut_spares_characters() {
        let (found, _) = frames("ééééé\n", 5);
        let found: Vec<_> = found.into_iter().map(|(text, _)| text).collect();
        assert_eq!(found, ["éé", "éé", "é"]);
    }

    #[test]
    fn zeros_and_rests_are_stepped_over() {
        let mut frames = Frames::new(b"\0\0\0x\ny\nz\r", 0, 10);
        assert_eq!(frames.skip_zeros(4), 0);
        assert_eq!(frames.skip_zeros(3), 3);
        assert!(frames.skip_line());
        assert_eq!(frames.next().map(|frame| frame.text), Some(5..6));
        assert_eq!(frames.rest().map(|frame| frame.text), Some(7..8));
        assert!(!frames.skip_line());
    }

    proptest! {
        /// However a file arrives, its frames are those of the whole.
        #[test]
        fn the_splits_of_the_reads_do_not_show(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(0xC3), Just(0xA9)], 0..60),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            limit in 4usize..12,
        ) {
            let expected: Vec<_> = Frames::new(&bytes, 0, limit).collect();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut at = 0;
            let mut found = Vec::new();
            for end in ends {
                let mut frames = Frames::new(&bytes[..end], at, limit);
                found.extend(frames.by_ref());
                at = frames.at();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
