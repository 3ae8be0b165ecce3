//! Corten's own logs, metrics and traces.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use corten_component::{BoxError, SelfMetrics};
use corten_config::model::OtlpProtocol;
use corten_config::model::Telemetry;
use corten_pdata::Metrics;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use prost::Message;

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

    fn shutdown_with_timeout(
        &self,
        timeout: std::time::Duration,
    ) -> opentelemetry_sdk::error::OTelSdkResult {
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
    /// Sets the meter up, with `otelcol_process_*` already on it.
    pub(crate) fn new(resource: Resource) -> Self {
        let reader = SharedReader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader.clone())
            .build();
        process_metrics(&provider.meter("corten"));
        Self { provider, reader }
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

/// Corten's own spans on their way to an OTLP endpoint; what waits is sent when this is dropped.
pub(crate) struct OwnTraces(SdkTracerProvider);

impl OwnTraces {
    /// Starts sending, when `service::telemetry::traces` names an OTLP exporter.
    ///
    /// # Errors
    ///
    /// The exporter cannot be set up as it is configured.
    pub(crate) fn start(telemetry: &Telemetry, resource: Resource) -> anyhow::Result<Option<Self>> {
        let exporters = telemetry.traces.processors.iter().filter_map(|processor| {
            let batch = processor.batch.as_ref().map(|batch| &batch.exporter);
            let exporter = batch.or(processor.simple.as_ref().map(|simple| &simple.exporter));
            exporter?.otlp.as_ref()
        });
        let mut provider = SdkTracerProvider::builder().with_resource(resource);
        let mut any = false;
        for otlp in exporters {
            anyhow::ensure!(
                otlp.protocol == OtlpProtocol::Grpc,
                "service::telemetry::traces: {}: own traces are sent over gRPC only, set `protocol: grpc`",
                otlp.endpoint
            );
            let mut endpoint = otlp.endpoint.clone();
            if !endpoint.contains("://") {
                endpoint = format!("http://{endpoint}");
            }
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(std::time::Duration::from_millis(otlp.timeout))
                .build()
                .context("service::telemetry::traces")?;
            provider = provider.with_batch_exporter(exporter);
            any = true;
        }
        Ok(any.then(|| Self(provider.build())))
    }

    /// What records spans.
    pub(crate) fn tracer(&self) -> Tracer {
        self.0.tracer("corten")
    }
}

impl Drop for OwnTraces {
    fn drop(&mut self) {
        drop(self.0.shutdown());
    }
}
