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
    /// A write stores half and says so.
    Short,
    /// A sync fails, and what was not synced is gone.
    Sync,
    /// Anything that opens or creates fails.
    Open,
    /// A read fails.
    Read,
    /// This and everything after it fails, and changes nothing, until the [crash](ModelFs::crash).
    Power,
}

#[derive(Default)]
struct Disk {
    names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    synced_names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    removed: Vec<Weak<Mutex<Node>>>,
    /// Since the directory was synced. A rename happens whole or not at all.
    renamed: Vec<(PathBuf, PathBuf)>,
    /// After so many operations the next one of its kind fails.
    faults: Vec<(usize, Fault)>,
    out: bool,
    lies: bool,
    lied: bool,
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
        self.fail_in(0, fault);
    }

    /// After `count` more operations.
    pub(super) fn fail_in(&self, count: usize, fault: Fault) {
        self.0.lock().faults.push((count, fault));
    }

    /// From now on a sync says that it is done and does nothing, or does it again.
    pub(super) fn lie(&self, lies: bool) {
        self.0.lock().lies = lies;
    }

    /// Whether it ever lied since the last crash.
    pub(super) fn has_lied(&self) -> bool {
        self.0.lock().lied
    }

    /// Whether the power is gone.
    pub(super) fn is_out(&self) -> bool {
        self.0.lock().out
    }

    pub(super) fn heal(&self) {
        let mut disk = self.0.lock();
        disk.faults.clear();
        disk.out = false;
        disk.lies = false;
        disk.cut_fails = false;
    }

    /// The power goes: of what was not synced, `chance` says what stays.
    pub(super) fn crash(&self, mut chance: impl FnMut(usize) -> usize) {
        let mut disk = self.0.lock();
        disk.held = false;
        disk.out = false;
        disk.lied = false;
        let mut names = disk.synced_names.clone();
        for (path, node) in &disk.names {
            if !names.contains_key(path) && chance(2) == 0 {
                names.insert(path.clone(), Arc::clone(node));
            }
        }
        let current = &disk.names;
        names.retain(|path, _| current.contains_key(path) || chance(2) == 0);
        for (from, to) in std::mem::take(&mut disk.renamed) {
            let node = disk.names.get(&to).cloned();
            let node = node.or_else(|| disk.synced_names.get(&from).cloned());
            let stays = chance(2) == 0;
            let (there, gone) = if stays { (to, from) } else { (from, to) };
            names.remove(&gone);
            names.extend(node.map(|node| (there, node)));
        }
        for node in names.values() {
            let mut node = node.lock();
            let mut survivor = node.synced.clone();
            // Of what was written over something else, the beginning may have come through.
            let both = survivor.len().min(node.current.len());
            let over = chance(both + 1);
            survivor[..over].copy_from_slice(&node.current[..over]);
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

    /// One operation: whether it is to fail as `fault` says.
    fn operation(&self, fault: Fault) -> io::Result<bool> {
        let mut disk = self.0.lock();
        let due = |armed: &(usize, Fault), fault| armed.0 == 0 && armed.1 == fault;
        if disk.faults.iter().any(|armed| due(armed, Fault::Power)) {
            disk.out = true;
            disk.faults.clear();
        }
        if disk.out {
            return Err(io::Error::other("scripted: the power is gone"));
        }
        let hit = disk.faults.iter().position(|armed| due(armed, fault));
        if let Some(hit) = hit {
            disk.faults.remove(hit);
            disk.cut_fails = fault == Fault::Full;
        }
        for (count, _) in &mut disk.faults {
            *count = count.saturating_sub(1);
        }
        Ok(hit.is_some())
    }
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Fs for ModelFs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        if self.operation(Fault::Open)? {
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
        if self.operation(Fault::Sync)? {
            return Err(io::Error::other("scripted: sync of the directory"));
        }
        let mut disk = self.0.lock();
        disk.synced_names = disk.names.clone();
        disk.renamed.clear();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.operation(Fault::Power)?;
        let disk = self.0.lock();
        let inside = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside
            .filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation(Fault::Power)?;
        let mut disk = self.0.lock();
        let node = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), node);
        disk.renamed.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operation(Fault::Power)?;
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
        if self.fs.operation(Fault::Read)? {
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
        let full = self.fs.operation(Fault::Full)?;
        let short = !full && self.fs.operation(Fault::Short)?;
        let mut node = self.node.lock();
        let offset = usize::try_from(offset).unwrap();
        let bytes = if full || (short && bytes.len() > 1) {
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
        let failed = self.fs.operation(Fault::Sync)?;
        {
            let mut disk = self.fs.0.lock();
            if disk.lies && !failed {
                disk.lied = true;
                return Ok(());
            }
        }
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
        self.fs.operation(Fault::Power)?;
        if std::mem::take(&mut self.fs.0.lock().cut_fails) {
            return Err(no_space());
        }
        let size = usize::try_from(size).unwrap();
        self.node.lock().current.resize(size, 0);
        Ok(())
    }
}
