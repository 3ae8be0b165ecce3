//! How far each file was delivered, as bytes.
//!
//! ```text
//! u8  version: 1
//! per file:
//!   u16 length, bytes    path of the stream (the path that is rotated)
//!   u16 length, bytes    name of this file in the stream's directory, when it was last seen
//!   u64 device           u64 inode
//!   u16 length of the fingerprint     u64 its hash
//!   u64 committed offset              u64 hash of the bytes before it
//!   u64 size when last seen           u8 1: never to be read (a copy, or older than the beginning)
//! ```
//!
//! Little-endian. The bytes are one record of a [`Checkpoint`](corten_storage::Checkpoint), whose checksum stands for all of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::identity::{Fingerprint, Inode, Position};

const VERSION: u8 = 1;

/// What is remembered of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stream: PathBuf,
    pub(crate) name: OsString,
    pub(crate) inode: Inode,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) committed: Position,
    pub(crate) size: u64,
    pub(crate) ignored: bool,
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
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![VERSION],
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an entry's fields, borrowed")]
    pub(crate) fn entry(
        &mut self,
        stream: &OsStr,
        name: &OsStr,
        inode: Inode,
        fingerprint: Fingerprint,
        committed: Position,
        size: u64,
        ignored: bool,
    ) {
        let out = &mut self.bytes;
        for text in [stream, name] {
            let text = text.as_bytes();
            // No path is longer than 4,096 bytes.
            let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text.get(..usize::from(len)).unwrap_or_default());
        }
        out.extend_from_slice(&inode.0.to_le_bytes());
        out.extend_from_slice(&inode.1.to_le_bytes());
        out.extend_from_slice(&fingerprint.len.to_le_bytes());
        out.extend_from_slice(&fingerprint.hash.to_le_bytes());
        out.extend_from_slice(&committed.offset.to_le_bytes());
        out.extend_from_slice(&committed.frontier.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.push(u8::from(ignored));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads entries back. Empty bytes are no entries.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Entry>, PositionsError> {
    let mut entries = Vec::new();
    let Some((version, mut rest)) = bytes.split_first() else {
        return Ok(entries);
    };
    if *version != VERSION {
        return Err(PositionsError::Version(*version));
    }
    while !rest.is_empty() {
        entries.push(entry(&mut rest).ok_or(PositionsError::Short)?);
    }
    Ok(entries)
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    Some(Entry {
        stream: PathBuf::from(text(rest)?),
        name: text(rest)?,
        inode: (
            u64::from_le_bytes(take(rest)?),
            u64::from_le_bytes(take(rest)?),
        ),
        fingerprint: Fingerprint {
            len: u16::from_le_bytes(take(rest)?),
            hash: u64::from_le_bytes(take(rest)?),
        },
        committed: Position {
            offset: u64::from_le_bytes(take(rest)?),
            frontier: u64::from_le_bytes(take(rest)?),
        },
        size: u64::from_le_bytes(take(rest)?),
        ignored: take::<1>(rest)? != [0],
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
        let mut writer = Writer::new();
        for entry in entries {
            writer.entry(
                entry.stream.as_os_str(),
                &entry.name,
                entry.inode,
                entry.fingerprint,
                entry.committed,
                entry.size,
                entry.ignored,
            );
        }
        writer.finish()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in prop::collection::vec(
            (any::<Vec<u8>>(), any::<Vec<u8>>(), any::<[u64; 6]>(), any::<u16>(), any::<bool>()), 0..5,
        )) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(stream, name, [dev, ino, hash, offset, frontier, size], len, ignored)| Entry {
                    stream: PathBuf::from(OsString::from_vec(stream)),
                    name: OsString::from_vec(name),
                    inode: (dev, ino),
                    fingerprint: Fingerprint { len, hash },
                    committed: Position { offset, frontier },
                    size,
                    ignored,
                })
                .collect();
            let bytes = write(&entries);
            prop_assert_eq!(read(&bytes), Ok(entries.clone()));
            for len in 1..bytes.len() {
                if let Ok(fewer) = read(&bytes[..len]) {
                    prop_assert!(entries.starts_with(&fewer));
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
        assert_eq!(read(&[2]), Err(PositionsError::Version(2)));
        assert_eq!(read(&[]), Ok(Vec::new()));
        assert_eq!(read(&[1, 0]), Err(PositionsError::Short));
    }
}
