//! The server's side of a unary call.

use bytes::{Bytes, BytesMut};
use corten_component::GrpcCode;
use http::{HeaderMap, HeaderValue, Request, Response, header};

use super::{Status, frame};
use crate::admission::{Connection, Reservation};
use crate::body::{Body, BodyError, Decoder, Encoding, Frames, Limits, finish_in_turn};

/// Why a call's message was not taken.
#[derive(Debug)]
pub struct Refusal {
    /// For the client.
    pub status: Status,
    /// A word for metrics.
    pub reason: &'static str,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let code = match &error {
            BodyError::TooLarge { .. } | BodyError::NoRoom => GrpcCode::ResourceExhausted,
            BodyError::Damaged { .. } => GrpcCode::InvalidArgument,
            BodyError::Encoding(_) => GrpcCode::Unimplemented,
            BodyError::Stalled => GrpcCode::DeadlineExceeded,
            BodyError::Broken(_) => GrpcCode::Cancelled,
        };
        let mut status = Status::new(code, error.to_string());
        if matches!(error, BodyError::NoRoom) {
            status = status.after(std::time::Duration::from_secs(1));
        }
        Self {
            status,
            reason: error.reason(),
        }
    }
}

/// The compressions that clients may use, for `grpc-accept-encoding`.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate,snappy");

fn invalid(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        status: Status::new(GrpcCode::InvalidArgument, message),
        reason,
    }
}

/// Reads the one message of a call. Room for it is taken as soon as its length is known, before it is read.
///
/// # Errors
///
/// It is too large, damaged, or compressed in a way that is not known.
pub async fn read_message(
    request: &mut Request<Body>,
    limits: &Limits,
    mut room: Option<&mut Reservation>,
) -> Result<Bytes, Refusal> {
    let encoding = match request.headers().get("grpc-encoding") {
        None => Encoding::Identity,
        Some(name) => {
            let name = name.to_str().unwrap_or("?");
            Encoding::from_name(name)
                .ok_or_else(|| BodyError::Encoding(name.chars().take(40).collect()))?
        }
    };
    let connection = request.extensions().get::<Connection>().cloned();
    let mut frames = Frames::new(request.body_mut(), limits);
    let mut head = [0u8; 5];
    let mut rest = read_head(&mut frames, &mut head).await?;
    let [flag, a, b, c, d] = head;
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let encoding = match flag {
        0 => Encoding::Identity,
        1 if encoding != Encoding::Identity => encoding,
        1 => {
            return Err(invalid(
                "damaged_frame",
                "a compressed message without grpc-encoding",
            ));
        }
        _ => {
            return Err(invalid(
                "damaged_frame",
                format!("a message begins with {flag}, expected 0 or 1"),
            ));
        }
    };
    if len > limits.wire {
        return Err(BodyError::TooLarge {
            limit: limits.wire,
            unpacked: false,
        }
        .into());
    }
    if let Some(room) = room.as_deref_mut() {
        let bytes = encoding.room(len, &rest);
        room.turn(bytes, connection.as_ref()).await;
        if !room.grow(len) {
            return Err(BodyError::NoRoom.into());
        }
    }
    let mut message = if encoding == Encoding::Identity {
        collect(&mut frames, &mut rest, len).await?
    } else {
        let mut decoder = Decoder::new(encoding, limits)?;
        let mut missing = len;
        loop {
            let part = rest.split_to(rest.len().min(missing));
            decoder.push(&part, room.as_deref_mut())?;
            missing -= part.len();
            if missing == 0 {
                break;
            }
            rest = frames.next().await?.ok_or_else(cut_off)?;
        }
        finish_in_turn(decoder, room.as_deref_mut()).await?
    };
    // The client's end of the stream: answering before it would reset the stream.
    if !rest.is_empty() || frames.next().await?.is_some() {
        return Err(invalid(
            "damaged_frame",
            "more than one message in a unary call",
        ));
    }
    if let Some(room) = room {
        message = room.keep_turn(message);
    }
    Ok(message)
}

fn cut_off() -> Refusal {
    invalid("damaged_frame", "the message is cut off")
}

/// Reads the frame before the message, and returns what came with it.
async fn read_head(frames: &mut Frames<'_>, head: &mut [u8; 5]) -> Result<Bytes, Refusal> {
    let mut filled = 0;
    loop {
        let mut data = frames.next().await?.ok_or_else(cut_off)?;
        let taken = data.split_to(data.len().min(head.len() - filled));
        for (slot, byte) in head.iter_mut().skip(filled).zip(&taken) {
            *slot = *byte;
        }
        filled += taken.len();
        if filled == head.len() {
            return Ok(data);
        }
    }
}

/// The next `len` bytes; not copied when they came in one piece.
async fn collect(frames: &mut Frames<'_>, rest: &mut Bytes, len: usize) -> Result<Bytes, Refusal> {
    if rest.is_empty() && len > 0 {
        *rest = frames.next().await?.ok_or_else(cut_off)?;
    }
    if rest.len() >= len {
        return Ok(rest.split_to(len));
    }
    let mut whole = BytesMut::with_capacity(len);
    loop {
        let part = rest.split_to(rest.len().min(len - whole.len()));
        whole.extend_from_slice(&part);
        if whole.len() == len {
            return Ok(whole.freeze());
        }
        *rest = frames.next().await?.ok_or_else(cut_off)?;
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-accept-encoding", ACCEPTED);
    response
}

/// The answer of a call that succeeded.
#[must_use]
pub fn reply(message: &[u8]) -> Response<Body> {
    let Some(frame) = frame(message.len(), false) else {
        return refuse(&Status::new(GrpcCode::Internal, "the answer is too large"));
    };
    let mut body = BytesMut::with_capacity(frame.len() + message.len());
    body.extend_from_slice(&frame);
    body.extend_from_slice(message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    response(Body::with_trailers(body.freeze(), trailers))
}

/// The answer of a call that failed.
#[must_use]
pub fn refuse(status: &Status) -> Response<Body> {
    let mut response = response(Body::empty());
    status.write(response.headers_mut());
    response
}
