//! Records from a file, in bounded buffers.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::file::File;
use crate::record::{
    Damage, HEADER_LEN, Item, MAX_PAYLOAD, Reason, Record, Source, Step, step, to_u64, to_usize,
};

/// Read from the file at once, unless a record is larger.
const WINDOW: usize = 256 << 10;

/// Reads the records of a file by offset. Holds one buffer: 256 KiB, or the largest record so far.
///
/// The file may grow while it is read: an end that was [`Reason::Torn`] is looked at anew by the next
/// [`next`](Self::next) after [`seek`](Self::seek).
pub struct Reader {
    window: Window,
    offset: u64,
    max_payload: usize,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads from `offset`. Records with more than `max_payload` bytes are skipped as damage.
    #[must_use]
    pub fn new(file: Arc<dyn File>, offset: u64, max_payload: usize) -> Self {
        let window = Window {
            file,
            size: 0,
            start: 0,
            buffer: Vec::new(),
        };
        Self {
            window,
            offset,
            max_payload: max_payload.min(MAX_PAYLOAD),
        }
    }

    /// Where the next item begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset` and forgets what is buffered.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
        self.window.buffer.clear();
    }

    /// The next item, `None` at the end of the file. An error is the file system's; the reader can go on after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows the reader's buffer, which Iterator can't say"
    )]
    pub fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        self.window.size = self.window.file.size()?;
        let Some(step) = step(&mut self.window, self.offset, self.max_payload)? else {
            return Ok(None);
        };
        match step {
            Step::Damage(damage) => {
                self.offset = damage.offset + damage.len;
                Ok(Some(Item::Damage(damage)))
            }
            Step::Record(found) => {
                let record_len = HEADER_LEN + found.len;
                self.offset = found.offset + to_u64(record_len);
                let bytes = self.window.exact(found.offset, record_len)?;
                Ok(Some(match bytes.get(HEADER_LEN..record_len) {
                    Some(payload) => Item::Record(Record {
                        sequence: found.sequence,
                        payload,
                        offset: found.offset,
                    }),
                    // Somebody cut the file meanwhile.
                    None => Item::Damage(Damage {
                        offset: found.offset,
                        len: to_u64(record_len),
                        reason: Reason::Torn,
                    }),
                }))
            }
        }
    }
}

/// The part of a file that is in memory.
struct Window {
    file: Arc<dyn File>,
    size: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    fn held(&self, offset: u64) -> &[u8] {
        match offset.checked_sub(self.start) {
            Some(skip) => self.buffer.get(to_usize(skip)..).unwrap_or_default(),
            None => &[],
        }
    }

    /// Makes `len` bytes from `offset` present, as far as the file reaches.
    fn load(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let len = len.min(to_usize(self.size.saturating_sub(offset)));
        if self.held(offset).len() >= len {
            return Ok(());
        }
        let want = len
            .max(WINDOW)
            .min(to_usize(self.size.saturating_sub(offset)));
        self.start = offset;
        self.buffer.clear();
        self.buffer.resize(want, 0);
        match self.file.read_full_at(&mut self.buffer, offset) {
            Ok(filled) => {
                self.buffer.truncate(filled);
                Ok(())
            }
            Err(error) => {
                self.buffer.clear();
                Err(error)
            }
        }
    }
}

impl Source for Window {
    type Error = io::Error;

    fn len(&self) -> u64 {
        self.size
    }

    fn chunk(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        if self.held(offset).is_empty() {
            self.load(offset, 1)?;
        }
        let held = self.held(offset);
        Ok(held.get(..len).unwrap_or(held))
    }

    fn exact(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        self.load(offset, len)?;
        let held = self.held(offset);
        Ok(held.get(..len).unwrap_or(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Records, write_record};
    use proptest::prelude::*;

    /// A file in memory that reads short.
    struct Memory(Vec<u8>, usize);

    impl File for Memory {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let from = self.0.get(to_usize(offset)..).unwrap_or_default();
            let count = from.len().min(buffer.len()).min(self.1);
            buffer[..count].copy_from_slice(&from[..count]);
            Ok(count)
        }
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn size(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn set_size(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }

    #[derive(Debug, PartialEq)]
    enum Owned {
        Record(u64, u64, Vec<u8>),
        Damage(Damage),
    }

    fn own(item: Item<'_>) -> Owned {
        match item {
            Item::Record(record) => {
                Owned::Record(record.sequence, record.offset, record.payload.to_vec())
            }
            Item::Damage(damage) => Owned::Damage(damage),
        }
    }

    fn streamed(bytes: Vec<u8>, short: usize) -> Vec<Owned> {
        let mut reader = Reader::new(Arc::new(Memory(bytes, short)), 0, MAX_PAYLOAD);
        let mut items = Vec::new();
        while let Some(item) = reader.next().unwrap() {
            items.push(own(item));
        }
        items
    }

    #[test]
    fn records_larger_than_the_window_and_across_it() {
        let mut bytes = Vec::new();
        for (sequence, len) in [10, WINDOW - 40, WINDOW * 3, 0, 7, WINDOW]
            .into_iter()
            .enumerate()
        {
            write_record(&mut bytes, sequence as u64, &vec![b'x'; len]).unwrap();
        }
        bytes[WINDOW * 2] ^= 1;
        bytes[3] ^= 1;
        let expected: Vec<_> = Records::new(&bytes).map(own).collect();
        assert_eq!(expected.len(), 6);
        assert!(streamed(bytes, 100_000) == expected);
    }

    #[test]
    fn a_record_over_the_limit_is_skipped_and_counted() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, 1, &[1; 100]).unwrap();
        write_record(&mut bytes, 2, b"small").unwrap();
        let mut reader = Reader::new(Arc::new(Memory(bytes, 64)), 0, 99);
        let skipped = Damage {
            offset: 0,
            len: 124,
            reason: Reason::TooLarge,
        };
        assert_eq!(reader.next().unwrap(), Some(Item::Damage(skipped)));
        assert!(
            matches!(reader.next().unwrap(), Some(Item::Record(record)) if record.sequence == 2)
        );
        assert!(reader.next().unwrap().is_none());
    }

    proptest! {
        #[test]
        fn finds_what_a_reader_of_the_whole_finds(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            cut in any::<prop::sample::Index>(),
            short in 1usize..50,
        ) {
            let mut bytes = Vec::new();
            for (sequence, payload) in payloads.iter().enumerate() {
                write_record(&mut bytes, sequence as u64, payload).unwrap();
            }
            if !bytes.is_empty() {
                for (at, flip) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= flip;
                }
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let expected: Vec<_> = Records::new(&bytes).map(own).collect();
            prop_assert_eq!(streamed(bytes, short), expected);
        }
    }
}
