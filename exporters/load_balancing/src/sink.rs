//! One backend's protocol: OTLP over gRPC, a unary call a request; or the ring, once the backend has left it.

use std::borrow::Cow;
use std::sync::Weak;
use std::time::Duration;

use corten_component::{Batch, BoxError, Context, GrpcCode, Signal, Status, async_trait};
use corten_config::settings::{CompressionParams, GrpcClient as ClientSettings};
use corten_delivery::{Compressor, Encoded, SendError, Sent, Sink, otlp};
use corten_net::grpc::{GrpcClient, GrpcError, Message};
use http::uri::PathAndQuery;
use tokio_util::sync::CancellationToken;

use crate::balancer::Balancer;
use crate::config::Otlp;

/// A message ready for the wire, and what it was made of.
pub(crate) struct Request {
    batch: Batch,
    message: Message,
}

/// One backend.
pub(crate) struct BackendSink {
    client: GrpcClient,
    compressor: Compressor,
    max_request: usize,
    /// Of one attempt.
    timeout: Option<Duration>,
    logs: PathAndQuery,
    metrics: PathAndQuery,
    traces: PathAndQuery,
    /// Says that the backend has left the ring.
    gone: CancellationToken,
    /// Where its data then belongs.
    home: Weak<Balancer>,
}

impl BackendSink {
    pub(crate) fn new(
        cx: &Context,
        settings: &Otlp,
        endpoint: String,
        gone: CancellationToken,
        home: Weak<Balancer>,
    ) -> Result<Self, BoxError> {
        let settings_of_one = ClientSettings {
            endpoint,
            ..settings.client.clone()
        };
        let path = |service| PathAndQuery::from_static(service);
        Ok(Self {
            client: GrpcClient::new(cx, &settings_of_one)?,
            compressor: Compressor::new(settings.client.compression, &CompressionParams::default())
                .for_grpc(),
            max_request: match settings.own.max_request_bytes {
                0 => usize::MAX,
                limit => limit,
            },
            timeout: settings.client.timeout.non_zero(),
            logs: path("/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
            metrics: path("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
            traces: path("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
            gone,
            home,
        })
    }

    fn path(&self, signal: Signal) -> &PathAndQuery {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }

    async fn call(&self, request: &Request) -> Result<Sent, SendError> {
        let signal = request.batch.signal();
        let call = self
            .client
            .unary(self.path(signal), request.message.clone());
        let reply = match self.timeout {
            None => call.await,
            Some(timeout) => match tokio::time::timeout(timeout, call).await {
                Ok(reply) => reply,
                Err(_) => {
                    return Err(SendError::retryable(
                        Status::Grpc(GrpcCode::DeadlineExceeded),
                        format!("no answer within {timeout:?}"),
                    ));
                }
            },
        };
        match reply {
            Ok(reply) => otlp::read_response(signal, &reply.message).map_err(|error| {
                SendError::permanent(Status::INTERNAL, "bad_response", error.to_string())
            }),
            Err(error) => Err(classify(&error)),
        }
    }
}

#[async_trait]
impl Sink for BackendSink {
    type Request = Request;

    fn start(&self) -> Result<(), BoxError> {
        Ok(self.client.read_certificates()?)
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Request>>, BoxError> {
        let pieces = if batch.bytes_len() > self.max_request {
            batch.data.clone().split_bytes(self.max_request)
        } else {
            vec![batch.data.clone()]
        };
        pieces
            .into_iter()
            .map(|data| {
                let segments = data.segments().iter();
                let parts = segments.map(|segment| segment.bytes().clone()).collect();
                let message = Message {
                    parts: self.compressor.compress(parts)?,
                    encoding: self.compressor.encoding(),
                };
                Ok(Encoded {
                    request: Request {
                        batch: batch.with_data(data.clone()),
                        message,
                    },
                    items: data.items(),
                    data,
                })
            })
            .collect()
    }

    async fn send(&self, request: &Request) -> Result<Sent, SendError> {
        if !self.gone.is_cancelled() {
            let answer = self.call(request).await;
            let again = matches!(answer, Err(SendError::Retryable { .. }));
            if !(again && self.gone.is_cancelled()) {
                return answer;
            }
        }
        match self.home.upgrade() {
            Some(home) => home.reroute(request.batch.clone()).await,
            None => Err(SendError::retryable(
                Status::UNAVAILABLE,
                "the exporter is shut down",
            )),
        }
    }

    fn compresses(&self) -> bool {
        self.compressor.encoding().is_some()
    }

    fn address(&self) -> Cow<'_, str> {
        self.client.address().into()
    }
}

/// OTLP's table: which codes may be tried again. `RESOURCE_EXHAUSTED` only when the server says how long to wait.
fn classify(error: &GrpcError) -> SendError {
    let status = error.status();
    let upstream = Status::Grpc(status.code);
    if matches!(error, GrpcError::Status { .. }) && otlp::is_too_large(status.code, &status.message)
    {
        return SendError::TooLarge {
            status: upstream,
            message: status.message,
        };
    }
    let message = error.to_string();
    if error.is_retryable() {
        return SendError::Retryable {
            status: upstream,
            after: status.retry_after,
            message,
        };
    }
    SendError::permanent(upstream, otlp::reason(status.code), message)
}
