use std::time::Duration;

use corten_component::{Batch, Context, GrpcCode, Kind, Next, Refused, Signal, Status};
use corten_config::settings::{Compression, GrpcClient as ClientSettings};
use corten_net::grpc::{GrpcClient, GrpcError, Message as Call};
use corten_testing::{Answer, RecordingSink};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::Running;
use super::setup::{gzip, logs, metrics, snappy, traces, zlib, zstd};

async fn channel(running: &Running) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.grpc())).unwrap();
    endpoint.connect().await.unwrap()
}

async fn traces_client(running: &Running) -> TraceServiceClient<Channel> {
    TraceServiceClient::new(channel(running).await)
}

/// Our own client, for what generated ones cannot send.
fn raw(running: &Running) -> GrpcClient {
    let cx = Context::detached(Kind::Exporter, "otlp".parse().unwrap());
    let mut settings = ClientSettings {
        endpoint: format!("http://{}", running.grpc()),
        compression: Compression::None,
        ..ClientSettings::default()
    };
    settings.timeout = Duration::from_secs(20).into();
    GrpcClient::new(&cx, &settings).unwrap()
}

fn path() -> PathAndQuery {
    PathAndQuery::from_static(crate::grpc::path(Signal::Traces))
}

async fn call(
    running: &Running,
    encoding: Option<&'static str>,
    message: Vec<u8>,
) -> Result<(), corten_net::grpc::Status> {
    let message = Call {
        parts: vec![message.into()],
        encoding,
    };
    match raw(running).unary(&path(), message).await {
        Ok(reply) => {
            assert!(reply.message.is_empty());
            Ok(())
        }
        Err(GrpcError::Status { status, .. }) => Err(status),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_signal_arrives_unchanged() {
    let running = Running::with("", "").await;
    let channel = channel(&running).await;
    TraceServiceClient::new(channel.clone())
        .export(traces(3))
        .await
        .unwrap();
    LogsServiceClient::new(channel.clone())
        .export(logs())
        .await
        .unwrap();
    MetricsServiceClient::new(channel)
        .export(metrics())
        .await
        .unwrap();
    let kept = running.sink.take();
    assert_eq!(kept.iter().map(Batch::items).collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!(
        ExportTraceServiceRequest::decode(kept[0].data.to_bytes()).unwrap(),
        traces(3)
    );
    assert_eq!(kept[1].data.to_bytes(), logs().encode_to_vec());
    assert_eq!(kept[2].data.to_bytes(), metrics().encode_to_vec());
    assert!(!kept[0].replayable);
    assert_eq!(
        kept[0].metadata.entries().count(),
        0,
        "include_metadata is off"
    );
}

#[tokio::test]
async fn large_and_compressed_messages_arrive() {
    let running = Running::with("max_recv_msg_size_mib: 16", "").await;
    let request = traces(50_000);
    assert!(request.encoded_len() > 3 << 20);
    traces_client(&running)
        .await
        .export(request.clone())
        .await
        .unwrap();
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = traces_client(&running).await.send_compressed(encoding);
        client.export(request.clone()).await.unwrap();
    }
    let message = request.encode_to_vec();
    call(&running, Some("snappy"), snappy(&message))
        .await
        .unwrap();
    call(&running, Some("deflate"), zlib(&message))
        .await
        .unwrap();
    let kept = running.sink.take();
    assert_eq!(kept.len(), 5);
    for batch in kept {
        assert!(batch.data.to_bytes() == message);
    }
}

#[tokio::test]
async fn an_empty_request_never_reaches_the_pipeline() {
    let sink = RecordingSink::scripted([Answer::Never(Status::INTERNAL)]);
    let running = Running::start("", "", sink, None).await;
    let mut client = traces_client(&running).await;
    client
        .export(ExportTraceServiceRequest::default())
        .await
        .unwrap();
    client.export(traces(0)).await.unwrap();
    assert_eq!(running.sink.offered(), 0);
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_unimplemented() {
    let sink = RecordingSink::new();
    let next = Next::new().with(Signal::Logs, std::sync::Arc::clone(&sink) as _);
    let running = Running::start("", "", sink, Some(next)).await;
    let status = traces_client(&running)
        .await
        .export(traces(1))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    LogsServiceClient::new(channel(&running).await)
        .export(logs())
        .await
        .unwrap();
}

#[tokio::test]
async fn oversize_messages_and_bombs_exhaust_and_are_counted() {
    let running = Running::with("max_recv_msg_size_mib: 1", "").await;
    let status = traces_client(&running)
        .await
        .export(traces(50_000))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let bomb = vec![0u8; 64 << 20];
    for (name, packed) in [
        ("gzip", gzip(&bomb)),
        ("zstd", zstd(&bomb)),
        ("deflate", zlib(&bomb)),
    ] {
        let status = call(&running, Some(name), packed).await.unwrap_err();
        assert_eq!(status.code, GrpcCode::ResourceExhausted, "{name}: {status}");
        assert_eq!(
            status.message,
            "the request is larger than 1048576 bytes after decompression"
        );
        assert_eq!(status.retry_after, None, "sending it again cannot help");
    }
    assert_eq!(running.malformed("grpc", "too_large"), 4);
    // The connection and the receiver go on.
    traces_client(&running)
        .await
        .export(traces(1))
        .await
        .unwrap();
}

#[tokio::test]
async fn malformed_messages_are_refused_with_their_position_and_counted() {
    let running = Running::with("", "").await;
    let mut cut = traces(2).encode_to_vec();
    cut.truncate(cut.len() - 3);
    let status = call(&running, None, cut).await.unwrap_err();
    assert_eq!(status.code, GrpcCode::InvalidArgument);
    assert!(
        status.message.starts_with("malformed OTLP at byte "),
        "{status}"
    );
    assert_eq!(running.malformed("grpc", "damaged_protobuf"), 1);

    let mut packed = gzip(&traces(2).encode_to_vec());
    packed.truncate(20);
    let status = call(&running, Some("gzip"), packed).await.unwrap_err();
    assert_eq!(status.code, GrpcCode::InvalidArgument, "{status}");
    assert_eq!(running.malformed("grpc", "damaged_compression"), 1);

    let status = call(&running, Some("br"), vec![1]).await.unwrap_err();
    assert_eq!(status.code, GrpcCode::Unimplemented, "{status}");
    assert_eq!(running.sink.offered(), 0);
}

#[tokio::test]
async fn refusals_keep_their_code_and_say_when_to_come_again() {
    let later = Some(Duration::from_millis(2500));
    let rows = [
        (
            Answer::Retry(Status::UNAVAILABLE, None),
            Code::Unavailable,
            None,
        ),
        (
            Answer::Retry(Status::UNAVAILABLE, later),
            Code::Unavailable,
            later,
        ),
        (
            Answer::Retry(Status::RESOURCE_EXHAUSTED, None),
            Code::ResourceExhausted,
            Some(Duration::from_secs(1)),
        ),
        (
            Answer::Retry(Status::Http(429), later),
            Code::ResourceExhausted,
            later,
        ),
        (
            Answer::Retry(Status::Http(502), None),
            Code::Unavailable,
            None,
        ),
        (Answer::Retry(Status::Unset, None), Code::Unavailable, None),
        (Answer::Never(Status::Unset), Code::Internal, None),
        (
            Answer::Never(Status::INVALID_ARGUMENT),
            Code::InvalidArgument,
            None,
        ),
        (
            Answer::Never(Status::Http(403)),
            Code::PermissionDenied,
            None,
        ),
        (
            Answer::Never(Status::RESOURCE_EXHAUSTED),
            Code::ResourceExhausted,
            None,
        ),
    ];
    let sink = RecordingSink::scripted(rows.iter().map(|(answer, ..)| answer.clone()));
    let running = Running::start("", "", sink, None).await;
    let mut client = traces_client(&running).await;
    for (answer, code, delay) in rows {
        let status = client.export(traces(1)).await.unwrap_err();
        assert_eq!(status.code(), code, "{answer:?}");
        assert_eq!(status.message(), "scripted refusal");
        let details = corten_net::grpc::Status::decode(status.details());
        assert_eq!(
            details.and_then(|details| details.retry_after),
            delay,
            "{answer:?}"
        );
    }
}

/// Keeps the first item of everything, and refuses the rest for good.
struct FirstOnly;

#[corten_component::async_trait]
impl corten_component::Consumer for FirstOnly {
    async fn consume(&self, mut batch: Batch) -> Result<(), Refused> {
        drop(batch.data.take_items(1));
        Err(Refused::permanent(
            Status::INVALID_ARGUMENT,
            batch,
            "too old",
        ))
    }
}

#[tokio::test]
async fn what_was_kept_in_part_is_a_partial_success() {
    let next = Next::new().with(Signal::Traces, std::sync::Arc::new(FirstOnly));
    let running = Running::start("", "", RecordingSink::new(), Some(next)).await;
    let reply = traces_client(&running)
        .await
        .export(traces(5))
        .await
        .unwrap()
        .into_inner();
    let partial = reply.partial_success.unwrap();
    assert_eq!(
        (partial.rejected_spans, partial.error_message.as_str()),
        (4, "too old")
    );
}

#[tokio::test]
async fn metadata_is_handed_on_where_it_is_asked_for() {
    let running = Running::with("include_metadata: true", "").await;
    let mut client = traces_client(&running).await;
    for _ in 0..2 {
        let mut request = tonic::Request::new(traces(1));
        request
            .metadata_mut()
            .insert("x-scope-orgid", "tenant-1".parse().unwrap());
        client.export(request).await.unwrap();
    }
    let kept = running.sink.take();
    assert_eq!(
        kept[0].metadata.get("X-Scope-OrgID").collect::<Vec<_>>(),
        ["tenant-1"]
    );
    assert_eq!(
        kept[0].metadata.peer().unwrap().ip().to_string(),
        "127.0.0.1"
    );
    assert!(
        kept[0].mergeable_with(&kept[1]),
        "one sender's requests may be merged"
    );
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let running = Running::with("", "").await;
    let client = traces_client(&running).await;
    let calls = (0..200).map(|_| {
        let mut client = client.clone();
        async move { client.export(traces(10)).await }
    });
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!(running.sink.items(), 2000);
}
