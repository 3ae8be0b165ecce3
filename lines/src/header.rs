//! Lines at the beginning of a file that describe the others, such as `#Fields: date time cs-uri`.
//!
//! They make no records. Operators read them, and the attributes that come of it are those of every record of the file. A file is read
//! from its beginning, and its generations one after the other, so the header is met before what it describes; only after a restart it
//! has to be looked up at the path. That is done for regular files whose path has no symbolic link: what somebody plants in a folder of logs is
//! neither waited for nor shown.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use corten_config::types::Regex;
use corten_operators::{Chain, Entry, Map};
use corten_tail::Source;
use rustix::fs::{Mode, OFlags, ResolveFlags};

/// What of a file is looked at for its header, bytes.
const LONGEST: u64 = 64 << 10;
/// Headers that are remembered; then all are forgotten, and looked up again.
const MOST: usize = 4096;

/// How headers are told and read.
#[derive(Debug)]
pub struct Header {
    pattern: Regex,
    chain: Chain,
    known: HashMap<u64, Known>,
}

/// What is known of one log.
#[derive(Debug, Default)]
struct Known {
    attributes: Map,
    /// Its end was not met yet.
    open: bool,
}

impl Header {
    /// Lines at the beginning that match `pattern` go through `chain`.
    #[must_use]
    pub fn new(pattern: Regex, chain: Chain) -> Self {
        Self {
            pattern,
            chain,
            known: HashMap::new(),
        }
    }

    /// The attributes of a record that begins at `offset`; `None` when it is a line of the header itself.
    pub(crate) fn attributes(&mut self, source: &Source, offset: u64, text: &str) -> Option<&Map> {
        let Self {
            pattern,
            chain,
            known,
        } = self;
        if known.len() >= MOST && !known.contains_key(&source.id) {
            known.clear();
        }
        let first = offset == 0;
        if first {
            // Of another generation, perhaps.
            known.remove(&source.id);
        }
        let known = known.entry(source.id).or_insert_with(|| {
            if first {
                Known {
                    open: true,
                    ..Known::default()
                }
            } else {
                looked_up(pattern, chain, Path::new(&source.path))
            }
        });
        if known.open && pattern.is_match(text) {
            known.read(chain, text);
            return None;
        }
        known.open = false;
        Some(&known.attributes)
    }
}

impl Known {
    fn read(&mut self, chain: &mut Chain, line: &str) {
        let attributes = &mut self.attributes;
        chain.process(Entry::text(line), Instant::now(), &mut |entry| {
            attributes.merge(entry.attributes);
        });
    }
}

/// The header of the file that is at the path now.
fn looked_up(pattern: &Regex, chain: &mut Chain, path: &Path) -> Known {
    let mut known = Known::default();
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!(file = %path.display(), %error, "the header can't be read");
    }
    for line in String::from_utf8_lossy(&bytes).lines() {
        if !pattern.is_match(line) {
            break;
        }
        known.read(chain, line.trim_end());
    }
    known
}

/// Opens a regular file, following no link and waiting for nobody.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::openat2(
        rustix::fs::CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )?;
    let file = File::from(opened);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_regular_files_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (plain, link, pipe) = (root.join("plain"), root.join("link"), root.join("pipe"));
        fs::write(&plain, "#Fields: a\nx\n").unwrap();
        std::os::unix::fs::symlink(&plain, &link).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(open(&plain).is_ok());
        // Neither is waited for.
        for other in [&link, &pipe, &root] {
            assert!(open(other).is_err(), "{}", other.display());
        }
    }
}
