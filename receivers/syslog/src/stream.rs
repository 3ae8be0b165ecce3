//! Connections: TCP, TLS, and sockets in the file system.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corten_component::Context;
use corten_net::tls::ServerTls;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::frame::{Framer, Framing};
use crate::metadata::Event;
use crate::outlet::Outlet;
use crate::writer::{Ends, Format, Writer};

/// How long a message waits for others.
const LINGER: Duration = Duration::from_millis(100);
/// Bytes read at once.
const READ: usize = 16 << 10;
/// A handshake may take this long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an `accept` that failed: descriptors may be short for a while.
const BREATH: Duration = Duration::from_millis(100);
/// After so long without a word the system asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What accepts connections.
pub(crate) enum Listener {
    Tcp(TcpListener, Option<Box<ServerTls>>),
    Unix(UnixListener),
}

/// How connections of a listener are served.
pub(crate) struct Service {
    pub(crate) format: Arc<Format>,
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) framing: Framing,
    pub(crate) trim: [bool; 2],
    pub(crate) addresses: bool,
    pub(crate) idle: Option<Duration>,
    pub(crate) most: usize,
    /// Dropped with the last task that serves.
    pub(crate) _alive: mpsc::Sender<()>,
}

/// Tells connections apart.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Accepts until the receiver stops.
pub(crate) async fn accept(cx: Context, listener: Listener, service: Service) {
    let room = Arc::new(Semaphore::new(service.most));
    let service = Arc::new(service);
    let listener = Arc::new(listener);
    let stop = service.outlet.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = connection(&listener) => accepted,
            () = stop.cancelled() => return,
        };
        let socket = match accepted {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(BREATH).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            service.outlet.metrics.count(Event::ConnectionRefused, 1);
            continue;
        };
        let (service, listener) = (Arc::clone(&service), Arc::clone(&listener));
        cx.tasks().spawn("syslog connection", async move {
            let _permit = permit;
            let log = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            match socket {
                Socket::Unix(stream) => serve(stream, &service, Ends::unnamed(log)).await,
                Socket::Tcp(stream, peer) => {
                    let ends = if service.addresses {
                        Ends::addresses(log, "IP.TCP", peer, stream.local_addr().ok())
                    } else {
                        Ends::unnamed(log)
                    };
                    match &*listener {
                        Listener::Tcp(_, Some(tls)) => {
                            match timeout(HANDSHAKE, tls.accept(stream)).await {
                                Ok(Ok(stream)) => serve(stream, &service, ends).await,
                                Ok(Err(error)) => failed(&service, &peer, &error),
                                Err(_) => failed(&service, &peer, &"no handshake within 10s"),
                            }
                        }
                        _ => serve(stream, &service, ends).await,
                    }
                }
            }
        });
    }
}

fn failed(service: &Service, peer: &SocketAddr, error: &dyn std::fmt::Display) {
    service.outlet.metrics.count(Event::ConnectionFailed, 1);
    tracing::debug!(%peer, %error, "the handshake failed");
}

enum Socket {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

async fn connection(listener: &Listener) -> io::Result<Socket> {
    match listener {
        Listener::Tcp(listener, _) => {
            let (stream, peer) = listener.accept().await?;
            // A peer that is gone without a word would hold its place for ever.
            rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
            rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
            Ok(Socket::Tcp(stream, peer))
        }
        Listener::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
    }
}

/// Reads a connection to its end. While the pipeline has not taken what was read, nothing more is.
async fn serve(mut stream: impl AsyncRead + Unpin, service: &Service, ends: Ends) {
    let stop = service.outlet.stop.clone();
    let [start, end] = service.trim;
    let mut framer = Framer::new(service.framing);
    let mut writer = Writer::new(&service.format, start, end);
    let mut chunk = vec![0; READ];
    let mut due: Option<Instant> = None;
    loop {
        let idle = service.idle.map(|idle| Instant::now() + idle);
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = at(due) => {
                due = None;
                send(&mut writer, service).await;
                continue;
            }
            read = stream.read(&mut chunk) => read,
            () = at(idle) => break,
        };
        let Ok(len @ 1..) = read else {
            break;
        };
        let part = chunk.get(..len).unwrap_or_default();
        let framed = framer.feed(part, &mut |message, cut| writer.add(message, cut, &ends));
        if let Err(error) = framed {
            service.outlet.metrics.count(Event::ConnectionFailed, 1);
            tracing::warn!(%error, "a connection is closed");
            send(&mut writer, service).await;
            return;
        }
        if writer.is_full() {
            due = None;
            send(&mut writer, service).await;
        } else if due.is_none() && !writer.is_empty() {
            due = Some(Instant::now() + LINGER);
        }
    }
    framer.end(&mut |message, cut| writer.add(message, cut, &ends));
    send(&mut writer, service).await;
}

async fn send(writer: &mut Writer, service: &Service) {
    if let Some(logs) = writer.take() {
        service.outlet.send(logs).await;
    }
}

/// Resolves then, or never.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
