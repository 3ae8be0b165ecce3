//! A small state that is replaced again and again, and survives whatever happens to its files.
//!
//! Two files, `<name>.a` and `<name>.b`, each one record whose sequence is its generation. A [write](Checkpoint::write) goes to the
//! file that was not synced last, as often as wanted: a killed process finds it again. A [sync](Checkpoint::sync) makes it survive
//! the machine too; until then the other one still stands. A load takes the newest intact
//! generation. Damage is told by [`Outcome`], never by an error: whoever keeps the state decides what a lost one means
//! (a tailer reads its files again: duplicates, not loss).

use std::io;
use std::sync::Arc;

use crate::directory::Directory;
use crate::file::{File, Open};
use crate::reader::Reader;
use crate::record::{Item, MAX_PAYLOAD, write_record};

const SUFFIXES: [&str; 2] = [".a", ".b"];

/// What a checkpoint held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The state last saved, as far as it is intact; empty when there is none.
    pub bytes: Vec<u8>,
    /// How that came about.
    pub outcome: Outcome,
}

/// Where a loaded state comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was ever saved.
    Fresh,
    /// The newest generation.
    Current,
    /// The other generation is damaged, and was perhaps newer: the state may be one save old.
    /// A crash in the middle of a save looks like this, so it is no alarm.
    Previous {
        /// What is wrong with the other one.
        reason: String,
    },
    /// There are files, but no intact generation: the state is lost.
    Lost {
        /// What is wrong with both.
        reason: String,
    },
}

/// The store of one state. Whoever owns it saves from one place at a time.
pub struct Checkpoint {
    directory: Directory,
    names: [String; 2],
    files: [Option<Arc<dyn File>>; 2],
    generation: u64,
    /// Which of the two is written to.
    next: usize,
    /// What was written and not synced.
    unsynced: bool,
    /// The other one is known to be on the disk. After a kill it may not be.
    other_synced: bool,
    buffer: Vec<u8>,
    /// Which of the two could not be read.
    damaged: [bool; 2],
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("names", &self.names)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens the checkpoint `name` of a directory and reads what it holds. Never fails: what is wrong is in the outcome.
    #[must_use]
    pub fn open(directory: Directory, name: &str) -> (Self, Loaded) {
        let names = SUFFIXES.map(|suffix| format!("{name}{suffix}"));
        let slots = names.each_ref().map(|name| read(&directory, name));
        let generations = slots.each_ref().map(|slot| match slot {
            Slot::Intact(generation, _) => Some(*generation),
            _ => None,
        });
        let newest = match generations {
            [None, None] => None,
            [a, b] => Some(usize::from(b > a)),
        };
        let damaged = slots
            .each_ref()
            .map(|slot| matches!(slot, Slot::Damaged(_)));
        let generation = generations.into_iter().flatten().max().unwrap_or(0);
        let mut damage = Vec::new();
        let mut bytes = Vec::new();
        for (index, slot) in slots.into_iter().enumerate() {
            match slot {
                Slot::Intact(_, state) if newest == Some(index) => bytes = state,
                Slot::Intact(..) | Slot::Missing => {}
                Slot::Damaged(reason) => damage.push(reason),
            }
        }
        let outcome = match (newest, damage.is_empty()) {
            (Some(_), true) => Outcome::Current,
            (Some(_), false) => Outcome::Previous {
                reason: damage.join("; "),
            },
            (None, true) => Outcome::Fresh,
            (None, false) => Outcome::Lost {
                reason: damage.join("; "),
            },
        };
        let next = newest.map_or(0, |newest| 1 - newest);
        let checkpoint = Self {
            directory,
            names,
            files: [None, None],
            generation,
            next,
            unsynced: false,
            other_synced: newest.is_none(),
            buffer: Vec::new(),
            damaged,
        };
        (checkpoint, Loaded { bytes, outcome })
    }

    /// Removes what could not be read when it was opened, for good. Without this an error that passes would let a state
    /// come back later that is older than everything that was done meanwhile, if that was not saved.
    ///
    /// # Errors
    ///
    /// What the file system says; it may still come back.
    pub fn discard_damaged(&mut self) -> io::Result<()> {
        for (name, damaged) in self.names.iter().zip(&self.damaged) {
            if *damaged
                && let Err(error) = self.directory.remove(name)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        if self.damaged.contains(&true) {
            self.directory.sync()?;
            self.damaged = [false; 2];
        }
        Ok(())
    }

    /// Replaces the state. `Ok` means that it is on the disk; after an `Err` the state before still stands.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn save(&mut self, state: &[u8]) -> io::Result<()> {
        self.write(state)?;
        self.sync()
    }

    /// Replaces the state for whoever opens the checkpoint after this process has ended, however it ends. After a crash of the
    /// machine the last synced state stands.
    ///
    /// # Errors
    ///
    /// What the file system says; the last synced state still stands.
    pub fn write(&mut self, state: &[u8]) -> io::Result<()> {
        if !self.other_synced {
            self.file(1 - self.next)?.sync()?;
            self.other_synced = true;
        }
        let file = self.file(self.next)?;
        self.buffer.clear();
        let generation = self.generation + 1;
        write_record(&mut self.buffer, generation, state)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.unsynced = true;
        file.write_all_at(&self.buffer, 0)?;
        file.set_size(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX))?;
        self.generation = generation;
        Ok(())
    }

    /// Makes the state that was written last survive a crash of the machine.
    ///
    /// # Errors
    ///
    /// What the file system says; the last synced state still stands.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file(self.next)?.sync()?;
            self.unsynced = false;
            self.next = 1 - self.next;
        }
        Ok(())
    }

    /// Whether something was written and not synced.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    fn file(&mut self, index: usize) -> io::Result<Arc<dyn File>> {
        let (Some(name), Some(slot)) = (self.names.get(index), self.files.get_mut(index)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if let Some(file) = slot {
            return Ok(Arc::clone(file));
        }
        let file = self.directory.file(name, Open::CreateOrOpen)?;
        self.directory.sync()?;
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }
}

enum Slot {
    Missing,
    Damaged(String),
    Intact(u64, Vec<u8>),
}

fn read(directory: &Directory, name: &str) -> Slot {
    let path = directory.path().join(name);
    let file = match directory.file(name, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Slot::Missing,
        Err(error) => return Slot::Damaged(format!("{}: {error}", path.display())),
    };
    let mut reader = Reader::new(file, 0, MAX_PAYLOAD);
    match reader.next() {
        // Only at the very beginning: whatever else the file holds is left from a longer state.
        Ok(Some(Item::Record(record))) if record.offset == 0 => {
            Slot::Intact(record.sequence, record.payload.to_vec())
        }
        Ok(Some(_)) => Slot::Damaged(format!("{}: the checkpoint is damaged", path.display())),
        Ok(None) => Slot::Damaged(format!("{}: the checkpoint is empty", path.display())),
        Err(error) => Slot::Damaged(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(path: &Path) -> (Checkpoint, Loaded) {
        Checkpoint::open(Directory::open(path, "test").unwrap(), "positions")
    }

    fn saved(states: &[&[u8]]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let (mut checkpoint, loaded) = open(root.path());
        assert_eq!(
            loaded,
            Loaded {
                bytes: Vec::new(),
                outcome: Outcome::Fresh
            }
        );
        for state in states {
            checkpoint.save(state).unwrap();
        }
        root
    }

    #[test]
    fn the_last_saved_state_is_loaded() {
        for count in 1..6 {
            let states: Vec<_> = (0..count).map(|n| vec![b'x'; 100 - n * 10]).collect();
            let slices: Vec<_> = states.iter().map(Vec::as_slice).collect();
            let root = saved(&slices);
            let (mut checkpoint, loaded) = open(root.path());
            assert_eq!(loaded.bytes, states[count - 1]);
            assert_eq!(loaded.outcome, Outcome::Current);
            checkpoint.save(b"once more").unwrap();
            drop(checkpoint);
            assert_eq!(open(root.path()).1.bytes, b"once more");
        }
    }

    #[test]
    fn what_was_written_stands_and_what_was_synced_survives_its_damage() {
        let root = saved(&[b"one", b"synced"]);
        let (mut checkpoint, _) = open(root.path());
        for state in [&b"written"[..], b"again", b"and again"] {
            checkpoint.write(state).unwrap();
            assert!(checkpoint.is_unsynced());
        }
        drop(checkpoint);
        let (checkpoint, loaded) = open(root.path());
        assert_eq!(loaded.bytes, b"and again");
        drop(checkpoint);
        // A write that a crash of the machine has left in pieces.
        std::fs::write(root.path().join("positions.a"), b"torn").unwrap();
        let (mut checkpoint, loaded) = open(root.path());
        assert_eq!(loaded.bytes, b"synced");
        checkpoint.write(b"goes on").unwrap();
        checkpoint.sync().unwrap();
        assert!(!checkpoint.is_unsynced());
        drop(checkpoint);
        assert_eq!(
            std::fs::read(root.path().join("positions.b"))
                .unwrap()
                .len(),
            24 + b"synced".len(),
            "the synced one was left alone"
        );
        assert_eq!(open(root.path()).1.bytes, b"goes on");
    }

    /// Does `damage` to the newest file and wants the state before, then to both and wants the loss to be told.
    fn survives(damage: impl Fn(&mut Vec<u8>)) {
        let root = saved(&[b"older", b"newer state"]);
        let newest = root.path().join("positions.b");
        let mut bytes = std::fs::read(&newest).unwrap();
        damage(&mut bytes);
        std::fs::write(&newest, &bytes).unwrap();
        let (mut checkpoint, loaded) = open(root.path());
        assert_eq!(loaded.bytes, b"older");
        assert!(
            matches!(loaded.outcome, Outcome::Previous { .. }),
            "{:?}",
            loaded.outcome
        );
        checkpoint.save(b"goes on").unwrap();
        drop(checkpoint);
        let (checkpoint, loaded) = open(root.path());
        assert_eq!(
            loaded,
            Loaded {
                bytes: b"goes on".to_vec(),
                outcome: Outcome::Current
            }
        );
        drop(checkpoint);

        for name in ["positions.a", "positions.b"] {
            let path = root.path().join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
        }
        let (mut checkpoint, loaded) = open(root.path());
        assert_eq!(loaded.bytes, b"");
        assert!(matches!(loaded.outcome, Outcome::Lost { .. }));
        checkpoint.save(b"anew").unwrap();
        drop(checkpoint);
        assert_eq!(open(root.path()).1.bytes, b"anew");
    }

    #[test]
    fn every_flipped_byte_is_survived() {
        // The shortest of the three states bounds the positions that exist in each of them.
        for at in 0..24 + b"older".len() {
            for flip in [0x01, 0xFF] {
                survives(|bytes| bytes[at] ^= flip);
            }
        }
    }

    #[test]
    fn every_cut_is_survived() {
        for len in 0..24 + b"older".len() {
            survives(|bytes| bytes.truncate(len));
        }
    }

    #[test]
    fn zeros_and_noise_are_survived() {
        survives(|bytes| bytes.fill(0));
        survives(|bytes| bytes.fill(0xF5));
        survives(|bytes| bytes.insert(0, 0));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_a_loss_and_no_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("positions.a")).unwrap();
        let (mut checkpoint, loaded) = open(root.path());
        assert!(matches!(loaded.outcome, Outcome::Lost { .. }), "{loaded:?}");
        assert!(checkpoint.save(b"no").is_err());
    }
}
