//! What the network interfaces carry and which connections there are.

use corten_host::netdev::{self, Interface, NetDev};
use corten_host::tcp::{self, Counts};
use corten_host::{HostError, HostFile, Roots};

use crate::config;
use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::filter::Filter;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.network.io",
        "By",
        Shape::Counter,
        &["device", "direction"],
        "Bytes received and sent.",
    ),
    Definition::new(
        "system.network.packets",
        "{packets}",
        Shape::Counter,
        &["device", "direction"],
        "Packets received and sent.",
    ),
    Definition::new(
        "system.network.errors",
        "{errors}",
        Shape::Counter,
        &["device", "direction"],
        "Packets received and sent with errors.",
    ),
    Definition::new(
        "system.network.dropped",
        "{packets}",
        Shape::Counter,
        &["device", "direction"],
        "Packets that were dropped.",
    ),
    Definition::new(
        "system.network.connections",
        "{connections}",
        Shape::UpDown,
        &["protocol", "state"],
        "Connections in each state.",
    ),
    Definition::new(
        "system.network.conntrack.count",
        "{entries}",
        Shape::UpDown,
        &[],
        "Connections that the firewall follows.",
    )
    .off(),
    Definition::new(
        "system.network.conntrack.max",
        "{entries}",
        Shape::UpDown,
        &[],
        "Connections that the firewall can follow.",
    )
    .off(),
];

pub(crate) struct NetworkScraper {
    filter: Filter,
    interfaces: NetDev,
    /// The host's connections as seen from process 1, and the reader's own.
    tcp: [[HostFile; 2]; 2],
    conntrack: [(&'static str, HostFile); 2],
}

impl NetworkScraper {
    pub(crate) fn new(config: &config::Network, roots: &Roots) -> Self {
        let files = |process: &str| {
            ["tcp", "tcp6"].map(|file| HostFile::new(roots.proc(&format!("{process}net/{file}"))))
        };
        let conntrack = |metric, file| {
            let path = roots.proc(&format!("sys/net/netfilter/nf_conntrack_{file}"));
            (metric, HostFile::new(path))
        };
        Self {
            filter: Filter::new(&config.include, &config.exclude),
            interfaces: NetDev::new(roots),
            tcp: [files("1/"), files("")],
            conntrack: [
                conntrack("system.network.conntrack.count", "count"),
                conntrack("system.network.conntrack.max", "max"),
            ],
        }
    }

    fn connections(&mut self) -> Result<Counts, HostError> {
        let [host, own] = &mut self.tcp;
        let mut counts = Counts::default();
        let files = match host.first_mut().map(HostFile::read) {
            Some(Ok(_)) => host,
            _ => own,
        };
        let [tcp, tcp6] = files;
        tcp::count(tcp.read()?, &mut counts);
        // A kernel without IPv6 has no such file.
        if let Ok(text) = tcp6.read() {
            tcp::count(text, &mut counts);
        }
        Ok(counts)
    }
}

type Pair = fn(&Interface<'_>) -> (u64, u64);

const TRAFFIC: [(&str, Pair); 4] = [
    ("system.network.io", |interface| {
        (interface.received.bytes, interface.sent.bytes)
    }),
    ("system.network.packets", |interface| {
        (interface.received.packets, interface.sent.packets)
    }),
    ("system.network.errors", |interface| {
        (interface.received.errors, interface.sent.errors)
    }),
    ("system.network.dropped", |interface| {
        (interface.received.dropped, interface.sent.dropped)
    }),
];

impl Scraper for NetworkScraper {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let filter = &self.filter;
        let interfaces: Vec<Interface<'_>> = netdev::parse(self.interfaces.read()?)
            .filter(|interface| !matches!(interface, Ok(known) if !filter.lets_in(known.name)))
            .collect::<Result<_, _>>()?;
        for (name, pair) in TRAFFIC {
            let mut points = emit.metric(name);
            for interface in &interfaces {
                let (received, sent) = pair(interface);
                for (direction, value) in [("receive", received), ("transmit", sent)] {
                    let attributes = [("device", interface.name), ("direction", direction)];
                    points.add(&attributes, value);
                }
            }
        }
        drop(interfaces);
        // The dearest read of all: a line for each connection.
        if emit.wanted.any(&["system.network.connections"]) {
            let counts = self.connections()?;
            let mut points = emit.metric("system.network.connections");
            for (state, count) in tcp::STATES.into_iter().zip(counts) {
                points.add(&[("protocol", "tcp"), ("state", state)], count);
            }
        }
        for (name, file) in &mut self.conntrack {
            if emit.wanted.any(&[name]) {
                let text = file.read()?;
                let value = std::str::from_utf8(text).ok();
                if let Some(value) = value.and_then(|text| text.trim().parse::<u64>().ok()) {
                    emit.single(name, value);
                }
            }
        }
        Ok(())
    }
}
