//! Signing outgoing requests and checking incoming ones.

use http::HeaderMap;

use crate::BoxError;

/// Signs outgoing requests (extensions `basicauth`, `bearertokenauth`).
pub trait ClientAuth: Send + Sync {
    /// Puts the credentials into the headers (HTTP) or metadata (gRPC) of one request. Called for
    /// every attempt, so a rotated token is seen at the next one.
    ///
    /// # Errors
    ///
    /// Credentials cannot be had now (a token file that is gone); the attempt fails and is
    /// retried.
    fn sign(&self, headers: &mut HeaderMap) -> Result<(), BoxError>;

    /// Called when the server answered 401 or `UNAUTHENTICATED`: forget what is cached.
    fn rejected(&self) {}
}

/// Checks incoming requests.
pub trait ServerAuth: Send + Sync {
    /// Whether the request with these headers (HTTP) or metadata (gRPC) may come in.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what the client is told.
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Denied>;
}

/// The request carries no acceptable credentials: 401 or `UNAUTHENTICATED`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// What the client is told; never a secret.
    pub reason: String,
    /// Value for `WWW-Authenticate`, such as `Basic realm="corten"`.
    pub challenge: Option<&'static str>,
}
