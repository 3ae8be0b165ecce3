//! What ways of sending the network interfaces know, and which they tell the other end of: the
//! kernel's family `ethtool` (Documentation/networking/ethtool-netlink.rst).

use std::borrow::Cow;

use crate::HostError;
use crate::generic_netlink::{GenericFamily, put};
use crate::netlink::{attributes, number32};
use crate::scan::valid;

/// `ETHTOOL_MSG_LINKMODES_GET`
const GET: u8 = 4;
/// `ETHTOOL_A_LINKMODES_HEADER`, `_AUTONEG` and `_OURS`.
const HEADER: u16 = 1;
const NEGOTIATES: u16 = 2;
const OURS: u16 = 3;
/// `ETHTOOL_A_HEADER_DEV_NAME` and `_FLAGS`.
const HEADER_NAME: u16 = 2;
const HEADER_FLAGS: u16 = 3;
/// `ETHTOOL_A_BITSET_VALUE` and `_MASK`.
const SET_VALUE: u16 = 4;
const SET_MASK: u16 = 5;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;

/// The ways of one interface, as sets of `ETHTOOL_LINK_MODE_..._BIT` up to the 64th.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkModes<'a> {
    /// `eth0`
    pub name: Cow<'a, str>,
    /// Whether it finds out by itself how to send.
    pub negotiates: bool,
    /// What it can do.
    pub supported: u64,
    /// What it tells the other end that it can do.
    pub advertised: u64,
}

/// Shows what every interface knows whose driver tells. A kernel without the family has none.
///
/// # Errors
///
/// The kernel refuses.
pub fn each(show: &mut dyn FnMut(&LinkModes<'_>)) -> Result<(), HostError> {
    let Some(family) = GenericFamily::find("ethtool")? else {
        return Ok(());
    };
    let mut head = Vec::new();
    // ETHTOOL_FLAG_COMPACT_BITSETS: sets as bits, not as names.
    put(HEADER_FLAGS, &1u32.to_ne_bytes(), &mut head);
    let mut request = Vec::new();
    put(HEADER | NESTED, &head, &mut request);
    family.dump(GET, &request, &mut |message| {
        if let Some(modes) = parse(message) {
            show(&modes);
        }
    })
}

/// The attributes of one interface's answer; `None` when they do not name it.
fn parse(message: &[u8]) -> Option<LinkModes<'_>> {
    let mut modes = LinkModes::default();
    for (kind, content) in attributes(message) {
        match kind {
            HEADER => {
                let (_, name) = attributes(content).find(|(kind, _)| *kind == HEADER_NAME)?;
                modes.name = valid(name.strip_suffix(b"\0").unwrap_or(name));
            }
            NEGOTIATES => modes.negotiates = content.first() == Some(&1),
            OURS => {
                for (kind, content) in attributes(content) {
                    match kind {
                        SET_VALUE => modes.advertised = bits(content),
                        SET_MASK => modes.supported = bits(content),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (!modes.name.is_empty()).then_some(modes)
}

/// A set's first 64 bits: words of 32 bits, the lowest first.
fn bits(content: &[u8]) -> u64 {
    let word = |at| u64::from(number32(content, at).unwrap_or(0));
    word(0) | word(4) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded() -> Vec<u8> {
        let mut head = Vec::new();
        put(1, &2u32.to_ne_bytes(), &mut head);
        put(HEADER_NAME, b"eth0\0", &mut head);
        let mut set = Vec::new();
        put(2, &92u32.to_ne_bytes(), &mut set);
        let words = |words: [u32; 3]| words.map(u32::to_ne_bytes).concat();
        put(SET_VALUE, &words([0x2020, 1, 0]), &mut set);
        put(SET_MASK, &words([0x2060, 3, 9]), &mut set);
        let mut message = Vec::new();
        put(HEADER | NESTED, &head, &mut message);
        put(NEGOTIATES, &[1], &mut message);
        put(OURS | NESTED, &set, &mut message);
        message
    }

    #[test]
    fn answers_are_taken_apart() {
        let expected = LinkModes {
            name: "eth0".into(),
            negotiates: true,
            supported: 0x3_0000_2060,
            advertised: 0x1_0000_2020,
        };
        assert_eq!(parse(&recorded()), Some(expected));
        assert_eq!(parse(b""), None);
    }

    proptest! {
        #[test]
        fn garbled_answers_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), end in 0usize..200) {
            let mut message = recorded();
            for (at, byte) in changes {
                let at = at.index(message.len());
                message[at] = byte;
            }
            message.truncate(end);
            let _ = parse(&message);
        }
    }

    #[test]
    fn the_kernel_answers() {
        each(&mut |modes| assert!(!modes.name.is_empty())).unwrap();
    }
}
