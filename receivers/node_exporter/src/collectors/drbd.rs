//! Disks that are mirrored over the network: `/proc/drbd`.

use corten_host::families::Kind::{self, Counter, Gauge};
use corten_host::scan::{fraction, number, text};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Drbd {
        file: HostFile::new(sources.roots.proc("drbd")),
    })
}

struct Drbd {
    file: HostFile,
}

const FILE: &str = "drbd";

impl Collector for Drbd {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        parse(self.file.read()?, &mut |kind, name, help, labels, value| {
            emit.put(kind, name, help, labels, value);
        })
    }
}

/// Type, name, description, labels and value of a sample.
type Show<'s> = &'s mut dyn FnMut(Kind, &str, &str, &[(&str, &str)], f64);

/// Shows every `key:value` of the file that becomes a metric. A number before a colon begins a
/// device; what follows is of it, whichever line it stands on.
fn parse(file: &[u8], show: Show<'_>) -> Result<(), HostError> {
    let mut device = "unknown".to_owned();
    let words = file
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    for word in words {
        let mut parts = word.split(|byte| *byte == b':');
        let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if let (Some(number), true) = (number(key), value.is_empty()) {
            device = format!("drbd{number}");
            continue;
        }
        if let Some((_, kind, name, help, factor)) = NUMBERS.iter().find(|row| row.0 == key) {
            let number = fraction(value)
                .ok_or_else(|| HostError::malformed(FILE, 1, "a number after the colon", word))?;
            let labels = [("device", device.as_str())];
            show(*kind, name, help, &labels, number * factor);
        } else if let Some((_, name, help, well)) = PAIRS.iter().find(|row| row.0 == key) {
            let pair = text(FILE, 1, "the states of two nodes", value)?;
            let (local, remote) = pair
                .split_once('/')
                .ok_or_else(|| HostError::malformed(FILE, 1, "the states of two nodes", word))?;
            // More slashes are not the kernel's; the second part counts.
            let remote = remote.split('/').next().unwrap_or_default();
            for (node, state) in [("local", local), ("remote", remote)] {
                let labels = [("device", device.as_str()), ("node", node)];
                show(
                    Gauge,
                    name,
                    help,
                    &labels,
                    f64::from(u8::from(state == *well)),
                );
            }
        } else if key == b"cs" {
            let labels = [("device", device.as_str())];
            let connected = f64::from(u8::from(value == b"Connected"));
            show(
                Gauge,
                "node_drbd_connected",
                "Whether the other node is connected.",
                &labels,
                connected,
            );
        }
    }
    Ok(())
}

/// Key, type, name, description and what a unit of it is.
type Row = (&'static [u8], Kind, &'static str, &'static str, f64);

const NUMBERS: [Row; 12] = [
    (
        b"ns",
        Counter,
        "node_drbd_network_sent_bytes_total",
        "Bytes sent to the other node.",
        1024.0,
    ),
    (
        b"nr",
        Counter,
        "node_drbd_network_received_bytes_total",
        "Bytes received from the other node.",
        1.0,
    ),
    (
        b"dw",
        Counter,
        "node_drbd_disk_written_bytes_total",
        "Bytes written to the local disk.",
        1024.0,
    ),
    (
        b"dr",
        Counter,
        "node_drbd_disk_read_bytes_total",
        "Bytes read from the local disk.",
        1024.0,
    ),
    (
        b"al",
        Counter,
        "node_drbd_activitylog_writes_total",
        "Updates of the activity log.",
        1.0,
    ),
    (
        b"bm",
        Counter,
        "node_drbd_bitmap_writes_total",
        "Updates of the bitmap.",
        1.0,
    ),
    (
        b"lo",
        Gauge,
        "node_drbd_local_pending",
        "Requests to the local disk that are open.",
        1.0,
    ),
    (
        b"pe",
        Gauge,
        "node_drbd_remote_pending",
        "Requests to the other node that it has not answered yet.",
        1.0,
    ),
    (
        b"ua",
        Gauge,
        "node_drbd_remote_unacknowledged",
        "Requests of the other node that have not been answered yet.",
        1.0,
    ),
    (
        b"ap",
        Gauge,
        "node_drbd_application_pending",
        "Requests of applications that have not been answered yet.",
        1.0,
    ),
    (b"ep", Gauge, "node_drbd_epochs", "Epochs under way.", 1.0),
    (
        b"oos",
        Gauge,
        "node_drbd_out_of_sync_bytes",
        "Bytes known to differ between the nodes.",
        1024.0,
    ),
];

const PAIRS: [(&[u8], &str, &str, &str); 2] = [
    (
        b"ro",
        "node_drbd_node_role_is_primary",
        "Whether the node is the primary one.",
        "Primary",
    ),
    (
        b"ds",
        "node_drbd_disk_state_is_up_to_date",
        "Whether the node's disk is up to date.",
        "UpToDate",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &[u8]) -> Result<Vec<String>, HostError> {
        let mut all = Vec::new();
        parse(file, &mut |_, name, _, labels, value| {
            all.push(format!("{name} {labels:?} {value}"));
        })?;
        Ok(all)
    }

    #[test]
    fn values_are_of_the_device_before_them() {
        let text = b"version: 8.4.3 (api:1/proto:86-101)\n 1: cs:Connected ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----\n    ns:2 nr:3 oos:4\n";
        let all = lines(text).unwrap();
        assert_eq!(all[0], "node_drbd_connected [(\"device\", \"drbd1\")] 1");
        assert_eq!(
            all[2],
            "node_drbd_node_role_is_primary [(\"device\", \"drbd1\"), (\"node\", \"remote\")] 0"
        );
        assert_eq!(
            all[5..],
            [
                "node_drbd_network_sent_bytes_total [(\"device\", \"drbd1\")] 2048",
                "node_drbd_network_received_bytes_total [(\"device\", \"drbd1\")] 3",
                "node_drbd_out_of_sync_bytes [(\"device\", \"drbd1\")] 4096"
            ]
        );
        assert!(lines(b"ns:x").is_err());
        assert!(lines(b"ro:Primary").is_err());
        assert_eq!(lines(b"").unwrap().len(), 0);
    }
}
