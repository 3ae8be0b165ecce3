//! How the API server is reached.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who Corten is to the API server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AuthType {
    /// The pod's service account, whose token is read again when it rotates.
    #[default]
    ServiceAccount,
    /// The user of a kubeconfig file.
    KubeConfig,
    /// Nobody: no credentials are sent, and the certificate is not verified.
    None,
}

/// How the API server is reached. The keys are the Collector's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub context: Option<String>,
}

/// The name of the node this process runs on: `KUBE_NODE_NAME`, else `K8S_NODE_NAME`, as the pod's
/// specification sets them from `spec.nodeName`.
#[must_use]
pub fn node_from_environment() -> Option<String> {
    ["KUBE_NODE_NAME", "K8S_NODE_NAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
}
