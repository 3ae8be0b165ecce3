//! A first-in-first-out log of records in append-only segment files. Blocking; knows nothing of telemetry.
//!
//! ```text
//! traces-00000000000000000007.queue    records 8, 9, … in the layout of corten_storage::record
//! traces-00000000000000000431.queue    the next segment file; all its records are above 431
//! traces.cursor.a, traces.cursor.b     how far it is done (corten_storage::checkpoint)
//! ```
//!
//! # What holds
//!
//! - A record is *kept* when [`append`](Log::append) returned `Ok`: its bytes and its file's name are on the disk.
//! - A record is *done* when it and everything before it was [acknowledged](Log::acknowledge). The cursor is the
//!   first record that isn't. After a crash, records behind the last saved cursor are read again, oldest first.
//! - Sequence numbers only grow, also over restarts and failed appends; gaps mean nothing.
//! - A file is never written to again after an error or a restart. So what a reader has buffered of it stays true.
//! - Damage never is an error: the reader steps over it and says where it was and how long.
//!
//! # Order of durable steps
//!
//! New file: create → write → sync data → sync directory → `append` returns. Done file: save the cursor → unlink.
//! If the cursor can't be saved (a full disk), the file is unlinked all the same: a cursor that points before the first file
//! means the first file. Otherwise a full disk could never become emptier.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use corten_storage::file::Open;
use corten_storage::record::HEADER_LEN;
use corten_storage::{Checkpoint, Directory, File, Item, Outcome, Reason, header};
use parking_lot::Mutex;

mod segment;
mod state;

use segment::{ReadAt, Segment, file_name, first_of, record_at, scan_end};
use state::{Cursor, Outstanding, State};

/// Behind the name of a file that could not be opened.
const ASIDE: &str = ".aside";
/// More records than a file can have, were all of them empty.
const RECORDS: u64 = (1 << 30) / 24;

/// Sizes of a log, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of all segment files together.
    pub(crate) total: u64,
    /// A segment file is closed when it has reached this.
    pub(crate) segment: u64,
}

impl Limits {
    /// The largest segment file that `total` bytes are divided into.
    const SEGMENT: u64 = 32 << 20;

    /// Files of 32 MiB, smaller ones when the whole is small: space comes back a file at a time.
    pub(crate) fn of(total: u64) -> Self {
        Self {
            total,
            segment: (total / 16).clamp(64 << 10, Self::SEGMENT),
        }
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number.
    pub(crate) sequence: u64,
    /// The first number of its file.
    file: u64,
    /// The offset behind it.
    end: u64,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An intact record, to be acknowledged when it is done with.
    Record {
        /// Its number.
        sequence: u64,
        /// What was appended.
        payload: Bytes,
    },
    /// Bytes that hold no intact record.
    Damage(Lost),
}

/// Bytes that were skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The file's name.
    pub(crate) file: String,
    /// Where they begin.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) len: u64,
    /// Why.
    pub(crate) reason: Reason,
}

/// What was there when a log was opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Bytes that wait.
    pub(crate) bytes: u64,
    /// Unfinished writes that were cut off. They were never reported as kept.
    pub(crate) torn: Vec<Lost>,
    /// Files that could not be opened. They are set aside under another name, for whoever can.
    pub(crate) unreadable: Vec<Unreadable>,
    /// What is wrong with the cursor: up to one file's records may be read twice.
    pub(crate) cursor: Option<String>,
}

/// A file that could not be opened.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// What it is called now.
    pub(crate) name: String,
    /// What the system said.
    pub(crate) error: String,
}

/// The log.
pub(crate) struct Log {
    directory: Directory,
    prefix: String,
    limits: Limits,
    writer: Mutex<Writer>,
    reader: Mutex<Option<ReadAt>>,
    cursor: Mutex<Checkpoint>,
    state: Mutex<State>,
}

#[derive(Default)]
struct Writer {
    active: Option<Arc<Segment>>,
    buffer: Vec<u8>,
}

impl Log {
    /// Opens the log `prefix` of a directory and finds its end. Damage never is an error.
    ///
    /// # Errors
    ///
    /// The directory can't be listed, or what can't be read in it can't be put aside either.
    pub(crate) fn open(
        directory: Directory,
        prefix: &str,
        limits: Limits,
    ) -> io::Result<(Self, Recovered)> {
        let (mut checkpoint, loaded) =
            Checkpoint::open(directory.clone(), &format!("{prefix}.cursor"));
        if !directory.is_read_only() {
            checkpoint.discard_damaged()?;
        }
        let mut recovered = Recovered::default();
        let saved = Cursor::decode(&loaded.bytes);
        recovered.cursor = match loaded.outcome {
            Outcome::Lost { reason } => Some(reason),
            Outcome::Current | Outcome::Previous { .. } if saved.is_none() => {
                Some("the cursor has an unknown format".to_owned())
            }
            _ => None,
        };
        let mut cursor = saved.unwrap_or_default();

        let names = directory.list()?;
        if !directory.is_read_only() && names.iter().any(|name| name.ends_with(ASIDE)) {
            // Set aside by an attempt that ended before that was durable: under its old name it must not come back.
            directory.sync()?;
        }
        let mut firsts: Vec<u64> = names
            .iter()
            .filter_map(|name| first_of(prefix, name))
            .collect();
        firsts.sort_unstable();
        // A crash came between saving the cursor and the unlinking. All of a file's records are below
        // the next file's number.
        let following = firsts.iter().skip(1);
        let begin = following
            .take_while(|first| **first <= cursor.sequence)
            .count();
        let mut finished = Vec::new();
        let mut files = VecDeque::new();
        for (index, first) in firsts.iter().copied().enumerate() {
            let name = file_name(prefix, first);
            let file = match open_file(&directory, &name) {
                Ok(file) => file,
                // Removed meanwhile by whoever owns the directory, which then is only looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let error = error.to_string();
                    let aside = format!("{name}{ASIDE}");
                    // Under its own name it would be taken for delivered once others are.
                    if !directory.is_read_only() {
                        directory.rename(&name, &aside)?;
                        directory.sync()?;
                    }
                    recovered.unreadable.push(Unreadable { name: aside, error });
                    continue;
                }
            };
            let size = file.size().unwrap_or(0);
            let segment = Arc::new(Segment {
                first,
                name,
                file,
                synced: AtomicU64::new(size),
            });
            if index < begin {
                finished.push(segment);
            } else {
                files.push_back(segment);
            }
        }

        let mut next_sequence = cursor.sequence;
        // Numbers of what is set aside are never given again, as many as it can have.
        let aside = names.iter().filter_map(|name| name.strip_suffix(ASIDE));
        let aside = aside.chain(recovered.unreadable.iter().map(|file| file.name.as_str()));
        for name in aside {
            let name = name.strip_suffix(ASIDE).unwrap_or(name);
            if let Some(first) = first_of(prefix, name) {
                next_sequence = next_sequence.max(first.saturating_add(RECORDS));
            }
        }
        if let Some(last) = files.back() {
            next_sequence = next_sequence.max(scan_end(last, &mut recovered));
        }
        match files.front() {
            Some(head) if head.first == cursor.file => {
                if cursor.offset > head.len() || !record_at(head, cursor.offset) {
                    cursor.offset = 0;
                }
            }
            Some(head) => {
                cursor.file = head.first;
                cursor.offset = 0;
            }
            None => {
                cursor.file = next_sequence;
                cursor.offset = 0;
            }
        }
        let next_read = if files.is_empty() {
            next_sequence
        } else {
            cursor.sequence
        };
        let mut state = State {
            files,
            last_closed: true,
            writing: false,
            finished,
            next_sequence,
            cursor,
            saved,
            next_read,
            outstanding: VecDeque::new(),
        };
        state.advance();
        recovered.bytes = state.pending();
        let log = Self {
            directory,
            prefix: prefix.to_owned(),
            limits,
            writer: Mutex::default(),
            reader: Mutex::new(None),
            cursor: Mutex::new(checkpoint),
            state: Mutex::new(state),
        };
        Ok((log, recovered))
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Bytes of records that are not done.
    pub(crate) fn pending(&self) -> u64 {
        self.state.lock().pending()
    }

    /// The next record that [`read`](Self::read) will give, when it has caught up.
    pub(crate) fn next_read(&self) -> u64 {
        self.state.lock().next_read
    }

    /// Whether `len` more bytes are within the limit. An empty log takes a record of any size.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        let mut state = self.state.lock();
        if state.physical().saturating_add(len) <= self.limits.total {
            return true;
        }
        if state.pending() == 0 && !state.writing {
            // Everything is done, but the last file is still open and counted: let it go.
            state.last_closed = true;
            state.advance();
            return true;
        }
        false
    }

    /// Appends records, each given in parts, and returns when they are on the disk.
    ///
    /// # Errors
    ///
    /// None of the records that are missing in `kept` was kept; the log goes on in a new file.
    pub(crate) fn append<'p, P>(&self, records: &[P], kept: &mut Vec<Place>) -> io::Result<()>
    where
        P: AsRef<[Bytes]> + 'p,
    {
        let mut writer = self.writer.lock();
        let mut rest = records;
        while !rest.is_empty() {
            match self.append_to_one_file(&mut writer, rest, kept) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    self.abandon(&mut writer);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Appends until the file is full; returns how many records are kept.
    fn append_to_one_file<P: AsRef<[Bytes]>>(
        &self,
        writer: &mut Writer,
        records: &[P],
        kept: &mut Vec<Place>,
    ) -> io::Result<usize> {
        /// Written at once.
        const CHUNK: usize = 1 << 20;

        {
            let mut state = self.state.lock();
            if state.last_closed {
                writer.active = None;
            }
            state.writing = true;
        }
        let (segment, created) = match &writer.active {
            Some(segment) => (Arc::clone(segment), false),
            None => (self.create()?, true),
        };
        writer.active = Some(Arc::clone(&segment));
        let mut written = segment.len();
        let mut places = Vec::new();
        writer.buffer.clear();
        for record in records {
            let parts = record.as_ref();
            let sequence = {
                let mut state = self.state.lock();
                let sequence = state.next_sequence;
                state.next_sequence += 1;
                sequence
            };
            let head = header(sequence, parts.iter().map(|part| &**part))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            writer.buffer.extend_from_slice(&head);
            for part in parts {
                if writer.buffer.len() + part.len() > CHUNK {
                    segment.file.write_all_at(&writer.buffer, written)?;
                    written += to_u64(writer.buffer.len());
                    writer.buffer.clear();
                }
                if part.len() > CHUNK {
                    segment.file.write_all_at(part, written)?;
                    written += to_u64(part.len());
                } else {
                    writer.buffer.extend_from_slice(part);
                }
            }
            let end = written + to_u64(writer.buffer.len());
            places.push(Place {
                sequence,
                file: segment.first,
                end,
            });
            if end >= self.limits.segment {
                break;
            }
        }
        segment.file.write_all_at(&writer.buffer, written)?;
        written += to_u64(writer.buffer.len());
        segment.file.sync()?;
        if created {
            self.directory.sync()?;
        }

        let mut state = self.state.lock();
        state.writing = false;
        segment.synced.store(written, Ordering::Release);
        if written >= self.limits.segment {
            state.last_closed = true;
            writer.active = None;
        }
        let count = places.len();
        kept.append(&mut places);
        Ok(count)
    }

    fn create(&self) -> io::Result<Arc<Segment>> {
        let first = {
            let mut state = self.state.lock();
            let first = state.next_sequence;
            // If creating fails half-way the name stays taken.
            state.next_sequence += 1;
            first
        };
        let name = file_name(&self.prefix, first);
        let file = self.directory.file(&name, Open::CreateNew)?;
        let segment = Arc::new(Segment {
            first,
            name,
            file,
            synced: AtomicU64::new(0),
        });
        let mut state = self.state.lock();
        if state.files.is_empty() {
            state.cursor.file = first;
            state.cursor.offset = 0;
        }
        // The number in the name is not a record's: a reader that has caught up stays so.
        if state.next_read == first {
            state.next_read = first + 1;
        }
        state.files.push_back(Arc::clone(&segment));
        state.last_closed = false;
        Ok(segment)
    }

    /// After an error: what may be half-written is cut off if that works, and the file is closed.
    fn abandon(&self, writer: &mut Writer) {
        writer.buffer = Vec::new();
        let Some(segment) = writer.active.take() else {
            self.state.lock().writing = false;
            return;
        };
        if let Err(error) = segment.file.set_size(segment.len()) {
            tracing::debug!(file = segment.name, %error, "the rest of a failed write stays in the file");
        }
        let mut state = self.state.lock();
        state.writing = false;
        state.last_closed = true;
        state.advance();
    }

    /// Reads the next records, up to about `max_bytes` of them, at least one when there is one.
    ///
    /// # Errors
    ///
    /// The file system's; reading goes on at the same record.
    pub(crate) fn read(&self, max_bytes: usize) -> io::Result<Vec<Found>> {
        self.read_up_to(max_bytes, u64::MAX)
    }

    /// The same, of what is left of the oldest file.
    ///
    /// # Errors
    ///
    /// The file system's; reading goes on at the same record.
    pub(crate) fn read_oldest_file(&self, max_bytes: usize) -> io::Result<Vec<Found>> {
        let Some(oldest) = self.state.lock().files.front().map(|file| file.first) else {
            return Ok(Vec::new());
        };
        self.read_up_to(max_bytes, oldest)
    }

    /// Reads no file behind `last`.
    fn read_up_to(&self, max_bytes: usize, last: u64) -> io::Result<Vec<Found>> {
        let mut slot = self.reader.lock();
        let mut found = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes {
            let Some(ReadAt { segment, reader }) = &mut *slot else {
                *slot = self.first_reader();
                if slot.is_none() {
                    break;
                }
                continue;
            };
            if segment.first > last {
                break;
            }
            let item = match reader.next() {
                Ok(item) => item,
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error),
            };
            let Some(item) = item else {
                let state = self.state.lock();
                if reader.offset() < segment.len() {
                    // Written meanwhile.
                    continue;
                }
                let mut later = state.files.iter();
                let Some(next) = later.find(|file| file.first > segment.first) else {
                    break;
                };
                *slot = Some(ReadAt::new(next, 0));
                continue;
            };
            let mut state = self.state.lock();
            match item {
                Item::Record(record) => {
                    // Done before a restart, or read from memory meanwhile.
                    let done = record.sequence < state.next_read;
                    state.outstanding.push_back(Outstanding {
                        sequence: record.sequence,
                        file: segment.first,
                        end: record.end(),
                        done,
                    });
                    if !done {
                        state.next_read = record.sequence + 1;
                        bytes += record.payload.len() + HEADER_LEN;
                        found.push(Found::Record {
                            sequence: record.sequence,
                            payload: Bytes::copy_from_slice(record.payload),
                        });
                    }
                }
                Item::Damage(damage) => {
                    let sequence = state.next_read.saturating_sub(1);
                    state.outstanding.push_back(Outstanding {
                        sequence,
                        file: segment.first,
                        end: damage.offset + damage.len,
                        done: true,
                    });
                    found.push(Found::Damage(Lost {
                        file: segment.name.clone(),
                        offset: damage.offset,
                        len: damage.len,
                        reason: damage.reason,
                    }));
                }
            }
            state.advance();
        }
        Ok(found)
    }

    fn first_reader(&self) -> Option<ReadAt> {
        let state = self.state.lock();
        let head = state.files.front()?;
        Some(ReadAt::new(head, state.cursor.offset))
    }

    /// Skips the rest of the file that reading is at: it can't be read.
    pub(crate) fn give_up_file(&self) -> Option<Lost> {
        let mut slot = self.reader.lock();
        let ReadAt {
            segment: file,
            reader,
        } = slot.as_mut()?;
        let mut state = self.state.lock();
        let lost = Lost {
            file: file.name.clone(),
            offset: reader.offset(),
            len: file.len().saturating_sub(reader.offset()),
            reason: Reason::Payload,
        };
        reader.seek(file.len());
        let sequence = state.next_read.saturating_sub(1);
        state.outstanding.push_back(Outstanding {
            sequence,
            file: file.first,
            end: file.len(),
            done: true,
        });
        state.advance();
        Some(lost)
    }

    /// Takes note that the record at `place` was read from memory instead. `false` when reading is
    /// not exactly at it (it was read already, or others come first).
    pub(crate) fn read_from_memory(&self, place: Place) -> bool {
        let mut slot = self.reader.lock();
        let mut state = self.state.lock();
        if state.next_read != place.sequence {
            return false;
        }
        let Some(file) = state.file(place.file) else {
            return false;
        };
        match &mut *slot {
            Some(at) if at.segment.first == place.file => at.reader.seek(place.end),
            _ => *slot = Some(ReadAt::new(file, place.end)),
        }
        state.next_read = place.sequence + 1;
        state.outstanding.push_back(Outstanding {
            sequence: place.sequence,
            file: place.file,
            end: place.end,
            done: false,
        });
        true
    }

    /// The record is done with.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        let mut state = self.state.lock();
        let at = state
            .outstanding
            .partition_point(|entry| entry.sequence < sequence);
        // Damage stands under the number of the record before it.
        let hit = state
            .outstanding
            .range_mut(at..)
            .take_while(|entry| entry.sequence == sequence)
            .find(|entry| !entry.done);
        if let Some(entry) = hit {
            entry.done = true;
        }
        state.advance();
    }

    /// Lets the oldest file go for room: what was read of it and is not done counts as done, and its numbers are
    /// returned. What was not read keeps the file, so [read](Self::read_oldest_file) it first.
    pub(crate) fn release_oldest(&self) -> Vec<u64> {
        let mut state = self.state.lock();
        let Some(oldest) = state.files.front().map(|file| file.first) else {
            return Vec::new();
        };
        if state.files.len() == 1 && !state.writing {
            state.last_closed = true;
        }
        let mut released = Vec::new();
        for entry in &mut state.outstanding {
            if entry.file == oldest && !entry.done {
                entry.done = true;
                released.push(entry.sequence);
            }
        }
        state.advance();
        released
    }

    /// Whether a record is no longer on the disk.
    pub(crate) fn is_released(&self, sequence: u64) -> bool {
        let state = self.state.lock();
        let waits = state
            .outstanding
            .iter()
            .any(|entry| entry.sequence == sequence && !entry.done);
        !waits && sequence < state.next_read
    }

    /// Whether [`save`](Self::save) has something to do.
    pub(crate) fn is_unsaved(&self) -> bool {
        let state = self.state.lock();
        state.saved != Some(state.cursor) || !state.finished.is_empty()
    }

    /// Whether whole files wait to be unlinked.
    pub(crate) fn has_finished_files(&self) -> bool {
        !self.state.lock().finished.is_empty()
    }

    /// Saves the cursor, then unlinks files that are done.
    ///
    /// # Errors
    ///
    /// The cursor was not saved (after a crash some records are read twice), or a file stays.
    pub(crate) fn save(&self) -> io::Result<()> {
        let mut checkpoint = self.cursor.lock();
        let (cursor, changed, finished) = {
            let mut state = self.state.lock();
            let changed = state.saved != Some(state.cursor);
            (state.cursor, changed, std::mem::take(&mut state.finished))
        };
        let mut result = Ok(());
        if changed {
            result = checkpoint.save(&cursor.encode());
            if result.is_ok() {
                self.state.lock().saved = Some(cursor);
            }
        }
        if !finished.is_empty() {
            // A file that is open keeps its room, unlinked or not, and a reader that has come to its end would hold it
            // until something new is written: never, on a full disk.
            let mut reader = self.reader.lock();
            let is_done = |at: &ReadAt| finished.iter().any(|file| file.first == at.segment.first);
            if reader.as_ref().is_some_and(is_done) {
                *reader = None;
            }
        }
        for file in finished {
            match self.directory.remove(&file.name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.state.lock().finished.push(file);
                    result = result.and(Err(error));
                }
                _ => {}
            }
        }
        result
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.directory)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Opens a file to be read, and to be cut if that is possible.
fn open_file(directory: &Directory, name: &str) -> io::Result<Arc<dyn File>> {
    directory
        .file(name, Open::Write)
        .or_else(|_| directory.file(name, Open::Read))
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
