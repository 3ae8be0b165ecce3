//! Apache Thrift's two protocols, read in place.
//!
//! Sources: the specifications `thrift-binary-protocol` and `thrift-compact-protocol`. Everything is bounded by the bytes
//! that are there: a list cannot have more elements than bytes follow, and nothing is read deeper than [`MAX_DEPTH`].

// Said, since the fuzz targets read this file as a module of their own.
#[path = "thrift/model.rs"]
pub(crate) mod model;

use crate::model::Malformed;

const CUT_OFF: Malformed = Malformed::Damaged("it is cut off");
const WRONG_TYPE: Malformed = Malformed::Damaged("a field has another type than it should");
const NO_TEXT: Malformed = Malformed::Damaged("text is not UTF-8");
const TOO_DEEP: Malformed = Malformed::Damaged("it is nested too deeply");
const NUMBER: Malformed = Malformed::Damaged("a number has too many bytes");

/// How deep structures that nobody asked for may be nested.
const MAX_DEPTH: u32 = 32;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Binary,
    Compact,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// The compact protocol writes a field's truth value into its type.
    Bool(Option<bool>),
    I8,
    I16,
    I32,
    I64,
    Double,
    Bytes,
    Struct,
    Map,
    Set,
    List,
    Uuid,
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    protocol: Protocol,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(protocol: Protocol, bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            protocol,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(NUMBER);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(NUMBER)
    }

    fn zigzag(&mut self) -> Result<i64, Malformed> {
        self.varint().map(corten_pdata::wire::zigzag_decode)
    }

    /// How many bytes or elements follow: never more than there are bytes.
    fn size(&mut self) -> Result<usize, Malformed> {
        let size = match self.protocol {
            Protocol::Binary => u64::from(u32::from_be_bytes(self.array()?)),
            Protocol::Compact => self.varint()?,
        };
        match usize::try_from(size) {
            Ok(size) if size <= self.rest.len() => Ok(size),
            _ => Err(CUT_OFF),
        }
    }

    /// The name of the method that a message calls; its arguments follow, a structure.
    pub(crate) fn call(&mut self) -> Result<&'a [u8], Malformed> {
        const CALL: u8 = 1;
        const ONE_WAY: u8 = 4;
        let (kind, name) = match self.protocol {
            Protocol::Compact => {
                let [protocol, version_and_kind] = self.array()?;
                if protocol != 0x82 || version_and_kind & 0x1f != 1 {
                    return Err(Malformed::Damaged(
                        "it does not begin as messages of the compact protocol do",
                    ));
                }
                self.varint()?;
                (version_and_kind >> 5, self.bytes()?)
            }
            // Strictly: version, kind, name, number. Of old: name, kind, number.
            Protocol::Binary if self.rest.first().is_some_and(|byte| *byte >= 0x80) => {
                let [high, low, _, kind] = self.array()?;
                if (high, low) != (0x80, 0x01) {
                    return Err(Malformed::Damaged(
                        "it does not begin as messages of the binary protocol do",
                    ));
                }
                let name = self.bytes()?;
                self.array::<4>()?;
                (kind, name)
            }
            Protocol::Binary => {
                let name = self.bytes()?;
                let kind = self.byte()?;
                self.array::<4>()?;
                (kind, name)
            }
        };
        if matches!(kind, CALL | ONE_WAY) {
            Ok(name)
        } else {
            Err(Malformed::Damaged("it is no call"))
        }
    }

    /// A structure: `each` is given the number and the type of every field, and has to read or [skip](Self::skip) it.
    pub(crate) fn structure(
        &mut self,
        mut each: impl FnMut(&mut Self, i16, Type) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut last = 0i16;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Ok(());
            }
            let (number, kind) = match self.protocol {
                Protocol::Binary => (i16::from_be_bytes(self.array()?), binary_type(byte)?),
                Protocol::Compact => {
                    let number = match byte >> 4 {
                        0 => i16::try_from(self.zigzag()?).map_err(|_| NUMBER)?,
                        step => last.checked_add(i16::from(step)).ok_or(NUMBER)?,
                    };
                    (number, compact_type(byte & 0x0f)?)
                }
            };
            last = number;
            each(self, number, kind)?;
        }
    }

    /// A list or a set of `element`: how many.
    pub(crate) fn list(&mut self, kind: Type, element: Type) -> Result<usize, Malformed> {
        if !matches!(kind, Type::List | Type::Set) {
            return Err(WRONG_TYPE);
        }
        let (found, size) = self.list_head()?;
        if found == element || size == 0 {
            Ok(size)
        } else {
            Err(WRONG_TYPE)
        }
    }

    fn list_head(&mut self) -> Result<(Type, usize), Malformed> {
        let byte = self.byte()?;
        match self.protocol {
            Protocol::Binary => Ok((binary_type(byte)?, self.size()?)),
            Protocol::Compact => {
                let kind = compact_type(byte & 0x0f)?;
                let size = match byte >> 4 {
                    15 => self.size()?,
                    size => usize::from(size),
                };
                // An element takes a byte at least.
                if size > self.rest.len() {
                    return Err(CUT_OFF);
                }
                Ok((kind, size))
            }
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.size()?;
        self.take(len)
    }

    /// The bytes of a field.
    pub(crate) fn binary(&mut self, kind: Type) -> Result<&'a [u8], Malformed> {
        match kind {
            Type::Bytes => self.bytes(),
            _ => Err(WRONG_TYPE),
        }
    }

    /// The text of a field.
    pub(crate) fn text(&mut self, kind: Type) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.binary(kind)?).map_err(|_| NO_TEXT)
    }

    /// The whole number of a field, however wide.
    pub(crate) fn int(&mut self, kind: Type) -> Result<i64, Malformed> {
        match (kind, self.protocol) {
            (Type::I8, _) => self.array().map(|byte| i64::from(i8::from_be_bytes(byte))),
            (Type::I16 | Type::I32 | Type::I64, Protocol::Compact) => self.zigzag(),
            (Type::I16, Protocol::Binary) => Ok(i64::from(i16::from_be_bytes(self.array()?))),
            (Type::I32, Protocol::Binary) => Ok(i64::from(i32::from_be_bytes(self.array()?))),
            (Type::I64, Protocol::Binary) => Ok(i64::from_be_bytes(self.array()?)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// The eight bytes of a whole number, most significant first.
    pub(crate) fn id(&mut self, kind: Type) -> Result<[u8; 8], Malformed> {
        self.int(kind).map(i64::to_be_bytes)
    }

    /// The floating-point number of a field.
    pub(crate) fn double(&mut self, kind: Type) -> Result<f64, Malformed> {
        match (kind, self.protocol) {
            (Type::Double, Protocol::Binary) => Ok(f64::from_be_bytes(self.array()?)),
            (Type::Double, Protocol::Compact) => Ok(f64::from_le_bytes(self.array()?)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// The truth value of a field.
    pub(crate) fn bool(&mut self, kind: Type) -> Result<bool, Malformed> {
        match kind {
            Type::Bool(Some(value)) => Ok(value),
            Type::Bool(None) => Ok(self.byte()? == 1),
            _ => Err(WRONG_TYPE),
        }
    }

    /// Steps over a value.
    pub(crate) fn skip(&mut self, kind: Type) -> Result<(), Malformed> {
        self.skip_nested(kind, 0)
    }

    fn skip_nested(&mut self, kind: Type, depth: u32) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        match kind {
            Type::Bool(_) => drop(self.bool(kind)?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => drop(self.int(kind)?),
            Type::Double => drop(self.double(kind)?),
            Type::Bytes => drop(self.bytes()?),
            Type::Uuid => drop(self.take(16)?),
            Type::Struct => {
                self.structure(|reader, _, kind| reader.skip_nested(kind, depth + 1))?;
            }
            Type::List | Type::Set => {
                let (kind, size) = self.list_head()?;
                for _ in 0..size {
                    self.skip_nested(in_list(kind), depth + 1)?;
                }
            }
            Type::Map => self.skip_map(depth)?,
        }
        Ok(())
    }

    fn skip_map(&mut self, depth: u32) -> Result<(), Malformed> {
        let (key, value, size) = match self.protocol {
            Protocol::Binary => {
                let [key, value] = self.array()?;
                (binary_type(key)?, binary_type(value)?, self.size()?)
            }
            Protocol::Compact => match self.size()? {
                0 => return Ok(()),
                size => {
                    let types = self.byte()?;
                    (compact_type(types >> 4)?, compact_type(types & 0x0f)?, size)
                }
            },
        };
        for _ in 0..size {
            self.skip_nested(in_list(key), depth + 1)?;
            self.skip_nested(in_list(value), depth + 1)?;
        }
        Ok(())
    }
}

/// What elements are that the compact protocol calls `true`: each has a byte of its own.
fn in_list(kind: Type) -> Type {
    match kind {
        Type::Bool(_) => Type::Bool(None),
        other => other,
    }
}

fn binary_type(number: u8) -> Result<Type, Malformed> {
    Ok(match number {
        2 => Type::Bool(None),
        3 => Type::I8,
        4 => Type::Double,
        6 => Type::I16,
        8 => Type::I32,
        10 => Type::I64,
        11 => Type::Bytes,
        12 => Type::Struct,
        13 => Type::Map,
        14 => Type::Set,
        15 => Type::List,
        16 => Type::Uuid,
        _ => return Err(Malformed::Damaged("a field has a type that there is not")),
    })
}

fn compact_type(number: u8) -> Result<Type, Malformed> {
    Ok(match number {
        1 => Type::Bool(Some(true)),
        2 => Type::Bool(Some(false)),
        3 => Type::I8,
        4 => Type::I16,
        5 => Type::I32,
        6 => Type::I64,
        7 => Type::Double,
        8 => Type::Bytes,
        9 => Type::List,
        10 => Type::Set,
        11 => Type::Map,
        12 => Type::Struct,
        13 => Type::Uuid,
        _ => return Err(Malformed::Damaged("a field has a type that there is not")),
    })
}
