//! What there is to collect from, as it comes and goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// Something that telemetry can be collected from: a pod, a container, a port, a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its identity among all endpoints of all observers; the observer's name stands first.
    pub id: Arc<str>,
    /// Where it is reached: `10.0.0.7`, `10.0.0.7:6379`, a name or a URL.
    pub target: String,
    /// What it is, in the Collector's words: `pod`, `pod.container`, `port`, `k8s.node`, …
    pub kind: &'static str,
    /// What is known of it, under the names that rules use. `id`, `type` and `endpoint` are not among them.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// All endpoints that an observer knows, by id.
pub type Endpoints = BTreeMap<Arc<str>, Arc<Endpoint>>;

/// Finds endpoints (extension `k8s_observer`).
pub trait Observer: Send + Sync {
    /// The endpoints as they are now, and every later state: what is new was added, what is gone was removed, and one that
    /// did not change is the same `Arc`. Who looks less often than they change misses states in between, never the last
    /// one. Empty until the observer has heard of them; closed when it has shut down, with its last state.
    fn endpoints(&self) -> watch::Receiver<Arc<Endpoints>>;
}
