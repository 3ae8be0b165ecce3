//! Why names are not known.

use std::path::PathBuf;

/// Whoever was asked did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The CRI socket.
    #[error("{}: {source}; is this the socket of containerd or CRI-O, with its CRI enabled?", path.display())]
    Cri {
        /// The socket.
        path: PathBuf,
        /// What happened.
        source: Box<corten_net::grpc::GrpcError>,
    },
    /// An answer that cannot be read.
    #[error("{from}: expected {expected}: {reason}")]
    Answer {
        /// Who answered.
        from: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Docker's socket.
    #[error("{}: {reason}; is this Docker's socket, and may it be used?", path.display())]
    Docker {
        /// The socket.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The kubelet.
    #[error("{url}: {reason}")]
    Kubelet {
        /// What was asked for.
        url: String,
        /// What happened, and what helps.
        reason: String,
    },
    /// Nobody is there to be asked.
    #[error(
        "no container runtime found; set runtime::endpoint to the socket of containerd, CRI-O or Docker, or runtime::kubelet::endpoint"
    )]
    Nobody,
}
