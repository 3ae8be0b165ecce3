//! A file system in memory that fails and crashes as told.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use corten_storage::file::{File, Fs, Lock, LockError, Open};
use parking_lot::Mutex;

/// What goes wrong at one of the next operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write stores half and then reports a full disk; cutting the file fails too.
    Full,
    /// A sync fails, and what was not synced is gone.
    Sync,
    /// Anything that opens or creates fails.
    Open,
    /// A read fails.
    Read,
}

#[derive(Default)]
struct Disk {
    names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    synced_names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    removed: Vec<Weak<Mutex<Node>>>,
    fault: Option<Fault>,
    cut_fails: bool,
    held: bool,
}

#[derive(Default)]
struct Node {
    current: Vec<u8>,
    synced: Vec<u8>,
}

/// The file system; clones are the same.
#[derive(Clone, Default)]
pub(super) struct ModelFs(Arc<Mutex<Disk>>);

impl ModelFs {
    pub(super) fn fail_next(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    pub(super) fn heal(&self) {
        let mut disk = self.0.lock();
        disk.fault = None;
        disk.cut_fails = false;
    }

    /// The power goes: of what was not synced, `chance` says what stays.
    pub(super) fn crash(&self, mut chance: impl FnMut(usize) -> usize) {
        let mut disk = self.0.lock();
        disk.held = false;
        let mut names = disk.synced_names.clone();
        for (path, node) in &disk.names {
            if !names.contains_key(path) && chance(2) == 0 {
                names.insert(path.clone(), Arc::clone(node));
            }
        }
        let current = &disk.names;
        names.retain(|path, _| current.contains_key(path) || chance(2) == 0);
        for node in names.values() {
            let mut node = node.lock();
            let mut survivor = node.synced.clone();
            if node.current.len() > survivor.len() {
                let extra = node.current.split_off(survivor.len());
                let stays = chance(extra.len() + 1);
                survivor.extend_from_slice(&extra[..stays]);
                if chance(4) == 0 {
                    survivor.resize(survivor.len() + chance(100), 0);
                }
            }
            node.current = survivor.clone();
            node.synced = survivor;
        }
        disk.names = names.clone();
        disk.synced_names = names;
    }

    /// The process goes, the machine stays.
    pub(super) fn let_go(&self) {
        self.0.lock().held = false;
    }

    /// Changes the bytes of one file behind everybody's back.
    pub(super) fn damage(&self, suffix: &str, pick: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let disk = self.0.lock();
        let files: Vec<_> = disk
            .names
            .iter()
            .filter(|(path, _)| path.to_string_lossy().ends_with(suffix))
            .collect();
        if let Some((_, node)) = files.get(pick % files.len().max(1)) {
            let mut node = node.lock();
            let mut bytes = node.current.clone();
            change(&mut bytes);
            node.current.clone_from(&bytes);
            node.synced = bytes;
        }
    }

    pub(super) fn contents(&self, suffix: &str) -> Vec<Vec<u8>> {
        let disk = self.0.lock();
        disk.names
            .iter()
            .filter(|(path, _)| path.to_string_lossy().ends_with(suffix))
            .map(|(_, node)| node.lock().current.clone())
            .collect()
    }

    /// Files without a name that somebody still has open: they take room.
    pub(super) fn open_without_name(&self) -> usize {
        let mut disk = self.0.lock();
        disk.synced_names = disk.names.clone();
        let removed = disk.removed.iter();
        removed.filter(|node| node.strong_count() > 0).count()
    }

    fn fault(&self, fault: Fault) -> bool {
        let mut disk = self.0.lock();
        let hit = disk.fault == Some(fault);
        if hit {
            disk.fault = None;
            disk.cut_fails = fault == Fault::Full;
        }
        hit
    }
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Fs for ModelFs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        if self.fault(Fault::Open) {
            return Err(io::Error::other("scripted: open"));
        }
        let mut disk = self.0.lock();
        let known = disk.names.get(path).cloned();
        let node = match (known, how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), _) => node,
            (None, Open::Read | Open::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let node = Arc::default();
                disk.names.insert(path.to_owned(), Arc::clone(&node));
                node
            }
        };
        Ok(Arc::new(ModelFile {
            fs: self.clone(),
            node,
        }))
    }

    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.synced_names = disk.names.clone();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.0.lock();
        let inside = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside
            .filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        let node = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        let removed = disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.removed.push(Arc::downgrade(&removed));
        Ok(())
    }

    fn lock(&self, _: &Path, owner: &str) -> Result<Box<dyn Lock>, LockError> {
        let mut disk = self.0.lock();
        if std::mem::replace(&mut disk.held, true) {
            return Err(LockError::Held(owner.to_owned()));
        }
        Ok(Box::new(Held))
    }
}

struct Held;

impl Lock for Held {}

struct ModelFile {
    fs: ModelFs,
    node: Arc<Mutex<Node>>,
}

impl File for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.fs.fault(Fault::Read) {
            return Err(io::Error::other("scripted: read"));
        }
        let node = self.node.lock();
        let from = node.current.get(usize::try_from(offset).unwrap()..);
        let from = from.unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let full = self.fs.fault(Fault::Full);
        let mut node = self.node.lock();
        let offset = usize::try_from(offset).unwrap();
        let bytes = if full {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        if node.current.len() < offset + bytes.len() {
            node.current.resize(offset + bytes.len(), 0);
        }
        node.current[offset..offset + bytes.len()].copy_from_slice(bytes);
        if full {
            Err(no_space())
        } else {
            Ok(bytes.len())
        }
    }

    fn sync(&self) -> io::Result<()> {
        let failed = self.fs.fault(Fault::Sync);
        let mut node = self.node.lock();
        if failed {
            node.current = node.synced.clone();
            return Err(io::Error::other("scripted: sync"));
        }
        node.synced = node.current.clone();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.node.lock().current.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        if std::mem::take(&mut self.fs.0.lock().cut_fails) {
            return Err(no_space());
        }
        let size = usize::try_from(size).unwrap();
        self.node.lock().current.resize(size, 0);
        Ok(())
    }
}
