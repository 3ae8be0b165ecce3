//! `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)): what is mounted where on the host.

use std::borrow::Cow;

use crate::scan::{cut, fields, lines, number};
use crate::{HostError, HostFile, Roots};

const FILE: &str = "mountinfo";

/// One mount. Texts that are no UTF-8 keep their form in [`mount_point`](Self::mount_point), the
/// only one that is used as a path, and show replacement characters elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The device's driver.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
    /// Where it is mounted, as the process sees it whose file this is.
    pub mount_point: Cow<'a, [u8]>,
    /// Options of this mount, separated by commas.
    pub options: Cow<'a, str>,
    /// `ext4`, `nfs4`, …
    pub fs_type: Cow<'a, str>,
    /// The device, or whatever the file system calls its source.
    pub source: Cow<'a, str>,
    /// Options of the file system, the same for all its mounts.
    pub super_options: Cow<'a, str>,
}

impl Mount<'_> {
    /// Whether nothing can be written here, by either set of options.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        [&self.options, &self.super_options]
            .into_iter()
            .any(|options| options.split(',').any(|option| option == "ro"))
    }
}

/// The mounts in the order of the file.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<Mount<'_>, HostError>> {
    lines(file)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            mount(line).ok_or_else(|| {
                HostError::malformed(
                    FILE,
                    at,
                    "a mount: six fields or more, \" - \" and three fields",
                    line,
                )
            })
        })
}

fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut parts = fields(line);
    let (major, minor) = cut(parts.nth(2)?, b':')?;
    let mount_point = parts.nth(1)?;
    let options = parts.next()?;
    // Then come optional fields, as many as there are, up to a hyphen.
    parts.find(|part| *part == b"-")?;
    let fs_type = parts.next()?;
    let source = parts.next()?;
    Some(Mount {
        major: number(major)?.try_into().ok()?,
        minor: number(minor)?.try_into().ok()?,
        mount_point: unescape(mount_point),
        options: text(options),
        fs_type: text(fs_type),
        source: text(source),
        // An empty source leaves only one field.
        super_options: text(parts.next().unwrap_or_default()),
    })
}

fn text(escaped: &[u8]) -> Cow<'_, str> {
    match unescape(escaped) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(bad) => Cow::Owned(String::from_utf8_lossy(bad.as_bytes()).into_owned()),
        },
    }
}

/// Undoes the kernel's `\040` for blanks, tabs, line ends, backslashes and hashes.
fn unescape(escaped: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', escaped).is_none() {
        return Cow::Borrowed(escaped);
    }
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = cut(rest, b'\\') {
        plain.extend_from_slice(before);
        match octal(after) {
            Some((byte, after)) => {
                plain.push(byte);
                rest = after;
            }
            None => {
                plain.push(b'\\');
                rest = after;
            }
        }
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

fn octal(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_at_checked(3)?;
    let value = digits.iter().try_fold(0u16, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        Some(value * 8 + u16::from(digit))
    })?;
    Some((u8::try_from(value).ok()?, rest))
}

/// The host's mounts: those of process 1, or where that is forbidden the reader's own.
#[derive(Debug)]
pub struct MountInfo {
    host: HostFile,
    own: HostFile,
}

impl MountInfo {
    /// The file below these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            host: HostFile::new(roots.proc("1/mountinfo")),
            own: HostFile::new(roots.proc("self/mountinfo")),
        }
    }

    /// Its text.
    ///
    /// # Errors
    ///
    /// Neither file can be read; the error is that of the reader's own.
    pub fn read(&mut self) -> Result<&[u8], HostError> {
        match self.host.read_when_changed() {
            Ok(text) => Ok(text),
            Err(_) => self.own.read_when_changed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_are_passed_over() {
        let text = b"36 35 98:0 /mnt1 /mnt/with\\040blank rw,noatime master:1 shared:2 - ext3 /dev/root\\134x rw,errors=continue\n\
            37 35 0:5 / /proc rw - proc proc ro\n";
        let mounts: Vec<_> = parse(text).map(Result::unwrap).collect();
        assert_eq!((mounts[0].major, mounts[0].minor), (98, 0));
        assert_eq!(&*mounts[0].mount_point, b"/mnt/with blank");
        assert_eq!(
            (&*mounts[0].fs_type, &*mounts[0].source),
            ("ext3", "/dev/root\\x")
        );
        assert!(!mounts[0].is_read_only());
        assert!(mounts[1].is_read_only(), "by the file system's own options");
        assert_eq!(parse(text).count(), 2);
    }

    #[test]
    fn options_are_compared_whole() {
        let text = b"36 35 98:0 / /a rw,errors=ro-x,rose - ext3 a rw,proto\n";
        assert!(!parse(text).next().unwrap().unwrap().is_read_only());
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(&*unescape(b"a\\04"), b"a\\04");
        assert_eq!(&*unescape(b"a\\999\\"), b"a\\999\\");
        assert_eq!(&*unescape(b"\\011\\012\\134040"), b"\t\n\\040");
        assert_eq!(&*unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in [
            "36 35 98:0 /",
            "36 35 98 / /a rw - t s o",
            "36 35 98:0 / /a rw t s o",
        ] {
            assert!(parse(bad.as_bytes()).next().unwrap().is_err(), "{bad}");
        }
    }
}
