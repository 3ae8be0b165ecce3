//! One file of the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use corten_storage::record::{HEADER_LEN, MAX_PAYLOAD};
use corten_storage::{File, Item, Reader, Reason};

use super::{Lost, Recovered, to_u64};

/// The file that reading is at.
pub(super) struct ReadAt {
    pub(super) segment: Arc<Segment>,
    pub(super) reader: Reader,
}

impl ReadAt {
    pub(super) fn new(segment: &Arc<Segment>, offset: u64) -> Self {
        let part = Arc::new(SyncedPart(Arc::clone(segment)));
        Self {
            segment: Arc::clone(segment),
            reader: Reader::new(part, offset, MAX_PAYLOAD),
        }
    }
}

/// One file.
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) name: String,
    pub(super) file: Arc<dyn File>,
    pub(super) synced: AtomicU64,
}

impl Segment {
    pub(super) fn len(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }
}

/// A [`File`] that ends where its segment was last synced, so that a reader sees nothing else.
pub(super) struct SyncedPart(Arc<Segment>);

impl File for SyncedPart {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.0.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        match buffer.get_mut(..len) {
            Some(part) => self.0.file.read_at(part, offset),
            None => Ok(0),
        }
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn set_size(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Reads the last file to its end, cuts off a torn write; returns a number above all of its records'.
pub(super) fn scan_end(segment: &Arc<Segment>, recovered: &mut Recovered) -> u64 {
    let mut next = segment.first + 1;
    let mut reader = ReadAt::new(segment, 0).reader;
    loop {
        match reader.next() {
            Ok(Some(Item::Record(record))) => next = next.max(record.sequence + 1),
            Ok(Some(Item::Damage(damage))) => {
                // As many records as there can have been.
                next += 1 + damage.len / to_u64(HEADER_LEN);
                if damage.reason == Reason::Torn {
                    if segment.file.set_size(damage.offset).is_ok() {
                        segment.synced.store(damage.offset, Ordering::Release);
                    }
                    recovered.torn.push(Lost {
                        file: segment.name.clone(),
                        offset: damage.offset,
                        len: damage.len,
                        reason: damage.reason,
                    });
                    return next;
                }
            }
            Ok(None) => return next,
            Err(error) => {
                tracing::warn!(file = segment.name, %error, "the end of the queue could not be read");
                return next + segment.len() / to_u64(HEADER_LEN);
            }
        }
    }
}

/// Whether a record (or the end) is exactly at `offset`.
pub(super) fn record_at(segment: &Arc<Segment>, offset: u64) -> bool {
    let mut reader = ReadAt::new(segment, offset).reader;
    matches!(reader.next(), Ok(None | Some(Item::Record(_))))
}

pub(super) const SUFFIX: &str = ".queue";

pub(super) fn file_name(prefix: &str, first: u64) -> String {
    format!("{prefix}-{first:020}{SUFFIX}")
}

pub(super) fn first_of(prefix: &str, name: &str) -> Option<u64> {
    let number = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let number = number.strip_suffix(SUFFIX)?;
    number.parse().ok().filter(|_| number.len() == 20)
}
