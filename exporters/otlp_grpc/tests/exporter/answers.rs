use std::time::Duration;

use corten_component::GrpcCode;
use corten_net::grpc::Status;
use corten_pdata::model::{ExportTracePartialSuccess, ExportTraceServiceResponse, Message};

use crate::server::{Answer, QUICK, Server, exporter, exporter_for, spans};

const RETRYABLE: [GrpcCode; 6] = [
    GrpcCode::Cancelled,
    GrpcCode::DeadlineExceeded,
    GrpcCode::Aborted,
    GrpcCode::OutOfRange,
    GrpcCode::Unavailable,
    GrpcCode::DataLoss,
];

#[tokio::test]
async fn every_code_has_its_consequence() {
    for number in 1..=16 {
        let code = GrpcCode::from_number(number).unwrap();
        let server = Server::start([Answer::code(code)]).await;
        let exporter = exporter_for(&server, "");
        let answer = exporter.consume(spans(&["a"])).await;
        let calls = server.calls();
        if RETRYABLE.contains(&code) {
            answer.unwrap();
            assert_eq!(calls.len(), 2, "{code:?}");
            assert_eq!(calls[0].body, calls[1].body, "the identical bytes");
        } else {
            let refused = answer.unwrap_err();
            assert!(!refused.is_retryable(), "{code:?}");
            assert_eq!(refused.grpc_code(), code, "upstream hears the same code");
            assert_eq!(refused.rest().items(), 1);
            assert_eq!(calls.len(), 1, "{code:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_counts_only_with_a_delay_which_is_kept() {
    let delay = Duration::from_millis(300);
    let limited = Status::new(GrpcCode::ResourceExhausted, "RATE_LIMITED").after(delay);
    let server = Server::start([Answer::Status(limited)]).await;
    let exporter = exporter_for(&server, "");
    exporter.consume(spans(&["a"])).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].at - calls[0].at >= delay);
}

#[tokio::test]
async fn what_no_grpc_server_says_is_classified_too() {
    let server = Server::start([Answer::Http(503), Answer::Http(429)]).await;
    exporter_for(&server, "")
        .consume(spans(&["a"]))
        .await
        .unwrap();
    assert_eq!(server.calls().len(), 3);
    let server = Server::start([Answer::Http(404)]).await;
    let refused = exporter_for(&server, "")
        .consume(spans(&["a"]))
        .await
        .unwrap_err();
    assert_eq!(refused.grpc_code(), GrpcCode::Unimplemented);
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_made_again() {
    let server = Server::start([Answer::Hang]).await;
    let exporter = exporter_for(&server, "timeout: 100ms");
    exporter.consume(spans(&["a"])).await.unwrap();
    assert_eq!(server.calls().len(), 2);
    assert_eq!(server.calls()[0].headers["grpc-timeout"], "100000u");
}

#[tokio::test]
async fn a_partial_success_is_delivered_once() {
    let partly = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "too old".to_owned(),
        }),
    };
    let server = Server::start([Answer::Ok(partly.encode_to_vec())]).await;
    exporter_for(&server, "")
        .consume(spans(&["a", "b"]))
        .await
        .unwrap();
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn too_large_messages_are_sent_in_halves() {
    let server = Server::start([]).await;
    server.max_message(150);
    let exporter = exporter_for(&server, "compression: none");
    let names = ["one", "two", "three", "four", "five", "six"];
    exporter.consume(spans(&names)).await.unwrap();
    let taken: Vec<String> = server
        .calls()
        .iter()
        .filter(|call| call.body.len() <= 155)
        .flat_map(|call| call.names())
        .collect();
    assert_eq!(taken, names);
    let huge = "x".repeat(1000);
    let refused = exporter.consume(spans(&[&huge])).await.unwrap_err();
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn a_backend_that_is_away_is_waited_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let yaml = format!("endpoint: {address}\ntls: {{insecure: true}}");
    let exporter = exporter(&yaml);
    let waiting = exporter.consume(spans(&["a"]).replayable());
    assert!(
        tokio::time::timeout(Duration::from_millis(200), waiting)
            .await
            .is_err()
    );
    exporter.shutdown().await.unwrap();
    let refused = exporter.consume(spans(&["a"]).replayable());
    let refused = tokio::time::timeout(QUICK, refused)
        .await
        .unwrap()
        .unwrap_err();
    assert!(refused.is_retryable());
}
