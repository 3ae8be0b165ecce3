//! The life of connections: accepting them, serving them, ending them.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use corten_component::Tasks;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::registry::Listen;
use super::routes::Routes;
use super::socket::{Peer, Socket, Stream};
use crate::admission::Connection;
use crate::body::Body;
use crate::tls::ServerTls;

/// What a sender may have on its way before it has to wait: a whole message of gRPC's default size fits a connection. What
/// requests that wait for their turn have sent lies here as well.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Fewer, larger frames: less work per byte.
const FRAME: u32 = 256 << 10;
/// Headers of one request, of both versions.
const HEADERS: usize = 32 << 10;
/// Requests under way on one connection where the configuration sets no bound.
const STREAMS: u32 = 256;

/// How connections are bounded; see [`Listen`].
#[derive(Clone, Debug)]
pub(super) struct Limits {
    connections: usize,
    header: Option<Duration>,
    idle: Option<Duration>,
    age: Option<(Duration, Option<Duration>)>,
    ping: Option<(Duration, Duration)>,
    streams: u32,
    keep_alive: bool,
}

impl From<&Listen> for Limits {
    fn from(listen: &Listen) -> Self {
        Self {
            connections: match listen.max_connections {
                0 => Semaphore::MAX_PERMITS,
                most => usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS),
            },
            header: listen.header_timeout,
            idle: listen.idle_timeout,
            age: listen.max_age,
            ping: listen.ping,
            streams: match listen.max_concurrent_streams {
                0 => STREAMS,
                streams => streams,
            },
            keep_alive: listen.keep_alive,
        }
    }
}

/// Everything that the connections of one listener share.
pub(super) struct Connections {
    /// Whose listener it is, for messages.
    owner: String,
    limits: Limits,
    tls: Option<ServerTls>,
    routes: Arc<Routes>,
    tasks: Tasks,
    kill: CancellationToken,
    builder: Builder<Streams>,
    handshakes: Handshakes,
}

/// How often clients that cannot speak TLS with us are told of.
const TELL: Duration = Duration::from_secs(60);

/// Tells of handshakes that failed: an operator who mixed up certificates has nothing else to go by.
#[derive(Default)]
struct Handshakes(Mutex<(Option<Instant>, u64)>);

impl Handshakes {
    fn failed(&self, owner: &str, peer: Option<SocketAddr>, error: &io::Error) {
        // Probes connect and go away without a word.
        if error.kind() == io::ErrorKind::UnexpectedEof || is_the_clients(error) {
            tracing::debug!(component = owner, ?peer, %error, "no TLS connection");
            return;
        }
        let mut told = self.0.lock();
        if told.0.is_some_and(|at| at.elapsed() < TELL) {
            told.1 += 1;
            return;
        }
        let suppressed = std::mem::take(&mut told.1);
        told.0 = Some(Instant::now());
        drop(told);
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        tracing::warn!(component = owner, peer, %error, suppressed, "no TLS connection");
    }
}

/// Runs the streams of HTTP/2 connections among the tasks of the listener.
#[derive(Clone, Default)]
struct Streams(TaskTracker);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

impl Connections {
    pub(super) fn new(
        owner: String,
        limits: Limits,
        tls: Option<ServerTls>,
        routes: Arc<Routes>,
        tasks: Tasks,
        kill: CancellationToken,
    ) -> Arc<Self> {
        let mut builder = Builder::new(Streams::default());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Our own clock, below, knows idle connections from slow ones.
            .header_read_timeout(None)
            .keep_alive(limits.keep_alive)
            .max_buf_size(HEADERS.max(64 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(HEADERS).unwrap_or(u32::MAX));
        if let Some((interval, timeout)) = limits.ping {
            builder
                .http2()
                .keep_alive_interval(interval)
                .keep_alive_timeout(timeout);
        }
        Arc::new(Self {
            owner,
            handshakes: Handshakes::default(),
            limits,
            tls,
            routes,
            tasks,
            kill,
            builder,
        })
    }

    /// Accepts until the listener is shut down. No error ends it: what one client or a lack of file descriptors
    /// causes must not close the door for all.
    pub(super) async fn accept(self: Arc<Self>, socket: Socket) {
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        let mut stopping = pin!(self.tasks.stopping());
        let mut failing = false;
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, socket.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                biased;
                () = &mut stopping => return,
                next = next => next,
            };
            let Ok(permit) = permit else { return };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    let connection = Arc::clone(&self).serve(stream, peer, permit);
                    self.tasks.spawn("connection", connection);
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "connections cannot be accepted now");
                    }
                    failing = true;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: Stream,
        address: Option<SocketAddr>,
        permit: OwnedSemaphorePermit,
    ) {
        let peer = Peer {
            address,
            tls: self.tls.is_some(),
        };
        let killed = self.kill.clone();
        let served = async {
            match &self.tls {
                None => self.speak(stream, peer).await,
                Some(tls) => {
                    let patience = self.limits.header.unwrap_or(Duration::from_secs(60));
                    match tokio::time::timeout(patience, tls.accept(stream)).await {
                        Ok(Ok(stream)) => self.speak(stream, peer).await,
                        Ok(Err(error)) => self.handshakes.failed(&self.owner, address, &error),
                        Err(_) => tracing::debug!(?address, "no TLS connection in time"),
                    }
                }
            }
        };
        tokio::select! {
            () = killed.cancelled() => {}
            () = served => {}
        }
        drop(permit);
    }

    async fn speak<IO>(&self, stream: IO, peer: Peer)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let (routes, watched) = (Arc::clone(&self.routes), Arc::clone(&activity));
        let connection = Connection::default();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let (routes, busy) = (Arc::clone(&routes), Busy::begin(&watched));
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(connection.clone());
            async move {
                let response = routes.answer(request.map(Body::incoming)).await;
                drop(busy);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let io = TokioIo::new(Watched {
            io: stream,
            activity: Arc::clone(&activity),
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut stopping = pin!(self.tasks.stopping());
        let mut draining = false;
        let mut clock = pin!(tokio::time::sleep_until(activity.next_look(&self.limits)));
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = ?peer.address, %error, "a connection ended with an error");
                    }
                    return;
                }
                () = &mut stopping, if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut clock => {
                    match activity.verdict(&self.limits) {
                        Verdict::Keep => {}
                        Verdict::Drain if draining => {}
                        Verdict::Drain => {
                            draining = true;
                            connection.as_mut().graceful_shutdown();
                        }
                        Verdict::Cut => return,
                    }
                    clock.as_mut().reset(activity.next_look(&self.limits));
                }
            }
        }
    }
}

/// Whether an accept failed because the client went away, which says nothing about the next one.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// What the clock of a connection has to know.
struct Activity {
    began: Instant,
    requests: AtomicUsize,
    /// Milliseconds from `began` to the end of the last request.
    idle_since: AtomicU64,
    /// Milliseconds from `began` to the first byte after that, plus one; 0: none yet.
    head_since: AtomicU64,
    bytes: AtomicU64,
    /// The bytes so far are an HTTP/2 preface, whole or in part.
    preface: AtomicBool,
}

enum Verdict {
    Keep,
    Drain,
    Cut,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            preface: AtomicBool::new(true),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn read(&self, bytes: &[u8]) {
        let before = self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(expected) = usize::try_from(before)
            .ok()
            .and_then(|before| PREFACE.get(before..))
        {
            let compared = expected.len().min(bytes.len());
            if expected.get(..compared) != bytes.get(..compared) {
                self.preface.store(false, Ordering::Relaxed);
            }
        }
        if self.requests.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
        {
            self.head_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Whether it is an HTTP/2 connection that has been set up. Its frames are no sign of a request's headers.
    fn is_http2(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= PREFACE.len() as u64
            && self.preface.load(Ordering::Relaxed)
    }

    fn verdict(&self, limits: &Limits) -> Verdict {
        let now = self.now();
        let older = |since: u64, limit: Option<Duration>| {
            limit.is_some_and(|limit| u128::from(now.saturating_sub(since)) >= limit.as_millis())
        };
        if self.requests.load(Ordering::Relaxed) == 0 {
            let head = self.head_since.load(Ordering::Relaxed);
            let idle = self.idle_since.load(Ordering::Relaxed);
            // A connection's first request has to come in time; later ones once they have begun.
            let slow = if head > 0 {
                older(head - 1, limits.header)
            } else {
                idle == 0 && older(0, limits.header)
            };
            if slow && !self.is_http2() {
                return Verdict::Cut;
            }
            if older(idle, limits.idle) {
                return Verdict::Drain;
            }
        }
        match limits.age {
            Some((age, Some(grace))) if older(0, Some(age.saturating_add(grace))) => Verdict::Cut,
            Some((age, _)) if older(0, Some(age)) => Verdict::Drain,
            _ => Verdict::Keep,
        }
    }

    /// When the verdict can next be another one.
    fn next_look(&self, limits: &Limits) -> Instant {
        let at = |ms: u64, after: Duration| self.began + Duration::from_millis(ms) + after;
        let now = Instant::now();
        let idle = self.idle_since.load(Ordering::Relaxed);
        let head = self.head_since.load(Ordering::Relaxed).max(1) - 1;
        let deadlines = [
            limits.header.map(|limit| at(head, limit)),
            limits.idle.map(|limit| at(idle, limit)),
            limits.age.map(|(age, _)| at(0, age)),
            limits
                .age
                .and_then(|(age, grace)| grace.map(|grace| at(0, age.saturating_add(grace)))),
        ];
        let next = deadlines.into_iter().flatten().filter(|at| *at > now).min();
        // What has passed without a verdict (a request is under way, say) is looked at again after as long.
        let again = [limits.header, limits.idle].into_iter().flatten().min();
        let again = now
            + again
                .unwrap_or(Duration::from_secs(3600))
                .max(Duration::from_millis(50));
        next.map_or(again, |next| next.min(again))
    }
}

/// A request under way.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0
            .idle_since
            .store(self.0.now().max(1), Ordering::Relaxed);
        self.0.head_since.store(0, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the clock what is read.
struct Watched<IO> {
    io: IO,
    activity: Arc<Activity>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(new) = buf.filled().get(before..)
            && !new.is_empty()
        {
            self.activity.read(new);
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
