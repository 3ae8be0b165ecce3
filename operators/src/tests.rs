//! Operators as users write them, on entries as users have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corten_config::{Problems, section};
use expect_test::expect;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// 2026-06-15T12:00:00Z
const NOW: u64 = 1_781_524_800_000_000_000;

fn operators(yaml: &str) -> Operators {
    let mut problems = Problems::new();
    let section = section(yaml, "operators", &mut problems).unwrap();
    section.decode(&mut problems).unwrap()
}

fn chain(yaml: &str) -> Chain {
    let mut problems = Problems::new();
    let chain = operators(yaml).build(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    chain.unwrap()
}

/// `{body, attributes, resource}` as an entry.
fn entry(json: &serde_json::Value) -> Entry {
    let map = |name: &str| match Value::from_json(json.get(name).cloned().unwrap_or_default()) {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    Entry {
        body: Value::from_json(json.get("body").cloned().unwrap_or_default()),
        attributes: map("attributes"),
        resource: Arc::new(map("resource")),
        observed: NOW,
        ..Entry::default()
    }
}

fn shown(entry: &Entry) -> serde_json::Value {
    let mut shown = json!({});
    let mut put = |name: &str, value: serde_json::Value| {
        if !value.is_null() && value != json!({}) && value != json!("") && value != json!(0) {
            shown[name] = value;
        }
    };
    put("body", entry.body.to_json());
    put("attributes", entry.attributes.to_json());
    put("resource", entry.resource.to_json());
    put("severity", entry.severity.into());
    put("text", entry.severity_text.as_str().into());
    put("scope", entry.scope_name.as_str().into());
    put("flags", entry.flags.into());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    put("trace", hex(&entry.trace_id).into());
    put("span", hex(&entry.span_id).into());
    if let Some(time) = entry.time {
        put(
            "time",
            jiff::Timestamp::from_nanosecond(time.into())
                .unwrap()
                .to_string()
                .into(),
        );
    }
    shown
}

fn feed(chain: &mut Chain, entry: Entry, now: Instant) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    chain.process(entry, now, &mut |entry| {
        out.push(shown(&entry));
        entry.origins.settle();
    });
    out
}

#[track_caller]
fn check(yaml: &str, input: serde_json::Value, expected: serde_json::Value) {
    let out = feed(&mut chain(yaml), entry(&input), Instant::now());
    assert_eq!(serde_json::Value::from(out), expected, "{yaml}");
}

#[test]
fn json() {
    let text = r#"{"key":"val","n":1,"nested":{"a":[true,null]},"seconds":1136214245}"#;
    check(
        "[{type: json_parser}]",
        json!({"body": text}),
        json!([{
            "body": text,
            "attributes": {"key": "val", "n": 1.0, "nested": {"a": [true, null]}, "seconds": 1_136_214_245.0}
        }]),
    );
    check(
        "[{type: json_parser, parse_ints: true, parse_to: body.inner}]",
        json!({"body": "{\"n\":1,\"f\":1.5}"}),
        json!([{
            "body": {"inner": {"n": 1, "f": 1.5}}
        }]),
    );
    check(
        "[{type: json_parser, parse_from: body.message, parse_to: body, timestamp: {parse_from: body.seconds, layout_type: epoch, layout: s}}]",
        json!({"body": {"message": "{\"key\":\"val\",\"seconds\":1136214245}", "other": 1}}),
        json!([{
            "body": {"key": "val", "message": "{\"key\":\"val\",\"seconds\":1136214245}", "other": 1, "seconds": 1_136_214_245.0},
            "time": "2006-01-02T15:04:05Z"
        }]),
    );
    // Merged into what is there, which it wins over.
    check(
        "[{type: json_parser}]",
        json!({"body": "{\"a\":\"new\"}", "attributes": {"a": "old", "b": "kept"}}),
        json!([{
            "body": "{\"a\":\"new\"}", "attributes": {"a": "new", "b": "kept"}
        }]),
    );
    check(
        "[{type: json_parser, if: 'body matches \"^{.*}$\"'}]",
        json!({"body": "notjson"}),
        json!([{"body": "notjson"}]),
    );
    check(
        "[{type: json_array_parser}]",
        json!({"body": r#"["Hello",42,{"a":1},[1,2],true,null]"#}),
        json!([{
            "body": ["Hello", 42.0, "{\"a\":1.0}", "[1.0,2.0]", true, null]
        }]),
    );
    check(
        "[{type: json_array_parser, parse_to: attributes, header: 'origin,sev,message,isBool'}]",
        json!({"body": r#"[1,"debug","Debug Message",true]"#}),
        json!([{
            "body": r#"[1,"debug","Debug Message",true]"#,
            "attributes": {"origin": 1.0, "sev": "debug", "message": "Debug Message", "isBool": true}
        }]),
    );
}

#[test]
fn regex() {
    check(
        "[{type: regex_parser, parse_from: body.message, regex: '^Host=(?P<host>[^,]+), Type=(?P<type>.*)$'}]",
        json!({"body": {"message": "Host=127.0.0.1, Type=HTTP"}}),
        json!([{"body": {"message": "Host=127.0.0.1, Type=HTTP"}, "attributes": {"host": "127.0.0.1", "type": "HTTP"}}]),
    );
    check(
        "[{type: regex_parser, regex: '^Time=(?P<time>\\d{4}-\\d{2}-\\d{2}), Host=(?P<host>[^,]+)', timestamp: {parse_from: attributes.time, layout: '%Y-%m-%d', location: UTC}}]",
        json!({"body": "Time=2020-01-31, Host=a"}),
        json!([{"body": "Time=2020-01-31, Host=a", "attributes": {"time": "2020-01-31", "host": "a"}, "time": "2020-01-31T00:00:00Z"}]),
    );
    // A group that took no part is empty text; the cache changes nothing.
    for cache in ["", ", cache: {size: 2}"] {
        let mut chain = chain(&format!(
            "[{{type: regex_parser, regex: '(?P<a>x)?(?P<b>y)'{cache}}}]"
        ));
        for text in ["y", "xy", "y", "zy", "zzy", "y"] {
            let a = if text.starts_with('x') { "x" } else { "" };
            let out = feed(&mut chain, Entry::text(text), Instant::now());
            assert_eq!(
                out,
                [json!({"body": text, "attributes": {"a": a, "b": "y"}})]
            );
        }
    }
    check(
        "[{type: regex_parser, regex: '^StatusCode=(?P<code>\\d{3})', severity: {parse_from: attributes.code, mapping: {warn: 5xx, error: 4xx, info: 3xx, debug: 2xx}}}]",
        json!({"body": "StatusCode=404"}),
        json!([{"body": "StatusCode=404", "attributes": {"code": "404"}, "severity": 17, "text": "404"}]),
    );
}

#[test]
fn csv_pairs_and_uris() {
    check(
        "[{type: csv_parser, header: 'id,severity,message', parse_to: body}]",
        json!({"body": "1,debug,\"Debug, Message\""}),
        json!([{
            "body": {"id": "1", "severity": "debug", "message": "Debug, Message"}
        }]),
    );
    check(
        "[{type: csv_parser, parse_from: body.message, header: 'a,b', header_delimiter: ',', delimiter: \"\\t\"}]",
        json!({"body": {"message": "1\tx y"}}),
        json!([{
            "body": {"message": "1\tx y"}, "attributes": {"a": "1", "b": "x y"}
        }]),
    );
    check(
        "[{type: csv_parser, header_attribute: fields}]",
        json!({"body": "1,2", "attributes": {"fields": "x,y"}}),
        json!([{
            "body": "1,2", "attributes": {"fields": "x,y", "x": "1", "y": "2"}
        }]),
    );
    check(
        "[{type: key_value_parser, parse_from: message, parse_to: body}]",
        json!({"body": {"message": "name=stanza"}}),
        json!([{
            "body": {"message": "name=stanza", "name": "stanza"}
        }]),
    );
    check(
        "[{type: uri_parser, preserve_to: attributes.original}]",
        json!({"body": "https://dev:pass@google.com/app?user_id=2"}),
        json!([{
            "body": "https://dev:pass@google.com/app?user_id=2",
            "attributes": {"original": "https://dev:pass@google.com/app?user_id=2", "scheme": "https", "user": "dev", "host": "google.com", "path": "/app", "query": {"user_id": ["2"]}}
        }]),
    );
}

#[test]
fn syslog() {
    check(
        "[{type: syslog_parser, protocol: rfc3164}]",
        json!({"body": "<34>Jan 12 06:30:00 1.2.3.4 apache_server: test message"}),
        json!([{
            "body": "<34>Jan 12 06:30:00 1.2.3.4 apache_server: test message",
            "attributes": {"appname": "apache_server", "facility": 4, "hostname": "1.2.3.4", "message": "test message", "priority": 34},
            "severity": 18, "text": "crit", "time": "2026-01-12T06:30:00Z"
        }]),
    );
    check(
        "[{type: syslog_parser, protocol: rfc5424, parse_to: body}]",
        json!({"body": "<86>1 2015-08-05T21:58:59.693Z h app 23108 ID1 [x@1 k=\"v\"] Found"}),
        json!([{
            "body": {"appname": "app", "facility": 10, "hostname": "h", "message": "Found", "msg_id": "ID1", "priority": 86, "proc_id": "23108", "structured_data": {"x@1": {"k": "v"}}, "version": 1},
            "severity": 9, "text": "info", "time": "2015-08-05T21:58:59.693Z"
        }]),
    );
}

#[test]
fn time_severity_trace_and_scope() {
    check(
        "[{type: time_parser, parse_from: body.t, layout_type: gotime, layout: 'Jan 2 15:04:05 MST 2006', location: UTC}]",
        json!({"body": {"t": "Jun 5 13:50:27 GMT+2 2020"}}),
        json!([{
            "body": {"t": "Jun 5 13:50:27 GMT+2 2020"}, "time": "2020-06-05T11:50:27Z"
        }]),
    );
    check(
        "[{type: severity_parser, parse_from: body.s, overwrite_text: true, mapping: {error: nooo!}}]",
        json!({"body": {"s": "NOOO!"}}),
        json!([{
            "body": {"s": "NOOO!"}, "severity": 17, "text": "ERROR"
        }]),
    );
    check(
        "[{type: severity_parser, parse_from: body.s, preset: none, mapping: {info: [{min: 300, max: 399}]}}]",
        json!({"body": {"s": 302}}),
        json!([{
            "body": {"s": 302}, "severity": 9, "text": "302"
        }]),
    );
    check(
        "[{type: severity_parser, parse_from: body.s, preset: none}]",
        json!({"body": {"s": "ERROR"}}),
        json!([{
            "body": {"s": "ERROR"}, "text": "ERROR"
        }]),
    );
    check(
        "[{type: trace_parser}, {type: scope_name_parser, parse_from: body.logger}]",
        json!({"body": {"trace_id": "480140f3d770a5ae32f0a22b6a812cff", "span_id": "92c3792d54ba94f3", "trace_flags": "01", "logger": "com.example"}}),
        json!([{
            "body": {"trace_id": "480140f3d770a5ae32f0a22b6a812cff", "span_id": "92c3792d54ba94f3", "trace_flags": "01", "logger": "com.example"},
            "trace": "480140f3d770a5ae32f0a22b6a812cff", "span": "92c3792d54ba94f3", "flags": 1, "scope": "com.example"
        }]),
    );
    // Embedded ones are independent of each other.
    let yaml = "[{type: json_parser, timestamp: {parse_from: attributes.ts, layout: '%Y'}, severity: {parse_from: attributes.sev}, trace: {span_id: {parse_from: attributes.span}}, scope_name: {parse_from: attributes.who}, body: attributes.message}]";
    check(
        yaml,
        json!({"body": r#"{"ts":"soon","sev":"INFO","span":"92c3792d54ba94f3","who":"me","message":"foo"}"#}),
        json!([{
            "body": "foo", "attributes": {"ts": "soon", "sev": "INFO", "span": "92c3792d54ba94f3", "who": "me", "message": "foo"},
            "severity": 9, "text": "INFO", "span": "92c3792d54ba94f3", "scope": "me"
        }]),
    );
}

#[test]
fn fields_are_moved_about() {
    let body = json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "resource": {"r": "x"}});
    for (yaml, expected) in [
        (
            "{type: add, field: body.key3, value: val3}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}, "key3": "val3"}, "resource": {"r": "x"}}),
        ),
        (
            "{type: add, field: resource.key3, value: 'EXPR(body.key1 + \"_suffix\")'}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "resource": {"r": "x", "key3": "val1_suffix"}}),
        ),
        (
            "{type: add, field: attributes, value: {nested: {x: [1, true]}}}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "attributes": {"nested": {"x": [1, true]}}, "resource": {"r": "x"}}),
        ),
        (
            "{type: copy, from: body.key1, to: attributes.copied}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "attributes": {"copied": "val1"}, "resource": {"r": "x"}}),
        ),
        (
            "{type: move, from: body.key1, to: body.key3}",
            json!({"body": {"key2": {"a": 1, "b": 2}, "key3": "val1"}, "resource": {"r": "x"}}),
        ),
        (
            "{type: move, from: 'resource[\"r\"]', to: attributes.r}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "attributes": {"r": "x"}}),
        ),
        (
            "{type: move, from: body.key1, to: body}",
            json!({"body": "val1", "resource": {"r": "x"}}),
        ),
        (
            "{type: move, from: body.key2, to: body}",
            json!({"body": {"key1": "val1", "a": 1, "b": 2}, "resource": {"r": "x"}}),
        ),
        (
            "{type: move, from: body, to: attributes}",
            json!({"attributes": {"key1": "val1", "key2": {"a": 1, "b": 2}}, "resource": {"r": "x"}}),
        ),
        (
            "{type: remove, field: body.key2.a}",
            json!({"body": {"key1": "val1", "key2": {"b": 2}}, "resource": {"r": "x"}}),
        ),
        (
            "{type: remove, field: resource}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}}),
        ),
        (
            "{type: retain, fields: [body.key2.a, body.none]}",
            json!({"body": {"key2": {"a": 1}}, "resource": {"r": "x"}}),
        ),
        (
            "{type: retain, fields: [resource.none]}",
            json!({"body": {"key1": "val1", "key2": {"a": 1, "b": 2}}}),
        ),
        (
            "{type: flatten, field: body.key2}",
            json!({"body": {"key1": "val1", "a": 1, "b": 2}, "resource": {"r": "x"}}),
        ),
        ("{type: noop}", body.clone()),
    ] {
        check(&format!("[{yaml}]"), body.clone(), json!([expected]));
    }
    check(
        "[{type: regex_replace, field: body, regex: ' +', replace_with: ' '}]",
        json!({"body": "Hello  World"}),
        json!([{"body": "Hello World"}]),
    );
    check(
        "[{type: regex_replace, field: body, regex: '{(.*?)}', replace_with: '$${1}'}]",
        json!({"body": "{a}{bb}{ccc}"}),
        json!([{"body": "abbccc"}]),
    );
    check(
        "[{type: regex_replace, field: body, regex_name: ansi_control_sequences}]",
        json!({"body": "\u{1b}[31mred\u{1b}[0m"}),
        json!([{"body": "red"}]),
    );
    check(
        "[{type: unquote, field: body}]",
        json!({"body": "\"he\\tllo\""}),
        json!([{"body": "he\tllo"}]),
    );
    check(
        "[{type: assign_keys, field: body, keys: [foo, bar]}]",
        json!({"body": [1, "debug"]}),
        json!([{"body": {"foo": 1, "bar": "debug"}}]),
    );
    check(
        "[{type: sanitize_utf8}]",
        json!({"body": "x"}),
        json!([{"body": "x"}]),
    );
}

#[test]
fn entries_are_filtered_and_routed() {
    check(
        "[{type: filter, expr: 'body contains \"x\"'}]",
        json!({"body": "axb"}),
        json!([]),
    );
    check(
        "[{type: filter, expr: 'body contains \"x\"'}]",
        json!({"body": "ab"}),
        json!([{"body": "ab"}]),
    );
    check(
        "[{type: filter, expr: 'true', drop_ratio: 0.0}]",
        json!({"body": "ab"}),
        json!([{"body": "ab"}]),
    );
    let mut half = chain("[{type: filter, expr: 'true', drop_ratio: 0.5}]");
    let kept: usize = (0..2000)
        .map(|_| feed(&mut half, Entry::text("x"), Instant::now()).len())
        .sum();
    assert!((850..1150).contains(&kept), "{kept}");
    assert_eq!(half.stats()[0].dropped(), 2000 - kept as u64);

    let yaml = "
- type: router
  routes:
  - {output: json, expr: 'body startsWith \"{\"'}
  - {output: [end, tag], expr: 'body == \"both\"', attributes: {via: 'EXPR(\"r\" + \"2\")'}}
  default: tag
- {type: json_parser, id: json, output: end}
- {type: add, id: tag, field: attributes.tagged, value: true}
- {type: noop, id: end}";
    check(
        yaml,
        json!({"body": "{\"a\":\"b\"}"}),
        json!([{"body": "{\"a\":\"b\"}", "attributes": {"a": "b"}}]),
    );
    check(
        yaml,
        json!({"body": "else"}),
        json!([{"body": "else", "attributes": {"tagged": true}}]),
    );
    check(
        yaml,
        json!({"body": "both"}),
        json!([
            {"body": "both", "attributes": {"via": "r2"}},
            {"body": "both", "attributes": {"via": "r2", "tagged": true}}
        ]),
    );
    let mut nowhere =
        chain("[{type: router, routes: [{output: noop, expr: 'false'}]}, {type: noop}]");
    assert!(feed(&mut nowhere, Entry::text("x"), Instant::now()).is_empty());
    assert_eq!(nowhere.stats()[0].dropped(), 1);
}

#[test]
fn on_error_decides_and_everything_is_counted() {
    for (on_error, kept) in [
        ("send", 1),
        ("send_quiet", 1),
        ("drop", 0),
        ("drop_quiet", 0),
    ] {
        for (operator, body, reason) in [
            ("type: json_parser", json!("{"), Reason::Format),
            ("type: json_parser", json!(["list"]), Reason::Type),
            (
                "type: json_parser, parse_from: attributes.none",
                json!("x"),
                Reason::Missing,
            ),
            (
                "type: regex_parser, regex: '(?P<a>x)'",
                json!("y"),
                Reason::Format,
            ),
            (
                "type: csv_parser, header: 'a,b'",
                json!("1"),
                Reason::Format,
            ),
            (
                "type: time_parser, parse_from: body, layout: '%Y'",
                json!("soon"),
                Reason::Time,
            ),
            (
                "type: severity_parser, parse_from: body",
                json!([1]),
                Reason::Type,
            ),
            (
                "type: trace_parser, trace_id: {parse_from: body}",
                json!("short"),
                Reason::Trace,
            ),
            (
                "type: move, from: body.x, to: body.y",
                json!("x"),
                Reason::Missing,
            ),
            (
                "type: copy, from: body, to: attributes",
                json!("x"),
                Reason::Type,
            ),
            ("type: remove, field: body.x", json!("x"), Reason::Missing),
            (
                "type: flatten, field: body.x",
                json!({"x": 1}),
                Reason::Type,
            ),
            ("type: unquote, field: body", json!("x"), Reason::Format),
            (
                "type: assign_keys, field: body, keys: [a]",
                json!([1, 2]),
                Reason::Format,
            ),
            (
                "type: add, field: body.x, value: 'EXPR(body.y.z)'",
                json!({}),
                Reason::Expression,
            ),
            (
                "type: filter, expr: 'body + 1 == 2'",
                json!("x"),
                Reason::Expression,
            ),
            ("type: noop, if: 'body'", json!("x"), Reason::Expression),
            (
                "type: recombine, combine_field: body.x, is_first_entry: 'true'",
                json!("x"),
                Reason::Missing,
            ),
            (
                "type: container",
                json!("no container's line"),
                Reason::Format,
            ),
        ] {
            let mut chain = chain(&format!("[{{{operator}, on_error: {on_error}}}]"));
            let input = entry(&json!({"body": body}));
            let out = feed(&mut chain, input.clone(), Instant::now());
            assert_eq!(out.len(), kept, "{operator}");
            if kept == 1 {
                assert_eq!(out[0], shown(&input), "{operator}");
            }
            let stats = chain.stats();
            assert_eq!(stats[0].failures(reason), 1, "{operator}");
            let all: u64 = Reason::ALL
                .iter()
                .map(|reason| stats[0].failures(*reason))
                .sum();
            assert_eq!(
                (all, stats[0].dropped()),
                (1, 1 - kept as u64),
                "{operator}"
            );
        }
    }
}

#[test]
fn containers_where_the_receiver_did_not_read_them() {
    let yaml = "[{type: noop}, {type: container}]";
    assert!(operators(yaml).leading_container().is_none());
    let path = "/var/log/pods/some_kube-controller_49cc7c1f/kube-controller/1.log";
    let resource = json!({"k8s.namespace.name": "some", "k8s.pod.name": "kube-controller", "k8s.pod.uid": "49cc7c1f", "k8s.container.name": "kube-controller", "k8s.container.restart_count": "1"});
    let line = |text: &str| json!({"body": text, "attributes": {"log.file.path": path}});
    check(
        yaml,
        line("2023-06-22T10:27:25.813799277Z stdout F a line"),
        json!([{
            "body": "a line", "attributes": {"log.file.path": path, "log.iostream": "stdout", "logtag": "F"}, "resource": resource, "time": "2023-06-22T10:27:25.813799277Z"
        }]),
    );
    let mut chain = chain(yaml);
    let now = Instant::now();
    assert!(
        feed(
            &mut chain,
            entry(&line("2023-06-22T10:27:25Z stdout P one ")),
            now
        )
        .is_empty()
    );
    let out = feed(
        &mut chain,
        entry(&line("2023-06-22T10:27:25Z stderr F other")),
        now,
    );
    assert_eq!(out[0]["body"], "other");
    let out = feed(
        &mut chain,
        entry(&line("2023-06-22T10:27:26Z stdout F two")),
        now,
    );
    assert_eq!(out.len(), 1);
    assert_eq!(
        (&out[0]["body"], &out[0]["attributes"]["logtag"]),
        (&json!("one two"), &json!("F"))
    );
    // A part whose end never comes goes on alone.
    assert!(
        feed(
            &mut chain,
            entry(&line("2023-06-22T10:27:25Z stdout P half")),
            now
        )
        .is_empty()
    );
    let mut out = Vec::new();
    chain.flush(now + Duration::from_secs(4), &mut |entry| {
        out.push(shown(&entry))
    });
    assert!(out.is_empty());
    chain.flush(now + Duration::from_secs(5), &mut |entry| {
        out.push(shown(&entry))
    });
    assert_eq!(out[0]["body"], "half");
    check(
        "[{type: container, if: 'true', add_metadata_from_filepath: false}]",
        json!({"body": r#"{"log":"INFO\n","stream":"stdout","time":"2024-03-30T08:31:20.5Z"}"#}),
        json!([{
            "body": "INFO", "attributes": {"log.iostream": "stdout"}, "time": "2024-03-30T08:31:20.5Z"
        }]),
    );
    let leading = operators("[{type: container, format: containerd, max_log_size: 102400, on_error: drop}, {type: noop}]").leading_container();
    assert_eq!(
        leading,
        Some(LeadingContainer {
            format: ContainerFormat::Containerd,
            metadata: true,
            max_log_size: 102_400,
            on_error: OnError::Drop
        })
    );
}

/// Combines `lines`, and shows the bodies with what the flush at the end makes.
fn combined(settings: &str, lines: &[&str]) -> Vec<String> {
    let mut chain = chain(&format!(
        "[{{type: recombine, combine_field: body, {settings}}}]"
    ));
    let now = Instant::now();
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        chain.process(Entry::text(*line), now, &mut |entry| {
            out.push(entry.body.as_str().unwrap().to_owned())
        });
    }
    chain.flush(now + Duration::from_secs(5), &mut |entry| {
        out.push(entry.body.as_str().unwrap().to_owned())
    });
    out
}

#[test]
fn recombine() {
    let trace = [
        "Log message 1",
        "Error: Stack trace",
        "  at a",
        "  at b",
        "Another",
    ];
    assert_eq!(
        combined(r#"is_first_entry: 'body matches "^[^\\s]"'"#, &trace),
        [
            "Log message 1",
            "Error: Stack trace\n  at a\n  at b",
            "Another"
        ]
    );
    let lines = [
        "log2", "log3", "log4", "log1", "log5", "log6", "log7", "log1",
    ];
    let first = "is_first_entry: 'body == \"log1\"'";
    for (unmatched, expected) in [
        (0, vec!["log2|log3|log4", "log1|log5|log6|log7", "log1"]),
        (
            1,
            vec!["log2", "log3", "log4", "log1|log5|log6|log7", "log1"],
        ),
    ] {
        assert_eq!(
            combined(
                &format!("{first}, combine_with: '|', max_unmatched_batch_size: {unmatched}"),
                &lines
            ),
            expected
        );
    }
    let lines = [
        "log2", "log3", "log4", "log5", "log1", "log6", "log7", "log1", "log8", "log1",
    ];
    assert_eq!(
        combined(
            &format!("{first}, combine_with: '|', max_unmatched_batch_size: 3"),
            &lines
        ),
        [
            "log2|log3|log4",
            "log5",
            "log1|log6|log7",
            "log1|log8",
            "log1"
        ]
    );
    let last = "is_last_entry: 'body == \"log1\"'";
    assert_eq!(
        combined(
            &format!("{last}, combine_with: '|', max_unmatched_batch_size: 3"),
            &lines
        ),
        ["log2|log3|log4", "log5|log1", "log6|log7|log1", "log8|log1"]
    );
    assert_eq!(
        combined(
            &format!("{first}, combine_with: '', max_batch_size: 2"),
            &["log1", "a", "b", "c"]
        ),
        ["log1a", "b", "c"]
            .map(|text| if text == "b" { "bc" } else { text })
            .iter()
            .take(2)
            .copied()
            .collect::<Vec<_>>()
    );
    assert_eq!(
        combined(
            &format!("{first}, combine_with: '', max_log_size: 6"),
            &["log1", "abc", "d"]
        ),
        ["log1abc", "d"]
    );
}

#[test]
fn recombine_keeps_logs_apart_and_chooses_fields() {
    let yaml = |more: &str| {
        format!(
            "[{{type: recombine, combine_field: body.m, is_last_entry: 'body.last == true', combine_with: '', {more}}}]"
        )
    };
    let part = |log: u64, path: &str, text: &str, last: bool| Entry {
        log,
        ..entry(
            &json!({"body": {"m": text, "last": last}, "attributes": if path.is_empty() { json!({}) } else { json!({"log.file.path": path}) }}),
        )
    };
    for (more, kept) in [
        ("overwrite_with: oldest", false),
        ("overwrite_with: newest", true),
    ] {
        let mut chain = chain(&yaml(more));
        let now = Instant::now();
        for (log, path) in [(1, "/a"), (2, "/b"), (3, ""), (4, "")] {
            assert!(feed(&mut chain, part(log, path, &format!("{log}-"), false), now).is_empty());
        }
        for (log, path) in [(4, ""), (2, "/b"), (1, "/a"), (3, "")] {
            let out = feed(&mut chain, part(log, path, "end", true), now);
            assert_eq!(out.len(), 1);
            assert_eq!(
                out[0]["body"],
                json!({"m": format!("{log}-end"), "last": kept})
            );
        }
    }
    // One log too many: all of them go, the oldest first.
    let mut chain = chain(&yaml("max_sources: 2"));
    let now = Instant::now();
    assert!(feed(&mut chain, part(1, "/a", "a", false), now).is_empty());
    assert!(feed(&mut chain, part(2, "/b", "b", false), now).is_empty());
    let out = feed(&mut chain, part(3, "/c", "c", false), now);
    assert_eq!(
        out.iter()
            .map(|entry| entry["body"]["m"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    // Only so many bytes are held.
    let large = "x".repeat(20 << 20);
    assert!(feed(&mut chain, part(4, "/d", &large, false), now).is_empty());
    assert_eq!(feed(&mut chain, part(4, "/d", &large, false), now).len(), 2);
}

#[derive(Debug, Default)]
struct Chunk(AtomicUsize);

impl Origin for Chunk {
    fn lost(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_held_stays_unacknowledged() {
    let mut chain = chain(
        "[{type: recombine, combine_field: body, is_last_entry: 'body == \"end\"'}, {type: filter, expr: 'body == \"drop\"'}]",
    );
    let chunks: Vec<Arc<Chunk>> = (0..3).map(|_| Arc::default()).collect();
    let now = Instant::now();
    let mut out = Vec::new();
    let mut feed = |chain: &mut Chain, chunk: usize, text: &str| {
        let origin: Arc<dyn Origin> = chunks[chunk].clone();
        let entry = Entry {
            origins: Origins::of(origin),
            ..Entry::text(text)
        };
        chain.process(entry, now, &mut |entry| out.push(entry));
        std::mem::take(&mut out)
    };
    let owners = |chunk: usize| Arc::strong_count(&chunks[chunk]) - 1;
    feed(&mut chain, 0, "a");
    feed(&mut chain, 0, "b");
    feed(&mut chain, 1, "c");
    // Held once, however many entries are of it.
    assert_eq!((owners(0), owners(1)), (1, 1));
    let combined = feed(&mut chain, 2, "end").pop().unwrap();
    assert_eq!(combined.body, "a\nb\nc\nend".into());
    assert_eq!(combined.origins.len(), 3);
    combined.origins.settle();
    assert_eq!((owners(0), owners(1), owners(2)), (0, 0, 0));
    // What a shutdown takes with it is lost, and its origin hears so; what was filtered is not.
    feed(&mut chain, 0, "held");
    drop(chain);
    assert_eq!((owners(0), chunks[0].0.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(chunks[1].0.load(Ordering::Relaxed), 0);
}

#[test]
fn nothing_is_forgotten_on_any_way() {
    for yaml in [
        "[{type: filter, expr: 'true'}]",
        "[{type: json_parser, on_error: drop}]",
        "[{type: router, routes: [{output: noop, expr: 'false'}]}, {type: noop}]",
        "[{type: router, routes: [{output: [a, b], expr: 'true'}]}, {type: noop, id: a, output: end}, {type: filter, id: b, expr: 'true'}, {type: noop, id: end}]",
        "[{type: recombine, combine_field: body, is_last_entry: 'true'}]",
    ] {
        let chunk = Arc::new(Chunk::default());
        let origin: Arc<dyn Origin> = chunk.clone();
        let entry = Entry {
            origins: Origins::of(origin),
            ..Entry::text("x")
        };
        chain(yaml).process(entry, Instant::now(), &mut |entry| entry.origins.settle());
        assert_eq!(
            (Arc::strong_count(&chunk), chunk.0.load(Ordering::Relaxed)),
            (1, 0),
            "{yaml}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let problems = |yaml: &str| {
        let mut problems = Problems::new();
        let chain = operators(yaml).build(&mut problems);
        assert_eq!(chain.is_none(), problems.has_errors());
        problems
            .sorted()
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect::<String>()
    };
    expect![[r#"
        config:1:3: operators[0]: missing required field `type`
        config:2:9: operators[1]: unsupported type 'jsonparser', did you mean 'json_parser'?
        config:3:9: operators[2]: operator 'file_input' is an input: a receiver reads its own, and its operators change what was read
        config:4:15: operators[3]: unknown field 'parse_form' (valid: type, id, output, on_error, if, field, value)
        config:5:23: operators[4]: unknown field 'parse_form', did you mean 'parse_from'?
        config:6:31: operators[5]::regex: expected a regular expression, found '(x': unclosed group
        config:6:41: operators[5]::if: the expression can't be read at character 13: expected a value, found the end
        config:7:31: operators[6]: regex has no named capture groups, such as (?P<message>.*)
        config:8:3: operators[7]: missing required field `regex`
        config:9:50: operators[8]::layout_type: unknown value 'gotme', did you mean 'gotime'?
        config:10:34: operators[9]::timestamp: missing required field `parse_from`
        config:10:43: operators[9]::timestamp: layout can't be read: the layout '%Q' has the directive '%Q', which does not exist; there are %Y %m %d %H %M %S %L %f %s %b %a %p %z %Z and others
        config:10:60: operators[9]::severity: missing required field `parse_from`
        config:10:70: operators[9]::severity: mapping can't be read: there is no severity 'eror', did you mean 'error'?
        config:11:22: operators[10]::from: expected a field such as body.user, attributes["log.file.path"] or resource, found 'body[x]': a name in brackets needs quotes
        config:12:3: operators[11]: missing required field `combine_field`
        config:12:37: operators[11]: max_batch_size must be positive
        config:12:56: warning: operators[11]: is_first_entry has the name 'bdy', which no entry has: it is nothing, did you mean 'body'?
        config:13:3: operators[12]: one of is_first_entry and is_last_entry must be set
        config:14:27: operators[13]::routes[0]: missing required field `output`
        config:15:33: operators[14]: delimiter must be a single character
        config:16:3: operators[15]: missing required field `header`, or `header_attribute`
        config:17:35: operators[16]::protocol: unknown value 'rfc5425', did you mean 'rfc5424'?
        config:18:35: operators[17]::location: expected a location such as Europe/Berlin, UTC or Local, found 'Mars/Base', which is not in this machine's time zone database (/usr/share/zoneinfo)
        config:19:39: operators[18]: delimiter and pair_delimiter can't be the same
        config:20:39: operators[19]: parse_to must be a field such as body or attributes.list: without a header the result is a list
        config:21:50: operators[20]: regex_name 'ansi' does not exist: there is ansi_control_sequences
        config:22:3: operators[21]: missing required field `expr`
        config:22:30: operators[21]: drop_ratio must be from 0.0 to 1.0
        config:23:26: operators[22]: field must be within the body, such as body.inner
        config:24:10: operators[23]: operator 'file_output' is an output: use an exporter (such as file), or the operator 'filter' to drop entries
        config:25:10: operators[24]: operator 'otelcol' is not supported
        config:26:33: operators[25]::on_error: unknown value 'sned', did you mean 'send'?
    "#]].assert_eq(&problems("- {}
- type: jsonparser
- type: file_input
- {type: add, parse_form: x}
- {type: json_parser, parse_form: body}
- {type: regex_parser, regex: '(x', if: 'body matches'}
- {type: regex_parser, regex: 'x'}
- {type: regex_parser}
- {type: time_parser, layout: '%Q', layout_type: gotme}
- {type: json_parser, timestamp: {layout: '%Q'}, severity: {mapping: {eror: x}}}
- {type: move, from: 'body[x]'}
- {type: recombine, max_batch_size: 0, is_first_entry: 'bdy == 1'}
- {type: recombine, combine_field: body}
- {type: router, routes: [{expr: 'true'}]}
- {type: csv_parser, delimiter: ab}
- {type: csv_parser}
- {type: syslog_parser, protocol: rfc5425}
- {type: syslog_parser, location: Mars/Base}
- {type: key_value_parser, delimiter: ' ', pair_delimiter: ' '}
- {type: json_array_parser, parse_to: attributes}
- {type: regex_replace, field: body, regex_name: ansi}
- {type: filter, drop_ratio: 2}
- {type: flatten, field: body}
- {type: file_output}
- {type: otelcol}
- {type: json_parser, on_error: sned}
"));
    // Ways between operators.
    expect![[r#"
        config:3:20: operators[2]: id 'a' is given to two operators
    "#]]
    .assert_eq(&problems(
        "- {type: noop, output: nop}
- {type: noop, id: a}
- {type: noop, id: a}
",
    ));
    expect![[r#"
        config:1:50: operators[0]::routes[0]: output names the operator 'ends', which does not exist, did you mean 'end'?
        config:1:67: operators[0]: default names the operator 'else', which does not exist
    "#]].assert_eq(&problems("- {type: router, routes: [{expr: 'true', output: ends}], default: else}
- {type: noop, id: end}
"));
    expect![[r#"
        config:2:3: operators[1]: the operators send to each other in a circle: a, b
    "#]]
    .assert_eq(&problems(
        "- {type: noop, id: first}
- {type: noop, id: a, output: b}
- {type: noop, id: b, output: a}
",
    ));
    assert_eq!(
        problems("- {type: noop, output: noop1}\n- {type: noop}"),
        ""
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a line is, no parser panics, and no entry disappears unless it is dropped on purpose.
    #[test]
    fn no_line_is_lost(lines in prop::collection::vec("(\\{\"[a-z]{1,3}\":[0-9\"\\[{]{0,3}|<34>1? |[a-z]=\"?| |,|[0-9]{4}|stdout [FP] |é|\n){0,8}", 1..8)) {
        let parsers = [
            "type: json_parser, severity: {parse_from: attributes.a}",
            "type: json_array_parser",
            "type: csv_parser, header: 'a,b'",
            "type: key_value_parser",
            "type: uri_parser",
            "type: syslog_parser, protocol: rfc3164",
            "type: syslog_parser, protocol: rfc5424, parse_to: body",
            "type: regex_parser, regex: '(?P<a>[a-z]+)=(?P<b>.*)', timestamp: {parse_from: attributes.b, layout: '%H'}",
            "type: container",
            "type: unquote, field: body",
            "type: trace_parser, trace_id: {parse_from: body}",
            "type: recombine, combine_field: body, is_first_entry: 'body contains \"a\"', max_sources: 1",
        ];
        for parser in parsers {
            let mut chain = chain(&format!("[{{{parser}}}]"));
            let chunk = Arc::new(Chunk::default());
            let now = Instant::now();
            let mut written = EntryWriter::default();
            for line in &lines {
                let origin: Arc<dyn Origin> = chunk.clone();
                let entry = Entry { origins: Origins::of(origin), observed: NOW, ..Entry::text(line.as_str()) };
                chain.process(entry, now, &mut |entry| written.write(entry));
            }
            chain.flush(now + Duration::from_secs(5), &mut |entry| written.write(entry));
            let (logs, origins) = written.finish();
            prop_assert_eq!(origins.len(), 1);
            origins.settle();
            prop_assert_eq!((Arc::strong_count(&chunk), chunk.0.load(Ordering::Relaxed)), (1, 0));
            let items = logs.items();
            if !parser.contains("recombine") && !parser.contains("container") {
                prop_assert_eq!(items, lines.len());
            }
            // What was written is what OTLP's reader accepts.
            let decoded = logs.decode().unwrap();
            let records: usize = decoded.resource_logs.iter().flat_map(|resource| &resource.scope_logs).map(|scope| scope.log_records.len()).sum();
            prop_assert_eq!(records, items);
        }
    }
}

#[test]
fn entries_become_records() {
    let mut deep = Value::Str("x".to_owned());
    for _ in 0..40 {
        deep = Value::List(vec![deep]);
    }
    let mut first = entry(
        &json!({"body": {"a": [1, {"b": null}]}, "attributes": {"s": "x", "n": 1, "f": 0.5, "t": true}, "resource": {"r": "1"}}),
    );
    first.attributes.insert("deep", deep);
    first.time = Some(NOW);
    first.severity = 9;
    first.severity_text = "info".to_owned();
    first.trace_id = vec![1; 16];
    first.span_id = vec![2; 8];
    first.flags = 1;
    let second = Entry {
        scope_name: "s".to_owned(),
        body: Value::Bytes(vec![0xFF]),
        ..first.clone()
    };
    let third = entry(&json!({"body": "text", "resource": {"r": "2"}}));
    let mut writer = EntryWriter::with_capacity(100);
    assert!(writer.is_empty());
    for entry in [first.clone(), first, second, third] {
        writer.write(entry);
    }
    assert!(writer.len_bytes() > 100);
    let (logs, _) = writer.finish();
    let decoded = logs.decode().unwrap();
    let shape: Vec<Vec<usize>> = decoded
        .resource_logs
        .iter()
        .map(|resource| {
            resource
                .scope_logs
                .iter()
                .map(|scope| scope.log_records.len())
                .collect()
        })
        .collect();
    assert_eq!(shape, [vec![2, 1], vec![1]]);
    let record = &decoded.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(
        (
            record.time_unix_nano,
            record.observed_time_unix_nano,
            record.severity_number,
            record.flags
        ),
        (NOW, NOW, 9, 1)
    );
    assert_eq!(
        (
            record.trace_id.len(),
            record.span_id.len(),
            record.attributes.len()
        ),
        (16, 8, 5)
    );
    let text = format!("{record:?}");
    assert!(
        text.contains("[[[") && text.contains("KvlistValue"),
        "{text}"
    );
    assert_eq!(
        decoded.resource_logs[0].scope_logs[1]
            .scope
            .as_ref()
            .unwrap()
            .name,
        "s"
    );
}

/// The configuration that charts for Kubernetes had before there was `container`.
#[test]
fn the_classic_configuration_for_kubernetes() {
    let yaml = r#"
- type: router
  id: get-format
  routes:
    - output: parser-docker
      expr: 'body matches "^\\{"'
    - output: parser-crio
      expr: 'body matches "^[^ Z]+ "'
    - output: parser-containerd
      expr: 'body matches "^[^ Z]+Z"'
- type: regex_parser
  id: parser-crio
  regex: '^(?P<time>[^ Z]+) (?P<stream>stdout|stderr) (?P<logtag>[^ ]*) ?(?P<log>.*)$'
  timestamp:
    parse_from: attributes.time
    layout_type: gotime
    layout: '2006-01-02T15:04:05.999999999Z07:00'
- type: recombine
  id: crio-recombine
  output: extract_metadata_from_filepath
  combine_field: attributes.log
  source_identifier: attributes["log.file.path"]
  is_last_entry: "attributes.logtag == 'F'"
  combine_with: ""
  max_log_size: 102400
- type: regex_parser
  id: parser-containerd
  regex: '^(?P<time>[^ ^Z]+Z) (?P<stream>stdout|stderr) (?P<logtag>[^ ]*) ?(?P<log>.*)$'
  timestamp: {parse_from: attributes.time, layout: '%Y-%m-%dT%H:%M:%S.%LZ', location: UTC}
- type: recombine
  id: containerd-recombine
  output: extract_metadata_from_filepath
  combine_field: attributes.log
  source_identifier: attributes["log.file.path"]
  is_last_entry: "attributes.logtag == 'F'"
  combine_with: ""
- type: json_parser
  id: parser-docker
  output: extract_metadata_from_filepath
  timestamp: {parse_from: attributes.time, layout: '%Y-%m-%dT%H:%M:%S.%LZ', location: UTC}
- type: regex_parser
  id: extract_metadata_from_filepath
  regex: '^.*\/(?P<namespace>[^_]+)_(?P<pod_name>[^_]+)_(?P<uid>[a-f0-9\-]{36})\/(?P<container_name>[^\._]+)\/(?P<restart_count>\d+)\.log$'
  parse_from: attributes["log.file.path"]
  cache: {size: 128}
- {type: move, from: attributes.stream, to: 'attributes["log.iostream"]'}
- {type: move, from: attributes.container_name, to: 'resource["k8s.container.name"]'}
- {type: move, from: attributes.namespace, to: 'resource["k8s.namespace.name"]'}
- {type: move, from: attributes.pod_name, to: 'resource["k8s.pod.name"]'}
- {type: move, from: attributes.restart_count, to: 'resource["k8s.container.restart_count"]'}
- {type: move, from: attributes.uid, to: 'resource["k8s.pod.uid"]'}
- {type: remove, field: attributes.time}
- {type: move, from: attributes.log, to: body}
"#;
    let uid = "49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c";
    let path = format!("/var/log/pods/shop_web-0_{uid}/app/3.log");
    let resource = json!({"k8s.container.name": "app", "k8s.namespace.name": "shop", "k8s.pod.name": "web-0", "k8s.container.restart_count": "3", "k8s.pod.uid": uid});
    let mut chain = chain(yaml);
    let mut lines = |lines: &[&str]| {
        let mut out = Vec::new();
        for line in lines {
            let input = json!({"body": line, "attributes": {"log.file.path": path}});
            out.extend(feed(&mut chain, entry(&input), Instant::now()));
        }
        out
    };
    let record = |body: &str, tag: Option<&str>| {
        let mut attributes = json!({"log.file.path": path, "log.iostream": "stdout"});
        if let Some(tag) = tag {
            attributes["logtag"] = tag.into();
        }
        json!({"body": body, "attributes": attributes, "resource": resource, "time": "2016-10-06T00:17:09.5Z"})
    };
    assert_eq!(
        lines(&[
            "2016-10-06T00:17:09.5Z stdout P This is ",
            "2016-10-06T00:17:09.5Z stdout F long",
            "2016-10-06T02:17:09.5+02:00 stdout F crio",
            r#"{"log":"docker\n","stream":"stdout","time":"2016-10-06T00:17:09.5Z"}"#,
            "what no runtime writes",
        ]),
        [
            record("This is long", Some("F")),
            record("crio", Some("F")),
            record("docker\n", None),
            // It takes the way of CRI-O's lines; every operator that can't read it passes it on.
            json!({"body": "what no runtime writes", "attributes": {"log.file.path": path}, "resource": resource}),
        ]
    );
    let stats = chain.stats();
    let failures = |id: &str| {
        let stats = stats.iter().find(|stats| stats.id() == id).unwrap();
        Reason::ALL
            .iter()
            .map(|reason| stats.failures(*reason))
            .sum::<u64>()
    };
    assert_eq!(
        (
            failures("parser-crio"),
            failures("crio-recombine"),
            failures("remove")
        ),
        (1, 1, 1)
    );
}
