//! OTLP over HTTP, protobuf and JSON.

use std::sync::Arc;

use bytes::Bytes;
use corten_component::{GrpcCode, Refused, ServerAuth, Signal, async_trait};
use corten_net::body::{self, Body, BodyError, Limits};
use corten_net::grpc::Status;
use corten_net::listen::{Handler, Peer, text};
use corten_pdata::Data;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::answer::{Encoding, whole_seconds};
use crate::cors::Policy;
use crate::intake::{Intake, Outcome, RETRY_AFTER, delay};
use crate::metadata::of_sender;

const TRANSPORT: &str = "http";

/// One signal's path.
pub(crate) struct Service {
    pub(crate) signal: Signal,
    pub(crate) intake: Arc<Intake>,
    pub(crate) shared: Arc<Shared>,
}

/// What the paths have in common.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) auth: Option<Arc<dyn ServerAuth>>,
    pub(crate) cors: Option<Policy>,
    pub(crate) include_metadata: bool,
    /// The encodings that are accepted; all that are known when empty.
    pub(crate) compression: Vec<String>,
    /// Added to every answer.
    pub(crate) headers: HeaderMap,
}

#[async_trait]
impl Handler for Service {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let Shared { cors, headers, .. } = &*self.shared;
        // A browser asks without credentials, so before anything else.
        if let Some(answer) = cors.as_ref().and_then(|cors| cors.preflight(&request)) {
            return answer;
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        let mut response = self.export(request).await;
        if let Some(cors) = cors {
            let origin = origin.map(|origin| (header::ORIGIN, origin));
            cors.permit(&origin.into_iter().collect(), &mut response);
        }
        for (name, value) in headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

impl Service {
    async fn export(&self, mut request: Request<Body>) -> Response<Body> {
        if let Some(auth) = &self.shared.auth
            && let Err(denied) = auth.authenticate(request.headers())
        {
            let mut response = text(401, denied.reason);
            if let Some(challenge) = denied.challenge {
                let challenge = HeaderValue::from_static(challenge);
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
            }
            return response;
        }
        if request.method() != Method::POST {
            let mut response = text(405, "405 method not allowed, supported: [POST]");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let Some(encoding) = content_type.and_then(|value| Encoding::of(value.as_bytes())) else {
            self.intake.metrics.malformed(TRANSPORT, "content_type");
            return text(
                415,
                "415 unsupported media type, supported: [application/json, application/x-protobuf]",
            );
        };
        let Some(mut room) = self.intake.room() else {
            return self.unread(encoding, &BodyError::NoRoom);
        };
        let bytes = match self.read(&mut request, &mut room).await {
            Ok(bytes) => bytes,
            Err(error) => return self.unread(encoding, &error),
        };
        room.shrink(bytes.len());
        let data = match self.parse(encoding, bytes) {
            Ok(data) => data,
            Err((reason, message)) => {
                self.intake.metrics.malformed(TRANSPORT, reason);
                return refusal(
                    encoding,
                    400,
                    &Status::new(GrpcCode::InvalidArgument, message),
                );
            }
        };
        let peer = request.extensions().get::<Peer>();
        let metadata = of_sender(self.shared.include_metadata, request.headers(), peer);
        match self.intake.take(data, metadata).await {
            Outcome::Refused(refused) => self::refused(encoding, &refused),
            kept => answer(encoding, 200, encoding.success(self.signal, &kept)),
        }
    }

    async fn read(
        &self,
        request: &mut Request<Body>,
        room: &mut corten_net::admission::Reservation,
    ) -> Result<Bytes, BodyError> {
        let compression = body::Encoding::of(request.headers())?;
        let accepted = &self.shared.compression;
        let is_accepted = |name: &String| body::Encoding::from_name(name) == Some(compression);
        if !accepted.is_empty() && !accepted.iter().any(is_accepted) {
            return Err(BodyError::Encoding(compression.name().to_owned()));
        }
        body::read_capped(
            request.body_mut(),
            compression,
            &self.shared.limits,
            Some(room),
        )
        .await
    }

    fn parse(&self, encoding: Encoding, bytes: Bytes) -> Result<Data, (&'static str, String)> {
        match encoding {
            Encoding::Protobuf => Data::parse(self.signal, bytes)
                .map_err(|malformed| ("damaged_protobuf", malformed.to_string())),
            Encoding::Json => Data::from_json(self.signal, &bytes)
                .map_err(|malformed| ("damaged_json", malformed.to_string())),
        }
    }

    /// The answer to a request whose body was not taken.
    fn unread(&self, encoding: Encoding, error: &BodyError) -> Response<Body> {
        let code = match error {
            BodyError::NoRoom => {
                self.intake.metrics.shed(TRANSPORT);
                let status = Status::new(GrpcCode::ResourceExhausted, error.to_string());
                return refusal(encoding, 429, &status.after(RETRY_AFTER));
            }
            BodyError::TooLarge { .. } => GrpcCode::ResourceExhausted,
            BodyError::Stalled => GrpcCode::DeadlineExceeded,
            _ => GrpcCode::InvalidArgument,
        };
        self.intake.metrics.malformed(TRANSPORT, error.reason());
        refusal(
            encoding,
            error.http_status(),
            &Status::new(code, error.to_string()),
        )
    }
}

/// The answer to a request that the pipeline refused.
fn refused(encoding: Encoding, refused: &Refused) -> Response<Body> {
    let mut status = Status::new(refused.grpc_code(), refused.to_string());
    status.retry_after = delay(refused);
    refusal(encoding, refused.http_status(), &status)
}

fn refusal(encoding: Encoding, http_status: u16, status: &Status) -> Response<Body> {
    let mut response = answer(encoding, http_status, encoding.status(status));
    if let Some(delay) = status.retry_after
        && matches!(http_status, 429 | 503)
    {
        let seconds = HeaderValue::from(whole_seconds(delay));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn answer(encoding: Encoding, http_status: u16, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() =
        StatusCode::from_u16(http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(encoding.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
