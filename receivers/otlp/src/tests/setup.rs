//! A receiver that runs, and what is sent to it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use corten_component::{Component, Context, Extensions, Health, Kind, Next, Services};
use corten_config::settings::HttpClient as ClientSettings;
use corten_net::body::Body;
use corten_net::client::{HttpClient, Response};
use corten_testing::RecordingSink;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics as OwnMetrics,
};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};

use crate::config::Config;
use crate::receiver::Otlp;

pub(super) struct Running {
    pub(super) receiver: Arc<Otlp>,
    pub(super) sink: Arc<RecordingSink>,
    _provider: SdkMeterProvider,
    reader: Reader,
    client: HttpClient,
}

impl Running {
    /// Both protocols at ports of the system's choosing, with more settings in YAML's flow style.
    pub(super) async fn with(grpc: &str, http: &str) -> Self {
        Self::start(grpc, http, RecordingSink::new(), None).await
    }

    pub(super) async fn start(
        grpc: &str,
        http: &str,
        sink: Arc<RecordingSink>,
        next: Option<Next>,
    ) -> Self {
        let yaml = format!(
            "{{protocols: {{grpc: {{endpoint: 'localhost:0', {grpc}}}, http: {{endpoint: 'localhost:0', {http}}}}}, \
             max_in_flight_size: 64MiB}}"
        );
        let config: Config = corten_config::from_str(&yaml).unwrap();
        let reader = Reader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .build();
        let cx = Context::new(
            Kind::Receiver,
            "otlp".parse().unwrap(),
            Extensions::default(),
            Services::new(),
            &Health::new(),
            provider.meter("corten"),
        );
        let client = HttpClient::new(&cx, &ClientSettings::default()).unwrap();
        let receiver =
            Arc::new(Otlp::create(cx, config, next.unwrap_or_else(|| sink.next())).unwrap());
        Arc::clone(&receiver).start().await.unwrap();
        Self {
            receiver,
            sink,
            _provider: provider,
            reader,
            client,
        }
    }

    pub(super) fn grpc(&self) -> SocketAddr {
        self.receiver.listeners[0].local_addr().unwrap()
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.receiver.listeners[1].local_addr().unwrap()
    }

    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        self.request(Method::POST, path, headers, body).await
    }

    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let url = format!("http://{}{path}", self.http()).parse().unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        self.client
            .send(method, &url, headers, Body::full(body.into()))
            .await
            .unwrap()
    }

    /// How often `corten_receiver_malformed_requests` was counted for a transport and a reason.
    pub(super) fn malformed(&self, transport: &str, reason: &str) -> u64 {
        let mut own = OwnMetrics::default();
        self.reader.collect(&mut own).unwrap();
        let metrics = own.scope_metrics().flat_map(|scope| scope.metrics());
        let mut count = 0;
        for metric in metrics.filter(|metric| metric.name() == "corten_receiver_malformed_requests")
        {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                continue;
            };
            for point in sum.data_points() {
                let has = |key: &str, value: &str| {
                    point
                        .attributes()
                        .any(|pair| pair.key.as_str() == key && pair.value.as_str() == value)
                };
                if has("transport", transport) && has("reason", reason) && has("receiver", "otlp") {
                    count += point.value();
                }
            }
        }
        count
    }
}

/// A reader that two can hold.
#[derive(Clone, Debug)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut OwnMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

pub(super) fn traces(spans: usize) -> ExportTraceServiceRequest {
    let span = |n: usize| Span {
        trace_id: vec![7; 16],
        span_id: vec![1; 8],
        name: format!("span {n}"),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes: vec![KeyValue {
            key: "http.route".to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue("/v1/items".to_owned())),
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: (0..spans).map(span).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

pub(super) fn logs() -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord {
                    severity_text: "INFO".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

pub(super) fn metrics() -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "queue.length".to_owned(),
                    data: Some(metric::Data::Gauge(Gauge {
                        data_points: vec![NumberDataPoint::default(), NumberDataPoint::default()],
                    })),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(data, 1).unwrap()
}

pub(super) fn snappy(data: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    encoder.into_inner().unwrap()
}
