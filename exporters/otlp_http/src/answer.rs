//! What a response to an export means.

use corten_component::{Signal, Status};
use corten_delivery::{SendError, Sent, otlp};
use corten_net::client::Response;
use corten_net::grpc;
use http::header::CONTENT_TYPE;

/// Of a server's text, this much is shown.
const SHOWN: usize = 300;

/// Delivered, or why not. `url` is for messages.
pub(crate) fn read(url: &str, signal: Signal, response: &Response) -> Result<Sent, SendError> {
    if response.is_success() {
        return read_success(signal, response).map_err(|message| {
            SendError::permanent(
                Status::INTERNAL,
                "bad_response",
                format!("{url}: {message}"),
            )
        });
    }
    let status = Status::Http(response.status);
    let message = format!("{url}: HTTP status {}{}", response.status, text(response));
    Err(match response.status {
        429 | 502..=504 => SendError::Retryable {
            status,
            after: response.retry_after(),
            message,
        },
        413 => SendError::TooLarge { status, message },
        code => SendError::permanent(status, reason(code), message),
    })
}

/// A 2xx of another content type than OTLP's says nothing more; one of OTLP's that can't be read comes from something
/// that is no OTLP server.
fn read_success(signal: Signal, response: &Response) -> Result<Sent, String> {
    let sent = match content_type(response) {
        "application/x-protobuf" => otlp::read_response(signal, &response.body),
        "application/json" => otlp::read_json_response(signal, &response.body),
        _ => return Ok(Sent::all()),
    };
    sent.map_err(|error| error.to_string())
}

fn content_type(response: &Response) -> &str {
    let value = response.headers.get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

/// The server's words: a `google.rpc.Status` as OTLP asks for, or the beginning of whatever it is.
fn text(response: &Response) -> String {
    let said = match content_type(response) {
        "application/x-protobuf" => {
            grpc::Status::decode(&response.body).map(|status| status.message)
        }
        "application/json" => serde_json::from_slice::<serde_json::Value>(&response.body)
            .ok()
            .and_then(|body| Some(body.get("message")?.as_str()?.to_owned())),
        _ => None,
    };
    let said = said.unwrap_or_else(|| {
        let start = response.body.get(..SHOWN).unwrap_or(&response.body);
        String::from_utf8_lossy(start).into_owned()
    });
    let said: String = said.chars().take(SHOWN).map(printable).collect();
    match said.trim() {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A status as a label for metrics.
fn reason(status: u16) -> &'static str {
    match status {
        300..=399 => "redirect",
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        415 => "unsupported_media_type",
        422 => "unprocessable",
        500 => "internal_server_error",
        _ if status < 500 => "client_error",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use std::time::Duration;

    fn response(status: u16, kind: &'static str, body: &'static [u8]) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Response {
            status,
            headers,
            body: body.into(),
        }
    }

    #[test]
    fn only_four_statuses_are_tried_again() {
        for status in 300..600 {
            let answer = read("u", Signal::Logs, &response(status, "text/plain", b"no"));
            let retryable = matches!(answer, Err(SendError::Retryable { .. }));
            assert_eq!(
                retryable,
                [429, 502, 503, 504].contains(&status),
                "{status}"
            );
            let too_large = matches!(answer, Err(SendError::TooLarge { .. }));
            assert_eq!(too_large, status == 413, "{status}");
        }
    }

    #[test]
    fn the_delay_is_read() {
        let mut limited = response(429, "text/plain", b"");
        limited
            .headers
            .insert("retry-after", HeaderValue::from_static("7"));
        match read("u", Signal::Logs, &limited) {
            Err(SendError::Retryable { after, .. }) => {
                assert_eq!(after, Some(Duration::from_secs(7)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_servers_words_are_shown() {
        let message = |response| match read("http://x", Signal::Logs, &response) {
            Err(SendError::Permanent { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        let proto = response(400, "application/x-protobuf", b"\x08\x03\x12\x03bad");
        assert_eq!(message(proto), "http://x: HTTP status 400: bad");
        let json = response(
            400,
            "application/json; charset=utf-8",
            br#"{"message":"wrong"}"#,
        );
        assert_eq!(message(json), "http://x: HTTP status 400: wrong");
        let plain = response(404, "text/plain", b"page\nnot found\n");
        assert_eq!(message(plain), "http://x: HTTP status 404: page not found");
    }

    #[test]
    fn a_success_that_is_no_otlp_is_told() {
        let html = response(200, "application/json", b"<html>");
        assert!(matches!(
            read("u", Signal::Traces, &html),
            Err(SendError::Permanent {
                reason: "bad_response",
                ..
            })
        ));
        let none = response(204, "text/plain", b"fine");
        assert_eq!(read("u", Signal::Traces, &none).unwrap(), Sent::all());
    }
}
