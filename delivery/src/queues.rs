//! Queues and dead letters from outside: what `corten queue` shows and does.
//!
//! Looking takes no lock and changes nothing, so it works beside a running agent; what it shows then is a moment old.
//! Changing takes the lock that the agent holds while it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use corten_component::{Batch, Signal};
use corten_storage::{Directory, DirectoryError, Reason};

use crate::dead_letters::Letter;
use crate::disk::{Found, Limits, Log, payload};

/// Read at once.
const CHUNK: usize = 1 << 20;
const LETTERS: &str = "_dead_letters";
const QUEUE: &str = "_queue";

/// Why something can't be done.
#[derive(Debug, thiserror::Error)]
pub enum QueuesError {
    /// Somebody uses the directory, or it can't be opened.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file system's.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There are no dead letters here.
    #[error("{0} holds no dead letters; only these can be sent again")]
    NoLetters(String),
}

/// What a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Data that waits to be sent.
    Queue,
    /// Data that was refused for good.
    DeadLetters,
}

impl Content {
    /// A word for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::DeadLetters => "dead letters",
        }
    }
}

/// The queue, or the dead letters, of one signal of one exporter.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    /// The exporter, as its directory spells it: `exporter_<type>_<name>`.
    pub exporter: String,
    /// What it is.
    pub content: Content,
    /// Of what.
    pub signal: Signal,
}

/// What waits in a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records (accepted batches) that are not done.
    pub records: u64,
    /// Log records, data points or spans in them.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was accepted or refused.
    pub oldest: Option<SystemTime>,
    /// Damaged places between them.
    pub damaged: u64,
}

/// One record.
#[derive(Debug)]
pub struct Entry {
    /// Its number, which only grows.
    pub number: u64,
    /// When it was accepted (in a queue) or refused (a dead letter).
    pub at: SystemTime,
    /// Items, as counted when it came in.
    pub items: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Of a dead letter: the label, and the backend's words.
    pub refused: Option<(String, String)>,
    /// What it holds; what is wrong with it when it can't be read.
    pub batch: Result<Batch, String>,
}

/// Every place below the root directory of a storage that holds something.
///
/// # Errors
///
/// The root can't be listed.
pub fn places(root: &Path) -> Result<Vec<Place>, QueuesError> {
    let failed = |source| QueuesError::Io {
        path: root.to_owned(),
        source,
    };
    let mut places = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let (exporter, content) = match (name.strip_suffix(LETTERS), name.strip_suffix(QUEUE)) {
            (Some(exporter), _) => (exporter, Content::DeadLetters),
            (None, Some(exporter)) => (exporter, Content::Queue),
            (None, None) => continue,
        };
        let path = entry.path();
        let names = Directory::look(&path).list().unwrap_or_default();
        for signal in Signal::ALL {
            if names.iter().any(|name| is_of(name, signal)) {
                places.push(Place {
                    path: path.clone(),
                    exporter: exporter.to_owned(),
                    content,
                    signal,
                });
            }
        }
    }
    places.sort_by(|a, b| {
        let key = |place: &Place| (place.path.clone(), place.signal.as_str());
        key(a).cmp(&key(b))
    });
    Ok(places)
}

fn is_of(name: &str, signal: Signal) -> bool {
    name.strip_prefix(signal.as_str())
        .is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".queue"))
}

impl Place {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, source: io::Error) -> QueuesError {
        QueuesError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn open(&self, directory: Directory) -> Result<Log, QueuesError> {
        let opened = Log::open(directory, self.signal.as_str(), Limits::of(u64::MAX));
        opened
            .map(|(log, _)| log)
            .map_err(|error| self.failed(error))
    }

    fn lock(&self) -> Result<Directory, QueuesError> {
        Ok(Directory::open(&self.path, "corten queue")?)
    }

    /// Counts what waits. Takes no lock.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn summary(&self) -> Result<Summary, QueuesError> {
        let mut summary = Summary::default();
        let log = self.open(Directory::look(&self.path))?;
        self.walk(&log, |_, found| {
            match found {
                Some(payload) => {
                    let entry = Stored::of(self.content, payload);
                    summary.records += 1;
                    summary.items += entry.items();
                    summary.bytes += entry.bytes;
                    let oldest = summary.oldest.get_or_insert(entry.at);
                    *oldest = entry.at.min(*oldest);
                }
                None => summary.damaged += 1,
            }
            true
        })?;
        Ok(summary)
    }

    /// Gives every record that waits, oldest first, until `each` says `false`. Takes no lock.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn entries(&self, mut each: impl FnMut(Entry) -> bool) -> Result<(), QueuesError> {
        let log = self.open(Directory::look(&self.path))?;
        self.walk(&log, |number, found| match found {
            Some(payload) => each(Stored::of(self.content, payload).entry(number)),
            None => true,
        })
    }

    /// Removes what waits, oldest first, up to the number `last` (all of it when there is none). Returns how
    /// many records went.
    ///
    /// # Errors
    ///
    /// The agent runs; or the file system's.
    pub fn discard(&self, last: Option<u64>) -> Result<u64, QueuesError> {
        let log = self.open(self.lock()?)?;
        let mut gone = 0;
        self.walk(&log, |number, found| {
            let goes = last.is_none_or(|last| number <= last);
            if goes && found.is_some() {
                log.acknowledge(number);
                gone += 1;
            }
            goes
        })?;
        log.save().map_err(|error| self.failed(error))?;
        Ok(gone)
    }

    /// Moves dead letters, oldest first, up to the number `last` (all of them when there is none), into the exporter's
    /// queue, behind what waits there. They are on the disk there before they go here. Returns how many went.
    ///
    /// # Errors
    ///
    /// The agent runs; it is a queue; or the file system's, and then some may be in both.
    pub fn retry(&self, last: Option<u64>) -> Result<u64, QueuesError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let Some(exporter) = name.strip_suffix(LETTERS) else {
            return Err(QueuesError::NoLetters(self.path.display().to_string()));
        };
        let letters = self.open(self.lock()?)?;
        let queue = Self {
            path: self.path.with_file_name(format!("{exporter}{QUEUE}")),
            content: Content::Queue,
            ..self.clone()
        };
        let into = queue.open(queue.lock()?)?;
        let mut moved = 0;
        let mut failed = None;
        self.walk(&letters, |number, found| {
            if last.is_some_and(|last| number > last) {
                return false;
            }
            let Some(letter) = found.and_then(Letter::decode) else {
                return true;
            };
            if let Err(error) = into.append(&[[letter.record]], &mut Vec::new()) {
                failed = Some(error);
                return false;
            }
            letters.acknowledge(number);
            moved += 1;
            true
        })?;
        letters.save().map_err(|error| self.failed(error))?;
        match failed {
            Some(error) => Err(queue.failed(error)),
            None => Ok(moved),
        }
    }

    /// Gives records with their numbers, and `None` for damage.
    fn walk(
        &self,
        log: &Log,
        mut each: impl FnMut(u64, Option<Bytes>) -> bool,
    ) -> Result<(), QueuesError> {
        loop {
            let found = log.read(CHUNK).map_err(|error| self.failed(error))?;
            if found.is_empty() {
                return Ok(());
            }
            for item in found {
                let goes_on = match item {
                    Found::Record { sequence, payload } => each(sequence, Some(payload)),
                    // What the agent is writing at this moment, or was when it ended.
                    Found::Damage(lost) if lost.reason == Reason::Torn => true,
                    Found::Damage(_) => each(0, None),
                };
                if !goes_on {
                    return Ok(());
                }
            }
        }
    }
}

/// A record as it lies there.
struct Stored {
    at: SystemTime,
    bytes: u64,
    refused: Option<(String, String)>,
    record: Bytes,
}

impl Stored {
    fn of(content: Content, payload: Bytes) -> Self {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let at = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        if content == Content::Queue {
            return Self {
                at: at(payload::accepted(&payload)),
                bytes,
                refused: None,
                record: payload,
            };
        }
        match Letter::decode(payload.clone()) {
            Some(letter) => Self {
                at: at(letter.refused),
                bytes,
                refused: Some((letter.reason, letter.message)),
                record: letter.record,
            },
            None => Self {
                at: UNIX_EPOCH,
                bytes,
                refused: None,
                record: payload,
            },
        }
    }

    fn items(&self) -> u64 {
        u64::try_from(payload::items(&self.record)).unwrap_or(u64::MAX)
    }

    fn entry(self, number: u64) -> Entry {
        Entry {
            number,
            at: self.at,
            items: self.items(),
            bytes: self.bytes,
            refused: self.refused,
            batch: payload::decode(self.record).map_err(|error| error.to_string()),
        }
    }
}
