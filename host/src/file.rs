//! Reading the same small files again and again at little cost.
//!
//! A file of procfs or sysfs is made afresh by every read from its beginning, so a descriptor may
//! be kept and read from offset 0 each time: half the cost of opening, reading and closing. What
//! was read lies in a buffer that grows to the largest content once and stays.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::HostError;
use crate::anchor::{open_file, stat};

/// Enough for most files in one read.
const FIRST: usize = 4096;
/// The least room that a kept file has.
const LEAST: usize = 128;
/// No file of the kernel is near this; a larger one is not what the configuration believes.
const LARGEST: usize = 64 << 20;

/// Half of what the kernel makes of a file at least before it hands it out.
const HALF_PAGE: usize = 2048;

/// Which read was the last one.
#[derive(Clone, Copy, Debug)]
enum End {
    /// One that brings nothing.
    Nothing,
    /// One that brings less than there is room for.
    Short,
    /// One that brings less than half a page.
    HalfPage,
}

/// A buffer for whole files.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// Opens, reads and closes the file at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be opened or read, or is larger than 64 MiB.
    pub fn read(&mut self, path: &Path) -> Result<&[u8], HostError> {
        self.read_quietly(path)
            .map_err(|source| HostError::read(path, source))
    }

    /// The same for whoever makes no message of it: no allocation on failure either.
    pub(crate) fn read_quietly(&mut self, path: &Path) -> io::Result<&[u8]> {
        self.read_file(File::open(path)?)
    }

    pub(crate) fn read_file(&mut self, mut file: File) -> io::Result<&[u8]> {
        self.fill(End::Nothing, |_, rest| file.read(rest))?;
        Ok(self.content())
    }

    /// The same for files that the kernel writes in one go, as all of a control group are but its
    /// lists of processes: a read that leaves room in the buffer was the last one, so none is made
    /// that would only bring the end.
    pub(crate) fn read_file_at_once(&mut self, mut file: File) -> io::Result<&[u8]> {
        self.fill(End::Short, |_, rest| file.read(rest))?;
        Ok(self.content())
    }

    /// What the last successful read brought.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Gives back most of the room beyond twice of what was read: hundreds of files are kept that hold one number.
    fn fit(&mut self) {
        let room = (self.filled * 2).max(LEAST);
        if room < self.bytes.len() {
            self.bytes.truncate(room);
            self.bytes.shrink_to_fit();
        }
    }

    fn fill(
        &mut self,
        end: End,
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.filled = 0;
        loop {
            if self.filled == self.bytes.len() {
                if self.filled >= LARGEST {
                    return Err(io::Error::other(
                        "larger than 64 MiB: not a file of the kernel",
                    ));
                }
                let room = if self.filled == 0 {
                    FIRST
                } else {
                    self.filled * 2
                };
                self.bytes.resize(room, 0);
            }
            let offset = u64::try_from(self.filled).unwrap_or(u64::MAX);
            let rest = self.bytes.get_mut(self.filled..).unwrap_or_default();
            match read(offset, rest) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.filled += count;
                    let last = match end {
                        End::Nothing => false,
                        End::Short => true,
                        End::HalfPage => count < HALF_PAGE,
                    };
                    if last && self.filled < self.bytes.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.filled = 0;
                    return Err(error);
                }
            }
        }
    }
}

/// One file that is read at every collection; its descriptor is kept between them.
#[derive(Debug)]
pub struct HostFile {
    path: PathBuf,
    file: Option<File>,
    /// Whose it is, once that is known.
    owner: Option<Owner>,
    /// Whether the kernel makes it of lines that are much shorter than a page.
    short_lines: bool,
    buffer: Buffer,
    /// What was read, where that can be told apart from any later content.
    stamp: Option<Stamp>,
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    /// Seconds and nanoseconds of the last change, of the content or of anything else.
    changed: (i64, u64),
}

impl Stamp {
    /// The present one. `None` where it tells nothing: another change could come within the same tick of the clock.
    fn of(path: &Path) -> Option<Self> {
        let found = stat(path).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let settled = found.st_ctime.checked_add(2)?;
        (u64::try_from(settled).ok()? <= now.as_secs()).then_some(Self {
            device: found.st_dev,
            inode: found.st_ino,
            size: found.st_size,
            changed: (found.st_ctime, found.st_ctime_nsec),
        })
    }
}

/// Who makes a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// sysfs: made afresh by every read and told in one, as it is never longer than a page.
    Sysfs,
    /// Another file system of the kernel's: made afresh by every read. It can be no other one
    /// under its name.
    Kernel,
    /// Anybody: it may be replaced by another one of the same name.
    Anybody,
}

const SYSFS: u64 = 0x6265_6572;

impl Owner {
    fn of(opened: &impl AsFd) -> Self {
        const PROC: u64 = 0x9fa0;
        const CGROUP: u64 = 0x0027_e0eb;
        const CGROUP2: u64 = 0x6367_7270;
        match rustix::fs::fstatfs(opened).map(magic) {
            Ok(SYSFS) => Self::Sysfs,
            Ok(PROC | CGROUP | CGROUP2) => Self::Kernel,
            _ => Self::Anybody,
        }
    }
}

// The field's type is another one on other architectures.
#[expect(clippy::cast_sign_loss, reason = "a magic number, whatever its sign")]
fn magic(found: rustix::fs::StatFs) -> u64 {
    found.f_type as u64
}

/// Whether `path` is in the kernel's own sysfs, and not in a folder of files that stands for one.
#[must_use]
pub fn is_sysfs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| magic(found) == SYSFS)
}

/// The same for what was opened.
pub(crate) fn is_in_sysfs(opened: &impl AsFd) -> bool {
    Owner::of(opened) == Owner::Sysfs
}

/// Whether what was opened is in one of the kernel's own file systems.
pub(crate) fn is_of_kernel(opened: &impl AsFd) -> bool {
    Owner::of(opened) != Owner::Anybody
}

/// Whether the content has changed since the last question; also where that cannot be told.
fn has_changed(file: &File) -> bool {
    let mut asked = [PollFd::new(file, PollFlags::PRI)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let told = poll(&mut asked, Some(&at_once));
    let [asked] = asked;
    told.is_err() || asked.revents().intersects(PollFlags::PRI | PollFlags::ERR)
}

/// Whether a kept descriptor that says so has to be replaced: its device or process is gone, and
/// another one may have come under the name. Any other refusal is the file's answer, such as `EINVAL`
/// for the speed of an interface without a cable.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error().is_none_or(|code| {
        let code = Errno::from_raw_os_error(code);
        [
            Errno::NODEV,
            Errno::SRCH,
            Errno::NOENT,
            Errno::BADF,
            Errno::IO,
            Errno::NXIO,
        ]
        .contains(&code)
    })
}

impl HostFile {
    /// The file at `path`, which need not exist yet: it is opened by the first read.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            owner: None,
            short_lines: false,
            buffer: Buffer::default(),
            stamp: None,
        }
    }

    /// The file at `path`, whose lines are much shorter than half a page. The kernel hands out whole lines, as many as its
    /// own page takes: a read that brings less than half of that was the last one. What the kernel writes as a whole
    /// (`stat`, `netstat`) may have lines of any length: it comes in one read if there is room.
    #[must_use]
    pub fn of_short_lines(path: PathBuf) -> Self {
        Self {
            short_lines: true,
            ..Self::new(path)
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the last successful read brought; empty after one that failed.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.buffer.content()
    }

    /// Its content as of now.
    ///
    /// # Errors
    ///
    /// It cannot be opened or read. A kept descriptor that has gone bad (a device that was
    /// unplugged and came back) is replaced once before that is said.
    pub fn read(&mut self) -> Result<&[u8], HostError> {
        let end = self.end();
        if let Some(file) = &self.file {
            let read = |offset, rest: &mut [u8]| file.read_at(rest, offset);
            match self.buffer.fill(end, read) {
                Ok(()) => return Ok(self.buffer.content()),
                Err(error) if is_gone(&error) => self.file = None,
                Err(source) => return Err(HostError::read(&self.path, source)),
            }
        }
        match self.reopen() {
            Ok(()) => Ok(self.buffer.content()),
            Err(source) => {
                self.buffer.filled = 0;
                Err(HostError::read(&self.path, source))
            }
        }
    }

    /// The same for a file of the kernel whose descriptor tells of changes, as that of `mountinfo` does
    /// (proc_pid_mountinfo(5)), or for one on a disk. It is read again only when there was one since the last reading.
    ///
    /// # Errors
    ///
    /// Like [`read`](Self::read).
    pub fn read_when_changed(&mut self) -> Result<&[u8], HostError> {
        // From before the reading: what changes meanwhile is seen next time.
        let stamp = match &self.file {
            Some(_) => None,
            None => Stamp::of(&self.path),
        };
        let same = match &self.file {
            Some(file) => self.owner == Some(Owner::Kernel) && !has_changed(file),
            None => stamp.is_some() && stamp == self.stamp,
        };
        if same && self.buffer.filled > 0 {
            return Ok(self.buffer.content());
        }
        self.stamp = stamp;
        self.read()
    }

    /// How the end of the content is told, as far as it is known whose it is.
    fn end(&self) -> End {
        match self.owner {
            Some(Owner::Sysfs) => End::Short,
            Some(Owner::Kernel) if self.short_lines => End::HalfPage,
            _ => End::Nothing,
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = open_file(&self.path)?;
        let owner = *self.owner.get_or_insert_with(|| Owner::of(&file));
        let read = |offset, rest: &mut [u8]| file.read_at(rest, offset);
        let filled = self.buffer.fill(self.end(), read);
        if owner != Owner::Anybody && !filled.as_ref().is_err_and(is_gone) {
            self.buffer.fit();
            self.file = Some(file);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_shows_its_present_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        let mut file = HostFile::new(path.clone());
        assert!(file.read().unwrap_err().is_absent());
        std::fs::write(&path, "1\n").unwrap();
        assert_eq!(file.read().unwrap(), b"1\n");
        std::fs::write(&path, "22\n").unwrap();
        assert_eq!(file.read().unwrap(), b"22\n");
        std::fs::write(&path, "").unwrap();
        assert_eq!(file.read().unwrap(), b"");
    }

    #[test]
    fn a_file_that_was_replaced_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        let mut file = HostFile::new(path.clone());
        std::fs::write(&path, "old").unwrap();
        assert_eq!(file.read().unwrap(), b"old");
        std::fs::remove_file(&path).unwrap();
        assert!(file.read().unwrap_err().is_absent());
        std::fs::write(&path, "new").unwrap();
        assert_eq!(file.read().unwrap(), b"new");
    }

    #[test]
    fn large_files_are_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let content: Vec<u8> = (0..=255).cycle().take(3 * FIRST + 7).collect();
        std::fs::write(&path, &content).unwrap();
        let mut buffer = Buffer::default();
        assert_eq!(buffer.read(&path).unwrap(), content);
        assert_eq!(HostFile::new(path).read().unwrap(), content);
    }

    #[test]
    fn procfs_is_read_afresh_through_a_kept_descriptor() {
        let mut file = HostFile::new("/proc/self/stat".into());
        let first = file.read().unwrap().to_vec();
        assert!(!first.is_empty());
        assert!(file.read().unwrap().starts_with(&first[..4]));
    }

    #[test]
    fn a_table_of_short_lines_is_read_whole() {
        let sockets: Vec<_> = (0..40)
            .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let path = PathBuf::from("/proc/self/net/udp");
        let mut file = HostFile::of_short_lines(path.clone());
        for _ in 0..3 {
            let seen = String::from_utf8(file.read().unwrap().to_vec()).unwrap();
            for socket in &sockets {
                let port = format!("0100007F:{:04X}", socket.local_addr().unwrap().port());
                assert!(seen.contains(&port), "{port} in {seen}");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "x\n".repeat(4000)).unwrap();
        assert_eq!(HostFile::of_short_lines(path).read().unwrap().len(), 8000);
    }

    #[test]
    fn a_file_that_tells_of_changes_is_there_every_time() {
        let mut file = HostFile::new("/proc/self/mountinfo".into());
        let first = file.read_when_changed().unwrap().to_vec();
        assert!(!first.is_empty());
        assert_eq!(file.read_when_changed().unwrap(), first);
        // One that does not tell is read every time.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = HostFile::new(path.clone());
        for content in ["a", "b"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(file.read_when_changed().unwrap(), content.as_bytes());
        }
    }

    #[test]
    fn a_file_on_a_disk_is_read_again_once_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a").unwrap();
        // What has just changed may change again within the same tick.
        assert_eq!(Stamp::of(&path), None);
        while Stamp::of(&path).is_none() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let mut file = HostFile::new(path.clone());
        assert_eq!(file.read_when_changed().unwrap(), b"a");
        // Shows that it is not read.
        file.buffer.bytes[0] = b'A';
        assert_eq!(file.read_when_changed().unwrap(), b"A");
        std::fs::write(&path, "b").unwrap();
        assert_eq!(file.read_when_changed().unwrap(), b"b");
        std::fs::write(folder.path().join("other"), "c").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert_eq!(file.read_when_changed().unwrap(), b"c");
        std::fs::remove_file(&path).unwrap();
        assert!(file.read_when_changed().unwrap_err().is_absent());
        assert_eq!(file.content(), b"");
    }

    #[test]
    fn a_folder_is_an_error_that_names_it() {
        let error = Buffer::default().read(Path::new("/proc")).unwrap_err();
        assert!(error.to_string().starts_with("/proc: "), "{error}");
    }
}
