//! When to look at what: hints say at once, and everything is looked at now and then.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Engine;
use super::stream::Stream;
use crate::sink::Sink;
use crate::watch::Watch;

/// With hints for every directory everything is looked at this often.
const RECONCILE: Duration = Duration::from_secs(2);
/// A directory whose hints of writing come closer together than this is looked at without them...
const BUSY: Duration = Duration::from_millis(500);
/// ...until it was quiet for this long.
const COOL: Duration = Duration::from_secs(2);

/// How a directory is being written to.
#[derive(Debug)]
pub(super) struct Heat {
    last: Instant,
    /// Its hints of writing are switched off.
    hot: bool,
}

impl<S: Sink> Engine<S> {
    /// How often everything is looked at.
    pub(super) fn look_interval(&self) -> Duration {
        if self.watch.as_ref().is_some_and(Watch::sees_all) {
            self.settings.poll_interval.max(RECONCILE)
        } else {
            self.settings.poll_interval
        }
    }

    /// What tells of hints.
    pub(crate) fn hints(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(Watch::fd)
    }

    /// When the next turn is due that no hint and no answer asks for. `saves` says whether positions are saved.
    pub(crate) fn next_turn(&self, now: Instant, saves: bool) -> Instant {
        let mut next = self.next_full.min(self.next_scan);
        if self.dirty && saves {
            next = next.min(self.next_save);
        }
        let quiet = self.due.is_empty()
            && self.answers.in_flight() == 0
            && !self.heat.values().any(|heat| heat.hot);
        if !quiet {
            next = next.min(now + self.settings.poll_interval);
        }
        if let Some(due) = self.sink.due() {
            next = next.min(due);
        }
        next
    }

    /// Takes the hints that came since the last turn.
    pub(super) fn listen(&mut self, now: Instant) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        watch.take(&mut self.news);
        self.news.written.sort_unstable();
        self.news.written.dedup();
        for directory in self.news.written.drain(..) {
            self.due
                .extend(self.by_directory.get(&directory).into_iter().flatten());
            match self.heat.get_mut(&directory) {
                None => {
                    self.heat.insert(
                        directory,
                        Heat {
                            last: now,
                            hot: false,
                        },
                    );
                }
                Some(heat) => {
                    if !heat.hot && now.duration_since(heat.last) < BUSY {
                        heat.hot = true;
                        watch.disarm(&directory);
                    }
                    heat.last = now;
                }
            }
        }
        if !self.news.names.is_empty() {
            self.renamed.extend(self.news.names.drain(..));
            self.next_scan = self.next_scan.min(self.scan_floor.max(now));
        }
        if self.news.overflow {
            self.news.overflow = false;
            self.next_full = now;
            self.next_full_scan = now;
            self.next_scan = self.next_scan.min(self.scan_floor.max(now));
        }
        for (directory, _) in self.heat.iter().filter(|(_, heat)| heat.hot) {
            self.due
                .extend(self.by_directory.get(directory).into_iter().flatten());
        }
    }

    /// Something was read of a stream.
    pub(super) fn warm(&mut self, stream: &Stream, now: Instant) {
        let directory: &Path = &stream.directory;
        if let Some(heat) = self.heat.get_mut(directory) {
            heat.last = now;
        }
    }

    /// Goes back to hints where it has become quiet.
    pub(super) fn cool(&mut self, now: Instant) {
        let (watch, due, by_directory) = (&mut self.watch, &mut self.due, &self.by_directory);
        self.heat.retain(|directory, heat| {
            if now.duration_since(heat.last) < COOL {
                return true;
            }
            if heat.hot {
                if let Some(watch) = watch {
                    watch.arm(directory);
                }
                // What was written before the hints came back.
                due.extend(by_directory.get(directory).into_iter().flatten());
            }
            false
        });
    }
}
