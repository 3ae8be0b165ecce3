//! Descriptors: there are fewer than files, so those that were idle longest are given up and opened again when they are needed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use super::stream::Stream;
use super::{Engine, FAILURES, GIVE_UP, RETRY, copies};
use crate::discovery::is_exhausted;
use crate::identity::Inode;
use crate::opened::Opened;
use crate::sink::Sink;
use crate::stats::add;

/// Whether a generation can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Open,
    /// Not now.
    Later,
    /// Its file is another one now: the generations are in another order.
    Moved,
    /// Never again.
    Lost,
}

/// Why a file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    /// There are no descriptors left.
    Exhausted,
    /// It is gone, another one, or forbidden.
    Failed,
}

impl<S: Sink> Engine<S> {
    /// Opens a generation's file, if it isn't.
    pub(super) fn ensure_open(
        &mut self,
        stream: &mut Stream,
        index: usize,
        now: Instant,
    ) -> Access {
        let Some(generation) = stream.generations.get_mut(index) else {
            return Access::Later;
        };
        if generation.file.is_some() {
            return Access::Open;
        }
        if generation.retry_at.is_some_and(|at| now < at) {
            return Access::Later;
        }
        match self.open_file(&generation.path, generation.inode, generation.packed) {
            Ok(mut file) => {
                // Of the live one a read tells whether it was truncated; another must prove that it is no other file.
                if generation.live || copies::is_same(generation, &mut file) {
                    generation.retry_at = None;
                    generation.failures = 0;
                    generation.file = Some(file);
                    return Access::Open;
                }
            }
            Err(Unopened::Exhausted) => {
                generation.retry_at = Some(now + RETRY);
                return Access::Later;
            }
            Err(Unopened::Failed) => {}
        }
        generation.retry_at = Some(now + RETRY);
        generation.failures += 1;
        // A live one may become readable; the others only keep their successors waiting.
        if !generation.removed && (generation.live || generation.failures < FAILURES) {
            return Access::Later;
        }
        let (id, fingerprint, at) = (generation.id, generation.fingerprint, generation.read);
        let name = generation.path.file_name().map(OsStr::to_owned);
        let copy = self.find_copy(stream, fingerprint, at, name.as_deref());
        let Some(generation) = stream.generations.iter_mut().find(|g| g.id == id) else {
            return Access::Later;
        };
        if let Some(copy) = copy {
            tracing::debug!(file = %generation.path.display(), copy = %copy.path.display(), "compressed");
            self.inodes.remove(&generation.inode);
            self.inodes.insert(copy.inode, (stream.id, id));
            generation.move_to(copy, now);
            self.dirty = true;
            return Access::Moved;
        }
        generation.lost = true;
        if generation.size > generation.read.offset {
            self.gap(&generation.path, "it could not be opened any more");
        }
        Access::Lost
    }

    /// Opens the file at a path, if it is the one with that inode.
    pub(super) fn open_file(
        &mut self,
        path: &Path,
        inode: Inode,
        packed: bool,
    ) -> Result<Opened, Unopened> {
        if self.open >= self.settings.max_open_files {
            // Some more at once: the search is for all of them.
            self.close_idle(1 + self.settings.max_open_files / 8);
        }
        let mut opened = self.discovery.roots.open(path);
        if opened.as_ref().is_err_and(is_exhausted) {
            add(&self.stats.descriptor_errors, 1);
            self.close_idle(GIVE_UP);
            opened = self.discovery.roots.open(path);
        }
        match opened {
            Ok(file) => match file.metadata() {
                Ok(metadata) if (metadata.dev(), metadata.ino()) == inode => {
                    self.open += 1;
                    Ok(Opened::new(file, packed))
                }
                _ => Err(Unopened::Failed),
            },
            Err(error) if is_exhausted(&error) => Err(Unopened::Exhausted),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    add(&self.stats.read_errors, 1);
                    tracing::debug!(file = %path.display(), %error, "open");
                }
                Err(Unopened::Failed)
            }
        }
    }

    /// Gives up the descriptors of the files that were idle longest and can be opened again.
    pub(super) fn close_idle(&mut self, count: usize) {
        let mut idle: Vec<(bool, u64, u64, u64)> = self
            .streams
            .values()
            .flat_map(|stream| stream.generations.iter().map(move |g| (stream.id, g)))
            .filter(|(_, g)| g.file.is_some() && !g.removed)
            .map(|(stream, g)| (!g.at_end(), g.used, stream, g.id))
            .collect();
        idle.sort_unstable();
        for (_, _, stream, id) in idle.into_iter().take(count) {
            let found = self
                .streams
                .get_mut(&stream)
                .and_then(|stream| stream.generations.iter_mut().find(|g| g.id == id));
            if let Some(generation) = found {
                // What was written since it was looked at last must not be forgotten with it.
                let size = generation
                    .file
                    .as_ref()
                    .and_then(|file| file.metadata().ok());
                if let Some(metadata) = size.filter(|_| !generation.packed) {
                    generation.size = generation.size.max(metadata.size());
                }
                generation.file = None;
                self.open = self.open.saturating_sub(1);
            }
        }
    }
}
