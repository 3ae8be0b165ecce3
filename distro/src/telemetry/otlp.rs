//! Exporters of own telemetry: gRPC in the clear through tonic, HTTP (and with it TLS, headers and
//! proxies) through the client that components send with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use corten_component::{ComponentId, Context, Extensions, Health, Kind, Services, async_trait};
use corten_config::model::{OtlpExporter, OtlpProtocol};
use corten_config::settings::{self, TlsClient};
use corten_net::client::HttpClient;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry_http::HttpError;
use opentelemetry_otlp::{
    MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use tonic::metadata::MetadataMap;

/// Sends spans.
///
/// # Errors
///
/// The endpoint or a certificate cannot be used.
pub(super) fn spans(otlp: &OtlpExporter) -> anyhow::Result<SpanExporter> {
    let builder = SpanExporter::builder();
    let built = match otlp.protocol {
        OtlpProtocol::Grpc => builder
            .with_tonic()
            .with_endpoint(otlp.url(""))
            .with_timeout(Duration::from_millis(otlp.timeout))
            .with_metadata(metadata(otlp)?)
            .build(),
        OtlpProtocol::HttpProtobuf => builder
            .with_http()
            .with_endpoint(otlp.url("/v1/traces"))
            .with_timeout(Duration::from_millis(otlp.timeout))
            .with_http_client(Client::new(otlp)?)
            .build(),
    };
    built.context("service::telemetry::traces")
}

/// Sends metrics.
///
/// # Errors
///
/// The endpoint or a certificate cannot be used.
pub(super) fn metrics(otlp: &OtlpExporter) -> anyhow::Result<MetricExporter> {
    let builder = MetricExporter::builder();
    let built = match otlp.protocol {
        OtlpProtocol::Grpc => builder
            .with_tonic()
            .with_endpoint(otlp.url(""))
            .with_timeout(Duration::from_millis(otlp.timeout))
            .with_metadata(metadata(otlp)?)
            .build(),
        OtlpProtocol::HttpProtobuf => builder
            .with_http()
            .with_endpoint(otlp.url("/v1/metrics"))
            .with_timeout(Duration::from_millis(otlp.timeout))
            .with_http_client(Client::new(otlp)?)
            .build(),
    };
    built.context("service::telemetry::metrics")
}

/// The headers as gRPC has them.
fn metadata(otlp: &OtlpExporter) -> anyhow::Result<MetadataMap> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in otlp.headers.iter() {
        let name: http::HeaderName = name.parse().with_context(|| format!("headers: {name}"))?;
        let value = value.expose().parse();
        headers.insert(
            name.clone(),
            value.with_context(|| format!("headers: {name}"))?,
        );
    }
    Ok(MetadataMap::from_headers(headers))
}

/// Lets the exporter, which sends from a thread of its own, use a client that belongs to the runtime.
struct Client {
    client: Arc<HttpClient>,
    runtime: tokio::runtime::Handle,
}

impl Client {
    fn new(otlp: &OtlpExporter) -> anyhow::Result<Self> {
        let settings = settings::HttpClient {
            headers: otlp.headers.clone(),
            timeout: Duration::from_millis(otlp.timeout).into(),
            tls: TlsClient {
                ca_file: otlp.certificate.clone(),
                cert_file: otlp.client_certificate.clone(),
                key_file: otlp.client_key.clone(),
                ..TlsClient::default()
            },
            ..settings::HttpClient::default()
        };
        // It stands in no pipeline: nobody waits for its health, and it has no authenticator.
        let id: ComponentId = "telemetry".parse().context("the name of own telemetry")?;
        let cx = Context::new(
            Kind::Exporter,
            id,
            Extensions::default(),
            Services::new(),
            &Health::new(),
            NoopMeterProvider::new().meter("corten"),
        );
        let client = HttpClient::new(&cx, &settings).context("service::telemetry")?;
        client.read_certificates().context("service::telemetry")?;
        Ok(Self {
            client: Arc::new(client),
            runtime: tokio::runtime::Handle::current(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Client {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let client = Arc::clone(&self.client);
        let sent = self.runtime.spawn(async move {
            client
                .send(head.method, &head.uri, head.headers, body.into())
                .await
        });
        let answer = sent.await??;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = http::StatusCode::from_u16(answer.status)?;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
