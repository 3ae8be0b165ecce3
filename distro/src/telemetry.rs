//! Corten's own logs, metrics and traces.

mod otlp;
mod pages;
mod traces;

use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{BoxError, SelfMetrics};
use corten_config::model::Telemetry;
use corten_pdata::Metrics;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{ManualReader, PeriodicReader, SdkMeterProvider};
use prost::Message;

pub(crate) use pages::MetricsPages;
pub(crate) use traces::OwnTraces;

/// The resource of Corten's own telemetry: `service.name` and `service.version`, and what
/// `service::telemetry::resource` sets or takes away.
pub(crate) fn resource(telemetry: &Telemetry) -> Resource {
    let mut attributes = std::collections::BTreeMap::from([
        ("service.name".to_owned(), Some("corten".to_owned())),
        (
            "service.version".to_owned(),
            Some(env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ]);
    attributes.extend(telemetry.resource.attributes.clone());
    let set = attributes
        .into_iter()
        .filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
    Resource::builder_empty().with_attributes(set).build()
}

/// Whether two configurations tell the same, apart from the pages that are made anew for each.
pub(crate) fn only_pages_differ(old: &Telemetry, new: &Telemetry) -> bool {
    let rest = |telemetry: &Telemetry| {
        let mut rest = telemetry.clone();
        rest.metrics.address = None;
        if let Some(readers) = &mut rest.metrics.readers {
            readers.retain(|reader| reader.pull.is_none());
        }
        rest.metrics.readers = rest.metrics.readers.filter(|readers| !readers.is_empty());
        rest
    };
    rest(old) == rest(new)
}

/// How long the last of the own telemetry may take to leave when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The process's meter and what reads it. One for the life of the process: a reload goes on
/// counting.
pub(crate) struct OwnMetrics {
    provider: SdkMeterProvider,
    reader: SharedReader,
}

/// The reader that the admin server reads through.
#[derive(Clone, Debug)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<opentelemetry_sdk::metrics::Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(
        &self,
        kind: opentelemetry_sdk::metrics::InstrumentKind,
    ) -> opentelemetry_sdk::metrics::Temporality {
        self.0.temporality(kind)
    }
}

impl OwnMetrics {
    /// Sets the meter up, with `otelcol_process_*` already on it, and starts sending where
    /// `service::telemetry::metrics` has periodic readers.
    ///
    /// # Errors
    ///
    /// A reader's exporter cannot be set up as it is configured.
    pub(crate) fn start(telemetry: &Telemetry, resource: Resource) -> anyhow::Result<Self> {
        let reader = SharedReader(Arc::new(ManualReader::builder().build()));
        let mut provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader.clone());
        for periodic in telemetry
            .metrics
            .effective_readers()
            .iter()
            .filter_map(|reader| reader.periodic.as_ref())
        {
            if let Some(otlp) = &periodic.exporter.otlp {
                let interval = Duration::from_millis(periodic.interval);
                let exporter = otlp::metrics(otlp)?;
                provider = provider.with_reader(
                    PeriodicReader::builder(exporter)
                        .with_interval(interval)
                        .build(),
                );
            }
        }
        let provider = provider.build();
        process_metrics(&provider.meter("corten"));
        Ok(Self { provider, reader })
    }

    /// Sends what periodic readers have to send, a last time. Blocks while it does, and must not be
    /// called on a thread of the runtime: the sending needs that.
    pub(crate) fn shutdown(&self) {
        drop(self.provider.shutdown_with_timeout(LAST_WORDS));
    }

    /// The meter that components count with.
    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("corten")
    }
}

impl SelfMetrics for OwnMetrics {
    fn collect(&self) -> Result<Metrics, BoxError> {
        let mut metrics = ResourceMetrics::default();
        self.reader.collect(&mut metrics)?;
        let request =
            opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest::from(
                &metrics,
            );
        Ok(Metrics::parse(request.encode_to_vec().into())?)
    }
}

/// `otelcol_process_{uptime,cpu_seconds,memory_rss}`, read when somebody asks.
fn process_metrics(meter: &Meter) {
    let started = Instant::now();
    meter
        .f64_observable_counter("otelcol_process_uptime")
        .with_unit("s")
        .with_description("Uptime of the process")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
    meter
        .f64_observable_counter("otelcol_process_cpu_seconds")
        .with_unit("s")
        .with_description("Total CPU user and system time in seconds")
        .with_callback(|observer| {
            if let Some(seconds) = cpu_seconds() {
                observer.observe(seconds, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("otelcol_process_memory_rss")
        .with_unit("By")
        .with_description("Total physical memory (resident set size)")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
}

/// User and system time of this process, from `/proc/self/stat` (fields 14 and 15, in ticks).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks per second are 100 or so")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some((user + system) / ticks)
}

/// Resident memory, from `/proc/self/statm` (second field, in pages).
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}
