//! What the network interfaces carry: `/proc/net/dev` and one counter from `/sys/class/net`.

use corten_host::netdev::{self, Interface, NetDev};
use corten_host::{DeviceNumbers, HostError, float};

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
    })
}

struct Netdev {
    filter: Filter,
    file: NetDev,
    no_handler: DeviceNumbers,
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

impl Collector for Netdev {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let filter = &self.filter;
        let interfaces: Vec<Interface<'_>> = netdev::parse(self.file.read()?)
            .filter(|interface| !matches!(interface, Ok(known) if !filter.lets_in(known.name)))
            .collect::<Result<_, _>>()?;
        for (name, help, value) in COUNTERS {
            let mut family = emit.counter(name, help);
            for interface in &interfaces {
                family.add(&[("device", interface.name)], float(value(interface)));
            }
        }
        let mut family = emit.counter(
            "node_network_receive_nohandler_total",
            "Received packets that each interface has dropped because nobody wanted them.",
        );
        for interface in &interfaces {
            if let Some(value) = self.no_handler.read(interface.name) {
                family.add(&[("device", interface.name)], float(value));
            }
        }
        self.no_handler.forget_unused();
        Ok(())
    }
}
