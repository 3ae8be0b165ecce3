//! A backend's HTTP/2 connection that breaks in every way, at every frame: whatever was acknowledged to the sender arrives.
//!
//! Between the agent and a gRPC server stands a proxy which knows frames. The first connection breaks at its nth frame; those after
//! it are left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corten_tests::{Agent, Command, OtlpSink, export_traces, free_port, request_of, wait_for};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// `GOAWAY` that says that no stream was looked at, then the end.
    GoAwayNone,
    /// `GOAWAY` that says that all streams are finished, then the end a moment later.
    GoAwayAll,
    /// The stream of the frame is reset with `REFUSED_STREAM`, then with `INTERNAL_ERROR` in what follows.
    Reset(u32),
    /// TCP ends.
    Close,
    /// TCP is reset.
    Abort,
    /// Nothing is read or written any more, and nobody says so.
    Stuck,
}

const FRAME_HEAD: usize = 9;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

struct Proxy {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(backend: u16, fault: Break, at: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
                let fault = is_first.then_some((fault, at));
                std::thread::spawn(move || drop(relay(client, backend, fault)));
            }
        });
        Self { port, connections }
    }
}

fn relay(client: TcpStream, backend: u16, fault: Option<(Break, usize)>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", backend))?;
    let to_client = Arc::new(Mutex::new(client.try_clone()?));
    let answers = Arc::clone(&to_client);
    let mut from_server = server.try_clone()?;
    std::thread::spawn(move || {
        while let Ok(frame) = read_frame(&mut from_server) {
            if answers.lock().write_all(&frame).is_err() {
                return;
            }
        }
        drop(answers.lock().shutdown(Shutdown::Both));
    });
    let (mut client, mut to_server) = (client, server);
    let mut preface = [0; 24];
    client.read_exact(&mut preface)?;
    to_server.write_all(&preface)?;
    for number in 0.. {
        let frame = read_frame(&mut client)?;
        let stream = [frame[5], frame[6], frame[7], frame[8]];
        let due = |(fault, at): &(Break, usize)| match fault {
            // The connection's own frames belong to no stream.
            Break::Reset(_) => *at <= number && stream != [0; 4],
            _ => *at == number,
        };
        if let Some((fault, _)) = fault.filter(due) {
            let mut answers = to_client.lock();
            match fault {
                Break::GoAwayNone | Break::GoAwayAll => {
                    let last: u32 = match fault {
                        Break::GoAwayNone => 0,
                        _ => 0x7fff_ffff,
                    };
                    let mut payload = last.to_be_bytes().to_vec();
                    payload.extend([0; 4]);
                    answers.write_all(&raw_frame(GOAWAY, [0; 4], &payload))?;
                    if last > 0 {
                        drop(answers);
                        to_server.write_all(&frame)?;
                        std::thread::sleep(Duration::from_millis(20));
                        answers = to_client.lock();
                    }
                    to_server.shutdown(Shutdown::Both)?;
                    return answers.shutdown(Shutdown::Both);
                }
                Break::Reset(code) => {
                    answers.write_all(&raw_frame(RST_STREAM, stream, &code.to_be_bytes()))?;
                    // The server never sees the frame, and forgets the stream with the connection.
                    to_server.shutdown(Shutdown::Both)?;
                    drop(answers);
                    std::thread::sleep(Duration::from_millis(20));
                    return to_client.lock().shutdown(Shutdown::Both);
                }
                Break::Close => {
                    to_server.shutdown(Shutdown::Both)?;
                    return answers.shutdown(Shutdown::Both);
                }
                Break::Abort => {
                    rustix::net::sockopt::set_socket_linger(&*answers, Some(Duration::ZERO))?;
                    to_server.shutdown(Shutdown::Both)?;
                    // Both handles closed without a word: RST.
                    return Ok(());
                }
                Break::Stuck => {
                    // Held for ever by the lock; what the server answers stays with it.
                    std::thread::sleep(Duration::from_secs(120));
                    return Ok(());
                }
            }
        }
        to_server.write_all(&frame)?;
    }
    Ok(())
}

fn read_frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; FRAME_HEAD];
    from.read_exact(&mut frame)?;
    let len = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
    frame.resize(FRAME_HEAD + len, 0);
    from.read_exact(&mut frame[FRAME_HEAD..])?;
    Ok(frame)
}

fn raw_frame(kind: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, 0];
    frame.extend(stream);
    frame.extend(payload);
    frame
}

fn numbered(name: &str, spans: usize) -> ExportTraceServiceRequest {
    let span = |n: usize| Span {
        trace_id: vec![1; 16],
        span_id: (n as u64 + 1).to_be_bytes().to_vec(),
        name: format!("{name}.{n}"),
        ..Span::default()
    };
    request_of((0..spans).map(span).collect())
}

fn agent(backend: u16, keepalive: &str) -> (Agent, u16) {
    let port = free_port();
    let agent = Command::yaml(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters:
  otlp_grpc:
    endpoint: '127.0.0.1:{backend}'
    tls: {{insecure: true}}
    keepalive: {{{keepalive}}}
    timeout: 10s
    retry_on_failure: {{initial_interval: 20ms, max_interval: 50ms}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}
"
    ))
    .start();
    (agent, port)
}

/// Sends five requests through a connection that breaks at a frame; each span arrives, and none that was kept before the break
/// comes more often than it was under way.
fn survives(fault: Break, at: usize) {
    let backend = OtlpSink::start();
    let proxy = Proxy::start(backend.port(), fault, at);
    let (agent, port) = agent(proxy.port, "time: 1s, timeout: 500ms");
    let begun = Instant::now();
    for request in 0..5 {
        // Several frames of 16 KiB.
        export_traces(port, numbered(&request.to_string(), 1000)).unwrap();
    }
    let what = format!("{fault:?} at frame {at}: every span");
    let counts = wait_for(&what, Duration::from_secs(30), || {
        let mut counts = BTreeMap::new();
        for span in backend.spans() {
            *counts.entry(span.name).or_insert(0usize) += 1;
        }
        (counts.len() == 5000).then_some(counts)
    });
    let most = counts.values().max().copied().unwrap();
    assert!(most <= 2, "{fault:?} at frame {at}: {most} times");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{fault:?} at frame {at} took {:?}",
        begun.elapsed()
    );
    assert!(agent.stop().success());
    let connections = proxy.connections.load(Ordering::Relaxed);
    assert!(
        (2..=4).contains(&connections),
        "{fault:?} at frame {at}: {connections} connections"
    );
}

fn at_every_frame(faults: &[Break]) {
    for at in 0..11 {
        std::thread::scope(|scope| {
            for fault in faults {
                scope.spawn(move || survives(*fault, at));
            }
        });
    }
}

#[test]
fn goaway_at_every_frame_loses_nothing() {
    at_every_frame(&[Break::GoAwayNone, Break::GoAwayAll]);
}

#[test]
fn streams_that_are_reset_are_sent_again() {
    // REFUSED_STREAM and INTERNAL_ERROR.
    at_every_frame(&[Break::Reset(7), Break::Reset(2)]);
}

#[test]
fn connections_that_end_are_made_again() {
    at_every_frame(&[Break::Close, Break::Abort]);
}

#[test]
fn a_connection_that_is_stuck_is_replaced() {
    std::thread::scope(|scope| {
        for at in [0, 3, 5, 8] {
            scope.spawn(move || survives(Break::Stuck, at));
        }
    });
}
