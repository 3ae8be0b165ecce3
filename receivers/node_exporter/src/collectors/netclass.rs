//! What each network interface is: `/sys/class/net`.
//!
//! Where that is the kernel's own, netlink is asked first: one answer stands for two dozen files an
//! interface. Three files whose content changes only with the interface are read once, and three
//! that netlink does not tell of at every scrape.

use std::collections::HashMap;

use corten_config::types::Regex;
use corten_host::families::Kind::{self, Counter, Gauge};
use corten_host::links::{self, Link};
use corten_host::scan::{c_number, float, valid};
use corten_host::{Attributes, HostError, is_sysfs};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let folder = sources.roots.sys("class/net");
    Box::new(Netclass {
        is_own: is_sysfs(&folder),
        told: HashMap::new(),
        ignored: config.netclass.ignored_devices.clone(),
        ignore_invalid_speed: config.netclass.ignore_invalid_speed,
        net: Attributes::new(folder),
        path: String::new(),
        alternatives: config.netclass.netlink,
    })
}

struct Netclass {
    ignored: Regex,
    ignore_invalid_speed: bool,
    net: Attributes,
    path: String,
    /// Whether the other names of interfaces are told.
    alternatives: bool,
    /// Whether the folder is the kernel's own.
    is_own: bool,
    /// What netlink has told of each interface, by its name.
    told: HashMap<String, Told>,
}

/// What is known of an interface without asking its files.
#[derive(Debug, Default)]
struct Told {
    /// Whether netlink told of it in this scrape.
    present: bool,
    index: u32,
    /// Whether the files are of the interface that netlink tells of, and not of one in another
    /// network that has the same name.
    same: bool,
    /// What netlink told, by the name of the file that says the same.
    numbers: [Option<f64>; TOLD.len()],
    address: String,
    broadcast: String,
    alias: String,
    alternatives: Vec<String>,
    state: &'static str,
    /// What the files say whose content changes only with number or address.
    lasting: [Option<Option<f64>>; LASTING.len()],
}

/// The files that netlink stands for.
const TOLD: [&str; 11] = [
    "carrier",
    "carrier_changes",
    "carrier_up_count",
    "carrier_down_count",
    "dormant",
    "ifindex",
    "iflink",
    "link_mode",
    "mtu",
    "netdev_group",
    "tx_queue_len",
];

const LASTING: [&str; 4] = ["addr_assign_type", "dev_id", "name_assign_type", "type"];

impl Told {
    /// Takes what netlink tells. An interface that has another number or address than before has
    /// everything read anew.
    fn take(&mut self, link: &Link<'_>, address: &mut String) {
        links::write_address(link.address, address);
        if self.index != link.index || self.address != *address {
            self.index = link.index;
            self.same = false;
            self.lasting = Default::default();
            self.address.clone_from(address);
        }
        self.present = true;
        let [changes, up, down] = link.carrier_changes;
        // An interface that is down does not say whether it has a carrier or waits for one.
        let carrier = link.carrier.filter(|_| link.is_up()).map(f64::from);
        let dormant = u8::from(link.is_dormant());
        self.numbers = [
            carrier,
            changes.map(f64::from),
            up.map(f64::from),
            down.map(f64::from),
            link.is_up().then(|| f64::from(dormant)),
            Some(f64::from(link.index)),
            Some(f64::from(link.link)),
            link.mode.map(f64::from),
            link.mtu.map(f64::from),
            link.group.map(f64::from),
            link.queue.map(f64::from),
        ];
        links::write_address(link.broadcast, &mut self.broadcast);
        if self.alias != link.alias {
            self.alias = link.alias.clone().into_owned();
        }
        if self.alternatives != link.alternatives {
            self.alternatives = link.alternatives.iter().map(ToString::to_string).collect();
        }
        self.state = link.state_name();
    }
}

/// The files with the metric's type, name and meaning.
const NUMBERS: [(&str, Kind, &str, &str); 16] = [
    (
        "addr_assign_type",
        Gauge,
        "node_network_address_assign_type",
        "How each interface came to its address: 0 permanent, 1 random, 2 stolen, 3 set.",
    ),
    (
        "carrier",
        Gauge,
        "node_network_carrier",
        "Whether each interface has a carrier.",
    ),
    (
        "carrier_changes",
        Counter,
        "node_network_carrier_changes_total",
        "Times that the carrier of each interface came or went.",
    ),
    (
        "carrier_up_count",
        Counter,
        "node_network_carrier_up_changes_total",
        "Times that the carrier of each interface came.",
    ),
    (
        "carrier_down_count",
        Counter,
        "node_network_carrier_down_changes_total",
        "Times that the carrier of each interface went.",
    ),
    (
        "dev_id",
        Gauge,
        "node_network_device_id",
        "What tells interfaces with the same address apart.",
    ),
    (
        "dormant",
        Gauge,
        "node_network_dormant",
        "Whether each interface waits for something else before it can carry data.",
    ),
    (
        "flags",
        Gauge,
        "node_network_flags",
        "Flags of each interface (IFF_...), as a number.",
    ),
    (
        "ifindex",
        Gauge,
        "node_network_iface_id",
        "Number of each interface.",
    ),
    (
        "iflink",
        Gauge,
        "node_network_iface_link",
        "Number of the interface below each interface; its own where there is none.",
    ),
    (
        "link_mode",
        Gauge,
        "node_network_iface_link_mode",
        "Who brings each interface up: 0 the kernel, 1 somebody who finishes it (dormant).",
    ),
    (
        "mtu",
        Gauge,
        "node_network_mtu_bytes",
        "The largest packet that each interface takes, in bytes.",
    ),
    (
        "name_assign_type",
        Gauge,
        "node_network_name_assign_type",
        "How each interface came to its name: 1 by order, 2 predictable, 3 by the user, 4 renamed.",
    ),
    (
        "netdev_group",
        Gauge,
        "node_network_net_dev_group",
        "Group of each interface.",
    ),
    (
        "tx_queue_len",
        Gauge,
        "node_network_transmit_queue_length",
        "Packets that may wait to be sent on each interface.",
    ),
    (
        "type",
        Gauge,
        "node_network_protocol_type",
        "Kind of hardware of each interface (ARPHRD_...), as a number.",
    ),
];

/// A whole number as C's source has it, of either sign. As node_exporter does, anything else counts
/// as 0: one odd file of one interface does not take the others' metrics with it.
fn lenient(text: &[u8]) -> f64 {
    let text = text.trim_ascii();
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix(b"+").unwrap_or(text)),
    };
    c_number(digits)
        .filter(|number| i64::try_from(*number).is_ok())
        .map_or(0.0, |number| sign * float(number))
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

    /// Asks netlink about all interfaces. Where it does not answer, the files do.
    fn ask(&mut self) {
        for told in self.told.values_mut() {
            told.present = false;
        }
        if !self.is_own {
            return;
        }
        let told = &mut self.told;
        let mut address = String::new();
        let answered = links::each(&mut |link| {
            match told.get_mut(&*link.name) {
                Some(told) => told.take(link, &mut address),
                None => {
                    let mut new = Told::default();
                    new.take(link, &mut address);
                    told.insert(link.name.clone().into_owned(), new);
                }
            };
        });
        if answered.is_err() {
            self.told.clear();
        }
        self.told.retain(|_, told| told.present);
    }

    /// Whether netlink tells of the interface that the files are of.
    fn is_told(&mut self, device: &str) -> bool {
        let Some(told) = self.told.get(device) else {
            return false;
        };
        if told.same {
            return true;
        }
        let index = f64::from(told.index);
        let same = self.read(device, "ifindex") == Some(index);
        if let Some(told) = self.told.get_mut(device) {
            told.same = same;
        }
        same
    }

    fn text(&mut self, device: &str, file: &str, told: bool) -> String {
        if told && let Some(told) = self.told.get(device) {
            match file {
                "address" => return told.address.clone(),
                "broadcast" => return told.broadcast.clone(),
                "ifalias" => return told.alias.clone(),
                "operstate" => return told.state.to_owned(),
                _ => {}
            }
        }
        self.bytes(device, file)
            .map(|text| valid(text).into_owned())
            .unwrap_or_default()
    }

    fn number(&mut self, device: &str, file: &str, told: bool) -> Option<f64> {
        if told && let Some(told) = self.told.get(device) {
            if let Some(index) = TOLD.iter().position(|known| *known == file) {
                return told.numbers.get(index).copied().flatten();
            }
            if let Some(index) = LASTING.iter().position(|known| *known == file) {
                if let Some(Some(read)) = told.lasting.get(index) {
                    return *read;
                }
                let read = self.read(device, file);
                let told = self.told.get_mut(device);
                if let Some(place) = told.and_then(|told| told.lasting.get_mut(index)) {
                    *place = Some(read);
                }
                return read;
            }
        }
        self.read(device, file)
    }

    fn read(&mut self, device: &str, file: &str) -> Option<f64> {
        self.bytes(device, file).map(lenient)
    }
}

impl Collector for Netclass {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let devices = self.net.names("")?;
        self.ask();
        for device in &devices {
            if self.ignored.is_match(device) {
                continue;
            }
            let told = self.is_told(device);
            // `bonding_masters` is a file.
            if !told && !self.net.has_folder(device) {
                continue;
            }
            let labels = [("device", device.as_str())];
            let mut flags = None;
            for (file, kind, name, help) in NUMBERS {
                if let Some(number) = self.number(device, file, told) {
                    emit.put(kind, name, help, &labels, number);
                    if file == "flags" {
                        flags = Some(number);
                    }
                }
            }
            if let Some(megabits) = self.number(device, "speed", told)
                && (megabits >= 0.0 || !self.ignore_invalid_speed)
            {
                emit.put(
                    Gauge,
                    "node_network_speed_bytes",
                    "How fast each interface is, in bytes a second.",
                    &labels,
                    (megabits * 1_000_000.0 / 8.0).trunc(),
                );
            }
            let alternatives = self.told.get(device).filter(|_| told && self.alternatives);
            for name in alternatives.map_or(&[][..], |told| &told.alternatives) {
                emit.put(
                    Gauge,
                    "node_network_altnames_info",
                    "Other names of each interface: always 1.",
                    &[("altname", name), ("device", device)],
                    1.0,
                );
            }
            let operstate = self.text(device, "operstate", told);
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
            let texts = ["address", "broadcast", "duplex", "ifalias"]
                .map(|file| self.text(device, file, told));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::shown;

    #[test]
    fn odd_numbers_count_as_zero() {
        for (text, number) in [
            ("1500\n", 1500.0),
            ("0x1003\n", 4099.0),
            ("010", 8.0),
            ("-1\n", -1.0),
            ("", 0.0),
            ("1.5", 0.0),
            ("many", 0.0),
            ("9223372036854775808", 0.0),
        ] {
            assert_eq!(lenient(text.as_bytes()), number, "{text:?}");
        }
    }

    /// Netlink says what the files say, for every interface of this machine.
    #[test]
    fn both_ways_agree() {
        let sources = Sources::new(corten_host::Roots::default());
        let collector = |is_own| {
            let folder = sources.roots.sys("class/net");
            Netclass {
                is_own,
                told: HashMap::new(),
                ignored: Config::default().netclass.ignored_devices,
                ignore_invalid_speed: false,
                net: Attributes::new(folder),
                path: String::new(),
                alternatives: false,
            }
        };
        let (mut own, mut files) = (collector(true), collector(false));
        let Ok(expected) = shown(&mut files) else {
            return;
        };
        // The second time everything that lasts is remembered.
        for _ in 0..2 {
            assert_eq!(shown(&mut own).unwrap(), expected);
        }
    }
}
