//! Asks an HTTP server, as whom the settings say.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use corten_component::{BoxError, Context, SecretFile};
use corten_config::settings::HttpClient as Settings;
use corten_config::types::{Duration, Secret};
use corten_net::body::{Body, BodyError, Decoder, Encoding, Limits};
use corten_net::client::{HttpClient, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use crate::config::Access;

/// How often one is sent on, at most.
const REDIRECTS: usize = 10;

/// A text, or the file that has it.
enum Credential {
    Written(Secret),
    File(SecretFile),
}

impl Credential {
    fn new(written: &Secret, file: Option<&std::path::PathBuf>) -> Self {
        match file {
            Some(file) => Self::File(SecretFile::new(file)),
            None => Self::Written(written.clone()),
        }
    }

    fn read(&self) -> Result<Arc<str>, AskError> {
        match self {
            Self::Written(secret) => Ok(secret.expose().into()),
            Self::File(file) => Ok(file.read()?),
        }
    }
}

/// What `Authorization` says.
enum Identity {
    Basic(Credential, Credential),
    Other(String, Credential),
}

/// Asks servers of one kind.
pub(crate) struct Client {
    http: HttpClient,
    identity: Option<Identity>,
    headers: HeaderMap,
    follow: bool,
    /// Bytes of an answer, before and after decompression.
    largest: usize,
}

/// No answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Client(#[from] corten_net::client::ClientError),
    #[error("credentials: {0}")]
    Credentials(#[from] corten_component::SecretFileError),
    #[error("credentials hold what no header can")]
    NoHeader,
    #[error("server returned HTTP status {0}")]
    Status(u16),
    #[error("redirected more than {REDIRECTS} times")]
    Redirects,
    #[error("redirected to '{0}', which is no URL")]
    BadRedirect(String),
    #[error("body_size_limit: the answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("the answer cannot be decompressed: {0}")]
    Body(BodyError),
}

/// An answer, decompressed.
pub(crate) struct Answer {
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
    /// The body as it came, if that was compressed.
    pub(crate) packed: Option<Packed>,
}

/// A body as it came.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    encoding: Encoding,
    bytes: Bytes,
}

impl Packed {
    #[cfg(test)]
    pub(crate) fn new(encoding: Encoding, bytes: Bytes) -> Self {
        Self { encoding, bytes }
    }

    /// Unpacks it, to at most `largest` bytes.
    pub(crate) fn open(&self, largest: usize) -> Result<Bytes, BodyError> {
        let mut limits = Limits::new(largest);
        limits.wire = self.bytes.len();
        let mut decoder = Decoder::new(self.encoding, &limits)?;
        decoder.push(&self.bytes, None)?;
        decoder.finish(None)
    }
}

impl Client {
    /// A client that takes answers of `largest` bytes and is told how long to wait by dropping it. Reads nothing yet.
    pub(crate) fn new(cx: &Context, access: &Access, largest: usize) -> Result<Self, BoxError> {
        let mut settings = Settings {
            proxy_url: access.proxy_url.clone(),
            tls: access.tls_config.settings(),
            timeout: Duration::ZERO,
            force_attempt_http2: access.enable_http2,
            ..Settings::default()
        };
        // Prometheus's: an interval between scrapes is longer than a connection is kept elsewhere.
        settings.keepalive.idle_conn_timeout = Duration::from_secs(300);
        settings.keepalive.max_idle_conns = 1000;
        let http = if access.proxy_from_environment || !access.proxy_url.is_empty() {
            HttpClient::new(cx, &settings)?
        } else {
            HttpClient::direct(cx, &settings)?
        };
        let mut headers = HeaderMap::new();
        for (name, header) in &access.http_headers {
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("http_headers: '{name}' is no header's name"))?;
            let secrets = header.secrets.iter().map(|secret| (secret.expose(), true));
            let values = header.values.iter().map(|value| (value.as_str(), false));
            for (value, secret) in values.chain(secrets) {
                let mut value = HeaderValue::from_str(value)
                    .map_err(|_| format!("http_headers: a value of '{name}' cannot be sent"))?;
                value.set_sensitive(secret);
                headers.append(&key, value);
            }
        }
        let none = Secret::default();
        let identity = if let Some(basic) = &access.basic_auth {
            let name = Secret::new(basic.username.clone());
            Some(Identity::Basic(
                Credential::new(&name, basic.username_file.as_ref()),
                Credential::new(&basic.password, basic.password_file.as_ref()),
            ))
        } else if let Some(given) = &access.authorization {
            let credential = Credential::new(&given.credentials, given.credentials_file.as_ref());
            Some(Identity::Other(given.kind.trim().to_owned(), credential))
        } else if access.bearer_token.is_some() || access.bearer_token_file.is_some() {
            let token = access.bearer_token.as_ref().unwrap_or(&none);
            let credential = Credential::new(token, access.bearer_token_file.as_ref());
            Some(Identity::Other("Bearer".to_owned(), credential))
        } else {
            None
        };
        Ok(Self {
            http: http.with_max_response(largest.saturating_add(1)),
            identity,
            headers,
            follow: access.follow_redirects,
            largest,
        })
    }

    /// Reads the certificates that the settings name.
    pub(crate) fn read_certificates(&self) -> Result<(), BoxError> {
        Ok(self.http.read_certificates()?)
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, AskError> {
        let Some(identity) = &self.identity else {
            return Ok(None);
        };
        let text = match identity {
            Identity::Basic(name, password) => {
                let both = format!("{}:{}", name.read()?, password.read()?);
                format!("Basic {}", BASE64.encode(both))
            }
            Identity::Other(kind, credential) => format!("{kind} {}", credential.read()?),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| AskError::NoHeader)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// What is at `url`.
    ///
    /// # Errors
    ///
    /// No answer came, or one of no use.
    pub(crate) async fn get(&self, url: &Uri, headers: HeaderMap) -> Result<Answer, AskError> {
        let authorization = self.authorization()?;
        let mut url = url.clone();
        let asked = url.authority().cloned();
        for _ in 0..=REDIRECTS {
            let mut headers = headers.clone();
            for (name, value) in &self.headers {
                headers.append(name, value.clone());
            }
            // Whom one is sent on to is not who the credentials are for.
            if let Some(value) = &authorization
                && url.authority() == asked.as_ref()
            {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
            let response = self
                .http
                .send(Method::GET, &url, headers, Body::empty())
                .await?;
            let moved = matches!(response.status, 301 | 302 | 303 | 307 | 308);
            match response.headers.get(header::LOCATION) {
                Some(location) if moved && self.follow => url = resolve(&url, location)?,
                _ => return self.answer(response),
            }
        }
        Err(AskError::Redirects)
    }

    fn answer(&self, response: Response) -> Result<Answer, AskError> {
        if response.status != 200 {
            return Err(AskError::Status(response.status));
        }
        if response.body.len() > self.largest {
            return Err(AskError::TooLarge(self.largest));
        }
        let content_type = response.headers.get(header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let encoding = Encoding::of(&response.headers).map_err(AskError::Body)?;
        if encoding == Encoding::Identity {
            return Ok(Answer {
                content_type,
                body: response.body,
                packed: None,
            });
        }
        let packed = Packed {
            encoding,
            bytes: response.body,
        };
        match packed.open(self.largest) {
            Ok(body) => Ok(Answer {
                content_type,
                body,
                packed: Some(packed),
            }),
            Err(BodyError::TooLarge { limit, .. }) => Err(AskError::TooLarge(limit)),
            Err(error) => Err(AskError::Body(error)),
        }
    }
}

/// Where `location` is, seen from `base` (RFC 3986, section 5, without dots in paths).
fn resolve(base: &Uri, location: &HeaderValue) -> Result<Uri, AskError> {
    let bad = || AskError::BadRedirect(String::from_utf8_lossy(location.as_bytes()).into_owned());
    let location = location.to_str().map_err(|_| bad())?;
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let whole = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    whole.parse().map_err(|_| bad())
}
