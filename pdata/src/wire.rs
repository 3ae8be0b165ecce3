//! The protobuf wire format: reading fields in place, writing them into a buffer.
//!
//! Reading never fails loudly: what [`crate::validate`] let in is well formed, and on anything else
//! [`Fields`] ends early.

/// What stands between a field's tag and the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little endian.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: what lies between the two tags. OTLP has no groups; unknown fields may.
    Group(&'a [u8]),
    /// Wire type 5, little endian.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The payload of a length-delimited field, empty for any other.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The number of a varint or fixed field, zero for any other.
    #[inline]
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => value,
            Self::Fixed32(value) => u64::from(value),
            _ => 0,
        }
    }

    /// The double of a 64-bit field, zero for any other.
    #[inline]
    #[must_use]
    pub fn double(self) -> f64 {
        match self {
            Self::Fixed64(bits) => f64::from_bits(bits),
            _ => 0.0,
        }
    }

    /// The text of a length-delimited field; empty for any other and for what is not UTF-8, which
    /// validated telemetry does not contain.
    #[inline]
    #[must_use]
    pub fn text(self) -> &'a str {
        text(self.bytes())
    }
}

/// Bytes of a `string` field as text; empty if they are not UTF-8, which validated telemetry does
/// not contain.
#[inline]
#[must_use]
pub fn text(bytes: &[u8]) -> &str {
    // Below that the vectorised check only passes on to this one.
    if bytes.len() < 64 {
        std::str::from_utf8(bytes).unwrap_or_default()
    } else {
        simdutf8::basic::from_utf8(bytes).unwrap_or_default()
    }
}

/// A field where it stands in its message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The field's number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// The whole of it, tag included: copied as it is, it is the same field.
    pub raw: &'a [u8],
}

/// The fields of a message in their order on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Over the bytes of a message, without its length.
    #[inline]
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.rest;
        let (number, value, rest) = read_field(start)?;
        self.rest = rest;
        let raw = start.get(..start.len() - rest.len()).unwrap_or_default();
        Some(Field { number, value, raw })
    }
}

/// Reads one field and returns what follows it; `None` at the end or if it is malformed.
///
/// Inlined wherever a cursor walks, so that what the cursor does not use is not computed; the tags
/// and lengths of one byte, which is nearly all of them, take no call.
#[inline(always)]
fn read_field(rest: &[u8]) -> Option<(u32, Value<'_>, &[u8])> {
    let (&tag, after) = rest.split_first()?;
    let number = u32::from(tag >> 3);
    match tag {
        0x80.. => read_long_field(rest),
        _ if tag & 7 == 2 => {
            let (bytes, after) = read_length_delimited(after)?;
            Some((number, Value::Bytes(bytes), after))
        }
        _ if tag & 7 == 1 => {
            let (value, after) = after.split_first_chunk::<8>()?;
            Some((number, Value::Fixed64(u64::from_le_bytes(*value)), after))
        }
        _ if tag & 7 == 0 => {
            let (value, after) = read_varint(after)?;
            Some((number, Value::Varint(value), after))
        }
        _ => read_long_field(rest),
    }
}

/// The payload of a length-delimited field whose tag has been read, and what follows it.
#[inline(always)]
pub(crate) fn read_length_delimited(after: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, after) = after.split_first()?;
    if len < 0x80 {
        after.split_at_checked(usize::from(len))
    } else {
        read_long_bytes(len, after)
    }
}

/// The payload of a length-delimited field whose length begins with `low` and takes two bytes or
/// more.
#[inline(always)]
fn read_long_bytes(low: u8, after: &[u8]) -> Option<(&[u8], &[u8])> {
    match after {
        [high, after @ ..] if *high < 0x80 => {
            after.split_at_checked(usize::from(low & 0x7f) | usize::from(*high) << 7)
        }
        _ => read_longer_bytes(low, after),
    }
}

#[inline(never)]
fn read_longer_bytes(low: u8, after: &[u8]) -> Option<(&[u8], &[u8])> {
    // Nine bytes more at most, as the first one has been read.
    let mut len = u64::from(low & 0x7f);
    let mut shift = 7u32;
    let mut rest = after;
    loop {
        let (byte, tail) = rest.split_first()?;
        if shift == 63 && *byte > 1 {
            return None;
        }
        len |= u64::from(*byte & 0x7f) << shift;
        rest = tail;
        if *byte < 0x80 {
            return rest.split_at_checked(usize::try_from(len).ok()?);
        }
        shift += 7;
    }
}

/// The same for every field that there may be.
#[inline(never)]
fn read_long_field(rest: &[u8]) -> Option<(u32, Value<'_>, &[u8])> {
    let (tag, rest) = read_varint(rest)?;
    let number = u32::try_from(tag >> 3).ok()?;
    match tag & 7 {
        0 => {
            let (value, rest) = read_varint(rest)?;
            Some((number, Value::Varint(value), rest))
        }
        1 => {
            let (value, rest) = rest.split_first_chunk::<8>()?;
            Some((number, Value::Fixed64(u64::from_le_bytes(*value)), rest))
        }
        2 => {
            let (len, rest) = read_varint(rest)?;
            let (bytes, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((number, Value::Bytes(bytes), rest))
        }
        3 => {
            let (group, rest) = read_group(rest)?;
            Some((number, Value::Group(group), rest))
        }
        5 => {
            let (value, rest) = rest.split_first_chunk::<4>()?;
            Some((number, Value::Fixed32(u32::from_le_bytes(*value)), rest))
        }
        _ => None,
    }
}

/// If a message consists of one length-delimited field with this tag and nothing else, its payload.
/// What writers make of most values, and quicker to see than to walk over.
#[inline(always)]
pub(crate) fn only_field(message: &[u8], tag: u8) -> Option<&[u8]> {
    match message {
        [found, len, payload @ ..] if *found == tag && payload.len() < 0x80 => {
            (usize::from(*len) == payload.len()).then_some(payload)
        }
        [found, low, high, payload @ ..] if *found == tag && *low >= 0x80 && *high < 0x80 => {
            let len = usize::from(*low & 0x7f) | usize::from(*high) << 7;
            (len == payload.len()).then_some(payload)
        }
        _ => None,
    }
}

/// The tag of a length-delimited field if it takes one byte; otherwise one that no field has.
#[inline(always)]
pub(crate) fn short_tag(number: u32) -> u8 {
    if number < 16 {
        low7(u64::from(number) << 3 | 2)
    } else {
        0x07
    }
}

/// The payload of a length-delimited field with this tag and a length of one byte, if `rest` begins
/// with one, and what follows it.
#[inline(always)]
pub(crate) fn short_field(rest: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    match rest {
        [found, len, rest @ ..] if *found == tag && *len < 0x80 => {
            rest.split_at_checked(usize::from(*len))
        }
        _ => None,
    }
}

/// Skips to the end of the group that has just begun. Without recursion: depth and matching numbers
/// are the validator's business.
#[cold]
fn read_group(start: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = start;
    let mut depth = 1u32;
    loop {
        let (tag, after) = read_varint(rest)?;
        match tag & 7 {
            3 => {
                depth += 1;
                rest = after;
            }
            4 => {
                depth -= 1;
                if depth == 0 {
                    return Some((start.get(..start.len() - rest.len())?, after));
                }
                rest = after;
            }
            _ => rest = read_long_field(rest)?.2,
        }
    }
}

/// Reads a varint and returns what follows it. At most ten bytes; the tenth may only carry one bit.
#[inline(always)]
#[must_use]
pub fn read_varint(rest: &[u8]) -> Option<(u64, &[u8])> {
    match rest {
        [low, rest @ ..] if *low < 0x80 => Some((u64::from(*low), rest)),
        [low, high, rest @ ..] if *high < 0x80 => {
            Some((u64::from(*low & 0x7f) | u64::from(*high) << 7, rest))
        }
        _ => read_long_varint(rest),
    }
}

#[inline(never)]
fn read_long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut shift = 0u32;
    let mut rest = bytes;
    loop {
        let (byte, tail) = rest.split_first()?;
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(*byte & 0x7f) << shift;
        rest = tail;
        if *byte < 0x80 {
            return Some((value, rest));
        }
        shift += 7;
    }
}

/// The signed number behind a zigzag varint.
#[inline]
#[must_use]
pub fn zigzag_decode(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The varint of a signed number in zigzag form.
#[inline]
#[must_use]
pub fn zigzag_encode(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// A varint that stands for 32 bits: the protocol drops the upper half.
#[inline]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the protocol's own rule for 32-bit varints"
)]
pub fn low32(value: u64) -> u32 {
    value as u32
}

/// Bytes that the varint of `value` takes, 1 to 10.
#[inline]
#[must_use]
pub fn varint_len(value: u64) -> usize {
    // One byte for every started seven bits, in integer arithmetic.
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Bytes that a length takes as a varint.
#[inline]
#[must_use]
pub fn length_len(len: usize) -> usize {
    varint_len(len as u64)
}

/// A length below 16,384 as a varint of two bytes, padded where one would do: what has lengths of one width can be
/// written at once. Decoders have to take padded varints, and all do.
#[inline(always)]
#[must_use]
pub const fn padded_length(len: usize) -> [u8; 2] {
    debug_assert!(len < 0x4000, "has a longer varint");
    [low7(len as u64) | 0x80, low7((len >> 7) as u64)]
}

/// A number below 2³⁵ as a varint of five bytes, padded where fewer would do.
#[inline(always)]
#[must_use]
pub const fn padded_number(value: u64) -> [u8; 5] {
    debug_assert!(value < 1 << 35, "has a longer varint");
    [
        low7(value) | 0x80,
        low7(value >> 7) | 0x80,
        low7(value >> 14) | 0x80,
        low7(value >> 21) | 0x80,
        low7(value >> 28),
    ]
}

pub(crate) const fn low7(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// Appends a varint.
#[inline(always)]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(low7(value));
    } else if value < 0x4000 {
        out.extend_from_slice(&[low7(value) | 0x80, low7(value >> 7)]);
    } else {
        put_long_varint(out, value);
    }
}

#[inline(never)]
fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    if value >= 1 << 56 {
        out.extend_from_slice(&[low7(value) | 0x80]);
        return put_varint_loop(out, value >> 7);
    }
    let (groups, len) = spread(value);
    let end = out.len() + len;
    out.extend_from_slice(&groups.to_le_bytes());
    out.truncate(end);
}

#[cold]
fn put_varint_loop(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low7(value) | 0x80);
        value >>= 7;
    }
    out.push(low7(value));
}

/// Appends the tag of a field.
#[inline(always)]
pub fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// Appends a varint field.
#[inline(always)]
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    let tag = u64::from(number) << 3;
    if tag < 0x80 && value < 0x80 {
        out.extend_from_slice(&[low7(tag), low7(value)]);
    } else {
        put_long_varint_field(out, tag, value);
    }
}

#[inline(never)]
fn put_long_varint_field(out: &mut Vec<u8>, tag: u64, value: u64) {
    if tag >= 0x80 || value >= 1 << 49 {
        put_varint(out, tag);
        return put_varint(out, value);
    }
    let (groups, len) = spread(value);
    let end = out.len() + 1 + len;
    out.extend_from_slice(&(groups << 8 | tag).to_le_bytes());
    out.truncate(end);
}

/// The varint of a value below 2⁵⁶ in the low bytes of a word, and how many of them it takes.
#[inline(always)]
fn spread(value: u64) -> (u64, usize) {
    let mut word = 0u64;
    for group in 0..8 {
        word |= ((value >> (7 * group)) & 0x7f) << (8 * group);
    }
    let len = varint_len(value);
    word |= 0x8080_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1);
    (word, len)
}

/// Appends a 64-bit field.
#[inline(always)]
pub fn put_fixed64_field(out: &mut Vec<u8>, number: u32, value: u64) {
    if number >= 16 {
        put_tag(out, number, 1);
        return out.extend_from_slice(&value.to_le_bytes());
    }
    // At once: what grows a buffer looks for room each time.
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    out.extend_from_slice(&[low7(u64::from(number) << 3 | 1), a, b, c, d, e, f, g, h]);
}

/// Appends a 32-bit field.
#[inline(always)]
pub fn put_fixed32_field(out: &mut Vec<u8>, number: u32, value: u32) {
    put_tag(out, number, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a length-delimited field.
#[inline(always)]
pub fn put_bytes_field(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    let tag = u64::from(number) << 3 | 2;
    let len = value.len() as u64;
    if tag < 0x80 && len < 0x80 {
        out.extend_from_slice(&[low7(tag), low7(len)]);
    } else if tag < 0x80 && len < 0x4000 {
        out.extend_from_slice(&[low7(tag), low7(len) | 0x80, low7(len >> 7)]);
    } else {
        put_varint(out, tag);
        put_varint(out, len);
    }
    out.extend_from_slice(value);
}

/// Appends a message field that consists of two texts, numbers 1 and 2: the shape of an entry of a
/// protobuf map, and of a label of Loki and of Prometheus.
#[inline(always)]
pub fn put_pair_field(out: &mut Vec<u8>, number: u32, first: &[u8], second: &[u8]) {
    let len = 4 + first.len() + second.len();
    if number < 16 && len < 0x80 {
        let tag = low7(u64::from(number) << 3 | 2);
        out.reserve(2 + len);
        out.extend_from_slice(&[tag, low7(len as u64), 0x0a, low7(first.len() as u64)]);
        out.extend_from_slice(first);
        out.extend_from_slice(&[0x12, low7(second.len() as u64)]);
        out.extend_from_slice(second);
    } else {
        let opened = open_message(out, number, 2);
        put_bytes_field(out, 1, first);
        put_bytes_field(out, 2, second);
        close_message(out, opened);
    }
}

/// A message whose length is not known yet: its length's place in the buffer.
#[derive(Clone, Copy, Debug)]
#[must_use = "an opened message must be closed"]
pub struct Opened {
    at: usize,
    width: usize,
}

/// Appends the tag of a message field and leaves `width` bytes for its length. What is appended
/// until [`close_message`] is the message.
#[inline(always)]
pub fn open_message(out: &mut Vec<u8>, number: u32, width: usize) -> Opened {
    let tag = low7(u64::from(number) << 3 | 2);
    match width {
        1 if number < 16 => out.extend_from_slice(&[tag, 0]),
        2 if number < 16 => out.extend_from_slice(&[tag, 0, 0]),
        _ => {
            put_tag(out, number, 2);
            out.resize(out.len() + width, 0);
        }
    }
    Opened {
        at: out.len() - width,
        width,
    }
}

/// Writes the length of a message into the place left for it: padded if it is smaller, which is
/// legal protobuf, and moving the message if it is larger.
#[inline(always)]
pub fn close_message(out: &mut Vec<u8>, opened: Opened) {
    let len = out.len().saturating_sub(opened.at + opened.width);
    patch_length(out, opened.at, opened.width, len);
}

/// Writes `len` as a varint over the `width` bytes at `at`, padded or moving what follows.
#[inline(always)]
pub(crate) fn patch_length(out: &mut Vec<u8>, at: usize, width: usize, len: usize) {
    match (width, out.get_mut(at..)) {
        (1, Some([place, ..])) if len < 0x80 => *place = low7(len as u64),
        (2, Some([low, high, ..])) if len < 0x4000 => [*low, *high] = padded_length(len),
        _ => patch_long_length(out, at, width, len),
    }
}

#[inline(never)]
fn patch_long_length(out: &mut Vec<u8>, at: usize, width: usize, len: usize) {
    let needed = length_len(len);
    let width = if needed > width {
        widen(out, at, needed - width);
        needed
    } else {
        width
    };
    let Some(place) = out.get_mut(at..at + width) else {
        return;
    };
    write_padded(place, len as u64);
}

#[cold]
fn widen(out: &mut Vec<u8>, at: usize, by: usize) {
    let old = out.len();
    out.resize(old + by, 0);
    out.copy_within(at..old, at + by);
}

/// Fills `place` with the varint of `value`, padded with continuation bytes.
#[inline]
fn write_padded(place: &mut [u8], mut value: u64) {
    let last = place.len().saturating_sub(1);
    for (position, byte) in place.iter_mut().enumerate() {
        *byte = low7(value) | if position == last { 0 } else { 0x80 };
        value >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: u64, tail: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            out.extend_from_slice(&tail);
            prop_assert_eq!(read_varint(&out), Some((value, tail.as_slice())));
        }

        #[test]
        fn varints_agree_with_prost(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x80u8..], 0..14)) {
            let mut rest = bytes.as_slice();
            let prost = prost::encoding::decode_varint(&mut rest).ok().map(|value| (value, rest));
            prop_assert_eq!(read_varint(&bytes), prost);
        }

        #[test]
        fn pairs_are_messages_of_two_texts(number in 1u32..20, first: Vec<u8>, second: Vec<u8>) {
            let mut out = Vec::new();
            put_pair_field(&mut out, number, &first, &second);
            let pair = Fields::new(&out).next().unwrap();
            prop_assert_eq!(pair.raw, out.as_slice());
            let parts: Vec<_> = Fields::new(pair.value.bytes())
                .map(|field| (field.number, field.value.bytes()))
                .collect();
            prop_assert_eq!(parts, vec![(1, first.as_slice()), (2, second.as_slice())]);
        }

        #[test]
        fn varints_of_every_width_round_trip(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut prost = Vec::new();
            prost::encoding::encode_varint(value, &mut prost);
            prop_assert_eq!(out, prost);
        }

        #[test]
        fn zigzag_round_trips(value: i64) {
            prop_assert_eq!(zigzag_decode(zigzag_encode(value)), value);
        }

        #[test]
        fn opened_messages_get_their_length(width in 1usize..5, len in 0usize..300, tail in 0usize..3) {
            let mut out = vec![7; tail];
            let opened = open_message(&mut out, 3, width);
            out.resize(out.len() + len, 9);
            close_message(&mut out, opened);
            let mut fields = Fields::new(&out[tail..]);
            let field = fields.next().unwrap();
            prop_assert_eq!(field.number, 3);
            prop_assert_eq!(field.value, Value::Bytes(&vec![9; len]));
            prop_assert_eq!(field.raw, &out[tail..]);
            prop_assert!(fields.next().is_none());
        }

        #[test]
        fn any_bytes_can_be_walked(bytes: Vec<u8>) {
            let read: usize = Fields::new(&bytes).map(|field| field.raw.len()).sum();
            prop_assert!(read <= bytes.len());
        }
    }

    #[test]
    fn groups_are_one_field() {
        // field 9 group { field 1 = 5, field 2 group {} }, then field 1 = 1
        let bytes = [0x4b, 0x08, 5, 0x13, 0x14, 0x4c, 0x08, 1];
        let fields: Vec<_> = Fields::new(&bytes).collect();
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[0].value, Value::Group(&bytes[1..5]));
        assert_eq!(fields[0].raw, &bytes[..6]);
        assert_eq!(fields[1].value, Value::Varint(1));
    }
}
