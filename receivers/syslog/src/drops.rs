//! What the kernel dropped since its buffer of a socket was full.

use std::os::fd::AsFd;

/// The tables of UDP sockets.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// A socket, by its number in the kernel's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drops {
    inode: u64,
}

impl Drops {
    /// Of this socket; `None` when the system does not say its number.
    pub(crate) fn of(socket: &impl AsFd) -> Option<Self> {
        let inode = rustix::fs::fstat(socket).ok()?.st_ino;
        Some(Self { inode })
    }

    /// Datagrams dropped so far.
    pub(crate) fn count(self) -> Option<u64> {
        TABLES.iter().find_map(|table| {
            let text = std::fs::read_to_string(table).ok()?;
            drops(&text, self.inode)
        })
    }
}

/// The last column of the socket's line; the tenth is its number. (proc(5), `/proc/net/udp`.)
fn drops(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let found: u64 = columns.nth(9)?.parse().ok()?;
        if found != inode {
            return None;
        }
        columns.last()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n\
                         \x20 377: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5123 2 0000000000000000 0         \n\
                         \x20 378: 00000000:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5124 2 0000000000000000 17        \n";

    #[test]
    fn the_line_of_the_socket_counts() {
        assert_eq!(drops(TABLE, 5123), Some(0));
        assert_eq!(drops(TABLE, 5124), Some(17));
        assert_eq!(drops(TABLE, 5125), None);
    }

    #[test]
    fn a_socket_finds_itself() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(Drops::of(&socket).unwrap().count(), Some(0));
        let to = socket.local_addr().unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], to).unwrap();
        }
        assert!(Drops::of(&socket).unwrap().count().unwrap() > 0);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9A-F: \n]{0,200}", inode: u64) {
            prop_assert!(drops(&text, inode).is_none_or(|_| text.contains(char::is_numeric)));
        }
    }
}
