//! Unary gRPC whose messages stay bytes.
//!
//! A unary call of gRPC is one HTTP/2 request with a five-byte frame before the message and trailers after the answer.
//! Both sides are written here directly on HTTP: a server's call is answered by any
//! [`Handler`](crate::listen::Handler), so gRPC and HTTP share listeners; a message that came in one piece is not
//! copied; caps hold while a message is unpacked; and a client's message may consist of many parts, which are never copied
//! together.

mod balance;
mod call;
mod client;
mod status;

pub use call::{Refusal, read_message, refuse, reply};
pub use client::{GrpcClient, GrpcError, Message, Reply};
pub use status::Status;

use bytes::Bytes;

/// The frame before a message: whether it is compressed, and its length. `None` for one of 4 GiB or more.
fn frame(len: usize, compressed: bool) -> Option<Bytes> {
    let len = u32::try_from(len).ok()?.to_be_bytes();
    let mut frame = vec![u8::from(compressed)];
    frame.extend(len);
    Some(frame.into())
}

#[cfg(test)]
mod tests;
