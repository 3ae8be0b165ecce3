//! What the engine is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::container::Format;
use crate::encoding::Encoding;
use crate::frame::OverLimit;
use crate::multiline::Multiline;
use crate::ordering::Ordering;

/// Where a file is begun that no checkpoint knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAt {
    /// At its beginning.
    Beginning,
    /// At its end, if it is there when the engine first starts without any checkpoint. Files that appear
    /// later are read whole.
    #[default]
    End,
}

/// Which of the files that match are compressed with gzip. Rotated generations beside a followed path are told by
/// their names (`.gz`), whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// Those whose names end in `.gz`.
    Auto,
    /// All.
    Gzip,
}

/// What happens when a file is shorter than what was read of it, but begins as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTruncate {
    /// It is read from its beginning: what was kept comes twice.
    #[default]
    ReadWholeFile,
    /// Only what is written from now on is read.
    ReadNew,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A line.
    #[default]
    Lines,
    /// A container's message: its partial lines are joined.
    Container {
        /// How the runtime writes.
        format: Format,
        /// Whether docker's lines without a final `\n` are joined with the next. CRI's partial lines always are.
        join_docker: bool,
    },
}

/// Settings of an engine. The defaults are those of the Collector's `file_log`, where it has the setting.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names the engine in its thread and its messages.
    pub name: String,
    /// Globs of the files to follow; `**` is any number of directories, `{a,b}` alternatives.
    pub include: Vec<String>,
    /// Globs of files among them not to follow.
    pub exclude: Vec<String>,
    /// Directories beneath which a symbolic link may end, besides the literal part of the include patterns.
    pub link_roots: Vec<PathBuf>,
    /// Where an unknown file is begun.
    pub start_at: StartAt,
    /// An unknown file that was last written longer ago is begun at its end.
    pub exclude_older_than: Option<Duration>,
    /// Follows some of the matching files only.
    pub ordering: Option<Ordering>,
    /// What a truncation means that left the file's beginning.
    pub on_truncate: OnTruncate,
    /// Deletes a file when it was read to its end and all of it is acknowledged.
    pub delete_after_read: bool,
    /// [`Source::owner`](crate::Source::owner) is looked up.
    pub file_owner: bool,
    /// Which of the files are compressed.
    pub compression: Compression,
    /// What a record is.
    pub framing: Framing,
    /// Records of several lines (with [`Framing::Lines`]).
    pub multiline: Option<Multiline>,
    /// How plain lines are encoded; `None` leaves their bytes alone.
    pub encoding: Option<Encoding>,
    /// How often files are looked at that are being written, or that inotify can't watch. The others wake the engine.
    pub poll_interval: Duration,
    /// Directories that inotify watches, at most; 0 does without it.
    pub max_watches: usize,
    /// How long a last line without newline waits until it is a record nevertheless (for plain lines; `None`: until the file is rotated).
    pub force_flush_period: Option<Duration>,
    /// How long a partial container line waits for its end.
    pub partial_timeout: Duration,
    /// The longest record, bytes.
    pub max_log_size: usize,
    /// What happens to a longer one.
    pub over_limit: OverLimit,
    /// How many first bytes tell a file apart.
    pub fingerprint_size: u16,
    /// Descriptors held at most (files that are deleted and not yet read come on top).
    pub max_open_files: usize,
    /// Bytes given to the sink and not yet acknowledged, at most (one chunk more).
    pub max_in_flight_bytes: u64,
    /// Bytes read at once: the size of a chunk.
    pub read_size: usize,
    /// How long a rotated file must be quiet until its descriptor is released.
    pub rotate_quiet: Duration,
    /// The same for a deleted file, which can't be opened again.
    pub removed_quiet: Duration,
    /// How often the positions are synced to the disk, at most. What was acknowledged since then is read again when the machine
    /// crashes; they are written at once, so that a killed process loses none of it.
    pub checkpoint_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "tail".to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            link_roots: Vec::new(),
            start_at: StartAt::default(),
            exclude_older_than: None,
            ordering: None,
            on_truncate: OnTruncate::default(),
            delete_after_read: false,
            file_owner: false,
            compression: Compression::default(),
            framing: Framing::default(),
            multiline: None,
            encoding: None,
            poll_interval: Duration::from_millis(200),
            max_watches: 1 << 16,
            force_flush_period: Some(Duration::from_millis(500)),
            partial_timeout: Duration::from_secs(5),
            max_log_size: 1 << 20,
            over_limit: OverLimit::default(),
            fingerprint_size: 1000,
            max_open_files: 4096,
            max_in_flight_bytes: 8 << 20,
            read_size: 256 << 10,
            rotate_quiet: Duration::from_secs(5),
            removed_quiet: Duration::from_secs(60),
            checkpoint_interval: Duration::from_secs(1),
        }
    }
}
