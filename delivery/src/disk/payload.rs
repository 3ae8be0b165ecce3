//! What a record of the disk queue holds. This format is final: version 1 will always be read.
//!
//! ```text
//! size
//!    1  version: 1
//!    1  signal: 1 logs, 2 metrics, 3 traces
//!    1  flags: bit 0 the source can replay it; the others are 0
//!    1  the sender's address: 0 unknown, 4 IPv4, 6 IPv6
//!    4  items, as counted when it came in
//!    8  when it was accepted, ns since 1970
//!    2  entries of metadata (n)
//!    4  segments (m)
//!   0 | 6 | 18  the address: 4 or 16 bytes as on the wire, 2 bytes port
//!    n × (4 length, name, 4 length, value)   the sender's metadata, UTF-8
//!    m × (4 length, an OTLP Export…ServiceRequest as it came in)
//! ```
//!
//! All numbers are little-endian. Nothing may follow.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use corten_component::{Batch, ClientMetadata, Signal};
use corten_pdata::{Data, Segment};

const VERSION: u8 = 1;
const REPLAYABLE: u8 = 1;

/// Why a record can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It ends too early or goes on too long.
    #[error("the record's length does not fit its contents")]
    Length,
    /// Written by a later version.
    #[error("the record has version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// No such signal.
    #[error("the record's signal {0} is unknown")]
    Signal(u8),
    /// A name or a value is no text.
    #[error("the record's metadata is not UTF-8")]
    Text,
    /// The telemetry isn't valid OTLP.
    #[error("the record's telemetry is malformed: {0}")]
    Telemetry(String),
}

fn number(signal: Signal) -> u8 {
    match signal {
        Signal::Logs => 1,
        Signal::Metrics => 2,
        Signal::Traces => 3,
    }
}

fn short(len: usize) -> u32 {
    // Records are cut long before this could overflow.
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The record of a batch, in parts that share the batch's bytes.
pub(crate) fn encode(batch: &Batch) -> Vec<Bytes> {
    let segments = batch.data.segments();
    let entries: Vec<_> = batch.metadata.entries().collect();
    let mut head = BytesMut::with_capacity(64);
    head.put_u8(VERSION);
    head.put_u8(number(batch.signal()));
    head.put_u8(if batch.replayable { REPLAYABLE } else { 0 });
    let peer = batch.metadata.peer();
    head.put_u8(match peer.map(|peer| peer.ip()) {
        None => 0,
        Some(IpAddr::V4(_)) => 4,
        Some(IpAddr::V6(_)) => 6,
    });
    head.put_u32_le(short(batch.items()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0));
    head.put_u64_le(nanos);
    let entries = entries.get(..usize::from(u16::MAX)).unwrap_or(&entries);
    head.put_u16_le(u16::try_from(entries.len()).unwrap_or(u16::MAX));
    head.put_u32_le(short(segments.len()));
    if let Some(peer) = peer {
        match peer.ip() {
            IpAddr::V4(ip) => head.put_slice(&ip.octets()),
            IpAddr::V6(ip) => head.put_slice(&ip.octets()),
        }
        head.put_u16_le(peer.port());
    }
    for text in entries.iter().flat_map(|(name, value)| [name, value]) {
        head.put_u32_le(short(text.len()));
        head.put_slice(text.as_bytes());
    }
    let mut parts = Vec::with_capacity(2 * segments.len());
    for segment in segments {
        head.put_u32_le(short(segment.bytes().len()));
        parts.push(head.split().freeze());
        parts.push(segment.bytes().clone());
    }
    if segments.is_empty() {
        parts.push(head.freeze());
    }
    parts
}

/// The items of a record, as counted when it came in, without reading the rest; 0 of what is no record.
pub(crate) fn items(bytes: &[u8]) -> usize {
    let items = bytes.get(4..8).and_then(|four| four.first_chunk::<4>());
    let items = items.map_or(0, |four| u32::from_le_bytes(*four));
    usize::try_from(items).unwrap_or(usize::MAX)
}

/// When a record was accepted, ns since 1970; 0 of what is no record.
pub(crate) fn accepted(bytes: &[u8]) -> u64 {
    let nanos = bytes.get(8..16).and_then(|eight| eight.first_chunk::<8>());
    nanos.map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// The batch of a record. Everything is checked, also the telemetry.
pub(crate) fn decode(mut bytes: Bytes) -> Result<Batch, Unreadable> {
    let length = |_| Unreadable::Length;
    let version = bytes.try_get_u8().map_err(length)?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let signal = match bytes.try_get_u8().map_err(length)? {
        1 => Signal::Logs,
        2 => Signal::Metrics,
        3 => Signal::Traces,
        other => return Err(Unreadable::Signal(other)),
    };
    let flags = bytes.try_get_u8().map_err(length)?;
    let family = bytes.try_get_u8().map_err(length)?;
    let _items = bytes.try_get_u32_le().map_err(length)?;
    let _accepted = bytes.try_get_u64_le().map_err(length)?;
    let entries = bytes.try_get_u16_le().map_err(length)?;
    let segments = bytes.try_get_u32_le().map_err(length)?;
    let ip = match family {
        4 => Some(IpAddr::from(address::<4>(&mut bytes)?)),
        6 => Some(IpAddr::from(address::<16>(&mut bytes)?)),
        _ => None,
    };
    let peer = match ip {
        Some(ip) => Some(SocketAddr::new(ip, bytes.try_get_u16_le().map_err(length)?)),
        None => None,
    };
    let mut metadata = Vec::new();
    for _ in 0..entries {
        metadata.push((text(&mut bytes)?, text(&mut bytes)?));
    }
    let mut read = Vec::new();
    for _ in 0..segments {
        let part = part(&mut bytes)?;
        let segment = Segment::validate(signal, part)
            .map_err(|error| Unreadable::Telemetry(error.to_string()))?;
        read.push(segment);
    }
    if !bytes.is_empty() {
        return Err(Unreadable::Length);
    }
    let metadata = if metadata.is_empty() && peer.is_none() {
        ClientMetadata::none()
    } else {
        let known = ClientMetadata::from_entries(metadata);
        Arc::new(match peer {
            Some(peer) => known.with_peer(peer),
            None => known,
        })
    };
    let batch = Batch::new(Data::from_segments(signal, read)).with_metadata(metadata);
    Ok(match flags & REPLAYABLE {
        0 => batch,
        _ => batch.replayable(),
    })
}

fn address<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], Unreadable> {
    let mut octets = [0; N];
    bytes
        .try_copy_to_slice(&mut octets)
        .map_err(|_| Unreadable::Length)?;
    Ok(octets)
}

fn part(bytes: &mut Bytes) -> Result<Bytes, Unreadable> {
    let len = bytes.try_get_u32_le().map_err(|_| Unreadable::Length)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > bytes.len() {
        return Err(Unreadable::Length);
    }
    Ok(bytes.split_to(len))
}

fn text(bytes: &mut Bytes) -> Result<String, Unreadable> {
    let part = part(bytes)?;
    String::from_utf8(part.to_vec()).map_err(|_| Unreadable::Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(parts: &[Bytes]) -> Bytes {
        parts.concat().into()
    }

    /// One scope log with one empty record per item.
    fn logs(items: usize) -> Segment {
        let mut scope = Vec::new();
        for _ in 0..items {
            scope.extend_from_slice(&[0x12, 0]);
        }
        let mut resource = vec![0x12, u8::try_from(scope.len()).unwrap()];
        resource.extend(scope);
        let mut request = vec![0x0a, u8::try_from(resource.len()).unwrap()];
        request.extend(resource);
        Segment::validate(Signal::Logs, request.into()).unwrap()
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        for peer in [None, Some("10.0.0.1:99"), Some("[::1]:4317")] {
            let mut metadata = ClientMetadata::from_entries([("X-Scope-OrgID", "a"), ("b", "ü")]);
            if let Some(peer) = peer {
                metadata = metadata.with_peer(peer.parse().unwrap());
            }
            let data = Data::from_segments(Signal::Logs, [logs(3), logs(1)]);
            let batch = Batch::new(data)
                .replayable()
                .with_metadata(Arc::new(metadata));
            let read = decode(joined(&encode(&batch))).unwrap();
            assert_eq!(read.data, batch.data);
            assert_eq!(read.metadata, batch.metadata);
            assert!(read.replayable && read.mergeable_with(&batch));
        }
        let plain = decode(joined(&encode(&Batch::new(Data::empty(Signal::Traces))))).unwrap();
        assert_eq!(plain.signal(), Signal::Traces);
        assert!(!plain.replayable && Arc::ptr_eq(&plain.metadata, &ClientMetadata::none()));
    }

    #[test]
    fn the_format_is_fixed() {
        let metadata = ClientMetadata::from_entries([("k", "vw")]);
        let batch = Batch::new(Data::from_segments(Signal::Logs, [logs(1)]))
            .with_metadata(Arc::new(metadata.with_peer("1.2.3.4:258".parse().unwrap())));
        let mut bytes = joined(&encode(&batch)).to_vec();
        bytes[8..16].fill(0);
        let mut expected = vec![1, 1, 0, 4, 1, 0, 0, 0];
        expected.extend([0; 8]);
        expected.extend([1, 0, 1, 0, 0, 0]);
        expected.extend([1, 2, 3, 4, 2, 1]);
        expected.extend([1, 0, 0, 0, b'k', 2, 0, 0, 0, b'v', b'w']);
        expected.extend([6, 0, 0, 0, 0x0a, 4, 0x12, 2, 0x12, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn unknown_versions_and_signals_are_named() {
        assert_eq!(
            decode(Bytes::from_static(&[9])).unwrap_err(),
            Unreadable::Version(9)
        );
        assert_eq!(
            decode(Bytes::from_static(&[1, 7])).unwrap_err(),
            Unreadable::Signal(7)
        );
        assert_eq!(decode(Bytes::new()).unwrap_err(), Unreadable::Length);
    }

    proptest! {
        #[test]
        fn outside_bytes_never_panic(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            flip in any::<prop::sample::Index>(),
            bits in any::<u8>(),
        ) {
            drop(decode(noise.clone().into()));
            let batch = Batch::new(Data::from_segments(Signal::Logs, [logs(3), logs(1)]));
            let mut bytes = joined(&encode(&batch)).to_vec();
            let at = flip.index(bytes.len());
            bytes[at] ^= bits;
            drop(decode(bytes.clone().into()));
            bytes.truncate(at);
            prop_assert!(decode(bytes.into()).is_err());
        }
    }
}
