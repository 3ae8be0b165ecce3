//! What end-to-end tests share: the real binary, and the backends it talks to.
//!
//! Every server binds to loopback, and ends when the value that stands for it is dropped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test harness: whatever goes wrong here has to fail the test at once"
)]

mod agent;
mod certificates;
mod grpc;
mod http;
mod kubelet;
mod loki;
mod metrics;
pub mod oracle;
mod otlp;
mod peers;
mod prometheus;

pub use agent::{Agent, Command};
pub use certificates::{Authority, Identity, TlsFront, https_get};
pub use grpc::{GrpcStatus, grpc, grpc_frame};
pub use http::{Reply, get, post, request};
pub use kubelet::{ContainerLog, PodLogs};
pub use loki::{Entry, FakeLoki, Push, Script};
pub use metrics::{Metrics, scrape};
pub use otlp::{OtlpSink, Placed, export_traces, request_of};
pub use peers::{Child, Peer, peer, python, recorded_host};
pub use prometheus::{Prometheus, promtool_check_metrics};

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The folder of a case: what it runs with.
#[must_use]
pub fn case(name: &str) -> PathBuf {
    repository().join("tests/cases").join(name)
}

/// A port on 127.0.0.1 that nobody listened on a moment ago, below those that the kernel gives to outgoing connections:
/// those could take it meanwhile, and whoever connects to one of them while nobody listens can end up with itself.
///
/// # Panics
///
/// When none of many is free.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7919);
    (0..1000)
        .map(|_| begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .map(|offset| 20_000 + u16::try_from(offset).unwrap())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port between 20000 and 30000")
}

/// Polls until `check` answers something, for at most `within`.
///
/// # Panics
///
/// When it does not.
pub fn wait_for<T>(what: &str, within: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
