//! Where to ask.

use std::path::PathBuf;

use corten_config::settings::TlsClient;
use corten_config::types::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whoever is there: the CRI and Docker at their usual sockets, the kubelet when its endpoint is set.
    #[default]
    Auto,
    /// containerd, CRI-O or another one that speaks the CRI.
    Cri,
    /// Docker.
    Docker,
    /// The kubelet's `/pods`.
    Kubelet,
    /// Nobody: samples have `id` alone.
    None,
}

/// Who is asked for the names of containers and pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Who is asked: `auto`, `cri`, `docker`, `kubelet` or `none`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The socket of the CRI or of Docker, `unix:///run/containerd/containerd.sock` or a path. Empty: the usual ones, here and
    /// below `path::rootfs`.
    pub endpoint: String,
    /// How often everything is asked for. A container that is not known is asked for at once.
    pub refresh_interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// The kubelet, when it is asked.
    pub kubelet: Kubelet,
}

/// How to reach the kubelet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Kubelet {
    /// `https://${env:NODE_IP}:10250`, or `http://127.0.0.1:10255` where the read-only port is open. Empty: it is not asked,
    /// unless `type` is `kubelet`, which means `https://127.0.0.1:10250`.
    pub endpoint: String,
    /// The file with the bearer token; read again for every request, since tokens rotate.
    pub token_file: PathBuf,
    /// How to speak TLS with it. Its certificate is often signed by nobody that is known:
    /// `insecure_skip_verify: true`.
    pub tls: TlsClient,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::Auto,
            endpoint: String::new(),
            refresh_interval: std::time::Duration::from_secs(60).into(),
            timeout: std::time::Duration::from_secs(10).into(),
            kubelet: Kubelet::default(),
        }
    }
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            token_file: "/var/run/secrets/kubernetes.io/serviceaccount/token".into(),
            tls: TlsClient::default(),
        }
    }
}
