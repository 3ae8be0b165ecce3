//! The network interfaces as netlink tells of them: one question for what `/sys/class/net` has in two
//! dozen files an interface.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::HostError;
use crate::netlink::{ADDRESSES, LINKS, attributes, dump, number16, number32, number64};
use crate::scan::valid;

/// An interface. What a kernel does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link<'a> {
    /// `eth0`
    pub name: Cow<'a, str>,
    /// Its number.
    pub index: u32,
    /// What kind of hardware it is (`ARPHRD_…`).
    pub kind: u16,
    /// `IFF_…`, as netlink has them: `RUNNING`, `LOWER_UP` and `DORMANT` are the present state.
    pub flags: u32,
    /// Hardware address.
    pub address: &'a [u8],
    /// Hardware address of all.
    pub broadcast: &'a [u8],
    /// Bytes of a packet.
    pub mtu: Option<u32>,
    /// The interface below it; itself where there is none.
    pub link: u32,
    /// Packets in the queue to send.
    pub queue: Option<u32>,
    /// `IF_OPER_…`
    pub state: Option<u8>,
    /// `IF_LINK_MODE_…`
    pub mode: Option<u8>,
    /// What somebody calls it.
    pub alias: Cow<'a, str>,
    /// What else it is called.
    pub alternatives: Vec<Cow<'a, str>>,
    /// What makes interfaces like it (`ifb`, `veth`, `bridge`); empty for hardware.
    pub maker: Cow<'a, str>,
    /// Its group.
    pub group: Option<u32>,
    /// Whether there is a carrier.
    pub carrier: Option<u8>,
    /// Times that the carrier came or went, came, and went.
    pub carrier_changes: [Option<u32>; 3],
    /// What it has carried (`rtnl_link_stats64`), in the order of [`STATISTICS`].
    pub statistics: [Option<u64>; STATISTICS.len()],
}

/// The counters of `rtnl_link_stats64` (`linux/if_link.h`), under the names that node_exporter gives them. The last
/// one is not told by every kernel.
pub const STATISTICS: [&str; 24] = [
    "receive_packets",
    "transmit_packets",
    "receive_bytes",
    "transmit_bytes",
    "receive_errors",
    "transmit_errors",
    "receive_dropped",
    "transmit_dropped",
    "multicast",
    "collisions",
    "receive_length_errors",
    "receive_over_errors",
    "receive_crc_errors",
    "receive_frame_errors",
    "receive_fifo_errors",
    "receive_missed_errors",
    "transmit_aborted_errors",
    "transmit_carrier_errors",
    "transmit_fifo_errors",
    "transmit_heartbeat_errors",
    "transmit_window_errors",
    "receive_compressed",
    "transmit_compressed",
    "receive_nohandler",
];

const IFF_UP: u32 = 1;
const IFF_DORMANT: u32 = 1 << 17;

impl Link<'_> {
    /// Whether somebody has turned it on.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether it waits for something else before it can carry data.
    #[must_use]
    pub fn is_dormant(&self) -> bool {
        self.flags & IFF_DORMANT != 0
    }

    /// What sysfs calls its state.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            Some(1) => "notpresent",
            Some(2) => "down",
            Some(3) => "lowerlayerdown",
            Some(4) => "testing",
            Some(5) => "dormant",
            Some(6) => "up",
            _ => "unknown",
        }
    }
}

/// A request for all interfaces: the head is one of an interface, zeros for all of them. What is told beside is a third less
/// work for the kernel without the counters of IPv6 and of virtual functions (`IFLA_EXT_MASK`: `RTEXT_FILTER_SKIP_STATS`).
fn request() -> [u8; 24] {
    const IFLA_EXT_MASK: u16 = 29;
    const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
    let mut request = [0; 24];
    let (_, attribute) = request.split_at_mut(16);
    let (length, rest) = attribute.split_at_mut(2);
    let (kind, mask) = rest.split_at_mut(2);
    length.copy_from_slice(&8u16.to_ne_bytes());
    kind.copy_from_slice(&IFLA_EXT_MASK.to_ne_bytes());
    mask.copy_from_slice(&RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request
}

/// Shows all interfaces of the reader's network.
///
/// # Errors
///
/// The kernel refuses.
pub fn each(show: &mut dyn FnMut(&Link<'_>)) -> Result<(), HostError> {
    dump(LINKS, &request(), &mut |message| {
        if let Some(link) = parse(message) {
            show(&link);
        }
    })
}

/// An `ifinfomsg`: family, type, number, flags, a mask; then attributes.
fn parse(message: &[u8]) -> Option<Link<'_>> {
    let index = number32(message, 4)?;
    let mut link = Link {
        index,
        link: index,
        kind: number16(message, 2)?,
        flags: number32(message, 8)?,
        ..Link::default()
    };
    let [changes, up, down] = &mut link.carrier_changes;
    for (kind, content) in attributes(message.get(16..)?) {
        let text = || terminated(content);
        match kind {
            1 => link.address = content,
            2 => link.broadcast = content,
            3 => link.name = text(),
            4 => link.mtu = number32(content, 0),
            5 => link.link = number32(content, 0)?,
            13 => link.queue = number32(content, 0),
            16 => link.state = content.first().copied(),
            17 => link.mode = content.first().copied(),
            18 => {
                let maker = attributes(content).find(|(kind, _)| *kind == 1);
                if let Some((_, name)) = maker {
                    link.maker = terminated(name);
                }
            }
            20 => link.alias = text(),
            23 => {
                for (at, counter) in link.statistics.iter_mut().enumerate() {
                    *counter = number64(content, at * 8);
                }
            }
            27 => link.group = number32(content, 0),
            33 => link.carrier = content.first().copied(),
            35 => *changes = number32(content, 0),
            47 => *up = number32(content, 0),
            48 => *down = number32(content, 0),
            // A list of properties, of which names are the only kind so far.
            52 => {
                let names = attributes(content).filter(|(kind, _)| *kind == 53);
                link.alternatives
                    .extend(names.map(|(_, name)| terminated(name)));
            }
            _ => {}
        }
    }
    Some(link)
}

/// Text that a zero ends.
fn terminated(text: &[u8]) -> Cow<'_, str> {
    valid(text.strip_suffix(b"\0").unwrap_or(text))
}

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's number.
    pub index: u32,
    /// Bits of the network's part.
    pub prefix: u8,
    /// The address itself, not that of the other end of a link between two.
    pub address: IpAddr,
}

/// Shows the addresses of all interfaces of the reader's network.
///
/// # Errors
///
/// The kernel refuses.
pub fn each_address(show: &mut dyn FnMut(InterfaceAddress)) -> Result<(), HostError> {
    // The head is one of an address: zeros for all of them.
    dump(ADDRESSES, &[0; 8], &mut |message| {
        if let Some(address) = parse_address(message) {
            show(address);
        }
    })
}

/// An `ifaddrmsg`: family, bits, flags, scope, the interface's number; then attributes.
fn parse_address(message: &[u8]) -> Option<InterfaceAddress> {
    let (mut own, mut other) = (None, None);
    for (kind, content) in attributes(message.get(8..)?) {
        let address = || match *content {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(content).ok()?)),
        };
        match kind {
            1 => other = address(),
            2 => own = address(),
            _ => {}
        }
    }
    Some(InterfaceAddress {
        index: number32(message, 4)?,
        prefix: *message.get(1)?,
        address: own.or(other)?,
    })
}

/// A hardware address as sysfs writes it: `00:1a:…`.
pub fn write_address(address: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.clear();
    for (index, byte) in address.iter().enumerate() {
        if index > 0 {
            out.push(':');
        }
        for digit in [byte >> 4, byte & 15] {
            out.push(
                DIGITS
                    .get(usize::from(digit))
                    .map_or('?', |digit| char::from(*digit)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + content.len())
            .unwrap()
            .to_ne_bytes()
            .to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn less_is_told_than_for_a_plain_request() {
        let (mut plain, mut asked) = (0, 0);
        dump(LINKS, &[0; 16], &mut |message| plain += message.len()).unwrap();
        dump(LINKS, &request(), &mut |message| asked += message.len()).unwrap();
        assert!(asked < plain, "{asked} of {plain} bytes");
        let mut names = Vec::new();
        each(&mut |link| {
            assert!(link.statistics[0].is_some());
            names.push(link.name.to_string());
        })
        .unwrap();
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
    }

    #[test]
    fn messages_are_taken_apart() {
        let mut message = vec![0, 0];
        message.extend_from_slice(&772u16.to_ne_bytes());
        message.extend_from_slice(&7u32.to_ne_bytes());
        message.extend_from_slice(&0x2_0001u32.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend(attribute(3, b"eth7\0"));
        message.extend(attribute(1, &[0, 0x1a, 0xff]));
        message.extend(attribute(16, &[6]));
        message.extend(attribute(47, &3u32.to_ne_bytes()));
        message.extend(attribute(18, &attribute(1, b"veth\0")));
        // The kernel marks attributes that hold others.
        let names = [attribute(53, b"lan0\0"), attribute(53, b"enp9s0\0")].concat();
        message.extend(attribute(52 | 0x8000, &names));
        let link = parse(&message).unwrap();
        assert_eq!(
            (&*link.name, link.index, link.link, link.kind),
            ("eth7", 7, 7, 772)
        );
        assert_eq!(link.maker, "veth");
        assert_eq!(link.alternatives, ["lan0", "enp9s0"]);
        assert!(link.is_up() && link.is_dormant());
        assert_eq!(link.state_name(), "up");
        assert_eq!(link.carrier_changes, [None, Some(3), None]);
        let mut address = String::new();
        write_address(link.address, &mut address);
        assert_eq!(address, "00:1a:ff");
        for end in 0..message.len() {
            let _ = parse(&message[..end]);
        }
    }

    /// What the files say is what netlink says.
    #[test]
    fn files_agree() {
        each(&mut |link| {
            let read = |file: &str| {
                let path = format!("/sys/class/net/{}/{file}", link.name);
                std::fs::read_to_string(path)
                    .map(|text| text.trim().to_owned())
                    .ok()
            };
            // In a sandbox /sys may be that of another network.
            if read("ifindex") != Some(link.index.to_string()) {
                return;
            }
            let number = |value: Option<u32>| value.map(|value| value.to_string());
            assert_eq!(read("mtu"), number(link.mtu));
            assert_eq!(read("iflink"), Some(link.link.to_string()));
            assert_eq!(read("tx_queue_len"), number(link.queue));
            assert_eq!(read("type"), Some(link.kind.to_string()));
            assert_eq!(read("netdev_group"), number(link.group));
            assert_eq!(read("link_mode"), link.mode.map(|mode| mode.to_string()));
            assert_eq!(read("operstate").as_deref(), Some(link.state_name()));
            let mut address = String::new();
            write_address(link.address, &mut address);
            assert_eq!(read("address").as_ref(), Some(&address));
            write_address(link.broadcast, &mut address);
            assert_eq!(read("broadcast").as_ref(), Some(&address));
            let [changes, up, down] = link.carrier_changes;
            assert_eq!(read("carrier_changes"), number(changes));
            assert_eq!(read("carrier_up_count"), number(up));
            assert_eq!(read("carrier_down_count"), number(down));
            if link.is_up() {
                assert_eq!(read("carrier"), link.carrier.map(|one| one.to_string()));
                assert_eq!(
                    read("dormant"),
                    Some(u8::from(link.is_dormant()).to_string())
                );
            } else {
                assert_eq!((read("carrier"), read("dormant")), (None, None));
            }
        })
        .unwrap();
    }
}
