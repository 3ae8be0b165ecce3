//! Which of a name's addresses a call goes to.
//!
//! As gRPC's own `round_robin`: a connection to each address that the name service gives, and calls take turns. The name is
//! asked again every [`FRESH`], in the background, so that servers that come and go are seen whether connections
//! break or not. An address that cannot be reached is passed over for a while; when none can, the name is asked at once.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corten_component::Tasks;
use hyper_util::client::legacy;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::Body;
use crate::client::{Cause, Connector};

/// What the system's name service says is believed for so long.
const FRESH: Duration = Duration::from_secs(15);
/// Between two questions to a name service that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an address that could not be reached is passed over.
const DOWN: Duration = Duration::from_secs(2);
/// A name with more addresses than this is used with the first of them.
const MOST: usize = 256;

pub(super) type Client = legacy::Client<Connector, Body>;
type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A name service.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) ask: Arc<dyn Fn(String, u16) -> Addresses + Send + Sync>,
    /// What it says is believed for so long.
    pub(super) fresh: Duration,
}

impl Names {
    /// The system's.
    pub(super) fn system() -> Self {
        Self {
            ask: Arc::new(|host, port| {
                Box::pin(async move {
                    let found = tokio::net::lookup_host((host.as_str(), port)).await?;
                    Ok(found.collect())
                })
            }),
            fresh: FRESH,
        }
    }
}

/// The servers behind one endpoint.
pub(super) enum Backends {
    /// There is one address, or the connector chooses.
    One(Box<Client>),
    Several(Arc<Several>),
}

pub(super) struct Several {
    host: String,
    port: u16,
    names: Names,
    make: Box<dyn Fn(SocketAddr) -> Client + Send + Sync>,
    known: Mutex<Known>,
    turn: AtomicUsize,
    tasks: Tasks,
}

#[derive(Default)]
struct Known {
    backends: Vec<Arc<Backend>>,
    /// When the name is asked again.
    ask_at: Option<Instant>,
    asking: bool,
}

/// One address.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) client: Client,
    down_until: Mutex<Option<Instant>>,
}

impl Several {
    /// `None` when the host is an address already.
    pub(super) fn new(
        authority: &http::uri::Authority,
        default_port: u16,
        names: Names,
        tasks: Tasks,
        make: impl Fn(SocketAddr) -> Client + Send + Sync + 'static,
    ) -> Option<Arc<Self>> {
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.parse::<IpAddr>().is_ok() {
            return None;
        }
        Some(Arc::new(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            names,
            make: Box::new(make),
            known: Mutex::default(),
            turn: AtomicUsize::new(0),
            tasks,
        }))
    }

    /// The servers in the order in which a call should try them, at least one.
    pub(super) async fn next(self: &Arc<Self>) -> Result<Vec<Arc<Backend>>, Cause> {
        let now = Instant::now();
        let (mut backends, due) = {
            let mut known = self.known.lock();
            let due = !known.asking && known.ask_at.is_none_or(|at| at <= now);
            known.asking |= due && !known.backends.is_empty();
            (known.backends.clone(), due)
        };
        if backends.is_empty() {
            self.ask().await?;
            backends.clone_from(&self.known.lock().backends);
        } else if due {
            let this = Arc::clone(self);
            self.tasks.spawn("name service", async move {
                if let Err(error) = this.ask().await {
                    tracing::debug!(host = this.host, %error, "its addresses are kept");
                }
                this.known.lock().asking = false;
            });
        }
        if backends.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % backends.len();
            backends.rotate_left(turn);
            // Those that could not be reached lately are the last resort.
            backends.sort_by_key(|backend| backend.down_until.lock().is_some_and(|at| at > now));
        }
        Ok(backends)
    }

    /// This one could not be reached.
    pub(super) fn failed(&self, backend: &Backend) {
        let now = Instant::now();
        *backend.down_until.lock() = Some(now + DOWN);
        let mut known = self.known.lock();
        let reachable =
            |backend: &Arc<Backend>| backend.down_until.lock().is_none_or(|at| at <= now);
        if !known.backends.iter().any(reachable) {
            let soon = now + AGAIN;
            known.ask_at = known.ask_at.map(|at| at.min(soon));
        }
    }

    async fn ask(&self) -> Result<(), Cause> {
        let answer = tokio::time::timeout(
            Duration::from_secs(10),
            (self.names.ask)(self.host.clone(), self.port),
        )
        .await;
        let outcome = match answer {
            Err(_) => Err("its name service does not answer".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(addresses)) if addresses.is_empty() => Err("it has no address".to_owned()),
            Ok(Ok(addresses)) => Ok(addresses),
        };
        let now = Instant::now();
        let mut known = self.known.lock();
        let mut addresses = match outcome {
            Ok(addresses) => addresses,
            Err(why) => {
                known.ask_at = Some(now + AGAIN);
                let text = format!("{} cannot be resolved: {why}", self.host);
                return Err(Cause::Connect(text));
            }
        };
        known.ask_at = Some(now + self.names.fresh);
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST);
        let backends = addresses.into_iter().map(|address| {
            let same = known
                .backends
                .iter()
                .find(|backend| backend.address == address);
            same.cloned().unwrap_or_else(|| {
                Arc::new(Backend {
                    address,
                    client: (self.make)(address),
                    down_until: Mutex::default(),
                })
            })
        });
        let backends = backends.collect();
        // Calls that are under way keep the connections of those that are gone.
        known.backends = backends;
        Ok(())
    }
}
