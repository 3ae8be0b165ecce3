//! Which file is which.
//!
//! A name says nothing after a rotation, an inode number nothing after a deletion. A file is the one that was read
//! before when device and inode agree, its first bytes hash to the same, and so do the bytes just before the
//! position that was reached. The last is what tells a file that was truncated and grew again.

use std::io;

use crate::opened::ReadAt;

/// How many bytes before a position its [`Position::frontier`] covers.
pub(crate) const FRONTIER: usize = 128;

/// Device and inode.
pub(crate) type Inode = (u64, u64);

/// A place in a file, and what stands right before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// Bytes from the beginning.
    pub(crate) offset: u64,
    /// Hash of the (at most [`FRONTIER`]) bytes before; 0 at the beginning.
    pub(crate) frontier: u64,
}

impl Position {
    /// The position of `at` in a buffer that begins at `start` of the file. `None` when the buffer doesn't hold what is before.
    pub(crate) fn in_buffer(buffer: &[u8], start: u64, at: usize) -> Option<Self> {
        let offset = start + to_u64(at);
        let before = usize::try_from(offset).map_or(FRONTIER, |offset| offset.min(FRONTIER));
        let frontier = hash(buffer.get(at.checked_sub(before)?..at)?);
        Some(Self {
            offset,
            frontier: if before == 0 { 0 } else { frontier },
        })
    }

    /// Whether the file still has, before this position, what it had.
    pub(crate) fn holds_in(&self, file: &mut impl ReadAt) -> io::Result<bool> {
        Ok(Self::read(file, self.offset)?.is_some_and(|position| position == *self))
    }

    /// The position at `offset`. `None` when the file is shorter.
    pub(crate) fn read(file: &mut impl ReadAt, offset: u64) -> io::Result<Option<Self>> {
        let mut buffer = [0; FRONTIER];
        let before = offset.min(to_u64(FRONTIER));
        let len = usize::try_from(before).unwrap_or(FRONTIER);
        let Some(buffer) = buffer.get_mut(..len) else {
            return Ok(None);
        };
        if file.read_full_at(buffer, offset - before)? < len {
            return Ok(None);
        }
        Ok(Self::in_buffer(buffer, offset - before, len))
    }
}

/// A place in a file that reading may go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) at: Position,
    /// Records before it.
    pub(crate) number: u64,
}

/// A file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint {
    /// How many bytes are covered; fewer than configured while the file is short.
    pub(crate) len: u16,
    /// Their hash.
    pub(crate) hash: u64,
}

impl Fingerprint {
    /// Of the first `len` bytes of a file, or of as many as there are.
    pub(crate) fn read(file: &mut impl ReadAt, len: u16) -> io::Result<Self> {
        let mut buffer = vec![0; usize::from(len)];
        let filled = file.read_full_at(&mut buffer, 0)?;
        buffer.truncate(filled);
        if buffer.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self {
            len: u16::try_from(filled).unwrap_or(len),
            hash: hash(&buffer),
        })
    }

    /// Whether the file begins with these bytes.
    pub(crate) fn holds_in(&self, file: &mut impl ReadAt) -> io::Result<bool> {
        Ok(Self::read(file, self.len)? == *self)
    }
}

/// FNV-1a, 64 bits. It stands in checkpoints, so it must never change.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    })
}

pub(crate) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_hash_is_fixed() {
        assert_eq!(hash(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_F739_67E8); // of the algorithm's authors
    }

    #[test]
    fn a_position_is_the_same_from_buffer_and_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut file = File::open(&path).unwrap();
        for offset in [0usize, 1, 127, 128, 129, 500, 1000] {
            let read = Position::read(&mut file, offset as u64).unwrap().unwrap();
            assert_eq!(Position::in_buffer(&bytes, 0, offset), Some(read));
            let start = offset.saturating_sub(FRONTIER);
            let window = &bytes[start..];
            assert_eq!(
                Position::in_buffer(window, start as u64, offset - start),
                Some(read)
            );
            assert!(read.holds_in(&mut file).unwrap());
        }
        assert_eq!(Position::read(&mut file, 1001).unwrap(), None);
        assert_eq!(Position::in_buffer(&bytes[100..], 100, 50), None);
    }

    #[test]
    fn a_fingerprint_holds_while_a_file_grows_and_no_longer_than_that() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        std::fs::write(&path, "first").unwrap();
        let mut file = File::open(&path).unwrap();
        let print = Fingerprint::read(&mut file, 1000).unwrap();
        assert_eq!(print.len, 5);
        std::fs::write(&path, "first and more").unwrap();
        assert!(print.holds_in(&mut file).unwrap());
        std::fs::write(&path, "fIrst and more").unwrap();
        assert!(!print.holds_in(&mut file).unwrap());
        std::fs::write(&path, "fir").unwrap();
        assert!(!print.holds_in(&mut file).unwrap());
    }
}
