//! What tests of components share.
//!
//! [`RecordingSink`] stands where the next component would stand: it keeps what it is given and
//! answers as scripted. [`conforms`] holds a factory to the contract that every component keeps.
//! [`eventually`] polls with a deadline, in place of sleeping. [`http_server`] is a peer over HTTP that answers
//! as the test says, [`Cluster`] such answers for lists and watches of Kubernetes.

mod cluster;
mod conformance;
mod extensions;
mod http;
mod render;
mod sink;

pub use cluster::Cluster;
pub use conformance::{conforms, create, decode};
pub use extensions::{Disk, Elected, context_with};
pub use http::{Asked, Reply, http_server, kubeconfig, serve_connection};
pub use render::render_metrics;
pub use sink::{Answer, RecordingSink};

use std::future::Future;
use std::time::{Duration, Instant};

/// Polls `check` every few milliseconds until it answers something, for at most `within`.
///
/// # Panics
///
/// When the time is over; the message is `what`.
pub async fn eventually<T, F>(what: &str, within: Duration, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
