//! Settings that many components share, with the Collector's keys and defaults.
//!
//! A component nests them (`tls:`, `retry_on_failure:`, `sending_queue:`) or, where the Collector writes them
//! beside a component's own, squashes them with [`squash!`](crate::squash).

mod auth;
mod client;
mod headers;
mod queue;
mod retry;
mod server;
#[cfg(test)]
mod tests;
mod tls;

pub use auth::Auth;
pub use client::{
    Compression, CompressionParams, GrpcClient, HttpClient, HttpClientKeepalive, KeepaliveClient,
    Target, TargetError,
};
pub use headers::Headers;
pub use queue::{DeadLetters, Fsync, Overflow, Partition, Queue, QueueBatch, Sizer, WaitForResult};
pub use retry::Retry;
pub use server::{
    Cors, EnforcementPolicy, GrpcServer, HttpKeepalive, HttpServer, KeepaliveServer,
    ServerParameters, Transport,
};
pub use tls::{TlsClient, TlsServer, TlsVersion};
