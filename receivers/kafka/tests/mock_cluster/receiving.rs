//! Nothing is lost on the way in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corten_component::{Batch, Consumer, Next, Refused, Signal, Status, async_trait};
use corten_pdata::Data;
use corten_testing::{Answer, RecordingSink, conforms, eventually};
use tokio::sync::Notify;

use crate::peers::{
    Producer, WITHIN, all_came, cluster, exporter, logs, numbers, receiver, receiver_to, stop,
};

/// Counts how many batches are under way at the same time.
struct Crowd {
    next: Arc<RecordingSink>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn before(next: &Arc<RecordingSink>) -> Arc<Self> {
        Arc::new(Self {
            next: Arc::clone(next),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Consumer for Crowd {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let outcome = self.next.consume(batch).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

/// Keeps the first batch waiting until it is opened.
struct Gate {
    next: Arc<RecordingSink>,
    came: AtomicUsize,
    opened: Notify,
}

#[async_trait]
impl Consumer for Gate {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        if self.came.fetch_add(1, Ordering::Relaxed) == 0 {
            self.opened.notified().await;
        }
        self.next.consume(batch).await
    }
}

const TEXT: &str = "logs: {topics: lines, encoding: text}\n";

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_no_broker_there() {
    // Port 9 is discard: nobody listens.
    conforms(
        corten_kafka_receiver::factory(),
        "{brokers: ['127.0.0.1:9']}",
    )
    .await;
    conforms(
        corten_kafka_exporter::factory(),
        "{brokers: ['127.0.0.1:9']}",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_comes_through_in_every_encoding() {
    let cases = [
        (
            Signal::Logs,
            r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#,
        ),
        (
            Signal::Metrics,
            r#"{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[{"name":"m","gauge":{"dataPoints":[{"asDouble":1.5}]}}]}]}]}"#,
        ),
        (
            Signal::Traces,
            r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"s"}]}]}]}"#,
        ),
    ];
    let topics = [("otlp_logs", 2), ("otlp_metrics", 2), ("otlp_spans", 2)];
    let cluster = cluster(&topics);
    let sink = RecordingSink::new();
    for encoding in ["otlp_proto", "otlp_json"] {
        let section = format!(
            "logs: {{encoding: {encoding}}}\nmetrics: {{encoding: {encoding}}}\ntraces: {{encoding: {encoding}}}\n"
        );
        let receiver = receiver_to(&cluster, &section, sink.next()).await;
        let exporter = exporter(&cluster, &section).await;
        for (signal, text) in cases {
            let data = Data::from_json(signal, text.as_bytes()).unwrap();
            exporter
                .consume(Batch::new(data).replayable())
                .await
                .unwrap();
        }
        eventually("all three", WITHIN, || {
            std::future::ready((sink.batches().len() >= 3).then_some(()))
        })
        .await;
        let batches = sink.take();
        assert_eq!(batches.len(), 3);
        for (signal, text) in cases {
            let found = batches
                .iter()
                .find(|batch| batch.signal() == signal)
                .unwrap();
            assert!(found.replayable);
            let mut json = Vec::new();
            found.data.to_json(&mut json).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let sent: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(json, sent, "{signal} {encoding}");
        }
        stop(&exporter).await;
        stop(&receiver).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_pipeline_was() {
    let by_hand = format!("{TEXT}autocommit: {{enable: false}}\n");
    tokio::join!(restart(TEXT), restart(&by_hand));
}

async fn restart(settings: &str) {
    let cluster = cluster(&[("lines", 3)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..300).await;
    let sink = RecordingSink::new();
    let first = receiver(&cluster, settings, &sink).await;
    all_came(&[&sink], 300).await;
    stop(&first).await;
    producer.numbers("lines", 300..400).await;
    let again = RecordingSink::new();
    let second = receiver(&cluster, settings, &again).await;
    all_came(&[&sink, &again], 400).await;
    // A clean stop commits: nothing comes twice.
    assert_eq!(numbers(&again.batches()).len(), 100, "{settings}");
    stop(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pipeline_never_kept_comes_again() {
    let cluster = cluster(&[("lines", 1)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..20).await;
    // The fifth message never gets an answer; those after it are kept, and still none of them may be passed over.
    let mut script = vec![Answer::Keep; 4];
    script.push(Answer::Hang);
    let sink = RecordingSink::scripted(script);
    let first = receiver(&cluster, TEXT, &sink).await;
    eventually("all but one", WITHIN, || {
        std::future::ready((sink.items() == 19).then_some(()))
    })
    .await;
    stop(&first).await;
    let again = RecordingSink::new();
    let second = receiver(&cluster, TEXT, &again).await;
    all_came(&[&again, &sink], 20).await;
    eventually("what stood behind it", WITHIN, || {
        std::future::ready((again.items() >= 16).then_some(()))
    })
    .await;
    assert_eq!(numbers(&again.batches()), (4..20).collect::<Vec<_>>());
    stop(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_tried_again_or_passed_over_as_marking_says() {
    let cluster = cluster(&[("lines", 1)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..4).await;
    let script = [
        Answer::Retry(Status::UNAVAILABLE, None),
        Answer::Never(Status::INVALID_ARGUMENT),
        Answer::Retry(Status::RESOURCE_EXHAUSTED, Some(Duration::from_millis(300))),
    ];
    let sink = RecordingSink::scripted(script);
    let backoff = "error_backoff: {enabled: true, initial_interval: 10ms}\n";
    let skips = receiver(&cluster, &format!("{TEXT}{backoff}"), &sink).await;
    eventually("all but the refused", WITHIN, || {
        std::future::ready((sink.items() == 3).then_some(()))
    })
    .await;
    stop(&skips).await;
    assert_eq!(sink.offered(), 6);
    let mut kept = numbers(&sink.take());
    kept.sort_unstable();
    assert_eq!(kept, [0, 2, 3]);

    // Now a message that is refused for good stops its partition until it is kept after all.
    producer.numbers("lines", 4..6).await;
    sink.then([
        Answer::Never(Status::INVALID_ARGUMENT),
        Answer::Keep,
        Answer::Never(Status::INVALID_ARGUMENT),
    ]);
    let stops = format!("{TEXT}{backoff}message_marking: {{after: true}}\n");
    let stops = receiver(&cluster, &stops, &sink).await;
    eventually("both", WITHIN, || {
        std::future::ready((sink.items() == 2).then_some(()))
    })
    .await;
    assert_eq!(numbers(&sink.batches()), [5, 4]);
    stop(&stops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_encoding_is_passed_over() {
    let cluster = cluster(&[("otlp_logs", 1)]);
    let producer = Producer::new(&cluster);
    producer.send("otlp_logs", b"\xff\xff no protobuf").await;
    producer.send("otlp_logs", b"").await;
    producer.send("otlp_logs", &logs([0]).to_bytes()).await;
    let sink = RecordingSink::new();
    let first = receiver(&cluster, "", &sink).await;
    all_came(&[&sink], 1).await;
    stop(&first).await;
    producer.send("otlp_logs", &logs([1]).to_bytes()).await;
    let second = receiver(&cluster, "", &sink).await;
    all_came(&[&sink], 2).await;
    // The offset has moved past all of them.
    assert_eq!(sink.offered(), 2);
    stop(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_pressure_pauses_and_loses_nothing() {
    let cluster = cluster(&[("lines", 4)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..2000).await;
    // 40 messages under way at the most: each weighs its bytes and 512.
    // The first take longer than it waits before it pauses.
    let sink = RecordingSink::scripted(vec![Answer::After(Duration::from_secs(1)); 60]);
    let crowd = Crowd::before(&sink);
    let next = Next::new().with(Signal::Logs, Arc::clone(&crowd) as _);
    let settings = format!("{TEXT}max_in_flight_size: 20KiB\n");
    let receiver = receiver_to(&cluster, &settings, next).await;
    all_came(&[&sink], 2000).await;
    stop(&receiver).await;
    let most = crowd.most.load(Ordering::Relaxed);
    assert!((2..=41).contains(&most), "{most} under way");
    assert_eq!(sink.items(), 2000, "pausing must not repeat anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_message_stops_its_partition_and_no_other() {
    let cluster = cluster(&[("stuck", 1), ("free", 1)]);
    let producer = Producer::new(&cluster);
    producer.numbers("stuck", 0..1).await;
    let sink = RecordingSink::new();
    let gate = Arc::new(Gate {
        next: Arc::clone(&sink),
        came: AtomicUsize::new(0),
        opened: Notify::new(),
    });
    let came = || gate.came.load(Ordering::Relaxed);
    let next = Next::new().with(Signal::Logs, Arc::clone(&gate) as _);
    let settings = "logs: {topics: [stuck, free], encoding: text}\n";
    let receiver = receiver_to(&cluster, settings, next).await;
    eventually("the first", WITHIN, || {
        std::future::ready((came() == 1).then_some(()))
    })
    .await;
    producer.numbers("stuck", 1..6000).await;
    eventually("what may go on", WITHIN, || {
        std::future::ready((sink.items() >= 4095).then_some(()))
    })
    .await;
    producer.numbers("free", 6000..12_000).await;
    eventually("the other partition", WITHIN, || {
        std::future::ready((sink.items() >= 4095 + 6000).then_some(()))
    })
    .await;
    assert_eq!(came(), 4096 + 6000, "the partition did not stop");
    gate.opened.notify_one();
    all_came(&[&sink], 12_000).await;
    stop(&receiver).await;
    assert_eq!(sink.items(), 12_000, "stopping must not repeat anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn rebalances_lose_nothing() {
    let cluster = cluster(&[("lines", 6)]);
    let producer = Producer::new(&cluster);
    let slow = || RecordingSink::scripted(vec![Answer::After(Duration::from_millis(100)); 200]);
    let (left, right) = (slow(), slow());
    let settings = format!("{TEXT}heartbeat_interval: 100ms\nsession_timeout: 6s\n");
    let first = receiver(&cluster, &settings, &left).await;
    producer.numbers("lines", 0..200).await;
    eventually("the first has some", WITHIN, || {
        std::future::ready((left.items() > 0).then_some(()))
    })
    .await;
    let second = receiver(&cluster, &settings, &right).await;
    let mut sent = 200;
    while right.items() == 0 {
        producer.numbers("lines", sent..sent + 20).await;
        sent += 20;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(sent < 20_000, "the second member never gets a partition");
    }
    stop(&first).await;
    producer.numbers("lines", sent..sent + 100).await;
    all_came(&[&left, &right], sent + 100).await;
    stop(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_and_returns_loses_nothing() {
    let cluster = cluster(&[("lines", 2)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..50).await;
    let sink = RecordingSink::new();
    let receiver = receiver(&cluster, TEXT, &sink).await;
    all_came(&[&sink], 50).await;
    cluster.broker_down(-1).unwrap();
    let sending = producer.numbers("lines", 50..100);
    let mut sending = std::pin::pin!(sending);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut sending).await;
    assert!(early.is_err(), "somebody answered");
    cluster.broker_up(-1).unwrap();
    sending.await;
    all_came(&[&sink], 100).await;
    stop(&receiver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_no_broker_is_there() {
    let cluster = cluster(&[("lines", 1)]);
    let producer = Producer::new(&cluster);
    producer.numbers("lines", 0..5).await;
    let sink = RecordingSink::new();
    let receiver = receiver(&cluster, TEXT, &sink).await;
    all_came(&[&sink], 5).await;
    cluster.broker_down(-1).unwrap();
    let started = std::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(20), receiver.shutdown())
        .await
        .unwrap()
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_topic_for_two_signals_is_refused() {
    let factory = corten_kafka_receiver::factory();
    let prepared = corten_testing::decode(&factory, "{topic: a}").unwrap();
    let corten_component::Create::Receiver(create) = prepared.create else {
        panic!("no receiver");
    };
    let cx = corten_component::Context::detached(
        corten_component::Kind::Receiver,
        "kafka".parse().unwrap(),
    );
    let error = create(cx, RecordingSink::new().next()).err().unwrap();
    assert!(
        error.to_string().contains("topic 'a' has two signals"),
        "{error}"
    );
}
