//! What each network interface is: `/sys/class/net`.

use corten_config::types::Regex;
use corten_host::families::Kind::{self, Counter, Gauge};
use corten_host::scan::{float, hexadecimal, valid, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Netclass {
        ignored: config.netclass.ignored_devices.clone(),
        ignore_invalid_speed: config.netclass.ignore_invalid_speed,
        net: Attributes::new(sources.roots.sys("class/net")),
        path: String::new(),
    })
}

struct Netclass {
    ignored: Regex,
    ignore_invalid_speed: bool,
    net: Attributes,
    path: String,
}

const HELP: &str = "What /sys/class/net says of each interface.";

/// The files with the metric's type and name.
const NUMBERS: [(&str, Kind, &str); 16] = [
    (
        "addr_assign_type",
        Gauge,
        "node_network_address_assign_type",
    ),
    ("carrier", Gauge, "node_network_carrier"),
    (
        "carrier_changes",
        Counter,
        "node_network_carrier_changes_total",
    ),
    (
        "carrier_up_count",
        Counter,
        "node_network_carrier_up_changes_total",
    ),
    (
        "carrier_down_count",
        Counter,
        "node_network_carrier_down_changes_total",
    ),
    ("dev_id", Gauge, "node_network_device_id"),
    ("dormant", Gauge, "node_network_dormant"),
    ("flags", Gauge, "node_network_flags"),
    ("ifindex", Gauge, "node_network_iface_id"),
    ("iflink", Gauge, "node_network_iface_link"),
    ("link_mode", Gauge, "node_network_iface_link_mode"),
    ("mtu", Gauge, "node_network_mtu_bytes"),
    ("name_assign_type", Gauge, "node_network_name_assign_type"),
    ("netdev_group", Gauge, "node_network_net_dev_group"),
    ("tx_queue_len", Gauge, "node_network_transmit_queue_length"),
    ("type", Gauge, "node_network_protocol_type"),
];

/// A number as sysfs writes it: decimal, or hexadecimal after `0x`.
fn either(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    if text.starts_with(b"0x") {
        hexadecimal(text).map(float)
    } else {
        value(text)
    }
}

impl Netclass {
    fn bytes(&mut self, device: &str, file: &str) -> Option<&[u8]> {
        self.path.clear();
        self.path.push_str(device);
        self.path.push('/');
        self.path.push_str(file);
        // The kernel refuses what an interface has not: no speed without a cable.
        self.net.bytes(&self.path).ok()
    }

    fn text(&mut self, device: &str, file: &str) -> String {
        self.bytes(device, file)
            .map(|text| valid(text).into_owned())
            .unwrap_or_default()
    }

    fn number(&mut self, device: &str, file: &str) -> Result<Option<f64>, HostError> {
        match self.bytes(device, file).map(either) {
            Some(None) => Err(self.net.no_number(&self.path)),
            found => Ok(found.flatten()),
        }
    }
}

impl Collector for Netclass {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for device in &self.net.names("")? {
            // `bonding_masters` is a file.
            if self.ignored.is_match(device) || !self.net.has_folder(device) {
                continue;
            }
            let labels = [("device", device.as_str())];
            let mut flags = None;
            for (file, kind, name) in NUMBERS {
                if let Some(number) = self.number(device, file)? {
                    emit.put(kind, name, HELP, &labels, number);
                    if file == "flags" {
                        flags = Some(number);
                    }
                }
            }
            if let Some(megabits) = self.number(device, "speed")?
                && (megabits >= 0.0 || !self.ignore_invalid_speed)
            {
                emit.put(
                    Gauge,
                    "node_network_speed_bytes",
                    HELP,
                    &labels,
                    (megabits * 1_000_000.0 / 8.0).trunc(),
                );
            }
            let operstate = self.text(device, "operstate");
            let up = if operstate == "up" { 1.0 } else { 0.0 };
            emit.put(
                Gauge,
                "node_network_up",
                "Whether each interface is up.",
                &labels,
                up,
            );
            // The lowest flag says that somebody wants it up.
            let admin = match flags {
                None => "unknown",
                Some(flags) if flags % 2.0 == 1.0 => "up",
                Some(_) => "down",
            };
            let texts =
                ["address", "broadcast", "duplex", "ifalias"].map(|file| self.text(device, file));
            let [address, broadcast, duplex, alias] = &texts;
            emit.put(
                Gauge,
                "node_network_info",
                "What each interface is: always 1.",
                &[
                    ("address", address),
                    ("adminstate", admin),
                    ("broadcast", broadcast),
                    ("device", device),
                    ("duplex", duplex),
                    ("ifalias", alias),
                    ("operstate", &operstate),
                ],
                1.0,
            );
        }
        self.net.forget_unused();
        Ok(())
    }
}
