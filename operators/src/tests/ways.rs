//! Fields moved about, entries filtered and routed, failures, records written.

use super::*;

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
