//! One log and its generations: what was read, what is in flight, what is committed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::elders::Elders;
use crate::container::StdStream;
use crate::discovery::modified;
use crate::identity::{Fingerprint, Inode, Mark, Position};
use crate::opened::Opened;
use crate::positions::State;
use crate::sink::Source;

/// After the sink gave a chunk back, its stream rests for this long.
const REWIND_PAUSE: Duration = Duration::from_secs(1);
/// What a chain's buffer keeps between two joined lines.
const CHAIN_KEEP: usize = 64 << 10;
/// The size of a text that was not decoded to its end.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// One file of a stream: the one at its path, or one that was rotated away from it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) id: u64,
    pub(crate) inode: Inode,
    /// Where it was last seen, without symbolic links.
    pub(crate) path: PathBuf,
    pub(crate) file: Option<Opened>,
    /// Compressed: offsets and sizes are those of the text.
    pub(crate) packed: bool,
    /// Bytes in the file, when it is compressed.
    pub(crate) packed_size: u64,
    pub(crate) fingerprint: Fingerprint,
    /// How far lines were taken.
    pub(crate) read: Position,
    /// Records before `read`.
    pub(crate) number: u64,
    /// How far it is known that there is no complete line; beyond `read` when a line has begun.
    pub(crate) seen: u64,
    /// What the last queued commit says.
    pub(crate) queued: Position,
    /// How far everything is acknowledged.
    pub(crate) committed: Mark,
    /// [`UNKNOWN`] until the end of a compressed file was seen.
    pub(crate) size: u64,
    pub(crate) modified: i64,
    /// It is at the stream's path.
    pub(crate) live: bool,
    /// No directory has it any more.
    pub(crate) removed: bool,
    /// Its unread part, if it had one, can't be reached any more.
    pub(crate) lost: bool,
    /// Never to be read: a copy, or older than where the stream was begun.
    pub(crate) ignored: bool,
    /// The generation that it is a copy of, and up to where.
    pub(crate) copy_of: Option<(u64, u64)>,
    /// Its end was reached after its successor had begun.
    pub(crate) drained: bool,
    /// Its end was looked at once more after its successor had begun.
    pub(crate) checked: bool,
    /// The rest of a truncated line is being skipped; where that line began.
    pub(crate) skipping: Option<Mark>,
    /// A container's line was cut; its head goes for the pieces that follow.
    pub(crate) cut_head: Option<Head>,
    /// When it last grew, was opened or rotated.
    pub(crate) grown_at: Instant,
    pub(crate) retry_at: Option<Instant>,
    /// How often opening it failed in a row.
    pub(crate) failures: u32,
    /// Of the engine's clock: the last use.
    pub(crate) used: u64,
    /// The scan that last saw it.
    pub(crate) located: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) time: u64,
    pub(crate) stream: StdStream,
    pub(crate) partial: bool,
}

impl Generation {
    pub(crate) fn new(id: u64, inode: Inode, path: PathBuf, now: Instant) -> Self {
        Self {
            id,
            inode,
            path,
            file: None,
            packed: false,
            packed_size: 0,
            fingerprint: Fingerprint::default(),
            read: Position::default(),
            number: 0,
            seen: 0,
            queued: Position::default(),
            committed: Mark::default(),
            size: 0,
            modified: 0,
            live: false,
            removed: false,
            lost: false,
            ignored: false,
            copy_of: None,
            drained: false,
            checked: false,
            skipping: None,
            cut_head: None,
            grown_at: now,
            retry_at: None,
            failures: 0,
            used: 0,
            located: 0,
        }
    }

    /// Goes on from a position that is committed.
    pub(crate) fn resume(&mut self, mark: Mark) {
        self.read = mark.at;
        self.number = mark.number;
        self.seen = mark.at.offset;
        self.queued = mark.at;
        self.committed = mark;
    }

    /// Its file is gone; another one has what that had.
    pub(crate) fn move_to(&mut self, copy: Twin, now: Instant) {
        self.inode = copy.inode;
        self.path = copy.path;
        self.packed = copy.file.is_packed();
        self.packed_size = 0;
        self.size = self.read.offset;
        if let Ok(metadata) = copy.file.metadata() {
            self.found(metadata.size(), modified(&metadata));
        }
        self.seen = self.read.offset;
        self.file = Some(copy.file);
        self.removed = false;
        self.live = false;
        self.drained = false;
        self.checked = false;
        self.retry_at = None;
        self.failures = 0;
        self.grown_at = now;
    }

    /// What is known of a file when it is found: not yet how long the text of a compressed one is.
    pub(crate) fn found(&mut self, size: u64, modified: i64) {
        self.modified = modified;
        if self.packed {
            self.packed_size = size;
            self.size = UNKNOWN;
        } else {
            self.size = size;
        }
    }

    /// What a checkpoint keeps of it.
    pub(crate) fn state(&self) -> State {
        State {
            inode: self.inode,
            fingerprint: self.fingerprint,
            committed: self.committed.at,
            size: self.size,
            ignored: self.ignored,
            packed: self.packed_size,
            number: self.committed.number,
        }
    }

    /// Everything that is known of it was read.
    pub(crate) fn at_end(&self) -> bool {
        self.size <= self.read.offset
    }

    /// Everything that was read is acknowledged.
    pub(crate) fn settled(&self) -> bool {
        self.committed.at.offset == self.read.offset
    }
}

/// Another file that has what a generation had.
#[derive(Debug)]
pub(crate) struct Twin {
    pub(crate) file: Opened,
    pub(crate) inode: Inode,
    pub(crate) path: PathBuf,
}

/// Partial lines that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) text: Vec<u8>,
    /// Where it begins in each generation that has a part of it: no commit goes beyond.
    pub(crate) holds: Vec<(u64, Mark)>,
    pub(crate) time: u64,
    pub(crate) offset: u64,
    /// Which record of its file it will be.
    pub(crate) number: u64,
    pub(crate) truncated: bool,
    pub(crate) last: Option<Instant>,
}

impl Chain {
    pub(crate) fn is_active(&self) -> bool {
        !self.holds.is_empty()
    }

    pub(crate) fn hold(&mut self, generation: u64, mark: Mark) {
        if !self.holds.iter().any(|(held, _)| *held == generation) {
            self.holds.push((generation, mark));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(CHAIN_KEEP);
        self.holds.clear();
        self.truncated = false;
        self.last = None;
    }
}

/// A chunk that was given to the sink, or bytes between chunks that had no record.
#[derive(Debug)]
struct Flight {
    sequence: u64,
    acknowledged: bool,
    /// What is committed when this and everything before it is acknowledged.
    commits: Vec<(u64, Mark)>,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u64,
    /// Where its path is, without symbolic links.
    pub(crate) directory: PathBuf,
    pub(crate) name: OsString,
    pub(crate) source: Arc<Source>,
    /// Oldest first.
    pub(crate) generations: Vec<Generation>,
    /// Of stdout and stderr.
    pub(crate) chains: [Chain; 2],
    flights: VecDeque<Flight>,
    next_sequence: u64,
    pub(crate) paused_until: Option<Instant>,
    /// Of a container's log.
    pub(super) elders: Option<Elders>,
}

impl Stream {
    pub(crate) fn new(id: u64, directory: PathBuf, name: OsString, source: Arc<Source>) -> Self {
        Self {
            id,
            directory,
            name,
            source,
            generations: Vec::new(),
            chains: [Chain::default(), Chain::default()],
            flights: VecDeque::new(),
            next_sequence: 0,
            paused_until: None,
            elders: None,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// How far a generation may be committed once everything that was emitted is acknowledged.
    fn safe(&self, generation: &Generation) -> Mark {
        let held = self
            .chains
            .iter()
            .flat_map(|chain| &chain.holds)
            .filter(|(id, _)| *id == generation.id)
            .map(|(_, mark)| *mark);
        held.chain(generation.skipping)
            .min_by_key(|mark| mark.at.offset)
            .filter(|mark| mark.at.offset < generation.read.offset)
            .unwrap_or(Mark {
                at: generation.read,
                number: generation.number,
            })
    }

    /// Closes a chunk: what it allows to commit, and its number when `records` says that the sink has to
    /// acknowledge it. Returns whether something was committed at once.
    pub(crate) fn close_chunk(&mut self, records: bool) -> (u64, bool) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut commits = Vec::new();
        for index in 0..self.generations.len() {
            let Some(generation) = self.generations.get(index) else {
                break;
            };
            let safe = self.safe(generation);
            // While a part of an older one has to be read again, so has what followed it: the parts of a line belong together.
            let held = safe.at.offset < generation.read.offset;
            if safe.at.offset > generation.queued.offset
                && let Some(generation) = self.generations.get_mut(index)
            {
                generation.queued = safe.at;
                commits.push((generation.id, safe));
            }
            if held {
                break;
            }
        }
        self.flights.push_back(Flight {
            sequence,
            acknowledged: !records,
            commits,
        });
        (sequence, self.land())
    }

    /// Takes an answer. Returns whether something was committed.
    pub(crate) fn answer(&mut self, sequence: u64, delivered: bool, now: Instant) -> bool {
        let Ok(index) = self
            .flights
            .binary_search_by_key(&sequence, |flight| flight.sequence)
        else {
            return false;
        };
        if !delivered {
            self.rewind(now);
            return false;
        }
        if let Some(flight) = self.flights.get_mut(index) {
            flight.acknowledged = true;
        }
        self.land()
    }

    /// Commits the acknowledged chunks at the front.
    fn land(&mut self) -> bool {
        let mut changed = false;
        while self
            .flights
            .front()
            .is_some_and(|flight| flight.acknowledged)
        {
            for (id, at) in self
                .flights
                .pop_front()
                .into_iter()
                .flat_map(|flight| flight.commits)
            {
                if let Some(generation) = self.generations.iter_mut().find(|g| g.id == id) {
                    generation.committed = at;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Reads everything again that isn't committed.
    fn rewind(&mut self, now: Instant) {
        self.flights.clear();
        for chain in &mut self.chains {
            chain.clear();
        }
        for generation in &mut self.generations {
            if !generation.settled() {
                generation.drained = false;
            }
            generation.resume(generation.committed);
            generation.skipping = None;
            generation.cut_head = None;
            generation.checked = false;
        }
        self.paused_until = Some(now + REWIND_PAUSE);
    }

    pub(crate) fn open_files(&self) -> usize {
        self.generations
            .iter()
            .filter(|generation| generation.file.is_some())
            .count()
    }

    /// Whether a checkpoint keeps a generation. A copy is remembered as one only when all that it has is committed: if the
    /// original is gone before that, it is what is read.
    pub(crate) fn is_kept(&self, generation: &Generation) -> bool {
        let uncommitted = generation.copy_of.is_some_and(|(original, end)| {
            self.generations
                .iter()
                .any(|known| known.id == original && known.committed.at.offset < end && !known.lost)
        });
        !generation.lost && !uncommitted
    }

    /// It needs no look before something is written, but the one at everything.
    pub(crate) fn is_calm(&self) -> bool {
        self.paused_until.is_none()
            && !self.chains.iter().any(Chain::is_active)
            && self.generations.iter().all(|generation| {
                generation.ignored
                    || generation.lost
                    || (generation.at_end() && generation.seen <= generation.read.offset)
            })
    }

    /// Nothing is left of it.
    pub(crate) fn is_finished(&self) -> bool {
        self.generations.is_empty() && self.flights.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let source = Source {
            id: 1,
            path: "/x".to_owned(),
            name: "x".to_owned(),
            path_resolved: "/x".to_owned(),
            name_resolved: "x".to_owned(),
            owner: None,
            container: None,
        };
        let mut stream = Stream::new(1, PathBuf::from("/"), OsString::from("x"), Arc::new(source));
        for id in [10, 11] {
            let path = PathBuf::from("/x");
            stream
                .generations
                .push(Generation::new(id, (1, id), path, Instant::now()));
        }
        stream
    }

    fn at(offset: u64) -> Position {
        Position {
            offset,
            frontier: offset,
        }
    }

    fn mark(offset: u64) -> Mark {
        Mark {
            at: at(offset),
            number: offset,
        }
    }

    fn take(stream: &mut Stream, index: usize, to: u64) -> u64 {
        stream.generations[index].read = at(to);
        stream.close_chunk(true).0
    }

    fn committed(stream: &Stream) -> [u64; 2] {
        [0, 1].map(|index| stream.generations[index].committed.at.offset)
    }

    #[test]
    fn the_lowest_contiguous_acknowledgement_commits() {
        let mut stream = stream();
        let now = Instant::now();
        let first = take(&mut stream, 0, 10);
        let second = take(&mut stream, 0, 20);
        let third = take(&mut stream, 1, 5);
        assert!(!stream.answer(third, true, now));
        assert!(!stream.answer(second, true, now));
        assert_eq!(committed(&stream), [0, 0]);
        assert!(stream.answer(first, true, now));
        assert_eq!(committed(&stream), [20, 5]);
        assert!(!stream.answer(first, true, now), "once only");
    }

    #[test]
    fn a_chain_holds_every_generation_that_it_spans() {
        let mut stream = stream();
        let now = Instant::now();
        stream.chains[0].hold(10, mark(7));
        let first = take(&mut stream, 0, 10);
        stream.answer(first, true, now);
        assert_eq!(committed(&stream), [7, 0]);
        stream.chains[0].hold(11, mark(3));
        let second = take(&mut stream, 1, 5);
        stream.answer(second, true, now);
        assert_eq!(committed(&stream), [7, 0]);
        stream.chains[0].clear();
        let third = take(&mut stream, 1, 9);
        assert_eq!(committed(&stream), [7, 0]);
        stream.answer(third, true, now);
        assert_eq!(committed(&stream), [10, 9]);
    }

    #[test]
    fn a_lost_chunk_rewinds_to_what_is_committed() {
        let mut stream = stream();
        let now = Instant::now();
        let first = take(&mut stream, 0, 10);
        let second = take(&mut stream, 0, 20);
        stream.generations[0].drained = true;
        let third = take(&mut stream, 1, 4);
        stream.answer(first, true, now);
        stream.answer(second, false, now);
        assert_eq!(stream.generations[0].read, at(10));
        assert!(!stream.generations[0].drained);
        assert_eq!(stream.generations[1].read, at(0));
        assert!(
            !stream.answer(third, true, now),
            "an answer of before the rewind"
        );
        assert_eq!(committed(&stream), [10, 0]);
    }

    #[test]
    fn bytes_without_records_commit_by_themselves() {
        let mut stream = stream();
        stream.generations[0].read = at(10);
        assert!(stream.close_chunk(false).1);
        assert_eq!(committed(&stream), [10, 0]);
        let first = take(&mut stream, 0, 20);
        stream.generations[0].read = at(30);
        assert!(!stream.close_chunk(false).1, "not before what is in flight");
        stream.answer(first, true, Instant::now());
        assert_eq!(committed(&stream), [30, 0]);
    }
}
