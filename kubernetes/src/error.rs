//! What can be wrong between here and the API server.

use thiserror::Error;

/// Why a request to the API server had no answer that can be used.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Neither environment variable tells where the API server is.
    #[error(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, which a pod has by itself; outside of a cluster set auth_type: kubeConfig"
    )]
    NotInCluster,
    /// The service account's files, the kubeconfig or the address cannot be used.
    #[error("{what}: {reason}")]
    Credentials {
        /// The file or setting that was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The API server answered, but not with success.
    #[error("{path}: the API server answered {code}: {message}")]
    Status {
        /// What was asked for.
        path: String,
        /// The HTTP status.
        code: u16,
        /// What the API server says of it.
        message: String,
    },
    /// No answer came.
    #[error("{path}: {reason}")]
    Transport {
        /// What was asked for.
        path: String,
        /// What broke.
        reason: String,
    },
    /// The answer is longer than an answer may be.
    #[error("{path}: the answer has more than {cap} bytes")]
    TooLarge {
        /// What was asked for.
        path: String,
        /// The most that is read, in bytes.
        cap: usize,
    },
    /// The answer is not what the API describes.
    #[error("{path}: expected an object of the Kubernetes API: {reason}")]
    Decode {
        /// What was asked for.
        path: String,
        /// What the parser met.
        reason: String,
    },
}

impl ApiError {
    /// The HTTP status, when the API server answered at all.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }
}
