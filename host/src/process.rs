//! What `/proc` says of one process or thread: `stat`, `status`, `io`, `limits`, `cmdline`, `smaps_rollup`, `wchan`, the
//! open descriptors. Formats: proc_pid_stat(5) and its like; every file may end or vanish while it is read, since its process may.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::scan::{cut, fields, lines, number, only_number, valid};
use crate::{Buffer, HostError, Roots};

/// `stat` of a process or thread. Ticks are [`USER_HZ`](crate::stat::USER_HZ) to a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat<'a> {
    /// The name, at most 15 bytes for a program, in any characters.
    pub comm: &'a [u8],
    /// The letter of its state: `R`, `S`, `D`, `Z`, `T`, `t`, `X`, `I`, ….
    pub state: u8,
    /// The parent's process ID.
    pub parent: u32,
    /// Page faults that needed no reading.
    pub minor_faults: u64,
    /// Page faults that needed reading.
    pub major_faults: u64,
    /// Ticks in user mode.
    pub user: u64,
    /// Ticks in the kernel.
    pub system: u64,
    /// How many threads it has.
    pub threads: u64,
    /// Ticks from boot to its start.
    pub started: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Pages in memory.
    pub resident_pages: u64,
    /// Ticks in which it waited for storage; 0 where the kernel does not count them.
    pub waited: u64,
}

impl<'a> Stat<'a> {
    /// Parses a whole `stat`; `None` when it is cut off or no `stat`.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        // The name stands in parentheses and may hold any.
        let open = memchr::memchr(b'(', text)?;
        let close = memchr::memrchr(b')', text)?;
        let comm = text.get(open + 1..close)?;
        let mut fields = fields(text.get(close + 1..)?);
        let state = *fields.next()?.first()?;
        let mut stat = Self {
            comm,
            state,
            parent: u32::try_from(number(fields.next()?)?).ok()?,
            ..Self::default()
        };
        // Numbers as proc_pid_stat(5) counts fields; the parent is 4.
        let mut whole = None;
        for (at, field) in (5..=42).zip(fields.by_ref()) {
            let slot = match at {
                10 => &mut stat.minor_faults,
                12 => &mut stat.major_faults,
                14 => &mut stat.user,
                15 => &mut stat.system,
                20 => &mut stat.threads,
                22 => &mut stat.started,
                23 => &mut stat.virtual_bytes,
                24 => {
                    stat.resident_pages = number(field)?;
                    whole = Some(());
                    continue;
                }
                42 => &mut stat.waited,
                _ => continue,
            };
            *slot = number(field)?;
        }
        whole.map(|()| stat)
    }
}

/// What of `status` is not in `stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The effective user.
    pub user: u32,
    /// Bytes in swap.
    pub swapped: u64,
    /// Switches to another task because it waited.
    pub voluntary_switches: u64,
    /// Switches to another task because its time was up.
    pub involuntary_switches: u64,
    /// Signals that wait for it, its threads' not among them.
    pub pending_signals: u64,
}

impl Status {
    /// Parses a `status`. What a kernel thread does not have is 0.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        for (_, line) in lines(text) {
            let Some((key, value)) = cut(line, b':') else {
                continue;
            };
            let mut values = fields(value);
            let mut first = || values.next().and_then(number).unwrap_or_default();
            match key {
                b"Uid" => {
                    first();
                    status.user = u32::try_from(first()).unwrap_or_default();
                }
                b"VmSwap" => status.swapped = first().saturating_mul(1024),
                b"SigQ" => {
                    let queued = value.split(|byte| *byte == b'/').next();
                    let queued = queued.and_then(|text| fields(text).next()).and_then(number);
                    status.pending_signals = queued.unwrap_or_default();
                }
                b"voluntary_ctxt_switches" => status.voluntary_switches = first(),
                b"nonvoluntary_ctxt_switches" => status.involuntary_switches = first(),
                _ => {}
            }
        }
        status
    }
}

/// Bytes that went to and came from storage (`read_bytes` and `write_bytes` of `io`), and calls that read and wrote anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
    /// Calls of `read(2)` and its like.
    pub read_calls: u64,
    /// Calls of `write(2)` and its like.
    pub write_calls: u64,
}

impl Io {
    /// Parses an `io`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut io = Self::default();
        for (_, line) in lines(text) {
            if let Some((key, value)) = cut(line, b':') {
                let value = fields(value).next().and_then(number).unwrap_or_default();
                match key {
                    b"read_bytes" => io.read = value,
                    b"write_bytes" => io.written = value,
                    b"syscr" => io.read_calls = value,
                    b"syscw" => io.write_calls = value,
                    _ => {}
                }
            }
        }
        io
    }
}

/// Its share of the memory that it has together with others (`smaps_rollup`), bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proportional {
    /// In memory.
    pub resident: u64,
    /// In swap.
    pub swapped: u64,
}

impl Proportional {
    /// Parses a `smaps_rollup`, or a whole `smaps`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut share = Self::default();
        for (_, line) in lines(text) {
            let Some((key, value)) = cut(line, b':') else {
                continue;
            };
            let slot = match key {
                b"Pss" => &mut share.resident,
                b"SwapPss" => &mut share.swapped,
                _ => continue,
            };
            let kib = fields(value).next().and_then(number).unwrap_or_default();
            *slot = slot.saturating_add(kib.saturating_mul(1024));
        }
        share
    }
}

/// How many descriptors it may have (`limits`); `None` when there is no bound.
#[must_use]
pub fn most_descriptors(limits: &[u8]) -> Option<u64> {
    let line = lines(limits).find(|(_, line)| line.starts_with(b"Max open files"))?;
    number(fields(line.1).nth(3)?)
}

/// The words of a `cmdline`.
#[must_use]
pub fn words(cmdline: &[u8]) -> Vec<String> {
    let text = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == 0)
        .map(|word| valid(word).into_owned())
        .collect()
}

/// The paths of a `cgroup`.
#[must_use]
pub fn cgroups(text: &[u8]) -> Vec<String> {
    lines(text)
        .filter_map(|(_, line)| {
            let (_, rest) = cut(line, b':')?;
            let (_, path) = cut(rest, b':')?;
            Some(valid(path).into_owned())
        })
        .collect()
}

/// The host's names of users: its `/etc/passwd`.
#[derive(Debug, Default)]
pub struct Users {
    file: PathBuf,
    names: HashMap<u32, String>,
}

impl Users {
    /// Those of the host whose `/` is the `rootfs` of these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            file: roots.rootfs.join("etc/passwd"),
            names: HashMap::new(),
        }
    }

    /// A user's name, or number where it has none.
    pub fn name(&mut self, user: u32) -> &str {
        if !self.names.contains_key(&user) {
            // Somebody new; the others may have other names by now.
            let text = std::fs::read(&self.file).unwrap_or_default();
            for (_, line) in lines(&text) {
                let mut fields = line.split(|byte| *byte == b':');
                if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
                    && let Some(Ok(id)) = only_number(id).map(u32::try_from)
                {
                    let name = || valid(name).into_owned();
                    self.names.entry(id).or_insert_with(name);
                }
            }
        }
        self.names.entry(user).or_insert_with(|| user.to_string())
    }
}

/// The folder of one process or thread.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Of a process.
    #[must_use]
    pub fn of(roots: &Roots, pid: u32) -> Self {
        Self {
            path: roots.procfs.join(itoa::Buffer::new().format(pid)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one of its files; `None` when it is gone, or not ours to read.
    pub fn read<'b>(&mut self, name: &str, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
        self.path.push(name);
        let read = buffer.read_quietly(&self.path);
        self.path.pop();
        read.ok()
    }

    /// How many descriptors it has open; `None` when it is gone, or not ours to see.
    pub fn descriptors(&mut self) -> Option<u64> {
        self.path.push("fd");
        let names = std::fs::read_dir(&self.path);
        self.path.pop();
        let count = names.ok()?.filter(Result::is_ok).count();
        u64::try_from(count).ok()
    }

    /// Its threads, the first of which is itself.
    #[must_use]
    pub fn threads(&self) -> Vec<Self> {
        let path = self.path.join("task");
        numbers(&path)
            .unwrap_or_default()
            .into_iter()
            .map(|thread| Self {
                path: path.join(itoa::Buffer::new().format(thread)),
            })
            .collect()
    }
}

/// All processes that there are, by number.
///
/// # Errors
///
/// `/proc` cannot be listed.
pub fn all(roots: &Roots) -> Result<Vec<u32>, HostError> {
    let mut all =
        numbers(&roots.procfs).map_err(|source| HostError::read(&roots.procfs, source))?;
    all.sort_unstable();
    Ok(all)
}

fn numbers(folder: &Path) -> std::io::Result<Vec<u32>> {
    let names = std::fs::read_dir(folder)?.flatten();
    Ok(names
        .filter_map(|entry| {
            let number = only_number(entry.file_name().as_encoded_bytes())?;
            u32::try_from(number).ok()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &[u8] = b"26231 (a) b) S 5392 7446 5392 34835 7446 4218880 32533 309516 26 82 1677 44 158 99 20 0 3 0 82375 56274944 1981 18446744073709551615 4194304 6294284 0\n";

    #[test]
    fn stat_with_a_name_of_its_own() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(
            stat,
            Stat {
                comm: b"a) b",
                state: b'S',
                parent: 5392,
                minor_faults: 32533,
                major_faults: 26,
                user: 1677,
                system: 44,
                threads: 3,
                started: 82375,
                virtual_bytes: 56_274_944,
                resident_pages: 1981,
                waited: 0,
            }
        );
        assert_eq!(Stat::parse(b"1 (x) S 1 2"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn the_other_files() {
        let status = b"Name:\tx\nUid:\t0\t1000\t0\t0\nVmSwap:\t  12 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n";
        let expected = Status {
            user: 1000,
            swapped: 12 << 10,
            voluntary_switches: 7,
            involuntary_switches: 8,
            pending_signals: 0,
        };
        assert_eq!(Status::parse(status), expected);
        let io = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        let expected = Io {
            read: 5,
            written: 6,
            read_calls: 3,
            write_calls: 4,
        };
        assert_eq!(Io::parse(io), expected);
        let rollup = b"00400000-7fff (x) ---p 0 00:00 0 [rollup]\nRss:  9 kB\nPss: 3 kB\nPss_Dirty: 2 kB\nSwap: 0 kB\nSwapPss: 4 kB\n";
        let expected = Proportional {
            resident: 3 << 10,
            swapped: 4 << 10,
        };
        assert_eq!(Proportional::parse(rollup), expected);
        let limits = b"Limit   Soft Limit  Hard Limit  Units\nMax open files            20000                30000                files     \n";
        assert_eq!(most_descriptors(limits), Some(20000));
        assert_eq!(
            most_descriptors(b"Max open files unlimited unlimited files"),
            None
        );
    }

    #[test]
    fn this_process_is_there() {
        let roots = Roots::default();
        let own = std::process::id();
        assert!(all(&roots).unwrap().contains(&own));
        let mut folder = Folder::of(&roots, own);
        let mut buffer = Buffer::default();
        let stat = Stat::parse(folder.read("stat", &mut buffer).unwrap()).unwrap();
        assert!(stat.resident_pages > 0 && stat.threads > 0);
        assert!(folder.descriptors().unwrap() > 2);
        assert_eq!(folder.threads().len() as u64, stat.threads);
        assert_eq!(folder.read("no such file", &mut buffer), None);
        assert_eq!(Folder::of(&roots, u32::MAX).descriptors(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, cut in 0..STAT.len()) {
            prop_assert!(Stat::parse(&bytes).is_none_or(|stat| stat.comm.len() < bytes.len()));
            let all = (Status::parse(&bytes), Io::parse(&bytes), Proportional::parse(&bytes));
            prop_assert!(!bytes.is_empty() || all == Default::default());
            prop_assert!(most_descriptors(&bytes).is_none() || bytes.len() > 14);
            // Its last field is one of many behind those that are read.
            prop_assert!(cut > 100 || Stat::parse(&STAT[..cut]).is_none());
        }
    }
}
