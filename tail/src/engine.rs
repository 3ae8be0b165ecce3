//! The engine: one turn after the other, on one thread, with no clock of its own.
//!
//! A turn takes the acknowledgements that came back, looks at the directories when that is due, reads what there is to read until
//! nothing is left or too much is in flight, releases files that are done, and says which positions to save.

mod adopt;
mod copies;
mod elders;
mod look;
mod open;
mod read;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::container::{Parser, StdStream};
use crate::discovery::{Discovery, modified};
use crate::identity::{Inode, Mark, Position};
use crate::pattern::{Exclude, Pattern, PatternError};
use crate::positions::{self, Entry, Saved};
use crate::settings::{Framing, OnTruncate, Settings};
use crate::sink::{Answers, Sink};
use crate::stats::{Stats, add, set};
use crate::watch::{News, Watch};
use look::Heat;
use open::Access;
use read::{Out, Outcome, Reading};
use stream::{Chain, Generation, Stream, UNKNOWN};

/// Between two saves of the positions, at least.
const SAVE_GAP: Duration = Duration::from_millis(10);
/// And so many times as long as a save takes.
const SAVE_SHARE: u32 = 100;
/// A rotated file's last line without newline is taken for complete after this long, when the settings don't say.
const TAIL_WAIT: Duration = Duration::from_secs(1);
/// A file that could not be opened is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);
/// How many descriptors are given up when the system has no more.
const GIVE_UP: usize = 16;
/// Files are stamped with a clock that lags behind by a few milliseconds.
const CLOCK_SLACK: i64 = 100_000_000;
/// What was written this long before a checkpoint may not be in it: nobody had looked yet. Nanoseconds.
const UNSEEN: i64 = 10_000_000_000;
/// Names that change while they are looked at are looked at again after this long.
const GAP: Duration = Duration::from_millis(5);
/// A rotated file that fails to open this often is given up.
const FAILURES: u32 = 5;

/// What a turn ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is more to read at once.
    Busy,
    /// Nothing to do until the next poll.
    Idle,
    /// Too much is in flight: nothing to read until an acknowledgement comes.
    Full,
}

/// What the checkpoint held when the engine began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// There never was one.
    Fresh,
    /// It was read.
    Kept,
    /// It is damaged: whatever is there has to be read again.
    Lost,
}

pub(crate) struct Engine<S> {
    settings: Settings,
    sink: S,
    stats: Arc<Stats>,
    answers: Arc<Answers>,
    discovery: Discovery,
    parser: Parser,
    buffer: Vec<u8>,
    /// A decoded line.
    text: String,

    streams: BTreeMap<u64, Box<Stream>>,
    by_path: HashMap<PathBuf, u64>,
    by_directory: HashMap<PathBuf, BTreeSet<u64>>,
    /// Which stream and generation a file is.
    inodes: HashMap<Inode, (u64, u64)>,
    /// What the checkpoint says of streams that were not found yet, by directory and name.
    remembered: HashMap<PathBuf, BTreeMap<OsString, Vec<Entry>>>,

    fresh: bool,
    lost: bool,
    first_scan: bool,
    started: Instant,
    started_wall: i64,
    /// Before this everything that there was is in the checkpoint; the end of time without one.
    known_until: i64,
    scans: u64,
    next_scan: Instant,
    /// When every directory is looked at; before that those in `renamed` only.
    next_full_scan: Instant,
    /// Directories in which names changed.
    renamed: HashSet<PathBuf>,
    /// Not before this, whatever the hints say.
    scan_floor: Instant,
    scan_cost: Option<Duration>,
    /// Names changed while they were looked at.
    rescan: bool,
    watch: Option<Watch>,
    news: News,
    /// Directories that are written to all the time.
    heat: HashMap<PathBuf, Heat>,
    /// Streams to look at in this turn.
    due: BTreeSet<u64>,
    /// When every stream is looked at.
    next_full: Instant,
    /// Descriptors held, as of the beginning of the turn and those opened since.
    open: usize,
    next_stream: u64,
    next_generation: u64,
    clock: u64,
    dirty: bool,
    next_save: Instant,
    stopping: bool,
    pending_answers: Vec<crate::sink::Answer>,
}

impl<S: Sink> Engine<S> {
    pub(crate) fn new(
        settings: Settings,
        sink: S,
        saved: Saved,
        memory: Memory,
        now: Instant,
    ) -> Result<Self, PatternError> {
        let mut patterns = Vec::new();
        for include in &settings.include {
            patterns.extend(Pattern::parse(include)?);
        }
        let exclude = Exclude::parse(&settings.exclude)?;
        let discovery = Discovery::new(
            patterns,
            exclude,
            &settings.link_roots,
            settings.ordering.clone(),
        );
        let mut remembered: HashMap<PathBuf, BTreeMap<OsString, Vec<Entry>>> = HashMap::new();
        for entry in saved.entries {
            if let (Some(directory), Some(name)) = (entry.stream.parent(), entry.stream.file_name())
            {
                let names = remembered.entry(directory.to_owned()).or_default();
                names.entry(name.to_owned()).or_default().push(entry);
            }
        }
        let watch = Watch::new(settings.max_watches);
        let parser = match settings.framing {
            Framing::Lines => Parser::default(),
            Framing::Container { format, .. } => Parser::new(format),
        };
        Ok(Self {
            sink,
            stats: Arc::default(),
            answers: Arc::default(),
            discovery,
            parser,
            buffer: Vec::new(),
            text: String::new(),
            streams: BTreeMap::new(),
            by_path: HashMap::new(),
            by_directory: HashMap::new(),
            inodes: HashMap::new(),
            remembered,
            fresh: memory == Memory::Fresh,
            lost: memory == Memory::Lost,
            first_scan: true,
            started: now,
            started_wall: adopt::wall_nanos() - CLOCK_SLACK,
            known_until: match memory {
                Memory::Kept => saved.at.saturating_sub(UNSEEN),
                Memory::Fresh | Memory::Lost => i64::MAX,
            },
            scans: 0,
            next_scan: now,
            next_full_scan: now,
            renamed: HashSet::new(),
            scan_floor: now,
            scan_cost: None,
            rescan: false,
            watch,
            news: News::default(),
            heat: HashMap::new(),
            due: BTreeSet::new(),
            next_full: now,
            open: 0,
            next_stream: 0,
            next_generation: 0,
            clock: 0,
            // That it was here is worth saving too: what appears later is new then.
            dirty: memory != Memory::Kept,
            next_save: now,
            stopping: false,
            pending_answers: Vec::new(),
            settings,
        })
    }

    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    pub(crate) fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    /// Reads nothing more; answers are still taken.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    /// How much of a processor's time looking at the directories took, if the last turn did.
    pub(crate) fn scan_cost(&mut self) -> Option<Duration> {
        self.scan_cost.take()
    }

    /// Looks at the directories again no sooner than this.
    pub(crate) fn delay_scan(&mut self, until: Instant) {
        self.scan_floor = until;
        self.next_scan = self.next_scan.max(until);
    }

    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        self.take_answers(now);
        if self.stopping {
            return Turn::Idle;
        }
        self.listen(now);
        if now >= self.next_scan {
            let begun = thread_time();
            let renamed = std::mem::take(&mut self.renamed);
            if now >= self.next_full_scan {
                self.next_full_scan = now + self.look_interval();
                self.reconcile(None, now);
            } else {
                self.reconcile(Some(&renamed), now);
            }
            self.scan_cost = Some(thread_time().saturating_sub(begun));
            self.next_scan = self.next_full_scan;
            if std::mem::take(&mut self.rescan) {
                self.next_scan = now + GAP;
            }
        }
        let full = now >= self.next_full;
        if full {
            self.due.extend(self.streams.keys());
            self.next_full = now + self.look_interval();
        }
        self.open = self
            .streams
            .values()
            .map(|stream| stream.open_files())
            .sum();
        let looked: Vec<u64> = self.due.iter().copied().collect();
        let turn = self.read_all(&looked, now);
        self.settle(&looked, now);
        self.cool(now);
        self.sink.flush();
        set(
            &self.stats.streams,
            self.streams.len().try_into().unwrap_or(u64::MAX),
        );
        set(&self.stats.in_flight, self.answers.in_flight());
        self.open = self
            .streams
            .values()
            .map(|stream| stream.open_files())
            .sum();
        set(
            &self.stats.open_files,
            self.open.try_into().unwrap_or(u64::MAX),
        );
        turn
    }

    /// What to save now, if anything: not all the time, or at once when `force` says so.
    pub(crate) fn positions(&mut self, now: Instant, force: bool) -> Option<Vec<u8>> {
        if !self.dirty || (now < self.next_save && !force) {
            return None;
        }
        self.dirty = false;
        let mut writer = positions::Writer::new(adopt::wall_nanos());
        for stream in self.streams.values() {
            let path = stream.path();
            for generation in stream.generations.iter().filter(|g| stream.is_kept(g)) {
                let name = generation.path.file_name().unwrap_or_default();
                writer.entry(path.as_os_str(), name, &generation.state());
            }
        }
        for entry in self
            .remembered
            .values()
            .flat_map(BTreeMap::values)
            .flatten()
        {
            writer.entry(entry.stream.as_os_str(), &entry.name, &entry.state);
        }
        let positions = writer.finish();
        // With many streams this takes its time, which is to be a small part of all.
        let cost = now.elapsed();
        self.next_save = now + SAVE_GAP.max(cost * SAVE_SHARE);
        Some(positions)
    }

    fn take_answers(&mut self, now: Instant) {
        let mut pending = std::mem::take(&mut self.pending_answers);
        self.answers.take(&mut pending);
        for answer in pending.drain(..) {
            if let Some(stream) = self.streams.get_mut(&answer.stream) {
                self.dirty |= stream.answer(answer.sequence, answer.delivered, now);
                if !answer.delivered {
                    self.due.insert(answer.stream);
                }
            }
            if !answer.delivered && !self.stopping {
                add(&self.stats.rewound, 1);
            }
        }
        self.pending_answers = pending;
    }

    /// Reads round after round, one chunk of each stream, so that none waits for another's backlog.
    fn read_all(&mut self, looked: &[u64], now: Instant) -> Turn {
        let begun = Instant::now();
        let mut ids = looked.to_vec();
        // Those that wait for others, which are read now.
        let mut waiting = Vec::new();
        while !ids.is_empty() {
            let mut index = 0;
            let mut read = false;
            while let Some(id) = ids.get(index) {
                if self.answers.in_flight() >= self.settings.max_in_flight_bytes {
                    return Turn::Full;
                }
                let Some(mut stream) = self.streams.remove(id) else {
                    self.due.remove(id);
                    ids.swap_remove(index);
                    continue;
                };
                if self.waits_for_elders(&mut stream, now) {
                    waiting.push(*id);
                    ids.swap_remove(index);
                    self.streams.insert(stream.id, stream);
                    continue;
                }
                let step = self.advance(&mut stream, now);
                if step != Step::Nothing {
                    self.warm(&stream, now);
                    read = true;
                }
                if step == Step::More {
                    index += 1;
                } else {
                    if stream.is_calm() {
                        self.due.remove(id);
                    }
                    ids.swap_remove(index);
                }
                self.streams.insert(stream.id, stream);
            }
            if begun.elapsed() >= self.settings.poll_interval {
                return Turn::Busy;
            }
            if read {
                ids.append(&mut waiting);
            }
        }
        Turn::Idle
    }

    /// Reads one chunk of the oldest generation that has something.
    fn advance(&mut self, stream: &mut Stream, now: Instant) -> Step {
        if stream.paused_until.is_some_and(|until| now < until) {
            return Step::Nothing;
        }
        stream.paused_until = None;
        let mut index = 0;
        while let Some(generation) = stream.generations.get_mut(index) {
            if generation.ignored || generation.lost {
                index += 1;
                continue;
            }
            if refresh(generation, now) == Refresh::Changed {
                self.truncated(stream, index, now);
                return Step::Nothing;
            }
            if generation.size > generation.seen {
                match self.ensure_open(stream, index, now) {
                    Access::Open => {}
                    // Whatever comes later has to wait for it, unless it is gone.
                    Access::Lost => continue,
                    Access::Later => return Step::Nothing,
                    Access::Moved => return Step::More,
                }
                match self.read(stream, index, false, now) {
                    Outcome::Took if is_all(stream, index) => return Step::Read,
                    Outcome::Took => return Step::More,
                    Outcome::Truncated => {
                        self.truncated(stream, index, now);
                        return Step::Nothing;
                    }
                    Outcome::Failed => return Step::Nothing,
                    // More of a compressed file may come.
                    Outcome::Waiting if is_unended(stream, index) => return Step::Nothing,
                    Outcome::Waiting => {}
                }
            }
            let Some(generation) = stream.generations.get_mut(index) else {
                break;
            };
            if generation.drained {
                index += 1;
                continue;
            }
            let unfinished = generation.seen > generation.read.offset;
            let quiet = now.duration_since(generation.grown_at);
            if generation.live {
                let period = match self.settings.framing {
                    Framing::Lines => self.settings.force_flush_period,
                    Framing::Container { .. } => None,
                };
                let due = unfinished && period.is_some_and(|period| quiet >= period);
                return match due && self.flush(stream, index, now) {
                    true => Step::More,
                    false => Step::Nothing,
                };
            }
            if unfinished {
                let wait = self.settings.force_flush_period.unwrap_or(TAIL_WAIT);
                return match quiet >= wait && self.flush(stream, index, now) {
                    true => Step::More,
                    false => Step::Nothing,
                };
            }
            if !successor_begun(stream, index, now) {
                return Step::Nothing;
            }
            let Some(generation) = stream.generations.get_mut(index) else {
                break;
            };
            // The writer has moved on; what it wrote before is visible by now.
            if generation.checked {
                generation.drained = true;
                index += 1;
            } else {
                generation.checked = true;
            }
        }
        Step::Nothing
    }

    /// Takes the last line without its newline.
    fn flush(&mut self, stream: &mut Stream, index: usize, now: Instant) -> bool {
        match self.ensure_open(stream, index, now) {
            Access::Open => {}
            Access::Moved => return true,
            Access::Later | Access::Lost => return false,
        }
        self.read(stream, index, true, now) == Outcome::Took
    }

    fn read(&mut self, stream: &mut Stream, index: usize, rest: bool, now: Instant) -> Outcome {
        self.clock += 1;
        if let Some(generation) = stream.generations.get_mut(index) {
            generation.used = self.clock;
            generation.checked = false;
        }
        self.reading(now).chunk(stream, index, rest)
    }

    fn reading(&mut self, now: Instant) -> Reading<'_, S> {
        Reading {
            out: Out {
                settings: &self.settings,
                sink: &mut self.sink,
                stats: &self.stats,
            },
            buffer: &mut self.buffer,
            text: &mut self.text,
            parser: &mut self.parser,
            answers: &self.answers,
            dirty: &mut self.dirty,
            now,
        }
    }

    /// A file lost what had been read of it: it is a new one now. What it had may live on in a copy. There may be more copies,
    /// older than what it has now: those are looked for before anything is read.
    fn truncated(&mut self, stream: &mut Stream, index: usize, now: Instant) {
        add(&self.stats.truncated, 1);
        self.dirty = true;
        self.next_scan = self.scan_floor.max(now);
        self.renamed.insert(stream.directory.clone());
        stream.paused_until = Some(self.next_scan);
        let Some(old) = stream.generations.get(index) else {
            return;
        };
        let (fingerprint, at, id) = (old.fingerprint, old.read, old.id);
        let copy = self.find_copy(stream, fingerprint, at, None);
        // Its copy is read as a file of its own.
        let renewed = copy.is_none() && at.offset == 0 && self.may_be_new(stream, fingerprint);
        self.next_generation += 1;
        let Some(index) = stream.generations.iter().position(|g| g.id == id) else {
            return;
        };
        let Some(old) = stream.generations.get_mut(index) else {
            return;
        };
        let mut new = Generation::new(self.next_generation, old.inode, old.path.clone(), now);
        new.file = old.file.take();
        new.live = old.live;
        new.removed = old.removed;
        new.located = old.located;
        new.used = self.clock;
        new.packed = old.packed;
        if let Some(metadata) = new.file.as_ref().and_then(|file| file.metadata().ok()) {
            new.found(metadata.size(), modified(&metadata));
        }
        let unread = old.size > old.read.offset && !renewed;
        old.live = false;
        tracing::info!(file = %old.path.display(), copy = copy.is_some(), "log truncated");
        match copy {
            Some(copy) => {
                self.inodes.insert(copy.inode, (stream.id, id));
                old.move_to(copy, now);
            }
            None => {
                old.removed = true;
                old.lost = true;
                if unread {
                    let path = old.path.clone();
                    self.gap(&path, "it was truncated before it was read");
                }
            }
        }
        if self.settings.on_truncate == OnTruncate::ReadNew
            && let Some(file) = &mut new.file
            && fingerprint.len > 0
            && fingerprint.holds_in(file).unwrap_or(false)
            && let Ok(Some(at)) = file.find_end().and_then(|end| Position::read(file, end))
        {
            new.resume(Mark { at, number: 0 });
        }
        self.inodes.insert(new.inode, (stream.id, new.id));
        // A copy that was made since is one of what it has now.
        for copy in &mut stream.generations {
            if let Some((original, _)) = copy.copy_of.as_mut().filter(|(of, _)| *of == id) {
                *original = new.id;
            }
        }
        stream.generations.insert(index + 1, new);
    }

    /// Ends what waited long enough, releases what is done.
    fn settle(&mut self, looked: &[u64], now: Instant) {
        for id in looked.iter().copied() {
            let Some(mut stream) = self.streams.remove(&id) else {
                continue;
            };
            self.end_chains(&mut stream, now);
            self.release(&mut stream, now);
            if stream.is_finished() {
                self.forget_stream(&stream);
                self.due.remove(&id);
                self.dirty = true;
            } else {
                self.streams.insert(id, stream);
            }
        }
    }

    fn end_chains(&mut self, stream: &mut Stream, now: Instant) {
        for which in [StdStream::Stdout, StdStream::Stderr] {
            let [stdout, stderr] = &stream.chains;
            let chain = match which {
                StdStream::Stdout => stdout,
                StdStream::Stderr => stderr,
            };
            let waited = chain.last.map(|last| now.duration_since(last));
            let at_end = || {
                stream
                    .generations
                    .iter()
                    .all(|g| g.ignored || g.lost || g.at_end())
            };
            if waited.is_some_and(|waited| waited >= self.settings.partial_timeout) && at_end() {
                self.reading(now).end_chain(stream, which);
            }
        }
    }

    fn release(&mut self, stream: &mut Stream, now: Instant) {
        if self.settings.delete_after_read && !stream.chains.iter().any(Chain::is_active) {
            let wait = self.settings.force_flush_period.unwrap_or(TAIL_WAIT);
            let done = stream.generations.iter().filter(|g| {
                g.read.offset > 0
                    && g.settled()
                    && g.at_end()
                    && !(g.ignored || g.lost || g.removed)
                    && now.duration_since(g.grown_at) >= wait
            });
            for generation in done {
                if let Err(error) = self
                    .discovery
                    .roots
                    .remove(&generation.path, generation.inode)
                {
                    add(&self.stats.read_errors, 1);
                    tracing::debug!(file = %generation.path.display(), %error, "delete after read");
                }
            }
        }
        let mut index = 0;
        while let Some(generation) = stream.generations.get_mut(index) {
            // While too much is in flight nobody has looked whether it grew.
            if !generation.live
                && !generation.packed
                && let Some(file) = &generation.file
                && let Ok(metadata) = file.metadata()
            {
                generation.size = generation.size.max(metadata.size());
            }
            let quiet = now.duration_since(generation.grown_at);
            let done = generation.settled() && generation.at_end();
            let drop_it = if generation.ignored {
                generation.removed
            } else if generation.lost {
                generation.settled() || generation.committed.at == generation.queued
            } else if generation.removed {
                done && (quiet >= self.settings.removed_quiet || generation.file.is_none())
            } else {
                if !generation.live && done && quiet >= self.settings.rotate_quiet {
                    generation.file = None;
                }
                false
            };
            if drop_it {
                let generation = stream.generations.remove(index);
                if self.inodes.get(&generation.inode) == Some(&(stream.id, generation.id)) {
                    self.inodes.remove(&generation.inode);
                }
                self.dirty = true;
            } else {
                index += 1;
            }
        }
    }

    fn forget_stream(&mut self, stream: &Stream) {
        self.by_path.remove(&stream.path());
        if let Some(ids) = self.by_directory.get_mut(&stream.directory) {
            ids.remove(&stream.id);
            if ids.is_empty() {
                self.by_directory.remove(&stream.directory);
            }
        }
    }
}

/// What this thread has used of its processor.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What came of a stream's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more at once.
    More,
    /// All that there was has been read.
    Read,
    /// There is nothing to read.
    Nothing,
}

#[derive(Debug, PartialEq, Eq)]
enum Refresh {
    Same,
    Changed,
}

/// Looks how large a file is now.
fn refresh(generation: &mut Generation, now: Instant) -> Refresh {
    let metadata = match &generation.file {
        Some(file) => file.metadata(),
        None if !generation.drained => fs::metadata(&generation.path),
        // Listings say when one grows that is closed and done.
        None => return Refresh::Same,
    };
    let Ok(metadata) = metadata else {
        return Refresh::Same;
    };
    if (metadata.dev(), metadata.ino()) != generation.inode {
        return Refresh::Same;
    }
    if metadata.nlink() == 0 && !generation.removed {
        generation.removed = true;
        generation.live = false;
        generation.grown_at = now;
    }
    let written = modified(&metadata);
    let size = metadata.size();
    if generation.packed {
        if size < generation.packed_size && generation.read.offset > 0 {
            return Refresh::Changed;
        }
        if size != generation.packed_size || written != generation.modified {
            generation.found(size, written);
            generation.grown_at = now;
        }
        return Refresh::Same;
    }
    if size < generation.read.offset {
        return Refresh::Changed;
    }
    if size != generation.size || written != generation.modified {
        // Cut and grown again to what was read or more, perhaps.
        let intact = match &mut generation.file {
            Some(file) if size <= generation.size && size > 0 => {
                Position::read(file, generation.read.offset)
                    .map_or(true, |at| at == Some(generation.read))
            }
            _ => true,
        };
        if !intact {
            return Refresh::Changed;
        }
        if size < generation.seen {
            generation.seen = generation.read.offset;
        }
        generation.size = size;
        generation.modified = written;
        generation.grown_at = now;
    }
    Refresh::Same
}

/// Whether everything was read that there was when it was looked at: another look at once would find nothing, or next to nothing.
fn is_all(stream: &Stream, index: usize) -> bool {
    stream.generations.len() == index + 1
        && stream
            .generations
            .get(index)
            .is_some_and(|generation| generation.live && generation.size <= generation.seen)
}

/// Whether the end of a compressed file is not there yet.
fn is_unended(stream: &Stream, index: usize) -> bool {
    stream
        .generations
        .get(index)
        .is_some_and(|generation| generation.packed && generation.size == UNKNOWN)
}

/// Whether a younger generation has begun to be written.
fn successor_begun(stream: &mut Stream, index: usize, now: Instant) -> bool {
    let mut begun = false;
    for generation in stream
        .generations
        .iter_mut()
        .skip(index + 1)
        .filter(|g| !g.ignored)
    {
        // A truncation shows when it is read.
        let _looked: Refresh = refresh(generation, now);
        begun |= generation.size > 0 || generation.read.offset > 0;
    }
    begun
}
