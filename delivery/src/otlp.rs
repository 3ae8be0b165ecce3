//! What OTLP's answers mean, over gRPC and over HTTP.

use corten_component::{GrpcCode, Signal};
use corten_pdata::model::{
    ExportLogsServiceResponse, ExportMetricsServiceResponse, ExportTraceServiceResponse, Message,
};

use crate::Sent;

/// An answer that should be an `Export…ServiceResponse` and is none.
#[derive(Debug, thiserror::Error)]
#[error("the answer is no OTLP response: {0}")]
pub struct NoResponse(String);

/// Reads the protobuf response of a successful export: what the server left out (partial success).
///
/// # Errors
///
/// It is no such message.
pub fn read_response(signal: Signal, message: &[u8]) -> Result<Sent, NoResponse> {
    if message.is_empty() {
        return Ok(Sent::all());
    }
    let failed = |error: corten_pdata::model::DecodeError| NoResponse(error.to_string());
    let (rejected, text) = match signal {
        Signal::Logs => {
            let response = ExportLogsServiceResponse::decode(message).map_err(failed)?;
            let partial = response.partial_success.unwrap_or_default();
            (partial.rejected_log_records, partial.error_message)
        }
        Signal::Metrics => {
            let response = ExportMetricsServiceResponse::decode(message).map_err(failed)?;
            let partial = response.partial_success.unwrap_or_default();
            (partial.rejected_data_points, partial.error_message)
        }
        Signal::Traces => {
            let response = ExportTraceServiceResponse::decode(message).map_err(failed)?;
            let partial = response.partial_success.unwrap_or_default();
            (partial.rejected_spans, partial.error_message)
        }
    };
    Ok(partly(rejected, text))
}

/// The same of a JSON response.
///
/// # Errors
///
/// It is no such object.
pub fn read_json_response(signal: Signal, text: &[u8]) -> Result<Sent, NoResponse> {
    if text.trim_ascii().is_empty() {
        return Ok(Sent::all());
    }
    let response: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| NoResponse(error.to_string()))?;
    if !response.is_object() {
        return Err(NoResponse("expected a JSON object".to_owned()));
    }
    let Some(partial) = response.get("partialSuccess") else {
        return Ok(Sent::all());
    };
    let field = match signal {
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Traces => "rejectedSpans",
    };
    // 64-bit numbers are strings in protobuf's JSON; some servers write numbers.
    let rejected = match partial.get(field) {
        Some(serde_json::Value::String(text)) => text.parse().unwrap_or(0),
        Some(number) => number.as_i64().unwrap_or(0),
        None => 0,
    };
    let message = partial
        .get("errorMessage")
        .and_then(serde_json::Value::as_str);
    Ok(partly(rejected, message.unwrap_or_default().to_owned()))
}

fn partly(rejected: i64, message: String) -> Sent {
    match usize::try_from(rejected) {
        Ok(items) if items > 0 => Sent::partly(items, "partial_success", message),
        _ => {
            if !message.is_empty() {
                // All was taken, and the server has something to say about it.
                tracing::debug!(message, "the server accepted with a warning");
            }
            Sent::all()
        }
    }
}

/// Whether a gRPC server means that the message is over its size limit. There is no code for it: grpc-go says
/// `RESOURCE_EXHAUSTED`, tonic `OUT_OF_RANGE`, Tempo `RESOURCE_EXHAUSTED` also for its ingestion limit per request,
/// which waiting can't help either.
#[must_use]
pub fn is_too_large(code: GrpcCode, message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "larger than max",
        "length too large",
        "exceeds maximum size",
        "exceeds ingestion limit",
        "exceeds the limit",
        "is too large",
    ];
    matches!(
        code,
        GrpcCode::ResourceExhausted | GrpcCode::OutOfRange | GrpcCode::InvalidArgument
    ) && WORDS.iter().any(|words| message.contains(words))
}

/// A gRPC code as a label for metrics.
#[must_use]
pub fn reason(code: GrpcCode) -> &'static str {
    match code {
        GrpcCode::Cancelled => "cancelled",
        GrpcCode::Unknown => "unknown",
        GrpcCode::InvalidArgument => "invalid_argument",
        GrpcCode::DeadlineExceeded => "deadline_exceeded",
        GrpcCode::NotFound => "not_found",
        GrpcCode::AlreadyExists => "already_exists",
        GrpcCode::PermissionDenied => "permission_denied",
        GrpcCode::ResourceExhausted => "resource_exhausted",
        GrpcCode::FailedPrecondition => "failed_precondition",
        GrpcCode::Aborted => "aborted",
        GrpcCode::OutOfRange => "out_of_range",
        GrpcCode::Unimplemented => "unimplemented",
        GrpcCode::Internal => "internal",
        GrpcCode::Unavailable => "unavailable",
        GrpcCode::DataLoss => "data_loss",
        GrpcCode::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_pdata::model::{
        ExportLogsPartialSuccess, ExportMetricsPartialSuccess, ExportTracePartialSuccess,
    };

    fn rejected(sent: &Sent) -> usize {
        sent.rejected.iter().map(|rejected| rejected.items).sum()
    }

    #[test]
    fn partial_successes_are_read_of_every_signal() {
        let logs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 1,
                error_message: "why".to_owned(),
            }),
        };
        let metrics = ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: 2,
                error_message: String::new(),
            }),
        };
        let traces = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: String::new(),
            }),
        };
        let read = |signal, bytes: Vec<u8>| rejected(&read_response(signal, &bytes).unwrap());
        assert_eq!(read(Signal::Logs, logs.encode_to_vec()), 1);
        assert_eq!(read(Signal::Metrics, metrics.encode_to_vec()), 2);
        assert_eq!(read(Signal::Traces, traces.encode_to_vec()), 3);
        assert_eq!(read(Signal::Traces, Vec::new()), 0);
        assert!(read_response(Signal::Traces, b"<html>").is_err());
        let sent = read_response(Signal::Logs, &logs.encode_to_vec()).unwrap();
        assert_eq!(sent.rejected[0].message, "why");
    }

    #[test]
    fn json_answers_are_read_too() {
        let read = |text: &str| read_json_response(Signal::Traces, text.as_bytes());
        let as_string = r#"{"partialSuccess":{"rejectedSpans":"4","errorMessage":"x"}}"#;
        assert_eq!(rejected(&read(as_string).unwrap()), 4);
        let as_number = r#"{"partialSuccess":{"rejectedSpans":5}}"#;
        assert_eq!(rejected(&read(as_number).unwrap()), 5);
        for none in [
            "",
            "{}",
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":{"rejectedSpans":-1}}"#,
        ] {
            assert_eq!(rejected(&read(none).unwrap()), 0, "{none}");
        }
        assert!(read("<html>").is_err());
        assert!(read("[]").is_err());
    }

    #[test]
    fn too_large_is_told_in_words() {
        let yes = [
            (
                GrpcCode::ResourceExhausted,
                "grpc: received message larger than max (5 vs. 4)",
            ),
            (
                GrpcCode::OutOfRange,
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
            ),
            (
                GrpcCode::ResourceExhausted,
                "RATE_LIMITED: batch size (9 bytes) exceeds ingestion limit (8 bytes)",
            ),
        ];
        for (code, message) in yes {
            assert!(is_too_large(code, message), "{message}");
        }
        assert!(!is_too_large(
            GrpcCode::ResourceExhausted,
            "ingestion rate limit (1 bytes) exceeded"
        ));
        assert!(!is_too_large(GrpcCode::Unavailable, "larger than max"));
    }
}
