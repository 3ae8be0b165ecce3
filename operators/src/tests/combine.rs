//! Entries that become one, and what is acknowledged when.

use super::*;

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
    assert_eq!(chain.due(), None);
    // What a shutdown takes with it is lost, and its origin hears so; what was filtered is not.
    feed(&mut chain, 0, "held");
    assert_eq!(chain.due(), Some(now + Duration::from_secs(5)));
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
