//! `corten` alone, without a configuration and without any backend: a useful agent that tells where to look.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::Duration;

use corten_tests::{Command, get, post, scrape, wait_for};

const SOON: Duration = Duration::from_secs(20);
/// The addresses that the default fixes.
const HTTP: u16 = 4318;
const ADMIN: u16 = 12345;

#[test]
fn it_starts_with_nothing_and_shows_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Command::new()
        .dir(dir.path())
        .env("HOME", dir.path())
        .start();

    // Three lines, and where they point to there is something.
    agent.wait_for_line("Send OTLP to");
    let log = agent.log();
    let (_, after) = log.split_once("everything is ready").unwrap();
    let lines: Vec<_> = after
        .lines()
        .filter(|line| line.starts_with("  ") && line.contains("127.0.0.1:"))
        .collect();
    assert_eq!(lines.len(), 3, "{after}");
    let mut addresses = lines[..2].iter().map(|line| {
        let (_, address) = line.split_once("http://127.0.0.1:12345").unwrap();
        address.split_whitespace().next().unwrap()
    });
    let (node, recent) = (addresses.next().unwrap(), addresses.next().unwrap());
    let node = scrape(ADMIN, node);
    for name in [
        "node_load1",
        "node_memory_MemAvailable_bytes",
        "node_boot_time_seconds",
    ] {
        assert!(node.value(name, &[]).is_some(), "{name}");
    }
    let own = scrape(ADMIN, "/metrics");
    assert!(own.value("otelcol_process_memory_rss", &[]).unwrap() > 1e6);
    let ready = get(ADMIN, "/-/ready").unwrap();
    assert_eq!(ready.status, 200, "{}", ready.text());

    // What is sent to it is seen, and so is the machine under OpenTelemetry's names.
    let body = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174", "name": "a span that is looked for", "kind": 2,
        "startTimeUnixNano": "1767607200000000000", "endTimeUnixNano": "1767607200000000001"}]}]}]}"#;
    assert!(
        !get(ADMIN, recent)
            .unwrap()
            .text()
            .contains("a span that is looked for")
    );
    let reply = post(
        HTTP,
        "/v1/traces",
        &[("content-type", "application/json")],
        body,
    )
    .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    for text in ["a span that is looked for", "system.memory.usage"] {
        wait_for(&format!("{text} at {recent}"), SOON, || {
            let reply = get(ADMIN, recent).unwrap();
            (reply.status == 200 && reply.text().contains(text)).then_some(())
        });
    }
    let log = agent.log();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    assert!(agent.stop().success());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "it left {left:?}");
}

/// A service manager's soft limit of file descriptors is for programs that use `select`; a node has more log files.
#[test]
fn all_descriptors_that_it_may_have_are_taken() {
    let yaml = "{receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}, exporters: {nop: }, service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}}";
    let agent = Command::yaml(yaml)
        .within("", "ulimit -Sn 200 && ulimit -Hn 4000")
        .start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<_> = line.split_ascii_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["4000", "4000"], "{line}");
}
