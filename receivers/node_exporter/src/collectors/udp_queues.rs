//! Memory in the queues of UDP sockets: `/proc/net/udp` and `udp6`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{cut, fields, float, hexadecimal, lines};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(UdpQueues {
        v4: HostFile::of_short_lines(sources.roots.proc("net/udp")),
        v6: HostFile::of_short_lines(sources.roots.proc("net/udp6")),
    })
}

struct UdpQueues {
    v4: HostFile,
    v6: HostFile,
}

impl Collector for UdpQueues {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut found = false;
        for (file, version, name) in [
            (&mut self.v4, "v4", "net/udp"),
            (&mut self.v6, "v6", "net/udp6"),
        ] {
            let text = match file.read() {
                Ok(text) => text,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            found = true;
            let (sent, received) = parse(name, text)?;
            for (queue, bytes) in [("tx", sent), ("rx", received)] {
                emit.put(
                    Gauge,
                    "node_udp_queues",
                    "Memory in the queues of all UDP sockets, in bytes.",
                    &[("ip", version), ("queue", queue)],
                    float(bytes),
                );
            }
        }
        if found {
            Ok(())
        } else {
            Err(HostError::NoData("neither IPv4 nor IPv6"))
        }
    }
}

/// The sums of the fifth column, `tx_queue:rx_queue`, both hexadecimal.
fn parse(file: &'static str, text: &[u8]) -> Result<(u64, u64), HostError> {
    let (mut sent, mut received) = (0u64, 0u64);
    for (at, line) in lines(text).skip(1) {
        let queues = || {
            let (tx, rx) = cut(fields(line).nth(4)?, b':')?;
            Some((hexadecimal(tx)?, hexadecimal(rx)?))
        };
        let (tx, rx) = queues()
            .ok_or_else(|| HostError::malformed(file, at, "a socket with its queues", line))?;
        sent = sent.wrapping_add(tx);
        received = received.wrapping_add(rx);
    }
    Ok((sent, received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_added_up() {
        let text = b"  sl  local_address rem_address   st tx_queue rx_queue tr\n   0: 00000000:0016 00000000:0000 0A 00000015:00000001 00:00000000\n   1: 0:0 0:0 07 00000001:00000010 0\n";
        assert_eq!(parse("net/udp", text).unwrap(), (22, 17));
        assert!(parse("net/udp", b"h\n 0: a b\n").is_err());
    }
}
