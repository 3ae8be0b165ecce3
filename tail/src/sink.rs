//! Where the lines go, and how their acknowledgement comes back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::container::{ContainerPath, StdStream};

/// Takes what the engine reads. All calls come from the engine's thread, so none may block for long;
/// what the sink holds undelivered is bounded by
/// [`max_in_flight_bytes`](crate::Settings::max_in_flight_bytes), at which the engine stops reading.
pub trait Sink: Send + 'static {
    /// One record. It belongs to the chunk that the next [`chunk`](Self::chunk) call closes.
    fn record(&mut self, source: &Source, record: &Record<'_>);

    /// The records since the last call are a chunk, all of one source. Whoever makes them safe calls
    /// [`Ticket::delivered`]; a ticket that is dropped means that they are lost, and the engine reads them again.
    fn chunk(&mut self, source: &Arc<Source>, ticket: Ticket);

    /// Nothing more comes for now: chunks that were held back to fill a batch should go out.
    fn flush(&mut self);

    /// When [`flush`](Self::flush) should be called again though nothing was read: for a sink that lets go of something at a time.
    fn due(&self) -> Option<Instant> {
        None
    }
}

/// The log that records come from: one container's, or one plain file's, with all its rotated generations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Distinguishes the sources of an engine.
    pub id: u64,
    /// The path that matched `include`.
    pub path: String,
    /// Its last component.
    pub name: String,
    /// The same without symbolic links.
    pub path_resolved: String,
    /// The last component of that.
    pub name_resolved: String,
    /// Whose the file at the path is, when [`file_owner`](crate::Settings::file_owner) asks for it.
    pub owner: Option<FileOwner>,
    /// What kubelet's path says, where it is one.
    pub container: Option<ContainerPath>,
}

/// Who may do what with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOwner {
    /// The user's name, or number where it has none.
    pub user: String,
    /// The group's name, or number where it has none.
    pub group: String,
    /// Three octal digits, such as `644`.
    pub permissions: String,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The text without its newline; whatever bytes the file has.
    pub body: &'a [u8],
    /// The same as text, when it is known to be UTF-8; `None` says nothing.
    pub text: Option<&'a str>,
    /// Nanoseconds since 1970, when the line says so.
    pub time: Option<u64>,
    /// For a container's line.
    pub stream: Option<StdStream>,
    /// CRI's tag; of joined lines the last one's.
    pub tag: Option<&'a [u8]>,
    /// Where the line begins in its file; of joined lines the last one.
    pub offset: u64,
    /// Which of its file's records it is, counted from 1 (from where the file was begun).
    pub number: u64,
    /// Whether it is a whole line.
    pub completeness: Completeness,
}

/// Whether a record is a whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// It is.
    Whole,
    /// A piece: it was longer than the limit and the rest follows, or it waited too long for its end.
    Piece,
    /// Only its beginning: the rest was dropped.
    Truncated,
}

/// The responsibility for one chunk.
#[derive(Debug)]
#[must_use = "a dropped ticket has its lines read again"]
pub struct Ticket {
    stream: u64,
    sequence: u64,
    bytes: u64,
    answers: Option<Arc<Answers>>,
}

impl Ticket {
    pub(crate) fn new(answers: &Arc<Answers>, stream: u64, sequence: u64, bytes: u64) -> Self {
        answers.in_flight.fetch_add(bytes, Ordering::Relaxed);
        Self {
            stream,
            sequence,
            bytes,
            answers: Some(Arc::clone(answers)),
        }
    }

    /// Bytes that the chunk took from the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the chunk's weight off the ticket: what is in flight no longer counts it once the weight is dropped, while the place in
    /// the file stays as it is. For a sink that holds a few records of a chunk and has passed on the others.
    #[must_use = "a weight counts as long as it is kept"]
    pub fn take_weight(&mut self) -> Weight {
        Weight {
            bytes: std::mem::take(&mut self.bytes),
            answers: self.answers.clone(),
        }
    }

    /// The chunk is safe: its place in the file may be remembered as done.
    pub fn delivered(mut self) {
        self.answer(true);
    }

    fn answer(&mut self, delivered: bool) {
        if let Some(answers) = self.answers.take() {
            answers.push(
                Answer {
                    stream: self.stream,
                    sequence: self.sequence,
                    delivered,
                },
                self.bytes,
            );
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.answer(false);
    }
}

/// The bytes of a chunk, counted as in flight until it is dropped.
#[derive(Debug)]
pub struct Weight {
    bytes: u64,
    answers: Option<Arc<Answers>>,
}

impl Weight {
    /// More that is in flight, of the same engine: what a sink passes on later than the chunk it is of.
    #[must_use = "a weight counts as long as it is kept"]
    pub fn another(&self, bytes: u64) -> Self {
        if let Some(answers) = &self.answers {
            answers.in_flight.fetch_add(bytes, Ordering::Relaxed);
        }
        Self {
            bytes,
            answers: self.answers.clone(),
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        if let Some(answers) = &self.answers {
            answers.lighten(self.bytes);
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) stream: u64,
    pub(crate) sequence: u64,
    pub(crate) delivered: bool,
}

/// Without a bell the engine looks this often whether something is the matter.
const WITHOUT_BELL: Duration = Duration::from_millis(20);

/// What came back, until the engine looks.
#[derive(Debug)]
pub(crate) struct Answers {
    state: Mutex<State>,
    /// Rung to wake the engine, which waits for it and for hints from inotify.
    bell: Option<OwnedFd>,
    in_flight: AtomicU64,
}

impl Default for Answers {
    fn default() -> Self {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        if let Err(error) = &bell {
            tracing::debug!(%error, "eventfd");
        }
        Self {
            state: Mutex::default(),
            bell: bell.ok(),
            in_flight: AtomicU64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// As many as there are tickets, which the bytes in flight bound.
    waiting: Vec<Answer>,
    /// The engine wants to hear of the next one.
    wanted: bool,
    /// Less is in flight than when the engine looked.
    lighter: bool,
    stop: bool,
}

impl Answers {
    fn push(&self, answer: Answer, bytes: u64) {
        self.in_flight.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.waiting.push(answer);
        if state.wanted {
            state.wanted = false;
            drop(state);
            self.ring();
        }
    }

    /// Less is in flight, though nothing is acknowledged.
    fn lighten(&self, bytes: u64) {
        self.in_flight.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.lighter = true;
        if state.wanted {
            state.wanted = false;
            drop(state);
            self.ring();
        }
    }

    fn ring(&self) {
        // Full it rings as well.
        if let Some(bell) = &self.bell {
            let _rung = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Moves what waits to `into`.
    pub(crate) fn take(&self, into: &mut Vec<Answer>) {
        let mut state = self.state.lock();
        state.lighter = false;
        into.append(&mut state.waiting);
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.ring();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Sleeps until `until`, a call of [`stop`](Self::stop), or, when `answers` says so, an answer; or until
    /// `hints` has something to read. Returns whether that was it.
    pub(crate) fn wait(
        &self,
        until: Instant,
        answers: bool,
        hints: Option<BorrowedFd<'_>>,
    ) -> bool {
        let hint = loop {
            {
                let mut state = self.state.lock();
                let answered = !state.waiting.is_empty() || state.lighter;
                if state.stop && !answers || answers && answered {
                    break false;
                }
                state.wanted = answers;
            }
            let mut left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            if self.bell.is_none() {
                left = left.min(WITHOUT_BELL);
            }
            let bell = self.bell.as_ref().map(AsFd::as_fd);
            let waited_for = bell.is_some();
            let mut fds: Vec<PollFd<'_>> = bell
                .into_iter()
                .chain(hints)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            let timeout = Timespec::try_from(left).ok();
            let ready = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
            let rung = waited_for && fds.first().is_some_and(|bell| !bell.revents().is_empty());
            if rung && let Some(bell) = &self.bell {
                let _count = rustix::io::read(bell, &mut [0u8; 8]);
            }
            if ready > usize::from(rung) {
                break true;
            }
            // Woken for nothing the engine looks around once more, which does no harm.
            if rung {
                break false;
            }
        };
        self.state.lock().wanted = false;
        hint
    }
}
