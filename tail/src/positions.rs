//! How far each file was delivered, as bytes.
//!
//! ```text
//! u8  version: 2 (1 is read too: it ends each file with the byte, without the two numbers behind it)
//! i64 when it was written, nanoseconds since 1970 (not in version 1)
//! per file:
//!   u16 length, bytes    path of the stream (the path that is rotated)
//!   u16 length, bytes    name of this file in the stream's directory, when it was last seen
//!   u64 device           u64 inode
//!   u16 length of the fingerprint     u64 its hash
//!   u64 committed offset              u64 hash of the bytes before it
//!   u64 size when last seen           u8 1: never to be read (a copy, or older than the beginning)
//!   u64 compressed size, 0 when it is not compressed (offsets and size above are those of the text)
//!   u64 records before the committed offset
//! ```
//!
//! Little-endian. The bytes are one record of a [`Checkpoint`](corten_storage::Checkpoint), whose checksum stands for all of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::identity::{Fingerprint, Inode, Position};

const VERSION: u8 = 2;
/// Without compressed files.
const FIRST: u8 = 1;

/// What is remembered of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stream: PathBuf,
    pub(crate) name: OsString,
    pub(crate) state: State,
}

/// What is remembered of one file besides its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) inode: Inode,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) committed: Position,
    pub(crate) size: u64,
    pub(crate) ignored: bool,
    pub(crate) packed: u64,
    pub(crate) number: u64,
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// When it was written, nanoseconds since 1970; the end of time when that isn't known.
    pub(crate) at: i64,
    pub(crate) entries: Vec<Entry>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            at: i64::MAX,
            entries: Vec::new(),
        }
    }
}

/// The bytes can't be read: another version wrote them, or something else altogether.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PositionsError {
    #[error("written in version {0}, this is version {VERSION}")]
    Version(u8),
    #[error("the bytes end within an entry")]
    Short,
}

/// Writes entries, one after the other.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// `at` is now, nanoseconds since 1970.
    pub(crate) fn new(at: i64) -> Self {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&at.to_le_bytes());
        Self { bytes }
    }

    pub(crate) fn entry(&mut self, stream: &OsStr, name: &OsStr, state: &State) {
        let out = &mut self.bytes;
        for text in [stream, name] {
            let text = text.as_bytes();
            // No path is longer than 4,096 bytes.
            let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text.get(..usize::from(len)).unwrap_or_default());
        }
        out.extend_from_slice(&state.inode.0.to_le_bytes());
        out.extend_from_slice(&state.inode.1.to_le_bytes());
        out.extend_from_slice(&state.fingerprint.len.to_le_bytes());
        out.extend_from_slice(&state.fingerprint.hash.to_le_bytes());
        out.extend_from_slice(&state.committed.offset.to_le_bytes());
        out.extend_from_slice(&state.committed.frontier.to_le_bytes());
        out.extend_from_slice(&state.size.to_le_bytes());
        out.push(u8::from(state.ignored));
        out.extend_from_slice(&state.packed.to_le_bytes());
        out.extend_from_slice(&state.number.to_le_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads entries back. Empty bytes are no entries.
pub(crate) fn read(bytes: &[u8]) -> Result<Saved, PositionsError> {
    let mut saved = Saved::default();
    let Some((version, mut rest)) = bytes.split_first() else {
        return Ok(saved);
    };
    if ![VERSION, FIRST].contains(version) {
        return Err(PositionsError::Version(*version));
    }
    if *version != FIRST {
        saved.at = i64::from_le_bytes(take(&mut rest).ok_or(PositionsError::Short)?);
    }
    while !rest.is_empty() {
        let entry = entry(&mut rest, *version).ok_or(PositionsError::Short)?;
        saved.entries.push(entry);
    }
    Ok(saved)
}

fn entry(rest: &mut &[u8], version: u8) -> Option<Entry> {
    let number = |rest: &mut &[u8]| take(rest).map(u64::from_le_bytes);
    let stream = PathBuf::from(text(rest)?);
    let name = text(rest)?;
    let mut state = State {
        inode: (number(rest)?, number(rest)?),
        fingerprint: Fingerprint {
            len: u16::from_le_bytes(take(rest)?),
            hash: number(rest)?,
        },
        committed: Position {
            offset: number(rest)?,
            frontier: number(rest)?,
        },
        size: number(rest)?,
        ignored: take::<1>(rest)? != [0],
        packed: 0,
        number: 0,
    };
    if version != FIRST {
        state.packed = number(rest)?;
        state.number = number(rest)?;
    }
    Some(Entry {
        stream,
        name,
        state,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn text(rest: &mut &[u8]) -> Option<OsString> {
    let len = usize::from(u16::from_le_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(OsString::from_vec(head.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(entries: &[Entry]) -> Vec<u8> {
        let mut writer = Writer::new(7);
        for entry in entries {
            writer.entry(entry.stream.as_os_str(), &entry.name, &entry.state);
        }
        writer.finish()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in prop::collection::vec(
            (any::<Vec<u8>>(), any::<Vec<u8>>(), any::<[u64; 8]>(), any::<u16>(), any::<bool>()), 0..5,
        )) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(stream, name, [dev, ino, hash, offset, frontier, size, packed, number], len, ignored)| Entry {
                    stream: PathBuf::from(OsString::from_vec(stream)),
                    name: OsString::from_vec(name),
                    state: State {
                        inode: (dev, ino),
                        fingerprint: Fingerprint { len, hash },
                        committed: Position { offset, frontier },
                        size,
                        ignored,
                        packed,
                        number,
                    },
                })
                .collect();
            let bytes = write(&entries);
            let expected = Saved { at: 7, entries: entries.clone() };
            prop_assert_eq!(read(&bytes), Ok(expected));
            for len in 1..bytes.len() {
                if let Ok(fewer) = read(&bytes[..len]) {
                    prop_assert!(entries.starts_with(&fewer.entries));
                }
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes));
        }
    }

    #[test]
    fn another_version_is_told() {
        assert_eq!(read(&[3]), Err(PositionsError::Version(3)));
        assert_eq!(read(&[]), Ok(Saved::default()));
        assert_eq!(read(&[1, 0]), Err(PositionsError::Short));
    }

    #[test]
    fn the_first_version_is_read() {
        let mut bytes = vec![FIRST];
        for _ in 0..2 {
            bytes.extend([2, 0, b'/', b'a', 1, 0, b'b']);
            bytes.extend([7; 8 + 8 + 2 + 8 + 8 + 8 + 8]);
            bytes.push(1);
        }
        let Saved { at, entries } = read(&bytes).unwrap();
        assert_eq!(at, i64::MAX);
        assert_eq!(entries.len(), 2);
        let state = &entries[1].state;
        assert_eq!((state.packed, state.number, state.ignored), (0, 0, true));
        assert_eq!(state.fingerprint.len, 0x0707);
    }
}
