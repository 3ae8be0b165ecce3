//! The receiver's life.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_config::types::{ByteSize, Endpoint, Optional};
use corten_net::tls::ServerTls;
use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, SocketKind, Tcp, Udp, Unix};
use crate::drops::Drops;
use crate::frame::Framing;
use crate::metadata::{Metrics, observe_drops};
use crate::outlet::Outlet;
use crate::writer::Format;
use crate::{datagram, stream};

/// How long shutdown waits for what was read to be kept.
const DRAIN: Duration = Duration::from_secs(5);
/// How often operators are asked for what has waited long enough.
const TICK: Duration = Duration::from_millis(500);
/// A datagram through a socket in the file system may be longer than over UDP, but is read in a buffer of this size.
const DATAGRAM: usize = 64 << 10;

/// Takes syslog messages.
pub(crate) struct Syslog {
    cx: Context,
    config: Config,
    next: Next,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: CancellationToken,
    /// Closed when all have ended.
    over: mpsc::Receiver<()>,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "tests listen at ports that the system chooses")
    )]
    addresses: Vec<SocketAddr>,
    socket: Option<PathBuf>,
}

/// Where something could not listen.
#[derive(Debug, thiserror::Error)]
#[error("listen at {place}: {source}")]
struct ListenError {
    place: String,
    source: io::Error,
}

impl Syslog {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        Ok(Self {
            cx,
            config,
            next,
            running: Mutex::new(None),
        })
    }

    /// Where it listens, TCP first.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let running = self.running.lock();
        running
            .as_ref()
            .map(|running| running.addresses.clone())
            .unwrap_or_default()
    }

    async fn tcp(&self, tcp: &Tcp, to: &Services) -> Result<SocketAddr, BoxError> {
        let tls = match &tcp.tls {
            Optional::On(tls) => Some(Box::new(ServerTls::new(tls)?)),
            Optional::Off => None,
        };
        let (listener, address) =
            listen(tcp.listen_address.as_ref(), TcpListener::bind, |listener| {
                listener.local_addr()
            })
            .await?;
        let framing = if tcp.one_log_per_packet {
            Framing::Whole {
                limit: tcp.max_log_size.as_usize(),
            }
        } else {
            self.config.framing(tcp.max_log_size)
        };
        let service = to.stream(
            framing,
            [
                !tcp.preserve_leading_whitespaces,
                !tcp.preserve_trailing_whitespaces,
            ],
            tcp.max_connections,
        );
        let service = stream::Service {
            addresses: tcp.add_attributes,
            idle: tcp.idle_timeout.non_zero(),
            ..service
        };
        let listener = stream::Listener::Tcp(listener, tls);
        self.cx.tasks().spawn(
            "syslog tcp",
            stream::accept(self.cx.clone(), listener, service),
        );
        Ok(address)
    }

    async fn udp(&self, udp: &Udp, to: &Services) -> Result<SocketAddr, BoxError> {
        let (socket, address) = listen(udp.listen_address.as_ref(), UdpSocket::bind, |socket| {
            socket.local_addr()
        })
        .await?;
        // As much as the system allows.
        let size = udp.receive_buffer.as_usize();
        if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, size) {
            tracing::debug!(%error, "the size of the socket's buffer");
        }
        if let Some(drops) = Drops::of(&socket) {
            observe_drops(&self.cx, drops);
        }
        let service = datagram::Service {
            addresses: udp.add_attributes,
            ..to.datagram(
                [
                    !udp.preserve_leading_whitespaces,
                    !udp.preserve_trailing_whitespaces,
                ],
                !udp.one_log_per_packet,
                ByteSize::new(DATAGRAM as u64),
            )
        };
        let socket = datagram::Socket::Udp(socket);
        self.cx
            .tasks()
            .spawn("syslog udp", datagram::serve(socket, service));
        Ok(address)
    }

    fn unix(&self, unix: &Unix, to: &Services) -> Result<(), BoxError> {
        let failed = |source| ListenError {
            place: unix.path.display().to_string(),
            source,
        };
        match unix.kind {
            SocketKind::Stream => {
                let listener = in_place(&unix.path, UnixListener::bind).map_err(failed)?;
                let framing = self.config.framing(unix.max_log_size);
                let service = to.stream(framing, [true; 2], unix.max_connections);
                let listener = stream::Listener::Unix(listener);
                self.cx.tasks().spawn(
                    "syslog socket",
                    stream::accept(self.cx.clone(), listener, service),
                );
            }
            SocketKind::Datagram => {
                let socket = in_place(&unix.path, UnixDatagram::bind).map_err(failed)?;
                let service = to.datagram([true; 2], false, unix.max_log_size);
                let socket = datagram::Socket::Unix(socket);
                self.cx
                    .tasks()
                    .spawn("syslog socket", datagram::serve(socket, service));
            }
        }
        let mode = unix.mode().unwrap_or(0o660);
        std::fs::set_permissions(&unix.path, std::fs::Permissions::from_mode(mode))
            .map_err(failed)?;
        Ok(())
    }
}

/// What all listeners hand to those that serve.
struct Services {
    format: Arc<Format>,
    outlet: Arc<Outlet>,
    alive: mpsc::Sender<()>,
}

impl Services {
    fn stream(&self, framing: Framing, trim: [bool; 2], most: usize) -> stream::Service {
        stream::Service {
            format: Arc::clone(&self.format),
            outlet: Arc::clone(&self.outlet),
            framing,
            trim,
            addresses: false,
            idle: None,
            most,
            _alive: self.alive.clone(),
        }
    }

    fn datagram(&self, trim: [bool; 2], lines: bool, limit: ByteSize) -> datagram::Service {
        datagram::Service {
            format: Arc::clone(&self.format),
            outlet: Arc::clone(&self.outlet),
            trim,
            lines,
            addresses: false,
            limit: limit.as_usize(),
            alive: self.alive.clone(),
        }
    }
}

#[async_trait]
impl Component for Syslog {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let metrics = Arc::new(Metrics::new(&self.cx));
        let stop = CancellationToken::new();
        let retry = &self.config.retry_on_failure;
        let (alive, over) = mpsc::channel(1);
        let services = Services {
            format: Format::new(&self.cx, &self.config, Arc::clone(&metrics))?,
            outlet: Arc::new(Outlet {
                next: self.next.clone(),
                metrics,
                first_pause: retry.initial_interval.get(),
                longest_pause: retry.max_interval.get(),
                closing: self.cx.closing(),
                stop: stop.clone(),
                told: Mutex::new(None),
            }),
            alive,
        };
        let abandon = stop.clone().drop_guard();
        let mut addresses = Vec::new();
        if let Some(tcp) = self.config.tcp.as_ref() {
            addresses.push(("tcp", self.tcp(tcp, &services).await?));
        }
        if let Some(udp) = self.config.udp.as_ref() {
            addresses.push(("udp", self.udp(udp, &services).await?));
        }
        let mut socket = None;
        if let Some(unix) = self.config.unix.as_ref() {
            self.unix(unix, &services)?;
            socket = Some(unix.path.clone());
        }
        for (transport, address) in &addresses {
            tracing::info!(receiver = %self.cx.id(), transport, %address, "listening");
        }
        if services.format.has_operators() {
            self.cx
                .tasks()
                .spawn("syslog operators", let_go(services, stop.clone()));
        }
        abandon.disarm();
        *self.running.lock() = Some(Running {
            stop,
            over,
            addresses: addresses.into_iter().map(|(_, address)| address).collect(),
            socket,
        });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        let running = self.running.lock().take();
        if let Some(mut running) = running {
            running.stop.cancel();
            if let Some(path) = &running.socket
                && let Err(error) = std::fs::remove_file(path)
            {
                tracing::debug!(%error, "the socket's file could not be removed");
            }
            if timeout(DRAIN, running.over.recv()).await.is_err() {
                tracing::warn!("messages that were read are still on their way");
            }
        }
        Ok(())
    }
}

impl Receiver for Syslog {}

/// Sends what operators held for long enough; at the end everything.
async fn let_go(services: Services, stop: CancellationToken) {
    loop {
        let last = tokio::select! {
            () = tokio::time::sleep(TICK) => false,
            () = stop.cancelled() => true,
        };
        // Those that still read may add to what is held.
        while last && services.alive.strong_count() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(logs) = services.format.waited(last) {
            services.outlet.send(logs).await;
        }
        if last {
            return;
        }
    }
}

/// Binds the endpoint; all addresses of the machine when it has no host.
async fn listen<T, F: Future<Output = io::Result<T>>>(
    endpoint: Option<&Endpoint>,
    bind: impl Fn((String, u16)) -> F,
    local: impl Fn(&T) -> io::Result<SocketAddr>,
) -> Result<(T, SocketAddr), ListenError> {
    let none = Endpoint::new("localhost", 0);
    let endpoint = endpoint.unwrap_or(&none);
    let failed = |source| ListenError {
        place: endpoint.to_string(),
        source,
    };
    let bound = if endpoint.host().is_empty() {
        // An IPv6 socket takes IPv4 as well; machines without IPv6 have only the other.
        match bind(("::".to_owned(), endpoint.port())).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                bind(("0.0.0.0".to_owned(), endpoint.port())).await
            }
            bound => bound,
        }
    } else {
        bind((endpoint.host().to_owned(), endpoint.port())).await
    };
    let bound = bound.map_err(failed)?;
    let address = local(&bound).map_err(failed)?;
    Ok((bound, address))
}

/// Binds a socket in the file system, in place of one that nobody listens at any more.
fn in_place<'p, T>(path: &'p Path, bind: impl Fn(&'p Path) -> io::Result<T>) -> io::Result<T> {
    match bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            std::fs::remove_file(path)?;
            bind(path)
        }
        bound => bound,
    }
}

/// Whether nobody takes what is sent there, by either kind of socket.
fn is_dead(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let stream = std::os::unix::net::UnixStream::connect(path);
    let datagram =
        std::os::unix::net::UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    stream.is_err_and(refused) || datagram.is_err_and(refused)
}
