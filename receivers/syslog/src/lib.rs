//! The `syslog` receiver: messages of RFC 5424 and RFC 3164, over TCP, TLS, UDP and sockets in the file system.
//!
//! The one idea: what can wait is made to wait, and what can't is counted. A connection is read no further while the pipeline
//! refuses what came over it, so the sender's own queue fills, which is what it is for. Datagrams are always read; what the
//! pipeline has no room for is dropped and counted.
//!
//! ```text
//! connection ─▶ Framer ─▶ Writer (parser, operators) ─▶ batch ─▶ Outlet: consume … Ok ─▶ read on
//! datagrams  ─▶           Writer                     ─▶ batch ─▶ bounded channel ─▶ Outlet
//! ```
//!
//! The parsers are `corten_operators::syslog`.

mod config;
mod datagram;
mod drops;
mod frame;
mod metadata;
mod outlet;
mod receiver;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `syslog`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Syslog::create)
}
