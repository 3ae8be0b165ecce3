//! The client's side of a unary call.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use corten_component::{ClientAuth, Context, GrpcCode};
use corten_config::settings::{self, Target};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::balance::{Backends, Names, Several};
use super::{Status, frame};
use crate::body::{Body, Decoder, Encoding, Limits};
use crate::client::{
    Cause, ClientError, Connector, MAX_RESPONSE, Route, SetupError, authenticator, complete,
    headers,
};
use crate::tls::{ClientTls, Http2};

/// Makes unary calls over HTTP/2: one connection to each of the server's addresses (with `balancer_name: pick_first` to one of
/// them), which is made when it is first needed and again when it is lost.
pub struct GrpcClient {
    backends: Backends,
    connector: Connector,
    scheme: &'static str,
    authority: String,
    headers: HeaderMap,
    auth: Option<Arc<dyn ClientAuth>>,
    timeout: Option<Duration>,
}

/// A message on its way out.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The message's bytes, in parts that are written one after the other and never copied together.
    pub parts: Vec<Bytes>,
    /// How the parts together are compressed (`gzip`, `zstd`, `snappy`); `None`: not at all.
    pub encoding: Option<&'static str>,
}

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The message, decompressed.
    pub message: Bytes,
    /// The headers that came before it.
    pub headers: HeaderMap,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The server said so.
    #[error("{address}: {status}")]
    Status {
        /// The server's address.
        address: String,
        /// What it said.
        status: Status,
    },
    /// There was no answer: trying again can help.
    #[error(transparent)]
    Transport(#[from] ClientError),
}

impl GrpcError {
    /// The status, as gRPC's own clients give it: without an answer `UNAVAILABLE`, or `DEADLINE_EXCEEDED` when it
    /// did not come in time.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Status { status, .. } => status.clone(),
            Self::Transport(error) => {
                let code = match error.cause {
                    Cause::Timeout(_) => GrpcCode::DeadlineExceeded,
                    Cause::Auth(_) => GrpcCode::Unauthenticated,
                    _ => GrpcCode::Unavailable,
                };
                Status::new(code, error.to_string())
            }
        }
    }

    /// Whether OTLP lets a client send the same request again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.code.is_retryable(status.retry_after.is_some()),
            Self::Transport(_) => true,
        }
    }
}

impl GrpcClient {
    /// A client of these settings; looks up the authenticator.
    ///
    /// # Errors
    ///
    /// What cannot be used, and where it stands in the settings.
    pub fn new(cx: &Context, settings: &settings::GrpcClient) -> Result<Self, SetupError> {
        Self::with(cx, settings, Names::system())
    }

    pub(super) fn with(
        cx: &Context,
        settings: &settings::GrpcClient,
        names: Names,
    ) -> Result<Self, SetupError> {
        let target = settings
            .target()
            .map_err(|error| SetupError::Endpoint(error.to_string()))?;
        let (authority, tls, route) = match target {
            Target::Tcp { authority, tls } => (authority, tls, Route::ByUrl),
            Target::Unix { path } => ("localhost".to_owned(), false, Route::Unix(path.into())),
        };
        let tls = tls
            .then(|| ClientTls::new(&settings.tls, Http2::Only))
            .transpose()
            .map_err(SetupError::Tls)?;
        let mut own = headers(&settings.headers)?;
        if !settings.user_agent.is_empty() {
            let agent = HeaderValue::from_str(&settings.user_agent);
            own.insert(
                header::USER_AGENT,
                agent.map_err(|_| SetupError::Header("user_agent".to_owned()))?,
            );
        }
        let keepalive = settings.keepalive.as_ref();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(
                keepalive
                    .and_then(|keepalive| keepalive.time.non_zero())
                    .unwrap_or(Duration::from_secs(20)),
            )
            .http2_keep_alive_timeout(
                keepalive
                    .and_then(|keepalive| keepalive.timeout.non_zero())
                    .unwrap_or(Duration::from_secs(10)),
            )
            .http2_keep_alive_while_idle(
                keepalive.is_some_and(|keepalive| keepalive.permit_without_stream),
            )
            .pool_idle_timeout(None);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let by_name = matches!(route, Route::ByUrl) && settings.balancer_name != "pick_first";
        let connector = Connector::new(route, tls);
        let several = authority
            .parse()
            .ok()
            .filter(|_| by_name)
            .and_then(|parsed| {
                let port = if scheme == "https" { 443 } else { 80 };
                let (builder, connector) = (builder.clone(), connector.clone());
                let make = move |address| builder.build(connector.at(address));
                Several::new(&parsed, port, names, cx.tasks().clone(), make)
            });
        let client = Self {
            backends: match several {
                Some(several) => Backends::Several(several),
                None => Backends::One(Box::new(builder.build(connector.clone()))),
            },
            connector,
            scheme,
            authority,
            headers: own,
            auth: authenticator(cx, settings.auth.as_ref())?,
            timeout: settings.timeout.non_zero(),
        };
        client.uri(&PathAndQuery::from_static("/")).map_err(|_| {
            SetupError::Endpoint(format!("'{}' is no host and port", client.authority))
        })?;
        Ok(client)
    }

    /// Reads the certificates that the settings name, for a component's `start`: the first connection does it
    /// otherwise.
    ///
    /// # Errors
    ///
    /// What cannot be read or used.
    pub fn read_certificates(&self) -> Result<(), SetupError> {
        self.connector.read_certificates()
    }

    /// The server's address, for messages.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.authority
    }

    fn uri(&self, path: &PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme)
            .authority(self.authority.as_str())
            .path_and_query(path.clone())
            .build()
    }

    /// Calls the method at `path`, such as `/opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    ///
    /// # Errors
    ///
    /// The server's status, or that it did not answer.
    pub async fn unary(&self, path: &PathAndQuery, message: Message) -> Result<Reply, GrpcError> {
        let refused = |code, text: String| GrpcError::Status {
            address: self.authority.clone(),
            status: Status::new(code, text),
        };
        let uri = self
            .uri(path)
            .map_err(|error| refused(GrpcCode::Internal, error.to_string()))?;
        let failed = |cause| GrpcError::Transport(ClientError::new(&uri, cause));
        let len = message.parts.iter().map(Bytes::len).sum();
        let frame = frame(len, message.encoding.is_some()).ok_or_else(|| {
            refused(
                GrpcCode::ResourceExhausted,
                "a message of 4 GiB or more".to_owned(),
            )
        })?;
        let mut headers = HeaderMap::with_capacity(8 + self.headers.len());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(
            "grpc-accept-encoding",
            HeaderValue::from_static("identity,gzip,zstd"),
        );
        if let Some(encoding) = message.encoding {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        if let Some(timeout) = self.timeout {
            headers.insert("grpc-timeout", grpc_timeout(timeout));
        }
        complete(&mut headers, &self.headers);
        if let Some(auth) = &self.auth {
            auth.sign(&mut headers)
                .map_err(|error| failed(Cause::Auth(error)))?;
        }
        let make = || {
            let parts = std::iter::once(frame.clone()).chain(message.parts.iter().cloned());
            let mut request = Request::new(Body::parts(parts));
            *request.method_mut() = http::Method::POST;
            *request.uri_mut() = uri.clone();
            *request.version_mut() = http::Version::HTTP_2;
            request.headers_mut().clone_from(&headers);
            request
        };
        let exchange = self.exchange(&make, &failed);
        let outcome = match self.timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(failed(Cause::Timeout(limit)))),
        };
        if let Err(GrpcError::Status { status, .. }) = &outcome
            && status.code == GrpcCode::Unauthenticated
            && let Some(auth) = &self.auth
        {
            auth.rejected();
        }
        outcome
    }

    /// Sends a request to the server whose turn it is; to the next one when that cannot be reached.
    async fn send(
        &self,
        make: &(dyn Fn() -> Request<Body> + Sync),
    ) -> Result<http::Response<Incoming>, Cause> {
        let several = match &self.backends {
            Backends::One(client) => {
                let sent = client.request(make()).await;
                return sent.map_err(|error| Cause::of(&error));
            }
            Backends::Several(several) => several,
        };
        let mut last = Cause::Connect("no address".to_owned());
        let backends = several.next().await?;
        for backend in &backends {
            match backend.client.request(make()).await {
                Ok(response) => return Ok(response),
                Err(error) => last = Cause::of(&error),
            }
            let Cause::Connect(why) = &mut last else {
                break;
            };
            if backends.len() > 1 {
                *why = format!("{}: {why}", backend.address);
            }
            several.failed(backend);
        }
        Err(last)
    }

    async fn exchange(
        &self,
        make: &(dyn Fn() -> Request<Body> + Sync),
        failed: &(dyn Fn(Cause) -> GrpcError + Sync),
    ) -> Result<Reply, GrpcError> {
        let refused = |status| GrpcError::Status {
            address: self.authority.clone(),
            status,
        };
        let response = self.send(make).await.map_err(failed)?;
        let (head, mut body) = response.into_parts();
        // An answer without a body says everything in its headers.
        if let Some(Some(status)) = Status::read(&head.headers) {
            return Err(refused(status));
        }
        if head.status != http::StatusCode::OK {
            let text = format!("expected gRPC, found HTTP status {}", head.status.as_u16());
            return Err(refused(Status::new(
                code_of_http(head.status.as_u16()),
                text,
            )));
        }
        let mut read = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(Cause::of(&error)))?;
            match frame.into_data() {
                Ok(data) => {
                    if read.len().saturating_add(data.len()) > MAX_RESPONSE {
                        let text = format!("the answer is larger than {MAX_RESPONSE} bytes");
                        return Err(refused(Status::new(GrpcCode::ResourceExhausted, text)));
                    }
                    read.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        match trailers
            .as_ref()
            .map_or_else(|| Status::read(&head.headers), Status::read)
        {
            Some(None) => {}
            Some(Some(status)) => return Err(refused(status)),
            None => {
                let text = "the answer has no grpc-status: is this a gRPC server?";
                return Err(refused(Status::new(GrpcCode::Internal, text)));
            }
        }
        let encoding = head
            .headers
            .get("grpc-encoding")
            .and_then(|name| name.to_str().ok());
        let message = unframe(read.freeze(), encoding)
            .map_err(|text| refused(Status::new(GrpcCode::Internal, text)))?;
        Ok(Reply {
            message,
            headers: head.headers,
        })
    }
}

impl std::fmt::Debug for GrpcClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrpcClient({}://{})", self.scheme, self.authority)
    }
}

/// The message within an answer's body.
fn unframe(mut body: Bytes, encoding: Option<&str>) -> Result<Bytes, String> {
    if body.len() < 5 {
        return Err("the answer has no message".to_owned());
    }
    let compressed = body.get_u8() == 1;
    let len = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
    if body.len() != len {
        return Err("the answer is cut off, or more than one message".to_owned());
    }
    if !compressed {
        return Ok(body);
    }
    let unpacked = Encoding::from_name(encoding.unwrap_or("?"))
        .ok_or_else(|| format!("unknown grpc-encoding {encoding:?}"))
        .and_then(|encoding| {
            let mut decoder = Decoder::new(encoding, &Limits::new(MAX_RESPONSE))
                .map_err(|error| error.to_string())?;
            decoder
                .push(&body, None)
                .map_err(|error| error.to_string())?;
            decoder.finish(None).map_err(|error| error.to_string())
        })?;
    Ok(unpacked)
}

/// `grpc-timeout`: at most eight digits and a unit.
fn grpc_timeout(timeout: Duration) -> HeaderValue {
    let micros = timeout.as_micros();
    let text = if micros < 100_000_000 {
        format!("{}u", micros.max(1))
    } else {
        format!("{}S", timeout.as_secs().min(99_999_999))
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("99999999S"))
}

/// gRPC's own table for answers that are none of its.
fn code_of_http(status: u16) -> GrpcCode {
    match status {
        400 => GrpcCode::Internal,
        401 => GrpcCode::Unauthenticated,
        403 => GrpcCode::PermissionDenied,
        404 => GrpcCode::Unimplemented,
        429 | 502..=504 => GrpcCode::Unavailable,
        _ => GrpcCode::Unknown,
    }
}
