//! Who listens where.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use corten_component::{Context, Tasks};
use corten_config::settings::{GrpcServer, HttpServer, TlsServer};
use http::Method;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::connection::{Connections, Limits};
use super::routes::{Handler, Routes, Share};
use super::socket::Socket;
use crate::tls::ServerTls;

/// How long connections may take to send what is left of their answers once every request has its answer.
const DRAIN: Duration = Duration::from_secs(5);

/// What a component wants of its listener.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// The key beside the other settings that says so, for messages: `endpoint`.
    pub key: &'static str,
    /// Encrypted, or not.
    pub tls: Option<TlsServer>,
    /// Connections at the same time; more wait to be accepted. 0: no limit.
    pub max_connections: u32,
    /// How long a connection may take from its first byte (or, the first time, from its beginning) until a request's
    /// headers are complete.
    pub header_timeout: Option<Duration>,
    /// How long a connection may be without a request.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may become, and how long requests under way may still take then.
    pub max_age: Option<(Duration, Option<Duration>)>,
    /// When an HTTP/2 client is asked whether it is still there, and how long it may take to answer.
    pub ping: Option<(Duration, Duration)>,
    /// Requests under way on one HTTP/2 connection. 0: the server's own limit.
    pub max_concurrent_streams: u32,
    /// Whether an HTTP/1 connection may carry several requests.
    pub keep_alive: bool,
}

impl From<&HttpServer> for Listen {
    fn from(settings: &HttpServer) -> Self {
        Self {
            address: Address::tcp(&settings.endpoint, settings.transport),
            key: "endpoint",
            tls: settings.tls.as_ref().cloned(),
            max_connections: settings.max_connections,
            header_timeout: settings.read_header_timeout.non_zero(),
            idle_timeout: settings.idle(),
            max_age: None,
            ping: Some((Duration::from_secs(7200), Duration::from_secs(20))),
            max_concurrent_streams: 0,
            keep_alive: settings.keeps_alive(),
        }
    }
}

impl From<&GrpcServer> for Listen {
    fn from(settings: &GrpcServer) -> Self {
        let keepalive = &settings.keepalive.server_parameters;
        let or = |duration: corten_config::types::Duration, default: u64| {
            duration.non_zero().unwrap_or(Duration::from_secs(default))
        };
        Self {
            address: Address::tcp(&settings.endpoint, settings.transport),
            key: "endpoint",
            tls: settings.tls.as_ref().cloned(),
            max_connections: settings.max_connections,
            // gRPC's own limit for setting up a connection.
            header_timeout: Some(Duration::from_secs(120)),
            idle_timeout: keepalive.max_connection_idle.non_zero(),
            max_age: keepalive
                .max_connection_age
                .non_zero()
                .map(|age| (age, keepalive.max_connection_age_grace.non_zero())),
            ping: Some((or(keepalive.time, 7200), or(keepalive.timeout, 20))),
            max_concurrent_streams: settings.max_concurrent_streams,
            keep_alive: true,
        }
    }
}

/// Why a component cannot have its listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another component listens there with other certificates.
    #[error(
        "{owner}::tls: {address} is shared with {other}, whose tls differs: make them equal or change one endpoint"
    )]
    TlsDiffers {
        /// The settings' place in the configuration.
        owner: String,
        /// The other component's.
        other: String,
        /// The address.
        address: Address,
    },
    /// Another component serves the path there.
    #[error(
        "{owner}: {path} at {address} is served by {other} already: change the path or the endpoint of one of them"
    )]
    PathTaken {
        /// The settings' place in the configuration.
        owner: String,
        /// The other component's.
        other: String,
        /// The path.
        path: String,
        /// The address.
        address: Address,
    },
    /// Another process listens there, or another component at an address that includes this one.
    #[error("{address}: address already in use: another {by}; change {setting} or stop it")]
    InUse {
        /// The setting's place in the configuration.
        setting: String,
        /// The address.
        address: Address,
        /// Who.
        by: String,
    },
    /// The system forbids it.
    #[error(
        "{address}: permission denied: ports below 1024 need CAP_NET_BIND_SERVICE; change {setting}"
    )]
    Forbidden {
        /// The setting's place in the configuration.
        setting: String,
        /// The address.
        address: Address,
    },
    /// The machine does not have the address.
    #[error("{address}: no interface of this machine has this address; change {setting}")]
    NotHere {
        /// The setting's place in the configuration.
        setting: String,
        /// The address.
        address: Address,
    },
    /// Certificates or keys cannot be used.
    #[error("{owner}::tls: {source}")]
    Tls {
        /// The settings' place in the configuration.
        owner: String,
        /// What is wrong with them.
        source: crate::tls::TlsError,
    },
    /// Anything else.
    #[error("{setting}: {address}: {source}")]
    Io {
        /// The setting's place in the configuration.
        setting: String,
        /// The address.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

/// The listeners of one run.
#[derive(Default)]
pub struct Listeners(Known);

type Known = Arc<Mutex<Vec<Arc<Shared>>>>;

struct Shared {
    listen: Listen,
    first: String,
    routes: Arc<Routes>,
    state: tokio::sync::Mutex<State>,
    local: Mutex<Option<SocketAddr>>,
}

#[derive(Default)]
struct State {
    users: usize,
    bound: Option<Bound>,
}

struct Bound {
    tasks: Tasks,
    /// Ends connections that have not ended by themselves.
    kill: CancellationToken,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.tasks.stop();
        self.kill.cancel();
    }
}

impl Listeners {
    /// No listener yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The listeners of the run that `cx` belongs to.
    #[must_use]
    pub fn of(cx: &Context) -> Arc<Self> {
        cx.services().get_or_insert_with(Self::new)
    }

    /// A part in the listener of these settings, which stand at `within` in the component's configuration
    /// (`protocols::http`; empty when they are the configuration itself).
    ///
    /// # Errors
    ///
    /// Another component listens at the same address in another way.
    pub fn http(
        &self,
        cx: &Context,
        within: &str,
        settings: &HttpServer,
    ) -> Result<Listener, ListenError> {
        self.listen(place(cx, within), Listen::from(settings))
    }

    /// The same for a gRPC server.
    ///
    /// # Errors
    ///
    /// Another component listens at the same address in another way.
    pub fn grpc(
        &self,
        cx: &Context,
        within: &str,
        settings: &GrpcServer,
    ) -> Result<Listener, ListenError> {
        self.listen(place(cx, within), Listen::from(settings))
    }

    /// A part in a listener; `owner` is the settings' place in the configuration, for messages.
    ///
    /// # Errors
    ///
    /// Another component listens at the same address in another way.
    pub fn listen(&self, owner: String, listen: Listen) -> Result<Listener, ListenError> {
        let (address, key) = (listen.address.clone(), listen.key);
        let mut all = self.0.lock();
        let same = all
            .iter()
            .find(|shared| listen.address.is_shared() && shared.listen.address == listen.address);
        let shared = match same {
            Some(shared) if shared.listen.tls != listen.tls => {
                return Err(ListenError::TlsDiffers {
                    owner,
                    other: shared.first.clone(),
                    address: listen.address,
                });
            }
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(Shared {
                    listen,
                    first: owner.clone(),
                    routes: Arc::default(),
                    state: tokio::sync::Mutex::default(),
                    local: Mutex::default(),
                });
                all.push(Arc::clone(&shared));
                shared
            }
        };
        Ok(Listener {
            known: Arc::clone(&self.0),
            shared,
            share: Share::new(owner),
            address,
            key,
        })
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.0.lock();
        f.debug_list()
            .entries(all.iter().map(|shared| &shared.listen.address))
            .finish()
    }
}

fn place(cx: &Context, within: &str) -> String {
    let (section, id) = (cx.kind().plural(), cx.id());
    if within.is_empty() {
        format!("{section}::{id}")
    } else {
        format!("{section}::{id}::{within}")
    }
}

/// A component's part in a listener. Its paths go with it when it is dropped.
pub struct Listener {
    known: Known,
    shared: Arc<Shared>,
    share: Arc<Share>,
    /// As this component has written it, and under which key.
    address: Address,
    key: &'static str,
}

impl Listener {
    /// Lets `handler` answer `methods` (empty: all of them) at `path`; a path that ends in `*` means everything that
    /// begins so. The exact path wins over a prefix, and the longer prefix over the shorter. May be called at any time.
    ///
    /// # Errors
    ///
    /// The path has its handler already.
    pub fn route(
        &self,
        methods: &[Method],
        path: &str,
        handler: Arc<dyn Handler>,
    ) -> Result<(), ListenError> {
        self.shared
            .routes
            .add(&self.share, methods, path, handler)
            .map_err(|other| ListenError::PathTaken {
                owner: self.share.owner.clone(),
                other,
                path: path.to_owned(),
                address: self.shared.listen.address.clone(),
            })
    }

    /// Begins to answer; binds the socket unless another component has done so.
    ///
    /// # Errors
    ///
    /// The socket cannot be bound, or its certificates cannot be read.
    pub async fn start(&self) -> Result<(), ListenError> {
        let mut state = self.shared.state.lock().await;
        if self.share.active.load(Ordering::Acquire) {
            return Ok(());
        }
        if state.bound.is_none() {
            state.bound = Some(self.bind().await?);
        }
        state.users += 1;
        self.share.requests.reopen();
        self.share.active.store(true, Ordering::Release);
        Ok(())
    }

    async fn bind(&self) -> Result<Bound, ListenError> {
        let listen = &self.shared.listen;
        let owner = || self.share.owner.clone();
        let tls = listen
            .tls
            .as_ref()
            .map(ServerTls::new)
            .transpose()
            .map_err(|source| ListenError::Tls {
                owner: owner(),
                source,
            })?;
        let socket = Socket::bind(&listen.address)
            .await
            .map_err(|source| self.bind_error(source))?;
        let local = socket.local_addr();
        *self.shared.local.lock() = local;
        let bound = Bound {
            tasks: Tasks::new(),
            kill: CancellationToken::new(),
        };
        let connections = Connections::new(
            owner(),
            Limits::from(listen),
            tls,
            Arc::clone(&self.shared.routes),
            bound.tasks.clone(),
            bound.kill.clone(),
        );
        bound.tasks.spawn("listener", connections.accept(socket));
        match local {
            Some(local) => {
                tracing::info!(component = self.share.owner, address = %local, "listening");
            }
            None => {
                tracing::info!(component = self.share.owner, address = %listen.address, "listening");
            }
        }
        Ok(bound)
    }

    fn bind_error(&self, source: io::Error) -> ListenError {
        let setting = format!("{}::{}", self.share.owner, self.key);
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse {
                by: self
                    .holder()
                    .unwrap_or_else(|| "process listens there".to_owned()),
                setting,
                address,
            },
            io::ErrorKind::PermissionDenied => ListenError::Forbidden { setting, address },
            io::ErrorKind::AddrNotAvailable => ListenError::NotHere { setting, address },
            _ => ListenError::Io {
                setting,
                address,
                source,
            },
        }
    }

    /// Which of our own listeners has the port under another spelling, such as `0.0.0.0` for `localhost`.
    fn holder(&self) -> Option<String> {
        let Address::Tcp { port: wanted, .. } = &self.shared.listen.address else {
            return None;
        };
        let known = self.known.lock();
        let holder = known
            .iter()
            .find(|shared| (*shared.local.lock()).is_some_and(|local| local.port() == *wanted))?;
        Some(format!(
            "component, {}, listens at {}: write the same address to share it",
            holder.first, holder.listen.address
        ))
    }

    /// Where it listens; `None` before [`start`](Self::start), and for a socket in the file system.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        *self.shared.local.lock()
    }

    /// Stops answering and waits until every request has its answer; the last component closes the socket first, so
    /// that nobody new comes, and then waits for its connections. May be called twice and without a start.
    pub async fn shutdown(&self) {
        let mut state = self.shared.state.lock().await;
        if !self.share.active.swap(false, Ordering::AcqRel) {
            return;
        }
        state.users -= 1;
        let bound = if state.users == 0 {
            state.bound.take()
        } else {
            None
        };
        if let Some(bound) = &bound {
            *self.shared.local.lock() = None;
            bound.tasks.stop();
        }
        self.share.requests.close();
        self.share.requests.wait().await;
        if let Some(bound) = bound
            && !bound.tasks.shutdown(DRAIN).await
        {
            tracing::warn!(address = %self.shared.listen.address, "connections did not end in time and are cut off");
            bound.kill.cancel();
            bound.tasks.shutdown(DRAIN).await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.routes.remove(&self.share);
        // Dropped without a shutdown (its component gave up): the socket must not stay for nobody.
        if self.share.active.swap(false, Ordering::AcqRel)
            && let Ok(mut state) = self.shared.state.try_lock()
        {
            state.users = state.users.saturating_sub(1);
            if state.users == 0 {
                state.bound = None;
            }
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Listener({} at {})",
            self.share.owner, self.shared.listen.address
        )
    }
}
