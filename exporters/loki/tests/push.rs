//! Over HTTP, as Loki sees it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, Component, Context, Create, Exporter, Kind};
use corten_pdata::model::common::{AnyValue, any_value};
use corten_pdata::model::logs::{LogRecord, ResourceLogs, ScopeLogs};
use corten_pdata::{Data, Logs};
use corten_testing::{conforms, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one request after the other with these, and gives what it got: the head, and the body decompressed.
async fn serve(listener: TcpListener, answers: Vec<&'static str>) -> Vec<(String, Vec<u8>)> {
    let mut got = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let head = loop {
            stream.read_buf(&mut read).await.unwrap();
            if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8(read[..head].to_vec())
            .unwrap()
            .to_lowercase();
        let length = text.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split('\r').next().unwrap().parse().unwrap();
        while read.len() < head + length {
            stream.read_buf(&mut read).await.unwrap();
        }
        let body = snap::raw::Decoder::new()
            .decompress_vec(&read[head..])
            .unwrap();
        got.push((text, body));
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    got
}

async fn started(yaml: &str) -> Arc<dyn Exporter> {
    let prepared = decode(&corten_loki_exporter::factory(), yaml)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Exporter(create) = prepared.create else {
        panic!("not an exporter");
    };
    let cx = Context::detached(Kind::Exporter, "loki".parse().unwrap());
    let exporter = create(cx, ()).unwrap_or_else(|error| panic!("{error}"));
    Component::start(Arc::clone(&exporter)).await.unwrap();
    exporter
}

fn batch(lines: &[&str]) -> Batch {
    let record = |line: &&str| LogRecord {
        time_unix_nano: 1,
        body: Some(AnyValue {
            value: Some(any_value::Value::StringValue((*line).to_owned())),
        }),
        ..LogRecord::default()
    };
    let scope = ScopeLogs {
        log_records: lines.iter().map(record).collect(),
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    let model = corten_pdata::model::ExportLogsServiceRequest {
        resource_logs: vec![resource],
    };
    Batch::new(Data::Logs(Logs::from_model(&model).unwrap())).replayable()
}

const CLOSE: &str = "\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(
        corten_loki_exporter::factory(),
        "endpoint: http://127.0.0.1:1/loki/api/v1/push",
    )
    .await;
}

#[tokio::test]
async fn a_push_looks_as_loki_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let unavailable =
        Box::leak(format!("HTTP/1.1 503 Service Unavailable{CLOSE}").into_boxed_str());
    let stored = Box::leak(format!("HTTP/1.1 204 No Content{CLOSE}").into_boxed_str());
    let loki = tokio::spawn(serve(listener, vec![unavailable, stored]));
    let yaml = format!(
        "endpoint: http://{address}\ntenant_id: team-a\nheaders: {{X-Extra: yes}}\nretry_on_failure: {{initial_interval: 1ms}}"
    );
    let exporter = started(&yaml).await;
    exporter.consume(batch(&["one", "two"])).await.unwrap();
    let got = tokio::time::timeout(Duration::from_secs(20), loki)
        .await
        .unwrap()
        .unwrap();
    exporter.shutdown().await.unwrap();
    let (head, body) = &got[1];
    assert!(
        head.starts_with("post /loki/api/v1/push http/1.1\r\n"),
        "{head}"
    );
    for header in [
        "content-type: application/x-protobuf",
        "content-encoding: snappy",
        "x-scope-orgid: team-a",
        "x-extra: yes",
        "user-agent: corten/",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert_eq!(*body, got[0].1, "the same bytes again");
    let labels = b"{service_name=\"unknown_service\"}";
    assert!(body.windows(labels.len()).any(|part| part == labels));
}

#[tokio::test]
async fn shutdown_refuses_what_nobody_took() {
    // A port that nobody listens at.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let exporter = started(&format!("endpoint: http://{address}")).await;
    let waiting = tokio::spawn({
        let exporter = Arc::clone(&exporter);
        async move { exporter.consume(batch(&["one"])).await }
    });
    // Whether the first attempt has failed by then makes no difference.
    tokio::task::yield_now().await;
    tokio::time::timeout(Duration::from_secs(10), exporter.shutdown())
        .await
        .unwrap()
        .unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(refused.is_retryable());
    assert_eq!(refused.rest().items(), 1);
    assert!(
        refused.to_string().contains("connection refused"),
        "{refused}"
    );
    let late = exporter.consume(batch(&["late"])).await.unwrap_err();
    assert!(late.is_retryable());
}
