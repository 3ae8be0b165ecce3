//! Batches in, what Loki gets out.

mod cost;
mod fake;
mod lines;

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, Context, Kind};
use corten_config::settings::Retry;
use corten_delivery::{SendError, Sent, Sink};
use corten_pdata::model::common::{AnyValue, KeyValue, any_value};
use corten_pdata::model::logs::{LogRecord, ResourceLogs, ScopeLogs};
use corten_pdata::model::resource::Resource;
use corten_pdata::{Data, Logs};
use opentelemetry::metrics::MeterProvider;
use proptest::prelude::*;

use self::fake::{FakeLoki, Push};
use crate::config::Config;
use crate::mapping::Mapping;
use crate::report::Reporter;
use crate::response::Reason;
use crate::sender::{Counters, Sender, Settings};
use crate::sink::LokiSink;
use crate::transport::Answer;

fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    }
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

fn record(time: u64, line: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: time,
        body: Some(text(line)),
        ..LogRecord::default()
    }
}

fn pod(name: &str, records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        resource: Some(Resource {
            attributes: vec![
                attribute("k8s.namespace.name", text("shop")),
                attribute("k8s.pod.name", text(name)),
                attribute("k8s.container.name", text("main")),
            ],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            log_records: records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

fn batch(resources: Vec<ResourceLogs>) -> Batch {
    let model = corten_pdata::model::ExportLogsServiceRequest {
        resource_logs: resources,
    };
    Batch::new(Data::Logs(Logs::from_model(&model).unwrap())).replayable()
}

fn config(yaml: &str) -> Config {
    corten_config::from_str(&format!("endpoint: http://loki\n{yaml}"))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// A sink whose workers run.
struct Running {
    sink: Arc<LokiSink<FakeLoki>>,
    tasks: corten_component::Tasks,
}

impl Running {
    fn new(config: &Config, loki: FakeLoki) -> Self {
        let cx = Context::detached(Kind::Exporter, "loki".parse().unwrap());
        let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
        let counter = || meter.u64_counter("x").build();
        let counters = Counters {
            labels_cut: counter(),
            metadata_trimmed: counter(),
            attributes: [opentelemetry::KeyValue::new("exporter", "loki")],
        };
        let settings = Settings {
            mapping: Mapping::new(config),
            batchwait: config.batchwait.get(),
            batchsize: config.batchsize.as_usize(),
            timeout: config.timeout.get(),
            retry: config.retry(),
        };
        let sender = Sender::new(
            settings,
            loki,
            cx.health().clone(),
            Reporter::new("loki".to_owned()),
            counters,
        );
        let sink = Arc::new(LokiSink {
            sender: Arc::new(sender),
        });
        let tasks = corten_component::Tasks::new();
        for _ in 0..4 {
            tasks.spawn("worker", Arc::clone(&sink.sender).work());
        }
        Self { sink, tasks }
    }

    fn loki(&self) -> &FakeLoki {
        self.sink.sender.transport()
    }

    /// Sends a batch and waits for its end.
    async fn send(&self, batch: Batch) -> Result<Sent, SendError> {
        send(&self.sink, &batch).await
    }

    /// Sends a batch; its end comes through the handle.
    fn begin(&self, batch: Batch) -> tokio::sync::oneshot::Receiver<Result<Sent, SendError>> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sink = Arc::clone(&self.sink);
        self.tasks.spawn("send", async move {
            drop(sender.send(send(&sink, &batch).await));
        });
        receiver
    }

    async fn stop(&self) {
        self.sink.sender.hurry();
        self.sink.sender.close();
        assert!(
            self.tasks.shutdown(Duration::from_secs(60)).await,
            "workers end"
        );
    }
}

async fn send(sink: &LokiSink<FakeLoki>, batch: &Batch) -> Result<Sent, SendError> {
    let encoded = sink.encode(batch).unwrap();
    assert_eq!(encoded.len(), 1);
    sink.send(&encoded[0].request).await
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: body.to_owned(),
        retry_after: None,
    }
}

fn lines(pushes: &[Push], labels: &str) -> Vec<String> {
    pushes
        .iter()
        .flat_map(|push| &push.request.streams)
        .filter(|stream| stream.labels == labels)
        .flat_map(|stream| stream.entries.iter().map(|entry| entry.line.clone()))
        .collect()
}

const A: &str = r#"{container="main", namespace="shop", pod="a"}"#;
const B: &str = r#"{container="main", namespace="shop", pod="b"}"#;

#[tokio::test(start_paused = true)]
async fn attributes_become_labels_and_the_rest_metadata() {
    let mut resource = pod("a", Vec::new());
    resource.resource.as_mut().unwrap().attributes.extend([
        attribute("k8s.pod.uid", text("u-1")),
        attribute("team", text("")),
    ]);
    let nested = corten_pdata::model::common::KeyValueList {
        values: vec![attribute(
            "id",
            AnyValue {
                value: Some(any_value::Value::IntValue(7)),
            },
        )],
    };
    let rich = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_001,
        observed_time_unix_nano: 5,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(text("hello")),
        attributes: vec![
            attribute("log.iostream", text("stderr")),
            attribute(
                "user",
                AnyValue {
                    value: Some(any_value::Value::KvlistValue(nested)),
                },
            ),
        ],
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        ..LogRecord::default()
    };
    let structured = LogRecord {
        observed_time_unix_nano: 2_000_000_000,
        body: Some(AnyValue {
            value: Some(any_value::Value::BoolValue(true)),
        }),
        attributes: vec![attribute("log.iostream", text("stderr"))],
        ..LogRecord::default()
    };
    resource.scope_logs = vec![ScopeLogs {
        scope: Some(corten_pdata::model::common::InstrumentationScope {
            name: "lib".to_owned(),
            ..Default::default()
        }),
        log_records: vec![rich, structured],
        ..ScopeLogs::default()
    }];
    let running = Running::new(
        &config("external_labels: {cluster: east}"),
        FakeLoki::default(),
    );
    assert_eq!(
        running.send(batch(vec![resource])).await.unwrap(),
        Sent::all()
    );
    let pushes = running.loki().stored();
    assert_eq!(pushes.len(), 1);
    assert_eq!(
        pushes[0].request.render(),
        r#"{cluster="east", container="main", namespace="shop", pod="a"}
1700000000.000000001 hello
  k8s_pod_uid=u-1 scope_name=lib log_iostream=stderr user_id=7 severity_number=9 severity_text=INFO trace_id=abababababababababababababababab span_id=cdcdcdcdcdcdcdcd
2.000000000 true
  k8s_pod_uid=u-1 scope_name=lib log_iostream=stderr
"#
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn labels_may_come_from_records_and_metadata_may_be_off() {
    let with = |stream: &str, line: &str| LogRecord {
        attributes: vec![attribute("log.iostream", text(stream))],
        ..record(1, line)
    };
    let yaml = "labels: {stream: {from: attribute, name: log.iostream}}\nstructured_metadata: {enabled: false}";
    let running = Running::new(&config(yaml), FakeLoki::default());
    let records = vec![
        with("stdout", "1"),
        with("stdout", "2"),
        with("stderr", "3"),
        with("stdout", "4"),
        record(1, "5"),
    ];
    running.send(batch(vec![pod("a", records)])).await.unwrap();
    let pushes = running.loki().stored();
    assert_eq!(lines(&pushes, r#"{stream="stdout"}"#), ["1", "2", "4"]);
    assert_eq!(lines(&pushes, r#"{stream="stderr"}"#), ["3"]);
    assert_eq!(lines(&pushes, r#"{service_name="unknown_service"}"#), ["5"]);
    assert!(
        pushes
            .iter()
            .flat_map(|push| &push.request.streams)
            .flat_map(|stream| &stream.entries)
            .all(|entry| entry.metadata.is_empty())
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_several_resources_are_merged() {
    let running = Running::new(&config(""), FakeLoki::default());
    let resources = vec![
        pod("a", vec![record(1, "1")]),
        pod("b", vec![record(1, "x")]),
        pod("a", vec![record(2, "2")]),
    ];
    running.send(batch(resources)).await.unwrap();
    let pushes = running.loki().stored();
    assert_eq!(pushes.len(), 1);
    assert_eq!(pushes[0].request.streams.len(), 2);
    assert_eq!(lines(&pushes, A), ["1", "2"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn metadata_beyond_the_limits_is_left_out() {
    let many = LogRecord {
        attributes: (0..20)
            .map(|at| attribute(&format!("a{at}"), text("x")))
            .collect(),
        ..record(1, "1")
    };
    let running = Running::new(
        &config("structured_metadata: {max_entries: 3}"),
        FakeLoki::default(),
    );
    running
        .send(batch(vec![pod("a", vec![many.clone(), many])]))
        .await
        .unwrap();
    let stored = running.loki().stored();
    for entry in &stored[0].request.streams[0].entries {
        let names: Vec<&str> = entry
            .metadata
            .iter()
            .map(|pair| pair.name.as_str())
            .collect();
        assert_eq!(names, ["a0", "a1", "a2"]);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_loki_cannot_take_now_is_sent_again_unchanged() {
    let loki = FakeLoki::scripted([
        Err("connection refused".to_owned()),
        Ok(answer(503, "unavailable")),
        Ok(Answer {
            retry_after: Some(Duration::from_secs(40)),
            ..answer(429, "")
        }),
        Ok(answer(401, "no org id")),
    ]);
    let running = Running::new(&config(""), loki);
    let started = tokio::time::Instant::now();
    running
        .send(batch(vec![pod("a", vec![record(1, "1"), record(2, "2")])]))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(40),
        "Retry-After is heeded"
    );
    let pushes = running.loki().pushes();
    assert_eq!(pushes.len(), 5);
    assert!(pushes.iter().all(|push| push.body == pushes[0].body));
    assert_eq!(lines(&running.loki().stored(), A), ["1", "2"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_400_is_counted_and_never_sent_again() {
    let body = r#"2 errors like: entry for stream '{container="main", namespace="shop", pod="a"}' has timestamp too old: x, oldest acceptable timestamp is: y"#;
    let running = Running::new(&config(""), FakeLoki::scripted([Ok(answer(400, body))]));
    let sent = running
        .send(batch(vec![pod(
            "a",
            (0..5).map(|at| record(at, "x")).collect(),
        )]))
        .await
        .unwrap();
    assert_eq!(
        sent.rejected
            .iter()
            .map(|part| (part.items, part.reason))
            .collect::<Vec<_>>(),
        [(2, "greater_than_max_sample_age")]
    );
    assert!(
        sent.rejected[0].message.contains("timestamp too old"),
        "{sent:?}"
    );
    assert_eq!(running.loki().pushes().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_limited_stream_does_not_hold_up_the_others() {
    // Loki refuses the stream of pod b for a minute.
    let loki = FakeLoki::judged(|push, since| {
        let limited = push.request.streams.iter().any(|stream| stream.labels == B);
        if limited && since < Duration::from_secs(60) {
            return answer(
                429,
                &format!(
                    "Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{B}' totaling 4MB, consider"
                ),
            );
        }
        answer(204, "")
    });
    let running = Running::new(&config(""), loki);
    let started = tokio::time::Instant::now();
    let both = running.begin(batch(vec![
        pod("a", vec![record(1, "a1")]),
        pod("b", vec![record(1, "b1")]),
    ]));
    // Its turn comes first.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for at in 2..50 {
        running
            .send(batch(vec![pod("a", vec![record(at, &format!("a{at}"))])]))
            .await
            .unwrap();
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    let more = running.begin(batch(vec![pod("b", vec![record(2, "b2")])]));
    both.await.unwrap().unwrap();
    more.await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(60));
    let stored = running.loki().stored();
    assert_eq!(lines(&stored, B), ["b1", "b2"]);
    let expected: Vec<String> = (1..50).map(|at| format!("a{at}")).collect();
    assert_eq!(lines(&stored, A), expected);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn too_large_is_halved_until_it_fits() {
    let loki = FakeLoki::judged(|push, _| {
        if push.size > 40_000 {
            answer(413, "request body too large")
        } else {
            answer(204, "")
        }
    });
    let running = Running::new(&config(""), loki);
    let line = "x".repeat(1000);
    let records = (0..200).map(|at| record(at, &line)).collect();
    assert_eq!(
        running.send(batch(vec![pod("a", records)])).await.unwrap(),
        Sent::all()
    );
    assert_eq!(lines(&running.loki().stored(), A).len(), 200);
    // A line that is too large by itself is dropped, counted, and changes nothing for the others.
    let records = vec![
        record(1, "small"),
        record(2, &"y".repeat(50_000)),
        record(3, "last"),
    ];
    let sent = running.send(batch(vec![pod("b", records)])).await.unwrap();
    assert_eq!(
        sent.rejected
            .iter()
            .map(|part| (part.items, part.reason))
            .collect::<Vec<_>>(),
        [(1, Reason::TOO_LARGE.0)]
    );
    assert_eq!(lines(&running.loki().stored(), B), ["small", "last"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn requests_stay_below_the_batch_size_and_keep_order() {
    let running = Running::new(&config("batchsize: 10KiB"), FakeLoki::default());
    let line = |at: u64| format!("{at:>100}");
    let records = (0..500).map(|at| record(at, &line(at))).collect();
    running.send(batch(vec![pod("a", records)])).await.unwrap();
    let stored = running.loki().stored();
    assert!(stored.len() > 5);
    assert!(
        stored.iter().all(|push| push.size <= 10 << 10),
        "{:?}",
        stored.iter().map(|push| push.size).collect::<Vec<_>>()
    );
    assert_eq!(lines(&stored, A), (0..500).map(line).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_tenant_has_requests_of_its_own() {
    let of = |tenant: &str, line: &str| {
        let mut resource = pod("a", vec![record(1, line)]);
        resource
            .resource
            .as_mut()
            .unwrap()
            .attributes
            .push(attribute("tenant", text(tenant)));
        resource
    };
    let running = Running::new(
        &config("tenant_id: all\ntenant_from: tenant"),
        FakeLoki::default(),
    );
    running
        .send(batch(vec![
            of("x", "1"),
            of("y", "2"),
            of("not|legal", "3"),
        ]))
        .await
        .unwrap();
    let mut stored: Vec<_> = running
        .loki()
        .stored()
        .into_iter()
        .map(|push| (push.tenant.clone().unwrap(), lines(&[push], A)))
        .collect();
    stored.sort();
    assert_eq!(
        stored,
        [
            ("all".to_owned(), vec!["3".to_owned()]),
            ("x".to_owned(), vec!["1".to_owned()]),
            ("y".to_owned(), vec!["2".to_owned()])
        ]
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_what_loki_does_not_take() {
    let running = Running::new(&config(""), FakeLoki::judged(|_, _| answer(503, "down")));
    let first = running.begin(batch(vec![pod("a", vec![record(1, "1")])]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let second = running.begin(batch(vec![pod("b", vec![record(1, "2")])]));
    tokio::task::yield_now().await;
    running.stop().await;
    for end in [first, second] {
        let error = end.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, SendError::Retryable { message, .. } if message.contains("503 down")),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_nobody_can_send_again_is_given_up() {
    let mut config = config("");
    config.retry_on_failure = Retry {
        max_elapsed_time: corten_config::types::Duration::from_secs(60),
        ..config.retry_on_failure
    };
    let running = Running::new(
        &config,
        FakeLoki::judged(|_, since| {
            answer(
                if since < Duration::from_secs(600) {
                    503
                } else {
                    204
                },
                "down",
            )
        }),
    );
    let file = running.begin(batch(vec![pod("a", vec![record(1, "file")])]));
    let mut pushed = batch(vec![pod("a", vec![record(2, "pushed")])]);
    pushed.replayable = false;
    let pushed = running.begin(pushed);
    assert!(matches!(
        pushed.await.unwrap(),
        Err(SendError::Retryable { .. })
    ));
    file.await.unwrap().unwrap();
    assert_eq!(lines(&running.loki().stored(), A), ["file"]);
    running.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever Loki answers in between: every record arrives once, in order within its stream, unchanged.
    #[test]
    fn every_line_arrives_once_and_in_order(
        batches in prop::collection::vec(prop::collection::vec((0..4_usize, 1..30_usize), 1..4), 1..6),
        script in prop::collection::vec(0..6_u8, 0..20),
        batchsize in 200..4000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let script = script.into_iter().map(|step| match step {
                0 => Err("reset".to_owned()),
                1 => Ok(answer(500, "oops")),
                2 => Ok(answer(429, "ingestion rate limit exceeded for user a (limit: 10 bytes/sec) while attempting to ingest '1' lines totaling '5' bytes")),
                3 => Ok(answer(429, &format!("Per stream rate limit exceeded (limit: 1/sec) while attempting to ingest for stream '{B}' totaling"))),
                _ => Ok(answer(204, "")),
            });
            let running = Running::new(&config(&format!("batchsize: {batchsize}")), FakeLoki::scripted(script));
            let mut next = [0_u64; 4];
            let mut ends = Vec::new();
            for resources in batches {
                let resources = resources.into_iter().map(|(name, count)| {
                    let records = (0..count).map(|_| {
                        next[name] += 1;
                        record(next[name], &format!("{} {}", next[name], "z".repeat(count)))
                    });
                    pod(["a", "b", "c", "d"][name], records.collect())
                });
                ends.push(running.begin(batch(resources.collect())));
            }
            for end in ends {
                end.await.unwrap().unwrap();
            }
            let stored = running.loki().stored();
            for (name, last) in ["a", "b", "c", "d"].into_iter().zip(next) {
                let labels = format!(r#"{{container="main", namespace="shop", pod="{name}"}}"#);
                let entries: Vec<_> = stored.iter().flat_map(|push| &push.request.streams).filter(|stream| stream.labels == labels).flat_map(|stream| &stream.entries).collect();
                let times: Vec<u64> = entries.iter().map(|entry| u64::try_from(entry.timestamp.unwrap().nanos).unwrap()).collect();
                prop_assert_eq!(times, (1..=last).collect::<Vec<_>>());
                for entry in entries {
                    let start = format!("{} z", entry.timestamp.unwrap().nanos);
                    prop_assert!(entry.line.starts_with(&start));
                }
            }
            running.stop().await;
            Ok(())
        })?;
    }
}
