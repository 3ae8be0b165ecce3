//! PEM text from files or settings, and when files changed.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use corten_config::types::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// PEM text, by the setting that says where it is.
pub(super) enum Pem<'a> {
    File(&'a PathBuf),
    Text(&'static str, &'a Secret),
}

impl<'a> Pem<'a> {
    /// The one of two settings that is written; a text is called by its setting in messages.
    pub(super) fn pick(
        file: &'a Option<PathBuf>,
        text_setting: &'static str,
        text: &'a Option<Secret>,
    ) -> Option<Self> {
        match (file, text) {
            (Some(file), _) if !file.as_os_str().is_empty() => Some(Self::File(file)),
            (_, Some(text)) if !text.is_empty() => Some(Self::Text(text_setting, text)),
            _ => None,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(setting, _) => (*setting).to_owned(),
        }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::Text(_, text) => Ok(text.expose().as_bytes().to_vec()),
            Self::File(path) => std::fs::read(path).map_err(|source| TlsError::Unreadable {
                path: self.place(),
                source,
            }),
        }
    }

    fn wrong(&self, expected: &'static str, problem: impl ToString) -> TlsError {
        TlsError::Pem {
            place: self.place(),
            expected,
            problem: problem.to_string(),
        }
    }

    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.wrong("a certificate", error))?;
        if certificates.is_empty() {
            return Err(self.wrong("a certificate", "there is none"));
        }
        Ok(certificates)
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?)
            .map_err(|error| self.wrong("a private key", error))
    }
}

/// When files were last changed, and when that was last looked at.
pub(super) struct Stamps {
    files: Vec<(PathBuf, Option<Stamp>)>,
    looked: Instant,
}

/// How often files are looked at where the settings do not say.
const LOOK: Duration = Duration::from_secs(10);

impl Stamps {
    pub(super) fn of(files: Vec<PathBuf>) -> Self {
        let files = files
            .into_iter()
            .map(|path| {
                let changed = stamp(&path);
                (path, changed)
            })
            .collect();
        Self {
            files,
            looked: Instant::now(),
        }
    }

    /// The new state when some file changed. Looks at most once an `interval`.
    pub(super) fn changed(&mut self, interval: Option<Duration>) -> Option<Self> {
        if self.files.is_empty() || self.looked.elapsed() < interval.unwrap_or(LOOK) {
            return None;
        }
        self.looked = Instant::now();
        let same = self.files.iter().all(|(path, known)| stamp(path) == *known);
        (!same).then(|| Self::of(self.files.iter().map(|(path, _)| path.clone()).collect()))
    }
}

/// What tells one state of a file from the next: tools that rotate keep times or lengths, but not both and the inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    len: u64,
    inode: u64,
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok()?,
        len: metadata.len(),
        inode: metadata.ino(),
    })
}
