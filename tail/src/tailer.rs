//! The engine on its threads.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use corten_storage::{Checkpoint, Directory, Outcome};
use parking_lot::{Condvar, Mutex};

use crate::engine::{Engine, Memory, Turn};
use crate::pattern::PatternError;
use crate::positions::{self, Saved};
use crate::settings::Settings;
use crate::sink::{Answers, Sink};
use crate::stats::{Stats, add};

/// What looking at the directories may take of a core: one part in this many.
const SCAN_SHARE: u32 = 100;
/// Hints don't make turns follow one another faster than this.
const GAP: Duration = Duration::from_millis(10);
/// The name of the checkpoint in the directory.
const CHECKPOINT: &str = "positions";

/// Why an engine was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A glob can't be read.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The system gave no thread.
    #[error("start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running engine.
///
/// Dropping it stops it without waiting: what is in flight is read again by the next start.
#[derive(Debug)]
pub struct Tailer {
    answers: Arc<Answers>,
    stats: Arc<Stats>,
    drain: Arc<Mutex<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Tailer {
    /// Starts to follow files. With a `directory` positions outlive the process; without one every start is a first one.
    ///
    /// At most half of the descriptors that the process may have are used, whatever the settings say: the rest
    /// is for what delivers.
    pub fn start(
        mut settings: Settings,
        directory: Option<Directory>,
        sink: impl Sink,
    ) -> Result<Self, StartError> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = limit
            .and_then(|limit| usize::try_from(limit / 2).ok())
            .unwrap_or(usize::MAX);
        settings.max_open_files = settings.max_open_files.min(half).max(1);
        let (checkpoint, saved, memory) = recall(&settings.name, directory);
        let (name, sync_interval) = (settings.name.clone(), settings.checkpoint_interval);
        let engine = Engine::new(settings, sink, saved, memory, Instant::now())?;
        let (answers, stats) = (engine.answers(), engine.stats());
        let saver = match checkpoint {
            Some(checkpoint) => {
                let stats = Arc::clone(&stats);
                Some(Saver::start(&name, checkpoint, sync_interval, stats)?)
            }
            None => None,
        };
        let drain = Arc::new(Mutex::new(Duration::ZERO));
        let thread = thread::Builder::new().name(format!("tail {name}")).spawn({
            let drain = Arc::clone(&drain);
            move || run(engine, saver, &drain)
        })?;
        Ok(Self {
            answers,
            stats,
            drain,
            thread: Some(thread),
        })
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Reads nothing more. What is in flight may still be acknowledged for `drain`; then the
    /// positions are saved and the thread ends. Doesn't block.
    pub fn stop(&self, drain: Duration) {
        *self.drain.lock() = drain;
        self.answers.stop();
    }

    /// Waits until the thread has ended, after [`stop`](Self::stop). Blocks.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the tailing thread panicked");
        }
    }
}

impl Drop for Tailer {
    fn drop(&mut self) {
        self.answers.stop();
    }
}

fn recall(name: &str, directory: Option<Directory>) -> (Option<Checkpoint>, Saved, Memory) {
    let Some(directory) = directory else {
        return (None, Saved::default(), Memory::Fresh);
    };
    let (checkpoint, loaded) = Checkpoint::open(directory, CHECKPOINT);
    let memory = match &loaded.outcome {
        Outcome::Fresh => Memory::Fresh,
        Outcome::Current => Memory::Kept,
        Outcome::Previous { reason } => {
            tracing::info!(
                tail = name,
                reason,
                "the last save of the positions was not completed"
            );
            Memory::Kept
        }
        Outcome::Lost { reason } => {
            tracing::error!(
                tail = name,
                reason,
                "positions lost: the files are read again"
            );
            Memory::Lost
        }
    };
    match positions::read(&loaded.bytes) {
        Ok(saved) => (Some(checkpoint), saved, memory),
        Err(error) => {
            tracing::error!(tail = name, %error, "positions unreadable: the files are read again");
            (Some(checkpoint), Saved::default(), Memory::Lost)
        }
    }
}

fn run<S: Sink>(mut engine: Engine<S>, saver: Option<Saver>, drain: &Mutex<Duration>) {
    let answers = engine.answers();
    while !answers.is_stopped() {
        let begun = Instant::now();
        let turn = engine.turn(begun);
        if let Some(cost) = engine.scan_cost() {
            engine.delay_scan(begun + cost * SCAN_SHARE);
        }
        if let Some(saver) = &saver
            && let Some(bytes) = engine.positions(Instant::now(), false)
        {
            saver.put(bytes);
        }
        match turn {
            Turn::Busy => {}
            Turn::Idle => {
                let until = engine.next_turn(begun, saver.is_some());
                // Positions are written as soon as they are answered for: after a kill, nothing is read twice but what was under way.
                if answers.wait(until, saver.is_some(), engine.hints()) {
                    // Not for every line by itself.
                    answers.wait(until.min(begun + GAP), false, None);
                }
            }
            Turn::Full => {
                answers.wait(engine.next_turn(begun, saver.is_some()), true, None);
            }
        }
    }
    engine.stop();
    let deadline = Instant::now() + *drain.lock();
    while answers.in_flight() > 0 && Instant::now() < deadline {
        answers.wait(deadline, true, None);
        engine.turn(Instant::now());
    }
    engine.turn(Instant::now());
    if let Some(saver) = saver {
        if let Some(bytes) = engine.positions(Instant::now(), true) {
            saver.put(bytes);
        }
        saver.finish();
    }
}

/// Writes positions on a thread of its own: a slow disk must not hold up reading.
struct Saver {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Only the newest matters.
    bytes: Option<Vec<u8>>,
    finish: bool,
}

impl Saver {
    /// Positions are written when they come, which a kill leaves alone, and synced every `sync_interval`.
    fn start(
        name: &str,
        mut checkpoint: Checkpoint,
        sync_interval: Duration,
        stats: Arc<Stats>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name(format!("save {name}")).spawn({
            let shared = Arc::clone(&shared);
            let name = name.to_owned();
            move || {
                let mut due = None;
                loop {
                    let done = match shared.next(due) {
                        Next::Write(bytes) => {
                            due.get_or_insert_with(|| Instant::now() + sync_interval);
                            checkpoint
                                .write(&bytes)
                                .map_err(|error| (error, Some(bytes)))
                        }
                        Next::Sync => {
                            due = None;
                            checkpoint.sync().map_err(|error| (error, None))
                        }
                        Next::End => match checkpoint.sync() {
                            Ok(()) => return,
                            Err(error) => Err((error, None)),
                        },
                    };
                    if let Err((error, bytes)) = done {
                        add(&stats.checkpoint_errors, 1);
                        tracing::warn!(tail = name, %error, "positions not saved");
                        due = Some(Instant::now() + Duration::from_secs(1));
                        if !shared.put_back(bytes) {
                            return;
                        }
                    }
                }
            }
        })?;
        Ok(Self { shared, thread })
    }

    fn put(&self, bytes: Vec<u8>) {
        self.shared.state.lock().bytes = Some(bytes);
        self.shared.wake.notify_one();
    }

    fn finish(self) {
        self.shared.state.lock().finish = true;
        self.shared.wake.notify_one();
        if self.thread.join().is_err() {
            tracing::error!("the thread that saves positions panicked");
        }
    }
}

/// What there is to do.
enum Next {
    Write(Vec<u8>),
    /// What was written is due to be synced.
    Sync,
    End,
}

impl Shared {
    fn next(&self, due: Option<Instant>) -> Next {
        let mut state = self.state.lock();
        loop {
            if due.is_some_and(|due| due <= Instant::now()) {
                return Next::Sync;
            }
            if let Some(bytes) = state.bytes.take() {
                return Next::Write(bytes);
            }
            if state.finish {
                return Next::End;
            }
            match due {
                Some(due) => drop(self.wake.wait_until(&mut state, due)),
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// After a failed save: waits a second for newer positions, else the same are tried again. `false` at the end.
    fn put_back(&self, bytes: Option<Vec<u8>>) -> bool {
        let mut state = self.state.lock();
        if !state.finish && state.bytes.is_none() {
            self.wake.wait_for(&mut state, Duration::from_secs(1));
        }
        if state.bytes.is_none() && !state.finish {
            state.bytes = bytes;
        }
        !state.finish || state.bytes.is_some()
    }
}
