//! What goes back to a sender, in its own encoding.

use std::time::Duration;

use corten_component::Signal;
use corten_net::grpc::Status;
use serde_json::json;

use crate::intake::Outcome;

/// How a request over HTTP is encoded, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// The encoding that a `Content-Type` names.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        let essence = content_type
            .split(|byte| *byte == b';')
            .next()?
            .trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/x-protobuf") {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(b"application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// A `google.rpc.Status`.
    pub(crate) fn status(self, status: &Status) -> Vec<u8> {
        match self {
            Self::Protobuf => status.encode(),
            Self::Json => {
                let details = status.retry_after.map(|delay| {
                    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": duration(delay)})
                });
                let mut body = json!({"code": status.code.number(), "message": status.message});
                if let (Some(details), Some(body)) = (details, body.as_object_mut()) {
                    body.insert("details".to_owned(), json!([details]));
                }
                body.to_string().into_bytes()
            }
        }
    }

    /// An `Export…ServiceResponse`.
    pub(crate) fn success(self, signal: Signal, outcome: &Outcome) -> Vec<u8> {
        let (rejected, message) = match outcome {
            Outcome::Partly { rejected, message } => (*rejected as u64, message.as_str()),
            Outcome::Kept | Outcome::Refused(_) => (0, ""),
        };
        match self {
            Self::Protobuf => partial_success(rejected, message),
            Self::Json if rejected == 0 => json!({"partialSuccess": {}}).to_string().into_bytes(),
            Self::Json => {
                let field = match signal {
                    Signal::Logs => "rejectedLogRecords",
                    Signal::Metrics => "rejectedDataPoints",
                    Signal::Traces => "rejectedSpans",
                };
                // Numbers of 64 bits are text in protobuf's JSON.
                let body = json!({"partialSuccess": {field: rejected.to_string(), "errorMessage": message}});
                body.to_string().into_bytes()
            }
        }
    }
}

/// `Export…ServiceResponse { partial_success { rejected, error_message } }`; the field numbers are the same for every
/// signal. Without a rejected item it is empty, which is how success is written.
fn partial_success(rejected: u64, message: &str) -> Vec<u8> {
    if rejected == 0 {
        return Vec::new();
    }
    let mut inner = vec![1 << 3];
    varint(&mut inner, rejected);
    inner.push(2 << 3 | 2);
    varint(&mut inner, message.len() as u64);
    inner.extend_from_slice(message.as_bytes());
    let mut outer = vec![1 << 3 | 2];
    varint(&mut outer, inner.len() as u64);
    outer.extend(inner);
    outer
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 128")]
    out.push(value as u8);
}

/// `google.protobuf.Duration` in JSON.
fn duration(delay: Duration) -> String {
    match delay.subsec_nanos() {
        0 => format!("{}s", delay.as_secs()),
        nanos => format!("{}.{nanos:09}s", delay.as_secs()),
    }
}

/// `Retry-After` knows whole seconds alone; less than one would mean at once.
pub(crate) fn whole_seconds(delay: Duration) -> u64 {
    let more = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(more).max(1)
}

#[cfg(test)]
mod tests {
    use corten_component::GrpcCode;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn content_types_are_recognised_whatever_follows() {
        assert_eq!(
            Encoding::of(b"application/json; charset=utf-8"),
            Some(Encoding::Json)
        );
        assert_eq!(
            Encoding::of(b"Application/X-Protobuf"),
            Some(Encoding::Protobuf)
        );
        assert_eq!(Encoding::of(b"text/plain"), None);
        assert_eq!(Encoding::of(b""), None);
    }

    #[test]
    fn a_partial_success_is_decoded_by_anybody() {
        let outcome = Outcome::Partly {
            rejected: 300,
            message: "too old".to_owned(),
        };
        let bytes = Encoding::Protobuf.success(Signal::Logs, &outcome);
        let partial = ExportLogsServiceResponse::decode(bytes.as_slice())
            .unwrap()
            .partial_success
            .unwrap();
        assert_eq!(
            (partial.rejected_log_records, partial.error_message.as_str()),
            (300, "too old")
        );
        let json = Encoding::Json.success(Signal::Traces, &outcome);
        assert_eq!(
            json,
            br#"{"partialSuccess":{"errorMessage":"too old","rejectedSpans":"300"}}"#
        );
        assert!(
            Encoding::Protobuf
                .success(Signal::Logs, &Outcome::Kept)
                .is_empty()
        );
    }

    #[test]
    fn a_status_in_json_is_protobufs_json() {
        let status = Status::new(GrpcCode::Unavailable, "later").after(Duration::from_millis(1500));
        assert_eq!(
            String::from_utf8(Encoding::Json.status(&status)).unwrap(),
            r#"{"code":14,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500000000s"}],"message":"later"}"#
        );
    }

    #[test]
    fn delays_are_rounded_up() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (30_000, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds);
        }
    }
}
