use std::time::{Duration, Instant};

use corten_component::GrpcCode;

use crate::server::{Answer, Server, exporter_for, spans};

#[tokio::test]
async fn every_status_has_its_consequence() {
    // Status, whether it is tried again, and what an upstream hears over gRPC and over HTTP.
    let table = [
        (400, false, GrpcCode::InvalidArgument, 400),
        (401, false, GrpcCode::Unauthenticated, 401),
        (403, false, GrpcCode::PermissionDenied, 403),
        (404, false, GrpcCode::Unimplemented, 404),
        (409, false, GrpcCode::Internal, 500),
        (413, false, GrpcCode::Internal, 500),
        (418, false, GrpcCode::Internal, 500),
        (429, true, GrpcCode::ResourceExhausted, 429),
        (500, false, GrpcCode::Internal, 500),
        (501, false, GrpcCode::Internal, 500),
        (502, true, GrpcCode::Unavailable, 503),
        (503, true, GrpcCode::Unavailable, 503),
        (504, true, GrpcCode::Unavailable, 503),
        (307, false, GrpcCode::Internal, 500),
    ];
    for (status, retried, grpc, http) in table {
        let server = Server::start([Answer::status(status)]).await;
        let answer = exporter_for(&server, "").consume(spans(&["a"])).await;
        let calls = server.calls();
        if retried {
            answer.unwrap();
            assert_eq!(calls.len(), 2, "{status}");
            assert_eq!(calls[0].body, calls[1].body, "the identical bytes");
        } else {
            let refused = answer.unwrap_err();
            assert!(!refused.is_retryable());
            assert_eq!(
                (refused.grpc_code(), refused.http_status()),
                (grpc, http),
                "{status}"
            );
            assert_eq!(calls.len(), 1, "{status}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_kept_in_seconds_and_as_a_date() {
    let server = Server::start([Answer::status(429).header("retry-after", "1")]).await;
    exporter_for(&server, "")
        .consume(spans(&["a"]))
        .await
        .unwrap();
    let calls = server.calls();
    assert!(calls[1].at - calls[0].at >= Duration::from_secs(1));

    // An HTTP date has whole seconds, so "two seconds from now" is one to two.
    let soon = std::time::SystemTime::now() + Duration::from_secs(2);
    let date = httpdate::fmt_http_date(soon);
    let server = Server::start([Answer::status(503).header("retry-after", date)]).await;
    let started = Instant::now();
    exporter_for(&server, "")
        .consume(spans(&["a"]))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn too_large_bodies_are_sent_in_halves() {
    let server = Server::start([]).await;
    server.max_body(120);
    let exporter = exporter_for(&server, "compression: none");
    let names = ["one", "two", "three", "four", "five"];
    exporter.consume(spans(&names)).await.unwrap();
    let taken: Vec<String> = server
        .calls()
        .iter()
        .filter(|call| call.body.len() <= 120)
        .flat_map(|call| call.names())
        .collect();
    assert_eq!(taken, names);
}

#[tokio::test]
async fn partial_successes_are_delivered_once() {
    let json = r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#;
    let proto = [&[0x0a, 0x0b, 0x08, 1, 0x12, 7][..], b"too old"].concat();
    for answer in [
        Answer::status(200).body("application/json", json),
        Answer::status(200).body("application/x-protobuf", proto),
        Answer::status(204),
        Answer::status(200).body("text/html", "<html>"),
    ] {
        let server = Server::start([answer]).await;
        exporter_for(&server, "")
            .consume(spans(&["a", "b"]))
            .await
            .unwrap();
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test]
async fn an_endless_answer_does_not_fill_the_memory() {
    let answer = Answer::status(400).body("text/plain", vec![b'x'; 8 << 20]);
    let server = Server::start([answer]).await;
    let refused = exporter_for(&server, "")
        .consume(spans(&["a"]))
        .await
        .unwrap_err();
    assert!(refused.to_string().len() < 500);
}

#[tokio::test]
async fn what_cannot_be_signed_or_reached_is_tried_again() {
    let server = Server::start([Answer::status(503)]).await;
    let exporter = exporter_for(&server, "timeout: 5s");
    exporter.consume(spans(&["a"])).await.unwrap();
    exporter.shutdown().await.unwrap();
    assert!(
        exporter
            .consume(spans(&["a"]))
            .await
            .unwrap_err()
            .is_retryable()
    );
}
