//! What is taken over HTTP, and what a sender hears.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{Batch, ClientMetadata, Consumer, GrpcCode, Next, Refused, async_trait};
use corten_net::admission::{Admission, Reservation};
use corten_net::body::{self, Body, BodyError, Limits};
use corten_net::listen::{Handler, Peer, text};
use corten_pdata::Traces;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::metadata::Metrics;
use crate::span::Malformed;
use crate::translate::Translator;
use crate::{json, protobuf};

/// How long a sender should wait when nobody downstream said how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How much of a refused request is read and forgotten for the sake of its answer.
const DISCARD: usize = 64 << 20;

/// `/api/v2/spans`, and whatever else is posted: proxies in front may put something before it, and the Collector asks as
/// little.
pub(crate) struct Service {
    pub(crate) next: Next,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) include_metadata: bool,
    /// The encodings that are accepted; all that are known when empty.
    pub(crate) compression: Arc<[String]>,
    pub(crate) parse_string_tags: bool,
}

/// How the spans of a request are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Protobuf,
}

impl Format {
    /// JSON is what senders mean that do not say, or say something else: the Collector takes it so too.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Some(Self::Json);
        };
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        let essence = essence.unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/x-protobuf") {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(b"application/x-thrift") {
            None
        } else {
            Some(Self::Json)
        }
    }
}

#[async_trait]
impl Handler for Service {
    async fn handle(&self, mut request: Request<Body>) -> Response<Body> {
        if request.method() != Method::POST {
            return only_post();
        }
        if request.uri().path().contains("api/v1/spans") {
            body::discard(request.version(), request.body_mut(), DISCARD).await;
            self.metrics.malformed("version_1");
            return text(
                410,
                "Zipkin's version 1 is not taken; make the sender write version 2 (JSON or protobuf) to /api/v2/spans",
            );
        }
        let Some(format) = Format::of(request.headers()) else {
            body::discard(request.version(), request.body_mut(), DISCARD).await;
            self.metrics.malformed("version_1");
            return text(
                415,
                "expected JSON or protobuf (application/x-protobuf); Thrift is Zipkin's version 1, which is not taken",
            );
        };
        let (bytes, mut room) = match self.read(&mut request).await {
            Ok(read) => read,
            Err(error) => {
                body::discard(request.version(), request.body_mut(), DISCARD).await;
                return self.unread(&error);
            }
        };
        let traces = match self.parse(format, &bytes) {
            Ok(traces) => traces,
            Err(malformed) => {
                self.metrics.malformed(malformed.reason());
                return text(400, malformed.to_string());
            }
        };
        drop(bytes);
        // What waits for the pipeline is the translation.
        room.shrink(traces.bytes_len());
        let peer = request.extensions().get::<Peer>();
        let metadata = self.metadata(request.headers(), peer);
        self.hand_on(traces, metadata).await
    }
}

impl Service {
    async fn read(&self, request: &mut Request<Body>) -> Result<(Bytes, Reservation), BodyError> {
        // One byte: with the room used up, not even a request without a declared length may come in.
        let mut room = self.admission.reserve(1).ok_or(BodyError::NoRoom)?;
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

    fn parse(&self, format: Format, bytes: &[u8]) -> Result<Traces, Malformed> {
        let mut translator = Translator::new(self.parse_string_tags);
        match format {
            Format::Json => json::read(bytes, |span| translator.add(span))?,
            Format::Protobuf => protobuf::read(bytes, |span| translator.add(span))?,
        }
        Ok(translator.finish())
    }

    async fn hand_on(&self, traces: Traces, metadata: Arc<ClientMetadata>) -> Response<Body> {
        if traces.is_empty() {
            return accepted();
        }
        let batch = Batch::new(traces).with_metadata(metadata);
        match self.next.consume(batch).await {
            Ok(()) => accepted(),
            Err(refused) => self::refused(&refused),
        }
    }

    /// What the pipeline hears of a sender: nothing, unless `include_metadata` is on.
    ///
    /// The sender's port is left out: it changes with every connection, and batches whose metadata differ are kept
    /// apart.
    fn metadata(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Arc<ClientMetadata> {
        if !self.include_metadata {
            return ClientMetadata::none();
        }
        let entries = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let metadata = ClientMetadata::from_entries(entries);
        Arc::new(match peer.and_then(|peer| peer.address) {
            Some(mut address) => {
                address.set_port(0);
                metadata.with_peer(address)
            }
            None => metadata,
        })
    }

    /// The answer to a request whose body was not taken.
    fn unread(&self, error: &BodyError) -> Response<Body> {
        if matches!(error, BodyError::NoRoom) {
            self.metrics.shed();
            return later(text(429, error.to_string()), RETRY_AFTER);
        }
        self.metrics.malformed(error.reason());
        text(error.http_status(), error.to_string())
    }
}

/// What Zipkin's server says when it has the spans.
fn accepted() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn only_post() -> Response<Body> {
    let mut response = text(405, "expected POST");
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// The answer to a request that the pipeline refused.
fn refused(refused: &Refused) -> Response<Body> {
    let status = refused.http_status();
    let response = text(status, refused.to_string());
    if !refused.is_retryable() || !matches!(status, 429 | 503) {
        return response;
    }
    let exhausted = refused.grpc_code() == GrpcCode::ResourceExhausted;
    match refused.delay().or(exhausted.then_some(RETRY_AFTER)) {
        Some(delay) => later(response, delay),
        None => response,
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
