//! What Corten keeps on disk, and how it survives damage.
//!
//! Two things are kept: data that waits for a sink (the disk queue of `corten-delivery`) and how far
//! each file has been delivered (the checkpoints of `corten-tail`). Both are written in **one record
//! layout** ([`record`]): every record carries its own checksum, so whatever happens to a file (a
//! torn write, a flipped bit, a page of zeros) a reader finds the next intact record and says exactly
//! how many bytes it skipped. Nothing here ever turns damage into an error that stops a start.
//!
//! - [`record`]: the layout, written by [`write_record`], read from memory by [`Records`] and from a file
//!   by [`Reader`] in bounded buffers;
//! - [`file`]: the seam to the file system ([`Fs`], [`File`]), small enough that a test can put one in that fails on purpose;
//! - [`Directory`]: a directory of one component, private (0700) and locked;
//! - [`Checkpoint`]: a small state, replaced again and again, in two generations.
//!
//! ```
//! use corten_storage::{Item, Records, write_record};
//!
//! let mut bytes = Vec::new();
//! write_record(&mut bytes, 1, b"first").unwrap();
//! write_record(&mut bytes, 2, b"second").unwrap();
//! bytes[26] ^= 1; // the first payload is damaged on disk
//!
//! let mut intact = Vec::new();
//! for item in Records::new(&bytes) {
//!     match item {
//!         Item::Record(record) => intact.push(record.payload),
//!         Item::Damage(damage) => assert_eq!(damage.len, 29),
//!     }
//! }
//! assert_eq!(intact, [b"second"]);
//! ```

pub mod checkpoint;
pub mod directory;
pub mod file;
pub mod reader;
pub mod record;

pub use checkpoint::{Checkpoint, Loaded, Outcome};
pub use directory::{Directory, DirectoryError};
pub use file::{File, Fs, OsFs};
pub use reader::Reader;
pub use record::{Damage, Item, Reason, Record, Records, TooLarge, header, write_record};
