//! Wireless networks: the kernel's family `nl80211` (`linux/nl80211.h`).

use crate::HostError;
use crate::generic_netlink::{GenericFamily, put};
use crate::netlink::{attributes, number16, number32, number64};

/// `NL80211_CMD_GET_INTERFACE`, `_GET_STATION` and `_GET_SCAN`.
const GET_INTERFACE: u8 = 5;
const GET_STATION: u8 = 17;
const GET_SCAN: u8 = 32;
/// `NL80211_ATTR_IFINDEX`, `_IFNAME`, `_MAC`, `_STA_INFO`, `_WIPHY_FREQ` and `_BSS`.
const INDEX: u16 = 3;
const NAME: u16 = 4;
const MAC: u16 = 6;
const STATION: u16 = 21;
const FREQUENCY: u16 = 38;
const BSS: u16 = 47;
/// `NL80211_BSS_BSSID`, `_INFORMATION_ELEMENTS` and `_STATUS`.
const BSS_ID: u16 = 1;
const BSS_ELEMENTS: u16 = 6;
const BSS_STATUS: u16 = 9;
/// `NL80211_RATE_INFO_BITRATE` and `_BITRATE32`, both in 100 kbit/s.
const RATE: u16 = 1;
const RATE_32: u16 = 5;

/// A hardware's address.
pub type Mac = [u8; 6];

/// An interface of a wireless card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// `wlan0`; empty for what has no network device.
    pub name: String,
    /// Its own address.
    pub address: Option<Mac>,
    /// What it sends on, in MHz; 0 where it is on no channel.
    pub frequency: u32,
}

/// The network that an interface is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The name; what is no UTF-8 in it is replaced.
    pub ssid: String,
    /// The access point's address.
    pub bssid: Mac,
    /// `NL80211_BSS_STATUS_…`: 1 as a client, 2 as one among equals.
    pub status: u32,
}

/// Somebody that an interface speaks with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    /// Its address.
    pub address: Mac,
    /// For how long, in seconds.
    pub connected: u32,
    /// Since when nothing was heard, in milliseconds.
    pub inactive: u32,
    /// Bytes.
    pub received_bytes: u64,
    /// Bytes.
    pub transmitted_bytes: u64,
    /// Packets.
    pub received_packets: u32,
    /// Packets.
    pub transmitted_packets: u32,
    /// Bits a second.
    pub receive_rate: u64,
    /// Bits a second.
    pub transmit_rate: u64,
    /// dBm.
    pub signal: i8,
    /// Packets that were sent again.
    pub retries: u32,
    /// Packets that were given up.
    pub failed: u32,
    /// How often the access point was not heard for too long.
    pub beacon_loss: u32,
}

/// Asks the kernel about wireless interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Wireless(GenericFamily);

impl Wireless {
    /// `None` where the kernel has no wireless networks.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn find() -> Result<Option<Self>, HostError> {
        Ok(GenericFamily::find("nl80211")?.map(Self))
    }

    /// Every interface.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn interfaces(self) -> Result<Vec<Interface>, HostError> {
        let mut all = Vec::new();
        self.0.dump(GET_INTERFACE, &[], &mut |message| {
            all.push(interface(message));
        })?;
        Ok(all)
    }

    /// The network that an interface is a part of, if it is of any.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn network(self, of: &Interface) -> Result<Option<Network>, HostError> {
        let mut found = None;
        self.0.dump(GET_SCAN, &about(of), &mut |message| {
            found = found.take().or_else(|| network(message));
        })?;
        Ok(found)
    }

    /// Whom an interface speaks with.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn stations(self, of: &Interface) -> Result<Vec<Station>, HostError> {
        let mut all = Vec::new();
        self.0.dump(GET_STATION, &about(of), &mut |message| {
            all.extend(station(message));
        })?;
        Ok(all)
    }
}

fn about(interface: &Interface) -> Vec<u8> {
    let mut request = Vec::new();
    put(INDEX, &interface.index.to_ne_bytes(), &mut request);
    if let Some(address) = interface.address {
        put(MAC, &address, &mut request);
    }
    request
}

fn mac(content: &[u8]) -> Option<Mac> {
    content.get(..6)?.try_into().ok()
}

fn interface(message: &[u8]) -> Interface {
    let mut found = Interface::default();
    for (kind, content) in attributes(message) {
        match kind {
            INDEX => found.index = number32(content, 0).unwrap_or_default(),
            NAME => found.name = text(content.strip_suffix(b"\0").unwrap_or(content)),
            MAC => found.address = mac(content),
            FREQUENCY => found.frequency = number32(content, 0).unwrap_or_default(),
            _ => {}
        }
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What an answer says of a network; `None` of one that the interface only heard of.
fn network(message: &[u8]) -> Option<Network> {
    let (_, bss) = attributes(message).find(|(kind, _)| *kind == BSS)?;
    let mut found = Network::default();
    let mut is_own = false;
    for (kind, content) in attributes(bss) {
        match kind {
            BSS_ID => found.bssid = mac(content).unwrap_or_default(),
            BSS_STATUS => {
                is_own = true;
                found.status = number32(content, 0).unwrap_or_default();
            }
            BSS_ELEMENTS => found.ssid = ssid(content).map(text).unwrap_or_default(),
            _ => {}
        }
    }
    is_own.then_some(found)
}

/// The name among elements of a kind, a length and as many bytes (IEEE 802.11, 9.4.2): the kind is 0.
fn ssid(mut elements: &[u8]) -> Option<&[u8]> {
    while let [kind, len, rest @ ..] = elements {
        let (content, after) = rest.split_at_checked(usize::from(*len))?;
        if *kind == 0 {
            return Some(content);
        }
        elements = after;
    }
    None
}

fn rate(content: &[u8]) -> u64 {
    let of = |wanted| attributes(content).find(|(kind, _)| *kind == wanted);
    let exact = of(RATE_32).and_then(|(_, content)| number32(content, 0));
    let short = of(RATE).and_then(|(_, content)| number16(content, 0));
    let hundreds = exact.or(short.map(u32::from)).unwrap_or_default();
    u64::from(hundreds) * 100_000
}

fn station(message: &[u8]) -> Option<Station> {
    let (_, info) = attributes(message).find(|(kind, _)| *kind == STATION)?;
    let address = attributes(message).find(|(kind, _)| *kind == MAC);
    let mut found = Station {
        address: address
            .and_then(|(_, content)| mac(content))
            .unwrap_or_default(),
        ..Station::default()
    };
    // NL80211_STA_INFO_…; counts of bytes come in both lengths, the longer one last.
    for (kind, content) in attributes(info) {
        let number = || number32(content, 0).unwrap_or_default();
        match kind {
            1 => found.inactive = number(),
            2 => found.received_bytes = found.received_bytes.max(number().into()),
            3 => found.transmitted_bytes = found.transmitted_bytes.max(number().into()),
            7 => found.signal = content.first().map_or(0, |byte| byte.cast_signed()),
            8 => found.transmit_rate = rate(content),
            9 => found.received_packets = number(),
            10 => found.transmitted_packets = number(),
            11 => found.retries = number(),
            12 => found.failed = number(),
            14 => found.receive_rate = rate(content),
            16 => found.connected = number(),
            18 => found.beacon_loss = number(),
            23 => found.received_bytes = number64(content, 0).unwrap_or_default(),
            24 => found.transmitted_bytes = number64(content, 0).unwrap_or_default(),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, content) in parts {
            put(*kind, content, &mut out);
        }
        out
    }

    #[test]
    fn answers_are_taken_apart() {
        let address = [1, 2, 3, 4, 5, 6];
        let told = message(&[
            (INDEX, &3u32.to_ne_bytes()),
            (NAME, b"wlan0\0"),
            (MAC, &address),
            (FREQUENCY, &2412u32.to_ne_bytes()),
        ]);
        let expected = Interface {
            index: 3,
            name: "wlan0".to_owned(),
            address: Some(address),
            frequency: 2412,
        };
        assert_eq!(interface(&told), expected);
        // What it only heard of is not its own.
        let heard = message(&[(BSS_ID, &address)]);
        assert_eq!(network(&message(&[(BSS, &heard)])), None);
        let elements = [&[1, 1, 9][..], &[0, 4], b"home"].concat();
        let own = message(&[
            (BSS_ID, &address),
            (BSS_ELEMENTS, &elements),
            (BSS_STATUS, &1u32.to_ne_bytes()),
        ]);
        let expected = Network {
            ssid: "home".to_owned(),
            bssid: address,
            status: 1,
        };
        assert_eq!(network(&message(&[(BSS, &own)])), Some(expected));
        let rates = message(&[
            (RATE, &54u16.to_ne_bytes()),
            (RATE_32, &1300u32.to_ne_bytes()),
        ]);
        let number = |number: u32| number.to_ne_bytes();
        let info = message(&[
            (1, &number(400)),
            (2, &number(10)),
            (23, &(1u64 << 33).to_ne_bytes()),
            (3, &number(11)),
            (7, &[204]),
            (8, &rates),
            (9, &number(12)),
            (10, &number(13)),
            (11, &number(14)),
            (12, &number(15)),
            (16, &number(30)),
            (18, &number(16)),
        ]);
        let told = station(&message(&[(MAC, &address), (STATION, &info)])).unwrap();
        assert_eq!(
            (told.address, told.inactive, told.connected, told.signal),
            (address, 400, 30, -52)
        );
        assert_eq!((told.received_bytes, told.transmitted_bytes), (1 << 33, 11));
        assert_eq!((told.transmit_rate, told.receive_rate), (130_000_000, 0));
        assert_eq!((told.received_packets, told.transmitted_packets), (12, 13));
        assert_eq!((told.retries, told.failed, told.beacon_loss), (14, 15, 16));
    }

    #[test]
    fn this_host_answers() {
        if let Some(wireless) = Wireless::find().unwrap() {
            for one in wireless.interfaces().unwrap() {
                assert!(wireless.stations(&one).is_ok());
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes: Vec<u8>) {
            drop((interface(&bytes), network(&bytes), station(&bytes), ssid(&bytes).is_some()));
        }
    }
}
