//! Whether a file has what another one has: the same file under another name or number, its copy, or what it was compressed to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::Engine;
use super::stream::{Generation, Stream, Twin};
use crate::identity::{Fingerprint, Position};
use crate::opened::{Opened, ReadAt};
use crate::positions::State;
use crate::rotation::{is_rotation, unpacked};
use crate::settings::Compression;
use crate::sink::Sink;

impl<S: Sink> Engine<S> {
    /// The file that has what another one had: its copy, made before that was truncated, or what it was compressed to. `name` is what
    /// the other one was called last.
    pub(super) fn find_copy(
        &mut self,
        stream: &mut Stream,
        fingerprint: Fingerprint,
        at: Position,
        name: Option<&OsStr>,
    ) -> Option<Twin> {
        if fingerprint.len == 0 {
            return None;
        }
        let mut names: Vec<OsString> = fs::read_dir(&stream.directory)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .filter(|name| is_rotation(&stream.name, name))
            .collect();
        // Most likely the one that only has the ending more.
        names.sort_unstable_by(|a, b| {
            let other = |found: &OsStr| name.is_none() || unpacked(found) != name;
            (other(a), a).cmp(&(other(b), b))
        });
        for found in names {
            // Before anything was read of it the beginning alone would have to tell, and many begin alike. What isn't taken here is
            // read as something new.
            if at.offset == 0 && (name.is_none() || unpacked(&found) != name) {
                continue;
            }
            let packed = self.is_packed(&found, false);
            let path = stream.directory.join(found);
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            let inode = (metadata.dev(), metadata.ino());
            if !metadata.is_file() || (!packed && metadata.size() < at.offset) {
                continue;
            }
            let own = stream
                .generations
                .iter()
                .position(|known| known.inode == inode);
            let taken = match own {
                Some(index) => stream
                    .generations
                    .get(index)
                    .is_none_or(|known| !known.ignored),
                None => self.inodes.contains_key(&inode),
            };
            if taken {
                continue;
            }
            let Ok(mut file) = self.open_file(&path, inode, packed) else {
                continue;
            };
            if matches(&mut file, fingerprint, at).unwrap_or(false) {
                if let Some(index) = own {
                    stream.generations.remove(index);
                }
                file.rest();
                return Some(Twin { file, inode, path });
            }
        }
        None
    }

    /// Whether one of the rotated files that are not known yet, or new, may be what a file was that is gone unread.
    pub(super) fn may_be_new(&self, stream: &Stream, fingerprint: Fingerprint) -> bool {
        let names = fs::read_dir(&stream.directory).into_iter().flatten();
        names
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .filter(|name| is_rotation(&stream.name, name))
            .any(|name| {
                let path = stream.directory.join(&name);
                self.discovery.roots.open(&path).is_ok_and(|file| {
                    let mut file = Opened::new(file, self.is_packed(&name, false));
                    fingerprint.len > 0 && fingerprint.holds_in(&mut file).unwrap_or(false)
                })
            })
    }

    /// Of which generation a file that appeared is a copy, or what that was compressed to, and up to where. Files may begin alike, so
    /// that alone is not enough: better lines twice than never.
    pub(super) fn original(
        &mut self,
        stream: &mut Stream,
        name: &OsStr,
        file: &mut Opened,
    ) -> Option<(u64, u64)> {
        let plain = unpacked(name);
        let size = self.settings.fingerprint_size;
        for known in stream.generations.iter_mut().filter(|known| !known.packed) {
            let end = if let Some(open) = &mut known.file {
                begins_with(open, file, size).unwrap_or(None)
            } else if plain.is_some() && known.fingerprint.len > 0 {
                let named = known.path.file_name() == plain;
                ((named || known.read.offset > 0) && is_same(known, file)).then_some(u64::MAX)
            } else {
                None
            };
            let Some(end) = end else { continue };
            if known.file.is_none() && !known.drained {
                // It may have grown before it was compressed: that is looked for, here or there.
                known.size = known.size.max(known.read.offset + 1);
            }
            if let Some(plain) = plain.filter(|_| known.removed) {
                // By that name it was compressed, and by that it is found again.
                known.path = stream.directory.join(plain);
            }
            return Some((known.id, end));
        }
        None
    }

    /// Whether a generation's file has what was read of it.
    pub(super) fn still_holds(&self, generation: &mut Generation) -> bool {
        let (fingerprint, at) = (generation.fingerprint, generation.read);
        match &mut generation.file {
            Some(file) => matches(file, fingerprint, at).unwrap_or(true),
            None => self
                .discovery
                .roots
                .open(&generation.path)
                .is_ok_and(|file| is_same(generation, &mut Opened::new(file, generation.packed))),
        }
    }

    /// Whether a file is compressed; `matched` says whether the settings ask for it or it only lies beside such files.
    pub(super) fn is_packed(&self, name: &OsStr, matched: bool) -> bool {
        match self.settings.compression {
            Compression::Gzip => true,
            Compression::None if matched => false,
            Compression::None | Compression::Auto => unpacked(name).is_some(),
        }
    }
}

/// Whether a file is the generation.
pub(super) fn is_same(generation: &Generation, file: &mut impl ReadAt) -> bool {
    matches(file, generation.fingerprint, generation.read).unwrap_or(false)
}

/// Whether a file of a remembered inode is the one that is remembered.
pub(super) fn is_remembered(file: &mut Opened, state: &State, size: u64) -> bool {
    // Of one that was read to its end and has not changed the beginning says enough: nothing has to be decoded.
    if state.packed > 0 && state.packed == size && state.committed.offset == state.size {
        return state.fingerprint.holds_in(file).unwrap_or(false);
    }
    matches(file, state.fingerprint, state.committed).unwrap_or(false)
}

/// Where `copy` ends, if all that it has is what `file` begins with.
fn begins_with(
    file: &mut Opened,
    copy: &mut Opened,
    fingerprint_size: u16,
) -> io::Result<Option<u64>> {
    let first = Fingerprint::read(copy, fingerprint_size)?;
    if first.len == 0 || !first.holds_in(file)? {
        return Ok(None);
    }
    let end = copy.find_end()?;
    let same = match Position::read(copy, end)? {
        Some(position) => position.holds_in(file)?,
        None => false,
    };
    Ok(same.then_some(end))
}

fn matches(file: &mut impl ReadAt, fingerprint: Fingerprint, at: Position) -> io::Result<bool> {
    Ok(fingerprint.holds_in(file)? && at.holds_in(file)?)
}
