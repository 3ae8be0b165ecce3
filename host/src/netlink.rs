//! Asking the kernel for lists: `NETLINK_ROUTE` (rtnetlink(7)) and generic netlink, on which
//! `crate::generic_netlink` builds.
//!
//! A request for a dump is answered with messages of one type, each a fixed head and attributes.
//! Only what is asked for here is taken apart; bytes that make no sense end the list.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use parking_lot::Mutex;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

use crate::HostError;

/// `RTM_GETLINK`.
pub const LINKS: u16 = 18;
/// `RTM_GETADDR`.
pub const ADDRESSES: u16 = 22;
/// `RTM_GETROUTE`.
pub const ROUTES: u16 = 26;
/// `RTM_GETQDISC`.
pub const QDISCS: u16 = 38;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`
pub(crate) const DUMP: u16 = 0x301;
/// `NLM_F_REQUEST | NLM_F_ACK`: the answer to a request for one thing ends with an error that is none.
pub(crate) const ACKNOWLEDGED: u16 = 0x5;
/// Bytes of a message's own head.
const HEAD: usize = 16;

/// Shows every message of a dump without its netlink head. `head` is what the request itself has
/// to say: zeros for everything.
///
/// # Errors
///
/// The kernel refuses, or has no such list.
pub fn dump(request: u16, head: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), HostError> {
    /// Kept between two requests, as every scrape has one; taken by whoever asks. It is closed where
    /// the rest of an answer may still come.
    static KEPT: Mutex<Option<OwnedFd>> = Mutex::new(None);
    let kept = KEPT.lock().take();
    let ask = || {
        // `NETLINK_ROUTE` is the protocol 0.
        let socket = kept.map_or_else(|| open(None), Ok)?;
        if exchange(&socket, request, DUMP, head, show)? == Rest::Nothing {
            *KEPT.lock() = Some(socket);
        }
        Ok(())
    };
    ask().map_err(|source| HostError::read(Path::new("netlink"), source))
}

/// Sends one request over a socket of its own and shows the answers, without their netlink heads.
/// `flags` has to make the kernel end its answer: [`DUMP`] or [`ACKNOWLEDGED`].
pub(crate) fn ask(
    protocol: Option<Protocol>,
    request: u16,
    flags: u16,
    head: &[u8],
    show: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    exchange(&open(protocol)?, request, flags, head, show).map(|_| ())
}

/// What follows a part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    More,
    Nothing,
    /// The part made no sense: nobody can say.
    Unknown,
}

fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn exchange(
    socket: &OwnedFd,
    request: u16,
    flags: u16,
    head: &[u8],
    show: &mut dyn FnMut(&[u8]),
) -> io::Result<Rest> {
    let length = u32::try_from(HEAD + head.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEAD + head.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&request.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    // The number of the request, and the sender, whom the kernel fills in.
    message.extend_from_slice(&1u32.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(head);
    sendto(
        socket,
        &message,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    // The kernel never makes a part of a dump larger than this.
    let mut buffer = vec![0u8; 32 << 10];
    loop {
        let (count, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
        let part = buffer.get(..count).unwrap_or_default();
        match messages(part, show)? {
            Rest::More if count > 0 => {}
            rest => return Ok(rest),
        }
    }
}

/// Shows the messages of one part of an answer.
fn messages(mut part: &[u8], show: &mut dyn FnMut(&[u8])) -> io::Result<Rest> {
    while let (Some(length), Some(kind)) = (number32(part, 0), number16(part, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = part.get(HEAD..length) else {
            return Ok(Rest::Unknown);
        };
        match kind {
            NLMSG_DONE => return Ok(Rest::Nothing),
            NLMSG_ERROR => {
                let code = number32(body, 0).unwrap_or(0).cast_signed();
                if code == 0 {
                    return Ok(Rest::Nothing);
                }
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            _ => show(body),
        }
        part = part.get(aligned(length)..).unwrap_or_default();
    }
    Ok(Rest::More)
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The attributes in `bytes`: their types and contents.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(number16(rest, 0)?);
        // The highest bits say how the content is written.
        let kind = number16(rest, 2)? & 0x3fff;
        let content = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// The number of two bytes at `at`, in the host's order.
#[must_use]
pub fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number of four bytes at `at`.
#[must_use]
pub fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number of eight bytes at `at`.
#[must_use]
pub fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The names of network interfaces by their number, looked up once each.
#[derive(Debug, Default)]
pub struct InterfaceNames(std::collections::HashMap<u32, String>);

impl InterfaceNames {
    /// The name of the interface `index`; empty when it is gone.
    pub fn of(&mut self, index: u32) -> &str {
        self.0.entry(index).or_insert_with(|| {
            let socket = socket_with(
                AddressFamily::UNIX,
                SocketType::DGRAM,
                SocketFlags::CLOEXEC,
                None,
            );
            socket
                .ok()
                .and_then(|socket| rustix::net::netdevice::index_to_name(&socket, index).ok())
                .unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned() {
        let mut bytes = Vec::new();
        for (kind, content) in [(1u16, &b"abc"[..]), (7, b"1234")] {
            bytes.extend_from_slice(&u16::try_from(4 + content.len()).unwrap().to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(aligned(bytes.len()), 0);
        }
        let all: Vec<_> = attributes(&bytes).collect();
        assert_eq!(all, [(1, &b"abc"[..]), (7, b"1234")]);
        // Cut off anywhere, there is less of it and no panic; a length of 0 ends it.
        for end in 0..bytes.len() {
            assert!(attributes(&bytes[..end]).count() <= 2);
        }
        assert_eq!(attributes(&[0; 8]).count(), 0);
    }

    #[test]
    fn answers_end_or_fail() {
        let message = |kind: u16, body: &[u8]| {
            let mut bytes = u32::try_from(HEAD + body.len())
                .unwrap()
                .to_ne_bytes()
                .to_vec();
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.resize(HEAD, 0);
            bytes.extend_from_slice(body);
            bytes
        };
        let mut shown = 0;
        let answer = [message(24, b"1234"), message(NLMSG_DONE, b"")].concat();
        let rest = |part: &[u8]| messages(part, &mut |_| {}).unwrap();
        assert_eq!(
            messages(&answer, &mut |_| shown += 1).unwrap(),
            Rest::Nothing
        );
        assert_eq!(shown, 1);
        assert_eq!(rest(&message(24, b"")), Rest::More);
        let refused = message(NLMSG_ERROR, &(-1i32).to_ne_bytes());
        assert_eq!(
            messages(&refused, &mut |_| {}).unwrap_err().raw_os_error(),
            Some(1)
        );
        // An acknowledgement ends it too.
        assert_eq!(rest(&message(NLMSG_ERROR, &[0; 4])), Rest::Nothing);
        // A length that leads nowhere ends the list.
        assert_eq!(rest(&[255; 20]), Rest::Unknown);
        assert_eq!(rest(&[0; 20]), Rest::Unknown);
    }

    #[test]
    fn the_kernel_answers() {
        let mut routes = 0;
        dump(ROUTES, &[0; 12], &mut |_| routes += 1).unwrap();
        // Over the same socket, after one that was refused.
        assert!(dump(u16::MAX, &[0; 12], &mut |_| {}).is_err());
        for _ in 0..3 {
            let mut again = 0;
            dump(ROUTES, &[0; 12], &mut |_| again += 1).unwrap();
            assert_eq!(again, routes);
        }
        let mut names = InterfaceNames::default();
        assert_eq!(names.of(u32::MAX), "");
        assert_eq!(names.of(1), "lo");
    }
}
