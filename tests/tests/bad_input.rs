//! What should not come, comes: damaged and oversized requests, bombs, a full disk, a backend that is away. Every case
//! gets a clear answer and a count; nothing that was accepted is lost, and the agent lives on in bounded memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::Duration;

use corten_tests::{
    Agent, Command, FakeLoki, OtlpSink, PodLogs, Reply, case, export_traces, free_port, get, grpc,
    grpc_frame, post, request, request_of, scrape, wait_for,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

const SOON: Duration = Duration::from_secs(20);
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// More than the receiver's caps for HTTP (20 MiB) and for gRPC (4 MiB).
const TOO_MUCH: usize = 21 << 20;
/// What a bomb unpacks to.
const BOMB: usize = 256 << 20;

/// A span of this name that carries this many bytes.
fn span(name: &str, bytes: usize) -> ExportTraceServiceRequest {
    let value = any_value::Value::StringValue("x".repeat(bytes));
    let load = KeyValue {
        key: "load".to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        attributes: vec![load],
        ..Span::default()
    };
    request_of(vec![span])
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(BOMB as u64), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(BOMB as u64), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

struct Setup {
    agent: Agent,
    backend: OtlpSink,
    grpc: u16,
    http: u16,
    admin: u16,
}

impl Setup {
    fn start() -> Self {
        let (grpc, http, admin) = (free_port(), free_port(), free_port());
        let backend = OtlpSink::start();
        let agent = Command::new()
            .arg("--config")
            .arg(case("bad_input").join("otlp.yaml"))
            .env("GRPC_PORT", grpc.to_string())
            .env("HTTP_PORT", http.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("GRPC_BACKEND", backend.port().to_string())
            .start();
        Self {
            agent,
            backend,
            grpc,
            http,
            admin,
        }
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        post(self.http, "/v1/traces", headers, body).unwrap()
    }

    /// Requests that were refused because of what they are.
    fn malformed(&self, transport: &str) -> f64 {
        scrape(self.admin, "/metrics").sum(
            "corten_receiver_malformed_requests",
            &[("transport", transport)],
        )
    }

    /// Good requests still arrive, nothing else did, and memory is what it was.
    fn assert_well(&mut self, before: u64) {
        assert!(self.agent.is_running());
        export_traces(self.grpc, span("good over gRPC", 10)).unwrap();
        let reply = self.post(&[PROTOBUF], &span("good over HTTP", 10).encode_to_vec());
        assert_eq!(reply.status, 200, "{}", reply.text());
        wait_for("the good spans", SOON, || {
            (self.backend.spans().len() >= 2).then_some(())
        });
        let names: BTreeSet<_> = self
            .backend
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect();
        assert_eq!(
            names,
            BTreeSet::from(["good over HTTP".to_owned(), "good over gRPC".to_owned()])
        );
        let grown = self.agent.resident().saturating_sub(before) >> 20;
        assert!(grown < 100, "resident memory grew by {grown} MiB");
    }
}

#[test]
fn bad_requests_over_http_get_a_clear_answer() {
    let mut setup = Setup::start();
    let before = setup.agent.resident();
    let good = span("never", 100).encode_to_vec();
    let torn = &good[..good.len() - 1];
    let gzip = ("content-encoding", "gzip");
    let zstd = ("content-encoding", "zstd");
    let rot13 = ("content-encoding", "rot13");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let refused = |what: &str, status: u16, headers: &[(&str, &str)], body: &[u8]| {
        let counted = setup.malformed("http");
        let reply = setup.post(headers, body);
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert!(reply.body.len() > 3, "{what}: it says nothing");
        assert!(setup.malformed("http") > counted, "{what} is not counted");
    };
    refused("no protobuf", 400, &[PROTOBUF], &[0xFF; 6]);
    refused("a torn message", 400, &[PROTOBUF], torn);
    refused("no JSON", 400, &[JSON], b"{\"resourceSpans\": [");
    refused("another JSON", 400, &[JSON], b"{\"resourceSpans\": 7}");
    refused("deep JSON", 400, &[JSON], deep.as_bytes());
    refused("no gzip", 400, &[PROTOBUF, gzip], &good);
    refused("torn gzip", 400, &[PROTOBUF, gzip], &gzip_bomb()[..1000]);
    refused("no zstd", 400, &[PROTOBUF, zstd], &good);
    refused("an unknown encoding", 415, &[PROTOBUF, rot13], &good);
    refused(
        "a wrong type",
        415,
        &[("content-type", "text/plain")],
        &good,
    );
    refused("no type", 415, &[], &good);
    refused("too much", 413, &[PROTOBUF], &vec![0; TOO_MUCH]);
    refused("a gzip bomb", 413, &[PROTOBUF, gzip], &gzip_bomb());
    refused("a zstd bomb", 413, &[PROTOBUF, zstd], &zstd_bomb());
    for (method, path, status) in [
        ("GET", "/v1/traces", 405),
        ("PUT", "/v1/traces", 405),
        ("POST", "/v1/else", 404),
    ] {
        let reply = request(setup.http, method, path, &[PROTOBUF], b"").unwrap();
        assert_eq!(reply.status, status, "{method} {path}");
    }
    let no_pipeline = post(setup.http, "/v1/logs", &[PROTOBUF], b"").unwrap();
    assert_eq!(no_pipeline.status, 404);
    setup.assert_well(before);
}

#[test]
fn bad_requests_over_grpc_get_a_clear_answer() {
    const INVALID_ARGUMENT: u32 = 3;
    const RESOURCE_EXHAUSTED: u32 = 8;
    const UNIMPLEMENTED: u32 = 12;
    let mut setup = Setup::start();
    let before = setup.agent.resident();
    let good = span("never", 100).encode_to_vec();
    let torn = &good[..good.len() - 1];
    let refused = |what: &str, code: u32, encoding: Option<&str>, message: &[u8]| {
        let counted = setup.malformed("grpc");
        let status = grpc(setup.grpc, EXPORT, encoding, message);
        assert_eq!(status.code, code, "{what}: {}", status.message);
        assert!(status.message.len() > 3, "{what}: it says nothing");
        assert!(setup.malformed("grpc") > counted, "{what} is not counted");
    };
    refused("no protobuf", INVALID_ARGUMENT, None, &[0xFF; 6]);
    refused("a torn message", INVALID_ARGUMENT, None, torn);
    refused("too much", RESOURCE_EXHAUSTED, None, &vec![0; TOO_MUCH]);
    let (gzip, zstd) = (gzip_bomb(), zstd_bomb());
    refused("a gzip bomb", RESOURCE_EXHAUSTED, Some("gzip"), &gzip);
    refused("a zstd bomb", RESOURCE_EXHAUSTED, Some("zstd"), &zstd);
    refused("an unknown encoding", UNIMPLEMENTED, Some("rot13"), &good);
    let unknown = grpc(setup.grpc, "/acme.Service/Do", None, &good);
    assert_eq!(unknown.code, UNIMPLEMENTED, "{unknown:?}");
    // A frame that promises 4 GiB, one that ends early, and none.
    for frame in [
        vec![0, 255, 255, 255, 255, 1],
        vec![0, 0, 0, 0, 10, 1],
        Vec::new(),
    ] {
        let status = grpc_frame(setup.grpc, EXPORT, None, frame.clone());
        assert_ne!(status.code, 0, "{frame:?}: {status:?}");
    }
    // What is no HTTP at all, on both.
    for port in [setup.grpc, setup.http] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&[0xFF; 10_000]).ok();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // It is closed, whatever is said before.
        stream.read_to_end(&mut Vec::new()).ok();
    }
    setup.assert_well(before);
}

/// What is acknowledged is on disk; when the disk is full, it is said and counted, and works again when there is room.
#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let mut backend = OtlpSink::start();
    let mut agent = Command::new()
        .arg("--config")
        .arg(case("otlp_traces").join("durable.yaml"))
        .env("GRPC_PORT", port.to_string())
        .env("ADMIN_PORT", admin.to_string())
        .env("GRPC_BACKEND", backend.port().to_string())
        .env("STATE_DIR", state.path())
        .small_disk(state.path(), "2m", false)
        .start();
    backend.close();
    let mut acknowledged = BTreeSet::new();
    let mut refused = None;
    for number in 0..100 {
        let name = format!("span {number}");
        match export_traces(port, span(&name, 64 << 10)) {
            Ok(()) => assert!(acknowledged.insert(name)),
            Err(status) => {
                refused = Some(status);
                break;
            }
        }
    }
    let refused = refused.expect("2 MiB cannot hold 6 MiB");
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    // Come again: the disk may have room then.
    let retryable = [tonic::Code::ResourceExhausted, tonic::Code::Unavailable];
    assert!(retryable.contains(&refused.code()), "{refused:?}");
    let metrics = scrape(admin, "/metrics");
    assert!(
        metrics.sum(
            "otelcol_exporter_enqueue_failed_spans",
            &[("exporter", "otlp_grpc/tempo")]
        ) >= 1.0
    );
    assert!(
        metrics.sum("otelcol_receiver_refused_spans", &[]) >= 1.0,
        "{metrics:?}"
    );
    assert!(
        agent.log().to_lowercase().contains("no space left"),
        "it is told:\n{}",
        agent.log()
    );

    backend.open();
    let arrived = || {
        backend
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect::<BTreeSet<_>>()
    };
    wait_for("what was acknowledged", SOON, || {
        arrived().is_superset(&acknowledged).then_some(())
    });
    wait_for("room on the disk", SOON, || {
        export_traces(port, span("after", 64 << 10)).ok()
    });
    wait_for("what came after", SOON, || {
        arrived().contains("after").then_some(())
    });
    assert!(agent.is_running());
    assert!(agent.stop().success());
}

/// Positions that cannot be saved hold up nothing.
#[test]
fn a_full_disk_does_not_stop_tailing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let admin = free_port();
    let loki = FakeLoki::start();
    let mut logs = PodLogs::new(&dir.path().join("pods"));
    let web = logs.add("shop", "web", "app");
    logs.container(web).out("before the start");
    let mut agent = Command::new()
        .arg("--config")
        .arg(case("logs_to_loki").join("corten.yaml"))
        .env("LOG_ROOT", dir.path().join("pods"))
        .env("STATE_DIR", &state)
        .env("LOKI_URL", loki.url())
        .env("ADMIN_PORT", admin.to_string())
        .small_disk(&state, "64k", true)
        .start();
    loki.wait_for_lines(1, SOON);
    wait_for("a count of it", SOON, || {
        let failed = [("event", "checkpoint_error")];
        (scrape(admin, "/metrics").sum("corten_file_log_events", &failed) > 0.0).then_some(())
    });
    agent.wait_for_line("positions not saved");
    logs.container(web).out("while the disk is full");
    loki.wait_for_lines(2, SOON);
    assert!(agent.stop().success());
    logs.assert_exactly(&loki);
}

/// A queue in memory is bounded: what it has no room for is refused with a time to come back, and what it took arrives
/// when Loki is there again.
#[test]
fn an_unreachable_loki_refuses_and_loses_nothing() {
    let (port, admin) = (free_port(), free_port());
    let mut loki = FakeLoki::start();
    loki.close();
    let agent = Command::new()
        .arg("--config")
        .arg(case("bad_input").join("loki.yaml"))
        .env("HTTP_PORT", port.to_string())
        .env("ADMIN_PORT", admin.to_string())
        .env("LOKI_URL", loki.url())
        .start();
    let before = agent.resident();
    let mut accepted = BTreeSet::new();
    let mut refused = 0;
    for number in 0..200 {
        let line = format!("line {number} {}", "x".repeat(100_000));
        let body = format!(
            r#"{{"resourceLogs": [{{"resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": "shop"}}}}]}},
               "scopeLogs": [{{"logRecords": [{{"timeUnixNano": "17676072000000{number:05}", "body": {{"stringValue": "{line}"}}}}]}}]}}]}}"#
        );
        let reply = post(port, "/v1/logs", &[JSON], body.as_bytes()).unwrap();
        match reply.status {
            200 => assert!(accepted.insert(line)),
            429 | 503 => refused += 1,
            other => panic!("{other}: {}", reply.text()),
        }
    }
    assert!(accepted.len() >= 50, "{} accepted", accepted.len());
    assert!(refused >= 100, "{refused} refused");
    let counted = scrape(admin, "/metrics").sum(
        "otelcol_exporter_enqueue_failed_log_records",
        &[("exporter", "loki")],
    );
    assert_eq!(counted, f64::from(refused), "every refusal is counted");
    assert!(
        agent.log().contains("connection refused"),
        "it is told:\n{}",
        agent.log()
    );
    let grown = agent.resident().saturating_sub(before) >> 20;
    assert!(grown < 60, "resident memory grew by {grown} MiB");

    let readiness = |status: u16, text: &str| {
        wait_for(&format!("{status} {text}"), SOON, || {
            let reply = get(admin, "/-/ready").unwrap();
            (reply.status == status && reply.text().contains(text)).then_some(())
        });
    };
    readiness(503, "loki");
    assert_eq!(
        get(admin, "/-/healthy").unwrap().status,
        200,
        "a restart would not help"
    );

    loki.open();
    let arrived = || {
        let entries = loki.streams().into_values().flatten();
        entries.map(|entry| entry.line).collect::<Vec<_>>()
    };
    wait_for("everything that was accepted", SOON, || {
        (arrived().len() >= accepted.len()).then_some(())
    });
    readiness(200, "ready");
    assert!(agent.stop().success());
    assert_eq!(arrived().len(), accepted.len(), "each once");
    assert_eq!(arrived().into_iter().collect::<BTreeSet<_>>(), accepted);
}
