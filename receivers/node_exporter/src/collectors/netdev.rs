//! What the network interfaces carry: `/proc/net/dev` and one counter from `/sys/class/net`; with detailed metrics what
//! netlink tells.

use std::net::IpAddr;

use corten_host::families::Family;
use corten_host::links::{self, STATISTICS};
use corten_host::netdev::{self, Interface, NetDev};
use corten_host::netlink::InterfaceNames;
use corten_host::{Attributes, DeviceNumbers, HostError, float};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Netdev {
        filter: Filter::new(
            config.netdev.device_exclude.as_ref(),
            config.netdev.device_include.as_ref(),
            None,
        ),
        file: NetDev::new(&sources.roots),
        no_handler: DeviceNumbers::new(sources.roots.sys("class/net"), "statistics/rx_nohandler"),
        names: config.netdev.address_info.then(InterfaceNames::default),
        aliases: (config.netdev.label_ifalias)
            .then(|| Attributes::new(sources.roots.sys("class/net"))),
        detail: match (config.netdev.enable_detailed_metrics, config.netdev.netlink) {
            (false, _) => Detail::Classic,
            (true, true) => Detail::Netlink,
            (true, false) => Detail::File,
        },
    })
}

struct Netdev {
    filter: Filter,
    file: NetDev,
    no_handler: DeviceNumbers,
    /// The interfaces' names by number, where their addresses are wanted.
    names: Option<InterfaceNames>,
    /// What somebody calls the interfaces, where that is wanted.
    aliases: Option<Attributes>,
    detail: Detail,
}

/// Which counters are reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// node_exporter's classic ones.
    Classic,
    /// Those of `/proc/net/dev`, under its names.
    File,
    /// All that the kernel has.
    Netlink,
}

type Value = fn(&Interface<'_>) -> u64;

const COUNTERS: [(&str, &str, Value); 16] = [
    (
        "node_network_receive_bytes_total",
        "Bytes that each interface has received.",
        |interface| interface.received.bytes,
    ),
    (
        "node_network_receive_packets_total",
        "Packets that each interface has received.",
        |interface| interface.received.packets,
    ),
    (
        "node_network_receive_errs_total",
        "Packets that each interface has received with errors.",
        |interface| interface.received.errors,
    ),
    (
        "node_network_receive_drop_total",
        "Received packets that each interface has dropped.",
        |interface| interface.received.dropped,
    ),
    (
        "node_network_receive_fifo_total",
        "Times that each interface's receive queue was full.",
        |interface| interface.received.fifo,
    ),
    (
        "node_network_receive_frame_total",
        "Received packets of each interface with wrong framing, length or checksum.",
        |interface| interface.received.frame,
    ),
    (
        "node_network_receive_compressed_total",
        "Compressed packets that each interface has received.",
        |interface| interface.received.compressed,
    ),
    (
        "node_network_receive_multicast_total",
        "Multicast packets that each interface has received.",
        |interface| interface.received.multicast,
    ),
    (
        "node_network_transmit_bytes_total",
        "Bytes that each interface has sent.",
        |interface| interface.sent.bytes,
    ),
    (
        "node_network_transmit_packets_total",
        "Packets that each interface has sent.",
        |interface| interface.sent.packets,
    ),
    (
        "node_network_transmit_errs_total",
        "Packets that each interface could not send.",
        |interface| interface.sent.errors,
    ),
    (
        "node_network_transmit_drop_total",
        "Packets that each interface has dropped instead of sending.",
        |interface| interface.sent.dropped,
    ),
    (
        "node_network_transmit_fifo_total",
        "Times that each interface's send queue ran dry or over.",
        |interface| interface.sent.fifo,
    ),
    (
        "node_network_transmit_colls_total",
        "Collisions that each interface has met.",
        |interface| interface.sent.collisions,
    ),
    (
        "node_network_transmit_carrier_total",
        "Packets of each interface that were lost for want of a carrier or in similar ways.",
        |interface| interface.sent.carrier,
    ),
    (
        "node_network_transmit_compressed_total",
        "Compressed packets that each interface has sent.",
        |interface| interface.sent.compressed,
    ),
];

impl Netdev {
    /// Counters of a file, the classic ones or under the file's own names.
    fn of_file(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let filter = &self.filter;
        let interfaces: Vec<Interface<'_>> = netdev::parse(self.file.read()?)
            .filter(|interface| !matches!(interface, Ok(known) if !filter.lets_in(known.name)))
            .collect::<Result<_, _>>()?;
        let labels: Vec<Labels> = interfaces
            .iter()
            .map(|interface| Labels::of(interface.name, self.aliases.as_mut()))
            .collect();
        let mut write = |name: &str, help: &str, value: Value| {
            let mut family = emit.counter(name, help);
            for (interface, labels) in interfaces.iter().zip(&labels) {
                labels.add(&mut family, float(value(interface)));
            }
        };
        if self.detail == Detail::File {
            for (name, help, value) in COUNTERS {
                let renamed = RENAMED.iter().find(|(classic, _)| *classic == name);
                write(renamed.map_or(name, |(_, own)| own), help, value);
            }
            return Ok(());
        }
        for (name, help, value) in COUNTERS {
            write(name, help, value);
        }
        let mut family = emit.counter(
            "node_network_receive_nohandler_total",
            "Received packets that each interface has dropped because nobody wanted them.",
        );
        for (interface, labels) in interfaces.iter().zip(&labels) {
            if let Some(value) = self.no_handler.read(interface.name) {
                labels.add(&mut family, float(value));
            }
        }
        self.no_handler.forget_unused();
        Ok(())
    }

    /// Every counter that netlink tells of.
    fn of_netlink(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let (filter, aliases) = (&self.filter, self.aliases.is_some());
        let mut told = Vec::new();
        links::each(&mut |link| {
            if filter.lets_in(&link.name) {
                let labels = Labels {
                    device: link.name.clone().into_owned(),
                    alias: aliases.then(|| link.alias.clone().into_owned()),
                };
                told.push((labels, link.statistics));
            }
        })?;
        for (at, statistic) in STATISTICS.iter().enumerate() {
            let name = format!("node_network_{statistic}_total");
            let mut family = emit.counter(
                &name,
                "A counter of each interface, as the kernel names it.",
            );
            for (labels, statistics) in &told {
                if let Some(value) = statistics.get(at).copied().flatten() {
                    labels.add(&mut family, float(value));
                }
            }
        }
        Ok(())
    }
}

impl Collector for Netdev {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        match self.detail {
            Detail::Netlink => self.of_netlink(emit)?,
            Detail::Classic | Detail::File => self.of_file(emit)?,
        }
        if let Some(aliases) = &mut self.aliases {
            aliases.forget_unused();
        }
        let Some(names) = &mut self.names else {
            return Ok(());
        };
        let mut family = emit.gauge(
            "node_network_address_info",
            "The addresses that each interface has: always 1.",
        );
        links::each_address(&mut |found| {
            let device = names.of(found.index);
            if !device.is_empty() {
                let labels = [
                    ("address", found.address.to_string()),
                    ("device", device.to_owned()),
                    ("netmask", found.prefix.to_string()),
                    ("scope", scope(found.address).to_owned()),
                ];
                family.add(
                    &labels
                        .each_ref()
                        .map(|(name, value)| (*name, value.as_str())),
                    1.0,
                );
            }
        })
    }
}

/// What an interface's counters are labelled with.
struct Labels {
    device: String,
    alias: Option<String>,
}

impl Labels {
    fn of(device: &str, aliases: Option<&mut Attributes>) -> Self {
        Self {
            device: device.to_owned(),
            alias: aliases.map(|aliases| aliases.text_or_empty(&format!("{device}/ifalias"))),
        }
    }

    fn add(&self, family: &mut Family<'_>, value: f64) {
        match &self.alias {
            None => family.add(&[("device", &self.device)], value),
            Some(alias) => family.add(&[("device", &self.device), ("ifalias", alias)], value),
        }
    }
}

/// How far an address reaches, in the words of Go's `net` package that node_exporter takes them from.
fn scope(address: IpAddr) -> &'static str {
    let (loopback_or_link, interface, unspecified) = match address {
        IpAddr::V4(v4) => (
            v4.is_loopback() || v4.is_link_local(),
            false,
            v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast(),
        ),
        IpAddr::V6(v6) => (
            v6.is_loopback() || v6.is_unicast_link_local() || v6.segments()[0] & 0xff0f == 0xff02,
            v6.segments()[0] & 0xff0f == 0xff01,
            v6.is_unspecified() || v6.is_multicast(),
        ),
    };
    match (loopback_or_link, interface, unspecified) {
        (true, ..) => "link-local",
        (_, true, _) => "interface-local",
        (.., true) => "",
        _ => "global",
    }
}

/// The classic names that are not the file's own, and the file's.
const RENAMED: [(&str, &str); 4] = [
    (
        "node_network_receive_errs_total",
        "node_network_receive_errors_total",
    ),
    (
        "node_network_receive_drop_total",
        "node_network_receive_dropped_total",
    ),
    (
        "node_network_transmit_errs_total",
        "node_network_transmit_errors_total",
    ),
    (
        "node_network_transmit_drop_total",
        "node_network_transmit_dropped_total",
    ),
];
