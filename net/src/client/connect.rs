//! New connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::error::{ConnectError, SetupError, in_words};
use super::proxy::Proxies;
use crate::tls::ClientTls;

/// How long one connection may take to come about, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Where connections go.
pub(crate) enum Route {
    /// To the host and port of the request.
    ByUrl,
    /// The same, through the proxy that is meant for it, if one is.
    ByProxy(Arc<Proxies>),
    /// To this address, whatever host the request names: one of that host's.
    At(SocketAddr),
    /// To a socket of this machine, whatever the request says.
    Unix(PathBuf),
}

/// Makes connections for a pool.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    route: Route,
    tls: Option<Arc<ClientTls>>,
    /// Where to begin among several addresses of a name, so that connections spread.
    turn: AtomicUsize,
}

impl Connector {
    pub(crate) fn new(route: Route, tls: Option<ClientTls>) -> Self {
        Self::with(route, tls.map(Arc::new))
    }

    /// The same, to one of the host's addresses.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self::with(Route::At(address), self.0.tls.clone())
    }

    fn with(route: Route, tls: Option<Arc<ClientTls>>) -> Self {
        Self(Arc::new(Inner {
            route,
            tls,
            turn: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn read_certificates(&self) -> Result<(), SetupError> {
        let tls = self.0.tls.as_ref();
        tls.map_or(Ok(()), |tls| tls.read().map_err(SetupError::Tls))
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let words = |error: io::Error| ConnectError(in_words(&error));
        if let Route::Unix(path) = &self.route {
            return Ok(Stream::Unix(
                UnixStream::connect(path).await.map_err(words)?,
            ));
        }
        let encrypted = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let stream = match &self.route {
            Route::ByProxy(proxies) => match proxies.to(uri) {
                Some(proxy) => {
                    let (proxy_host, proxy_port) = proxy.address()?;
                    let reached = self.reach(&proxy_host, proxy_port).await;
                    let stream = reached.map_err(|error| {
                        ConnectError(format!("the proxy {proxy_host}:{proxy_port}: {error}"))
                    })?;
                    if !encrypted {
                        return Ok(Stream::Proxied(stream));
                    }
                    proxy.tunnel(stream, uri, port).await?
                }
                None => self.reach(host, port).await?,
            },
            Route::At(address) => reach_one(*address).await?,
            _ => self.reach(host, port).await?,
        };
        match &self.tls {
            Some(tls) if encrypted => {
                let stream = tls
                    .connect(host, stream)
                    .await
                    .map_err(|error| ConnectError(format!("no TLS connection: {error}")))?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            None if encrypted => Err(ConnectError("TLS is not set up for this client".to_owned())),
            _ => Ok(Stream::Tcp(stream)),
        }
    }

    /// Tries the addresses of a name one after the other.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| ConnectError(format!("{host} cannot be resolved: {error}")))?
            .collect();
        if addresses.is_empty() {
            return Err(ConnectError(format!("{host} has no address")));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
        addresses.rotate_left(turn);
        let mut last = ConnectError(String::new());
        for address in addresses {
            match reach_one(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn reach_one(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let words = |error: io::Error| ConnectError(in_words(&error));
    let stream = TcpStream::connect(address).await.map_err(words)?;
    // Requests are written whole; waiting for more only delays them.
    stream.set_nodelay(true).map_err(words)?;
    Ok(stream)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, inner.connect(&uri)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(ConnectError(format!("no connection within {CONNECT:?}"))),
            }
        })
    }
}

/// A connection to a server.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// To a proxy, which is told the whole URL.
    Proxied(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Proxied(_) => Connected::new().proxy(true),
            _ => Connected::new(),
        }
    }
}

macro_rules! each {
    ($stream:expr, $bound:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($bound) | Stream::Proxied($bound) => $call,
            Stream::Unix($bound) => $call,
            Stream::Tls($bound) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
