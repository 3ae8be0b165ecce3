//! HTTP and gRPC servers and clients, made from the shared settings of the configuration.
//!
//! - [`listen`]: every server of a run. Components that ask for the same address share one listener;
//!   each brings its own paths. gRPC is HTTP/2 with certain headers, so it is served by the same
//!   listeners.
//! - [`body`]: request bodies, read with caps on what comes over the wire and on what it unpacks to.
//! - [`admission`]: how many bytes may be in flight at the same time, decided before they are read.
//! - [`grpc`]: unary calls whose messages stay bytes, on both sides.
//! - [`client`]: requests out, over pooled connections, signed for every attempt.
//! - [`tls`]: certificates and keys, read again when their files change.
//!
//! Nothing here knows a signal or a component.

pub mod admission;
pub mod body;
pub mod client;
pub mod grpc;
pub mod listen;
pub mod tls;

/// The `User-Agent` of everything that Corten sends: `corten/<version>`.
pub const USER_AGENT: &str = concat!("corten/", env!("CARGO_PKG_VERSION"));
