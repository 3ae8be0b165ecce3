//! A sink that answers as scripted, batches, and a context that counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Component, ComponentId, Context, Extension, Extensions, Health, Kind,
    Services, Status, Storage, StorageError, async_trait,
};
use corten_config::settings::{Queue, Retry};
use corten_delivery::{Delivery, Encoded, SendError, Sent, Settings, Sink};
use corten_pdata::model::{ExportLogsServiceRequest, common, logs};
use corten_pdata::{Data, Logs};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use parking_lot::Mutex;

/// A batch of log records with these bodies.
pub(crate) fn batch(bodies: &[&str]) -> Batch {
    let log_records = bodies
        .iter()
        .map(|body| logs::LogRecord {
            body: Some(common::AnyValue {
                value: Some(common::any_value::Value::StringValue((*body).to_owned())),
            }),
            ..Default::default()
        })
        .collect();
    let request = ExportLogsServiceRequest {
        resource_logs: vec![logs::ResourceLogs {
            scope_logs: vec![logs::ScopeLogs {
                log_records,
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    Batch::new(Logs::from_model(&request).unwrap())
}

/// The bodies of a batch of log records.
pub(crate) fn bodies(data: &Data) -> Vec<String> {
    let Data::Logs(logs) = data else {
        panic!("expected logs");
    };
    let mut bodies = Vec::new();
    for resource in logs.decode().unwrap().resource_logs {
        for record in resource
            .scope_logs
            .into_iter()
            .flat_map(|scope| scope.log_records)
        {
            match record.body.unwrap().value.unwrap() {
                common::any_value::Value::StringValue(body) => bodies.push(body),
                other => panic!("{other:?}"),
            }
        }
    }
    bodies
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Take,
    TakeAfter(Duration),
    Partly(usize),
    Unavailable,
    WaitFor(Duration),
    Never,
    Hang,
}

/// Answers as scripted, then takes everything.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    away: Mutex<bool>,
    /// Bodies of what was taken, a request each.
    taken: Mutex<Vec<Vec<String>>>,
    /// Bytes of every attempt and when it was made.
    attempts: Mutex<Vec<(Vec<u8>, tokio::time::Instant)>>,
    encoded: Mutex<usize>,
    poison: Mutex<Option<String>>,
    too_many: Mutex<Option<usize>>,
    per_request: Mutex<Option<usize>>,
}

impl Script {
    pub(crate) fn of(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let script = Arc::<Self>::default();
        script.answers.lock().extend(answers);
        script
    }

    /// From now on nobody is there, or somebody is again.
    pub(crate) fn away(&self, away: bool) {
        *self.away.lock() = away;
    }

    /// Refuses every request with this body in it.
    pub(crate) fn poison(&self, body: &str) {
        *self.poison.lock() = Some(body.to_owned());
    }

    /// Refuses requests with more items as too large.
    pub(crate) fn too_many(&self, items: usize) {
        *self.too_many.lock() = Some(items);
    }

    /// Cuts into requests of so many items.
    pub(crate) fn per_request(&self, items: usize) {
        *self.per_request.lock() = Some(items);
    }

    pub(crate) fn taken(&self) -> Vec<Vec<String>> {
        self.taken.lock().clone()
    }

    pub(crate) fn all_taken(&self) -> Vec<String> {
        self.taken.lock().concat()
    }

    pub(crate) fn attempts(&self) -> Vec<(Vec<u8>, tokio::time::Instant)> {
        self.attempts.lock().clone()
    }

    pub(crate) fn encoded(&self) -> usize {
        *self.encoded.lock()
    }
}

pub(crate) struct ScriptedSink(pub(crate) Arc<Script>);

#[async_trait]
impl Sink for ScriptedSink {
    type Request = Data;

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Data>>, BoxError> {
        *self.0.encoded.lock() += 1;
        let pieces = match *self.0.per_request.lock() {
            Some(items) => batch.data.clone().split_items(items),
            None => vec![batch.data.clone()],
        };
        Ok(pieces
            .into_iter()
            .map(|data| Encoded {
                request: data.clone(),
                items: data.items(),
                data,
            })
            .collect())
    }

    async fn send(&self, request: &Data) -> Result<Sent, SendError> {
        let script = &self.0;
        let now = tokio::time::Instant::now();
        script
            .attempts
            .lock()
            .push((request.to_bytes().to_vec(), now));
        let away = *script.away.lock();
        let answer = script.answers.lock().pop_front();
        let answer = if away {
            Answer::Unavailable
        } else {
            answer.unwrap_or(Answer::Take)
        };
        let refused = bodies(request);
        if !away
            && script
                .poison
                .lock()
                .as_ref()
                .is_some_and(|poison| refused.contains(poison))
        {
            return Err(SendError::permanent(
                Status::INVALID_ARGUMENT,
                "bad",
                "it is bad",
            ));
        }
        if !away
            && script
                .too_many
                .lock()
                .is_some_and(|max| request.items() > max)
        {
            return Err(SendError::TooLarge {
                status: Status::RESOURCE_EXHAUSTED,
                message: "too large".to_owned(),
            });
        }
        let unavailable = |after| {
            Err(SendError::Retryable {
                status: Status::UNAVAILABLE,
                after,
                message: "nobody there".to_owned(),
            })
        };
        let mut sent = Sent::all();
        match answer {
            Answer::Take => {}
            Answer::TakeAfter(delay) => tokio::time::sleep(delay).await,
            Answer::Partly(rejected) => sent = Sent::partly(rejected, "partial_success", "some"),
            Answer::Unavailable => return unavailable(None),
            Answer::WaitFor(delay) => return unavailable(Some(delay)),
            Answer::Never => {
                return Err(SendError::permanent(
                    Status::INVALID_ARGUMENT,
                    "bad",
                    "never",
                ));
            }
            Answer::Hang => std::future::pending().await,
        }
        script.taken.lock().push(refused);
        Ok(sent)
    }

    fn address(&self) -> Cow<'_, str> {
        "test:1".into()
    }
}

/// An extension that keeps queues below one directory.
struct Disk(PathBuf);

impl Component for Disk {}

impl Extension for Disk {
    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

impl Storage for Disk {
    fn directory(&self, _: Kind, _: &ComponentId, purpose: &str) -> Result<PathBuf, StorageError> {
        let mut path = self.0.clone().into_os_string();
        // Beside each other, as the real one has them, when the root says whose they are.
        path.push(if self.0.ends_with("exporter_test_") {
            "_"
        } else {
            "/"
        });
        path.push(purpose);
        Ok(path.into())
    }
}

#[derive(Clone, Debug)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<opentelemetry_sdk::metrics::Pipeline>) {
        self.0.register_pipeline(pipeline);
    }
    fn collect(&self, metrics: &mut ResourceMetrics) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.collect(metrics)
    }
    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
    fn temporality(
        &self,
        kind: opentelemetry_sdk::metrics::InstrumentKind,
    ) -> opentelemetry_sdk::metrics::Temporality {
        self.0.temporality(kind)
    }
}

/// A delivery with everything around it.
pub(crate) struct Bench {
    pub(crate) delivery: Arc<Delivery<ScriptedSink>>,
    pub(crate) script: Arc<Script>,
    pub(crate) health: Health,
    _provider: SdkMeterProvider,
    reader: Reader,
}

pub(crate) fn queue(yaml: &str) -> Queue {
    corten_config::from_str(yaml).unwrap()
}

/// Retries every second or later, without jitter.
pub(crate) fn steady() -> Retry {
    corten_config::from_str(
        "{initial_interval: 1s, max_interval: 8s, multiplier: 2, randomization_factor: 0, max_elapsed_time: 60s}",
    )
    .unwrap()
}

impl Bench {
    pub(crate) fn new(queue: Queue, script: &Arc<Script>) -> Self {
        Self::with(
            queue,
            steady(),
            Duration::from_secs(5),
            script,
            Path::new("/nonexistent"),
        )
    }

    pub(crate) fn with(
        queue: Queue,
        retry: Retry,
        timeout: Duration,
        script: &Arc<Script>,
        directory: &Path,
    ) -> Self {
        let reader = Reader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .build();
        let health = Health::new();
        let disk: Arc<dyn Extension> = Arc::new(Disk(directory.to_owned()));
        let extensions = BTreeMap::from([("file_storage".parse().unwrap(), disk)]);
        let cx = Context::new(
            Kind::Exporter,
            "test".parse().unwrap(),
            Extensions::new(extensions),
            Services::new(),
            &health,
            provider.meter("test"),
        );
        let settings = Settings {
            queue,
            retry,
            timeout,
        };
        let delivery = Delivery::new(&cx, settings, ScriptedSink(Arc::clone(script))).unwrap();
        Self {
            delivery: Arc::new(delivery),
            script: Arc::clone(script),
            health,
            _provider: provider,
            reader,
        }
    }

    /// The sum of a metric over all its attributes.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let mut all = ResourceMetrics::default();
        self.reader.collect(&mut all).unwrap();
        let mut sum = 0;
        for metric in all.scope_metrics().flat_map(|scope| scope.metrics()) {
            if metric.name() != name {
                continue;
            }
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(data)) => {
                    sum += data
                        .data_points()
                        .map(|point| point.value() as i64)
                        .sum::<i64>();
                }
                AggregatedMetrics::I64(MetricData::Sum(data)) => {
                    sum += data.data_points().map(|point| point.value()).sum::<i64>();
                }
                AggregatedMetrics::I64(MetricData::Gauge(data)) => {
                    sum += data.data_points().map(|point| point.value()).sum::<i64>();
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        sum
    }

    pub(crate) fn sent(&self) -> i64 {
        self.metric("otelcol_exporter_sent_log_records")
    }

    pub(crate) fn failed(&self) -> i64 {
        self.metric("otelcol_exporter_send_failed_log_records")
    }

    /// Waits in tokio's time until `check` holds.
    pub(crate) async fn until(&self, what: &str, check: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if check(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }
}
