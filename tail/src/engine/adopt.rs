//! From what lies in the directories to streams and their generations.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::copies::{is_remembered, is_same};
use super::elders::Elders;
use super::open::Unopened;
use super::stream::{Generation, Stream, Twin};
use super::{Engine, GIVE_UP};
use crate::container::path;
use crate::discovery::{Found, Listing, Scan, modified};
use crate::identity::{Fingerprint, Inode, Mark, Position};
use crate::opened::Opened;
use crate::owner;
use crate::positions::Entry;
use crate::rotation::{self, is_rotation, unpacked};
use crate::settings::{Framing, StartAt};
use crate::sink::{Sink, Source};
use crate::stats::add;

/// What a checkpoint remembers of files whose directory does not appear is forgotten after this long.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// The inode of a file whose inode is another's.
const NOWHERE: Inode = (0, 0);

impl<S: Sink> Engine<S> {
    /// Brings the streams in line with what lies in the directories, or in `only` these.
    pub(super) fn reconcile(&mut self, only: Option<&HashSet<PathBuf>>, now: Instant) {
        self.scans += 1;
        let Scan {
            changed,
            gone,
            exhausted,
            unsure,
        } = self.discovery.scan(now, &self.stats, only);
        if exhausted {
            self.close_idle(GIVE_UP);
        }
        self.rescan |= !unsure.is_empty();
        self.renamed.extend(unsure);
        for directory in &gone {
            for id in self.streams_of(directory) {
                for generation in self
                    .streams
                    .get_mut(&id)
                    .into_iter()
                    .flat_map(|s| &mut s.generations)
                {
                    if generation.path.parent() == Some(directory) {
                        leave(generation, now);
                    }
                }
            }
        }
        for listing in &changed {
            self.locate(listing, now);
        }
        for listing in &changed {
            self.adopt(listing, now);
        }
        for directory in gone
            .iter()
            .chain(changed.iter().map(|listing| &listing.directory))
        {
            self.due
                .extend(self.by_directory.get(directory).into_iter().flatten());
        }
        if let Some(watch) = &mut self.watch {
            watch.follow(&self.discovery.known, now);
        }
        self.forget(now);
        self.first_scan = false;
    }

    fn streams_of(&self, directory: &Path) -> Vec<u64> {
        self.by_directory
            .get(directory)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Says of every known generation of a directory where it is now.
    fn locate(&mut self, listing: &Listing, now: Instant) {
        for found in &listing.files {
            let Some(&(stream_id, id)) = self.inodes.get(&found.inode) else {
                continue;
            };
            let path = listing.directory.join(&found.name);
            let Some(stream) = self.streams.get_mut(&stream_id) else {
                continue;
            };
            let live = stream.directory == listing.directory && stream.name == found.name;
            let Some(generation) = stream.generations.iter_mut().find(|g| g.id == id) else {
                continue;
            };
            if generation.located == self.scans && generation.live {
                continue;
            }
            // A descriptor keeps an inode from being used again; without one the file has to prove itself.
            let size = match generation.packed {
                true => generation.packed_size,
                false => generation.size,
            };
            let changed = generation.path != path
                || found.size < size
                || (!live && (found.modified != generation.modified || found.size != size));
            if generation.file.is_none()
                && changed
                && !(generation.fingerprint.len > 0
                    && self.discovery.roots.open(&path).is_ok_and(|file| {
                        is_same(generation, &mut Opened::new(file, generation.packed))
                    }))
            {
                // Another file has its inode now. What it had may live on in a copy.
                leave(generation, now);
                generation.inode = NOWHERE;
                self.inodes.remove(&found.inode);
                continue;
            }
            if generation.live && !live {
                generation.grown_at = now;
            }
            generation.path = path;
            generation.live = live;
            generation.removed = false;
            generation.located = self.scans;
            if generation.file.is_none() && !generation.packed {
                generation.size = generation.size.max(found.size);
                generation.modified = found.modified;
            }
        }
        for id in self.streams_of(&listing.directory) {
            for generation in self
                .streams
                .get_mut(&id)
                .into_iter()
                .flat_map(|s| &mut s.generations)
            {
                if generation.located != self.scans
                    && generation.path.parent() == Some(&listing.directory)
                {
                    leave(generation, now);
                }
            }
        }
    }

    /// Finds new streams and new generations in a directory.
    fn adopt(&mut self, listing: &Listing, now: Instant) {
        let directory = &listing.directory;
        let mut bases: BTreeSet<OsString> = self
            .streams_of(directory)
            .into_iter()
            .filter_map(|id| self.streams.get(&id).map(|stream| stream.name.clone()))
            .collect();
        bases.extend(
            self.remembered
                .get(directory)
                .into_iter()
                .flat_map(|names| names.keys().cloned()),
        );
        let by_name: HashMap<&OsStr, &Found> = listing
            .files
            .iter()
            .map(|found| (found.name.as_os_str(), found))
            .collect();
        let mut beside = Vec::new();
        for found in &listing.files {
            if !self.inodes.contains_key(&found.inode) {
                // What is compressed belongs to the path that it was rotated from, when that is followed.
                let is_generation = unpacked(&found.name).is_some()
                    && rotation::bases(&found.name).any(|base| {
                        by_name.get(base).is_some_and(|base| base.matched.is_some())
                            || self.by_path.contains_key(&directory.join(base))
                    });
                if found.matched.is_some() && !is_generation {
                    bases.insert(found.name.clone());
                } else if !found.excluded {
                    beside.push(found);
                    // Its path may have come and gone between two looks.
                    if let Some(base) = found.rotated_from.as_ref().filter(|_| self.is_news(found))
                    {
                        bases.insert(base.clone());
                    }
                }
            }
        }
        for base in bases {
            let live = by_name.get(base.as_os_str()).copied();
            self.base(listing, &base, live, &beside, now);
        }
    }

    /// Brings one stream in line. `beside` are the unknown files that no pattern matches.
    fn base(
        &mut self,
        listing: &Listing,
        base: &OsStr,
        live: Option<&Found>,
        beside: &[&Found],
        now: Instant,
    ) {
        let directory = &listing.directory;
        let path = directory.join(base);
        let existing = self.by_path.get(&path).copied();
        let remembered = self.recall(directory, base);
        let history = existing.is_some() || !remembered.is_empty();
        let new_live =
            live.filter(|found| found.matched.is_some() && !self.inodes.contains_key(&found.inode));
        let mut siblings: Vec<&Found> = beside
            .iter()
            .copied()
            .filter(|found| is_rotation(base, &found.name))
            .collect();
        let news = siblings.iter().any(|found| history || self.is_news(found));
        if new_live.is_none() && remembered.is_empty() && !news {
            return;
        }
        let known = existing.and_then(|id| self.streams.remove(&id));
        let is_new = known.is_none();
        let mut stream = known.unwrap_or_else(|| {
            let display = live
                .and_then(|found| found.matched.as_deref())
                .unwrap_or(&path);
            self.new_stream(directory, base, display)
        });
        self.recognize(&mut stream, &listing.files, directory, now);
        for entry in remembered {
            self.restore(&mut stream, &entry, &listing.files, now);
        }
        if !siblings.is_empty() {
            // What was copied and truncated goes on in its copy, which is older than what else is new.
            for id in stream
                .generations
                .iter()
                .map(|known| known.id)
                .collect::<Vec<_>>()
            {
                let known = stream.generations.iter_mut().find(|known| known.id == id);
                if known.is_some_and(|known| {
                    !known.ignored
                        && !known.removed
                        && known.read.offset > 0
                        && !self.still_holds(known)
                }) && let Some(index) =
                    stream.generations.iter().position(|known| known.id == id)
                {
                    self.truncated(&mut stream, index, now);
                }
            }
        }
        // Only what was not found by its inode is new.
        siblings.retain(|found| !self.inodes.contains_key(&found.inode));
        rotation::sort(base, &mut siblings, |found| (&found.name, found.modified));
        // What has another name by now is found by that at the next look, and before it nothing that is younger may be read.
        let mut moved = false;
        for found in originals_first(siblings) {
            let place = place_of(&stream, &found.name);
            let packed = self.is_packed(&found.name, false);
            let mut generation = self.begin(directory.join(&found.name), found, packed, now);
            moved |= has_moved(&generation);
            if moved {
                break;
            }
            generation.copy_of = generation
                .file
                .as_mut()
                .and_then(|file| self.original(&mut stream, &found.name, file));
            if generation.copy_of.is_some() || !(history || self.is_news(found)) {
                generation.ignored = true;
                generation.file = None;
            } else if let Some(file) = &mut generation.file {
                file.rest();
            }
            self.insert(&mut stream, place, generation);
        }
        if let Some(found) = new_live.filter(|found| !self.inodes.contains_key(&found.inode)) {
            if stream.generations.iter().any(|known| !known.ignored) {
                add(&self.stats.rotated, 1);
            }
            for known in &mut stream.generations {
                known.live = false;
            }
            let packed = self.is_packed(base, true);
            let mut generation = self.begin(path, found, packed, now);
            generation.live = true;
            if self.settings.file_owner {
                let metadata = generation
                    .file
                    .as_ref()
                    .and_then(|file| file.metadata().ok());
                Arc::make_mut(&mut stream.source).owner = metadata.as_ref().map(owner::of);
            }
            if !history && self.skips_what_is_there(found) {
                self.start_at_end(&mut generation);
            }
            moved |= has_moved(&generation);
            if !moved {
                let place = stream.generations.len();
                self.insert(&mut stream, place, generation);
            }
        }
        if moved {
            self.rescan = true;
            self.renamed.insert(directory.clone());
        }
        self.dirty = true;
        if stream.is_finished() {
            self.forget_stream(&stream);
            return;
        }
        if is_new {
            match &stream.source.container {
                Some(at) => tracing::info!(
                    target = %format_args!("{}/{}:{}", at.namespace, at.pod, at.container),
                    "opened log stream"
                ),
                None => tracing::info!(target = %stream.source.path, "opened log stream"),
            }
        }
        self.streams.insert(stream.id, stream);
    }

    /// A file system that was mounted again may have another number: its files are the same.
    fn recognize(&mut self, stream: &mut Stream, files: &[Found], directory: &Path, now: Instant) {
        for known in &mut stream.generations {
            if !known.removed || known.ignored || known.fingerprint.len == 0 {
                continue;
            }
            let again = files.iter().find(|found| {
                found.inode.1 == known.inode.1
                    && found.inode.0 != known.inode.0
                    && !self.inodes.contains_key(&found.inode)
            });
            let Some(found) = again else { continue };
            let path = directory.join(&found.name);
            let Ok(file) = self.discovery.roots.open(&path) else {
                continue;
            };
            let mut file = Opened::new(file, known.packed);
            if is_same(known, &mut file) {
                self.inodes.remove(&known.inode);
                self.inodes.insert(found.inode, (stream.id, known.id));
                known.move_to(
                    Twin {
                        file,
                        inode: found.inode,
                        path,
                    },
                    now,
                );
                known.live = found.name == stream.name;
                known.located = self.scans;
            }
        }
    }

    /// Whether a rotated file beside a path that nothing is known of has to be read: everything has after the
    /// positions were lost, and otherwise what was written since the engine runs, or ran before. Where it begins at the
    /// beginning, that of a container is its first generation; of another log it is what its path has.
    fn is_news(&self, found: &Found) -> bool {
        let is_container = matches!(self.settings.framing, Framing::Container { .. });
        let from_beginning = self.settings.start_at == StartAt::Beginning;
        self.lost
            || found.modified >= self.known_until
            || (!self.first_scan && found.modified >= self.started_wall)
            // However late it appears: the folder of all logs may be mounted after the engine began.
            || (self.fresh && is_container && from_beginning && !self.skips_what_is_there(found))
    }

    /// Whether a file that nothing is known of is begun at its end.
    fn skips_what_is_there(&self, found: &Found) -> bool {
        let at_end = self.first_scan && self.fresh && self.settings.start_at == StartAt::End;
        let too_old = self.settings.exclude_older_than.is_some_and(|limit| {
            let age = i128::from(wall_nanos()) - i128::from(found.modified);
            age > i128::try_from(limit.as_nanos()).unwrap_or(i128::MAX)
        });
        at_end || too_old
    }

    fn start_at_end(&mut self, generation: &mut Generation) {
        let Some(file) = &mut generation.file else {
            return;
        };
        let end = file.find_end().and_then(|end| Position::read(file, end));
        match end {
            Ok(Some(at)) => generation.resume(Mark { at, number: 0 }),
            // It shrank this moment; all that it has is new then.
            Ok(None) => {}
            Err(error) => tracing::debug!(file = %generation.path.display(), %error, "read"),
        }
    }

    /// A generation that is read from its beginning.
    fn begin(&mut self, path: PathBuf, found: &Found, packed: bool, now: Instant) -> Generation {
        self.next_generation += 1;
        let mut generation = Generation::new(self.next_generation, found.inode, path, now);
        generation.packed = packed;
        generation.found(found.size, found.modified);
        generation.located = self.scans;
        if let Ok(mut file) = self.open_file(&generation.path, generation.inode, packed) {
            match Fingerprint::read(&mut file, self.settings.fingerprint_size) {
                Ok(fingerprint) => generation.fingerprint = fingerprint,
                Err(error) => {
                    add(&self.stats.read_errors, 1);
                    tracing::debug!(file = %generation.path.display(), %error, "read");
                }
            }
            generation.file = Some(file);
            self.clock += 1;
            generation.used = self.clock;
        }
        generation
    }

    fn insert(&mut self, stream: &mut Stream, place: usize, generation: Generation) {
        self.inodes
            .insert(generation.inode, (stream.id, generation.id));
        stream
            .generations
            .insert(place.min(stream.generations.len()), generation);
    }

    fn new_stream(&mut self, directory: &Path, base: &OsStr, display: &Path) -> Box<Stream> {
        self.next_stream += 1;
        let id = self.next_stream;
        let text = display.to_string_lossy().into_owned();
        let resolved = directory.join(base);
        let source = Source {
            id,
            name: display
                .file_name()
                .unwrap_or(base)
                .to_string_lossy()
                .into_owned(),
            name_resolved: base.to_string_lossy().into_owned(),
            path_resolved: resolved.to_string_lossy().into_owned(),
            owner: None,
            container: path::parse(&text),
            path: text,
        };
        let mut stream = Stream::new(id, directory.to_owned(), base.to_owned(), Arc::new(source));
        stream.elders = Elders::of(&self.settings.framing, base);
        let stream = Box::new(stream);
        self.by_path.insert(stream.path(), id);
        self.by_directory
            .entry(directory.to_owned())
            .or_default()
            .insert(id);
        stream
    }

    /// Takes what the checkpoint says of a stream.
    fn recall(&mut self, directory: &Path, base: &OsStr) -> Vec<Entry> {
        let Some(names) = self.remembered.get_mut(directory) else {
            return Vec::new();
        };
        let entries = names.remove(base).unwrap_or_default();
        if names.is_empty() {
            self.remembered.remove(directory);
        }
        entries
    }

    /// Finds the file of an entry and goes on in it.
    fn restore(&mut self, stream: &mut Stream, entry: &Entry, files: &[Found], now: Instant) {
        let Entry { name, state, .. } = entry;
        if state.fingerprint.len == 0 && state.committed.offset == 0 {
            // Nothing of it tells it from another file that has its inode now, and nothing of it was read.
            return;
        }
        // A device's number can be another after a reboot.
        let same_inode = files
            .iter()
            .filter(|found| {
                found.inode.1 == state.inode.1 && !self.inodes.contains_key(&found.inode)
            })
            .max_by_key(|found| found.inode.0 == state.inode.0);
        let mut found = None;
        if let Some(same) = same_inode {
            let path = stream.directory.join(&same.name);
            match self.open_file(&path, same.inode, state.packed > 0) {
                Ok(mut file) => {
                    if is_remembered(&mut file, state, same.size) {
                        found = Some((Some(file), same.inode, path));
                    } else if same.name == *name && same.name == stream.name {
                        add(&self.stats.truncated, 1);
                    }
                }
                // It proves itself when it can be opened. What has gone meanwhile never can.
                Err(reason)
                    if same.inode == state.inode
                        && same.size >= state.committed.offset.min(state.packed)
                        && (reason == Unopened::Exhausted || is_there(&path, same.inode)) =>
                {
                    found = Some((None, same.inode, path));
                }
                Err(_) => {}
            }
        }
        if found.is_none() && !state.ignored {
            found = self
                .find_copy(stream, state.fingerprint, state.committed, Some(name))
                .map(|copy| (Some(copy.file), copy.inode, copy.path));
        }
        let Some((file, inode, path)) = found else {
            if !state.ignored
                && state.size > state.committed.offset
                && !(state.committed.offset == 0 && self.may_be_new(stream, state.fingerprint))
            {
                self.gap(
                    &stream.directory.join(name),
                    "it went away while nobody read it",
                );
            }
            return;
        };
        self.next_generation += 1;
        let mut generation = Generation::new(self.next_generation, inode, path, now);
        generation.live = generation.path.file_name() == Some(&stream.name);
        generation.fingerprint = state.fingerprint;
        generation.resume(Mark {
            at: state.committed,
            number: state.number,
        });
        generation.ignored = state.ignored;
        generation.located = self.scans;
        generation.size = state.committed.offset;
        generation.packed = match &file {
            Some(file) => file.is_packed(),
            None => state.packed > 0,
        };
        if let Some(metadata) = file.as_ref().and_then(|file| file.metadata().ok()) {
            generation.found(metadata.size(), modified(&metadata));
            if generation.packed && generation.packed_size == state.packed {
                generation.size = state.size;
            }
        }
        generation.file = file.filter(|_| !state.ignored);
        if let Some(file) = &mut generation.file {
            file.rest();
        }
        let place = match generation.live {
            true => stream.generations.len(),
            // An entry may hold of another file than it was made for: one that has its inode now and begins as it did.
            false => place_of(stream, generation.path.file_name().unwrap_or_default()),
        };
        self.insert(stream, place, generation);
    }

    fn forget(&mut self, now: Instant) {
        if self.remembered.is_empty() || now.duration_since(self.started) < FORGET_AFTER {
            return;
        }
        for (directory, names) in std::mem::take(&mut self.remembered) {
            for entry in names.into_values().flatten() {
                if !entry.state.ignored && entry.state.size > entry.state.committed.offset {
                    self.gap(&directory.join(&entry.name), "its directory is gone");
                }
            }
        }
        self.dirty = true;
    }

    pub(super) fn gap(&self, path: &Path, reason: &str) {
        add(&self.stats.gaps, 1);
        tracing::warn!(file = %path.display(), reason, "unread lines are lost");
    }
}

/// While a file is compressed both are there for a moment: the other is looked at first, then it is known what the compressed one is.
fn originals_first(siblings: Vec<&Found>) -> Vec<&Found> {
    let has_original = |found: &&Found| {
        unpacked(&found.name).is_some_and(|plain| siblings.iter().any(|other| other.name == plain))
    };
    let (copies, mut all): (Vec<_>, Vec<_>) = siblings.iter().copied().partition(has_original);
    all.extend(copies);
    all
}

/// Where among the generations a rotated file belongs: before those that are younger by their names, else before the live one.
fn place_of(stream: &Stream, name: &OsStr) -> usize {
    let older_than = |known: &Generation| {
        !known.removed
            && !known.live
            && known.path.file_name().is_some_and(|other| {
                rotation::compare(&stream.name, name, other) == Some(Ordering::Less)
            })
    };
    let place = stream.generations.iter().position(older_than);
    place
        .or_else(|| stream.generations.iter().position(|known| known.live))
        .unwrap_or(stream.generations.len())
}

/// Whether a file that was just listed is no longer where it was.
fn has_moved(generation: &Generation) -> bool {
    generation.file.is_none() && !is_there(&generation.path, generation.inode)
}

/// Whether a path still is the file with that inode.
fn is_there(path: &Path, inode: Inode) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == inode)
}

/// The file is no longer where it was.
fn leave(generation: &mut Generation, now: Instant) {
    if !generation.removed {
        generation.removed = true;
        generation.live = false;
        generation.grown_at = now;
    }
}

pub(super) fn wall_nanos() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
