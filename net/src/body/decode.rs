//! Decompression that stops where it must.

use std::io::Read;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;
use zstd::stream::raw::{self, Operation};
use zstd::zstd_safe::{DParameter, InBuffer, OutBuffer};

use super::{BodyError, Encoding, Limits};
use crate::admission::Reservation;

/// The largest window of zstd, as a power of two: 8 MiB, what RFC 9659 lets a sender of HTTP use.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The first piece of memory.
const FIRST: usize = 32 << 10;
/// How many gzip members or zstd frames may follow each other: each costs a set-up that its few bytes do not pay for.
const MEMBERS: usize = 1024;
/// How much of a gzip body is collected before it is streamed.
pub(super) const HELD: usize = 1 << 20;
/// The longest content that is unpacked in one go: a message of gRPC's usual limit, a millisecond's work.
const AT_ONCE: usize = 4 << 20;
/// No byte of deflate stands for more.
const MOST_DEFLATED: usize = 1032;
/// What a member of gzip begins with.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];
/// What the framing format of Snappy begins with.
const SNAPPY_FRAMING: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Unpacks what is pushed, within caps.
pub struct Decoder {
    encoding: Encoding,
    limits: Limits,
    wire: usize,
    engine: Engine,
    output: Vec<u8>,
}

enum Engine {
    Identity,
    /// Gzip that is collected as long as it is short, and unpacked at the end in one go.
    Gzip(Vec<u8>),
    Deflate {
        state: Decompress,
        gzip: bool,
        members: usize,
        ended: bool,
    },
    Zstd {
        state: raw::Decoder<'static>,
        frames: usize,
        ended: bool,
    },
    /// Snappy and LZ4 are collected, and unpacked at the end.
    Whole(Vec<u8>),
}

impl Engine {
    fn streaming_gzip() -> Self {
        Self::Deflate {
            state: Decompress::new_gzip(15),
            gzip: true,
            members: 0,
            ended: false,
        }
    }
}

/// What one step of an engine did.
struct Step {
    consumed: usize,
    produced: usize,
}

impl Decoder {
    /// A decoder for one body.
    ///
    /// # Errors
    ///
    /// The library could not be set up.
    pub fn new(encoding: Encoding, limits: &Limits) -> Result<Self, BodyError> {
        let engine = match encoding {
            Encoding::Identity => Engine::Identity,
            Encoding::Gzip => Engine::Gzip(Vec::new()),
            Encoding::Zlib => Engine::Deflate {
                state: Decompress::new(true),
                gzip: false,
                members: 0,
                ended: false,
            },
            Encoding::Zstd => {
                let state = raw::Decoder::new().and_then(|mut state| {
                    state.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                    Ok(state)
                });
                Engine::Zstd {
                    state: state.map_err(|error| damaged(encoding, error))?,
                    frames: 0,
                    ended: true,
                }
            }
            Encoding::Snappy | Encoding::Lz4 => Engine::Whole(Vec::new()),
        };
        Ok(Self {
            encoding,
            limits: *limits,
            wire: 0,
            engine,
            output: Vec::new(),
        })
    }

    /// Takes the next bytes as they came; memory for what they unpack to comes out of `room`.
    ///
    /// # Errors
    ///
    /// A cap is exceeded, there is no room, or the bytes are damaged.
    pub fn push(
        &mut self,
        input: &[u8],
        mut room: Option<&mut Reservation>,
    ) -> Result<(), BodyError> {
        self.wire = self.wire.saturating_add(input.len());
        if self.wire > self.limits.wire {
            return Err(BodyError::TooLarge {
                limit: self.limits.wire,
                unpacked: false,
            });
        }
        let mut held = Vec::new();
        match &mut self.engine {
            Engine::Gzip(collected) if self.wire <= HELD => {
                if room.is_some_and(|room| !room.grow(self.wire)) {
                    return Err(BodyError::NoRoom);
                }
                collected.extend_from_slice(input);
                return Ok(());
            }
            Engine::Gzip(collected) => {
                held = std::mem::take(collected);
                self.engine = Engine::streaming_gzip();
            }
            Engine::Whole(collected) => {
                if room.is_some_and(|room| !room.grow(self.wire)) {
                    return Err(BodyError::NoRoom);
                }
                collected.extend_from_slice(input);
                return Ok(());
            }
            Engine::Identity => {
                if room.is_some_and(|room| !room.grow(self.wire)) {
                    return Err(BodyError::NoRoom);
                }
                self.output.extend_from_slice(input);
                return self.check();
            }
            Engine::Deflate { .. } | Engine::Zstd { .. } => {}
        }
        if !held.is_empty() {
            self.stream(&held, room.as_deref_mut())?;
        }
        self.stream(input, room)
    }

    fn stream(
        &mut self,
        mut input: &[u8],
        mut room: Option<&mut Reservation>,
    ) -> Result<(), BodyError> {
        loop {
            self.make_space(room.as_deref_mut())?;
            let step = self.step(input)?;
            input = input.get(step.consumed..).unwrap_or_default();
            self.check()?;
            let has_space = self.output.len() < self.output.capacity();
            if input.is_empty() && has_space {
                return Ok(());
            }
            if step.consumed == 0 && step.produced == 0 && has_space {
                return Err(damaged(self.encoding, "it makes no progress"));
            }
        }
    }

    /// How much it is, as its end says, that [`finish`](Self::finish) will unpack in one go.
    pub(crate) fn still_packed(&self) -> Option<usize> {
        match &self.engine {
            Engine::Gzip(held) => gzip_size(held).filter(|size| *size <= self.limits.decoded),
            _ => None,
        }
    }

    /// Everything unpacked.
    ///
    /// # Errors
    ///
    /// The body ends in the middle, a cap is exceeded, or there is no room.
    pub fn finish(mut self, mut room: Option<&mut Reservation>) -> Result<Bytes, BodyError> {
        if let Engine::Gzip(held) = &mut self.engine {
            let held = std::mem::take(held);
            if let Some(size) = gzip_size(&held).filter(|size| *size <= self.limits.decoded) {
                let wanted = held.len().saturating_add(size);
                if room.as_deref_mut().is_some_and(|room| !room.grow(wanted)) {
                    return Err(BodyError::NoRoom);
                }
                if let Some(output) = unpack_gzip(&held, size) {
                    return Ok(Bytes::from(output));
                }
            }
            // It is damaged, or of several members, or larger than it is worth: streaming tells.
            self.engine = Engine::streaming_gzip();
            self.stream(&held, room.as_deref_mut())?;
        }
        match &self.engine {
            Engine::Deflate { ended: false, .. } | Engine::Zstd { ended: false, .. } => {
                return Err(damaged(self.encoding, "it ends in the middle"));
            }
            Engine::Whole(collected) => {
                let limits = self.limits;
                self.output = match self.encoding {
                    Encoding::Lz4 => unpack_lz4(collected, &limits, room)?,
                    _ => unpack_snappy(collected, &limits, room)?,
                };
            }
            _ => {}
        }
        // Growing left spare memory behind; what is kept long should not keep that.
        if self.output.capacity() - self.output.len() > self.output.len() / 4 {
            self.output.shrink_to_fit();
        }
        Ok(Bytes::from(self.output))
    }

    fn check(&self) -> Result<(), BodyError> {
        if self.output.len() > self.limits.decoded {
            return Err(too_large(&self.limits));
        }
        Ok(())
    }

    /// Makes room for at least one byte more. One byte beyond the cap shows that a body is too large.
    fn make_space(&mut self, room: Option<&mut Reservation>) -> Result<(), BodyError> {
        let len = self.output.len();
        if len < self.output.capacity() {
            return Ok(());
        }
        let most = self.limits.decoded.saturating_add(1);
        let wanted = len.saturating_mul(2).clamp(FIRST.min(most), most);
        if wanted <= len {
            return Err(too_large(&self.limits));
        }
        if room.is_some_and(|room| !room.grow(wanted)) {
            return Err(BodyError::NoRoom);
        }
        self.output.reserve_exact(wanted - len);
        Ok(())
    }

    fn step(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let before = self.output.len();
        let encoding = self.encoding;
        let consumed = match &mut self.engine {
            Engine::Identity | Engine::Gzip(_) | Engine::Whole(_) => 0,
            Engine::Deflate {
                state,
                gzip,
                members,
                ended,
            } => {
                if *ended && !input.is_empty() {
                    if !*gzip {
                        return Err(damaged(encoding, "there is more after its end"));
                    }
                    *members += 1;
                    if *members > MEMBERS {
                        return Err(damaged(encoding, "too many members"));
                    }
                    *state = Decompress::new_gzip(15);
                    *ended = false;
                }
                let start = state.total_in();
                if !*ended {
                    let status = state
                        .decompress_vec(input, &mut self.output, FlushDecompress::None)
                        .map_err(|error| damaged(encoding, error))?;
                    *ended = status == Status::StreamEnd;
                }
                usize::try_from(state.total_in() - start).unwrap_or(usize::MAX)
            }
            Engine::Zstd {
                state,
                frames,
                ended,
            } => {
                if *ended && !input.is_empty() {
                    *frames += 1;
                    if *frames > MEMBERS {
                        return Err(damaged(encoding, "too many frames"));
                    }
                    state.reinit().map_err(|error| damaged(encoding, error))?;
                }
                if *ended && input.is_empty() {
                    0
                } else {
                    let mut source = InBuffer::around(input);
                    let mut target = OutBuffer::around_pos(&mut self.output, before);
                    let hint = state
                        .run(&mut source, &mut target)
                        .map_err(|error| damaged(encoding, error))?;
                    *ended = hint == 0;
                    source.pos()
                }
            }
        };
        Ok(Step {
            consumed,
            produced: self.output.len() - before,
        })
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Decoder({}, {} bytes in, {} out)",
            self.encoding.name(),
            self.wire,
            self.output.len()
        )
    }
}

/// How long the content of a gzip body is that is better unpacked in one go: one member, as long as its last four bytes say
/// (RFC 1952, 2.3.1) if that is possible at all, and not more than [`AT_ONCE`].
fn gzip_size(packed: &[u8]) -> Option<usize> {
    let (_, size) = packed.split_last_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let possible = packed.len().saturating_mul(MOST_DEFLATED);
    // Whatever else begins another member here sends the body the longer way, no more.
    let several = || memmem::find_iter(packed, GZIP).nth(1).is_some();
    (size <= possible && size <= AT_ONCE && !several()).then_some(size)
}

fn unpack_gzip(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; size];
    let unpacked = libdeflater::Decompressor::new().gzip_decompress(packed, &mut output);
    (unpacked == Ok(size)).then_some(output)
}

fn unpack_snappy(
    packed: &[u8],
    limits: &Limits,
    room: Option<&mut Reservation>,
) -> Result<Vec<u8>, BodyError> {
    let damaged = |error: &dyn std::fmt::Display| damaged(Encoding::Snappy, error);
    if packed.is_empty() {
        return Ok(Vec::new());
    }
    if !packed.starts_with(SNAPPY_FRAMING) {
        // A raw block says how long it is before anything is unpacked.
        let len = snap::raw::decompress_len(packed).map_err(|error| damaged(&error))?;
        if len > limits.decoded {
            return Err(too_large(limits));
        }
        if room.is_some_and(|room| !room.grow(packed.len().saturating_add(len))) {
            return Err(BodyError::NoRoom);
        }
        return snap::raw::Decoder::new()
            .decompress_vec(packed)
            .map_err(|error| damaged(&error));
    }
    let decoder = snap::read::FrameDecoder::new(packed);
    unpack(decoder, Encoding::Snappy, packed.len(), limits, room)
}

fn unpack_lz4(
    packed: &[u8],
    limits: &Limits,
    room: Option<&mut Reservation>,
) -> Result<Vec<u8>, BodyError> {
    let len = packed.len();
    let decoder = lz4_flex::frame::FrameDecoder::new(packed);
    unpack(decoder, Encoding::Lz4, len, limits, room)
}

/// Reads to the end, or to the cap.
fn unpack(
    mut decoder: impl Read,
    encoding: Encoding,
    packed: usize,
    limits: &Limits,
    mut room: Option<&mut Reservation>,
) -> Result<Vec<u8>, BodyError> {
    let mut output = Vec::new();
    loop {
        let most = limits.decoded.saturating_add(1) - output.len();
        let step = most.min(output.len().max(FIRST));
        let wanted = packed.saturating_add(output.len()).saturating_add(step);
        if room.as_deref_mut().is_some_and(|room| !room.grow(wanted)) {
            return Err(BodyError::NoRoom);
        }
        let read = (&mut decoder)
            .take(step as u64)
            .read_to_end(&mut output)
            .map_err(|error| damaged(encoding, error))?;
        if output.len() > limits.decoded {
            return Err(too_large(limits));
        }
        if read < step {
            return Ok(output);
        }
    }
}

fn too_large(limits: &Limits) -> BodyError {
    BodyError::TooLarge {
        limit: limits.decoded,
        unpacked: true,
    }
}

fn damaged(encoding: Encoding, problem: impl std::fmt::Display) -> BodyError {
    BodyError::Damaged {
        encoding: encoding.name(),
        problem: problem.to_string(),
    }
}
