//! What real clients write, over real sockets.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{Component, Context, Kind, Status};
use corten_config::settings::HttpClient as ClientSettings;
use corten_net::body::Body;
use corten_net::client::{HttpClient, Response};
use corten_testing::{Answer, RecordingSink};
use expect_test::{Expect, ExpectFile, expect, expect_file};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use crate::config::Config;
use crate::receiver::Zipkin;
use crate::span::Malformed;
use crate::translate::Translator;
use crate::{json, protobuf};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../tests/golden/", $name)).as_slice()
    };
}

const PROTOBUF: &[(&str, &str)] = &[("content-type", "application/x-protobuf")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn translate(
    parse: bool,
    read: impl FnOnce(&mut Translator) -> Result<(), Malformed>,
) -> corten_pdata::Traces {
    let mut translator = Translator::new(parse);
    read(&mut translator).unwrap();
    let traces = translator.finish();
    // What is built is never checked again.
    assert_eq!(
        corten_pdata::Traces::parse(traces.to_bytes())
            .unwrap()
            .items(),
        traces.items()
    );
    traces
}

fn from_json(json: &[u8], parse: bool) -> corten_pdata::Traces {
    translate(parse, |translator| {
        json::read(json, |span| translator.add(span))
    })
}

fn from_protobuf(message: &[u8]) -> corten_pdata::Traces {
    translate(false, |translator| {
        protobuf::read(message, |span| translator.add(span))
    })
}

fn detailed(traces: corten_pdata::Traces) -> String {
    let mut text = String::new();
    corten_pdata::text::write_detailed(&corten_pdata::Data::Traces(traces), &mut text);
    text
}

fn expect_json(json: &str, parse: bool, expected: Expect) {
    let text = detailed(from_json(json.as_bytes(), parse));
    // From the span's name on.
    let (_, span) = text.split_once("    Name ").unwrap();
    expected.assert_eq(span);
}

fn holds(expected: ExpectFile, traces: corten_pdata::Traces) {
    expected.assert_eq(&detailed(traces));
}

#[test]
fn what_py_zipkin_writes_is_translated() {
    let expected = || expect_file!["../tests/golden/py_zipkin.txt"];
    holds(expected(), from_json(golden!("py_zipkin.json"), false));
    holds(expected(), from_protobuf(golden!("py_zipkin.pb")));
}

#[test]
fn what_opentelemetry_writes_is_translated_back() {
    let json = expect_file!["../tests/golden/opentelemetry.txt"];
    holds(json, from_json(golden!("opentelemetry.json"), false));
    // Its protobuf encoder writes the same.
    let same = expect_file!["../tests/golden/opentelemetry.txt"];
    holds(same, from_protobuf(golden!("opentelemetry.pb")));
}

#[test]
fn tags_become_what_they_look_like_where_that_is_wanted() {
    expect_json(
        r#"[{"traceId":"1","id":"1","timestamp":1,"tags":{"int":"-42","double":"2.50","bool":"true","text":"1e3","big":"99999999999999999999"}}]"#,
        true,
        expect![[r#"
                      : 
                Kind           : Unspecified
                Start time     : 1970-01-01 00:00:00.000001 +0000 UTC
                End time       : 1970-01-01 00:00:00.000001 +0000 UTC
                Status code    : Unset
                Status message : 
            Attributes:
                 -> int: Int(-42)
                 -> double: Double(2.5)
                 -> bool: Bool(true)
                 -> text: Str(1e3)
                 -> big: Str(99999999999999999999)
        "#]],
    );
}

#[test]
fn links_and_events_of_opentelemetrys_exporters_are_read_back() {
    expect_json(
        r#"[{"traceId":"1","id":"1","timestamp":1,"kind":"CLIENT","name":"x",
            "tags":{"otlp.link.1":"no link","otlp.link.0":"463ac35c9f6413ad48485a3953bb6124|a2fb4a1d1a96d312|k=v|{\"a\":\"b|c\",\"n\":1,\"d\":0.5}|2",
                    "w3c.tracestate":"rojo=1","otel.status_code":"STATUS_CODE_OK","error":"false","peer.service":"lost","x":"1","x":"2"},
            "annotations":[{"timestamp":2,"value":"paid|{\"amount\":1.0,\"in\":{\"a\":[1]}}|3"},{"timestamp":3,"value":"a|b|c"}],
            "remoteEndpoint":{"serviceName":"kept"}}]"#,
        false,
        expect![[r#"
                      : x
                Kind           : Client
                TraceState     : rojo=1
                Start time     : 1970-01-01 00:00:00.000001 +0000 UTC
                End time       : 1970-01-01 00:00:00.000001 +0000 UTC
                Status code    : Ok
                Status message : 
            Attributes:
                 -> otlp.link.1: Str(no link)
                 -> error: Str(false)
                 -> x: Str(2)
                 -> peer.service: Str(kept)
            Events:
            SpanEvent #0
                 -> Name: paid
                 -> Timestamp: 1970-01-01 00:00:00.000002 +0000 UTC
                 -> DroppedAttributesCount: 3
                 -> Attributes::
                      -> amount: Int(1)
                      -> in: Str({"a":[1]})
            SpanEvent #1
                 -> Name: a|b|c
                 -> Timestamp: 1970-01-01 00:00:00.000003 +0000 UTC
                 -> DroppedAttributesCount: 0
            Links:
            SpanLink #0
                 -> Trace ID: 463ac35c9f6413ad48485a3953bb6124
                 -> ID: a2fb4a1d1a96d312
                 -> TraceState: k=v
                 -> DroppedAttributesCount: 2
                 -> Attributes::
                      -> a: Str(b|c)
                      -> d: Double(0.5)
                      -> n: Int(1)
        "#]],
    );
}

#[test]
fn resources_that_differ_stay_apart() {
    let span = |id: usize, service: usize, pod: usize| {
        format!(
            r#"{{"traceId":"1","id":"{}","localEndpoint":{{"serviceName":"s{service}"}},"tags":{{"k8s.pod.name":"p{pod}"}}}}"#,
            id + 1
        )
    };
    let all: Vec<_> = (0..3000).map(|n| span(n, n % 40, n % 3)).collect();
    let traces = from_json(format!("[{}]", all.join(",")).as_bytes(), false);
    assert_eq!(traces.items(), 3000);
    assert_eq!(traces.resources().count(), 120);
    assert_eq!(traces.segments().len(), 1);
    // So many that not all are open at the same time.
    let all: Vec<_> = (0..3000).map(|n| span(n, n, 0)).collect();
    let traces = from_json(format!("[{}]", all.join(",")).as_bytes(), false);
    assert_eq!((traces.items(), traces.resources().count()), (3000, 3000));
}

struct Running {
    receiver: Arc<Zipkin>,
    sink: Arc<RecordingSink>,
    client: HttpClient,
}

impl Running {
    async fn with(settings: &str) -> Self {
        let config: Config =
            corten_config::from_str(&format!("{{endpoint: 'localhost:0', {settings}}}")).unwrap();
        let sink = RecordingSink::new();
        let cx = Context::detached(Kind::Receiver, "zipkin".parse().unwrap());
        let client = HttpClient::new(&cx, &ClientSettings::default()).unwrap();
        let receiver = Arc::new(Zipkin::create(cx, config, sink.next()).unwrap());
        Arc::clone(&receiver).start().await.unwrap();
        Self {
            receiver,
            sink,
            client,
        }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.request(Method::POST, path, headers, body).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let address = self.receiver.listener.local_addr().unwrap();
        let url = format!("http://{address}{path}").parse().unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        let body = Body::full(Bytes::copy_from_slice(body));
        self.client.send(method, &url, headers, body).await.unwrap()
    }
}

#[tokio::test]
async fn spans_are_accepted_when_the_pipeline_has_them() {
    let running = Running::with("include_metadata: true").await;
    let answer = running
        .post("/api/v2/spans", JSON, golden!("py_zipkin.json"))
        .await;
    assert_eq!(answer.status, 202);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(golden!("opentelemetry.pb")).unwrap();
    let headers = [
        PROTOBUF[0],
        ("content-encoding", "gzip"),
        ("x-scope-orgid", "a"),
    ];
    let answer = running
        .post("/api/v2/spans", &headers, &gzip.finish().unwrap())
        .await;
    assert_eq!(answer.status, 202);
    // Behind a proxy that leaves its own path in front.
    let answer = running.post("/zipkin/api/v2/spans", JSON, b"[]").await;
    assert_eq!(answer.status, 202);
    // Without a word about what it is.
    assert_eq!(running.post("/api/v2/spans", &[], b"[]").await.status, 202);
    let batches = running.sink.take();
    let items: Vec<_> = batches.iter().map(|batch| batch.items()).collect();
    assert_eq!(items, [3, 2]);
    assert_eq!(batches[1].metadata.get("x-scope-orgid").next(), Some("a"));
    running.receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn pages_of_allowed_sites_may_send() {
    let running = Running::with("cors: {allowed_origins: ['https://*.example.com']}").await;
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("https://evil.com", false),
    ] {
        let question = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let answer = running
            .request(Method::OPTIONS, "/api/v2/spans", &question, b"")
            .await;
        assert_eq!(answer.status, 204);
        let told = |answer: &Response| answer.headers.contains_key("access-control-allow-origin");
        assert_eq!(told(&answer), allowed, "{origin}");
        let sent = running
            .post("/api/v2/spans", &[JSON[0], ("origin", origin)], b"[]")
            .await;
        assert_eq!((sent.status, told(&sent)), (202, allowed), "{origin}");
    }
}

#[tokio::test]
async fn what_the_pipeline_says_reaches_the_sender() {
    let running = Running::with("").await;
    let later = Some(Duration::from_millis(1500));
    running.sink.then([
        Answer::Retry(Status::UNAVAILABLE, later),
        Answer::Retry(Status::RESOURCE_EXHAUSTED, None),
        Answer::Retry(Status::UNAVAILABLE, None),
        Answer::Never(Status::INVALID_ARGUMENT),
    ]);
    for (status, after) in [(503, Some("2")), (429, Some("1")), (503, None), (400, None)] {
        let answer = running
            .post("/api/v2/spans", JSON, golden!("py_zipkin.json"))
            .await;
        let told = answer
            .headers
            .get("retry-after")
            .map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, told), (status, after));
    }
    assert_eq!(running.sink.items(), 0);
}

#[tokio::test]
async fn what_is_not_taken_is_refused_with_a_reason() {
    let running = Running::with("max_request_body_size: 2000").await;
    let large = vec![b' '; 3000];
    let thrift: &[(&str, &str)] = &[("content-type", "application/x-thrift")];
    let brotli: &[(&str, &str)] = &[("content-encoding", "br")];
    for (path, headers, body, status, text) in [
        (
            "/api/v2/spans",
            JSON,
            b"{}".as_slice(),
            400,
            "expected a list",
        ),
        ("/api/v2/spans", PROTOBUF, b"{}", 400, "ListOfSpans"),
        ("/api/v2/spans", thrift, b"", 415, "version 1"),
        ("/api/v1/spans", JSON, b"[]", 410, "/api/v2/spans"),
        ("/zipkin/api/v1/spans", JSON, b"[]", 410, "/api/v2/spans"),
        ("/api/v2/spans", JSON, &large, 413, "2000"),
        ("/api/v2/spans", brotli, b"", 415, "br"),
    ] {
        let answer = running.post(path, headers, body).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{said}");
        assert!(said.contains(text), "{said}");
    }
    assert_eq!(running.sink.offered(), 0);
}

#[tokio::test]
async fn it_keeps_the_contract() {
    corten_testing::conforms(crate::factory(), "{endpoint: 'localhost:0'}").await;
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_valid_otlp(
        tags in proptest::collection::vec((".{0,8}", ".{0,20}"), 0..6),
        special in proptest::sample::select(vec!["error", "otlp.link.0", "otel.status_code", "span.kind", "net.host.ip", "k8s.pod.name"]),
        value in "[|0-9a-f{}\":]{0,40}",
        parse: bool,
    ) {
        let mut object = serde_json::Map::new();
        for (key, value) in tags {
            object.insert(key, value.into());
        }
        object.insert(special.to_owned(), value.clone().into());
        let list = serde_json::json!([{"traceId": "1", "id": "1", "tags": object, "annotations": [{"value": value}]}]);
        let traces = from_json(list.to_string().as_bytes(), parse);
        prop_assert_eq!(traces.items(), 1);
    }

    #[test]
    fn damaged_requests_never_panic(at in 0usize..1000, byte: u8) {
        for (golden, is_json) in [(golden!("py_zipkin.json"), true), (golden!("opentelemetry.pb"), false)] {
            let mut damaged = golden.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            let mut translator = Translator::new(true);
            let read = if is_json {
                json::read(&damaged, |span| translator.add(span))
            } else {
                protobuf::read(&damaged, |span| translator.add(span))
            };
            if read.is_ok() {
                let traces = translator.finish();
                prop_assert!(corten_pdata::Traces::parse(traces.to_bytes()).is_ok());
            }
        }
    }
}
