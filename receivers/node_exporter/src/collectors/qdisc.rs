//! How network interfaces queue what they send: the kernel's queueing disciplines.

use std::path::PathBuf;

use corten_host::HostError;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::netlink::{InterfaceNames, QDISCS, attributes, dump, number32, number64};
use corten_host::scan::{float, valid};
use serde::Deserialize;

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
        fixtures: config.fixtures.clone(),
    })
}

struct QdiscCollector {
    devices: Filter,
    /// Where the disciplines are read instead, when not empty.
    fixtures: PathBuf,
}

impl Collector for QdiscCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        if !self.fixtures.as_os_str().is_empty() {
            let path = self.fixtures.join("results.json");
            let text = std::fs::read(&path).map_err(|error| HostError::read(&path, error))?;
            for recorded in recorded(&text)? {
                self.put(emit, &recorded.device, &recorded.qdisc());
            }
            return Ok(());
        }
        // Interfaces come and go, so their names are asked for anew.
        let mut names = InterfaceNames::default();
        dump(QDISCS, &[0; 20], &mut |message| {
            if let Some(qdisc) = parse(message) {
                self.put(emit, names.of(qdisc.interface), &qdisc);
            }
        })
    }
}

impl QdiscCollector {
    fn put(&self, emit: &mut Emit<'_>, device: &str, qdisc: &Qdisc<'_>) {
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
    }
}

/// A discipline as `results.json` has it, in the words of node_exporter's own tests.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Recorded {
    #[serde(rename = "IfaceName")]
    device: String,
    #[serde(rename = "Parent")]
    parent: u32,
    #[serde(rename = "Kind")]
    kind: String,
    #[serde(rename = "Bytes")]
    bytes: u64,
    #[serde(rename = "Packets")]
    packets: u64,
    #[serde(rename = "Drops")]
    drops: u64,
    #[serde(rename = "Requeues")]
    requeues: u64,
    #[serde(rename = "Overlimits")]
    overlimits: u64,
    #[serde(rename = "Qlen")]
    length: u64,
    #[serde(rename = "Backlog")]
    backlog: u64,
}

impl Recorded {
    fn qdisc(&self) -> Qdisc<'_> {
        Qdisc {
            interface: 0,
            kind: self.kind.as_bytes(),
            bytes: self.bytes,
            packets: self.packets,
            length: self.length,
            backlog: self.backlog,
            drops: self.drops,
            requeues: self.requeues,
            overlimits: self.overlimits,
        }
    }
}

/// The disciplines of a `results.json` that stand at a root.
fn recorded(text: &[u8]) -> Result<Vec<Recorded>, HostError> {
    let mut all: Vec<Recorded> = serde_json::from_slice(text).map_err(|error| {
        let what = error.to_string();
        HostError::malformed("results.json", error.line(), "disciplines", what.as_bytes())
    })?;
    all.retain(|recorded| recorded.parent == 0);
    Ok(all)
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
    fn what_was_recorded_is_read_in_place_of_the_kernels() {
        let text = br#"[{"IfaceName": "wlan0", "Kind": "fq", "Bytes": 42, "Qlen": 3}, {"IfaceName": "eth0", "Parent": 9}]"#;
        let all = recorded(text).unwrap();
        assert_eq!(all.len(), 1);
        let qdisc = all[0].qdisc();
        assert_eq!((&*all[0].device, qdisc.kind), ("wlan0", &b"fq"[..]));
        assert_eq!((qdisc.bytes, qdisc.length, qdisc.drops), (42, 3, 0));
        assert!(recorded(b"{").is_err());
    }

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
