//! Which component answers which path.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use parking_lot::RwLock;
use tokio_util::task::TaskTracker;

use crate::body::Body;

/// Answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request; [`Peer`](super::Peer) is among its extensions. The future is dropped when the
    /// client goes away.
    async fn handle(&self, request: Request<Body>) -> Response<Body>;

    /// Whether it answers browsers that ask with `OPTIONS` what a page may send, whatever methods its path is for.
    fn answers_preflights(&self) -> bool {
        false
    }
}

/// A handler made of a function.
pub fn handler<F, Fut>(function: F) -> Arc<dyn Handler>
where
    F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    struct Function<F>(F);

    #[async_trait]
    impl<F, Fut> Handler for Function<F>
    where
        F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        async fn handle(&self, request: Request<Body>) -> Response<Body> {
            (self.0)(request).await
        }
    }
    Arc::new(Function(function))
}

/// A plain text answer; a status that HTTP does not have becomes 500.
pub fn text(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// One component's part in a listener.
#[derive(Debug)]
pub(super) struct Share {
    /// Its settings' place in the configuration, for messages.
    pub(super) owner: String,
    pub(super) active: AtomicBool,
    pub(super) requests: TaskTracker,
}

impl Share {
    pub(super) fn new(owner: String) -> Arc<Self> {
        Arc::new(Self {
            owner,
            active: AtomicBool::new(false),
            requests: TaskTracker::new(),
        })
    }
}

#[derive(Clone)]
struct Route {
    /// Without the final `*` of a prefix.
    path: String,
    prefix: bool,
    /// All when empty.
    methods: Vec<Method>,
    handler: Arc<dyn Handler>,
    share: Arc<Share>,
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        if self.prefix {
            path.starts_with(&self.path)
        } else {
            path == self.path
        }
    }

    fn allows(&self, method: &Method) -> bool {
        // Whoever answers GET answers HEAD; the body is left out on the way.
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
            || (*method == Method::OPTIONS && self.handler.answers_preflights())
    }
}

/// The paths of one listener.
#[derive(Default)]
pub(super) struct Routes(RwLock<Arc<Vec<Route>>>);

impl Routes {
    /// Adds a path. The owner that serves it already, if there is one.
    pub(super) fn add(
        &self,
        share: &Arc<Share>,
        methods: &[Method],
        path: &str,
        handler: Arc<dyn Handler>,
    ) -> Result<(), String> {
        let (path, prefix) = match path.strip_suffix('*') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let mut routes = self.0.write();
        let taken = routes.iter().find(|route| {
            route.path == path
                && route.prefix == prefix
                && (route.methods.is_empty()
                    || methods.is_empty()
                    || route.methods.iter().any(|method| methods.contains(method)))
        });
        if let Some(taken) = taken {
            return Err(taken.share.owner.clone());
        }
        let mut next = Vec::clone(&routes);
        next.push(Route {
            path: path.to_owned(),
            prefix,
            methods: methods.to_vec(),
            handler,
            share: Arc::clone(share),
        });
        // The most particular first: exact paths, then the longest prefix.
        next.sort_by_key(|route| (route.prefix, std::cmp::Reverse(route.path.len())));
        *routes = Arc::new(next);
        Ok(())
    }

    pub(super) fn remove(&self, share: &Arc<Share>) {
        let mut routes = self.0.write();
        let mut next = Vec::clone(&routes);
        next.retain(|route| !Arc::ptr_eq(&route.share, share));
        *routes = Arc::new(next);
    }

    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let routes = Arc::clone(&self.0.read());
        let path = request.uri().path();
        let found = routes
            .iter()
            .find(|route| route.matches(path) && route.allows(request.method()));
        let Some(route) = found else {
            return nobody(&routes, &request);
        };
        let request_held = route.share.requests.token();
        if !route.share.active.load(Ordering::Acquire) {
            return not_running(&request);
        }
        let response = route.handler.handle(request).await;
        drop(request_held);
        response
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn not_running(request: &Request<Body>) -> Response<Body> {
    let message = "this component is not running now";
    if is_grpc(request) {
        return crate::grpc::refuse(&crate::grpc::Status::unavailable(message));
    }
    let mut response = text(503, message);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer when no route matches: 405 when the path exists for other methods, else 404 with the paths there are.
fn nobody(routes: &[Route], request: &Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    if is_grpc(request) {
        let status = crate::grpc::Status::new(
            corten_component::GrpcCode::Unimplemented,
            format!("unknown method {path}: no pipeline or component here serves it"),
        );
        return crate::grpc::refuse(&status);
    }
    let mut allowed: Vec<&str> = routes
        .iter()
        .filter(|route| route.matches(path))
        .flat_map(|route| route.methods.iter().map(Method::as_str))
        .collect();
    if !allowed.is_empty() {
        allowed.sort_unstable();
        allowed.dedup();
        let allowed = allowed.join(", ");
        let mut response = text(
            405,
            format!("405 method not allowed, supported: [{allowed}]\n"),
        );
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(header::ALLOW, value);
        }
        return response;
    }
    let mut page = String::from("404 page not found; served here:\n");
    let mut paths: Vec<(&str, bool)> = routes
        .iter()
        .map(|route| (route.path.as_str(), route.prefix))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    for (path, prefix) in paths {
        let end = if prefix { "*" } else { "" };
        page.extend([path, end, "\n"]);
    }
    text(404, page)
}
