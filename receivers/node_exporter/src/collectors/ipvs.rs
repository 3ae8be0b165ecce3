//! The kernel's load balancer: `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, float, hexadecimal, lines, number, valid};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Ipvs {
        labels: config.ipvs.labels(),
        stats: HostFile::new(sources.roots.proc("net/ip_vs_stats")),
        backends: HostFile::new(sources.roots.proc("net/ip_vs")),
    })
}

struct Ipvs {
    /// The labels by which backends are told apart.
    labels: Vec<Label>,
    stats: HostFile,
    backends: HostFile,
}

/// What a backend may be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    LocalAddress,
    LocalPort,
    RemoteAddress,
    RemotePort,
    Proto,
    LocalMark,
}

impl Label {
    pub(crate) const ALL: [Self; 6] = [
        Self::LocalAddress,
        Self::LocalPort,
        Self::RemoteAddress,
        Self::RemotePort,
        Self::Proto,
        Self::LocalMark,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LocalAddress => "local_address",
            Self::LocalPort => "local_port",
            Self::RemoteAddress => "remote_address",
            Self::RemotePort => "remote_port",
            Self::Proto => "proto",
            Self::LocalMark => "local_mark",
        }
    }
}

const TOTALS: [(&str, &str); 5] = [
    (
        "node_ipvs_connections_total",
        "Connections made through the balancer.",
    ),
    ("node_ipvs_incoming_packets_total", "Packets that came in."),
    ("node_ipvs_outgoing_packets_total", "Packets that went out."),
    ("node_ipvs_incoming_bytes_total", "Bytes that came in."),
    ("node_ipvs_outgoing_bytes_total", "Bytes that went out."),
];

const BACKENDS: [(&str, &str); 3] = [
    (
        "node_ipvs_backend_connections_active",
        "Connections to each backend that are open.",
    ),
    (
        "node_ipvs_backend_connections_inactive",
        "Connections to each backend that are closed but still known.",
    ),
    (
        "node_ipvs_backend_weight",
        "How much of the load each backend gets.",
    ),
];

impl Collector for Ipvs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let totals = parse_stats(self.stats.read()?)?;
        for ((name, help), value) in TOTALS.into_iter().zip(totals) {
            emit.put(Counter, name, help, &[], float(value));
        }
        // Backends whose labels are the same are added up.
        let mut sums: BTreeMap<Vec<String>, [f64; 3]> = BTreeMap::new();
        for backend in parse_backends(self.backends.read()?)? {
            let labels = self
                .labels
                .iter()
                .map(|label| backend.label(*label))
                .collect();
            let sum = sums.entry(labels).or_default();
            for (sum, value) in sum.iter_mut().zip(backend.values) {
                *sum += float(value);
            }
        }
        for (values, sums) in &sums {
            let labels: Vec<_> = self
                .labels
                .iter()
                .map(|label| label.name())
                .zip(values.iter().map(String::as_str))
                .collect();
            for ((name, help), value) in BACKENDS.into_iter().zip(sums) {
                emit.put(Gauge, name, help, &labels, *value);
            }
        }
        Ok(())
    }
}

/// The totals in the third line, in hexadecimal.
fn parse_stats(text: &[u8]) -> Result<[u64; 5], HostError> {
    let (at, line) = lines(text).nth(2).ok_or(HostError::Missing {
        file: "net/ip_vs_stats",
        expected: "a third line",
    })?;
    let mut totals = [0; 5];
    let mut columns = fields(line);
    for total in &mut totals {
        *total = columns.next().and_then(hexadecimal).ok_or_else(|| {
            HostError::malformed("net/ip_vs_stats", at, "five hexadecimal numbers", line)
        })?;
    }
    Ok(totals)
}

/// A host behind a virtual service.
#[derive(Debug)]
struct Backend {
    service: Service,
    remote: Endpoint,
    /// Active and inactive connections, and the weight.
    values: [u64; 3],
}

#[derive(Clone, Debug, Default)]
struct Service {
    proto: String,
    mark: String,
    local: Endpoint,
}

#[derive(Clone, Debug, Default)]
struct Endpoint {
    address: String,
    port: u64,
}

impl Backend {
    fn label(&self, label: Label) -> String {
        match label {
            Label::LocalAddress => self.service.local.address.clone(),
            Label::LocalPort => self.service.local.port.to_string(),
            Label::RemoteAddress => self.remote.address.clone(),
            Label::RemotePort => self.remote.port.to_string(),
            Label::Proto => self.service.proto.clone(),
            Label::LocalMark => self.service.mark.clone(),
        }
    }
}

fn parse_backends(text: &[u8]) -> Result<Vec<Backend>, HostError> {
    let mut backends = Vec::new();
    let mut service = Service::default();
    for (at, line) in lines(text) {
        let wrong = |expected| HostError::malformed("net/ip_vs", at, expected, line);
        let columns: Vec<_> = fields(line).collect();
        match columns.as_slice() {
            [proto @ (b"TCP" | b"UDP" | b"SCTP"), address, ..] => {
                service = Service {
                    proto: valid(proto).into_owned(),
                    mark: String::new(),
                    local: endpoint(address).ok_or_else(|| wrong("an address and a port"))?,
                };
            }
            [b"FWM", mark, ..] => {
                service = Service {
                    proto: "FWM".to_owned(),
                    mark: valid(mark).into_owned(),
                    local: Endpoint::default(),
                };
            }
            [b"->", b"RemoteAddress:Port", ..] => {}
            [b"->", remote, _, weight, active, inactive, ..] => {
                let values = [active, inactive, weight].map(|field| number(field));
                let [Some(active), Some(inactive), Some(weight)] = values else {
                    return Err(wrong("three numbers"));
                };
                backends.push(Backend {
                    service: service.clone(),
                    remote: endpoint(remote).ok_or_else(|| wrong("an address and a port"))?,
                    values: [active, inactive, weight],
                });
            }
            _ => {}
        }
    }
    Ok(backends)
}

/// `C0A80016:0CEA` or `[2620:0000:0000:0000:0000:0000:0000:0001]:0CEA`.
fn endpoint(text: &[u8]) -> Option<Endpoint> {
    let (address, port) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
    let port = hexadecimal(port.as_bytes())?;
    let address = match address.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string(),
        None => {
            let bits = u32::try_from(hexadecimal(address.as_bytes())?).ok()?;
            Ipv4Addr::from_bits(bits).to_string()
        }
    };
    Some(Endpoint { address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_backends() {
        let text = b"IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
            TCP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA      Tunnel  100    248        2\n\
            FWM  10001000 wlc\n  -> [2620:0000:0000:0000:0000:0000:0000:0001]:0050 Route 20 0 321\n";
        let all = parse_backends(text).unwrap();
        let shown: Vec<Vec<String>> = all
            .iter()
            .map(|backend| Label::ALL.map(|label| backend.label(label)).to_vec())
            .collect();
        assert_eq!(
            shown,
            [
                ["192.168.0.22", "3306", "192.168.82.22", "3306", "TCP", ""],
                ["", "0", "2620::1", "80", "FWM", "10001000"]
            ]
        );
        assert_eq!(all[1].values, [0, 321, 20]);
        assert!(parse_backends(b"TCP nonsense wlc\n").is_err());
    }

    #[test]
    fn totals_are_hexadecimal() {
        let text = b"   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n 16AA370 E33656E5        0     51D8C8883AB3        0\n";
        assert_eq!(
            parse_stats(text).unwrap(),
            [23_765_872, 3_811_989_221, 0, 89_991_519_156_915, 0]
        );
        assert!(parse_stats(b"").is_err());
    }
}
