//! What real clients write, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{Component, Context, GrpcCode, Kind, Status};
use corten_config::settings::{GrpcClient as GrpcSettings, HttpClient as HttpSettings};
use corten_net::body::Body;
use corten_net::client::{HttpClient, Response};
use corten_net::grpc::{GrpcClient, GrpcError, Message, Reply};
use corten_pdata::Traces;
use corten_testing::{Answer, RecordingSink};
use expect_test::expect_file;
use http::{HeaderMap, HeaderValue, Method, header};
use proptest::prelude::*;
use tokio::net::UdpSocket;

use crate::config::Config;
use crate::grpc::{POST_SPANS, SAMPLING};
use crate::model::Malformed;
use crate::protobuf::read_request;
use crate::receiver::Jaeger;
use crate::thrift::Protocol;
use crate::thrift::model::{read_batch, read_call};
use crate::translate::Translator;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../tests/golden/", $name)).as_slice()
    };
}

type Read = fn(&[u8], &mut Translator) -> Result<(), Malformed>;

fn compact(message: &[u8], to: &mut Translator) -> Result<(), Malformed> {
    read_call(Protocol::Compact, message, to)
}

fn binary(message: &[u8], to: &mut Translator) -> Result<(), Malformed> {
    read_call(Protocol::Binary, message, to)
}

/// Every encoding, its reader, and a message of it.
const ALL: [(&[u8], Read); 5] = [
    (golden!("batch.thrift"), read_batch),
    (golden!("emit_batch.compact"), compact),
    (golden!("emit_batch.binary"), binary),
    (golden!("emit_batch.old_binary"), binary),
    (golden!("post_spans.pb"), read_request),
];

fn translate(message: &[u8], read: Read) -> Result<Traces, Malformed> {
    let mut translator = Translator::default();
    read(message, &mut translator)?;
    let traces = translator.finish();
    // What is built is never checked again.
    let checked = Traces::parse(traces.to_bytes()).unwrap();
    assert_eq!(checked.items(), traces.items());
    Ok(traces)
}

fn detailed(traces: Traces) -> String {
    let mut text = String::new();
    corten_pdata::text::write_detailed(&corten_pdata::Data::Traces(traces), &mut text);
    text
}

#[test]
fn every_protocol_of_thrift_says_the_same() {
    for (message, read) in ALL.into_iter().take(4) {
        let text = detailed(translate(message, read).unwrap());
        expect_file!["../tests/golden/thrift.txt"].assert_eq(&text);
    }
}

#[test]
fn what_agents_send_is_translated() {
    let text = detailed(translate(golden!("post_spans.pb"), read_request).unwrap());
    expect_file!["../tests/golden/post_spans.txt"].assert_eq(&text);
}

#[test]
fn a_process_behind_its_spans_is_theirs_too() {
    // `Batch` in the binary protocol: the process's field and the spans' field change places.
    let message = golden!("batch.thrift");
    let spans = (0..message.len())
        .filter(|at| message[*at..].starts_with(&[15, 0, 2, 12, 0, 0, 0, 3]))
        // The process has three tags, in a field of the same number.
        .nth(1)
        .unwrap();
    let end = message.len() - 1;
    let swapped = [&message[spans..end], &message[..spans], &[0]].concat();
    let text = detailed(translate(&swapped, read_batch).unwrap());
    expect_file!["../tests/golden/thrift.txt"].assert_eq(&text);
}

#[test]
fn what_is_missing_is_told() {
    let refused = |message: &[u8], read: Read| translate(message, read).unwrap_err().to_string();
    assert!(refused(&[0], read_batch).contains("process is missing"));
    assert!(refused(&[], read_batch).contains("cut off"));
    // A process without a name.
    assert!(refused(&[12, 0, 1, 0, 0], read_batch).contains("serviceName is missing"));
    // A list that claims two thousand million spans.
    let claim = [15, 0, 2, 12, 0x7f, 0xff, 0xff, 0xff, 0];
    assert!(refused(&claim, read_batch).contains("cut off"));
    // Another method of the agent.
    let mut other = golden!("emit_batch.compact").to_vec();
    let at = other.windows(9).position(|w| w == b"emitBatch").unwrap();
    other[at] = b'x';
    assert_eq!(translate(&other, compact).unwrap_err(), Malformed::Method);
    // Structures within structures.
    let deep = [12, 0, 9].repeat(1000);
    assert!(refused(&deep, read_batch).contains("too deeply"));
    // More tags than anybody has: empty ones of two bytes each.
    let mut span = [0x42, 0].repeat(70_000);
    let mut batch = vec![0x0a];
    corten_pdata::wire::put_varint(&mut batch, span.len() as u64);
    batch.append(&mut span);
    let mut request = vec![0x0a];
    corten_pdata::wire::put_varint(&mut request, batch.len() as u64);
    request.append(&mut batch);
    assert!(refused(&request, read_request).contains("more than 65536"));
    // An id of five bytes.
    let id = [0x0a, 9, 0x0a, 7, 0x0a, 5, 1, 2, 3, 4, 5, 0, 0];
    assert!(refused(&id, read_request).contains("an id"));
}

struct Running {
    receiver: Arc<Jaeger>,
    sink: Arc<RecordingSink>,
    http: HttpClient,
    grpc: GrpcClient,
}

const EVERYTHING: &str = "{grpc: {endpoint: 'localhost:0'}, thrift_http: {endpoint: 'localhost:0'}, \
    thrift_compact: {endpoint: 'localhost:0'}, thrift_binary: {endpoint: 'localhost:0', max_packet_size: 2000}}";

impl Running {
    async fn start(own: &str) -> Self {
        let yaml = format!("{{protocols: {EVERYTHING}, {own}}}");
        let config: Config = corten_config::from_str(&yaml).unwrap();
        let sink = RecordingSink::new();
        let cx = Context::detached(Kind::Receiver, "jaeger".parse().unwrap());
        let http = HttpClient::new(&cx, &HttpSettings::default()).unwrap();
        let receiver = Arc::new(Jaeger::create(cx.clone(), config, sink.next()).unwrap());
        Arc::clone(&receiver).start().await.unwrap();
        let address = receiver.listeners[0].local_addr().unwrap();
        let settings: GrpcSettings = corten_config::from_str(&format!(
            "{{endpoint: '{address}', tls: {{insecure: true}}}}"
        ))
        .unwrap();
        let grpc = GrpcClient::new(&cx, &settings).unwrap();
        Self {
            receiver,
            sink,
            http,
            grpc,
        }
    }

    async fn post(&self, content_type: &'static str, body: &'static [u8]) -> Response {
        let address = self.receiver.listeners[1].local_addr().unwrap();
        let url = format!("http://{address}/api/traces?format=jaeger.thrift");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let body = Body::full(Bytes::from_static(body));
        self.http
            .send(Method::POST, &url.parse().unwrap(), headers, body)
            .await
            .unwrap()
    }

    async fn call(&self, path: &'static str, body: &'static [u8]) -> Result<Reply, GrpcError> {
        let message = Message {
            parts: vec![Bytes::from_static(body)],
            encoding: None,
        };
        let path = http::uri::PathAndQuery::from_static(path);
        self.grpc.unary(&path, message).await
    }

    async fn datagram(&self, to: SocketAddr, message: &[u8]) {
        let socket = UdpSocket::bind("localhost:0").await.unwrap();
        socket.send_to(message, to).await.unwrap();
    }
}

#[tokio::test]
async fn spans_come_in_through_every_door() {
    let running = Running::start("").await;
    let reply = running.call(POST_SPANS, golden!("post_spans.pb")).await;
    assert!(reply.unwrap().message.is_empty());
    for content_type in [
        "application/x-thrift",
        "application/vnd.apache.thrift.binary; charset=utf-8",
    ] {
        let answer = running.post(content_type, golden!("batch.thrift")).await;
        assert_eq!(answer.status, 202);
    }
    let [compact, binary] = running.receiver.addresses()[..] else {
        panic!("listens twice")
    };
    running
        .datagram(compact, golden!("emit_batch.compact"))
        .await;
    running.datagram(binary, golden!("emit_batch.binary")).await;
    running.sink.wait_for_items(4 + 2 * 3 + 2 * 3).await;
    running.receiver.shutdown().await.unwrap();
    assert_eq!(running.sink.items(), 16);
}

#[tokio::test]
async fn what_the_pipeline_says_reaches_the_sender() {
    let running = Running::start("").await;
    let later = Some(Duration::from_millis(1500));
    let answers = [
        Answer::Retry(Status::UNAVAILABLE, later),
        Answer::Retry(Status::RESOURCE_EXHAUSTED, None),
        Answer::Never(Status::INVALID_ARGUMENT),
    ];
    running.sink.then(answers.clone());
    for (status, after) in [(503, Some("2")), (429, Some("1")), (400, None)] {
        let answer = running
            .post("application/x-thrift", golden!("batch.thrift"))
            .await;
        let told = answer.headers.get(header::RETRY_AFTER);
        let told = told.map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, told), (status, after));
    }
    running.sink.then(answers);
    for (code, after) in [
        (GrpcCode::Unavailable, later),
        (GrpcCode::ResourceExhausted, Some(Duration::from_secs(1))),
        (GrpcCode::InvalidArgument, None),
    ] {
        let error = running.call(POST_SPANS, golden!("post_spans.pb")).await;
        let status = error.unwrap_err().status();
        assert_eq!((status.code, status.retry_after), (code, after));
    }
    assert_eq!(running.sink.items(), 0);
}

#[tokio::test]
async fn what_is_not_taken_is_refused_with_a_reason() {
    let running = Running::start("").await;
    for (content_type, body, said) in [
        (
            "application/json",
            b"{}".as_slice(),
            "unsupported content type",
        ),
        ("application/x-thrift", b"{}", "expected a batch"),
    ] {
        let answer = running.post(content_type, body).await;
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8_lossy(&answer.body).contains(said));
    }
    let error = running.call(POST_SPANS, b"\x0a\x7f").await.unwrap_err();
    assert_eq!(error.status().code, GrpcCode::InvalidArgument);
    let error = running.call(SAMPLING, b"").await.unwrap_err();
    assert_eq!(error.status().code, GrpcCode::Unimplemented);
    assert!(error.status().message.contains("Jaeger collector"));
    // Damaged datagrams and one that is too long change nothing for the next one.
    let addresses = running.receiver.addresses();
    running.datagram(addresses[1], b"damaged").await;
    running.datagram(addresses[1], &[0; 3000]).await;
    running
        .datagram(addresses[1], golden!("emit_batch.binary"))
        .await;
    running.sink.wait_for_items(3).await;
    running.receiver.shutdown().await.unwrap();
    assert_eq!(running.sink.offered(), 1);
}

#[tokio::test]
async fn datagrams_that_are_refused_for_now_are_offered_again() {
    let running = Running::start("").await;
    let soon = Some(Duration::from_millis(1));
    running.sink.then([
        Answer::Retry(Status::UNAVAILABLE, soon),
        Answer::Retry(Status::UNAVAILABLE, soon),
    ]);
    let to = running.receiver.addresses()[0];
    running.datagram(to, golden!("emit_batch.compact")).await;
    running.sink.wait_for_items(3).await;
    assert_eq!(running.sink.offered(), 3);
    // Refused for good, it is gone; what comes next is not.
    running.sink.then([Answer::Never(Status::INVALID_ARGUMENT)]);
    running.datagram(to, golden!("emit_batch.compact")).await;
    let offered = || async { (running.sink.offered() == 4).then_some(()) };
    corten_testing::eventually("offered", Duration::from_secs(10), offered).await;
    running.datagram(to, golden!("emit_batch.compact")).await;
    running.sink.wait_for_items(6).await;
    running.receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_while_the_pipeline_refuses() {
    let running = Running::start("").await;
    running
        .sink
        .then(vec![Answer::Retry(Status::UNAVAILABLE, None); 1000]);
    let to = running.receiver.addresses()[0];
    running.datagram(to, golden!("emit_batch.compact")).await;
    let offered = || async { (running.sink.offered() > 0).then_some(()) };
    corten_testing::eventually("offered", Duration::from_secs(10), offered).await;
    tokio::time::timeout(Duration::from_secs(4), running.receiver.shutdown())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn it_keeps_the_contract() {
    corten_testing::conforms(crate::factory(), &format!("{{protocols: {EVERYTHING}}}")).await;
}

proptest! {
    #[test]
    fn anything_is_read_without_a_panic(message: Vec<u8>) {
        for (_, read) in ALL {
            let _refused = translate(&message, read).is_err();
        }
    }

    #[test]
    fn damaged_messages_are_read_without_a_panic(at in 0usize..10_000, byte: u8) {
        for (message, read) in ALL {
            let mut damaged = message.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _refused = translate(&damaged, read).is_err();
        }
    }

    #[test]
    fn what_is_cut_off_is_refused(cut in 1usize..10_000) {
        // Of protobuf a part may be a message as well; the request's only field is not.
        for (message, read) in ALL {
            let cut = cut % (message.len() - 1) + 1;
            let part = &message[..message.len() - cut];
            prop_assert!(part.is_empty() || translate(part, read).is_err());
        }
    }
}
