//! OTLP/JSON as others write it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use corten_pdata::model::common::any_value::Value;
use corten_pdata::model::logs::LogRecord;
use corten_pdata::model::trace::Span;
use corten_pdata::{JsonError, LogsSignal, TracesSignal, json};

fn record(fields: &str) -> Result<LogRecord, JsonError> {
    let text = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#);
    let model = json::from_json::<LogsSignal>(text.as_bytes())?
        .decode()
        .unwrap();
    Ok(model.resource_logs[0].scope_logs[0].log_records[0].clone())
}

fn span(fields: &str) -> Result<Span, JsonError> {
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    let model = json::from_json::<TracesSignal>(text.as_bytes())?
        .decode()
        .unwrap();
    Ok(model.resource_spans[0].scope_spans[0].spans[0].clone())
}

fn body(value: &str) -> Option<Value> {
    record(&format!(r#""body":{{{value}}}"#))
        .unwrap()
        .body?
        .value
}

#[test]
fn integers_come_as_numbers_and_as_texts() {
    for text in [
        r#""timeUnixNano":"1544712660300000000""#,
        r#""timeUnixNano":1544712660300000000"#,
    ] {
        assert_eq!(
            record(text).unwrap().time_unix_nano,
            1_544_712_660_300_000_000
        );
    }
    assert_eq!(
        body(r#""intValue":"-9223372036854775808""#),
        Some(Value::IntValue(i64::MIN))
    );
    assert_eq!(body(r#""intValue":1e3"#), Some(Value::IntValue(1000)));
    for text in [
        r#""timeUnixNano":-1"#,
        r#""timeUnixNano":1.5"#,
        r#""flags":4294967296"#,
    ] {
        let error = record(text).unwrap_err();
        assert_eq!(error.what, "expected an integer within the field's range");
    }
}

#[test]
fn names_come_in_both_spellings() {
    let record = record(r#""time_unix_nano":1,"severityText":"x","event_name":"e""#).unwrap();
    assert_eq!(
        (
            record.time_unix_nano,
            record.severity_text.as_str(),
            record.event_name.as_str()
        ),
        (1, "x", "e")
    );
}

#[test]
fn enumerations_come_by_number_and_by_name() {
    assert_eq!(span(r#""kind":3"#).unwrap().kind, 3);
    assert_eq!(span(r#""kind":"SPAN_KIND_CLIENT""#).unwrap().kind, 3);
    assert_eq!(span(r#""kind":99"#).unwrap().kind, 99);
    assert_eq!(
        span(r#""kind":"SPAN_KIND_FRIEND""#).unwrap_err().what,
        "expected a value of SpanKind"
    );
}

#[test]
fn ids_are_hexadecimal_in_either_case() {
    let span = span(r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#);
    let span = span.unwrap();
    assert_eq!(span.trace_id[..3], [0x5b, 0x8e, 0xff]);
    assert_eq!(span.span_id[7], 0x74);
    assert!(record(r#""traceId":"5B8""#).is_err());
    assert!(record(r#""traceId":"zz""#).is_err());
    assert_eq!(
        record(r#""traceId":"""#).unwrap().trace_id,
        Vec::<u8>::new()
    );
}

#[test]
fn bytes_are_base64_of_any_kind() {
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        let value = body(&format!(r#""bytesValue":"{text}""#));
        assert_eq!(value, Some(Value::BytesValue(vec![0xfb, 0xff])), "{text}");
    }
    assert!(record(r#""body":{"bytesValue":"!"}"#).is_err());
}

#[test]
fn doubles_may_be_special() {
    assert_eq!(
        body(r#""doubleValue":"Infinity""#),
        Some(Value::DoubleValue(f64::INFINITY))
    );
    assert_eq!(
        body(r#""doubleValue":"-Infinity""#),
        Some(Value::DoubleValue(f64::NEG_INFINITY))
    );
    assert!(matches!(body(r#""doubleValue":"NaN""#), Some(Value::DoubleValue(v)) if v.is_nan()));
    assert_eq!(body(r#""doubleValue":1"#), Some(Value::DoubleValue(1.0)));
    assert_eq!(
        body(r#""doubleValue":"2.5""#),
        Some(Value::DoubleValue(2.5))
    );
    assert!(record(r#""body":{"doubleValue":"inf"}"#).is_err());
}

#[test]
fn null_is_absent_and_unknown_names_are_skipped() {
    let record = record(
        r#""body":null,"attributes":null,"what":{"a":[1,{"b":null},"x\"y",true]},"flags":1"#,
    )
    .unwrap();
    assert_eq!((record.body, record.flags), (None, 1));
    assert!(span(r#""events":[null]"#).is_err());
}

#[test]
fn texts_are_unescaped() {
    let value = body(r#""stringValue":"a\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00\ud83dx""#);
    let expected = "a\"\\/\u{8}\u{c}\n\r\té\u{e9}\u{1f600}\u{fffd}x";
    assert_eq!(value, Some(Value::StringValue(expected.to_owned())));
    assert!(record("\"severityText\":\"a\nb\"").is_err());
}

#[test]
fn a_message_given_twice_is_merged() {
    let record = record(
        r#""body":{"arrayValue":{"values":[{"intValue":1}]}},"body":{"arrayValue":{"values":[{"intValue":2}]}}"#,
    )
    .unwrap();
    let Some(Value::ArrayValue(array)) = record.body.unwrap().value else {
        panic!("not a list");
    };
    assert_eq!(array.values.len(), 2);
}

#[test]
fn output_follows_the_specification() {
    let input = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"k","value":{"intValue":"7"}}]},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1","severityNumber":9,"body":{"doubleValue":1.5},"flags":1,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}],"schemaUrl":"u"}]}"#;
    let logs = json::from_json::<LogsSignal>(input.as_bytes()).unwrap();
    let mut out = Vec::new();
    json::to_json(&logs, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), input);
}

#[test]
fn what_is_not_a_request_is_refused() {
    for text in [
        "",
        "[]",
        "{",
        "{}x",
        "nul",
        "{\"resourceLogs\":{}}",
        "\u{1}",
    ] {
        assert!(
            json::from_json::<LogsSignal>(text.as_bytes()).is_err(),
            "{text}"
        );
    }
    assert!(json::from_json::<LogsSignal>(b"\xff").is_err());
    assert_eq!(json::from_json::<LogsSignal>(b" {} ").unwrap().items(), 0);
}
