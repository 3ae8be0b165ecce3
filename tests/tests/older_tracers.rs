//! Zipkin's and Jaeger's clients through Corten to two backends: every span arrives, and a trace has one backend.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use corten_tests::{Command, OtlpSink, case, free_port, post, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// What real clients wrote; see the scripts beside these files.
const ZIPKIN: &[u8] = include_bytes!("../../receivers/zipkin/tests/golden/py_zipkin.json");
const OPENTELEMETRY: &[u8] =
    include_bytes!("../../receivers/zipkin/tests/golden/opentelemetry.json");
const THRIFT: &[u8] = include_bytes!("../../receivers/jaeger/tests/golden/batch.thrift");
const COMPACT: &[u8] = include_bytes!("../../receivers/jaeger/tests/golden/emit_batch.compact");

#[test]
fn spans_of_older_clients_arrive_trace_by_trace() {
    let (zipkin, thrift, udp) = (free_port(), free_port(), free_port());
    let backends = [OtlpSink::start(), OtlpSink::start()];
    let [one, other] = &backends;
    // A backend that is away at first loses nothing.
    one.down(true);
    let _agent = Command::new()
        .arg("--config")
        .arg(case("older_tracers").join("corten.yaml"))
        .env("ZIPKIN_PORT", zipkin.to_string())
        .env("GRPC_PORT", free_port().to_string())
        .env("THRIFT_PORT", thrift.to_string())
        .env("UDP_PORT", udp.to_string())
        .env("ONE", one.port().to_string())
        .env("OTHER", other.port().to_string())
        .start();

    let json = &[("content-type", "application/json")];
    for body in [ZIPKIN, OPENTELEMETRY] {
        assert_eq!(
            post(zipkin, "/api/v2/spans", json, body).unwrap().status,
            202
        );
    }
    // Traces enough for both backends.
    for trace in 1..=100 {
        let span = format!(
            r#"[{{"traceId":"{trace:032x}","id":"1"}},{{"traceId":"{trace:032x}","id":"2"}}]"#
        );
        let reply = post(zipkin, "/api/v2/spans", json, span.as_bytes()).unwrap();
        assert_eq!(reply.status, 202);
    }
    let binary = &[("content-type", "application/x-thrift")];
    let reply = post(thrift, "/api/traces", binary, THRIFT).unwrap();
    assert_eq!(reply.status, 202);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(COMPACT, ("127.0.0.1", udp)).unwrap();

    one.down(false);
    let expected = 3 + 2 + 200 + 3 + 3;
    let arrived = || {
        backends
            .iter()
            .map(|sink| sink.spans().len())
            .sum::<usize>()
    };
    wait_for("every span", SOON, || (arrived() >= expected).then_some(()));
    let mut homes: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (home, sink) in backends.iter().enumerate() {
        assert!(sink.spans().len() > 20);
        for span in sink.spans() {
            assert_eq!(*homes.entry(span.trace_id).or_insert(home), home);
        }
    }
    assert_eq!(arrived(), expected);
}
