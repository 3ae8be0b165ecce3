//! A Tempo-compatible OTLP endpoint: gRPC with all three signals, or HTTP; keeps what it gets.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

#[derive(Default)]
struct State {
    traces: Vec<ExportTraceServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    refusals: VecDeque<Status>,
    down: bool,
}

impl State {
    fn admit(&mut self) -> Result<(), Status> {
        if self.down {
            return Err(Status::unavailable("scripted to be down"));
        }
        self.refusals.pop_front().map_or(Ok(()), Err)
    }
}

/// A span with all that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The resource.
    pub resource: Option<Resource>,
    /// The resource's schema.
    pub resource_schema: String,
    /// The scope.
    pub scope: Option<InstrumentationScope>,
    /// The scope's schema.
    pub scope_schema: String,
    /// The span.
    pub span: Span,
}

/// The endpoint; its server ends when it is dropped.
pub struct OtlpSink {
    port: u16,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

impl OtlpSink {
    /// Starts on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts on this port.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        let state = Arc::default();
        let (port, runtime) = serve_grpc(port, &state);
        Self {
            port,
            state,
            runtime: Some(runtime),
        }
    }

    /// Starts an HTTP endpoint (`POST /v1/traces` and its like, protobuf) on a free port.
    #[must_use]
    pub fn start_http() -> Self {
        let state = Arc::default();
        let (port, runtime) = serve_http(0, &state);
        Self {
            port,
            state,
            runtime: Some(runtime),
        }
    }

    /// Stops listening: connections are closed, new ones are refused. What was kept stays.
    pub fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again, where it did, over gRPC.
    pub fn open(&mut self) {
        assert!(self.runtime.is_none(), "it listens already");
        self.runtime = Some(serve_grpc(self.port, &self.state).1);
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Refuses everything with `UNAVAILABLE` while set.
    pub fn down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// The next requests are refused so.
    pub fn refuse(&self, statuses: impl IntoIterator<Item = Status>) {
        self.state.lock().refusals.extend(statuses);
    }

    /// The trace requests that were kept.
    #[must_use]
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        self.state.lock().traces.clone()
    }

    /// The log requests that were kept.
    #[must_use]
    pub fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.state.lock().logs.clone()
    }

    /// The metric requests that were kept.
    #[must_use]
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.state.lock().metrics.clone()
    }

    /// Every span that was kept.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.placed()
            .into_iter()
            .map(|placed| placed.span)
            .collect()
    }

    /// Every span that was kept, with its resource and its scope.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        let mut placed = Vec::new();
        for resource in self
            .state
            .lock()
            .traces
            .iter()
            .flat_map(|request| &request.resource_spans)
        {
            for scope in &resource.scope_spans {
                placed.extend(scope.spans.iter().map(|span| Placed {
                    resource: resource.resource.clone(),
                    resource_schema: resource.schema_url.clone(),
                    scope: scope.scope.clone(),
                    scope_schema: scope.schema_url.clone(),
                    span: span.clone(),
                }));
            }
        }
        placed
    }
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn serve_grpc(port: u16, state: &Arc<Mutex<State>>) -> (u16, tokio::runtime::Runtime) {
    let runtime = runtime();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(("127.0.0.1", port)))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = Service(Arc::clone(state));
    let limit = 64 << 20;
    let traces = TraceServiceServer::new(service.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    let logs = LogsServiceServer::new(service.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    let metrics = MetricsServiceServer::new(service)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    runtime.spawn(async move {
        let server = tonic::transport::Server::builder()
            .add_service(traces)
            .add_service(logs)
            .add_service(metrics)
            .serve_with_incoming(TcpListenerStream::new(listener));
        drop(server.await);
    });
    (port, runtime)
}

fn serve_http(port: u16, state: &Arc<Mutex<State>>) -> (u16, tokio::runtime::Runtime) {
    let runtime = runtime();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(("127.0.0.1", port)))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(state);
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the runtime that it runs on"
    )]
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    (port, runtime)
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let plain = match header("content-encoding") {
        None | Some("identity") => body.to_vec(),
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body)
                .read_to_end(&mut plain)
                .unwrap();
            plain
        }
        Some(other) => panic!("the content encoding {other}"),
    };
    let mut state = state.lock();
    let status = match state.admit() {
        Err(_) => 503,
        Ok(()) if header("content-type") != Some("application/x-protobuf") => 415,
        Ok(()) => match parts.uri.path() {
            "/v1/traces" => keep(&plain, &mut state.traces),
            "/v1/logs" => keep(&plain, &mut state.logs),
            "/v1/metrics" => keep(&plain, &mut state.metrics),
            _ => 404,
        },
    };
    let reply = http::Response::builder().status(status);
    Ok(reply
        .header("content-type", "application/x-protobuf")
        .body(Full::default())
        .unwrap())
}

fn keep<T: prost::Message + Default>(body: &[u8], kept: &mut Vec<T>) -> u16 {
    match T::decode(body) {
        Ok(request) => {
            kept.push(request);
            200
        }
        Err(_) => 400,
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut state = self.0.lock();
        state.admit()?;
        state.traces.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut state = self.0.lock();
        state.admit()?;
        state.logs.push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut state = self.0.lock();
        state.admit()?;
        state.metrics.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// A request with these spans, in one scope of one resource that says nothing.
#[must_use]
pub fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

/// Sends this over gRPC to `127.0.0.1:port`.
///
/// # Errors
///
/// What the server answered, or that none did.
pub fn export_traces(port: u16, request: ExportTraceServiceRequest) -> Result<(), Status> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = TraceServiceClient::connect(endpoint).await;
        let mut client = client
            .map_err(|error| Status::unavailable(error.to_string()))?
            .max_encoding_message_size(usize::MAX);
        client.export(request).await.map(|_| ())
    })
}
