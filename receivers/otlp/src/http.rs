//! OTLP over HTTP, protobuf and JSON.

use std::sync::Arc;

use bytes::Bytes;
use corten_component::{GrpcCode, Refused, Signal, async_trait};
use corten_net::admission::{Connection, Reservation};
use corten_net::body::{self, Body, BodyError, Limits};
use corten_net::grpc::Status;
use corten_net::listen::{Handler, Peer, text};
use corten_pdata::Data;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::answer::{Encoding, whole_seconds};
use crate::intake::{Intake, Outcome, RETRY_AFTER, delay};
use crate::metadata::of_sender;

const TRANSPORT: &str = "http";
/// How much of a refused request is read and forgotten for the sake of its answer.
const DISCARD: usize = 64 << 20;

/// One signal's path, behind what lets requests in: [`Guard`](corten_net::listen::Guard).
pub(crate) struct Service {
    pub(crate) signal: Signal,
    pub(crate) intake: Arc<Intake>,
    pub(crate) limits: Limits,
    pub(crate) include_metadata: bool,
    /// The encodings that are accepted; all that are known when empty.
    pub(crate) compression: Arc<[String]>,
}

#[async_trait]
impl Handler for Service {
    async fn handle(&self, mut request: Request<Body>) -> Response<Body> {
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
        let room = self.intake.room().ok_or(BodyError::NoRoom);
        let read = match room {
            Ok(mut room) => self
                .read(&mut request, &mut room)
                .await
                .map(|bytes| (bytes, room)),
            Err(error) => Err(error),
        };
        let (bytes, mut room) = match read {
            Ok(read) => read,
            Err(error) => {
                body::discard(request.version(), request.body_mut(), DISCARD).await;
                return self.unread(encoding, &error);
            }
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
        let metadata = of_sender(self.include_metadata, request.headers(), peer);
        match self.intake.take(data, metadata).await {
            Outcome::Refused(refused) => self::refused(encoding, &refused),
            kept => answer(encoding, 200, encoding.success(self.signal, &kept)),
        }
    }
}

impl Service {
    async fn read(
        &self,
        request: &mut Request<Body>,
        room: &mut Reservation,
    ) -> Result<Bytes, BodyError> {
        let compression = body::Encoding::of(request.headers())?;
        let accepted = &self.compression;
        let is_accepted = |name: &String| body::Encoding::from_name(name) == Some(compression);
        if !accepted.is_empty() && !accepted.iter().any(is_accepted) {
            return Err(BodyError::Encoding(compression.name().to_owned()));
        }
        let declared = http_body::Body::size_hint(request.body()).exact();
        let declared = declared.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        // What is compressed takes several times its length. One beyond the limit is refused as such.
        let factor = if compression == body::Encoding::Identity {
            1
        } else {
            4
        };
        if let Some(len) = declared.filter(|len| *len <= self.limits.wire) {
            let connection = request.extensions().get::<Connection>().cloned();
            let bytes = len.saturating_mul(factor);
            room.turn(bytes, connection.as_ref()).await;
        }
        let limits = &self.limits;
        let body = body::read_capped(request.body_mut(), compression, limits, Some(room)).await?;
        Ok(room.keep_turn(body))
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
