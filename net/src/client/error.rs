//! Why a request got no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use corten_component::{BoxError, MissingExtension};
use http::Uri;

use crate::tls::TlsError;

/// Settings that no client can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Certificates or keys.
    #[error("tls: {0}")]
    Tls(TlsError),
    /// The authenticator.
    #[error("auth::authenticator: {0}")]
    Auth(MissingExtension),
    /// A header that HTTP does not allow.
    #[error("headers: '{0}' has a name or value that HTTP does not allow")]
    Header(String),
    /// The endpoint.
    #[error("endpoint: {0}")]
    Endpoint(String),
    /// The proxy.
    #[error("proxy_url: {0}")]
    Proxy(String),
}

/// A request without an answer: where it went, and why. Trying again can help, whatever the cause.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {cause}")]
pub struct ClientError {
    /// Scheme, host, port and path; no user information and no query, since both may hold secrets.
    pub url: String,
    /// Why.
    pub cause: Cause,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection: in words that a person knows.
    #[error("{0}")]
    Connect(String),
    /// The request could not be signed.
    #[error("credentials cannot be had now: {0}")]
    Auth(BoxError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was lost, or what came over it is no HTTP.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

impl ClientError {
    pub(crate) fn new(url: &Uri, cause: Cause) -> Self {
        let scheme = url.scheme_str().unwrap_or("http");
        let authority = url.authority().map_or("", http::uri::Authority::as_str);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let cause = match cause {
            // With TLS 1.3 a client knows itself connected before the server has looked at its certificate.
            Cause::Lost(words)
                if scheme == "https"
                    && (words.contains("broken pipe") || words.contains("reset")) =>
            {
                Cause::Lost(format!(
                    "{words} (so does a server that does not accept the client's certificate)"
                ))
            }
            cause => cause,
        };
        Self {
            url: format!("{scheme}://{host}{}", url.path()),
            cause,
        }
    }

    /// Whether the request may have reached the server all the same.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        matches!(self.cause, Cause::Timeout(_) | Cause::Lost(_))
    }
}

impl Cause {
    /// The innermost error of a chain, which is the one that says something.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(connect) = error.downcast_ref::<ConnectError>() {
                return Self::Connect(connect.0.clone());
            }
            innermost = error;
            next = error.source();
        }
        match innermost.downcast_ref::<io::Error>() {
            Some(error) => Self::Lost(in_words(error)),
            None => Self::Lost(innermost.to_string()),
        }
    }
}

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConnectError(pub(crate) String);

/// What the system said, without its number.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}
