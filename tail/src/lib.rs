//! The file-tailing engine.
//!
//! It follows log files through everything that happens to log files, and loses no line: the position of a file is
//! remembered only after the receiver of its lines has said that they are safe. It knows nothing of OTLP; whoever uses it
//! implements [`Sink`].
//!
//! **One thread, no runtime.** inotify wakes it when something is written; a look at everything every few seconds is what is relied on. A turn takes acknowledgements, looks at the directories, and reads one chunk (256 KiB) of
//! each stream after the other. Lines are slices of the one read buffer; nothing is allocated per line. What was given to the sink and is not
//! acknowledged is bounded in bytes: at the bound reading stops, while discovery goes on and keeps descriptors of what is rotated meanwhile.
//!
//! **A stream is a path, its files are generations.** Which file is which is told by device and inode, the hash of the first
//! bytes, and the hash of the bytes before the position. A rotated generation is found by its inode under its new name, one
//! that came and went between two looks by its name beside the path. Generations are read oldest first; a younger one waits
//! until the older is at its end. A deleted one is read to its end through its descriptor.
//!
//! **Restarted containers** go on in a log of their own (`0.log`, `1.log`, …), each of which is a stream. The first line of one waits until its
//! elders in the directory are read to their ends; for one that isn't read any further it waits five seconds at most.
//!
//! **What was there before** is begun where [`StartAt`] says. A container's log begins with its oldest rotated generation; of another log, whose
//! rotated files may go back for years, only those count that were rotated since the engine runs, or ran before.
//!
//! **Commits.** Each chunk has a [`Ticket`]. A stream's positions move over the longest run of acknowledged
//! chunks, and never beyond the beginning of a container's partial line whose end is not there yet, nor of a line that is
//! being truncated. All positions of all streams are saved as one checkpoint, so a line that spans two
//! generations is committed in both or in neither.
//!
//! **Compressed generations.** Their offsets are those of the text, so a generation that is compressed while unread, or while nobody
//! runs, is gone on with in the `.gz`: its first bytes and those before the position tell that it is the same.
//!
//! What it can't do: read what was truncated before it was read (copytruncate; it is counted, and when a copy lies beside the file
//! the lines are read from there); read what is compressed with anything but gzip.
//!
//! ```no_run
//! use std::sync::Arc;
//! use corten_tail::{Record, Settings, Sink, Source, Tailer, Ticket};
//!
//! struct Print;
//! impl Sink for Print {
//!     fn record(&mut self, source: &Source, record: &Record<'_>) {
//!         println!("{}: {}", source.name, String::from_utf8_lossy(record.body));
//!     }
//!     fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
//!         ticket.delivered();
//!     }
//!     fn flush(&mut self) {}
//! }
//!
//! let settings = Settings { include: vec!["/var/log/*.log".into()], ..Settings::default() };
//! let tailer = Tailer::start(settings, None, Print)?;
//! tailer.stop(std::time::Duration::ZERO);
//! tailer.join();
//! # Ok::<(), corten_tail::StartError>(())
//! ```

mod beneath;
pub mod container;
mod discovery;
mod encoding;
mod engine;
mod frame;
mod identity;
mod multiline;
mod opened;
mod ordering;
mod owner;
mod pattern;
mod positions;
mod rotation;
mod settings;
mod sink;
mod stats;
mod tailer;
#[doc(hidden)]
pub mod testing;
mod text;
mod watch;

pub use encoding::Encoding;
pub use frame::OverLimit;
pub use multiline::Multiline;
pub use ordering::{Ordering, SortBy, SortKind};
pub use pattern::PatternError;
pub use settings::{Compression, Framing, OnTruncate, Settings, StartAt};
pub use sink::{Completeness, FileOwner, Record, Sink, Source, Ticket, Weight};
pub use stats::Stats;
pub use tailer::{StartError, Tailer};

/// Says whether a glob can be read, before an engine is given it.
pub fn check_pattern(glob: &str) -> Result<(), PatternError> {
    pattern::Pattern::parse(glob).map(drop)
}
