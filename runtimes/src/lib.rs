//! Which containers there are on this node, asked of whoever runs them.
//!
//! Control groups count what containers use, but know them by number alone. Names are known to the
//! container runtime: anything that speaks the CRI (containerd, CRI-O), Docker, or the kubelet. A
//! [`Directory`] asks one of them in the background and keeps what it heard; looking something up
//! never waits, and while nobody answers, what was heard last still stands.
//!
//! - [`Directory`]: the background task and what is known;
//! - [`Known`]: containers by id, pods by uid;
//! - [`Config`]: where to ask;
//! - [`KubeletClient`]: requests to a kubelet.

mod config;
mod cri;
mod directory;
mod docker;
mod error;
mod known;
mod kubelet;
mod kubelet_client;

pub use config::{Config, Kind, Kubelet};
pub use directory::Directory;
pub use docker::{DockerHost, docker_host};
pub use error::RuntimeError;
pub use known::{Container, Known, Pod};
pub use kubelet_client::{KubeletAccess, KubeletClient};
