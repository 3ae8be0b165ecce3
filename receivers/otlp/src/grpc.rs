//! OTLP over gRPC: three services with one method each.

use std::sync::Arc;

use corten_component::{GrpcCode, ServerAuth, Signal, async_trait};
use corten_net::body::{Body, Limits};
use corten_net::grpc::{self, Status};
use corten_net::listen::{Handler, Peer, text};
use corten_pdata::Data;
use http::{HeaderValue, Request, Response, header};

use crate::answer::Encoding;
use crate::intake::{Intake, Outcome, RETRY_AFTER, delay};
use crate::metadata::of_sender;

const TRANSPORT: &str = "grpc";

/// The path of a signal's method.
pub(crate) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

/// One signal's service.
pub(crate) struct Service {
    pub(crate) signal: Signal,
    pub(crate) intake: Arc<Intake>,
    pub(crate) limits: Limits,
    pub(crate) auth: Option<Arc<dyn ServerAuth>>,
    pub(crate) include_metadata: bool,
}

#[async_trait]
impl Handler for Service {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .map(HeaderValue::as_bytes);
        if !content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
            return text(
                415,
                "expected gRPC (content-type application/grpc); OTLP over HTTP has a port of its own",
            );
        }
        match self.export(request).await {
            Ok(message) => grpc::reply(&message),
            Err(status) => grpc::refuse(&status),
        }
    }
}

impl Service {
    async fn export(&self, mut request: Request<Body>) -> Result<Vec<u8>, Status> {
        if let Some(auth) = &self.auth
            && let Err(denied) = auth.authenticate(request.headers())
        {
            return Err(Status::new(GrpcCode::Unauthenticated, denied.reason));
        }
        let Some(mut room) = self.intake.room() else {
            self.intake.metrics.shed(TRANSPORT);
            let status = Status::new(
                GrpcCode::ResourceExhausted,
                "too many bytes are in flight; send it again later",
            );
            return Err(status.after(RETRY_AFTER));
        };
        let message = grpc::read_message(&mut request, &self.limits, Some(&mut room))
            .await
            .map_err(|refusal| {
                if refusal.status.retry_after.is_some() {
                    self.intake.metrics.shed(TRANSPORT);
                } else {
                    self.intake.metrics.malformed(TRANSPORT, refusal.reason);
                }
                refusal.status
            })?;
        room.shrink(message.len());
        let data = Data::parse(self.signal, message).map_err(|malformed| {
            self.intake.metrics.malformed(TRANSPORT, "damaged_protobuf");
            Status::new(GrpcCode::InvalidArgument, malformed.to_string())
        })?;
        let peer = request.extensions().get::<Peer>();
        let metadata = of_sender(self.include_metadata, request.headers(), peer);
        match self.intake.take(data, metadata).await {
            Outcome::Refused(refused) => {
                let mut status = Status::new(refused.grpc_code(), refused.to_string());
                status.retry_after = delay(&refused);
                Err(status)
            }
            kept => Ok(Encoding::Protobuf.success(self.signal, &kept)),
        }
    }
}
