//! Thrift over HTTP: `POST /api/traces`, a batch in the binary protocol.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{Refused, async_trait};
use corten_net::admission::Reservation;
use corten_net::body::{self, Body, BodyError, Limits};
use corten_net::listen::{Handler, Peer, text};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::intake::{Intake, RETRY_AFTER, delay, of_sender};
use crate::thrift::model;
use crate::translate::Translator;

const TRANSPORT: &str = "thrift_http";
/// How much of a refused request is read and forgotten for the sake of its answer.
const DISCARD: usize = 64 << 20;

/// `/api/traces`.
pub(crate) struct Service {
    pub(crate) intake: Arc<Intake>,
    pub(crate) limits: Limits,
    pub(crate) include_metadata: bool,
    /// The encodings that are accepted; all that are known when empty.
    pub(crate) compression: Arc<[String]>,
}

/// Whether the body is said to be Thrift.
fn is_thrift(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let essence = value.and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    let essence = essence.unwrap_or_default().trim_ascii();
    [
        b"application/x-thrift".as_slice(),
        b"application/vnd.apache.thrift.binary",
    ]
    .iter()
    .any(|known| essence.eq_ignore_ascii_case(known))
}

#[async_trait]
impl Handler for Service {
    async fn handle(&self, mut request: Request<Body>) -> Response<Body> {
        if request.method() != Method::POST {
            let mut response = text(405, "expected POST");
            let headers = response.headers_mut();
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let metrics = &self.intake.metrics;
        if !is_thrift(request.headers()) {
            body::discard(request.version(), request.body_mut(), DISCARD).await;
            metrics.malformed(TRANSPORT, "content_type");
            return text(
                400,
                "unsupported content type, expected application/x-thrift or application/vnd.apache.thrift.binary",
            );
        }
        let (bytes, mut room) = match self.read(&mut request).await {
            Ok(read) => read,
            Err(error) => {
                body::discard(request.version(), request.body_mut(), DISCARD).await;
                return self.unread(&error);
            }
        };
        let mut translator = Translator::default();
        if let Err(malformed) = model::read_batch(&bytes, &mut translator) {
            metrics.malformed(TRANSPORT, malformed.reason());
            return text(400, malformed.to_string());
        }
        drop(bytes);
        let traces = translator.finish();
        room.shrink(traces.bytes_len());
        let peer = request.extensions().get::<Peer>();
        let metadata = of_sender(self.include_metadata, request.headers(), peer);
        match self.intake.take(traces, metadata).await {
            Ok(()) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::ACCEPTED;
                response
            }
            Err(refused) => self::refused(&refused),
        }
    }
}

impl Service {
    async fn read(&self, request: &mut Request<Body>) -> Result<(Bytes, Reservation), BodyError> {
        let mut room = self.intake.room().ok_or(BodyError::NoRoom)?;
        let compression = body::Encoding::of(request.headers())?;
        let accepted = &self.compression;
        let is_accepted = |name: &String| body::Encoding::from_name(name) == Some(compression);
        if !accepted.is_empty() && !accepted.iter().any(is_accepted) {
            return Err(BodyError::Encoding(compression.name().to_owned()));
        }
        let bytes = body::read_capped(
            request.body_mut(),
            compression,
            &self.limits,
            Some(&mut room),
        )
        .await?;
        Ok((bytes, room))
    }

    /// The answer to a request whose body was not taken.
    fn unread(&self, error: &BodyError) -> Response<Body> {
        let metrics = &self.intake.metrics;
        if matches!(error, BodyError::NoRoom) {
            metrics.shed(TRANSPORT);
            return later(text(429, error.to_string()), RETRY_AFTER);
        }
        metrics.malformed(TRANSPORT, error.reason());
        text(error.http_status(), error.to_string())
    }
}

/// The answer to a request that the pipeline refused.
fn refused(refused: &Refused) -> Response<Body> {
    let status = refused.http_status();
    let response = text(status, refused.to_string());
    match delay(refused) {
        Some(delay) if matches!(status, 429 | 503) => later(response, delay),
        _ => response,
    }
}

/// `Retry-After` knows whole seconds alone; less than one would mean at once.
fn later(mut response: Response<Body>, delay: Duration) -> Response<Body> {
    let seconds = delay
        .as_secs()
        .saturating_add(u64::from(delay.subsec_nanos() > 0))
        .max(1);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
