//! Bodies of requests and responses, and how those that come from outside are read: with a cap on what comes over the
//! wire, a cap on what it unpacks to, and a limit on how long nothing may come.
//!
//! ```
//! use corten_net::body::{self, Body, Encoding, Limits};
//!
//! # async fn example(mut request: http::Request<Body>) -> Result<(), body::BodyError> {
//! let encoding = Encoding::of(request.headers())?;
//! let limits = Limits::new(20 << 20);
//! let bytes = body::read_capped(request.body_mut(), encoding, &limits, None).await?;
//! # Ok(())
//! # }
//! ```

mod decode;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use corten_component::BoxError;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

pub use decode::Decoder;

use crate::admission::Reservation;

/// The body of a request or a response.
#[derive(Debug, Default)]
pub struct Body(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    /// Parts that are one message; written one after the other, never copied together.
    Parts(std::collections::VecDeque<Bytes>, u64),
    /// What a unary gRPC answer is made of.
    WithTrailers(Option<Bytes>, Option<HeaderMap>),
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Self::empty();
        }
        Self(Kind::Full(bytes))
    }

    /// These bytes one after the other, without copying them together.
    pub fn parts(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let parts: std::collections::VecDeque<Bytes> =
            parts.into_iter().filter(|part| !part.is_empty()).collect();
        let len = parts.iter().map(|part| part.len() as u64).sum();
        Self(Kind::Parts(parts, len))
    }

    /// These bytes, then trailers.
    #[must_use]
    pub fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self(Kind::WithTrailers(Some(bytes), Some(trailers)))
    }

    /// Any other body, such as one that is produced while it is sent.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    pub(crate) fn incoming(body: Incoming) -> Self {
        Self(Kind::Incoming(body))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::full(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.get_mut().0 {
            Kind::Empty => None,
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then(|| Frame::data(bytes))
            }
            Kind::Parts(parts, len) => parts.pop_front().map(|part| {
                *len = len.saturating_sub(part.len() as u64);
                Frame::data(part)
            }),
            Kind::WithTrailers(bytes, trailers) => match bytes.take() {
                Some(bytes) => Some(Frame::data(bytes)),
                None => trailers.take().map(Frame::trailers),
            },
            Kind::Incoming(incoming) => {
                return Pin::new(incoming)
                    .poll_frame(cx)
                    .map(|frame| frame.map(|frame| frame.map_err(Into::into)));
            }
            Kind::Boxed(body) => return Pin::new(body).poll_frame(cx),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Parts(parts, _) => parts.is_empty(),
            Kind::WithTrailers(bytes, trailers) => bytes.is_none() && trailers.is_none(),
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Parts(_, len) => SizeHint::with_exact(*len),
            Kind::WithTrailers(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952), several members in a row included.
    Gzip,
    /// zlib (RFC 1950); HTTP calls it `deflate`, the Collector also `zlib`.
    Zlib,
    /// zstd (RFC 8878) with windows of at most 8 MiB (RFC 9659).
    Zstd,
    /// LZ4 in its frame format, several frames in a row included.
    Lz4,
    /// Snappy in its framing format; a body without the framing's header is taken as one raw block.
    Snappy,
}

impl Encoding {
    /// The encoding with this name in `Content-Encoding` or `grpc-encoding`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" | "zlib" => Self::Zlib,
            "zstd" => Self::Zstd,
            "lz4" => Self::Lz4,
            "snappy" | "x-snappy-framed" => Self::Snappy,
            _ => return None,
        })
    }

    /// The encoding that `Content-Encoding` names.
    ///
    /// # Errors
    ///
    /// [`BodyError::Encoding`]: it is not known, or there are several on top of each other.
    pub fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        let name = value.to_str().unwrap_or("?");
        Self::from_name(name).ok_or_else(|| BodyError::Encoding(name.chars().take(40).collect()))
    }

    /// How much room a body of `packed` bytes takes from its arrival on, as far as its beginning tells. Of gzip the end tells; see
    /// `finish_in_turn`.
    pub(crate) fn room(self, packed: usize, beginning: &[u8]) -> usize {
        match self {
            Self::Identity => packed,
            Self::Gzip if packed <= decode::HELD => packed,
            Self::Zstd => match zstd::zstd_safe::get_frame_content_size(beginning) {
                Ok(Some(bytes)) => usize::try_from(bytes).unwrap_or(usize::MAX),
                // Telemetry does; what it was too much is given back.
                _ => packed.saturating_mul(16),
            },
            _ => packed.saturating_mul(4),
        }
    }

    /// Its usual name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zlib => "deflate",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }
}

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as they come.
    pub wire: usize,
    /// Bytes after decompression.
    pub decoded: usize,
    /// How long nothing may come.
    pub stall: Duration,
    /// How long the whole may take.
    pub total: Option<Duration>,
}

impl Limits {
    /// At most `bytes`, before and after decompression; nothing may come for 30 seconds.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            wire: bytes,
            decoded: bytes,
            stall: Duration::from_secs(30),
            total: None,
        }
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be.
    #[error("the request is larger than {limit} bytes{}", if *.unpacked { " after decompression" } else { "" })]
    TooLarge {
        /// What it may be.
        limit: usize,
        /// Whether it came to that only when it was decompressed.
        unpacked: bool,
    },
    /// There is no room for it now.
    #[error("too many bytes are in flight; send it again later")]
    NoRoom,
    /// It is not what its encoding says.
    #[error("the {encoding} body is damaged: {problem}")]
    Damaged {
        /// The encoding.
        encoding: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An encoding that is not known, or not accepted here.
    #[error("unsupported content encoding \"{0}\"")]
    Encoding(String),
    /// Nothing came for too long.
    #[error("the body did not arrive in time")]
    Stalled,
    /// The client went away.
    #[error("the body broke off: {0}")]
    Broken(BoxError),
}

impl BodyError {
    /// The HTTP status for the client.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            Self::NoRoom => 503,
            Self::Damaged { .. } | Self::Broken(_) => 400,
            Self::Encoding(_) => 415,
            Self::Stalled => 408,
        }
    }

    /// A word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NoRoom => "no_room",
            Self::Damaged { .. } => "damaged_compression",
            Self::Encoding(_) => "unknown_encoding",
            Self::Stalled => "stalled",
            Self::Broken(_) => "broken_off",
        }
    }
}

/// Frames of a body, within a limit of time.
pub(crate) struct Frames<'a> {
    body: &'a mut Body,
    stall: Duration,
    deadline: Option<tokio::time::Instant>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(body: &'a mut Body, limits: &Limits) -> Self {
        Self {
            body,
            stall: limits.stall,
            deadline: limits
                .total
                .map(|total| tokio::time::Instant::now() + total),
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let mut until = tokio::time::Instant::now() + self.stall;
        if let Some(deadline) = self.deadline {
            until = until.min(deadline);
        }
        loop {
            let frame = tokio::time::timeout_at(until, self.body.frame())
                .await
                .map_err(|_| BodyError::Stalled)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(BodyError::Broken(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers say nothing here.
                    Err(_) => {}
                },
            }
        }
    }
}

/// Reads a body into one piece of memory. A body that came in one frame is not copied.
///
/// Memory is taken from `room` before it is used, beyond what it holds already; a body whose declared length does
/// not fit is refused before it is read. A bomb costs at most `limits.decoded` bytes.
///
/// # Errors
///
/// See [`BodyError`].
pub async fn read_capped(
    body: &mut Body,
    encoding: Encoding,
    limits: &Limits,
    mut room: Option<&mut Reservation>,
) -> Result<Bytes, BodyError> {
    let too_large = || BodyError::TooLarge {
        limit: limits.wire,
        unpacked: false,
    };
    let declared = http_body::Body::size_hint(body).exact();
    let declared = match declared.map(usize::try_from) {
        Some(Ok(len)) if len <= limits.wire => Some(len),
        Some(_) => return Err(too_large()),
        None => None,
    };
    if let (Some(room), Some(declared)) = (room.as_deref_mut(), declared)
        && !room.grow(declared)
    {
        return Err(BodyError::NoRoom);
    }
    let mut frames = Frames::new(body, limits);
    if encoding != Encoding::Identity {
        let mut decoder = Decoder::new(encoding, limits)?;
        while let Some(data) = frames.next().await? {
            decoder.push(&data, room.as_deref_mut())?;
        }
        return finish_in_turn(decoder, room).await;
    }
    let Some(first) = frames.next().await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limits.wire {
        return Err(too_large());
    }
    if declared == Some(first.len()) {
        return Ok(first);
    }
    let Some(second) = frames.next().await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(declared.unwrap_or(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(data) = next {
        let len = whole.len() + data.len();
        if len > limits.wire {
            return Err(too_large());
        }
        if let Some(room) = room.as_deref_mut()
            && !room.grow(len)
        {
            return Err(BodyError::NoRoom);
        }
        whole.extend_from_slice(&data);
        next = frames.next().await?;
    }
    Ok(whole.freeze())
}

/// What a decoder unpacks to, when it is its turn where that is known by now to be much.
pub(crate) async fn finish_in_turn(
    decoder: Decoder,
    room: Option<&mut Reservation>,
) -> Result<Bytes, BodyError> {
    let Some(room) = room else {
        return decoder.finish(None);
    };
    if let Some(bytes) = decoder.still_packed() {
        // Of the connection nothing is left unread by this request.
        room.turn(bytes, None).await;
    }
    let message = decoder.finish(Some(room))?;
    Ok(room.keep_turn(message))
}

/// Reads the rest of a refused request's body and forgets it, so that the answer reaches a client that sends before it
/// listens. Over HTTP/1 a server that closes with bytes unread resets the connection, and the answer is lost with it; over
/// HTTP/2 there is nothing to do. Gives up after `most` bytes or a second, and holds no memory.
pub async fn discard(version: http::Version, body: &mut Body, most: usize) {
    if version >= http::Version::HTTP_2 {
        return;
    }
    let limits = Limits {
        stall: Duration::from_millis(250),
        total: Some(Duration::from_secs(1)),
        ..Limits::new(0)
    };
    let mut frames = Frames::new(body, &limits);
    let mut left = most;
    while let Ok(Some(data)) = frames.next().await {
        match left.checked_sub(data.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests;
