//! The section `service::telemetry`: what Corten tells about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::section::{Check, Checker};
use crate::settings::Headers;
use crate::types::Endpoint;

/// What Corten tells about itself: its logs, metrics and traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Telemetry {
    /// Its logs.
    pub logs: Logs,
    /// Its metrics.
    pub metrics: Metrics,
    /// Its traces.
    pub traces: Traces,
    /// The attributes that all three carry.
    pub resource: Resource,
}

/// Corten's own logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Logs {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// One line of text, or of JSON, per entry.
    pub encoding: LogEncoding,
    /// Accepted for compatibility.
    pub development: bool,
    /// Leave out entries that repeat too often. Accepted for compatibility: no entry is written per record, so none needs to be
    /// left out.
    pub sampling: Option<serde_json::Value>,
    /// Where entries go: `stderr`, `stdout` or a file.
    pub output_paths: Vec<String>,
    /// Where errors of logging itself go. Accepted for compatibility: they go to `stderr`.
    pub error_output_paths: Vec<String>,
    /// Leave out where in the code an entry comes from.
    pub disable_caller: bool,
    /// Accepted for compatibility; entries carry no stack traces.
    pub disable_stacktrace: bool,
    /// Leave out the resource's attributes. Accepted for compatibility.
    pub disable_zap_resource: bool,
    /// Fields that every entry carries.
    pub initial_fields: BTreeMap<String, serde_json::Value>,
    /// Where entries are sent as OTLP.
    pub processors: Vec<SpanProcessor>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            encoding: LogEncoding::Console,
            development: false,
            sampling: None,
            output_paths: vec!["stderr".to_owned()],
            error_output_paths: vec!["stderr".to_owned()],
            disable_caller: false,
            disable_stacktrace: false,
            disable_zap_resource: false,
            initial_fields: BTreeMap::new(),
            processors: Vec::new(),
        }
    }
}

/// How severe a log entry is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Everything.
    #[serde(alias = "DEBUG")]
    Debug,
    /// What happens in normal operation.
    #[default]
    #[serde(alias = "INFO")]
    Info,
    /// What somebody should look at.
    #[serde(alias = "WARN", alias = "warning")]
    Warn,
    /// What went wrong.
    #[serde(alias = "ERROR", alias = "dpanic", alias = "panic", alias = "fatal")]
    Error,
}

impl LogLevel {
    /// `debug`, `info`, `warn` or `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What log entries look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogEncoding {
    /// Text for people.
    #[default]
    Console,
    /// JSON for machines.
    Json,
}

/// Corten's own metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metrics {
    /// How many metrics there are.
    pub level: MetricsLevel,
    /// Where Prometheus finds them, `host:port`. Deprecated: use `readers`.
    pub address: Option<Endpoint>,
    /// How they leave. When this is not written they are on the `/metrics` of the `admin` extension, and there alone.
    pub readers: Option<Vec<Reader>>,
    /// Changes to single metrics. Accepted for compatibility; not applied.
    pub views: Vec<serde_json::Value>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            level: MetricsLevel::Normal,
            address: None,
            readers: None,
            views: Vec::new(),
        }
    }
}

impl Metrics {
    /// The readers with the deprecated `address` resolved; none at level `none`.
    pub fn effective_readers(&self) -> Vec<Reader> {
        if self.level == MetricsLevel::None {
            return Vec::new();
        }
        let pull = |endpoint: &Endpoint| {
            let prometheus = PrometheusReader {
                host: endpoint.host().to_owned(),
                port: endpoint.port(),
                ..PrometheusReader::default()
            };
            Reader {
                pull: Some(PullReader {
                    exporter: PullExporter {
                        prometheus: Some(prometheus),
                    },
                }),
                periodic: None,
            }
        };
        match (&self.readers, &self.address) {
            (Some(readers), _) => readers.clone(),
            (None, Some(address)) => vec![pull(address)],
            (None, None) => Vec::new(),
        }
    }
}

/// How many metrics Corten has about itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MetricsLevel {
    /// None.
    #[serde(alias = "None")]
    None,
    /// The essential ones.
    #[serde(alias = "Basic")]
    Basic,
    /// The useful ones.
    #[default]
    #[serde(alias = "Normal")]
    Normal,
    /// All of them.
    #[serde(alias = "Detailed")]
    Detailed,
}

/// One way for metrics to leave: asked for (`pull`) or sent (`periodic`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reader {
    /// Metrics that are asked for.
    pub pull: Option<PullReader>,
    /// Metrics that are sent.
    pub periodic: Option<PeriodicReader>,
}

/// Metrics that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PullReader {
    /// By whom.
    pub exporter: PullExporter,
}

/// Who asks for metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PullExporter {
    /// Prometheus.
    pub prometheus: Option<PrometheusReader>,
}

/// Metrics for Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrometheusReader {
    /// The address to listen at.
    pub host: String,
    /// The port to listen at.
    pub port: u16,
    /// Leave out which part of the code a metric comes from.
    pub without_scope_info: bool,
    /// Leave units out of names.
    pub without_units: bool,
    /// Leave `_total` and other suffixes out of names.
    pub without_type_suffix: bool,
    /// Which of the resource's attributes every metric carries; all of them are in `target_info`.
    pub with_resource_constant_labels: ConstantLabels,
}

/// Attributes by their keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConstantLabels {
    /// Keys of attributes; `*` stands for anything.
    pub included: Vec<String>,
    /// Keys of attributes that are left out all the same.
    pub excluded: Vec<String>,
}

impl Default for PrometheusReader {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
            without_scope_info: true,
            without_units: true,
            without_type_suffix: true,
            with_resource_constant_labels: ConstantLabels::default(),
        }
    }
}

/// Metrics that are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeriodicReader {
    /// How often, in milliseconds.
    pub interval: u64,
    /// How long sending may take, in milliseconds.
    pub timeout: u64,
    /// Where to.
    pub exporter: PeriodicExporter,
}

impl Default for PeriodicReader {
    fn default() -> Self {
        Self {
            interval: 60_000,
            timeout: 30_000,
            exporter: PeriodicExporter::default(),
        }
    }
}

/// Where metrics are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeriodicExporter {
    /// An OTLP endpoint.
    pub otlp: Option<OtlpExporter>,
    /// Standard output. Accepted for compatibility; nothing is written.
    pub console: Option<serde_json::Value>,
}

/// An OTLP endpoint for Corten's own telemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OtlpExporter {
    /// gRPC or HTTP.
    pub protocol: OtlpProtocol,
    /// Where to send: a URL, or `host:port` for gRPC.
    pub endpoint: String,
    /// Headers that are added to every request.
    pub headers: Headers,
    /// Send in the clear.
    pub insecure: bool,
    /// A PEM file with the authorities to trust.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the certificate to present.
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key: Option<PathBuf>,
    /// `gzip` or `none`.
    pub compression: Option<String>,
    /// How long one request may take, in milliseconds.
    pub timeout: u64,
    /// Which temporality sums are sent with. Accepted for compatibility; they are cumulative.
    pub temporality_preference: Option<String>,
    /// Which histogram is sent. Accepted for compatibility; it has explicit buckets.
    pub default_histogram_aggregation: Option<String>,
}

impl OtlpExporter {
    /// The URL to send to: `endpoint` with the scheme that `insecure` implies where it has none, and with
    /// `path` where it has no path.
    pub fn url(&self, path: &str) -> String {
        let mut url = if self.endpoint.contains("://") {
            self.endpoint.clone()
        } else if self.insecure {
            format!("http://{}", self.endpoint)
        } else {
            format!("https://{}", self.endpoint)
        };
        let has_path = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .is_some_and(|(_, path)| !path.is_empty());
        if !has_path {
            url.truncate(url.trim_end_matches('/').len());
            url.push_str(path);
        }
        url
    }
}

impl Default for OtlpExporter {
    fn default() -> Self {
        Self {
            protocol: OtlpProtocol::HttpProtobuf,
            endpoint: String::new(),
            headers: Headers::default(),
            insecure: false,
            certificate: None,
            client_certificate: None,
            client_key: None,
            compression: None,
            timeout: 10_000,
            temporality_preference: None,
            default_histogram_aggregation: None,
        }
    }
}

/// How OTLP is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// HTTP with protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Corten's own traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Traces {
    /// Whether there are any.
    pub level: TracesLevel,
    /// Where they are sent; nowhere when empty.
    pub processors: Vec<SpanProcessor>,
    /// How the trace of a request is known: `tracecontext`, `b3`.
    pub propagators: Vec<String>,
    /// Which traces are kept. Accepted for compatibility; all are.
    pub sampler: Option<serde_json::Value>,
}

/// Whether Corten traces itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TracesLevel {
    /// It does not.
    None,
    /// It does.
    #[default]
    Basic,
}

/// One way for spans or log entries to leave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpanProcessor {
    /// Several at a time.
    pub batch: Option<BatchProcessor>,
    /// Each at once.
    pub simple: Option<SimpleProcessor>,
}

/// Spans leave several at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchProcessor {
    /// How long to wait for more, in milliseconds.
    pub schedule_delay: u64,
    /// How long sending may take, in milliseconds.
    pub export_timeout: u64,
    /// How many may wait; more are dropped.
    pub max_queue_size: u32,
    /// How many are sent at a time.
    pub max_export_batch_size: u32,
    /// Where to.
    pub exporter: SpanExporter,
}

impl Default for BatchProcessor {
    fn default() -> Self {
        Self {
            schedule_delay: 5_000,
            export_timeout: 30_000,
            max_queue_size: 2048,
            max_export_batch_size: 512,
            exporter: SpanExporter::default(),
        }
    }
}

/// Spans leave at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SimpleProcessor {
    /// Where to.
    pub exporter: SpanExporter,
}

/// Where spans are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpanExporter {
    /// An OTLP endpoint.
    pub otlp: Option<OtlpExporter>,
    /// Standard output. Accepted for compatibility; nothing is written.
    pub console: Option<serde_json::Value>,
}

/// The attributes of Corten's own telemetry. Written as a map, `{service.name: edge, host.name: null}` where null takes a
/// default away, or as `{attributes: [{name: …, value: …}]}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// What each attribute is set to; `None` takes it away.
    pub attributes: BTreeMap<String, Option<String>>,
}

/// An attribute of [`Resource`] in its declarative form.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Text,
    /// Its type; values are sent as text.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// A value that is text, whatever it looks like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Resource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Resource, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "attributes" {
                        let list: Vec<Attribute> = map.next_value()?;
                        attributes.extend(
                            list.into_iter()
                                .map(|attribute| (attribute.name, Some(attribute.value.0))),
                        );
                    } else if key == "schema_url" || key.contains("/development") {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let value: Option<Text> = map.next_value()?;
                        attributes.insert(key, value.map(|text| text.0));
                    }
                }
                Ok(Resource { attributes })
            }
        }
        deserializer.deserialize_map(Written)
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len()))?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Resource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Resource".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The attributes of Corten's own telemetry: a map of names and values (null takes a default away), or a list under `attributes`.",
            "type": "object",
            "additionalProperties": true,
        })
    }
}

impl Check for Telemetry {
    fn check(&self, at: &mut Checker<'_>) {
        let mut metrics = at.section("metrics");
        if self.metrics.level != MetricsLevel::None
            && self.metrics.readers.as_ref().is_some_and(Vec::is_empty)
        {
            metrics.on("readers").error(
                "collector telemetry metrics reader should exist when metric level is not none",
            );
        }
        if self.metrics.address.is_some() {
            metrics
                .on("address")
                .warning("'address' is deprecated; use 'readers' instead");
        }
        for (index, reader) in self.metrics.readers.iter().flatten().enumerate() {
            let mut at = metrics.item("readers", index);
            match (&reader.pull, &reader.periodic) {
                (Some(pull), None) if pull.exporter.prometheus.is_none() => {
                    at.section("pull")
                        .error("expected 'exporter: {prometheus: …}'");
                }
                (None, Some(periodic)) => {
                    let mut at = at.section("periodic");
                    if let Some(otlp) = &periodic.exporter.otlp {
                        otlp.check(&mut at.section("exporter").section("otlp"));
                    }
                    if periodic.interval == 0 {
                        at.field("interval").error("must be positive");
                    }
                }
                (Some(_), None) => {}
                _ => at.error("expected either 'pull' or 'periodic'"),
            }
        }
        if !self.metrics.views.is_empty() {
            metrics
                .on("views")
                .warning("'views' has no effect: every metric is as it is");
        }
        for (index, reader) in self.metrics.readers.iter().flatten().enumerate() {
            let mut at = metrics.item("readers", index);
            if let Some(prometheus) = reader
                .pull
                .as_ref()
                .and_then(|p| p.exporter.prometheus.as_ref())
                && prometheus.without_units != prometheus.without_type_suffix
            {
                at.warning(
                    "'without_units' follows 'without_type_suffix': names have both or neither",
                );
            }
            if reader
                .periodic
                .as_ref()
                .is_some_and(|p| p.exporter.otlp.is_none())
            {
                at.warning("has no effect: own metrics are sent to an 'exporter: {otlp: …}' only");
            }
        }
        let mut logs = at.section("logs");
        if !self.logs.processors.is_empty() {
            logs.on("processors")
                .warning("'processors' has no effect: own logs are written to 'output_paths' only");
        }
        if !self.logs.initial_fields.is_empty() {
            logs.on("initial_fields")
                .warning("'initial_fields' has no effect");
        }
        if self.traces.sampler.is_some() {
            at.section("traces").on("sampler").warning(
                "'sampler' has no effect: every trace is kept; 'level: none' records none",
            );
        }
        for (section, processors) in [
            ("logs", &self.logs.processors),
            ("traces", &self.traces.processors),
        ] {
            let mut at = at.section(section);
            for (index, processor) in processors.iter().enumerate() {
                let mut at = at.item("processors", index);
                let (name, exporter) = match (&processor.batch, &processor.simple) {
                    (Some(batch), None) => ("batch", &batch.exporter),
                    (None, Some(simple)) => ("simple", &simple.exporter),
                    _ => {
                        at.error("expected either 'batch' or 'simple'");
                        continue;
                    }
                };
                if let Some(otlp) = &exporter.otlp {
                    otlp.check(&mut at.section(name).section("exporter").section("otlp"));
                }
            }
        }
    }
}

impl Check for OtlpExporter {
    fn check(&self, at: &mut Checker<'_>) {
        if self.endpoint.is_empty() {
            at.field("endpoint").error("is required");
        } else if self.protocol == OtlpProtocol::Grpc && !self.url("").starts_with("http://") {
            at.on("endpoint").error(
                "own telemetry is sent over gRPC in the clear only: write 'http://…' or 'insecure: true', or for TLS 'protocol: http/protobuf'",
            );
        }
        if !matches!(
            self.compression.as_deref(),
            None | Some("gzip" | "none" | "")
        ) {
            at.field("compression").error("must be gzip or none");
        }
    }
}
