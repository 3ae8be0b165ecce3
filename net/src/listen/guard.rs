//! What every answer of a server has in common: who may ask, and which headers are added.

use std::sync::Arc;

use async_trait::async_trait;
use corten_component::{Context, MissingExtension, ServerAuth};
use corten_config::settings::HttpServer;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use super::cors::Policy;
use super::routes::{Handler, text};
use crate::body::Body;

/// The part of an HTTP server's settings that belongs to every request: `auth`, `response_headers` and `cors`.
#[derive(Clone)]
pub struct Guard {
    auth: Option<Arc<dyn ServerAuth>>,
    headers: HeaderMap,
    pages: Option<Policy>,
}

impl Guard {
    /// The guard of these settings.
    ///
    /// # Errors
    ///
    /// The authenticator that they name is not running, or cannot check requests.
    pub fn new(cx: &Context, settings: &HttpServer) -> Result<Self, MissingExtension> {
        let authenticator = settings
            .auth
            .as_ref()
            .and_then(|auth| auth.authenticator.as_ref());
        let mut headers = HeaderMap::new();
        for (name, value) in settings.response_headers.iter() {
            // What HTTP cannot carry was refused when the configuration was read, or is left out.
            if let Ok(name) = HeaderName::try_from(name)
                && let Ok(value) = HeaderValue::from_str(value.expose())
            {
                headers.append(name, value);
            }
        }
        Ok(Self {
            auth: authenticator.map(|id| cx.server_auth(id)).transpose()?,
            headers,
            pages: settings.cors.as_ref().and_then(Policy::new),
        })
    }

    /// A handler that lets only those through to `handler` who may ask, and answers 401 to all others. Browsers ask
    /// beforehand what a page may send, and without credentials.
    #[must_use]
    pub fn wrap(&self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        let handler = if self.auth.is_none() && self.headers.is_empty() {
            handler
        } else {
            Arc::new(Guarded {
                guard: self.clone(),
                handler,
            })
        };
        match &self.pages {
            Some(pages) => pages.clone().wrap(handler),
            None => handler,
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard(auth: {})", self.auth.is_some())
    }
}

struct Guarded {
    guard: Guard,
    handler: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Guarded {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let denied = match &self.guard.auth {
            Some(auth) => auth.authenticate(request.headers()).err(),
            None => None,
        };
        let mut response = match denied {
            None => self.handler.handle(request).await,
            Some(denied) => {
                let mut response = text(401, denied.reason);
                if let Some(challenge) = denied.challenge {
                    response.headers_mut().insert(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static(challenge),
                    );
                }
                response
            }
        };
        for (name, value) in &self.guard.headers {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}
