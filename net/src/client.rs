//! Requests out, over HTTP/1.1 and HTTP/2.
//!
//! Connections are kept for the next request; every new one asks the name service again and tries the addresses in
//! turn. Headers are signed for every attempt, so a rotated token is seen at the next one. Answers are read up to
//! [`MAX_RESPONSE`]. Nothing is retried here, except a request that provably never left because its pooled connection
//! had been closed; retrying is for whoever knows what the answer means.

mod connect;
mod error;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use corten_component::{ClientAuth, Context};
use corten_config::settings;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub(crate) use connect::{Connector, Route};
pub use error::{Cause, ClientError, SetupError};

use crate::body::Body;
use crate::tls::{ClientTls, Http2};

/// What is read of an answer.
pub const MAX_RESPONSE: usize = 1 << 20;
/// Room that is made for an answer because it says that it is so long.
const PREPARED: usize = 16 << 20;

/// Sends HTTP requests.
pub struct HttpClient {
    inner: legacy::Client<Connector, Body>,
    connector: Connector,
    proxies: Arc<proxy::Proxies>,
    headers: HeaderMap,
    auth: Option<Arc<dyn ClientAuth>>,
    timeout: Option<Duration>,
    max_response: usize,
}

/// The answer to a request, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, cut off at [`MAX_RESPONSE`] or what the client was given in its place.
    pub body: Bytes,
}

impl Response {
    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How long `Retry-After` asks to wait: whole seconds, or until an HTTP date.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = httpdate::parse_http_date(value).ok()?;
        Some(
            at.duration_since(std::time::SystemTime::now())
                .unwrap_or_default(),
        )
    }
}

impl HttpClient {
    /// A client of these settings; looks up the authenticator.
    ///
    /// # Errors
    ///
    /// What cannot be used, and where it stands in the settings.
    pub fn new(cx: &Context, settings: &settings::HttpClient) -> Result<Self, SetupError> {
        let proxies = proxy::Proxies::new(&settings.proxy_url)?;
        Self::through(cx, settings, proxies)
    }

    /// The same without any proxy, whatever the environment says.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn direct(cx: &Context, settings: &settings::HttpClient) -> Result<Self, SetupError> {
        Self::through(cx, settings, proxy::Proxies::none())
    }

    fn through(
        cx: &Context,
        settings: &settings::HttpClient,
        proxies: proxy::Proxies,
    ) -> Result<Self, SetupError> {
        let proxies = Arc::new(proxies);
        let offer = if settings.force_attempt_http2 {
            Http2::Offered
        } else {
            Http2::Never
        };
        let tls = ClientTls::new(&settings.tls, offer).map_err(SetupError::Tls)?;
        let keepalive = settings.keeps_alive();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(keepalive.idle_conn_timeout.non_zero())
            .pool_max_idle_per_host(if keepalive.enabled {
                let per_host = match keepalive.max_idle_conns_per_host {
                    0 => keepalive.max_idle_conns,
                    per_host => per_host,
                };
                usize::try_from(per_host).unwrap_or(usize::MAX)
            } else {
                0
            });
        if let Some(idle) = settings.http2_read_idle_timeout.non_zero() {
            builder
                .http2_keep_alive_interval(idle)
                .http2_keep_alive_timeout(
                    settings
                        .http2_ping_timeout
                        .non_zero()
                        .unwrap_or(Duration::from_secs(15)),
                );
        }
        let connector = Connector::new(Route::ByProxy(Arc::clone(&proxies)), Some(tls));
        Ok(Self {
            inner: builder.build(connector.clone()),
            connector,
            proxies,
            headers: headers(&settings.headers)?,
            auth: authenticator(cx, settings.auth.as_ref())?,
            timeout: settings.timeout.non_zero(),
            max_response: MAX_RESPONSE,
        })
    }

    /// Reads answers up to `bytes`, in place of [`MAX_RESPONSE`].
    #[must_use]
    pub fn with_max_response(mut self, bytes: usize) -> Self {
        self.max_response = bytes;
        self
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

    /// Sends a body with `POST`. The settings' headers are added where `headers` has none of the name.
    ///
    /// # Errors
    ///
    /// No answer came; an answer of any status is `Ok`.
    pub async fn post(
        &self,
        url: &Uri,
        headers: HeaderMap,
        body: impl Into<Body>,
    ) -> Result<Response, ClientError> {
        self.send(Method::POST, url, headers, body.into()).await
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// No answer came; an answer of any status is `Ok`.
    pub async fn send(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, ClientError> {
        let failed = |cause| ClientError::new(url, cause);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        complete(request.headers_mut(), &self.headers);
        if let Some(credentials) = self.proxies.credentials(url) {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, credentials);
        }
        if let Some(auth) = &self.auth {
            auth.sign(request.headers_mut())
                .map_err(|error| failed(Cause::Auth(error)))?;
        }
        let exchange = async {
            let response = self
                .inner
                .request(request)
                .await
                .map_err(|error| failed(Cause::of(&error)))?;
            let (head, mut body) = response.into_parts();
            // As long as it says it is, within reason.
            let declared = http_body::Body::size_hint(&body)
                .exact()
                .unwrap_or_default();
            let declared = usize::try_from(declared).unwrap_or(usize::MAX);
            let mut read = BytesMut::with_capacity(declared.min(self.max_response).min(PREPARED));
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| failed(Cause::of(&error)))?;
                if let Ok(data) = frame.into_data() {
                    let left = self.max_response.saturating_sub(read.len());
                    read.extend_from_slice(data.get(..left).unwrap_or(&data));
                    if read.len() >= self.max_response {
                        break;
                    }
                }
            }
            Ok(Response {
                status: head.status.as_u16(),
                headers: head.headers,
                body: read.freeze(),
            })
        };
        let response = match self.timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(failed(Cause::Timeout(limit)))),
        }?;
        if response.status == 401
            && let Some(auth) = &self.auth
        {
            auth.rejected();
        }
        Ok(response)
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Adds `User-Agent` and the headers of the settings where the request has none of the name.
pub(crate) fn complete(request: &mut HeaderMap, settings: &HeaderMap) {
    for name in settings.keys() {
        if !request.contains_key(name) {
            for value in settings.get_all(name) {
                request.append(name, value.clone());
            }
        }
    }
    if !request.contains_key(header::USER_AGENT) {
        request.insert(
            header::USER_AGENT,
            HeaderValue::from_static(crate::USER_AGENT),
        );
    }
}

pub(crate) fn headers(settings: &settings::Headers) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in settings.iter() {
        let wrong = || SetupError::Header(name.to_owned());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

pub(crate) fn authenticator(
    cx: &Context,
    auth: Option<&settings::Auth>,
) -> Result<Option<Arc<dyn ClientAuth>>, SetupError> {
    auth.and_then(|auth| auth.authenticator.as_ref())
        .map(|id| cx.client_auth(id))
        .transpose()
        .map_err(SetupError::Auth)
}

#[cfg(test)]
mod tests;
