//! The interfaces and sockets of a container's network namespace.

use corten_host::netdev::{self, Interface};
use corten_host::scan::{fields, hexadecimal, lines, number};
use corten_host::{Buffer, Roots};

/// One interface of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) name: String,
    /// Bytes, packets, errors, dropped.
    pub(crate) received: [u64; 4],
    pub(crate) sent: [u64; 4],
}

/// The interfaces that the process sees, without those that repeat others' traffic.
pub(crate) fn links(roots: &Roots, pid: u32, buffer: &mut Buffer) -> Vec<Link> {
    let path = roots.procfs.join(format!("{pid}/net/dev"));
    let Ok(text) = buffer.read(&path) else {
        return Vec::new();
    };
    netdev::parse(text)
        .flatten()
        .filter(|interface| !is_ignored(interface.name))
        .map(|interface| {
            let Interface {
                name,
                received,
                sent,
            } = interface;
            Link {
                name: name.to_owned(),
                received: [
                    received.bytes,
                    received.packets,
                    received.errors,
                    received.dropped,
                ],
                sent: [sent.bytes, sent.packets, sent.errors, sent.dropped],
            }
        })
        .collect()
}

fn is_ignored(name: &str) -> bool {
    ["lo", "veth", "docker", "nerdctl"]
        .into_iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The states of TCP in the kernel's numbering, from 1.
pub(crate) const TCP_STATES: [&str; 11] = [
    "established",
    "synsent",
    "synrecv",
    "finwait1",
    "finwait2",
    "timewait",
    "close",
    "closewait",
    "lastack",
    "listen",
    "closing",
];

/// How many connections are in each of [`TCP_STATES`]; `file` is `tcp` or `tcp6`.
pub(crate) fn tcp(roots: &Roots, pid: u32, file: &str, buffer: &mut Buffer) -> Option<[u64; 11]> {
    let path = roots.procfs.join(format!("{pid}/net/{file}"));
    let mut counts = [0; 11];
    for (_, line) in lines(buffer.read(&path).ok()?).skip(1) {
        let state = fields(line).nth(3).and_then(hexadecimal).unwrap_or(0);
        let at = usize::try_from(state).ok().and_then(|at| at.checked_sub(1));
        if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    Some(counts)
}

/// What is told of UDP sockets.
pub(crate) const UDP_STATES: [&str; 4] = ["listen", "dropped", "rxqueued", "txqueued"];

/// Sockets that listen, packets dropped, bytes waiting to be read and to be sent; `file` is `udp`
/// or `udp6`.
pub(crate) fn udp(roots: &Roots, pid: u32, file: &str, buffer: &mut Buffer) -> Option<[u64; 4]> {
    let path = roots.procfs.join(format!("{pid}/net/{file}"));
    let [mut listen, mut dropped, mut received, mut sent] = [0u64; 4];
    for (_, line) in lines(buffer.read(&path).ok()?).skip(1) {
        let mut parts = fields(line).skip(3);
        if parts.next().and_then(hexadecimal) == Some(7) {
            listen += 1;
        }
        if let Some((tx, rx)) = parts
            .next()
            .and_then(|queues| corten_host::scan::cut(queues, b':'))
        {
            sent = sent.saturating_add(hexadecimal(tx).unwrap_or(0));
            received = received.saturating_add(hexadecimal(rx).unwrap_or(0));
        }
        dropped = dropped.saturating_add(fields(line).last().and_then(number).unwrap_or(0));
    }
    Some([listen, dropped, received, sent])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_others_is_left_out() {
        for name in ["lo", "veth1234", "docker0", "nerdctl0"] {
            assert!(is_ignored(name), "{name}");
        }
        assert!(!is_ignored("eth0") && !is_ignored("cni0"));
    }

    #[test]
    fn sockets_are_counted_by_state() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("proc/7/net")).unwrap();
        let roots = Roots::below(folder.path());
        std::fs::write(
            roots.proc("7/net/tcp"),
            "  sl  local_address rem_address   st tx_queue\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000\n   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000\n   2: garbage\n",
        )
        .unwrap();
        std::fs::write(
            roots.proc("7/net/udp"),
            "  sl  local_address rem_address   st tx_queue rx_queue\n  10: 00000000:0044 00000000:0000 07 00000003:0000000F 00:00000000 00000000 0 0 17 2 0 5\n",
        )
        .unwrap();
        let mut buffer = Buffer::default();
        let tcp = tcp(&roots, 7, "tcp", &mut buffer).unwrap();
        assert_eq!((tcp[0], tcp[9], tcp.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!(udp(&roots, 7, "udp", &mut buffer), Some([1, 5, 15, 3]));
    }
}
