//! The built-in configuration `gateway`: every signal passes, and waits on disk while the backend is away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::Duration;

use corten_tests::{Command, OtlpSink, post, wait_for};

const SOON: Duration = Duration::from_secs(20);
/// The address that the configuration fixes.
const HTTP: u16 = 4318;

/// A request for each signal; `name` is somewhere in it.
fn requests(name: &str) -> [(&'static str, String); 3] {
    let times =
        r#""startTimeUnixNano": "1767607200000000000", "endTimeUnixNano": "1767607200000000001""#;
    let ids = r#""traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174""#;
    let point = r#"{"timeUnixNano": "1767607200000000000", "asDouble": 1.5}"#;
    let record = r#""timeUnixNano": "1767607200000000000""#;
    [
        (
            "/v1/traces",
            format!(
                r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{{ids}, {times}, "name": "{name}"}}]}}]}}]}}"#
            ),
        ),
        (
            "/v1/metrics",
            format!(
                r#"{{"resourceMetrics": [{{"scopeMetrics": [{{"metrics": [{{"name": "{name}", "gauge": {{"dataPoints": [{point}]}}}}]}}]}}]}}"#
            ),
        ),
        (
            "/v1/logs",
            format!(
                r#"{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{{record}, "body": {{"stringValue": "{name}"}}}}]}}]}}]}}"#
            ),
        ),
    ]
}

fn send(name: &str) {
    for (path, body) in requests(name) {
        let reply = post(
            HTTP,
            path,
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
        .unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
}

/// Each signal has arrived with `name` in it.
fn wait_for_all(backend: &OtlpSink, name: &str) {
    wait_for(&format!("all signals of {name}"), SOON, || {
        let has = |text: String| text.contains(&format!("{name:?}"));
        let arrived = [
            backend
                .traces()
                .iter()
                .any(|request| has(format!("{request:?}"))),
            backend
                .metrics()
                .iter()
                .any(|request| has(format!("{request:?}"))),
            backend
                .logs()
                .iter()
                .any(|request| has(format!("{request:?}"))),
        ];
        (arrived == [true; 3]).then_some(())
    });
}

#[test]
fn every_signal_passes_and_outlives_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let mut backend = OtlpSink::start();
    let command = Command::new()
        .arg("--config")
        .arg("builtin:gateway")
        .env("STATE_DIR", state.path())
        .env("BACKEND_ENDPOINT", format!("127.0.0.1:{}", backend.port()));
    let agent = command.start();
    send("at once");
    wait_for_all(&backend, "at once");
    backend.close();
    send("while it is away");
    agent.kill();
    let agent = command.start();
    send("after the kill");
    backend.open();
    for name in ["while it is away", "after the kill"] {
        wait_for_all(&backend, name);
    }
    assert!(agent.stop().success());
}
