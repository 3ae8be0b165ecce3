//! The file: whole messages or none, and a new one when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::config::{Config, Rotation};

/// How the time stands in the name of an old file.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// The file that is written to.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    rotation: Option<Rotation>,
    /// `None` after an error, opened again at the next message.
    open: Option<Open>,
    unsynced: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
    /// Not so for a pipe or a terminal: nothing can be taken back there.
    regular: bool,
}

/// What stood in the way, and at which file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl Output {
    /// Opens the file as the settings want it.
    pub(crate) fn open(config: &Config) -> Result<Self, FileError> {
        let path = config.path.clone();
        let failed = |source| FileError {
            path: path.clone(),
            source,
        };
        if config.create_directory
            && let Some(parent) = path.parent()
        {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let rotation = config.rotation.as_ref().cloned();
        let open = Open::at(&path).map_err(failed)?;
        let mut output = Self {
            path: path.clone(),
            rotation,
            open: Some(open),
            unsynced: false,
        };
        if !config.append && output.rotation.is_none() {
            output.truncate(0).map_err(failed)?;
        }
        Ok(output)
    }

    /// Appends a message. When it returns, the operating system has all of it; after an error, none of it is in
    /// the file.
    pub(crate) fn write(&mut self, message: &[u8]) -> Result<(), FileError> {
        self.try_write(message).map_err(|source| FileError {
            path: self.path.clone(),
            source,
        })
    }

    fn try_write(&mut self, message: &[u8]) -> io::Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        let open = self.open.insert(open);
        let after = open
            .len
            .saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX));
        if let Some(rotation) = &self.rotation
            && open.regular
            && open.len > 0
            && after > rotation.max_megabytes.saturating_mul(1 << 20)
        {
            let rotation = rotation.clone();
            self.rotate(&rotation)?;
        }
        let Some(open) = &mut self.open else {
            return Err(io::Error::other("the file is not open"));
        };
        if let Err(error) = open.file.write_all(message) {
            // A disk that is full takes the beginning of a message: take it back, or readers stumble over it.
            let len = open.len;
            if let Err(error) = self.truncate(len) {
                tracing::warn!(path = %self.path.display(), %error, "a message was written in part and cannot be taken back");
                self.open = None;
            }
            return Err(error);
        }
        open.len = open
            .len
            .saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX));
        self.unsynced = true;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match &mut self.open {
            Some(open) if open.regular => {
                open.file.set_len(len)?;
                open.len = len;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), FileError> {
        let Some(open) = self
            .open
            .as_ref()
            .filter(|open| open.regular && self.unsynced)
        else {
            return Ok(());
        };
        open.file.sync_data().map_err(|source| FileError {
            path: self.path.clone(),
            source,
        })?;
        self.unsynced = false;
        Ok(())
    }

    fn rotate(&mut self, rotation: &Rotation) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            open.file.sync_data()?;
        }
        fs::rename(
            &self.path,
            self.old_name(Timestamp::now(), rotation.localtime),
        )?;
        self.open = Some(Open::at(&self.path)?);
        if let Err(error) = self.prune(rotation, Timestamp::now()) {
            tracing::warn!(path = %self.path.display(), %error, "old files stay");
        }
        Ok(())
    }

    /// A name that is not taken: two files may be filled within a millisecond.
    fn old_name(&self, mut now: Timestamp, localtime: bool) -> PathBuf {
        let zone = if localtime {
            TimeZone::system()
        } else {
            TimeZone::UTC
        };
        loop {
            let stamp = now.to_zoned(zone.clone()).strftime(STAMP).to_string();
            let (stem, extension) = self.name_parts();
            let old = self
                .path
                .with_file_name(format!("{stem}-{stamp}{extension}"));
            match now.checked_add(1.millisecond()) {
                Ok(later) if old.exists() => now = later,
                _ => return old,
            }
        }
    }

    /// `traces` and `.json`.
    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let extension = match self.path.extension() {
            Some(extension) => format!(".{}", extension.to_string_lossy()),
            None => String::new(),
        };
        (text(self.path.file_stem()), extension)
    }

    /// Removes old files that are too many or too old.
    fn prune(&self, rotation: &Rotation, now: Timestamp) -> io::Result<()> {
        let mut old = self.old_files()?;
        old.sort();
        let mut remove = Vec::new();
        if rotation.max_backups > 0 && old.len() > rotation.max_backups {
            let kept = old.split_off(old.len() - rotation.max_backups);
            remove.append(&mut old);
            old = kept;
        }
        let days = i64::from(rotation.max_days);
        if days > 0
            && let Ok(oldest) = now.checked_sub((days * 24).hours())
        {
            let oldest = oldest.to_zoned(if rotation.localtime {
                TimeZone::system()
            } else {
                TimeZone::UTC
            });
            let oldest = oldest.strftime(STAMP).to_string();
            let (stem, _) = self.name_parts();
            let stamp = |path: &Path| {
                let name = path.file_name()?.to_str()?;
                Some(name.get(stem.len() + 1..)?.get(..oldest.len())? < oldest.as_str())
            };
            remove.extend(old.into_iter().filter(|path| stamp(path) == Some(true)));
        }
        for path in remove {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The files that were this one before; their names sort by time.
    fn old_files(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name_parts();
        let (prefix, length) = (format!("{stem}-"), "2006-01-02T15-04-05.000".len());
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut old = Vec::new();
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_old = name.to_str().is_some_and(|name| {
                let stamp = name
                    .strip_prefix(&prefix)
                    .and_then(|rest| rest.strip_suffix(&extension));
                stamp.is_some_and(|stamp| {
                    stamp.len() == length
                        && stamp
                            .bytes()
                            .all(|b| b.is_ascii_digit() || b"-T.".contains(&b))
                })
            });
            if is_old {
                old.push(parent.join(name));
            }
        }
        Ok(old)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            file,
            len: metadata.len(),
            regular: metadata.is_file(),
        })
    }
}

#[cfg(test)]
mod tests {
    use corten_config::types::Optional;

    use super::*;

    fn config(path: PathBuf) -> Config {
        Config {
            path,
            ..Config::default()
        }
    }

    #[test]
    fn what_is_there_is_cut_off_or_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        fs::write(&path, "old\n").unwrap();
        let mut output = Output::open(&Config {
            append: true,
            ..config(path.clone())
        })
        .unwrap();
        output.write(b"new\n").unwrap();
        output.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old\nnew\n");
        Output::open(&config(path.clone()))
            .unwrap()
            .write(b"fresh\n")
            .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"fresh\n");
    }

    #[test]
    fn a_full_file_makes_room_and_old_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        let rotation = Rotation {
            max_megabytes: 1,
            max_backups: 2,
            ..Rotation::default()
        };
        fs::write(root.path().join("x-other.json"), "not one of them").unwrap();
        let mut output = Output::open(&Config {
            rotation: Optional::On(rotation),
            ..config(path.clone())
        })
        .unwrap();
        let message = |at: u8| vec![at; 600 << 10];
        for at in 0..5 {
            output.write(&message(at)).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), message(4));
        let mut old = output.old_files().unwrap();
        old.sort();
        let contents: Vec<u8> = old.iter().map(|path| fs::read(path).unwrap()[0]).collect();
        assert_eq!(contents, [2, 3]);
        assert!(root.path().join("x-other.json").exists());
    }

    #[test]
    fn files_that_are_too_old_go() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        let output = Output::open(&config(path)).unwrap();
        for name in [
            "x-2026-01-01T00-00-00.000.json",
            "x-2026-01-09T00-00-00.000.json",
        ] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        output
            .prune(
                &Rotation {
                    max_days: 3,
                    ..Rotation::default()
                },
                now,
            )
            .unwrap();
        assert_eq!(
            output.old_files().unwrap(),
            [root.path().join("x-2026-01-09T00-00-00.000.json")]
        );
    }

    #[test]
    fn an_old_file_is_called_after_its_time() {
        let root = tempfile::tempdir().unwrap();
        let output = Output::open(&config(root.path().join("x.json"))).unwrap();
        let now: Timestamp = "2026-01-10T12:30:01.5Z".parse().unwrap();
        let name = output.old_name(now, false);
        assert_eq!(name, root.path().join("x-2026-01-10T12-30-01.500.json"));
        fs::write(&name, "").unwrap();
        assert_eq!(
            output.old_name(now, false),
            root.path().join("x-2026-01-10T12-30-01.501.json")
        );
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut output = Output::open(&config(PathBuf::from("/dev/full"))).unwrap();
        let error = output.write(b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("/dev/full: "), "{error}");
    }
}
