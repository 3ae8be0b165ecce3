//! Finding what was there before.
//!
//! Positions are 16 bits wide: what is looked at is a [`Window`] of the input, and what the table holds are positions in
//! it. That saves arithmetic for every candidate, and lets the compiler see that none lies outside: the inner loops have
//! no bounds checks.

use std::hint::select_unpredictable;

use crate::elements::Elements;

/// Positions of a window; also how far back a copy can reach.
pub(crate) const REACH: usize = 1 << 16;
/// How far the window moves each time, so that what is compressed knows at least as much of what was before.
pub(crate) const STEP: usize = REACH / 2;
/// Bytes before position 0.
pub(crate) const FRONT: usize = 8;
/// Bytes behind the last position. They are loaded now and then, but never decide anything.
const BEHIND: usize = 64;
/// Bytes that a window is made of.
pub(crate) const WINDOW: usize = FRONT + REACH + BEHIND;
/// A part of the input, the byte at position `p` at index `FRONT + p`.
pub(crate) type Window = [u8; WINDOW];

/// No search begins in the last bytes, so that loads need not look for the end.
const TAIL: usize = 40;
/// The shortest match.
const SHORTEST: usize = 8;
/// The first position that is ever remembered, so that there are always bytes before a candidate.
const EARLIEST: u16 = 8;
/// The table has this many bits: 16 KiB, so that it stays in the first-level cache beside the text.
const BITS: u32 = 13;

/// Where eight bytes were seen last, by their hash.
#[derive(Debug)]
pub(crate) struct Table {
    seen: [u16; 1 << BITS],
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            seen: [EARLIEST; 1 << BITS],
        }
    }

    /// Forgets everything. There is no mark for "never seen": the bytes are compared anyway.
    pub(crate) fn clear(&mut self) {
        self.seen.fill(EARLIEST);
    }

    /// Follows the window when it moves by [`STEP`].
    pub(crate) fn slide(&mut self) {
        for position in &mut self.seen {
            *position = position.saturating_sub(low16(STEP));
        }
    }

    /// Where these bytes were seen last.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "what is left of the product are the bits that the table has"
    )]
    fn entry(&mut self, bytes: u64) -> &mut u16 {
        &mut self.seen[(bytes.wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - BITS)) as usize]
    }

    /// Where these bytes were seen last, before now.
    #[inline(always)]
    fn replace(&mut self, bytes: u64, at: usize) -> usize {
        usize::from(std::mem::replace(self.entry(bytes), low16(at)))
    }
}

/// Compresses the first `end` positions of a window from `start` on, but for the last few of them. Answers where it
/// stopped.
pub(crate) fn compress(
    window: &Window,
    start: usize,
    end: usize,
    table: &mut Table,
    out: &mut Elements,
) -> usize {
    out.clear();
    let end = end.min(REACH);
    let limit = end.saturating_sub(TAIL);
    // Everything before this has been written.
    let mut done = start;
    let mut at = start.max(usize::from(EARLIEST) + 1);
    let mut distance = 1;
    let mut written = 0;
    'search: while at < limit {
        let candidate = if again(window, at, distance, 7) {
            at += 7;
            table.replace(load(window, at), at);
            at - distance
        } else if again(window, at, distance, 16) {
            at += 16;
            table.replace(load(window, at), at);
            at - distance
        } else {
            let mut misses = 32;
            loop {
                let bytes = load(window, at);
                let candidate = table.replace(bytes, at);
                if load(window, candidate) == bytes {
                    break candidate;
                }
                at += 1 + to_delimiter(bytes >> 8) + (misses >> 6);
                misses += misses >> 5;
                if at >= limit {
                    break 'search;
                }
            }
        };
        // What the hops went past.
        let before = load_before(window, at) ^ load_before(window, candidate & 0xffff);
        let before = (before.leading_zeros() as usize / 8).min(at - done);
        let len = common(window, at, candidate & 0xffff, end);
        distance = at - candidate;
        written = out.literal(written, window, done, at - before);
        written = out.copy(written, distance, before + len);
        at += len;
        done = at;
    }
    if done < limit {
        written = out.literal(written, window, done, limit);
        done = limit;
    }
    out.finish(written);
    done
}

/// Whether a match goes on at the same distance, `ahead` bytes after it ended: in lines of logs, behind a value as long
/// as the one in its place before.
#[inline(always)]
fn again(window: &Window, at: usize, distance: usize, ahead: usize) -> bool {
    let at = at + ahead;
    load(window, at) == load(window, at.wrapping_sub(distance) & 0xffff)
}

/// Bytes before the first one that is a space, a quotation mark or less. Numbers and names are not worth a search, and
/// what follows them is found wherever it stands.
#[inline(always)]
fn to_delimiter(bytes: u64) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let delimiters = bytes.wrapping_sub(EACH * 0x24) & !bytes & (EACH * 0x80);
    equal_bytes(delimiters)
}

/// How many bytes are the same at two positions that begin with the same eight, at most up to `end`, which is not near.
#[inline(always)]
fn common(window: &Window, at: usize, candidate: usize, end: usize) -> usize {
    // Most matches end in these words; a branch for each would be predicted wrongly too often.
    let first = load(window, at + 8) ^ load(window, candidate + 8);
    let second = load(window, at + 16) ^ load(window, candidate + 16);
    let word = select_unpredictable(first != 0, first, second);
    if word != 0 {
        return SHORTEST + select_unpredictable(first != 0, 0, 8) + equal_bytes(word);
    }
    let mut len = 24;
    while at + len + 16 <= end {
        let candidate = (candidate + len) & 0xffff;
        if chunk::<16>(window, FRONT + at + len) != chunk::<16>(window, FRONT + candidate) {
            let first = load(window, at + len) ^ load(window, candidate);
            let second = load(window, at + len + 8) ^ load(window, candidate + 8);
            let word = select_unpredictable(first != 0, first, second);
            return len + select_unpredictable(first != 0, 0, 8) + equal_bytes(word);
        }
        len += 16;
    }
    len
}

/// The eight bytes from a position on.
#[inline(always)]
fn load(window: &Window, at: usize) -> u64 {
    u64::from_le_bytes(chunk(window, FRONT + at))
}

/// The eight bytes before a position.
#[inline(always)]
fn load_before(window: &Window, at: usize) -> u64 {
    u64::from_le_bytes(chunk(window, at))
}

/// Bytes of the window; zeros instead of any that it does not have, which nobody asks for.
#[inline(always)]
pub(crate) fn chunk<const N: usize>(window: &Window, at: usize) -> [u8; N] {
    match window.get(at..at + N).and_then(|bytes| bytes.first_chunk()) {
        Some(bytes) => *bytes,
        None => [0; N],
    }
}

/// How many of the first bytes are zero.
#[inline(always)]
fn equal_bytes(difference: u64) -> usize {
    difference.trailing_zeros() as usize / 8
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a position has 16 bits")]
fn low16(at: usize) -> u16 {
    at as u16
}
