//! Where a listener listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use corten_config::settings::Transport;
use corten_config::types::Endpoint;

/// Where to listen. Two that are equal are the same socket: `localhost` and `127.0.0.1` are.
#[derive(Clone, Debug)]
pub enum Address {
    /// A port of the machine.
    Tcp {
        /// A name or an address without brackets, in lower case and its shortest form; empty for every address
        /// of the machine.
        host: String,
        /// 0 lets the system choose.
        port: u16,
        /// Which versions of IP.
        transport: Transport,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// The address of an endpoint.
    #[must_use]
    pub fn tcp(endpoint: &Endpoint, transport: Transport) -> Self {
        let host = endpoint.host().to_ascii_lowercase();
        let host = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_string(),
            Err(_) => host,
        };
        Self::Tcp {
            host,
            port: endpoint.port(),
            transport,
        }
    }

    /// Whether components that ask for it share it.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self, Self::Tcp { port: 0, .. })
    }

    /// The addresses to try, in order, until one can be bound.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let Self::Tcp {
            host,
            port,
            transport,
        } = self
        else {
            return Ok(Vec::new());
        };
        let at = |ip: IpAddr| SocketAddr::new(ip, *port);
        let (v4, v6) = match (host.as_str(), host.parse::<IpAddr>()) {
            ("", _) => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            ("localhost", _) => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
            (_, Ok(ip)) => return Ok(vec![at(ip)]),
            (name, Err(_)) => {
                let found = tokio::net::lookup_host((name, *port)).await?;
                return Ok(found
                    .filter(|found| allows(*transport, found.ip()))
                    .collect());
            }
        };
        let candidates = if host.is_empty() {
            // An IPv6 socket takes IPv4 as well; machines without IPv6 have only the other.
            [at(v6.into()), at(v4.into())]
        } else {
            [at(v4.into()), at(v6.into())]
        };
        Ok(candidates
            .into_iter()
            .filter(|candidate| allows(*transport, candidate.ip()))
            .collect())
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Tcp {
                    host,
                    port,
                    transport,
                },
                Self::Tcp {
                    host: other_host,
                    port: other_port,
                    transport: other_transport,
                },
            ) => {
                loopback(host) == loopback(other_host)
                    && (port, transport) == (other_port, other_transport)
            }
            (Self::Unix(path), Self::Unix(other)) => path == other,
            _ => false,
        }
    }
}

impl Eq for Address {}

/// The name that the loopback's first address has.
fn loopback(host: &str) -> &str {
    if host == "127.0.0.1" {
        "localhost"
    } else {
        host
    }
}

fn allows(transport: Transport, ip: IpAddr) -> bool {
    match transport {
        Transport::Tcp4 => ip.is_ipv4(),
        Transport::Tcp6 => ip.is_ipv6(),
        _ => true,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => Endpoint::new(host.as_str(), *port).fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
