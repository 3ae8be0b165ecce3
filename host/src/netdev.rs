//! `/proc/net/dev`: what every network interface has carried since it appeared. The one counter
//! that it lacks, `rx_nohandler`, is a [`DeviceNumbers`](crate::DeviceNumbers) below
//! `/sys/class/net`.

use crate::scan::{fields, lines, number, text};
use crate::{HostError, HostFile, Roots};

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
            host: HostFile::of_short_lines(roots.proc("1/net/dev")),
            own: HostFile::of_short_lines(roots.proc(FILE)),
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
}
