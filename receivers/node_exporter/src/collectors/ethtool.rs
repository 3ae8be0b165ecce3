//! What the drivers of network interfaces count, who they are, and what the interfaces can do.
//!
//! Drivers are asked one by one; what an interface can do comes for all of them in one answer of the kernel's family `ethtool`.

use std::collections::{BTreeMap, HashMap};

use corten_config::types::Regex;
use corten_host::drivers::Drivers;
use corten_host::families::Kind::{Gauge, Untyped};
use corten_host::scan::float;
use corten_host::{Attributes, HostError, is_sysfs, link_modes};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let config = &config.ethtool;
    let folder = sources.roots.sys("class/net");
    Box::new(EthtoolCollector {
        is_own: is_sysfs(&folder),
        net: Attributes::new(folder),
        drivers: None,
        devices: Filter::new(
            config.device_exclude.as_ref(),
            config.device_include.as_ref(),
            None,
        ),
        metrics: config.metrics_include.clone(),
    })
}

struct EthtoolCollector {
    /// Whether the folder is the kernel's own: drivers can be asked about the agent's own network alone.
    is_own: bool,
    net: Attributes,
    /// Opened when it is first needed.
    drivers: Option<Drivers>,
    devices: Filter,
    metrics: Regex,
}

/// What an interface can do, by bits of `ETHTOOL_LINK_MODE_..._BIT`. node_exporter knows those below 32.
struct Modes {
    negotiates: bool,
    supported: u64,
    advertised: u64,
}

/// Bit, megabits a second, whether both ends may send at once, and what follows `base` in its name.
const SPEEDS: [(u32, u32, bool, &str); 22] = [
    (0, 10, false, "T"),
    (1, 10, true, "T"),
    (2, 100, false, "T"),
    (3, 100, true, "T"),
    (4, 1000, false, "T"),
    (5, 1000, true, "T"),
    (12, 10_000, true, "T"),
    (17, 1000, true, "KX"),
    (18, 10_000, true, "KX4"),
    (19, 10_000, true, "KR"),
    (20, 10_000, true, "R_FEC"),
    (21, 20_000, true, "MLD2"),
    (22, 20_000, true, "KR2"),
    (23, 40_000, true, "KR4"),
    (24, 40_000, true, "CR4"),
    (25, 40_000, true, "SR4"),
    (26, 40_000, true, "LR4"),
    (27, 56_000, true, "KR4"),
    (28, 56_000, true, "CR4"),
    (29, 56_000, true, "SR4"),
    (30, 56_000, true, "LR4"),
    (31, 25_000, true, "CR"),
];

const PORTS: [(u32, &str); 6] = [
    (7, "TP"),
    (8, "AUI"),
    (9, "MII"),
    (10, "FIBRE"),
    (11, "BNC"),
    (16, "Backplane"),
];

/// Bits of what both ends can agree on.
const CAPABILITIES: [(u32, &str, &str); 3] = [
    (6, "autonegotiate", "find out by itself how to send"),
    (13, "pause", "ask the other end to pause"),
    (
        14,
        "asymmetricpause",
        "ask for pauses in one direction alone",
    ),
];

/// Counters with a name and a meaning of their own.
const KNOWN: [(&str, &str, &str); 7] = [
    (
        "rx_bytes",
        "node_ethtool_received_bytes_total",
        "Bytes that each interface received.",
    ),
    (
        "rx_dropped",
        "node_ethtool_received_dropped_total",
        "Frames that each interface received and dropped.",
    ),
    (
        "rx_errors",
        "node_ethtool_received_errors_total",
        "Frames that each interface received with errors.",
    ),
    (
        "rx_packets",
        "node_ethtool_received_packets_total",
        "Packets that each interface received.",
    ),
    (
        "tx_bytes",
        "node_ethtool_transmitted_bytes_total",
        "Bytes that each interface sent.",
    ),
    (
        "tx_errors",
        "node_ethtool_transmitted_errors_total",
        "Frames that each interface could not send.",
    ),
    (
        "tx_packets",
        "node_ethtool_transmitted_packets_total",
        "Packets that each interface sent.",
    ),
];

/// A counter's name with every run of what is no letter, digit or `_`, and the `_` around it, made one `_`.
fn sanitized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut odd = false;
    for character in name.chars() {
        if character.is_ascii_alphanumeric() || (character == '_' && !odd) {
            odd = false;
            out.push(character);
        } else if character != '_' && !odd {
            odd = true;
            out.truncate(out.trim_end_matches('_').len());
            out.push('_');
        }
    }
    out
}

/// The metric's name: `rx` and `tx` as words of their own are spelt out, but never two in a row, since
/// the `_` between them belongs to the first.
fn metric(sanitized: &str) -> String {
    let lower = sanitized.to_ascii_lowercase();
    let spell = |text: &str, short: &str, long: &str| {
        let mut words: Vec<&str> = text.split('_').collect();
        let mut before = false;
        for word in &mut words {
            before = *word == short && !before;
            if before {
                *word = long;
            }
        }
        words.join("_")
    };
    let name = spell(lower.trim_start_matches('_'), "rx", "received");
    format!("node_ethtool_{}", spell(&name, "tx", "transmitted"))
}

fn put_modes(emit: &mut Emit<'_>, device: &str, modes: &Modes) {
    let of_device = [("device", device)];
    for (what, set) in [
        ("supported", modes.supported),
        ("advertised", modes.advertised),
    ] {
        let has = |bit: u32| bit < 32 && set >> bit & 1 == 1;
        for (bit, megabits, full, medium) in SPEEDS {
            if has(bit) {
                emit.put(
                    Gauge,
                    &format!("node_network_{what}_speed_bytes"),
                    &format!("Speeds of each interface that are {what}, in bytes a second."),
                    &[
                        ("device", device),
                        ("duplex", if full { "full" } else { "half" }),
                        ("mode", &format!("{megabits}base{medium}")),
                    ],
                    f64::from(megabits) * 1_000_000.0 / 8.0,
                );
            }
        }
        for (bit, name, meaning) in CAPABILITIES {
            emit.put(
                Gauge,
                &format!("node_network_{name}_{what}"),
                &format!("Whether it is {what} that each interface can {meaning}."),
                &of_device,
                f64::from(u8::from(has(bit))),
            );
        }
    }
    for (bit, port) in PORTS {
        if modes.supported >> bit & 1 == 1 {
            emit.put(
                Gauge,
                "node_network_supported_port_info",
                "Kinds of ports that each interface has: always 1.",
                &[("device", device), ("type", port)],
                1.0,
            );
        }
    }
    emit.put(
        Gauge,
        "node_network_autonegotiate",
        "Whether each interface finds out by itself how to send.",
        &of_device,
        f64::from(u8::from(modes.negotiates)),
    );
}

impl Collector for EthtoolCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let devices = self.net.names("")?;
        if !self.is_own {
            return Err(HostError::NoData(
                "the drivers of another network's interfaces cannot be asked",
            ));
        }
        let mut told = HashMap::new();
        link_modes::each(&mut |modes| {
            let known = Modes {
                negotiates: modes.negotiates,
                supported: modes.supported,
                advertised: modes.advertised,
            };
            told.insert(modes.name.clone().into_owned(), known);
        })?;
        for device in &devices {
            if !self.devices.lets_in(device) || !self.net.has_folder(device) {
                continue;
            }
            if let Some(modes) = told.get(device) {
                put_modes(emit, device, modes);
            }
            let drivers = match &mut self.drivers {
                Some(drivers) => drivers,
                None => self.drivers.insert(Drivers::open()?),
            };
            let Some(driver) = drivers.driver(device)? else {
                continue;
            };
            emit.put(
                Gauge,
                "node_ethtool_info",
                "What drives each interface: always 1.",
                &[
                    ("bus_info", &driver.bus),
                    ("device", device),
                    ("driver", &driver.name),
                    ("expansion_rom_version", &driver.rom),
                    ("firmware_version", &driver.firmware),
                    ("version", &driver.version),
                ],
                1.0,
            );
            let mut counters = Vec::new();
            drivers.counters(device, &driver, &mut |name, value| {
                counters.push((name.to_owned(), value));
            })?;
            put_counters(emit, device, &self.metrics, &counters);
        }
        Ok(())
    }
}

fn put_counters(emit: &mut Emit<'_>, device: &str, wanted: &Regex, counters: &[(String, u64)]) {
    let mut by_metric: BTreeMap<String, Option<(String, u64)>> = BTreeMap::new();
    for (name, value) in counters {
        let name = sanitized(name);
        if wanted.is_match(&name) {
            by_metric
                .entry(metric(&name))
                // Of counters whose names become the same nobody could tell which is which.
                .and_modify(|known| *known = None)
                .or_insert(Some((name, *value)));
        }
    }
    for (metric, counter) in by_metric {
        let Some((name, value)) = counter else {
            continue;
        };
        let labels = [("device", device)];
        match KNOWN.iter().find(|(known, ..)| *known == name) {
            Some((_, metric, help)) => emit.put(Untyped, metric, help, &labels, float(value)),
            None => {
                let help = format!("What the driver of each interface counts as {name}.");
                emit.put(Untyped, &metric, &help, &labels, float(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_node_exporters() {
        for (name, expected) in [
            ("rx0_kicks", "rx0_kicks"),
            ("rx_queue_0_bytes", "received_queue_0_bytes"),
            ("tx_tx_timeouts", "transmitted_tx_timeouts"),
            ("tx0_tx_timeouts", "tx0_transmitted_timeouts"),
            ("[3]: tx_bytes", "3_transmitted_bytes"),
            ("Port - RX (good)", "port_received_good_"),
        ] {
            assert_eq!(metric(&sanitized(name)), format!("node_ethtool_{expected}"));
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_of_a_metric(name in any::<String>()) {
            let metric = metric(&sanitized(&name));
            prop_assert!(metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        }
    }
}
