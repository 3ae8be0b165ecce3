//! OTLP over gRPC: one unary call a request.

use std::borrow::Cow;

use corten_component::{Batch, BoxError, Context, Signal, Status, async_trait};
use corten_config::settings::CompressionParams;
use corten_delivery::{Compressor, Encoded, SendError, Sent, Sink, otlp};
use corten_net::grpc::{GrpcClient, GrpcError, Message};
use http::uri::PathAndQuery;

use crate::config::Config;

/// A message ready for the wire.
pub(crate) struct Request {
    signal: Signal,
    message: Message,
}

/// One server's three services.
pub(crate) struct GrpcSink {
    client: GrpcClient,
    compressor: Compressor,
    max_request: usize,
    logs: PathAndQuery,
    metrics: PathAndQuery,
    traces: PathAndQuery,
}

impl GrpcSink {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, BoxError> {
        let path = |service| PathAndQuery::from_static(service);
        Ok(Self {
            client: GrpcClient::new(cx, &config.client)?,
            compressor: Compressor::new(config.client.compression, &CompressionParams::default())
                .for_grpc(),
            max_request: match config.own.max_request_bytes {
                0 => usize::MAX,
                limit => limit,
            },
            logs: path("/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
            metrics: path("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
            traces: path("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        })
    }

    fn path(&self, signal: Signal) -> &PathAndQuery {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }
}

#[async_trait]
impl Sink for GrpcSink {
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
                        signal: batch.signal(),
                        message,
                    },
                    items: data.items(),
                    data,
                })
            })
            .collect()
    }

    async fn send(&self, request: &Request) -> Result<Sent, SendError> {
        let call = self
            .client
            .unary(self.path(request.signal), request.message.clone());
        match call.await {
            Ok(reply) => otlp::read_response(request.signal, &reply.message).map_err(|error| {
                SendError::permanent(Status::INTERNAL, "bad_response", error.to_string())
            }),
            Err(error) => Err(classify(&error)),
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
