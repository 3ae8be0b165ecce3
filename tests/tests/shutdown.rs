//! The agent ends when it is told to, in every state, within its deadline, with status 0; what is lost by it is named.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use corten_tests::{Agent, Command, OtlpSink, free_port, post, wait_for};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(20);

/// Accepts connections (the system does, below it) and never says a word.
struct Hung(TcpListener);

impl Hung {
    fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// A span in, out to `backend` over a queue, with `more` settings of the exporter.
fn config(port: u16, backend: u16, more: &str) -> String {
    format!(
        "{{receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}},
          exporters: {{otlp_grpc: {{endpoint: '127.0.0.1:{backend}', tls: {{insecure: true}}, {more}}}}},
          service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}}}"
    )
}

fn agent(port: u16, backend: u16, more: &str, grace: u32) -> Agent {
    Command::yaml(&config(port, backend, more))
        .arg("--shutdown-grace")
        .arg(grace.to_string())
        .start()
}

fn send(port: u16, name: &str) {
    let body = format!(
        r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "{name}"}}]}}]}}]}}"#
    );
    let json = [("content-type", "application/json")];
    let reply = post(port, "/v1/traces", &json, body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Waits for the end: it is one of success and comes within `seconds` (and what a slow machine adds).
fn ends(agent: &mut Agent, seconds: u64) -> String {
    let begun = Instant::now();
    let status = agent.wait();
    let took = begun.elapsed();
    let log = agent.log();
    assert!(status.success(), "{status}:\n{log}");
    assert!(took < Duration::from_secs(seconds), "{took:?}:\n{log}");
    log
}

fn lost(spans: usize) -> String {
    format!("{spans} spans that only memory held could not be delivered and are lost")
}

#[test]
fn a_hung_sink_holds_nothing_up_beyond_the_deadline() {
    let (hung, port) = (Hung::start(), free_port());
    let mut agent = agent(port, hung.port(), "timeout: 1h", 2);
    for number in 0..5 {
        send(port, &number.to_string());
    }
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 5);
    assert!(log.contains(&lost(5)), "{log}");
}

#[test]
fn a_dead_sink_gets_one_more_attempt_and_no_patience() {
    let port = free_port();
    let mut agent = agent(port, free_port(), "", 20);
    send(port, "x");
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 5);
    assert!(log.contains(&lost(1)), "{log}");
}

#[test]
fn what_a_working_sink_can_still_take_is_delivered() {
    let (mut backend, port) = (OtlpSink::start(), free_port());
    backend.close();
    // One at a time, so that there is a queue.
    let more = "sending_queue: {num_consumers: 1}, retry_on_failure: {initial_interval: 1h, max_interval: 1h, max_elapsed_time: 0s}";
    let mut agent = agent(port, backend.port(), more, 20);
    for number in 0..50 {
        send(port, &number.to_string());
    }
    agent.wait_for_line("delivery fails");
    backend.open();
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 10);
    assert_eq!(backend.spans().len(), 50, "{log}");
    assert!(log.contains("shut down cleanly"), "{log}");
}

#[test]
fn a_queue_on_disk_loses_nothing() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let run = |backend: u16| {
        let yaml = config(
            port,
            backend,
            "timeout: 1h, sending_queue: {storage: file_storage}",
        );
        let storage = format!(
            "{{extensions: {{file_storage: {{directory: {}}}}}, service: {{extensions: [file_storage]}}}}",
            dir.path().display()
        );
        Command::yaml(&yaml)
            .arg("--config")
            .arg(format!("yaml:{storage}"))
            .arg("--shutdown-grace")
            .arg("2")
            .start()
    };
    let hung = Hung::start();
    let mut agent = run(hung.port());
    for number in 0..5 {
        send(port, &number.to_string());
    }
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 5);
    assert!(!log.contains("are lost"), "{log}");
    let backend = OtlpSink::start();
    let mut agent = run(backend.port());
    wait_for("what waited on disk", SOON, || {
        (backend.spans().len() >= 5).then_some(())
    });
    agent.signal(Signal::TERM);
    ends(&mut agent, 5);
}

#[test]
fn a_second_signal_ends_the_waiting_and_names_what_is_lost() {
    let (hung, port) = (Hung::start(), free_port());
    let mut agent = agent(port, hung.port(), "timeout: 1h", 60);
    send(port, "x");
    agent.signal(Signal::TERM);
    agent.wait_for_line("shutting down");
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 5);
    assert!(log.contains("asked to stop again"), "{log}");
    assert!(log.contains(&lost(1)), "{log}");
}

/// A client that never ends its request must not cost the exporters behind the receiver their time.
#[test]
fn a_client_that_hangs_costs_no_queue_its_time() {
    let (mut backend, port) = (OtlpSink::start(), free_port());
    backend.close();
    let more = "retry_on_failure: {initial_interval: 1h, max_interval: 1h, max_elapsed_time: 0s}";
    let mut agent = agent(port, backend.port(), more, 4);
    send(port, "x");
    agent.wait_for_line("delivery fails");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client
        .write_all(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    backend.open();
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 8);
    assert_eq!(backend.spans().len(), 1, "{log}");
}

#[test]
fn a_signal_during_a_reload_ends_both_configurations() {
    let (dir, hung, port) = (tempfile::tempdir().unwrap(), Hung::start(), free_port());
    let file = dir.path().join("corten.yaml");
    std::fs::write(&file, config(port, hung.port(), "timeout: 1h")).unwrap();
    let mut agent = Command::new()
        .arg("--config")
        .arg(&file)
        .arg("--shutdown-grace")
        .arg("3")
        .start();
    send(port, "x");
    agent.signal(Signal::HUP);
    // The old configuration is being shut down for its whole grace period.
    agent.wait_for_line("reading the configuration again");
    wait_for("the receiver is gone", SOON, || {
        TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
    agent.signal(Signal::TERM);
    let log = ends(&mut agent, 7);
    assert!(log.contains(&lost(1)), "{log}");
    assert_eq!(log.matches("everything is ready").count(), 1, "{log}");
}

/// Reading the configuration can take long, where its file system does.
#[test]
fn a_signal_ends_a_start_that_waits_for_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("corten.yaml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut agent = Command::new().arg("--config").arg(&fifo).spawn();
    let status = format!("/proc/{}/status", agent.pid());
    wait_for("it listens to signals", SOON, || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        (caught & (1 << (15 - 1)) != 0).then_some(())
    });
    agent.signal(Signal::TERM);
    ends(&mut agent, 3);
}
