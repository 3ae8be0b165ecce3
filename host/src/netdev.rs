//! `/proc/net/dev`: what every network interface has carried since it appeared.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::scan::{fields, lines, number, only_number, text};
use crate::{Buffer, HostError, HostFile, Roots};

const FILE: &str = "net/dev";

/// What one interface has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the kernel's column names say all that there is to say"
)]
pub struct Received {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
    pub fifo: u64,
    pub frame: u64,
    pub compressed: u64,
    pub multicast: u64,
}

/// What one interface has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the kernel's column names say all that there is to say"
)]
pub struct Sent {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
    pub fifo: u64,
    pub collisions: u64,
    pub carrier: u64,
    pub compressed: u64,
}

/// One interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// `eth0`.
    pub name: &'a str,
    /// What came in.
    pub received: Received,
    /// What went out.
    pub sent: Sent,
}

/// The interfaces in the order of the file.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<Interface<'_>, HostError>> {
    // Two lines of headings.
    lines(file)
        .skip(2)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = || {
                HostError::malformed(FILE, at, "an interface, a colon and sixteen numbers", line)
            };
            // An interface's name may hold a colon (an old alias), the numbers do not.
            let colon = memchr::memrchr(b':', line).ok_or_else(wrong)?;
            let (name, rest) = (line.get(..colon), line.get(colon + 1..));
            let name = name.unwrap_or_default().trim_ascii();
            let mut columns = [0u64; 16];
            let mut rest = fields(rest.unwrap_or_default());
            for column in &mut columns {
                *column = rest.next().and_then(number).ok_or_else(wrong)?;
            }
            let [
                bytes,
                packets,
                errors,
                dropped,
                fifo,
                frame,
                compressed,
                multicast,
                sent @ ..,
            ] = columns;
            let received = Received {
                bytes,
                packets,
                errors,
                dropped,
                fifo,
                frame,
                compressed,
                multicast,
            };
            let [
                bytes,
                packets,
                errors,
                dropped,
                fifo,
                collisions,
                carrier,
                compressed,
            ] = sent;
            let sent = Sent {
                bytes,
                packets,
                errors,
                dropped,
                fifo,
                collisions,
                carrier,
                compressed,
            };
            Ok(Interface {
                name: text(FILE, at, "an interface's name", name)?,
                received,
                sent,
            })
        })
}

/// The file of the host's network: that of process 1 where it can be read, so that an agent
/// in a network namespace of its own still sees the host, else the reader's own.
#[derive(Debug)]
pub struct NetDev {
    host: HostFile,
    own: HostFile,
}

impl NetDev {
    /// The file below these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            host: HostFile::new(roots.proc("1/net/dev")),
            own: HostFile::new(roots.proc(FILE)),
        }
    }

    /// Its text.
    ///
    /// # Errors
    ///
    /// Neither file can be read; the error is that of the reader's own.
    pub fn read(&mut self) -> Result<&[u8], HostError> {
        match self.host.read() {
            Ok(text) => Ok(text),
            Err(_) => self.own.read(),
        }
    }
}

/// Packets that the kernel dropped because nobody listens on an inactive interface: the only
/// counter that `/proc/net/dev` lacks, from `/sys/class/net/<interface>/statistics`.
#[derive(Debug)]
pub struct NoHandler {
    class_net: PathBuf,
    files: HashMap<String, (HostFile, bool)>,
    buffer: Buffer,
}

/// Descriptors kept for interfaces; a node of many pods has more interfaces than a process may
/// have descriptors.
const MOST_KEPT: usize = 128;

impl NoHandler {
    /// The counters below these roots.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            class_net: roots.sys("class/net"),
            files: HashMap::new(),
            buffer: Buffer::default(),
        }
    }

    /// The counter of `interface`; `None` on kernels that do not have it (before 4.6).
    pub fn read(&mut self, interface: &str) -> Option<u64> {
        if let Some((file, used)) = self.files.get_mut(interface) {
            *used = true;
            return file.read().ok().and_then(only_number);
        }
        let mut path = self.class_net.join(interface);
        path.push("statistics/rx_nohandler");
        if self.files.len() < MOST_KEPT {
            let mut file = HostFile::new(path);
            let value = file.read().ok().and_then(only_number);
            self.files.insert(interface.to_owned(), (file, true));
            value
        } else {
            self.buffer.read_quietly(&path).ok().and_then(only_number)
        }
    }

    /// Closes the files of interfaces that nobody asked for since the last call.
    pub fn forget_unused(&mut self) {
        self.files
            .retain(|_, (_, used)| std::mem::replace(used, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Inter-|   Receive                |  Transmit\n face |bytes ...\n\
        lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0\n\
        eth0:1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";

    #[test]
    fn columns_go_to_their_direction() {
        let all: Vec<_> = parse(TEXT).map(Result::unwrap).collect();
        assert_eq!(
            (all[0].name, all[0].received.bytes, all[0].sent.packets),
            ("lo", 3193, 29)
        );
        assert_eq!(all[1].name, "eth0:1");
        assert_eq!((all[1].received.multicast, all[1].sent.bytes), (8, 9));
        assert_eq!(
            (
                all[1].sent.collisions,
                all[1].sent.carrier,
                all[1].sent.compressed
            ),
            (14, 15, 16)
        );
    }

    #[test]
    fn bad_lines_are_named() {
        let error = parse(b"\n\neth0: 1 2\n").next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "net/dev:3: expected an interface, a colon and sixteen numbers, found \"eth0: 1 2\""
        );
    }

    #[test]
    fn files_of_gone_interfaces_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("sys/class/net/eth0/statistics");
        std::fs::create_dir_all(&statistics).unwrap();
        std::fs::write(statistics.join("rx_nohandler"), "7\n").unwrap();
        let mut counters = NoHandler::new(&Roots::below(folder.path()));
        assert_eq!(counters.read("eth0"), Some(7));
        assert_eq!(counters.read("absent"), None);
        counters.forget_unused();
        assert_eq!(counters.read("eth0"), Some(7));
        counters.forget_unused();
        assert_eq!(counters.files.len(), 1);
    }
}
