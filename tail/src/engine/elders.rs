//! The order among the logs of one container: a container that is restarted goes on in a log of its own (`0.log`, `1.log`, …),
//! and what it wrote before it died belongs in front of what it wrote since.
//!
//! A log's first line waits until everything that its elders have was read. An elder that can't be read keeps it waiting
//! for [`PATIENCE`] only, and once a log has begun nothing holds it up any more.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use super::stream::Stream;
use super::{Engine, Refresh, refresh};
use crate::settings::Framing;
use crate::sink::Sink;

/// For how long an elder is waited for that isn't read any further.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that counts as waiting between two looks: nobody is read any further while too much is in flight.
const LOOK: Duration = Duration::from_millis(500);

/// What a log knows of its elders.
#[derive(Debug, Default)]
pub(super) struct Elders {
    /// Of the container: the number in the log's name.
    restart: u64,
    /// Nobody is waited for.
    begun: bool,
    looked: Option<Instant>,
    /// How far the elders were read then.
    read: u64,
    /// For how long they have not been read any further.
    stalled: Duration,
}

impl Elders {
    /// Of a log with this name; only a container's has elders.
    pub(super) fn of(framing: &Framing, name: &OsStr) -> Option<Self> {
        let Framing::Container { .. } = framing else {
            return None;
        };
        let restart = name.to_str()?.strip_suffix(".log")?;
        let digits = restart.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            restart: restart.parse().ok().filter(|_| digits)?,
            ..Self::default()
        })
    }

    /// Whether to wait on, for elders that were read this far.
    fn wait(&mut self, read: u64, now: Instant) -> bool {
        let since = self
            .looked
            .map_or(Duration::ZERO, |at| now.duration_since(at));
        if self.looked.is_none() || read != self.read {
            self.stalled = Duration::ZERO;
        } else {
            self.stalled += since.min(LOOK);
        }
        self.looked = Some(now);
        self.read = read;
        self.stalled < PATIENCE
    }
}

impl<S: Sink> Engine<S> {
    /// Whether a log has to wait for an older one of its container.
    pub(super) fn waits_for_elders(&mut self, stream: &mut Stream, now: Instant) -> bool {
        let Some(elders) = stream.elders.as_mut().filter(|elders| !elders.begun) else {
            return false;
        };
        let mut unread = false;
        let mut read = 0;
        for id in self
            .by_directory
            .get(&stream.directory)
            .into_iter()
            .flatten()
        {
            let Some(elder) = self.streams.get_mut(id).filter(|other| {
                let restart = other.elders.as_ref().map(|elders| elders.restart);
                restart.is_some_and(|restart| restart < elders.restart)
            }) else {
                continue;
            };
            for generation in &mut elder.generations {
                if generation.ignored || generation.lost {
                    continue;
                }
                // Its writer may have been faster than the last look.
                unread |= refresh(generation, now) == Refresh::Changed
                    || generation.size > generation.seen;
                read += generation.read.offset;
            }
        }
        if unread && elders.wait(read, now) {
            return true;
        }
        if unread {
            tracing::warn!(
                log = %stream.path().display(),
                "an older log of the container can't be read for now: its lines will come late"
            );
        }
        if let Some(elders) = &mut stream.elders {
            elders.begun = true;
        }
        false
    }
}
