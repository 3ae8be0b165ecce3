//! What the tests stand between: a mock cluster, a receiver, an exporter, and a producer that knows neither.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, Component, Context, Create, Exporter, Factory, Kind, Next, Receiver, Signal,
};
use corten_pdata::Data;
use corten_testing::{RecordingSink, decode, eventually};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};

/// A mock group waits three seconds for members before it deals out partitions, and machines are slow.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;

pub(crate) fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

fn context(factory: &Factory, kind: Kind) -> Context {
    Context::detached(kind, factory.metadata().type_name.parse().unwrap())
}

pub(crate) async fn exporter(cluster: &Cluster, settings: &str) -> Arc<dyn Exporter> {
    let factory = corten_kafka_exporter::factory();
    let yaml = format!("brokers: ['{}']\n{settings}", cluster.bootstrap_servers());
    let prepared = decode(&factory, &yaml).unwrap();
    let Create::Exporter(create) = prepared.create else {
        panic!("no exporter");
    };
    let exporter = create(context(&factory, Kind::Exporter), ()).unwrap();
    Arc::clone(&exporter).start().await.unwrap();
    exporter
}

pub(crate) async fn receiver_to(
    cluster: &Cluster,
    settings: &str,
    next: Next,
) -> Arc<dyn Receiver> {
    let factory = corten_kafka_receiver::factory();
    let yaml = format!(
        "brokers: ['{}']\ninitial_offset: earliest\n{settings}",
        cluster.bootstrap_servers()
    );
    let prepared = decode(&factory, &yaml).unwrap();
    let Create::Receiver(create) = prepared.create else {
        panic!("no receiver");
    };
    let receiver = create(context(&factory, Kind::Receiver), next).unwrap();
    Arc::clone(&receiver).start().await.unwrap();
    receiver
}

/// A receiver of logs alone.
pub(crate) async fn receiver(
    cluster: &Cluster,
    settings: &str,
    sink: &Arc<RecordingSink>,
) -> Arc<dyn Receiver> {
    let next = Next::new().with(Signal::Logs, Arc::clone(sink) as _);
    receiver_to(cluster, settings, next).await
}

pub(crate) async fn stop(component: &Arc<impl Component + ?Sized>) {
    let stopped = tokio::time::timeout(Duration::from_secs(30), component.shutdown());
    stopped.await.unwrap().unwrap();
}

/// Log records whose bodies are these numbers.
pub(crate) fn logs(numbers: impl IntoIterator<Item = u32>) -> Data {
    let records: Vec<String> = numbers
        .into_iter()
        .map(|number| format!(r#"{{"body":{{"stringValue":"{number}"}}}}"#))
        .collect();
    let text = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"host.name","value":{{"stringValue":"a"}}}}]}},
            "scopeLogs":[{{"logRecords":[{}]}}]}}]}}"#,
        records.join(",")
    );
    Data::from_json(Signal::Logs, text.as_bytes()).unwrap()
}

/// The numbers in what a sink kept.
pub(crate) fn numbers(batches: &[Batch]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for batch in batches {
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs");
        };
        for resource in logs.resources() {
            for scope in resource.scopes() {
                for record in scope.records() {
                    numbers.push(record.body().unwrap().to_text().parse().unwrap());
                }
            }
        }
    }
    numbers
}

/// Waits until each of the numbers below `count` has come.
pub(crate) async fn all_came(sinks: &[&Arc<RecordingSink>], count: u32) {
    let mut missing = BTreeSet::new();
    let came = eventually("every number", WITHIN, || {
        missing = (0..count).collect();
        for sink in sinks {
            for number in numbers(&sink.batches()) {
                missing.remove(&number);
            }
        }
        std::future::ready(missing.is_empty().then_some(()))
    });
    came.await;
}

/// Produces text messages as another program would.
pub(crate) struct Producer(FutureProducer);

impl Producer {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let made = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("linger.ms", "0")
            .create();
        Self(made.unwrap())
    }

    pub(crate) async fn send(&self, topic: &str, payload: &[u8]) {
        let record = FutureRecord::<(), _>::to(topic).payload(payload);
        self.0.send(record, WITHIN).await.unwrap();
    }

    /// Each number as a message, spread over the partitions.
    pub(crate) async fn numbers(&self, topic: &str, numbers: std::ops::Range<u32>) {
        let mut reports = Vec::new();
        for number in numbers {
            let (payload, key) = (number.to_string(), number.to_le_bytes());
            let record = FutureRecord::to(topic).payload(&payload).key(&key[..]);
            reports.push(self.0.send_result(record).unwrap());
        }
        for report in reports {
            report.await.unwrap().unwrap();
        }
    }
}
