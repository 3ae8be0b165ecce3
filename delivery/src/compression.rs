//! Compressing a request once.

use std::io::{self, Write};

use bytes::Bytes;
use corten_config::settings::{Compression, CompressionParams};
use libdeflater::{CompressionError, CompressionLvl};
use parking_lot::Mutex;
use zstd::stream::{raw, zio};
use zstd::zstd_safe::CParameter;

/// Compresses requests as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressor {
    algorithm: Algorithm,
    level: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    None,
    Gzip,
    Zstd,
    Snappy,
    /// In the framing format, by the name that is usual there.
    SnappyFramed(&'static str),
    Zlib(&'static str),
    Lz4,
}

impl Compressor {
    /// What the settings say.
    #[must_use]
    pub fn new(compression: Compression, params: &CompressionParams) -> Self {
        let algorithm = match compression {
            Compression::None => Algorithm::None,
            Compression::Gzip => Algorithm::Gzip,
            Compression::Zstd => Algorithm::Zstd,
            Compression::Snappy => Algorithm::Snappy,
            Compression::SnappyFramed => Algorithm::SnappyFramed("x-snappy-framed"),
            Compression::Zlib => Algorithm::Zlib("zlib"),
            Compression::Deflate => Algorithm::Zlib("deflate"),
            Compression::Lz4 => Algorithm::Lz4,
        };
        Self {
            algorithm,
            level: params.level,
        }
    }

    /// The same as gRPC has it: `snappy` means its framing format there, not one block as over HTTP.
    #[must_use]
    pub fn for_grpc(mut self) -> Self {
        if self.algorithm == Algorithm::Snappy {
            self.algorithm = Algorithm::SnappyFramed("snappy");
        }
        self
    }

    /// For `Content-Encoding` or `grpc-encoding`; `None`: not compressed.
    #[must_use]
    pub fn encoding(&self) -> Option<&'static str> {
        match self.algorithm {
            Algorithm::None => None,
            Algorithm::Gzip => Some("gzip"),
            Algorithm::Zstd => Some("zstd"),
            Algorithm::Snappy => Some("snappy"),
            Algorithm::Lz4 => Some("lz4"),
            Algorithm::SnappyFramed(name) | Algorithm::Zlib(name) => Some(name),
        }
    }

    /// Compresses parts that together are one body. Without compression they are returned as they are, uncopied.
    ///
    /// # Errors
    ///
    /// The compressor's own; none is known to happen in memory.
    pub fn compress(&self, parts: Vec<Bytes>) -> io::Result<Vec<Bytes>> {
        let len: usize = parts.iter().map(Bytes::len).sum();
        // Telemetry shrinks to less than a quarter as a rule.
        let room = || Vec::with_capacity(len / 4 + 64);
        let compressed = match self.algorithm {
            Algorithm::None => return Ok(parts),
            Algorithm::Gzip => deflate(
                self.deflate_level(),
                parts,
                libdeflater::Compressor::gzip_compress_bound,
                libdeflater::Compressor::gzip_compress,
            )?,
            Algorithm::Zlib(_) => deflate(
                self.deflate_level(),
                parts,
                libdeflater::Compressor::zlib_compress_bound,
                libdeflater::Compressor::zlib_compress,
            )?,
            Algorithm::Zstd => {
                // 0 is zstd's own default.
                let level = self.level.clamp(0, 22);
                zstd(level, room(), &parts, len)?
            }
            Algorithm::SnappyFramed(_) => {
                write_all(snap::write::FrameEncoder::new(room()), &parts)?
                    .into_inner()
                    .map_err(|error| io::Error::other(error.to_string()))?
            }
            Algorithm::Lz4 => write_all(lz4_flex::frame::FrameEncoder::new(room()), &parts)?
                .finish()
                .map_err(io::Error::other)?,
            Algorithm::Snappy => {
                let mut room = room();
                corten_snappy::Encoder::new()
                    .compress_into(&parts.concat(), &mut room)
                    .map_err(io::Error::other)?;
                room
            }
        };
        Ok(vec![compressed.into()])
    }

    fn deflate_level(&self) -> i32 {
        match self.level {
            level @ 1..=9 => level,
            // Telemetry becomes as short as at zlib's own default, 6, and a third sooner.
            _ => 5,
        }
    }
}

/// What the last batch has left for the next one: making a context anew takes up to megabytes of memory and clearing them.
struct Left<C>(Mutex<Option<(i32, C)>>);

impl<C> Left<C> {
    const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    fn take(&self, level: i32) -> Option<C> {
        let left = self.0.lock().take().filter(|(of, _)| *of == level);
        left.map(|(_, context)| context)
    }

    fn leave(&self, level: i32, context: C) {
        *self.0.lock() = Some((level, context));
    }
}

/// Compresses with libdeflate, which wants the whole in one piece.
fn deflate(
    level: i32,
    parts: Vec<Bytes>,
    bound: impl Fn(&mut libdeflater::Compressor, usize) -> usize,
    compress: impl Fn(&mut libdeflater::Compressor, &[u8], &mut [u8]) -> Result<usize, CompressionError>,
) -> io::Result<Vec<u8>> {
    static LEFT: Left<libdeflater::Compressor> = Left::nothing();
    let wrong = |_| io::Error::other("libdeflate does not know this level");
    let wanted = CompressionLvl::new(level).map_err(wrong)?;
    let mut context = LEFT
        .take(level)
        .unwrap_or_else(|| libdeflater::Compressor::new(wanted));
    let whole = match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => {
            let mut whole = Vec::with_capacity(parts.iter().map(Bytes::len).sum());
            // Each part goes as soon as it is copied.
            for part in parts {
                whole.extend_from_slice(&part);
            }
            whole.into()
        }
    };
    // What hardly shrinks has to be done again.
    let enough = bound(&mut context, whole.len());
    for room in [whole.len() / 4 + 64, enough] {
        let mut room = vec![0; room.min(enough)];
        let Ok(length) = compress(&mut context, &whole, &mut room) else {
            continue;
        };
        LEFT.leave(level, context);
        room.truncate(length);
        room.shrink_to_fit();
        return Ok(room);
    }
    Err(io::Error::other("libdeflate needs more room than it says"))
}

/// zstd's own default.
const DEFAULT_LEVEL: i32 = 3;

/// As far back as the default level looks for repetitions, as a power of two: 256 KiB, which with its tables stays in a core's
/// cache. That is a sixth less CPU than the 2 MiB that zstd would take for a large batch, and a quarter of the memory. Telemetry
/// repeats itself from record to record; even source code, which does not, becomes but 4 % longer.
const WINDOW_LOG: u32 = 18;

/// Compresses with zstd. That the length is told beforehand lets small batches do with small tables.
fn zstd(level: i32, room: Vec<u8>, parts: &[Bytes], len: usize) -> io::Result<Vec<u8>> {
    static LEFT: Left<raw::Encoder<'static>> = Left::nothing();
    let mut context = match LEFT.take(level) {
        Some(context) => context,
        None => {
            let mut context = raw::Encoder::new(level)?;
            if level <= DEFAULT_LEVEL {
                context.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
            }
            context
        }
    };
    context.set_pledged_src_size(u64::try_from(len).ok())?;
    let mut writer = write_all(zio::Writer::new(room, context), parts)?;
    writer.finish()?;
    let (compressed, mut context) = writer.into_inner();
    raw::Operation::reinit(&mut context)?;
    LEFT.leave(level, context);
    Ok(compressed)
}

fn write_all<W: Write>(mut encoder: W, parts: &[Bytes]) -> io::Result<W> {
    for part in parts {
        encoder.write_all(part)?;
    }
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn compressed(compression: Compression) -> (Option<&'static str>, Vec<u8>) {
        let compressor = Compressor::new(compression, &CompressionParams::default());
        let parts = vec![Bytes::from(vec![b'a'; 5000]), Bytes::from_static(b"end")];
        let compressed = compressor.compress(parts).unwrap();
        (compressor.encoding(), compressed.concat())
    }

    #[test]
    fn every_compression_can_be_undone() {
        let mut expected = vec![b'a'; 5000];
        expected.extend(b"end");
        let read = |mut reader: Box<dyn Read>| {
            let mut plain = Vec::new();
            reader.read_to_end(&mut plain).unwrap();
            plain
        };
        let (name, bytes) = compressed(Compression::Gzip);
        let gunzip = flate2::read::GzDecoder::new(io::Cursor::new(bytes));
        assert_eq!(
            (name, read(Box::new(gunzip))),
            (Some("gzip"), expected.clone())
        );
        // A context that was left serves its own level only.
        for level in [1, 9, 9, 1, 6] {
            let params = CompressionParams { level };
            for parts in [
                vec![Bytes::from(expected.clone())],
                vec![b"1".as_slice().into(); 3],
            ] {
                let whole = parts.concat();
                let compressor = Compressor::new(Compression::Gzip, &params);
                let bytes = compressor.compress(parts).unwrap().concat();
                let gunzip = flate2::read::GzDecoder::new(io::Cursor::new(bytes));
                assert_eq!(read(Box::new(gunzip)), whole);
            }
        }
        for compression in [Compression::Zlib, Compression::Deflate] {
            let (_, bytes) = compressed(compression);
            let inflate = flate2::read::ZlibDecoder::new(io::Cursor::new(bytes));
            assert_eq!(read(Box::new(inflate)), expected);
        }
        let (name, bytes) = compressed(Compression::Zstd);
        assert!(bytes.len() < 500);
        assert_eq!(
            (name, zstd::decode_all(&*bytes).unwrap()),
            (Some("zstd"), expected.clone())
        );
        let (name, bytes) = compressed(Compression::Snappy);
        let plain = snap::raw::Decoder::new().decompress_vec(&bytes).unwrap();
        assert_eq!((name, plain), (Some("snappy"), expected.clone()));
        let (name, bytes) = compressed(Compression::SnappyFramed);
        let plain = read(Box::new(snap::read::FrameDecoder::new(io::Cursor::new(
            bytes,
        ))));
        assert_eq!((name, plain), (Some("x-snappy-framed"), expected.clone()));
        let params = CompressionParams::default();
        let grpc = Compressor::new(Compression::Snappy, &params).for_grpc();
        assert_eq!(grpc.encoding(), Some("snappy"));
        let framed = grpc
            .compress(vec![Bytes::from_static(b"x")])
            .unwrap()
            .concat();
        assert!(framed.starts_with(b"\xff\x06\x00\x00sNaPpY"), "{framed:?}");
        let (name, bytes) = compressed(Compression::Lz4);
        let lz4 = lz4_flex::frame::FrameDecoder::new(io::Cursor::new(bytes));
        assert_eq!((name, read(Box::new(lz4))), (Some("lz4"), expected.clone()));
        assert_eq!(compressed(Compression::None), (None, expected));
    }
}
