//! Work of which a cluster wants one, where every node has the agent.

use tokio::sync::watch;

/// Says whether this process is the one of several that does what only one should do (extension
/// `k8s_leader_elector`).
pub trait Leadership: Send + Sync {
    /// `true` while it is, `false` from the moment on when another one may be. Closed when the
    /// extension has shut down, which means `false`.
    fn leading(&self) -> watch::Receiver<bool>;
}
