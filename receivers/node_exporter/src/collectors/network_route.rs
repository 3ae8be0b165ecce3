//! Where packets are sent: the kernel's routes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use corten_host::HostError;
use corten_host::families::Kind::Gauge;
use corten_host::netlink::{InterfaceNames, ROUTES, attributes, dump, number16, number32};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(NetworkRoute)
}

struct NetworkRoute;

impl Collector for NetworkRoute {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut names = InterfaceNames::default();
        let mut by_device: BTreeMap<String, f64> = BTreeMap::new();
        dump(ROUTES, &[0; 12], &mut |message| {
            let Some(route) = parse(message) else { return };
            let priority = route.priority.to_string();
            for hop in &route.hops {
                let device = names.of(hop.interface);
                *by_device.entry(device.to_owned()).or_default() += 1.0;
                emit.put(
                    Gauge,
                    "node_network_route_info",
                    "The routes: always 1.",
                    &[
                        ("dest", &route.destination),
                        ("device", device),
                        ("gw", &hop.gateway),
                        ("priority", &priority),
                        ("proto", route.protocol),
                        ("src", &route.source),
                        ("weight", &hop.weight),
                    ],
                    1.0,
                );
            }
        })?;
        for (device, count) in &by_device {
            emit.put(
                Gauge,
                "node_network_routes",
                "Routes through each interface.",
                &[("device", device)],
                *count,
            );
        }
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Route {
    destination: String,
    source: String,
    priority: u32,
    protocol: &'static str,
    hops: Vec<Hop>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Hop {
    interface: u32,
    gateway: String,
    /// Empty where there is only one way.
    weight: String,
}

const RTN_UNICAST: u8 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;

/// An `rtmsg` of twelve bytes, then attributes.
fn parse(message: &[u8]) -> Option<Route> {
    if *message.get(7)? != RTN_UNICAST {
        return None;
    }
    let mut route = Route {
        destination: "default".to_owned(),
        protocol: protocol(*message.get(5)?),
        ..Route::default()
    };
    let prefix = *message.get(1)?;
    let mut only = Hop::default();
    for (kind, content) in attributes(message.get(12..)?) {
        match kind {
            RTA_DST => route.destination = format!("{}/{prefix}", address(content)),
            RTA_OIF => only.interface = number32(content, 0).unwrap_or(0),
            RTA_GATEWAY => only.gateway = address(content),
            RTA_PRIORITY => route.priority = number32(content, 0).unwrap_or(0),
            RTA_PREFSRC => route.source = address(content),
            RTA_MULTIPATH => route.hops = hops(content),
            _ => {}
        }
    }
    if route.hops.is_empty() {
        route.hops.push(only);
    }
    Some(route)
}

/// Each an `rtnexthop` (length, flags, weight less one, interface) with attributes of its own.
fn hops(mut rest: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let Some(length) = number16(rest, 0).map(usize::from) {
        let (Some(weight), Some(interface), Some(inner)) =
            (rest.get(3), number32(rest, 4), rest.get(8..length))
        else {
            break;
        };
        let gateway = attributes(inner).find(|(kind, _)| *kind == RTA_GATEWAY);
        hops.push(Hop {
            interface,
            gateway: gateway
                .map(|(_, content)| address(content))
                .unwrap_or_default(),
            weight: (u32::from(*weight) + 1).to_string(),
        });
        rest = rest
            .get(length.saturating_add(3) & !3..)
            .unwrap_or_default();
    }
    hops
}

fn address(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        Ipv4Addr::from(v4).to_string()
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        Ipv6Addr::from(v6).to_string()
    } else {
        String::new()
    }
}

/// Who made a route, as linux/rtnetlink.h numbers them.
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_ways() {
        let mut message = vec![2, 24, 0, 0, 254, 2, 0, RTN_UNICAST, 0, 0, 0, 0];
        for (kind, content) in [
            (RTA_DST, [10u8, 1, 0, 0]),
            (RTA_GATEWAY, [10, 1, 0, 1]),
            (RTA_OIF, 7u32.to_ne_bytes()),
        ] {
            message.extend_from_slice(&8u16.to_ne_bytes());
            message.extend_from_slice(&kind.to_ne_bytes());
            message.extend_from_slice(&content);
        }
        let route = parse(&message).unwrap();
        assert_eq!(
            (route.destination.as_str(), route.protocol),
            ("10.1.0.0/24", "kernel")
        );
        assert_eq!(
            route.hops,
            [Hop {
                interface: 7,
                gateway: "10.1.0.1".into(),
                weight: String::new()
            }]
        );
        message[7] = 2;
        assert_eq!(parse(&message), None);
        for end in 0..message.len() {
            assert!(parse(&message[..end]).is_none_or(|route| route.hops.len() == 1));
        }
        assert_eq!(hops(&[0; 16]), []);
    }
}
