//! `google.rpc.Status`: on the wire of gRPC, and as the body of an OTLP/HTTP error.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use corten_component::GrpcCode;
use http::{HeaderMap, HeaderValue};

/// Why a call failed: `google.rpc.Status` with at most a `RetryInfo` among its details.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Status {
    /// The code.
    pub code: GrpcCode,
    /// What a person should know.
    pub message: String,
    /// How long to wait before trying again (`google.rpc.RetryInfo`).
    pub retry_after: Option<Duration>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    /// A status without details.
    pub fn new(code: GrpcCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Not now: try again in a second.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(GrpcCode::Unavailable, message).after(Duration::from_secs(1))
    }

    /// The same, with how long to wait.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// As a protobuf message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.message.len());
        varint_field(&mut out, 1, u64::from(self.code as u8));
        bytes_field(&mut out, 2, self.message.as_bytes());
        if let Some(delay) = self.retry_after {
            let mut duration = Vec::new();
            varint_field(&mut duration, 1, delay.as_secs());
            varint_field(&mut duration, 2, u64::from(delay.subsec_nanos()));
            let mut info = Vec::new();
            bytes_field(&mut info, 1, &duration);
            let mut any = Vec::new();
            bytes_field(&mut any, 1, RETRY_INFO.as_bytes());
            bytes_field(&mut any, 2, &info);
            bytes_field(&mut out, 3, &any);
        }
        out
    }

    /// From a protobuf message. `None` when it is none, or says that there is no error.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut status = Self::new(GrpcCode::Unknown, "");
        let mut code = 0;
        for field in Fields(bytes) {
            match field? {
                (1, Value::Varint(number)) => code = number,
                (2, Value::Bytes(text)) => {
                    status.message = String::from_utf8_lossy(text).into_owned()
                }
                (3, Value::Bytes(any)) => {
                    status.retry_after = retry_info(any).or(status.retry_after);
                }
                _ => {}
            }
        }
        status.code = GrpcCode::from_number(i32::try_from(code).unwrap_or(i32::MAX))?;
        Some(status)
    }

    /// Writes `grpc-status`, `grpc-message` and, where there are details, `grpc-status-details-bin`.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from(self.code.number()));
        if let Ok(message) = HeaderValue::from_str(&percent_encode(&self.message)) {
            headers.insert("grpc-message", message);
        }
        if self.retry_after.is_some()
            && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(self.encode()))
        {
            headers.insert("grpc-status-details-bin", details);
        }
    }

    /// What trailers (or the headers of an answer without a body) say. `None`: there is no `grpc-status`;
    /// `Some(None)`: it says OK.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Option<Self>> {
        let code = headers
            .get("grpc-status")?
            .to_str()
            .ok()
            .and_then(|code| code.parse().ok());
        let Some(code) = GrpcCode::from_number(code.unwrap_or(2)) else {
            return Some(None);
        };
        let message = headers.get("grpc-message").map(HeaderValue::as_bytes);
        let details = headers.get("grpc-status-details-bin").and_then(|details| {
            let details = details.as_bytes();
            STANDARD
                .decode(details)
                .or_else(|_| STANDARD_NO_PAD.decode(details))
                .ok()
        });
        let details = details.and_then(|details| Self::decode(&details));
        Some(Some(Self {
            code,
            message: percent_decode(message.unwrap_or_default()),
            retry_after: details.and_then(|details| details.retry_after),
        }))
    }
}

fn retry_info(any: &[u8]) -> Option<Duration> {
    let (mut is_retry_info, mut value) = (false, &[][..]);
    for field in Fields(any) {
        match field? {
            (1, Value::Bytes(name)) => is_retry_info = name == RETRY_INFO.as_bytes(),
            (2, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if !is_retry_info {
        return None;
    }
    let mut delay = Duration::ZERO;
    for field in Fields(value) {
        if let (1, Value::Bytes(duration)) = field? {
            for part in Fields(duration) {
                match part? {
                    // Ten varint bytes are a negative number: no delay.
                    (1, Value::Varint(seconds)) => {
                        delay +=
                            Duration::from_secs(u64::from(u32::try_from(seconds).unwrap_or(0)));
                    }
                    (2, Value::Varint(nanos)) => {
                        delay += Duration::from_nanos(nanos.min(999_999_999));
                    }
                    _ => {}
                }
            }
        }
    }
    Some(delay)
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a protobuf message; `None` as an item ends them at damage.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        varint(out, number << 3);
        varint(out, value);
    }
}

fn bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// gRPC's own escaping of messages: what is not printable ASCII, and `%`.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(u32::from(digit), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
    out
}

fn percent_decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        if *byte == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wire_form_is_googles() {
        // code 14, message "x", one Any with RetryInfo { retry_delay { seconds: 2, nanos: 500000000 } }.
        let status = Status::new(GrpcCode::Unavailable, "x").after(Duration::from_millis(2500));
        let mut expected = vec![8, 14, 18, 1, b'x', 26, 54, 10, 40];
        expected.extend(RETRY_INFO.as_bytes());
        expected.extend([18, 10, 10, 8, 8, 2, 16, 0x80, 0xCA, 0xB5, 0xEE, 0x01]);
        assert_eq!(status.encode(), expected);
    }

    #[test]
    fn absent_and_ok_are_told_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(Status::read(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(Status::read(&headers), Some(None));
        headers.insert("grpc-status", HeaderValue::from_static("zero"));
        assert_eq!(
            Status::read(&headers).unwrap().unwrap().code,
            GrpcCode::Unknown
        );
    }

    proptest! {
        #[test]
        fn headers_bring_it_back(number in 1..=16i32, message: String, secs: Option<u32>) {
            let mut status = Status::new(GrpcCode::from_number(number).unwrap(), message);
            status.retry_after = secs.map(|secs| Duration::new(secs.into(), 7));
            let mut headers = HeaderMap::new();
            status.write(&mut headers);
            prop_assert_eq!(Status::read(&headers), Some(Some(status.clone())));
            prop_assert_eq!(Status::decode(&status.encode()), Some(status));
        }

        #[test]
        fn any_bytes_are_a_status_or_none(bytes: Vec<u8>) {
            drop(Status::decode(&bytes));
            drop(percent_decode(&bytes));
        }
    }
}
