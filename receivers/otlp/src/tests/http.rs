use std::time::Duration;

use corten_component::{Batch, Next, Signal, Status};
use corten_net::grpc;
use corten_testing::{Answer, RecordingSink};
use http::Method;
use prost::Message;

use super::Running;
use super::setup::{gzip, logs, metrics, snappy, traces, zlib, zstd};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Method, what is wrong, headers, body, status, reason in the metric.
type Row<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    Vec<u8>,
    u16,
    &'a str,
);

#[tokio::test]
async fn protobuf_arrives_in_every_encoding() {
    let running = Running::with("", "").await;
    let body = traces(2).encode_to_vec();
    for (name, packed) in [
        ("identity", body.clone()),
        ("gzip", gzip(&body)),
        ("zstd", zstd(&body)),
        ("deflate", zlib(&body)),
        ("zlib", zlib(&body)),
        ("snappy", snappy(&body)),
    ] {
        let answer = running
            .post(
                "/v1/traces",
                &[PROTOBUF, ("content-encoding", name)],
                packed,
            )
            .await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{name}");
        assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    }
    running
        .post("/v1/logs", &[PROTOBUF], logs().encode_to_vec())
        .await;
    running
        .post("/v1/metrics", &[PROTOBUF], metrics().encode_to_vec())
        .await;
    let kept = running.sink.take();
    assert_eq!(
        kept.iter().map(Batch::items).collect::<Vec<_>>(),
        [2, 2, 2, 2, 2, 2, 1, 2]
    );
    assert!(kept[..6].iter().all(|batch| batch.data.to_bytes() == body));
}

#[tokio::test]
async fn json_arrives_and_is_answered_in_json() {
    let running = Running::with("", "").await;
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"pay",
        "kind":2,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000"}]}]}]}"#;
    let answer = running
        .post(
            "/v1/traces",
            &[("content-type", "application/json; charset=utf-8")],
            body,
        )
        .await;
    assert_eq!(
        (answer.status, &*answer.body),
        (200, &br#"{"partialSuccess":{}}"#[..])
    );
    assert_eq!(answer.headers["content-type"], "application/json");
    let kept = running.sink.take();
    let request =
        opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest::decode(
            kept[0].data.to_bytes(),
        );
    let request = request.unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(
        (span.name.as_str(), span.kind, span.trace_id.len()),
        ("pay", 2, 16)
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_and_counted() {
    let running = Running::with(
        "",
        "max_request_body_size: 100000, compression_algorithms: ['', gzip, zstd]",
    )
    .await;
    let body = traces(1).encode_to_vec();
    let bomb = vec![0u8; 16 << 20];
    let rows: [Row<'_>; 9] = [
        ("GET", "a method", &[PROTOBUF], vec![], 405, ""),
        (
            "POST",
            "no content type",
            &[],
            body.clone(),
            415,
            "content_type",
        ),
        (
            "POST",
            "another content type",
            &[("content-type", "text/plain")],
            body.clone(),
            415,
            "content_type",
        ),
        (
            "POST",
            "too large",
            &[PROTOBUF],
            vec![0; 100_001],
            413,
            "too_large",
        ),
        (
            "POST",
            "gzip bomb",
            &[PROTOBUF, ("content-encoding", "gzip")],
            gzip(&bomb),
            413,
            "too_large",
        ),
        (
            "POST",
            "zstd bomb",
            &[PROTOBUF, ("content-encoding", "zstd")],
            zstd(&bomb),
            413,
            "too_large",
        ),
        (
            "POST",
            "an encoding that is off",
            &[PROTOBUF, ("content-encoding", "snappy")],
            snappy(&body),
            415,
            "unknown_encoding",
        ),
        (
            "POST",
            "an encoding that is not known",
            &[PROTOBUF, ("content-encoding", "br")],
            body.clone(),
            415,
            "unknown_encoding",
        ),
        (
            "POST",
            "damaged gzip",
            &[PROTOBUF, ("content-encoding", "gzip")],
            body.clone(),
            400,
            "damaged_compression",
        ),
    ];
    for (method, what, headers, body, status, reason) in rows {
        let before = running.malformed("http", reason);
        let method: Method = method.parse().unwrap();
        let answer = running.request(method, "/v1/traces", headers, body).await;
        assert_eq!(answer.status, status, "{what}");
        if status == 405 {
            assert_eq!(
                (&answer.headers["allow"], &*answer.body),
                (
                    &"POST".parse().unwrap(),
                    &b"405 method not allowed, supported: [POST]"[..]
                )
            );
        } else {
            assert_eq!(running.malformed("http", reason), before + 1, "{what}");
        }
        if headers.contains(&PROTOBUF) && status != 405 {
            let said = grpc::Status::decode(&answer.body).unwrap();
            assert!(!said.message.is_empty(), "{what}");
        }
    }

    let answer = running
        .post("/v1/traces", &[PROTOBUF], body[..body.len() - 2].to_vec())
        .await;
    assert_eq!(answer.status, 400);
    let said = grpc::Status::decode(&answer.body).unwrap();
    assert!(
        said.message.starts_with("malformed OTLP at byte "),
        "{said}"
    );
    assert_eq!(running.malformed("http", "damaged_protobuf"), 1);

    let answer = running
        .post("/v1/traces", &[JSON], r#"{"resourceSpans": ["#)
        .await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (400, &"application/json".parse().unwrap())
    );
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(said.starts_with(r#"{"code":3,"message":""#), "{said}");
    assert_eq!(running.malformed("http", "damaged_json"), 1);
    assert_eq!(running.sink.offered(), 0);
    assert_eq!(
        running.post("/v1/elsewhere", &[PROTOBUF], "").await.status,
        404
    );
}

#[tokio::test]
async fn an_empty_request_never_reaches_the_pipeline() {
    let sink = RecordingSink::scripted([Answer::Never(Status::INTERNAL)]);
    let running = Running::start("", "", sink, None).await;
    assert_eq!(running.post("/v1/logs", &[PROTOBUF], "").await.status, 200);
    assert_eq!(running.post("/v1/logs", &[JSON], "{}").await.status, 200);
    assert_eq!(running.sink.offered(), 0);
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_not_found() {
    let sink = RecordingSink::new();
    let next = Next::new().with(Signal::Logs, std::sync::Arc::clone(&sink) as _);
    let running = Running::start("", "", sink, Some(next)).await;
    let answer = running
        .post("/v1/traces", &[PROTOBUF], traces(1).encode_to_vec())
        .await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        running
            .post("/v1/logs", &[PROTOBUF], logs().encode_to_vec())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn refusals_are_mapped_and_say_when_to_come_again() {
    let later = Some(Duration::from_millis(2500));
    let rows = [
        (Answer::Retry(Status::UNAVAILABLE, None), 503, None, 14),
        (
            Answer::Retry(Status::UNAVAILABLE, later),
            503,
            Some("3"),
            14,
        ),
        (
            Answer::Retry(Status::RESOURCE_EXHAUSTED, None),
            429,
            Some("1"),
            8,
        ),
        (
            Answer::Retry(Status::Http(504), Some(Duration::ZERO)),
            503,
            Some("1"),
            14,
        ),
        (Answer::Retry(Status::Unset, None), 503, None, 14),
        (Answer::Never(Status::Unset), 500, None, 13),
        (Answer::Never(Status::INVALID_ARGUMENT), 400, None, 3),
        (Answer::Never(Status::Http(418)), 500, None, 13),
    ];
    for encoding in [PROTOBUF, JSON] {
        let sink = RecordingSink::scripted(rows.iter().map(|(answer, ..)| answer.clone()));
        let running = Running::start("", "", sink, None).await;
        for (answer, status, retry_after, code) in &rows {
            let body = match encoding {
                PROTOBUF => logs().encode_to_vec(),
                _ => br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#.to_vec(),
            };
            let response = running.post("/v1/logs", &[encoding], body).await;
            assert_eq!(response.status, *status, "{answer:?}");
            let header = response
                .headers
                .get("retry-after")
                .map(|value| value.to_str().unwrap());
            assert_eq!(header, *retry_after, "{answer:?}");
            if encoding == PROTOBUF {
                assert_eq!(
                    grpc::Status::decode(&response.body).unwrap().code.number(),
                    *code
                );
            } else {
                let said = String::from_utf8(response.body.to_vec()).unwrap();
                assert!(said.starts_with(&format!("{{\"code\":{code},")), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn browsers_are_answered() {
    let running = Running::with("", "cors: {allowed_origins: ['https://*.example.com']}, response_headers: {x-served-by: corten}").await;
    let origin = ("origin", "https://app.example.com");
    let asked = running
        .request(
            Method::OPTIONS,
            "/v1/traces",
            &[origin, ("access-control-request-method", "POST")],
            "",
        )
        .await;
    assert_eq!(asked.status, 204);
    assert_eq!(
        asked.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    let sent = running
        .post("/v1/traces", &[PROTOBUF, origin], traces(1).encode_to_vec())
        .await;
    assert_eq!(
        sent.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert_eq!(sent.headers["x-served-by"], "corten");
    let other = running
        .post(
            "/v1/traces",
            &[PROTOBUF, ("origin", "https://evil.com")],
            traces(1).encode_to_vec(),
        )
        .await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn paths_are_the_users() {
    let running = Running::with("", "traces_url_path: otlp/traces").await;
    assert_eq!(
        running
            .post("/otlp/traces", &[PROTOBUF], traces(1).encode_to_vec())
            .await
            .status,
        200
    );
    assert_eq!(
        running
            .post("/v1/traces", &[PROTOBUF], traces(1).encode_to_vec())
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_client_that_sends_before_it_listens_hears_the_answer() {
    let running = Running::with("", "max_request_body_size: 100000").await;
    for _ in 0..20 {
        let answer = running
            .post("/v1/traces", &[PROTOBUF], vec![0; 8 << 20])
            .await;
        assert_eq!(answer.status, 413);
    }
}

/// Bytes that this process holds, from the kernel.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4096
}

#[tokio::test]
async fn a_hundred_bombs_at_once_cost_no_more_than_the_room() {
    use std::io::Write as _;
    let zeros = vec![0u8; 4 << 20];
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    (0..256).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = bytes::Bytes::from(encoder.finish().unwrap());
    let running = Running::with("", "").await;
    let before = resident();
    let bombs = (0..100).map(|_| {
        running.post(
            "/v1/traces",
            &[PROTOBUF, ("content-encoding", "zstd")],
            bomb.clone(),
        )
    });
    let answers = futures_util::future::join_all(bombs).await;
    let grown = resident().saturating_sub(before);
    for answer in answers {
        assert!(matches!(answer.status, 413 | 429), "{}", answer.status);
    }
    assert!(grown < 200 << 20, "{} MiB more are resident", grown >> 20);
    assert_eq!(
        running
            .post("/v1/traces", &[PROTOBUF], traces(1).encode_to_vec())
            .await
            .status,
        200
    );
}
