//! What is known of the log: its files, the cursor, and what has been read and is not done.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::Segment;

pub(super) struct State {
    /// Oldest first; all but the last are closed.
    pub(super) files: VecDeque<Arc<Segment>>,
    /// Whether the last one is closed too.
    pub(super) last_closed: bool,
    /// Whether bytes are on their way into the last one, which then must not be let go.
    pub(super) writing: bool,
    /// Done with, not yet unlinked.
    pub(super) finished: Vec<Arc<Segment>>,
    pub(super) next_sequence: u64,
    pub(super) cursor: Cursor,
    pub(super) saved: Option<Cursor>,
    /// The next record that reading gives, as far as that is known.
    pub(super) next_read: u64,
    /// Read and not yet behind the cursor.
    pub(super) outstanding: VecDeque<Outstanding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// Everything below is done.
    pub(super) sequence: u64,
    /// The file (its first number) and the offset in it that this is at: a hint.
    pub(super) file: u64,
    pub(super) offset: u64,
}

pub(super) struct Outstanding {
    pub(super) sequence: u64,
    pub(super) file: u64,
    pub(super) end: u64,
    pub(super) done: bool,
}

impl Cursor {
    pub(super) const VERSION: u8 = 1;

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        for number in [self.sequence, self.file, self.offset] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (file, rest) = rest.split_first_chunk::<8>()?;
        let (offset, _) = rest.split_first_chunk::<8>()?;
        (version == Self::VERSION).then(|| Self {
            sequence: u64::from_le_bytes(*sequence),
            file: u64::from_le_bytes(*file),
            offset: u64::from_le_bytes(*offset),
        })
    }
}

impl State {
    pub(super) fn file(&self, first: u64) -> Option<&Arc<Segment>> {
        self.files.iter().find(|file| file.first == first)
    }

    /// Moves the cursor over what is done, and files that are done to `finished`.
    pub(super) fn advance(&mut self) {
        while let Some(front) = self.outstanding.front().filter(|front| front.done) {
            self.cursor = Cursor {
                sequence: self.cursor.sequence.max(front.sequence + 1),
                file: front.file,
                offset: front.end,
            };
            self.outstanding.pop_front();
        }
        loop {
            let closed = self.files.len() > 1 || self.last_closed;
            let Some(head) = self.files.front() else {
                break;
            };
            let passed = self.cursor.file > head.first;
            let done = self.cursor.file == head.first && self.cursor.offset >= head.len();
            if !closed || !(passed || done) {
                break;
            }
            self.finished.extend(self.files.pop_front());
            if passed {
                continue;
            }
            self.cursor.offset = 0;
            match self.files.front() {
                Some(next) => self.cursor.file = next.first,
                None => {
                    // Saved so that these numbers aren't used again after a restart.
                    self.cursor.file = self.next_sequence;
                    self.cursor.sequence = self.next_sequence;
                    self.next_read = self.next_sequence;
                }
            }
        }
    }

    pub(super) fn physical(&self) -> u64 {
        let files = self.files.iter().chain(&self.finished);
        files.map(|file| file.len()).sum()
    }

    pub(super) fn pending(&self) -> u64 {
        let all: u64 = self.files.iter().map(|file| file.len()).sum();
        all.saturating_sub(self.cursor.offset)
    }
}
