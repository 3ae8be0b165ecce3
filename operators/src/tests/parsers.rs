//! What parsers make of lines.

use super::*;

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
