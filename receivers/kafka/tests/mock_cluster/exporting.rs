//! Nothing is lost on the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, ClientMetadata, Signal};
use corten_pdata::Data;
use corten_testing::RecordingSink;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Headers as _, OwnedMessage};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::peers::{Cluster, WITHIN, all_came, cluster, exporter, logs, numbers, receiver, stop};

/// The first `count` messages of topics, as another program reads them.
async fn read(cluster: &Cluster, topics: &[&str], count: usize) -> Vec<OwnedMessage> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "a-reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(topics).unwrap();
    let mut messages = Vec::new();
    while messages.len() < count {
        let message = tokio::time::timeout(WITHIN, consumer.recv()).await;
        messages.push(message.unwrap().unwrap().detach());
    }
    messages
}

fn spans(traces: &[&str]) -> Data {
    let spans: Vec<String> = traces
        .iter()
        .map(|id| format!(r#"{{"traceId":"{id}","spanId":"0001020304050607","name":"s"}}"#))
        .collect();
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    );
    Data::from_json(Signal::Traces, text.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_a_message_whose_key_is_its_id() {
    let cluster = cluster(&[("otlp_spans", 4)]);
    let exporter = exporter(&cluster, "partition_traces_by_id: true\n").await;
    let (a, b) = (
        "0a000000000000000000000000000001",
        "0b000000000000000000000000000002",
    );
    let batch = Batch::new(spans(&[a, b, a, a])).replayable();
    exporter.consume(batch).await.unwrap();
    stop(&exporter).await;
    let found: BTreeMap<String, usize> = read(&cluster, &["otlp_spans"], 2)
        .await
        .iter()
        .map(|message| {
            let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            let payload = message.payload().unwrap().to_vec();
            let data = Data::parse(Signal::Traces, payload.into()).unwrap();
            (key, data.items())
        })
        .collect();
    assert_eq!(
        found,
        BTreeMap::from([(a.to_owned(), 3), (b.to_owned(), 1)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_headers_follow_the_data() {
    let cluster = cluster(&[("plain", 1), ("audit", 1), ("tenant-a", 1)]);
    let settings = "logs: {topic: plain, encoding: raw, topic_from_metadata_key: x-topic}\n\
                    topic_from_attribute: kafka.topic\ninclude_metadata_keys: [x-tenant]\n";
    let exporter = exporter(&cluster, settings).await;
    let text = r#"{"resourceLogs":[
        {"resource":{"attributes":[{"key":"kafka.topic","value":{"stringValue":"audit"}}]},
         "scopeLogs":[{"logRecords":[{"body":{"stringValue":"one"}}]}]},
        {"scopeLogs":[{"logRecords":[{"body":{"bytesValue":"AP8="}},{"body":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"1"}}]}}}]}]}]}"#;
    let data = Data::from_json(Signal::Logs, text.as_bytes()).unwrap();
    let tenant = ClientMetadata::from_entries([("X-Tenant", "a")]);
    let batch = Batch::new(data.clone()).replayable();
    exporter
        .consume(batch.clone().with_metadata(Arc::new(tenant)))
        .await
        .unwrap();
    let named = ClientMetadata::from_entries([("x-topic", "tenant-a")]);
    exporter
        .consume(batch.with_metadata(Arc::new(named)))
        .await
        .unwrap();
    stop(&exporter).await;
    let messages = read(&cluster, &["plain", "audit", "tenant-a"], 6).await;
    let found: BTreeSet<(&str, Vec<u8>, bool)> = messages
        .iter()
        .map(|message| {
            let tenant = message.headers().is_some_and(|headers| {
                headers.get(0).key == "x-tenant" && headers.get(0).value == Some(b"a")
            });
            (message.topic(), message.payload().unwrap().to_vec(), tenant)
        })
        .collect();
    let object = br#"{"k":1}"#.to_vec();
    let expected = BTreeSet::from([
        ("audit", b"one".to_vec(), true),
        ("plain", b"\x00\xff".to_vec(), true),
        ("plain", object.clone(), true),
        ("tenant-a", b"one".to_vec(), false),
        ("tenant-a", b"\x00\xff".to_vec(), false),
        ("tenant-a", object, false),
    ]);
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_batches_are_cut_and_what_cannot_be_is_refused_alone() {
    let cluster = cluster(&[("otlp_logs", 1)]);
    for encoding in ["otlp_proto", "otlp_json"] {
        let settings = format!("encoding: {encoding}\nproducer: {{max_message_bytes: 4000}}\n");
        let exporter = exporter(&cluster, &settings).await;
        let mut data = logs(0..500);
        let huge = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{}"}}}}]}}]}}]}}"#,
            "x".repeat(5000)
        );
        data.append(Data::from_json(Signal::Logs, huge.as_bytes()).unwrap())
            .unwrap();
        let refused = exporter.consume(Batch::new(data).replayable()).await;
        let refused = refused.unwrap_err();
        assert!(!refused.is_retryable(), "{refused}");
        assert_eq!(refused.rest().items(), 1, "{refused}");
        stop(&exporter).await;
        let sink = RecordingSink::new();
        let group = format!("encoding: {encoding}\ngroup_id: {encoding}\n");
        let receiver = receiver(&cluster, &group, &sink).await;
        all_came(&[&sink], 500).await;
        stop(&receiver).await;
        if encoding == "otlp_proto" {
            assert_eq!(numbers(&sink.batches()), (0..500).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_smaller_limit_gets_halves() {
    let cluster = cluster(&[("otlp_logs", 1)]);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let exporter = exporter(&cluster, "").await;
    let batch = Batch::new(logs(0..10)).replayable();
    exporter.consume(batch).await.unwrap();
    stop(&exporter).await;
    let messages = read(&cluster, &["otlp_logs"], 2).await;
    let items: Vec<usize> = messages
        .iter()
        .map(|message| {
            let payload = message.payload().unwrap().to_vec();
            Data::parse(Signal::Logs, payload.into()).unwrap().items()
        })
        .collect();
    assert_eq!(items, [5, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_before_the_broker_has_it() {
    let cluster = cluster(&[("otlp_logs", 1)]);
    let settings =
        "timeout: 500ms\nretry_on_failure: {initial_interval: 100ms, max_interval: 200ms}\n";
    let exporter = exporter(&cluster, settings).await;
    exporter
        .consume(Batch::new(logs([0])).replayable())
        .await
        .unwrap();
    cluster.broker_down(-1).unwrap();
    let sending = exporter.consume(Batch::new(logs([1])).replayable());
    let mut sending = std::pin::pin!(sending);
    // Several attempts time out meanwhile.
    let early = tokio::time::timeout(Duration::from_secs(2), &mut sending).await;
    assert!(early.is_err(), "answered without a broker");
    cluster.broker_up(-1).unwrap();
    tokio::time::timeout(WITHIN, sending)
        .await
        .unwrap()
        .unwrap();
    stop(&exporter).await;
    let sink = RecordingSink::new();
    let receiver = receiver(&cluster, "", &sink).await;
    all_came(&[&sink], 2).await;
    stop(&receiver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_change_is_tried_again() {
    let cluster = cluster(&[("otlp_logs", 1)]);
    let exporter = exporter(&cluster, "retry_on_failure: {initial_interval: 50ms}\n").await;
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD],
    );
    let refused = exporter.consume(Batch::new(logs([7])).replayable()).await;
    let refused = refused.unwrap_err();
    assert!(!refused.is_retryable(), "{refused}");
    assert_eq!(refused.http_status(), 400);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            // librdkafka then denies the topic by itself for as long as it does not ask again.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        ],
    );
    exporter
        .consume(Batch::new(logs([0])).replayable())
        .await
        .unwrap();
    stop(&exporter).await;
    let sink = RecordingSink::new();
    let receiver = receiver(&cluster, "", &sink).await;
    all_came(&[&sink], 1).await;
    assert_eq!(numbers(&sink.batches()), [0]);
    stop(&receiver).await;
}
