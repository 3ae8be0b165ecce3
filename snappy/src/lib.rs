//! An encoder of the snappy block format that is made for logs.
//!
//! Loki takes push bodies as a raw snappy block, and compressing them is most of what shipping a line costs. This encoder
//! takes about half of the time of the `snap` crate for bodies of log lines, and what comes out of it is about as large
//! (within a tenth, mostly). Every decoder of snappy reads it.
//!
//! # Where the time goes
//!
//! Not into comparing bytes but into finding out where to compare: for each match a few loads that wait for each other and
//! one or two branches that nobody can predict. So there should be few matches, and few attempts at one:
//!
//! - A match has eight bytes at least (of the usual encoders: four), so that there are a third fewer of them.
//! - Lines of a log are alike but for their values. When a match ends, it often goes on at the same distance behind a
//!   value: that is looked at first and needs no table.
//! - Else the search hops from one delimiter to the next rather than from byte to byte. That brings it to the same places
//!   of each line, however long the values between them are; what it hopped over is compared backwards.
//! - Positions have 16 bits and windows of the input are arrays of fixed size, so that checks of bounds fall away. Windows
//!   overlap by half; `snap` forgets everything every 64 KiB. That makes up for much of what fewer matches cost.
//! - The table has 16 KiB and stays in the first-level cache.
//!
//! Text without repeated phrases is where this costs size: up to a quarter more than `snap` for random words.
//!
//! ```
//! let mut encoder = corten_snappy::Encoder::new();
//! let mut compressed = Vec::new();
//! encoder.compress_into(&b"level=info msg=done ".repeat(50), &mut compressed)?;
//! assert!(compressed.len() < 100);
//! # Ok::<(), corten_snappy::TooLong>(())
//! ```

mod elements;
mod search;

use elements::Elements;
use search::{FRONT, REACH, STEP, Table, WINDOW, Window};

/// The format has 32 bits for the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too many for one snappy block: send at most 4294967295 at once")]
pub struct TooLong(usize);

/// The length that `len` bytes have at most when they are compressed: what Google's library gives for it
/// (`snappy_max_compressed_length`), and more than is needed.
#[must_use]
pub fn max_compressed_len(len: usize) -> usize {
    len.saturating_add(len / 6).saturating_add(32)
}

/// Compresses inputs, one after the other. Keeps 210 KiB of memory from one to the next, but nothing that the next output
/// depends on.
#[derive(Debug)]
pub struct Encoder {
    table: Box<Table>,
    elements: Box<Elements>,
    /// A copy of those parts of an input that are not a whole window: its begin and its end.
    copied: Box<Window>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Box::new(Table::new()),
            elements: Box::new(Elements::new()),
            copied: Box::new([0; WINDOW]),
        }
    }

    /// Appends `input` as a snappy block to `out`, [`max_compressed_len`] bytes at most. The same input gives the same
    /// bytes, whatever was compressed before.
    ///
    /// # Errors
    ///
    /// The input has more bytes than the format can say; `out` is as it was.
    pub fn compress_into(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
        let len = u32::try_from(input.len()).map_err(|_| TooLong(input.len()))?;
        put_varint(len, out);
        self.table.clear();
        // Where the window begins, and how much of it has been written.
        let (mut from, mut done) = (0, 0);
        while let Some(rest) = input.get(from..) {
            let window = window(input, from, &mut self.copied);
            let end = rest.len().min(REACH);
            done = search::compress(window, done, end, &mut self.table, &mut self.elements);
            out.extend_from_slice(self.elements.written());
            if rest.len() == end {
                if done < end {
                    let written = self.elements.literal(0, window, done, end);
                    self.elements.finish(written);
                    out.extend_from_slice(self.elements.written());
                }
                break;
            }
            self.table.slide();
            from += STEP;
            done -= STEP;
        }
        Ok(())
    }
}

/// The window that begins at `from`: of the input itself if it has enough bytes before and behind, else copied. In a copy,
/// bytes that the input does not have are anything.
fn window<'a>(input: &'a [u8], from: usize, copied: &'a mut Window) -> &'a Window {
    let front = from.min(FRONT);
    let bytes = input.get(from - front..).unwrap_or_default();
    if front == FRONT
        && let Some(window) = bytes.first_chunk()
    {
        return window;
    }
    let bytes = bytes.get(..front + REACH).unwrap_or(bytes);
    if let Some(room) = copied
        .get_mut(FRONT - front..)
        .and_then(|room| room.get_mut(..bytes.len()))
    {
        room.copy_from_slice(bytes);
    }
    copied
}

fn put_varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests;
