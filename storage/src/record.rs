//! The record layout.
//!
//! ```text
//! offset size
//!      0    4  magic: F5 'C' 'R' 01 (F5 never occurs in UTF-8, so text cannot look like a record)
//!      4    4  length of the payload, bytes
//!      8    8  sequence: what the writer numbers its records with
//!     16    4  CRC32C of the payload
//!     20    4  CRC32C of the 20 bytes before
//!     24    …  payload
//! ```
//!
//! All numbers are little-endian. The header has a checksum of its own (which covers the payload's), so
//! that its length can be believed when only the payload is damaged, and so that a candidate found while
//! searching costs 20 bytes to refuse instead of its whole claimed payload.

use memchr::memmem;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 24;

/// The largest payload a record may have: 256 MiB. Bounds what a reader allocates for a damaged length.
pub const MAX_PAYLOAD: usize = 256 << 20;

pub(crate) const MAGIC: [u8; 4] = [0xF5, b'C', b'R', 0x01];

/// Wasted checksum work that one search for the next record may cost at most (bytes). Beyond it
/// only candidates that another header follows are taken; a payload full of forged headers can't make a search quadratic.
const SEARCH_BUDGET: u64 = 256 << 20;

/// The payload is larger than [`MAX_PAYLOAD`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a record of {len} bytes is over the limit of {MAX_PAYLOAD} bytes, split it")]
pub struct TooLarge {
    /// Bytes that were to be written.
    pub len: usize,
}

/// Appends one record to `out`.
pub fn write_record(out: &mut Vec<u8>, sequence: u64, payload: &[u8]) -> Result<(), TooLarge> {
    let header = header(sequence, [payload])?;
    out.reserve(HEADER_LEN + payload.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    Ok(())
}

/// The header of a record whose payload is `parts`, one after the other: for a writer that hands the
/// parts to the kernel as they are instead of copying them together.
pub fn header<'p>(
    sequence: u64,
    parts: impl IntoIterator<Item = &'p [u8]>,
) -> Result<[u8; HEADER_LEN], TooLarge> {
    let mut len = 0usize;
    let mut crc = 0;
    for part in parts {
        len = len.saturating_add(part.len());
        crc = crc32c::crc32c_append(crc, part);
    }
    let short = u32::try_from(len)
        .ok()
        .filter(|_| len <= MAX_PAYLOAD)
        .ok_or(TooLarge { len })?;
    let mut header = [0; HEADER_LEN];
    let fields = MAGIC
        .into_iter()
        .chain(short.to_le_bytes())
        .chain(sequence.to_le_bytes())
        .chain(crc.to_le_bytes());
    for (to, from) in header.iter_mut().zip(fields) {
        *to = from;
    }
    let own = header
        .first_chunk::<20>()
        .map_or(0, |head| crc32c::crc32c(head));
    for (to, from) in header.iter_mut().skip(20).zip(own.to_le_bytes()) {
        *to = from;
    }
    Ok(header)
}

/// One intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The writer's number.
    pub sequence: u64,
    /// What was written.
    pub payload: &'a [u8],
    /// Where its header begins.
    pub offset: u64,
}

impl Record<'_> {
    /// The offset after the record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + to_u64(HEADER_LEN + self.payload.len())
    }
}

/// Bytes that hold no intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged bytes begin.
    pub offset: u64,
    /// How many they are; reading goes on behind them.
    pub len: u64,
    /// What is wrong with them.
    pub reason: Reason,
}

/// What is wrong with damaged bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No record begins here.
    Header,
    /// The header is intact, the payload is not what was written.
    Payload,
    /// The header is intact, but its payload is over the reader's limit.
    TooLarge,
    /// The bytes end inside a record (or in zeros that a crash left behind): a write that was never
    /// completed. Always the last thing a reader yields; a writer that goes on cuts the file at its offset.
    Torn,
}

/// What a reader finds, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// An intact record.
    Record(Record<'a>),
    /// Skipped bytes.
    Damage(Damage),
}

/// Reads records from bytes in memory.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// Reads from the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let mut source = self.bytes;
        let Ok(step) = step(&mut source, self.offset, MAX_PAYLOAD);
        let item = match step? {
            Step::Record(found) => {
                let start = to_usize(found.offset) + HEADER_LEN;
                Item::Record(Record {
                    sequence: found.sequence,
                    payload: self.bytes.get(start..start + found.len).unwrap_or_default(),
                    offset: found.offset,
                })
            }
            Step::Damage(damage) => Item::Damage(damage),
        };
        self.offset = match &item {
            Item::Record(record) => record.end(),
            Item::Damage(damage) => damage.offset + damage.len,
        };
        Some(item)
    }
}

/// Bytes by offset, from memory or from a file.
pub(crate) trait Source {
    type Error;
    /// Bytes that there are.
    fn len(&self) -> u64;
    /// At least one and at most `len` bytes from `offset` (empty only at the end), what is at hand cheaply.
    fn chunk(&mut self, offset: u64, len: usize) -> Result<&[u8], Self::Error>;
    /// Exactly `len` bytes from `offset`, or fewer when they end before.
    fn exact(&mut self, offset: u64, len: usize) -> Result<&[u8], Self::Error>;
}

impl Source for &[u8] {
    type Error = std::convert::Infallible;

    fn len(&self) -> u64 {
        to_u64(<[u8]>::len(self))
    }

    fn chunk(&mut self, offset: u64, len: usize) -> Result<&[u8], Self::Error> {
        let rest = self.get(to_usize(offset)..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }

    fn exact(&mut self, offset: u64, len: usize) -> Result<&[u8], Self::Error> {
        self.chunk(offset, len)
    }
}

/// A record's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    pub(crate) len: usize,
    crc: u32,
}

impl Found {
    fn end(&self) -> u64 {
        self.offset + to_u64(HEADER_LEN + self.len)
    }
}

#[derive(Debug)]
pub(crate) enum Step {
    Record(Found),
    Damage(Damage),
}

/// What is at `offset`: a record, damage up to the next record, or nothing more.
pub(crate) fn step<S: Source>(
    source: &mut S,
    offset: u64,
    max_payload: usize,
) -> Result<Option<Step>, S::Error> {
    let end = source.len();
    if offset >= end {
        return Ok(None);
    }
    let damage = |until: u64, reason| {
        Some(Step::Damage(Damage {
            offset,
            len: until.saturating_sub(offset),
            reason,
        }))
    };
    let Some(found) = header_at(source, offset)? else {
        return Ok(match search(source, offset + 1)? {
            Some(next) => damage(next, Reason::Header),
            None if end - offset < to_u64(HEADER_LEN) || zeros_from(source, offset)? => {
                damage(end, Reason::Torn)
            }
            None => damage(end, Reason::Header),
        });
    };
    if found.end() > end {
        // Torn, unless a writer went on behind it.
        return Ok(match search(source, offset + 1)? {
            Some(next) => damage(next, Reason::Header),
            None => damage(end, Reason::Torn),
        });
    }
    if found.len > max_payload {
        return Ok(damage(found.end(), Reason::TooLarge));
    }
    if payload_intact(source, found)? {
        return Ok(Some(Step::Record(found)));
    }
    if found.end() == end || header_at(source, found.end())?.is_some() {
        return Ok(damage(found.end(), Reason::Payload));
    }
    // The length leads nowhere: the record was torn and others follow inside of it.
    let until = search(source, offset + 1)?.unwrap_or(end);
    Ok(damage(until, Reason::Payload))
}

/// The record whose header is intact at `offset`.
fn header_at<S: Source>(source: &mut S, offset: u64) -> Result<Option<Found>, S::Error> {
    let bytes = source.exact(offset, HEADER_LEN)?;
    Ok(parse_header(bytes, offset))
}

fn parse_header(bytes: &[u8], offset: u64) -> Option<Found> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let own = rest.first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let covered = header.first_chunk::<20>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    (crc32c::crc32c(covered) == u32::from_le_bytes(*own) && len <= MAX_PAYLOAD).then_some(Found {
        offset,
        sequence: u64::from_le_bytes(*sequence),
        len,
        crc: u32::from_le_bytes(*crc),
    })
}

fn payload_intact<S: Source>(source: &mut S, found: Found) -> Result<bool, S::Error> {
    let mut at = found.offset + to_u64(HEADER_LEN);
    let mut left = found.len;
    let mut crc = 0;
    while left > 0 {
        let chunk = source.chunk(at, left)?;
        if chunk.is_empty() {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, chunk);
        left -= chunk.len();
        at += to_u64(chunk.len());
    }
    Ok(crc == found.crc)
}

/// The offset of the next record at or behind `from`.
fn search<S: Source>(source: &mut S, from: u64) -> Result<Option<u64>, S::Error> {
    const WINDOW: usize = 64 << 10;
    let finder = memmem::Finder::new(&MAGIC);
    let end = source.len();
    let mut at = from;
    let mut budget = SEARCH_BUDGET;
    while at < end {
        let window = source.exact(at, WINDOW)?;
        let len = window.len();
        let hit = finder.find(window);
        let Some(hit) = hit else {
            // The last three bytes may begin a magic that goes on in the next window.
            let step = len.saturating_sub(MAGIC.len() - 1);
            if step == 0 {
                return Ok(None);
            }
            at += to_u64(step);
            continue;
        };
        let candidate = at + to_u64(hit);
        if let Some(found) = header_at(source, candidate)?
            && found.end() <= end
        {
            let followed = found.end() == end || header_at(source, found.end())?.is_some();
            let cost = to_u64(found.len);
            if followed {
                return Ok(Some(candidate));
            }
            if cost <= budget {
                if payload_intact(source, found)? {
                    return Ok(Some(candidate));
                }
                budget -= cost;
            }
        }
        at = candidate + 1;
    }
    Ok(None)
}

fn zeros_from<S: Source>(source: &mut S, from: u64) -> Result<bool, S::Error> {
    let mut at = from;
    loop {
        let chunk = source.chunk(at, 64 << 10)?;
        if chunk.is_empty() {
            return Ok(true);
        }
        if chunk.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += to_u64(chunk.len());
    }
}

pub(crate) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

pub(crate) fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            starts.push(bytes.len());
            write_record(&mut bytes, index as u64 + 7, payload).unwrap();
        }
        (bytes, starts)
    }

    fn intact(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        Records::new(bytes)
            .filter_map(|item| match item {
                Item::Record(record) => Some((record.sequence, record.payload.to_vec())),
                Item::Damage(_) => None,
            })
            .collect()
    }

    /// Every byte is either in a record or reported as damage.
    fn covered(bytes: &[u8]) {
        let mut at = 0;
        for item in Records::new(bytes) {
            let (offset, end) = match item {
                Item::Record(record) => (record.offset, record.end()),
                Item::Damage(damage) => (damage.offset, damage.offset + damage.len),
            };
            assert_eq!(offset, at);
            assert!(end > at);
            at = end;
        }
        assert_eq!(at, bytes.len() as u64);
    }

    #[test]
    fn the_layout_is_fixed() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, 0x0102_0304_0506_0708, b"123456789").unwrap();
        let mut expected = vec![0xF5, b'C', b'R', 1, 9, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        expected.extend_from_slice(&0xE306_9283u32.to_le_bytes()); // the check value of CRC32C
        let own = crc32c::crc32c(&expected);
        expected.extend_from_slice(&own.to_le_bytes());
        expected.extend_from_slice(b"123456789");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_header_over_parts_is_the_header_over_the_whole() {
        let mut whole = Vec::new();
        write_record(&mut whole, 3, b"one two").unwrap();
        let parts: [&[u8]; 3] = [b"one", b"", b" two"];
        assert_eq!(header(3, parts).unwrap(), whole[..HEADER_LEN]);
    }

    #[test]
    fn every_flipped_byte_costs_one_record_at_most() {
        let payloads = [
            b"alpha".to_vec(),
            Vec::new(),
            b"gamma gamma".to_vec(),
            b"d".to_vec(),
        ];
        let (bytes, starts) = file(&payloads);
        for at in 0..bytes.len() {
            let hit = starts.iter().rposition(|start| *start <= at).unwrap();
            let expected: Vec<_> = payloads
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != hit)
                .map(|(index, payload)| (index as u64 + 7, payload.clone()))
                .collect();
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                assert_eq!(intact(&damaged), expected, "byte {at}");
                covered(&damaged);
            }
        }
    }

    #[test]
    fn two_damaged_records_do_not_take_the_one_between() {
        let payloads = [
            b"one".to_vec(),
            b"two".to_vec(),
            b"three".to_vec(),
            b"four".to_vec(),
        ];
        let (mut bytes, starts) = file(&payloads);
        bytes[starts[0]] ^= 1;
        bytes[starts[2]] ^= 1;
        assert_eq!(
            intact(&bytes),
            [(8, b"two".to_vec()), (10, b"four".to_vec())]
        );
    }

    #[test]
    fn every_cut_loses_the_torn_record_only() {
        let payloads = [b"alpha".to_vec(), b"beta".to_vec(), b"gamma".to_vec()];
        let (bytes, starts) = file(&payloads);
        for cut in 0..bytes.len() {
            let whole = starts.iter().skip(1).filter(|start| **start <= cut).count();
            let cut_bytes = &bytes[..cut];
            assert_eq!(intact(cut_bytes).len(), whole, "cut at {cut}");
            covered(cut_bytes);
            if !starts.contains(&cut) {
                let last = Records::new(cut_bytes).last();
                assert!(
                    matches!(last, Some(Item::Damage(Damage { reason: Reason::Torn, offset, .. }))
                        if offset == starts[whole] as u64),
                    "cut at {cut}: {last:?}"
                );
            }
        }
    }

    #[test]
    fn zeros_at_the_end_are_a_torn_write() {
        let (mut bytes, _) = file(&[b"alpha".to_vec()]);
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + 5000, 0);
        let torn = Damage {
            offset: end,
            len: 5000,
            reason: Reason::Torn,
        };
        assert_eq!(Records::new(&bytes).last(), Some(Item::Damage(torn)));
    }

    #[test]
    fn records_behind_a_torn_one_are_found() {
        let (mut bytes, _) = file(&[vec![b'x'; 1000]]);
        bytes.truncate(300);
        write_record(&mut bytes, 99, b"after the crash").unwrap();
        bytes.extend_from_slice(&[0xAA; 2000]);
        assert_eq!(intact(&bytes), [(99, b"after the crash".to_vec())]);
        covered(&bytes);
    }

    #[test]
    fn forged_headers_in_a_payload_do_not_stall_the_search() {
        // Each claims the rest of the file; none is followed by a record nor has the right checksum.
        let mut payload = Vec::new();
        let count = 20_000;
        for index in 0..count {
            let claimed = vec![0; (count - index) * HEADER_LEN];
            let mut forged = header(1, [claimed.as_slice()]).unwrap();
            forged[16] ^= 1;
            let own = crc32c::crc32c(&forged[..20]).to_le_bytes();
            forged[20..].copy_from_slice(&own);
            payload.extend_from_slice(&forged);
            if index > 2000 {
                break;
            }
        }
        payload.resize(payload.len() + 1_000_000, 1);
        let mut bytes = Vec::new();
        write_record(&mut bytes, 1, &payload).unwrap();
        write_record(&mut bytes, 2, b"real").unwrap();
        bytes[0] ^= 1;
        assert!(intact(&bytes).contains(&(2, b"real".to_vec())));
    }

    proptest! {
        #[test]
        fn anything_reads_without_panic_and_is_accounted_for(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            payload in prop::collection::vec(any::<u8>(), 0..100),
            tail in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = noise;
            write_record(&mut bytes, 5, &payload).unwrap();
            bytes.extend_from_slice(&tail);
            covered(&bytes);
            prop_assert!(intact(&bytes).contains(&(5, payload)));
        }
    }
}
