//! How network interfaces queue what they send: the kernel's queueing disciplines.

use corten_host::HostError;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::netlink::{InterfaceNames, QDISCS, attributes, dump, number32, number64};
use corten_host::scan::{float, valid};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, _: &Sources) -> Box<dyn Collector> {
    let config = &config.qdisc;
    Box::new(QdiscCollector {
        devices: Filter::new(
            config.device_exclude.as_ref(),
            config.device_include.as_ref(),
            None,
        ),
    })
}

struct QdiscCollector {
    devices: Filter,
}

impl Collector for QdiscCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        // Interfaces come and go, so their names are asked for anew.
        let mut names = InterfaceNames::default();
        dump(QDISCS, &[0; 20], &mut |message| {
            let Some(qdisc) = parse(message) else { return };
            let device = names.of(qdisc.interface);
            if device.is_empty() || !self.devices.lets_in(device) {
                return;
            }
            let kind = valid(qdisc.kind);
            let labels = [("device", device), ("kind", &*kind)];
            for (family, name, help, value) in [
                (
                    Counter,
                    "node_qdisc_bytes_total",
                    "Bytes sent.",
                    qdisc.bytes,
                ),
                (
                    Counter,
                    "node_qdisc_packets_total",
                    "Packets sent.",
                    qdisc.packets,
                ),
                (
                    Counter,
                    "node_qdisc_drops_total",
                    "Packets dropped.",
                    qdisc.drops,
                ),
                (
                    Counter,
                    "node_qdisc_requeues_total",
                    "Packets put back into the queue.",
                    qdisc.requeues,
                ),
                (
                    Counter,
                    "node_qdisc_overlimits_total",
                    "Packets that had to wait.",
                    qdisc.overlimits,
                ),
                (
                    Gauge,
                    "node_qdisc_current_queue_length",
                    "Packets in the queue.",
                    qdisc.length,
                ),
                (
                    Gauge,
                    "node_qdisc_backlog",
                    "Bytes in the queue.",
                    qdisc.backlog,
                ),
            ] {
                emit.put(family, name, help, &labels, float(value));
            }
        })
    }
}

/// The discipline at the root of an interface.
#[derive(Debug, Default, PartialEq, Eq)]
struct Qdisc<'a> {
    interface: u32,
    kind: &'a [u8],
    bytes: u64,
    packets: u64,
    length: u64,
    backlog: u64,
    drops: u64,
    requeues: u64,
    overlimits: u64,
}

const TCA_KIND: u16 = 1;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
/// The parent of what stands at the root, `TC_H_ROOT`.
const ROOT: u32 = u32::MAX;

/// A `tcmsg`: four bytes, then the interface, the handle, the parent and a number; then attributes.
fn parse(message: &[u8]) -> Option<Qdisc<'_>> {
    if ![0, ROOT].contains(&number32(message, 12)?) {
        return None;
    }
    let mut qdisc = Qdisc {
        interface: number32(message, 4)?,
        ..Qdisc::default()
    };
    let wide = |bytes: &[u8], at| number32(bytes, at).map_or(0, u64::from);
    for (kind, content) in attributes(message.get(20..)?) {
        match kind {
            TCA_KIND => qdisc.kind = content.strip_suffix(b"\0").unwrap_or(content),
            TCA_STATS2 => {
                for (kind, content) in attributes(content) {
                    match kind {
                        TCA_STATS_BASIC => {
                            qdisc.bytes = number64(content, 0).unwrap_or(0);
                            qdisc.packets = wide(content, 8);
                        }
                        TCA_STATS_QUEUE => {
                            qdisc.length = wide(content, 0);
                            qdisc.backlog = wide(content, 4);
                            qdisc.drops = wide(content, 8);
                            qdisc.requeues = wide(content, 12);
                            qdisc.overlimits = wide(content, 16);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(qdisc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_at_the_root_counts() {
        let mut message = vec![0u8; 20];
        message[4..8].copy_from_slice(&3u32.to_ne_bytes());
        message[12..16].copy_from_slice(&ROOT.to_ne_bytes());
        message.extend_from_slice(&9u16.to_ne_bytes());
        message.extend_from_slice(&TCA_KIND.to_ne_bytes());
        message.extend_from_slice(b"pfif\0\0\0\0");
        let qdisc = parse(&message).unwrap();
        assert_eq!((qdisc.interface, qdisc.kind), (3, &b"pfif"[..]));
        message[12] = 1;
        assert_eq!(parse(&message), None);
        assert_eq!(parse(b"short"), None);
    }
}
