//! What Corten tells about itself reaches whom `service::telemetry` names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running agent. Its ports are the system's choice and read from its log.
struct Agent {
    process: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Agent {
    fn start(yaml: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_corten"))
            .args(["--config", &format!("yaml:{yaml}")])
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap());
        Self { process, lines }
    }

    /// Reads the log up to the line with `text`.
    fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "ended before it said '{text}':\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// The port that the component at `place` listens at.
    fn port(&mut self, place: &str) -> u16 {
        let line = self.until(&format!("listening component=\"{place}\""));
        line.trim().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM and answers how long the end took; the exit status has to be 0.
    fn stop(mut self) -> Duration {
        let begun = Instant::now();
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}:\n{rest}");
        begun.elapsed()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes what it is sent to `dir`, a file per signal; gRPC and HTTP port.
fn sink(dir: &Path) -> (Agent, u16, u16) {
    let file = |signal: &str| format!("file/{signal}: {{path: {}/{signal}}}", dir.display());
    let mut sink = Agent::start(&format!(
        "{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}, http: {{endpoint: '127.0.0.1:0'}}}}}}}},
          exporters: {{{}, {}}},
          service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [file/traces]}},
                                  metrics: {{receivers: [otlp], exporters: [file/metrics]}}}}}}}}",
        file("traces"),
        file("metrics"),
    ));
    let grpc = sink.port("receivers::otlp::protocols::grpc");
    let http = sink.port("receivers::otlp::protocols::http");
    (sink, grpc, http)
}

/// Collects once a second, which makes spans, and tells of itself as `telemetry` says.
fn source(telemetry: &str) -> Agent {
    let mut source = Agent::start(&format!(
        "{{receivers: {{host_metrics: {{collection_interval: 200ms, initial_delay: 0s, scrapers: {{load: }}}}}},
          exporters: {{nop: }},
          service: {{telemetry: {telemetry}, pipelines: {{metrics: {{receivers: [host_metrics], exporters: [nop]}}}}}}}}"
    ));
    source.until("everything is ready");
    source
}

#[test]
fn pull_readers_are_served() {
    let mut agent = Agent::start(
        "{receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}, exporters: {nop: },
          service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}},
            telemetry: {resource: {service.name: edge, zone: a}, metrics: {readers: [
              {pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0}}}},
              {pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0, without_type_suffix: false, without_units: false,
                                              with_resource_constant_labels: {included: [zone]}}}}}]}}}}",
    );
    let plain = agent.port("service::telemetry::metrics::readers[0]::pull::exporter::prometheus");
    let suffixed =
        agent.port("service::telemetry::metrics::readers[1]::pull::exporter::prometheus");
    agent.until("everything is ready");
    let page = get(plain, "/metrics");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let shown = |page: &str, start: &str| page.lines().any(|line| line.starts_with(start));
    assert!(
        shown(&page, "otelcol_process_cpu_seconds{service_name=\"edge\"} "),
        "{page}"
    );
    assert!(shown(&page, "target_info{"), "{page}");
    let page = get(suffixed, "/metrics");
    assert!(
        shown(
            &page,
            "otelcol_process_cpu_seconds_total{service_name=\"edge\",zone=\"a\"} "
        ),
        "{page}"
    );
    assert!(agent.stop() < Duration::from_secs(3));
}

#[test]
fn the_deprecated_address_is_served_and_a_taken_one_named() {
    let config = |address: &str| {
        format!(
            "{{receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}, exporters: {{nop: }},
               service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [nop]}}}}, telemetry: {{metrics: {{address: '{address}'}}}}}}}}"
        )
    };
    let mut agent = Agent::start(&config("127.0.0.1:0"));
    let port = agent.port("service::telemetry::metrics");
    assert!(get(port, "/metrics").contains("otelcol_process_uptime"));
    let mut second = Agent::start(&config(&format!("127.0.0.1:{port}")));
    let line = second.until("corten: ");
    assert!(
        line.contains(&format!("127.0.0.1:{port}: address already in use")),
        "{line}"
    );
    assert!(
        line.contains("change service::telemetry::metrics::address or stop it"),
        "{line}"
    );
    assert_eq!(second.process.wait().unwrap().code(), Some(1));
}

#[test]
fn own_spans_and_metrics_arrive_and_the_end_does_not_wait() {
    for grpc in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (sink, grpc_port, http_port) = sink(dir.path());
        let otlp = if grpc {
            format!(
                "{{protocol: grpc, insecure: true, endpoint: '127.0.0.1:{grpc_port}', headers: {{a: b}}}}"
            )
        } else {
            format!("{{endpoint: 'http://127.0.0.1:{http_port}', headers: {{a: b}}}}")
        };
        let source = source(&format!(
            "{{resource: {{service.name: edge}},
               traces: {{processors: [{{batch: {{schedule_delay: 100, exporter: {{otlp: {otlp}}}}}}}]}},
               metrics: {{readers: [{{periodic: {{interval: 100, exporter: {{otlp: {otlp}}}}}}}]}}}}"
        ));
        let written =
            |signal: &str| std::fs::read_to_string(dir.path().join(signal)).unwrap_or_default();
        eventually("a span of the collection", || {
            let traces = written("traces");
            traces.contains("\"name\":\"export\"") && traces.contains("edge")
        });
        eventually("a metric", || {
            written("metrics").contains("otelcol_process_uptime")
        });
        let took = source.stop();
        assert!(took < Duration::from_secs(2), "grpc {grpc}: {took:?}");
        sink.stop();
    }
}

/// What has not left yet leaves at the end, and an endpoint that is not there holds nothing up for long.
#[test]
fn the_last_spans_leave_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, grpc_port, _) = sink(dir.path());
    let later = |port: u16| {
        source(&format!(
            "{{traces: {{processors: [{{batch: {{schedule_delay: 3600000,
               exporter: {{otlp: {{protocol: grpc, endpoint: 'http://127.0.0.1:{port}'}}}}}}}}]}}}}"
        ))
    };
    // The first collection has been before it says that it is ready, or is under way.
    let source = later(grpc_port);
    assert!(source.stop() < Duration::from_secs(3));
    drop(sink);
    assert!(later(grpc_port).stop() < Duration::from_secs(5));
}
