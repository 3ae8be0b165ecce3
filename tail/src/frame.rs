//! Lines out of a buffer.

use std::ops::Range;

use crate::encoding::{Encoding, Wide};
use crate::multiline::Multiline;

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

/// Zero bytes where a line would begin: the hole that a writer leaves whose file was truncated under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeros {
    None,
    /// So many were stepped over.
    Skipped(usize),
    /// There is nothing else to the end of the buffer.
    ToEnd,
}

/// How a text is taken apart.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Split<'a> {
    /// The longest piece, bytes.
    pub(crate) limit: usize,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) multiline: Option<&'a Multiline>,
    /// Nothing more comes.
    pub(crate) last: bool,
}

/// Finds the complete lines of `buffer` from `at` on. Where a line is cut depends on where it begins and
/// on nothing else, so the same file gives the same pieces however it is read.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    buffer: &'a [u8],
    at: usize,
    split: Split<'a>,
    wide: Option<Wide>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(buffer: &'a [u8], at: usize, split: Split<'a>) -> Self {
        let limit = split.limit.max(4);
        let wide = split.encoding.and_then(Encoding::wide);
        Self {
            buffer,
            at,
            split: Split {
                limit: if wide.is_some() { limit & !1 } else { limit },
                ..split
            },
            wide,
        }
    }

    /// Where the bytes begin that are no complete line yet.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Steps over the rest of a line. `false` when the buffer ends before the line does.
    pub(crate) fn skip_line(&mut self) -> bool {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let (end, found) = if let Some(multiline) = self.split.multiline {
            match multiline.next_boundary(self.buffer, self.at) {
                Some(end) => (end, true),
                // A match that is not whole yet begins in the last line at the earliest.
                None => {
                    let line =
                        memchr::memrchr(b'\n', rest).filter(|_| rest.len() <= self.split.limit);
                    (self.at + line.unwrap_or(rest.len()), false)
                }
            }
        } else if let Some(wide) = self.wide {
            match wide.find(b'\n', rest) {
                Some(newline) => (self.at + newline + 2, true),
                None => (self.at + (rest.len() & !1), false),
            }
        } else {
            match memchr::memchr(b'\n', rest) {
                Some(newline) => (self.at + newline + 1, true),
                None => (self.buffer.len(), false),
            }
        };
        self.at = end;
        found
    }

    /// Steps over zero bytes at the beginning of a line, when there are at least `least` of them and something follows.
    pub(crate) fn skip_zeros(&mut self, least: usize) -> Zeros {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        // Nearly all lines.
        if rest.first() != Some(&0) {
            return Zeros::None;
        }
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        // It goes on with a run that began before.
        let before = self.buffer.get(..self.at).unwrap_or_default();
        let within = before.ends_with(if self.wide.is_some() { &[0; 2] } else { &[0] });
        if zeros < least && !within {
            return Zeros::None;
        }
        if zeros == rest.len() {
            return Zeros::ToEnd;
        }
        let zeros = if self.wide.is_some() {
            zeros & !1
        } else {
            zeros
        };
        self.at += zeros;
        Zeros::Skipped(zeros)
    }

    /// Steps over all that is left.
    pub(crate) fn skip_rest(&mut self) -> usize {
        let rest = self.buffer.len() - self.at;
        let rest = if self.wide.is_some() { rest & !1 } else { rest };
        self.at += rest;
        rest
    }

    /// What is left when no more is to come: the last line without its newline.
    pub(crate) fn rest(&mut self) -> Option<Frame> {
        let range = self.at..self.buffer.len();
        if range.is_empty() {
            return None;
        }
        let text = match self.split.multiline {
            Some(multiline) => {
                let left = multiline.remainder(self.buffer.get(range.clone()).unwrap_or_default());
                range.start + left.start..range.start + left.end
            }
            None => range,
        };
        self.at = self.buffer.len();
        Some(Frame {
            text: self.trimmed(text),
            next: self.at,
            cut: false,
        })
    }

    /// Without the carriage return of a line's end, and of several lines without the newlines around them.
    fn trimmed(&self, mut range: Range<usize>) -> Range<usize> {
        let text = |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        if self.split.multiline.is_some() {
            if text(&range).ends_with(b"\n") {
                range.end -= 1;
            }
            if text(&range).starts_with(b"\n") {
                range.start += 1;
            } else if text(&range).starts_with(b"\r\n") {
                range.start += 2;
            }
        }
        match self.wide {
            None if text(&range).ends_with(b"\r") => range.end -= 1,
            Some(wide) if wide.ends_with(b'\r', text(&range)) => range.end -= 2,
            _ => {}
        }
        range
    }

    /// The end of a piece of at most `limit` bytes that doesn't cut a character.
    fn cut(&self) -> usize {
        let end = self.at + self.split.limit;
        if let Some(encoding) = self.split.encoding {
            let piece = self.buffer.get(self.at..end).unwrap_or_default();
            return self.at + encoding.cut(piece).max(2);
        }
        for back in 0..4 {
            let at = end - back;
            // Bytes 10xxxxxx continue a character.
            if self.buffer.get(at).is_none_or(|byte| byte & 0xC0 != 0x80) {
                return at;
            }
        }
        end
    }

    /// Cuts off a piece.
    fn piece(&mut self) -> Frame {
        let end = self.cut();
        let text = self.at..end;
        self.at = end;
        Frame {
            text,
            next: end,
            cut: true,
        }
    }

    /// The first record that a pattern tells from the next.
    fn record(&mut self, multiline: &Multiline) -> Option<Frame> {
        let rest = self.buffer.get(self.at..).filter(|rest| !rest.is_empty())?;
        let within = rest.get(..self.split.limit).unwrap_or(rest);
        let whole = within.len() == rest.len();
        let Some((text, next)) = multiline.record(within, self.split.last && whole) else {
            return if whole { None } else { Some(self.piece()) };
        };
        let text = self.trimmed(self.at + text.start..self.at + text.end);
        self.at += next;
        Some(Frame {
            text,
            next: self.at,
            cut: false,
        })
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if let Some(multiline) = self.split.multiline {
            return self.record(multiline);
        }
        let rest = self.buffer.get(self.at..)?;
        let (newline, width) = match self.wide {
            None => (memchr::memchr(b'\n', rest), 1),
            Some(wide) => (wide.find(b'\n', rest), 2),
        };
        // A newline of which half is there may still be within the limit.
        if newline.unwrap_or((rest.len() + 1).saturating_sub(width)) > self.split.limit {
            return Some(self.piece());
        }
        let end = self.at + newline?;
        let text = self.trimmed(self.at..end);
        self.at = end + width;
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

    fn limited<'a>(limit: usize) -> Split<'a> {
        Split {
            limit,
            ..Split::default()
        }
    }

    fn frames(text: &str, limit: usize) -> (Vec<(String, bool)>, usize) {
        let mut frames = Frames::new(text.as_bytes(), 0, limited(limit));
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
        let mut frames = Frames::new(b"\0\0\0x\ny\nz\r", 0, limited(10));
        assert_eq!(frames.skip_zeros(4), Zeros::None);
        assert_eq!(frames.skip_zeros(3), Zeros::Skipped(3));
        assert!(frames.skip_line());
        assert_eq!(frames.next().map(|frame| frame.text), Some(5..6));
        assert_eq!(frames.rest().map(|frame| frame.text), Some(7..8));
        assert!(!frames.skip_line());
        let mut frames = Frames::new(b"\0\0\0", 0, limited(10));
        assert_eq!(frames.skip_zeros(3), Zeros::ToEnd);
        assert_eq!((frames.at(), frames.skip_rest(), frames.at()), (0, 3, 3));
    }

    fn wide(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| match big {
                true => unit.to_be_bytes(),
                false => unit.to_le_bytes(),
            })
            .collect()
    }

    #[test]
    fn utf_16() {
        for (name, big) in [("utf-16le", false), ("utf-16be", true)] {
            let encoding = Encoding::named(name).unwrap();
            let split = Split {
                encoding,
                ..limited(13)
            };
            // U+0A0D and U+0D0A have the bytes of a line's end, U+1F600 has four.
            let bytes = wide("a\r\n\u{A0D}\u{D0A}b\n\ncccccc\u{1F600}d\nrest", big);
            let mut frames = Frames::new(&bytes, 0, split);
            let mut found = Vec::new();
            for frame in frames.by_ref() {
                let mut text = String::new();
                encoding
                    .unwrap()
                    .decode(&bytes[frame.text], false, &mut text);
                found.push(text);
            }
            assert_eq!(found, ["a", "\u{A0D}\u{D0A}b", "", "cccccc", "\u{1F600}d"]);
            assert_eq!(frames.rest().map(|frame| frame.text.len()), Some(8));
        }
    }

    #[test]
    fn several_lines_and_their_limit() {
        let multiline = Multiline::line_start("^>", false).unwrap();
        let split = Split {
            multiline: Some(&multiline),
            ..limited(8)
        };
        let bytes = b">a\nb\n>c\r\n>long\nlong\n>d\n>e";
        let mut frames = Frames::new(bytes, 0, split);
        let found: Vec<_> = frames
            .by_ref()
            .map(|frame| (String::from_utf8_lossy(&bytes[frame.text]), frame.cut))
            .collect();
        let expected = [
            (">a\nb", false),
            (">c", false),
            (">long\nlo", true),
            ("ng", false),
            (">d", false),
        ];
        assert_eq!(found, expected.map(|(text, cut)| (text.into(), cut)));
        assert_eq!(frames.rest().map(|frame| frame.text), Some(23..25));
        let mut frames = Frames::new(bytes, 13, split);
        assert!(frames.skip_line());
        assert_eq!(frames.at(), 20);
    }

    fn splits() -> impl Strategy<Value = (Option<Encoding>, Option<Multiline>)> {
        prop_oneof![
            3 => Just((None, None)),
            1 => Just((Encoding::named("utf-16le").unwrap(), None)),
            1 => Just((Encoding::named("utf-16be").unwrap(), None)),
            1 => Just((Encoding::named("big5").unwrap(), None)),
            1 => Just((None, Multiline::line_start("^x", false).ok())),
            1 => Just((None, Multiline::line_end("x$", true).ok())),
        ]
    }

    proptest! {
        /// However a file arrives, its frames are those of the whole.
        #[test]
        fn the_splits_of_the_reads_do_not_show(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(0), Just(0xC3), Just(0xA9)], 0..80),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            limit in 4usize..12,
            (encoding, multiline) in splits(),
        ) {
            let split = Split { encoding, multiline: multiline.as_ref(), ..limited(limit) };
            let expected: Vec<_> = Frames::new(&bytes, 0, split).collect();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut at = 0;
            let mut found = Vec::new();
            for end in ends {
                let mut frames = Frames::new(&bytes[..end], at, split);
                found.extend(frames.by_ref());
                at = frames.at();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
