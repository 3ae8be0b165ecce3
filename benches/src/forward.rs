//! The floor of OTLP in and out: a gRPC server that takes a request's bytes and sends them on as a client, nothing
//! else. The same HTTP/2 library, settings and kind of runtime as the agent has; nothing is copied together, looked at or
//! kept.

use std::convert::Infallible;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::sink;

type Parts = BoxBody<Bytes, Infallible>;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Everything on one thread, so that no byte crosses from core to core.
    #[arg(long)]
    one_thread: bool,
}

/// Serves until the process ends.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let port: u16 = std::env::var("CORTEN_BENCH_PORT")?.parse()?;
    let backend: u16 = std::env::var("CORTEN_BENCH_BACKEND")?.parse()?;
    let mut runtime = if args.one_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", backend)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .max_frame_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await?;
        #[expect(clippy::disallowed_methods, reason = "ends with its process")]
        tokio::spawn(async move { drop(connection.await) });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let sender = sender.clone();
            #[expect(clippy::disallowed_methods, reason = "ends with its process")]
            tokio::spawn(async move {
                let service = service_fn(move |request| forward(request, sender.clone(), backend));
                let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http.initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(16 << 20)
                    .max_frame_size(64 << 10);
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    })
}

async fn forward(
    request: Request<Incoming>,
    mut sender: SendRequest<Parts>,
    backend: u16,
) -> anyhow::Result<Response<Parts>> {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(Ok(Frame::data(frame?.into_data().unwrap_or_default())));
    }
    let request = Request::post(format!("http://127.0.0.1:{backend}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(futures_util::stream::iter(frames)).boxed())?;
    let response = sender.send_request(request).await?;
    #[expect(clippy::disallowed_methods, reason = "the answer is a few bytes")]
    let answer = response.into_body().collect().await?;
    let status = answer
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"));
    anyhow::ensure!(status.context("no grpc-status")? == "0", "refused");
    Ok(sink::kept())
}
