//! The receiver's life.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, ServerAuth, async_trait};
use corten_config::settings::{Auth, GrpcServer, HttpServer};
use corten_config::types::{Endpoint, Optional};
use corten_net::body::Limits;
use corten_net::listen::{Guard, Listener, Listeners, handler};
use http::Method;
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Udp};
use crate::intake::Intake;
use crate::thrift::Protocol;
use crate::{grpc, http as thrift_http, udp};

/// How long shutdown waits for what came as datagrams to be kept.
const DRAIN: Duration = Duration::from_secs(5);

/// The receiver: its listeners, which hold the handlers, and what reads datagrams.
pub(crate) struct Jaeger {
    cx: Context,
    intake: Arc<Intake>,
    pub(crate) listeners: Vec<Listener>,
    datagrams: Vec<(Protocol, Udp)>,
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
}

/// Where something could not listen.
#[derive(Debug, thiserror::Error)]
#[error("listen at {endpoint} (UDP): {source}")]
struct ListenError {
    endpoint: Endpoint,
    source: io::Error,
}

impl Jaeger {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let intake = Arc::new(Intake::new(&cx, &config, next));
        let protocols = config.protocols;
        let mut listeners = Vec::new();
        if let Some(settings) = protocols.grpc.as_ref() {
            listeners.push(listen_grpc(&cx, settings, &intake)?);
        }
        if let Some(settings) = protocols.thrift_http.as_ref() {
            listeners.push(listen_http(&cx, settings, &intake)?);
        }
        let mut datagrams = Vec::new();
        for (protocol, udp) in [
            (Protocol::Compact, protocols.thrift_compact),
            (Protocol::Binary, protocols.thrift_binary),
        ] {
            datagrams.extend(udp.into_option().map(|udp| (protocol, udp)));
        }
        Ok(Self {
            cx,
            intake,
            listeners,
            datagrams,
            running: Mutex::new(None),
        })
    }

    /// Where it takes datagrams, the compact protocol first.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let running = self.running.lock();
        let running = running.as_ref();
        running
            .map(|running| running.addresses.clone())
            .unwrap_or_default()
    }

    async fn start_listening(&self) -> Result<Running, BoxError> {
        let (alive, over) = mpsc::channel(1);
        let stop = CancellationToken::new();
        // Whoever reads already stops when the rest cannot listen.
        let abandon = stop.clone().drop_guard();
        for listener in &self.listeners {
            listener.start().await?;
        }
        let mut addresses = Vec::new();
        for (protocol, settings) in &self.datagrams {
            let (socket, address) = bind(settings).await?;
            addresses.push(address);
            let closing = self.cx.closing();
            let service =
                udp::Service::new(&self.intake, *protocol, settings, &stop, &closing, &alive);
            tracing::info!(receiver = %self.cx.id(), transport = service.transport, %address, "listening");
            self.cx.tasks().spawn("jaeger udp", service.serve(socket));
        }
        abandon.disarm();
        Ok(Running {
            stop,
            over,
            addresses,
        })
    }

    async fn stop_listening(&self) {
        futures_util::future::join_all(self.listeners.iter().map(Listener::shutdown)).await;
    }
}

async fn bind(settings: &Udp) -> Result<(UdpSocket, SocketAddr), ListenError> {
    let endpoint = &settings.endpoint;
    let failed = |source| ListenError {
        endpoint: endpoint.clone(),
        source,
    };
    let port = endpoint.port();
    let bound = if endpoint.host().is_empty() {
        // An IPv6 socket takes IPv4 as well; machines without IPv6 have only the other.
        match UdpSocket::bind(("::", port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                UdpSocket::bind(("0.0.0.0", port)).await
            }
            bound => bound,
        }
    } else {
        UdpSocket::bind((endpoint.host(), port)).await
    };
    let socket = bound.map_err(failed)?;
    let size = settings.socket_buffer_size;
    if size > 0
        && let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, size)
    {
        tracing::debug!(%error, "the size of the socket's buffer");
    }
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

fn listen_grpc(
    cx: &Context,
    settings: &GrpcServer,
    intake: &Arc<Intake>,
) -> Result<Listener, BoxError> {
    let listener = Listeners::of(cx).grpc(cx, "protocols::grpc", settings)?;
    let service = grpc::Service {
        intake: Arc::clone(intake),
        limits: Limits::new(usize::try_from(settings.max_message_size())?),
        auth: authenticator(cx, &settings.auth)?,
        include_metadata: settings.include_metadata,
    };
    listener.route(&[Method::POST], grpc::POST_SPANS, Arc::new(service))?;
    let no_sampling = handler(async |_| grpc::no_sampling());
    listener.route(&[Method::POST], grpc::SAMPLING, no_sampling)?;
    Ok(listener)
}

fn listen_http(
    cx: &Context,
    server: &HttpServer,
    intake: &Arc<Intake>,
) -> Result<Listener, BoxError> {
    let listener = Listeners::of(cx).http(cx, "protocols::thrift_http", server)?;
    let guard = Guard::new(cx, server)?;
    let service = thrift_http::Service {
        intake: Arc::clone(intake),
        limits: Limits {
            total: server.read_timeout.non_zero(),
            ..Limits::new(usize::try_from(server.max_request_body_size)?)
        },
        include_metadata: server.include_metadata,
        compression: server.compression_algorithms.clone().into(),
    };
    // Every method: the handler says in its own words that it wants POST.
    listener.route(&[], "/api/traces", guard.wrap(Arc::new(service)))?;
    Ok(listener)
}

fn authenticator(
    cx: &Context,
    auth: &Optional<Auth>,
) -> Result<Option<Arc<dyn ServerAuth>>, BoxError> {
    let id = auth.as_ref().and_then(|auth| auth.authenticator.as_ref());
    Ok(id.map(|id| cx.server_auth(id)).transpose()?)
}

#[async_trait]
impl Component for Jaeger {
    /// Binds every address; what was bound is given back when one of them cannot be.
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        match self.start_listening().await {
            Ok(running) => {
                *self.running.lock() = Some(running);
                Ok(())
            }
            Err(error) => {
                self.stop_listening().await;
                Err(error)
            }
        }
    }

    /// Takes nothing new, waits until every request under way has its answer, and offers what came as datagrams once
    /// more.
    async fn shutdown(&self) -> Result<(), BoxError> {
        let running = self.running.lock().take();
        let drain = async {
            if let Some(mut running) = running {
                running.stop.cancel();
                if timeout(DRAIN, running.over.recv()).await.is_err() {
                    tracing::warn!("spans that came as datagrams are still on their way");
                }
            }
        };
        tokio::join!(drain, self.stop_listening());
        Ok(())
    }
}

impl Receiver for Jaeger {}
