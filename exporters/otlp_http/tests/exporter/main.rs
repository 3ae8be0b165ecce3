//! The exporter against an HTTP server that answers as scripted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests, and a server that is no component"
)]

mod answers;
mod server;
mod wire;
