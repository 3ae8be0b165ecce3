//! A record on its way through operators.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::value::{Map, Value};

/// A log record as operators see it: owned and easy to change. Records that need no operators never become one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When it happened, nanoseconds since 1970, if anything said so.
    pub time: Option<u64>,
    /// When it was read, nanoseconds since 1970.
    pub observed: u64,
    /// OTLP's severity number, 0 to 24.
    pub severity: i32,
    /// The source's own word for the severity; may be empty.
    pub severity_text: String,
    /// The text of the line, or what operators made of it.
    pub body: Value,
    /// Its attributes.
    pub attributes: Map,
    /// The attributes of its resource, shared with the other records of the log until one changes them.
    pub resource: Arc<Map>,
    /// The name of its scope; may be empty.
    pub scope_name: String,
    /// The trace it belongs to: 16 bytes or none.
    pub trace_id: Vec<u8>,
    /// The span it belongs to: 8 bytes or none.
    pub span_id: Vec<u8>,
    /// The W3C trace flags.
    pub flags: u32,
    /// Which log it is of, for what nothing in the record tells: distinguishes the logs of one receiver.
    pub log: u64,
    /// What it was made from.
    pub origins: Origins,
}

impl Entry {
    /// An entry whose body is `text`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            body: Value::Str(text.into()),
            ..Self::default()
        }
    }
}

/// What records were read from, as much of it as is acknowledged at once: a chunk of a file.
pub trait Origin: Send + Sync + fmt::Debug {
    /// A record of it is lost: it has to be read again.
    fn lost(&self);
}

/// The origins of an entry.
///
/// Dropped, they hear that the entry is lost; so whatever takes an entry out of the chain on purpose has to
/// [settle](Self::settle) them, and what forgets to shows itself as lines that are read again, never as lines that are gone.
#[derive(Default)]
pub struct Origins(SmallVec<[Arc<dyn Origin>; 1]>);

impl Origins {
    /// One origin.
    #[must_use]
    pub fn of(origin: Arc<dyn Origin>) -> Self {
        Self(SmallVec::from_elem(origin, 1))
    }

    /// Adds those of another entry that became part of this one. The same one is kept once where it repeats.
    pub fn join(&mut self, mut other: Self) {
        for origin in other.0.drain(..) {
            // Entries come chunk by chunk: what repeats, repeats at the end.
            let known = self
                .0
                .iter()
                .rev()
                .take(4)
                .any(|known| Arc::ptr_eq(known, &origin));
            if !known {
                self.0.push(origin);
            }
        }
    }

    /// The entry is done with: delivered, or dropped because the user wants it so.
    pub fn settle(mut self) {
        self.0.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody wants to hear.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Origins {
    fn drop(&mut self) {
        for origin in &self.0 {
            origin.lost();
        }
    }
}

/// The copy has to be settled as well.
impl Clone for Origins {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} origins", self.0.len())
    }
}

/// What an entry was made from is not part of what it says.
impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
