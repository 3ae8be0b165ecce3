//! A span's status, as the Collector reads it out of tags.
//!
//! The tag `error` decides, when it is true; then `otel.status_code`; then `http.status_code`: from 500 on an error, from
//! 400 on one of the client's. What is used up is no attribute any more, `http.*` aside.

use crate::model::{Tag, Value};
use crate::translate::{find, take};

/// OTLP's codes.
const UNSET: i32 = 0;
const OK: i32 = 1;
const ERROR: i32 = 2;
/// OTLP's `SpanKind`s.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// The code and the message; `None` when nothing is known.
pub(crate) fn of<'a>(tags: &mut Vec<Tag<'a>>, kind: i32) -> Option<(i32, &'a str)> {
    let is_error = matches!(
        find(tags, "error"),
        Some(Value::Bool(true) | Value::Text("true"))
    );
    let mut status = None;
    if is_error {
        take(tags, "error");
        let said = take(tags, "otel.status_description");
        let said = said.or_else(|| find(tags, "http.status_message"));
        status = Some((ERROR, said.map(Value::text).unwrap_or_default()));
    }
    if let Some(code) = take(tags, "otel.status_code") {
        if is_error {
            return status;
        }
        let text = code.text();
        let code = if text.eq_ignore_ascii_case("ok") {
            OK
        } else if text.eq_ignore_ascii_case("error") {
            ERROR
        } else {
            UNSET
        };
        let said = take(tags, "otel.status_description");
        return Some((code, said.map(Value::text).unwrap_or_default()));
    }
    if is_error || !http_failed(find(tags, "http.status_code")?, kind) {
        return status;
    }
    let said = find(tags, "http.status_message");
    Some((ERROR, said.map(Value::text).unwrap_or_default()))
}

fn http_failed(value: Value<'_>, kind: i32) -> bool {
    let code = match value {
        Value::Int(code) => code,
        Value::Text(text) => match text.parse() {
            Ok(code) => code,
            Err(_) => return false,
        },
        _ => return false,
    };
    match code {
        400..500 if kind == CLIENT => true,
        400..500 if kind == SERVER => false,
        code => !(100..399).contains(&code),
    }
}
