//! What a sender hears when the backend says no, without a queue in between: the Collector's own table of errors, for each
//! pair of protocols. The agent has an OTLP receiver and an OTLP exporter that neither queues nor retries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use corten_tests::{Agent, Command, OtlpSink, Reply, export_traces, free_port, post, request_of};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use tonic::{Code, Status};

/// An agent between a sender and a backend.
struct Chain {
    _agent: Agent,
    grpc: u16,
    http: u16,
}

impl Chain {
    fn to_grpc(backend: u16) -> Self {
        let tls = "tls: {insecure: true}";
        Self::to(
            "otlp_grpc",
            &format!("endpoint: '127.0.0.1:{backend}', {tls}"),
        )
    }

    fn to_http(backend: u16) -> Self {
        Self::to(
            "otlp_http",
            &format!("endpoint: 'http://127.0.0.1:{backend}'"),
        )
    }

    fn to(exporter: &str, settings: &str) -> Self {
        let (grpc, http) = (free_port(), free_port());
        let agent = Command::yaml(&format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{grpc}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}}}
exporters: {{{exporter}: {{{settings}, sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [{exporter}]}}}}}}
"
        ))
        .start();
        Self {
            _agent: agent,
            grpc,
            http,
        }
    }

    fn by_grpc(&self) -> Status {
        export_traces(self.grpc, request()).expect_err("refused")
    }

    fn by_http(&self) -> Reply {
        let headers = [("content-type", "application/x-protobuf")];
        post(
            self.http,
            "/v1/traces",
            &headers,
            &request().encode_to_vec(),
        )
        .unwrap()
    }
}

fn request() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "one".to_owned(),
        ..Span::default()
    };
    request_of(vec![span])
}

/// A backend over HTTP that answers every request with the status of the moment and, if there is one, `Retry-After`.
struct HttpBackend {
    port: u16,
    answer: Arc<Mutex<(u16, Option<&'static str>)>>,
}

impl HttpBackend {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new((200, None)));
        let shared = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = *shared.lock();
                drop(serve(stream, answer));
            }
        });
        Self { port, answer }
    }
}

fn serve(stream: TcpStream, (status, after): (u16, Option<&str>)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let after = after.map_or_else(String::new, |after| format!("retry-after: {after}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-length: 0\r\nconnection: close\r\n{after}\r\n"
    );
    reader.into_inner().write_all(head.as_bytes())
}

/// Every code that gRPC has for a failure, and what a sender over HTTP hears of it.
const OF_GRPC: [(Code, u16); 16] = [
    (Code::Cancelled, 503),
    (Code::Unknown, 500),
    (Code::InvalidArgument, 400),
    (Code::DeadlineExceeded, 503),
    (Code::NotFound, 500),
    (Code::AlreadyExists, 500),
    (Code::PermissionDenied, 403),
    (Code::ResourceExhausted, 429),
    (Code::FailedPrecondition, 500),
    (Code::Aborted, 503),
    (Code::OutOfRange, 503),
    (Code::Unimplemented, 404),
    (Code::Internal, 500),
    (Code::Unavailable, 503),
    (Code::DataLoss, 503),
    (Code::Unauthenticated, 401),
];

#[test]
fn grpc_to_grpc_says_the_same() {
    let backend = OtlpSink::start();
    let chain = Chain::to_grpc(backend.port());
    for (code, _) in OF_GRPC {
        backend.refuse([Status::new(code, "scripted")]);
        let heard = chain.by_grpc();
        assert_eq!(heard.code(), code, "{heard:?}");
        assert!(heard.message().contains("scripted"), "{code:?}: {heard:?}");
    }
    assert!(backend.spans().is_empty());
    export_traces(chain.grpc, request()).unwrap();
    assert_eq!(backend.spans().len(), 1, "and goes on");
}

#[test]
fn grpc_to_http() {
    let backend = OtlpSink::start();
    let chain = Chain::to_grpc(backend.port());
    for (code, status) in OF_GRPC {
        backend.refuse([Status::new(code, "scripted")]);
        let heard = chain.by_http();
        assert_eq!(heard.status, status, "{code:?}: {}", heard.text());
    }
}

/// What a backend over HTTP says; what senders over gRPC and HTTP hear. What is none of OTLP's is a permanent error without a status.
const OF_HTTP: [(u16, Code, u16); 13] = [
    (400, Code::InvalidArgument, 400),
    (401, Code::Unauthenticated, 401),
    (403, Code::PermissionDenied, 403),
    (404, Code::Unimplemented, 404),
    (409, Code::Internal, 500),
    (418, Code::Internal, 500),
    (429, Code::ResourceExhausted, 429),
    (500, Code::Internal, 500),
    (501, Code::Internal, 500),
    (502, Code::Unavailable, 503),
    (503, Code::Unavailable, 503),
    (504, Code::Unavailable, 503),
    (505, Code::Internal, 500),
];

#[test]
fn http_to_grpc() {
    let backend = HttpBackend::start();
    let chain = Chain::to_http(backend.port);
    for (status, code, _) in OF_HTTP {
        *backend.answer.lock() = (status, None);
        let heard = chain.by_grpc();
        assert_eq!(heard.code(), code, "{status}: {heard:?}");
    }
}

#[test]
fn http_to_http() {
    let backend = HttpBackend::start();
    let chain = Chain::to_http(backend.port);
    for (status, _, expected) in OF_HTTP {
        *backend.answer.lock() = (status, None);
        let heard = chain.by_http();
        assert_eq!(heard.status, expected, "{status}: {}", heard.text());
    }
}

#[test]
fn how_long_to_wait_goes_back_to_the_sender() {
    let backend = HttpBackend::start();
    let chain = Chain::to_http(backend.port);
    *backend.answer.lock() = (429, Some("7"));
    let heard = chain.by_http();
    assert_eq!(
        (heard.status, heard.header("retry-after")),
        (429, Some("7"))
    );
    let heard = chain.by_grpc();
    assert_eq!(heard.code(), Code::ResourceExhausted);
    // google.rpc.RetryInfo with a Duration of seven seconds: a sender gives up on RESOURCE_EXHAUSTED without it.
    let seven = b"\x0a\x02\x08\x07";
    assert!(
        heard.details().windows(seven.len()).any(|at| at == seven),
        "{:?}",
        heard.details()
    );
    *backend.answer.lock() = (503, Some("3"));
    let heard = chain.by_http();
    assert_eq!(
        (heard.status, heard.header("retry-after")),
        (503, Some("3"))
    );
}

#[test]
fn a_backend_that_is_away_means_to_try_again() {
    let nobody = free_port();
    let chain = Chain::to_grpc(nobody);
    let heard = chain.by_grpc();
    assert_eq!(heard.code(), Code::Unavailable, "{heard:?}");
    assert!(heard.message().contains(&nobody.to_string()), "{heard:?}");
    assert_eq!(chain.by_http().status, 503);
    let chain = Chain::to_http(nobody);
    assert_eq!(chain.by_grpc().code(), Code::Unavailable);
    assert_eq!(chain.by_http().status, 503);
}
