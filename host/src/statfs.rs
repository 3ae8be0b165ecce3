//! How full file systems are, asked so that one which never answers costs only itself.
//!
//! `statfs(2)` on a network file system whose server is gone blocks for as long as the server is
//! gone, and no signal but `SIGKILL` ends it. So it is asked for on threads of its own. A mount
//! that has not answered in time is *stuck*: it is not asked again until its thread comes back,
//! so each such mount holds exactly one thread. File systems that only ever look at memory
//! (ext4, xfs, tmpfs, …) are asked in place.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Size and use of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free for users other than root.
    pub blocks_available: u64,
    /// Inodes in all; 0 where the file system makes them as needed.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

/// Why a file system's use is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// It has not answered in time, now or earlier, and has not answered since.
    #[error("mountpoint timeout")]
    Stuck,
    /// The system call failed.
    #[error("{}", description(*.0))]
    Failed(rustix::io::Errno),
}

/// The C library's words for an error, without the number that `io::Error` puts behind them.
fn description(error: rustix::io::Errno) -> String {
    let mut text = io::Error::from(error).to_string().to_lowercase();
    if let Some(at) = text.find(" (os error") {
        text.truncate(at);
    }
    text
}

/// What is asked of a path.
type Probe = dyn Fn(&Path) -> Result<Usage, rustix::io::Errno> + Send + Sync;

/// Threads, stuck ones included. Beyond it further remote mounts count as stuck.
const MOST_THREADS: usize = 32;
/// How long all threads may be busy before another one is added.
const PATIENCE: Duration = Duration::from_millis(20);

/// Asks file systems how full they are.
pub struct Statfs {
    shared: Arc<Shared>,
    timeout: Duration,
    workers: usize,
}

struct Shared {
    probe: Box<Probe>,
    state: Mutex<State>,
    work: Condvar,
    answer: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Paths that a thread is busy with.
    asked: HashSet<PathBuf>,
    /// Answers to the round that waits now; earlier rounds' answers have no reader any more.
    answers: Vec<Option<Result<Usage, Unknown>>>,
    round: u64,
    outstanding: usize,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Job {
    path: PathBuf,
    round: u64,
    slot: usize,
}

/// One file system to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// A path on it, as seen from here.
    pub path: PathBuf,
    /// Whether it may take long or forever to answer: see [`may_hang`].
    pub remote: bool,
}

/// Whether asking a file system of this type may block: all but those that answer from memory.
#[must_use]
pub fn may_hang(fs_type: &str) -> bool {
    !matches!(
        fs_type,
        "btrfs"
            | "devtmpfs"
            | "ext2"
            | "ext3"
            | "ext4"
            | "f2fs"
            | "hugetlbfs"
            | "iso9660"
            | "ramfs"
            | "squashfs"
            | "tmpfs"
            | "vfat"
            | "xfs"
    )
}

impl Statfs {
    /// A mount is stuck after `timeout`; `workers` threads ask at the same time.
    #[must_use]
    pub fn new(timeout: Duration, workers: usize) -> Self {
        Self::with_probe(timeout, workers, Box::new(ask))
    }

    fn with_probe(timeout: Duration, workers: usize, probe: Box<Probe>) -> Self {
        Self {
            shared: Arc::new(Shared {
                probe,
                state: Mutex::default(),
                work: Condvar::new(),
                answer: Condvar::new(),
            }),
            timeout,
            workers: workers.clamp(1, MOST_THREADS),
        }
    }

    /// Asks all questions, writes the answers in their order. Blocks the calling thread for as
    /// long as the slowest remote file system takes, at most for the timeout and until `deadline`.
    pub fn ask(
        &mut self,
        questions: &[Question],
        deadline: Instant,
        answers: &mut Vec<Result<Usage, Unknown>>,
    ) {
        answers.clear();
        let deadline = deadline.min(Instant::now() + self.timeout);
        let mut slots = if self.send(questions) {
            self.receive(deadline).into_iter()
        } else {
            Vec::new().into_iter()
        };
        for question in questions {
            answers.push(if question.remote {
                slots.next().flatten().unwrap_or(Err(Unknown::Stuck))
            } else {
                (self.shared.probe)(&question.path).map_err(Unknown::Failed)
            });
        }
    }

    /// Hands the remote questions to the threads; `false` when there are none.
    fn send(&self, questions: &[Question]) -> bool {
        let mut state = self.shared.state.lock();
        state.round += 1;
        state.answers.clear();
        state.outstanding = 0;
        let round = state.round;
        for question in questions.iter().filter(|question| question.remote) {
            let slot = state.answers.len();
            if state.asked.contains(&question.path) {
                state.answers.push(Some(Err(Unknown::Stuck)));
                continue;
            }
            state.answers.push(None);
            state.outstanding += 1;
            state.asked.insert(question.path.clone());
            state.queue.push_back(Job {
                path: question.path.clone(),
                round,
                slot,
            });
        }
        if state.answers.is_empty() {
            return false;
        }
        // Stuck threads do not count as workers: there are always enough that are free.
        let wanted = state.outstanding.min(self.workers);
        while state.idle < wanted && self.add_thread(&mut state) {}
        self.shared.work.notify_all();
        true
    }

    fn add_thread(&self, state: &mut State) -> bool {
        if state.threads >= MOST_THREADS {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new()
            .name("statfs".to_owned())
            .stack_size(128 << 10)
            .spawn(move || shared.work());
        if spawned.is_ok() {
            state.threads += 1;
            state.idle += 1;
        }
        spawned.is_ok()
    }

    fn receive(&self, deadline: Instant) -> Vec<Option<Result<Usage, Unknown>>> {
        let mut state = self.shared.state.lock();
        while state.outstanding > 0 {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            let slow = self
                .shared
                .answer
                .wait_until(&mut state, deadline.min(now + PATIENCE))
                .timed_out();
            // Mounts that wait behind stuck ones get a thread of their own.
            if slow && state.idle < state.queue.len() {
                self.add_thread(&mut state);
            }
        }
        // What no thread came to is not stuck itself: it may be asked next time.
        while let Some(job) = state.queue.pop_front() {
            state.asked.remove(&job.path);
        }
        std::mem::take(&mut state.answers)
    }
}

impl Drop for Statfs {
    /// Threads end as soon as they have nothing to do; a stuck one when its mount answers.
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl std::fmt::Debug for Statfs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Statfs")
            .field("threads", &state.threads)
            .field("asked", &state.asked)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                break;
            }
            let Some(job) = state.queue.pop_front() else {
                self.work.wait(&mut state);
                continue;
            };
            state.idle = state.idle.saturating_sub(1);
            drop(state);
            let answer = (self.probe)(&job.path).map_err(Unknown::Failed);
            state = self.state.lock();
            state.idle += 1;
            state.asked.remove(&job.path);
            if job.round == state.round
                && let Some(slot) = state.answers.get_mut(job.slot)
            {
                *slot = Some(answer);
                state.outstanding = state.outstanding.saturating_sub(1);
                if state.outstanding == 0 {
                    self.answer.notify_all();
                }
            }
        }
        state.threads = state.threads.saturating_sub(1);
        state.idle = state.idle.saturating_sub(1);
    }
}

fn ask(path: &Path) -> Result<Usage, rustix::io::Errno> {
    let answer = rustix::fs::statfs(path)?;
    Ok(Usage {
        block_size: u64::try_from(answer.f_bsize).unwrap_or(0),
        blocks: answer.f_blocks,
        blocks_free: answer.f_bfree,
        blocks_available: answer.f_bavail,
        inodes: answer.f_files,
        inodes_free: answer.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn question(path: &str, remote: bool) -> Question {
        Question {
            path: path.into(),
            remote,
        }
    }

    #[test]
    fn the_root_has_a_size() {
        let mut statfs = Statfs::new(Duration::from_secs(30), 2);
        let mut answers = Vec::new();
        let questions = [
            question("/", false),
            question("/", true),
            question("/absent", false),
        ];
        statfs.ask(&questions, later(), &mut answers);
        let [Ok(here), Ok(there), Err(absent)] = answers.as_slice() else {
            panic!("{answers:?}")
        };
        assert!(here.blocks >= here.blocks_free && here.block_size > 0);
        assert_eq!(here.blocks, there.blocks);
        assert_eq!(absent.to_string(), "no such file or directory");
    }

    /// A probe that does not answer for `/stuck` while the gate is closed.
    fn gated() -> (Statfs, Arc<(Mutex<bool>, Condvar)>) {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let inner = Arc::clone(&gate);
        let probe = move |path: &Path| {
            if path.starts_with("/stuck") {
                let mut open = inner.0.lock();
                while !*open {
                    inner.1.wait(&mut open);
                }
            }
            Ok(Usage::default())
        };
        (
            Statfs::with_probe(Duration::from_millis(500), 1, Box::new(probe)),
            gate,
        )
    }

    #[test]
    fn a_stuck_mount_costs_only_itself_until_it_comes_back() {
        let (mut statfs, gate) = gated();
        let questions = [
            question("/stuck", true),
            question("/local", false),
            question("/well", true),
        ];
        let mut answers = Vec::new();
        let fine = Ok(Usage::default());
        statfs.ask(&questions, later(), &mut answers);
        assert_eq!(answers, [Err(Unknown::Stuck), fine, fine]);
        // From now on it is passed over without waiting, and the others are asked by new threads.
        let begin = Instant::now();
        for _ in 0..5 {
            statfs.ask(&questions, later(), &mut answers);
            assert_eq!(answers, [Err(Unknown::Stuck), fine, fine]);
        }
        assert!(begin.elapsed() < Duration::from_millis(500));
        assert!(statfs.shared.state.lock().threads <= 2);
        *gate.0.lock() = true;
        gate.1.notify_all();
        let deadline = Instant::now() + Duration::from_secs(20);
        while statfs
            .shared
            .state
            .lock()
            .asked
            .contains(Path::new("/stuck"))
        {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        statfs.ask(&questions, later(), &mut answers);
        assert_eq!(answers, [fine, fine, fine]);
    }

    #[test]
    fn threads_are_bounded_however_many_mounts_are_stuck() {
        let (mut statfs, gate) = gated();
        let questions: Vec<_> = (0..100)
            .map(|n| question(&format!("/stuck/{n}"), true))
            .collect();
        let mut answers = Vec::new();
        for _ in 0..3 {
            statfs.ask(&questions, later(), &mut answers);
            assert_eq!(answers, vec![Err(Unknown::Stuck); 100]);
        }
        assert!(statfs.shared.state.lock().threads <= MOST_THREADS);
        let shared = Arc::clone(&statfs.shared);
        drop(statfs);
        *gate.0.lock() = true;
        gate.1.notify_all();
        let deadline = Instant::now() + Duration::from_secs(20);
        while shared.state.lock().threads > 0 {
            assert!(Instant::now() < deadline, "threads end with their owner");
            std::thread::yield_now();
        }
    }
}
