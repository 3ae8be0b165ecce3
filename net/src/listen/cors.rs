//! Requests from pages of other sites (the Fetch standard's CORS protocol).

use std::sync::Arc;

use async_trait::async_trait;
use corten_config::settings::Cors;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::routes::Handler;
use crate::body::Body;

/// What a page may send: the methods that Go's library of the same purpose allows when it is told of none.
const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::HEAD];

/// Which pages may send, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    settings: Cors,
}

impl Policy {
    /// `None` when no page may.
    pub(super) fn new(settings: &Cors) -> Option<Self> {
        (!settings.allowed_origins.is_empty()).then(|| Self {
            settings: settings.clone(),
        })
    }

    /// A handler that answers browsers' questions, and lets pages see what `handler` answers. It has to stand before
    /// whatever asks for credentials: browsers ask without any.
    pub(super) fn wrap(self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        Arc::new(Permitting {
            policy: self,
            handler,
        })
    }

    /// The answer to a browser's question whether it may send; `None` when this request is no such question.
    fn preflight(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let headers = request.headers();
        let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method() != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(
            header::VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        );
        let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let Some(origin) = self.allowed(headers) else {
            return Some(response);
        };
        let allows_method = METHODS.iter().any(|known| method == known.as_str());
        if !allows_method || wanted.is_some_and(|wanted| !self.allows_headers(wanted)) {
            return Some(response);
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        answer.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        if let Some(wanted) = wanted {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if self.settings.max_age > 0 {
            answer.insert(
                header::ACCESS_CONTROL_MAX_AGE,
                HeaderValue::from(self.settings.max_age),
            );
        }
        Some(response)
    }

    /// What lets the page see the answer to its request.
    fn permit(&self, origin: Option<HeaderValue>, response: &mut Response<Body>) {
        let answer = response.headers_mut();
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
            let exposed = self.settings.exposed_headers.join(", ");
            if !exposed.is_empty()
                && let Ok(exposed) = HeaderValue::from_str(&exposed)
            {
                answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            }
        }
    }

    /// The origin of a request, when it may send.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        let allowed = self
            .settings
            .allowed_origins
            .iter()
            .any(|pattern| matches(pattern, text));
        allowed.then(|| origin.clone())
    }

    /// Whether a page may send all these headers.
    fn allows_headers(&self, wanted: &HeaderValue) -> bool {
        const ALWAYS: [HeaderName; 5] = [
            header::ACCEPT,
            header::ACCEPT_LANGUAGE,
            header::CONTENT_LANGUAGE,
            header::CONTENT_TYPE,
            header::ORIGIN,
        ];
        let Ok(wanted) = wanted.to_str() else {
            return false;
        };
        wanted
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .all(|name| {
                ALWAYS
                    .iter()
                    .any(|always| name.eq_ignore_ascii_case(always.as_str()))
                    || self
                        .settings
                        .allowed_headers
                        .iter()
                        .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name))
            })
    }
}

struct Permitting {
    policy: Policy,
    handler: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Permitting {
    fn answers_preflights(&self) -> bool {
        true
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        if let Some(answer) = self.policy.preflight(&request) {
            return answer;
        }
        let origin = self.policy.allowed(request.headers());
        let mut response = self.handler.handle(request).await;
        self.policy.permit(origin, &mut response);
        response
    }
}

/// Whether an origin fits a pattern with at most one `*`.
fn matches(pattern: &str, origin: &str) -> bool {
    let (pattern, origin) = (pattern.to_ascii_lowercase(), origin.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((start, end)) => {
            origin.len() >= start.len() + end.len()
                && origin.starts_with(start)
                && origin.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new(&Cors {
            allowed_origins: vec![
                "https://*.example.com".to_owned(),
                "http://localhost:3000".to_owned(),
            ],
            allowed_headers: vec!["X-Scope-OrgID".to_owned()],
            exposed_headers: vec!["retry-after".to_owned()],
            max_age: 600,
        })
        .unwrap()
    }

    fn ask_for(method: &str, origin: &str, headers: &str) -> Response<Body> {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers)
            .body(Body::empty())
            .unwrap();
        policy().preflight(&request).unwrap()
    }

    fn ask(origin: &str, headers: &str) -> Response<Body> {
        ask_for("POST", origin, headers)
    }

    #[test]
    fn a_page_that_may_send_is_told_so() {
        let answer = ask("https://app.example.com", "content-type, x-scope-orgid");
        assert_eq!(answer.status(), 204);
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "https://app.example.com"
        );
        assert_eq!(
            answer.headers()["access-control-allow-headers"],
            "content-type, x-scope-orgid"
        );
        assert_eq!(answer.headers()["access-control-max-age"], "600");
        let answer = ask_for("GET", "https://app.example.com", "");
        assert_eq!(answer.headers()["access-control-allow-methods"], "GET");
        let answer = ask_for("DELETE", "https://app.example.com", "");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }

    #[test]
    fn all_others_are_not() {
        for (origin, headers) in [
            ("https://evil.com", "content-type"),
            ("https://example.com.evil.com", "content-type"),
            ("https://app.example.com", "authorization"),
            ("null", ""),
        ] {
            let answer = ask(origin, headers);
            assert!(
                !answer.headers().contains_key("access-control-allow-origin"),
                "{origin} {headers}"
            );
        }
        assert!(Policy::new(&Cors::default()).is_none());
    }

    #[test]
    fn patterns_fit_as_a_whole() {
        assert!(matches("*", "https://x"));
        assert!(matches("https://*.a.com", "https://b.a.com"));
        assert!(!matches("https://ab*ba", "https://aba"));
        assert!(!matches("https://a.com", "https://a.com.b"));
    }
}
