//! `jaeger.api_v2.CollectorService` over gRPC.

use std::sync::Arc;

use corten_component::{GrpcCode, ServerAuth, async_trait};
use corten_net::body::{Body, Limits};
use corten_net::grpc::{self, Status};
use corten_net::listen::{Handler, Peer, text};
use http::{HeaderValue, Request, Response, header};

use crate::intake::{Intake, RETRY_AFTER, delay, of_sender};
use crate::protobuf;
use crate::translate::Translator;

const TRANSPORT: &str = "grpc";
/// Where spans are posted.
pub(crate) const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";
/// Where clients ask for sampling strategies.
pub(crate) const SAMPLING: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// `PostSpans`.
pub(crate) struct Service {
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
            return text(415, "expected gRPC (content-type application/grpc)");
        }
        match self.post(request).await {
            Ok(()) => grpc::reply(&[]),
            Err(status) => grpc::refuse(&status),
        }
    }
}

impl Service {
    async fn post(&self, mut request: Request<Body>) -> Result<(), Status> {
        if let Some(auth) = &self.auth
            && let Err(denied) = auth.authenticate(request.headers())
        {
            return Err(Status::new(GrpcCode::Unauthenticated, denied.reason));
        }
        let metrics = &self.intake.metrics;
        let Some(mut room) = self.intake.room() else {
            metrics.shed(TRANSPORT);
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
                    metrics.shed(TRANSPORT);
                } else {
                    metrics.malformed(TRANSPORT, refusal.reason);
                }
                refusal.status
            })?;
        let mut translator = Translator::default();
        protobuf::read_request(&message, &mut translator).map_err(|malformed| {
            metrics.malformed(TRANSPORT, malformed.reason());
            Status::new(GrpcCode::InvalidArgument, malformed.to_string())
        })?;
        drop(message);
        let traces = translator.finish();
        room.shrink(traces.bytes_len());
        let peer = request.extensions().get::<Peer>();
        let metadata = of_sender(self.include_metadata, request.headers(), peer);
        self.intake.take(traces, metadata).await.map_err(|refused| {
            let mut status = Status::new(refused.grpc_code(), refused.to_string());
            status.retry_after = delay(&refused);
            status
        })
    }
}

/// The answer to those who ask for sampling strategies.
pub(crate) fn no_sampling() -> Response<Body> {
    grpc::refuse(&Status::new(
        GrpcCode::Unimplemented,
        "sampling strategies are not served here; ask a Jaeger collector",
    ))
}
