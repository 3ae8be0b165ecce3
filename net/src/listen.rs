//! Shared listeners: one socket for every component that asks for its address.
//!
//! A component asks at `create` ([`Listeners::http`], [`Listeners::grpc`]) and adds its paths
//! ([`Listener::route`]); conflicts are errors there, before anything runs. At `start` the first
//! component binds the socket, at `shutdown` the last one closes it; in between, paths of a component
//! that is not running answer 503. Listeners are the same when their addresses are (port 0 never
//! is), and then have to agree about TLS; for limits and timeouts the first to ask decides.
//!
//! ```
//! use corten_component::{Context, Kind};
//! use corten_config::settings::HttpServer;
//! use corten_net::listen::{self, Listeners};
//! use http::Method;
//!
//! # async fn example(cx: &Context) -> Result<(), Box<dyn std::error::Error>> {
//! // At create:
//! let listener = Listeners::of(cx).http(cx, "", &HttpServer::at("localhost", 0))?;
//! listener.route(&[Method::GET], "/ready", listen::handler(async |_| listen::text(200, "ready")))?;
//! // At start and shutdown:
//! listener.start().await?;
//! listener.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod cors;
mod guard;
mod registry;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use guard::Guard;
pub use registry::{Listen, ListenError, Listener, Listeners};
pub use routes::{Handler, handler, text};
pub use socket::Peer;
