//! Writing elements.
//!
//! An element is a tag and what belongs to it (format_description.txt of Google's snappy). Two kinds are used:
//!
//! ```text
//! literal  LLLLLL00 …            L + 1 bytes follow; 60 and 61 say that one or two bytes of length come first
//! copy     LLLLLL10 dddddddd ×2  L + 1 bytes from d bytes ago, little endian
//! ```
//!
//! The third kind, a copy in two bytes, would save 1 to 2 % of size and cost 5 % of speed; the fourth has distances that
//! are never looked for. All is written with stores of fixed width that may write more than is meant: what is too much
//! is overwritten by the next element.

use crate::search::{FRONT, REACH, Window, chunk};

/// Keeps positions within `bytes`. A window never needs as much: a literal of all of it is 3 bytes more.
const MASK: usize = 2 * REACH - 1;
/// The widest store.
const WIDEST: usize = 16;

/// The elements of a window.
#[derive(Debug)]
pub(crate) struct Elements {
    bytes: [u8; 2 * REACH + WIDEST],
    len: usize,
}

impl Elements {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 2 * REACH + WIDEST],
            len: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Says how much was written. In between, the position is passed from element to element: it stays in a register.
    pub(crate) fn finish(&mut self, len: usize) {
        self.len = len;
    }

    pub(crate) fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Writes positions `from..to` at `at`, nothing if there are none; answers where the next element goes.
    #[inline(always)]
    pub(crate) fn literal(&mut self, at: usize, window: &Window, from: usize, to: usize) -> usize {
        let len = to - from;
        if len > WIDEST {
            return self.long_literal(at, window, from, to);
        }
        self.store(at, [byte(len.wrapping_sub(1) << 2)]);
        self.store::<WIDEST>(at + 1, chunk(window, FRONT + from));
        at + len + usize::from(len > 0)
    }

    #[inline(never)]
    fn long_literal(&mut self, at: usize, window: &Window, from: usize, to: usize) -> usize {
        let len = to - from;
        let begin = match len - 1 {
            last @ 0..60 => {
                self.store(at, [byte(last << 2)]);
                at + 1
            }
            last @ 60..256 => {
                self.store(at, [60 << 2, byte(last)]);
                at + 2
            }
            last => {
                self.store(at, [61 << 2, byte(last), byte(last >> 8)]);
                at + 3
            }
        };
        if let (Some(room), Some(literal)) = (
            self.bytes.get_mut(begin..begin + len),
            window.get(FRONT + from..FRONT + to),
        ) {
            room.copy_from_slice(literal);
        }
        begin + len
    }

    /// Writes a copy of `len` bytes (not 0) from `distance` (1 to 65,535) bytes ago at `at`; answers where the next
    /// element goes.
    #[inline(always)]
    pub(crate) fn copy(&mut self, mut at: usize, distance: usize, mut len: usize) -> usize {
        while len > 64 {
            self.copy_once(at, distance, 64);
            at += 3;
            len -= 64;
        }
        self.copy_once(at, distance, len);
        at + 3
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "6 bits of length and 16 of distance"
    )]
    fn copy_once(&mut self, at: usize, distance: usize, len: usize) {
        let element = ((len - 1) << 2 | 2 | distance << 8) as u32;
        self.store(at, element.to_le_bytes());
    }

    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "the mask leaves room for the widest store"
    )]
    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        const { assert!(N <= WIDEST) };
        let at = at & MASK;
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }
}

#[inline(always)]
fn byte(value: usize) -> u8 {
    value.to_le_bytes()[0]
}
