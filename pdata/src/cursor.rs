//! What all cursors have in common: they are a place in the bytes of a request.

use std::iter::FusedIterator;
use std::marker::PhantomData;

use crate::rope::Segment;
use crate::wire::{self, Fields, Value};

/// A message read in place. Copying one copies a pointer or, where its fields are gathered at once,
/// a handful of them.
pub trait Cursor<'a>: Copy {
    /// Over the bytes of the message, without its length.
    fn new(raw: &'a [u8]) -> Self;

    /// The bytes of the message, without its length. Unknown fields are among them.
    fn raw(&self) -> &'a [u8];
}

/// The occurrences of one repeated message field.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a, T> {
    fields: Fields<'a>,
    number: u32,
    /// The field's tag if it takes one byte; otherwise none that occurs.
    tag: u8,
    message: PhantomData<T>,
}

impl<'a, T> Messages<'a, T> {
    #[inline]
    pub(crate) fn new(raw: &'a [u8], number: u32) -> Self {
        Self {
            fields: Fields::new(raw),
            number,
            tag: wire::short_tag(number),
            message: PhantomData,
        }
    }

    pub(crate) fn none() -> Self {
        Self::new(&[], 0)
    }
}

impl<'a, T: Cursor<'a>> Iterator for Messages<'a, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        // Most follow each other closely.
        if let Some((raw, rest)) = wire::short_field(self.fields.rest(), self.tag) {
            self.fields = Fields::new(rest);
            return Some(T::new(raw));
        }
        loop {
            let field = self.fields.next()?;
            if field.number == self.number
                && let Value::Bytes(raw) = field.value
            {
                return Some(T::new(raw));
            }
        }
    }

    #[inline]
    fn count(self) -> usize {
        self.fields
            .filter(|field| field.number == self.number)
            .count()
    }
}

impl<'a, T: Cursor<'a>> FusedIterator for Messages<'a, T> {}

/// The resources of a rope, through all of its segments.
#[derive(Clone, Debug)]
pub struct Resources<'a, T> {
    segments: std::slice::Iter<'a, Segment>,
    current: Messages<'a, T>,
}

impl<'a, T> Resources<'a, T> {
    pub(crate) fn new(segments: &'a [Segment]) -> Self {
        Self {
            segments: segments.iter(),
            current: Messages::none(),
        }
    }
}

impl<'a, T: Cursor<'a>> Iterator for Resources<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(resource) = self.current.next() {
                return Some(resource);
            }
            self.current = Messages::new(self.segments.next()?.bytes(), 1);
        }
    }
}

/// The value of the only (or, as protobuf wants it, the last) field with this number.
#[inline]
pub(crate) fn last(raw: &[u8], number: u32) -> Option<Value<'_>> {
    Fields::new(raw)
        .filter(|field| field.number == number)
        .last()
        .map(|field| field.value)
}

/// The payload of the first field with this number; for messages, which occur once after
/// validation.
#[inline]
pub(crate) fn first_message(raw: &[u8], number: u32) -> Option<&[u8]> {
    Fields::new(raw).find_map(|field| match field.value {
        Value::Bytes(bytes) if field.number == number => Some(bytes),
        _ => None,
    })
}

/// Numbers of a repeated field, packed or one by one, mixed even.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a, T> {
    fields: Fields<'a>,
    packed: &'a [u8],
    number: u32,
    value: PhantomData<T>,
}

impl<'a, T> Numbers<'a, T> {
    pub(crate) fn new(raw: &'a [u8], number: u32) -> Self {
        Self {
            fields: Fields::new(raw),
            packed: &[],
            number,
            value: PhantomData,
        }
    }
}

/// How a number of a repeated field is written.
pub trait Packed: Copy + private::Sealed {
    #[doc(hidden)]
    fn take(packed: &[u8]) -> Option<(Self, &[u8])>;
    #[doc(hidden)]
    fn of(value: Value<'_>) -> Option<Self>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Fixed {}
    impl Sealed for super::Varint {}
    impl Sealed for f64 {}
}

/// A `fixed64` of a repeated field.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub u64);

/// A `uint64` of a repeated field.
#[derive(Clone, Copy, Debug)]
pub struct Varint(pub u64);

impl Packed for Fixed {
    #[inline]
    fn take(packed: &[u8]) -> Option<(Self, &[u8])> {
        let (bytes, rest) = packed.split_first_chunk::<8>()?;
        Some((Self(u64::from_le_bytes(*bytes)), rest))
    }

    #[inline]
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Fixed64(bits) => Some(Self(bits)),
            _ => None,
        }
    }
}

impl Packed for Varint {
    #[inline]
    fn take(packed: &[u8]) -> Option<(Self, &[u8])> {
        wire::read_varint(packed).map(|(value, rest)| (Self(value), rest))
    }

    #[inline]
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Varint(value) => Some(Self(value)),
            _ => None,
        }
    }
}

impl Packed for f64 {
    #[inline]
    fn take(packed: &[u8]) -> Option<(Self, &[u8])> {
        Fixed::take(packed).map(|(bits, rest)| (Self::from_bits(bits.0), rest))
    }

    #[inline]
    fn of(value: Value<'_>) -> Option<Self> {
        Fixed::of(value).map(|bits| Self::from_bits(bits.0))
    }
}

impl<T: Packed> Iterator for Numbers<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            if let Some((value, rest)) = T::take(self.packed) {
                self.packed = rest;
                return Some(value);
            }
            self.packed = &[];
            let field = self.fields.next()?;
            if field.number != self.number {
                continue;
            }
            match field.value {
                Value::Bytes(packed) => self.packed = packed,
                value => {
                    if let Some(value) = T::of(value) {
                        return Some(value);
                    }
                }
            }
        }
    }
}
