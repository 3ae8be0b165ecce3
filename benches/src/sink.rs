//! Backends that count: as cheap as a server can be, so that the agent is what is measured.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What a sink has got.
#[derive(Default)]
pub(crate) struct Counts {
    /// Lines or spans.
    pub(crate) items: AtomicU64,
    /// Bytes on the wire.
    pub(crate) bytes: AtomicU64,
}

/// How the items of a body are counted.
pub(crate) type Count = fn(&[u8]) -> u64;

/// Starts a sink on a thread of its own; answers its port and its counts.
pub(crate) fn start(grpc: bool, count: Count) -> anyhow::Result<(u16, Arc<Counts>)> {
    let counts = Arc::new(Counts::default());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let kept = Arc::clone(&counts);
    std::thread::spawn(move || serve(listener, grpc, count, kept));
    Ok((port, counts))
}

/// Serves until the process ends.
pub(crate) fn serve(
    listener: std::net::TcpListener,
    grpc: bool,
    count: Count,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let counts = Arc::clone(&counts);
            #[expect(
                clippy::disallowed_methods,
                reason = "ends with the benchmark's process"
            )]
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let counts = Arc::clone(&counts);
                    async move { answer(request, grpc, count, &counts).await }
                });
                let io = TokioIo::new(stream);
                if grpc {
                    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    http.initial_stream_window_size(4 << 20)
                        .initial_connection_window_size(16 << 20)
                        .max_frame_size(64 << 10);
                    drop(http.serve_connection(io, service).await);
                } else {
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(io, service).await);
                }
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    grpc: bool,
    count: Count,
    counts: &Counts,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own requests")]
    let body = request.into_body().collect().await?.to_bytes();
    counts.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    counts.items.fetch_add(count(&body), Ordering::Relaxed);
    if !grpc {
        let mut response = Response::new(Empty::new().boxed());
        *response.status_mut() = hyper::StatusCode::NO_CONTENT;
        return Ok(response);
    }
    Ok(kept())
}

/// A call's answer: all of it was kept.
pub(crate) fn kept() -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    // An empty message: flags and length, all zero.
    let frames: [Result<Frame<Bytes>, Infallible>; 2] = [
        Ok(Frame::data(Bytes::from_static(&[0; 5]))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(Frames(frames.into_iter())).boxed();
    let mut response = Response::new(body);
    let grpc = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

/// Frames that are there already, as a stream.
struct Frames(std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>);

impl futures_util::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
