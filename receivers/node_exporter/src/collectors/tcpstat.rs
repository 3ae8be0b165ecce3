//! TCP connections by state: `/proc/net/tcp` and `tcp6`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, hexadecimal, lines};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    let file = |name| HostFile::of_short_lines(sources.roots.proc(name));
    Box::new(Tcpstat {
        files: [file("net/tcp"), file("net/tcp6")],
    })
}

struct Tcpstat {
    files: [HostFile; 2],
}

/// The kernel's states from 1.
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
];

impl Collector for Tcpstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut counts = [0.0; STATES.len()];
        let (mut sent, mut received) = (0.0, 0.0);
        let mut found = false;
        for file in &mut self.files {
            let text = match file.read() {
                Ok(text) => text,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            found = true;
            for (at, line) in lines(text).skip(1) {
                let (state, tx, rx) = socket(line).ok_or_else(|| {
                    HostError::malformed("net/tcp", at, "a socket with its state", line)
                })?;
                if let Some(count) = counts.get_mut(state) {
                    *count += 1.0;
                }
                sent += tx;
                received += rx;
            }
        }
        if !found {
            return Err(HostError::NoData("neither IPv4 nor IPv6"));
        }
        let named = STATES
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0.0);
        for (state, count) in
            named.chain([("rx_queued_bytes", received), ("tx_queued_bytes", sent)])
        {
            emit.put(
                Gauge,
                "node_tcp_connection_states",
                "TCP connections by state.",
                &[("state", state)],
                count,
            );
        }
        Ok(())
    }
}

/// The state, from 0, and the bytes in both queues.
fn socket(line: &[u8]) -> Option<(usize, f64, f64)> {
    let mut words = fields(line).skip(3);
    let state = usize::try_from(hexadecimal(words.next()?)?)
        .ok()?
        .checked_sub(1)?;
    let (tx, rx) = corten_host::scan::cut(words.next()?, b':')?;
    let amount = |text| hexadecimal(text).map(corten_host::float);
    Some((state, amount(tx)?, amount(rx)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_states_and_queues() {
        let line = b"   0: 0500000A:0016 00000000:0000 0A 00000015:00000001 00:00000000 00000000";
        assert_eq!(socket(line), Some((9, 21.0, 1.0)));
        assert_eq!(STATES[9], "listen");
        assert_eq!(socket(b"0: a b 00 0:0"), None);
    }
}
