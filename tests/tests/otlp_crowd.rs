//! Thousands of clients that hold connections and send nothing, or a byte now and then, delay nobody else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use corten_tests::{Command, OtlpSink, export_traces, free_port, request_of, wait_for};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::{Resource, getrlimit, setrlimit};

const IDLE: usize = 2000;
const SLOW: usize = 1000;

/// A client that is done in time: requests, one after the other, each over a connection of its own.
const REQUESTS: usize = 100;

fn span(number: usize) -> Span {
    let id = u64::try_from(number + 1).unwrap().to_be_bytes();
    Span {
        trace_id: [id, id].concat(),
        span_id: id.to_vec(),
        name: format!("request {number}"),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

#[test]
fn a_crowd_delays_nobody() {
    // Most systems let a process have 1,024 descriptors unless it asks for more.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();

    let (grpc, http) = (free_port(), free_port());
    let backend = OtlpSink::start();
    let _agent = Command::new()
        .arg("--config")
        .arg(format!(
            "yaml:{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{grpc}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}}}, \
             exporters: {{otlp_grpc: {{endpoint: '127.0.0.1:{}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}}}, \
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}}}",
            backend.port()
        ))
        .start();
    wait_for("the receiver listens", Duration::from_secs(20), || {
        TcpStream::connect(("127.0.0.1", http)).ok()
    });

    let connect = |port, greeting: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(greeting).unwrap();
        stream
    };
    let idle: Vec<_> = (0..IDLE)
        .map(|_| {
            connect(
                grpc,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            )
        })
        .collect();
    let mut slow: Vec<_> = (0..SLOW)
        .map(|_| {
            connect(
                http,
                b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n",
            )
        })
        .collect();

    let mut took = Vec::new();
    for number in 0..REQUESTS {
        // Each of them goes on with its request meanwhile.
        for stream in slow.iter_mut().skip(number % 10).step_by(10) {
            stream.write_all(b"\n").unwrap();
        }
        let begun = Instant::now();
        export_traces(grpc, request_of(vec![span(number)])).unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let p99 = took[REQUESTS - 2];
    assert!(p99 < Duration::from_millis(200), "p99 is {p99:?}");
    assert_eq!(backend.spans().len(), REQUESTS);
    drop((idle, slow));
}
