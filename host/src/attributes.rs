//! A folder of small files, as sysfs has one for everything: each file holds one value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::anchor::stat;
use crate::folder::HostFolder;
use crate::scan::{valid, value};
use crate::{Buffer, HostError, HostFile};

/// Descriptors kept by one folder's reader; a node of many pods has more interfaces than a process
/// may have descriptors.
const MOST_KEPT: usize = 160;

/// The files below a folder, by their path relative to it. Descriptors of the kernel's files are
/// kept while they are asked for.
#[derive(Debug)]
pub struct Attributes {
    folder: PathBuf,
    kept: HashMap<String, (HostFile, bool)>,
    folders: HashMap<String, (HostFolder, bool)>,
    buffer: Buffer,
}

impl Attributes {
    /// The files below `folder`, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            kept: HashMap::new(),
            folders: HashMap::new(),
            buffer: Buffer::default(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names in the folder `relative`, sorted; those that are no UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn names(&mut self, relative: &str) -> Result<Vec<String>, HostError> {
        if let Some((folder, used)) = self.folders.get_mut(relative) {
            *used = true;
            return folder.names();
        }
        let path = match relative {
            "" => self.folder.clone(),
            _ => self.folder.join(relative),
        };
        let mut folder = HostFolder::new(path);
        let names = folder.names();
        if relative.is_empty() || (folder.is_kept() && self.kept() < MOST_KEPT) {
            self.folders.insert(relative.to_owned(), (folder, true));
        }
        names
    }

    fn kept(&self) -> usize {
        self.kept.len() + self.folders.len()
    }

    /// Whether there is something under this path.
    #[must_use]
    pub fn has(&self, relative: &str) -> bool {
        stat(&self.folder.join(relative)).is_ok()
    }

    /// Whether there is a folder, or a link to one, under this path.
    #[must_use]
    pub fn has_folder(&self, relative: &str) -> bool {
        stat(&self.folder.join(relative))
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir())
    }

    /// The content of a file as of now.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn bytes(&mut self, relative: &str) -> Result<&[u8], HostError> {
        // Looked up twice: a borrow that is returned from one branch would last through the other.
        if self.kept.contains_key(relative) || self.kept() < MOST_KEPT {
            if !self.kept.contains_key(relative) {
                let file = HostFile::of_short_lines(self.folder.join(relative));
                self.kept.insert(relative.to_owned(), (file, true));
            }
            let Some((file, used)) = self.kept.get_mut(relative) else {
                return Ok(&[]);
            };
            *used = true;
            return file.read();
        }
        self.buffer.read(&self.folder.join(relative))
    }

    /// The text of a file, trimmed; see [`valid`].
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn text(&mut self, relative: &str) -> Result<Cow<'_, str>, HostError> {
        self.bytes(relative).map(valid)
    }

    /// The text of a file, trimmed, empty when it cannot be read.
    pub fn text_or_empty(&mut self, relative: &str) -> String {
        self.text(relative).map(Cow::into_owned).unwrap_or_default()
    }

    /// The number in a file that holds nothing else; `None` where the file is absent, or the driver
    /// or the permissions do not let it be read.
    ///
    /// # Errors
    ///
    /// There is something else in it.
    pub fn optional(&mut self, relative: &str) -> Result<Option<f64>, HostError> {
        match self.bytes(relative) {
            Err(_) => Ok(None),
            Ok(bytes) => match value(bytes) {
                Some(value) => Ok(Some(value)),
                None => Err(self.no_number(relative)),
            },
        }
    }

    /// The number in a file that holds nothing else, `None` for whatever reason there is none.
    pub fn number(&mut self, relative: &str) -> Option<f64> {
        self.bytes(relative).ok().and_then(value)
    }

    /// The number in a file that has to be there.
    ///
    /// # Errors
    ///
    /// It cannot be read or holds something else.
    pub fn required(&mut self, relative: &str) -> Result<f64, HostError> {
        match value(self.bytes(relative)?) {
            Some(value) => Ok(value),
            None => Err(self.no_number(relative)),
        }
    }

    /// The error for a file that should hold a number.
    #[must_use]
    pub fn no_number(&self, relative: &str) -> HostError {
        HostError::read(
            self.folder.join(relative),
            io::Error::new(io::ErrorKind::InvalidData, "expected a number"),
        )
    }

    /// Closes the files and folders that nobody asked for since the last call.
    pub fn forget_unused(&mut self) {
        self.kept
            .retain(|_, (_, used)| std::mem::replace(used, false));
        self.folders
            .retain(|_, (_, used)| std::mem::replace(used, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_the_files_say_now() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let mut attributes = Attributes::new(folder.path().into());
        assert_eq!(attributes.names("").unwrap(), ["a", "b"]);
        assert!(attributes.names("c").unwrap_err().is_absent());
        assert_eq!(attributes.optional("a/size").unwrap(), None);
        std::fs::write(folder.path().join("a/size"), "-5\n").unwrap();
        assert_eq!(attributes.optional("a/size").unwrap(), Some(-5.0));
        std::fs::write(folder.path().join("a/size"), "x\n").unwrap();
        let error = attributes.optional("a/size").unwrap_err().to_string();
        assert!(error.ends_with("a/size: expected a number"), "{error}");
        assert_eq!(attributes.number("a/size"), None);
        assert_eq!(attributes.text_or_empty("a/size"), "x");
        attributes.forget_unused();
        attributes.forget_unused();
        assert!(attributes.kept.is_empty() && attributes.folders.is_empty());
    }
}
