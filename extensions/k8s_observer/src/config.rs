//! What users set: the Collector's keys, and `all_nodes`.

use std::path::PathBuf;

use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `k8s_observer` extension; every one may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The node whose pods are observed, and that is observed itself. Without it, what the environment variables
    /// `KUBE_NODE_NAME` or `K8S_NODE_NAME` say.
    pub(crate) node: String,
    /// Observe the pods of every node, and every node: for a single agent in a small cluster. (The Collector does so when
    /// `node` is empty.)
    pub(crate) all_nodes: bool,
    /// Endpoints `pod`, `pod.container` and `port`.
    pub(crate) observe_pods: bool,
    /// Endpoints `k8s.node`.
    pub(crate) observe_nodes: bool,
    /// Endpoints `k8s.service`, of the whole cluster.
    pub(crate) observe_services: bool,
    /// Endpoints `k8s.ingress`, one for each path, of the whole cluster.
    pub(crate) observe_ingresses: bool,
    /// The phases in which a pod is observed: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub(crate) observe_pod_phases: Vec<String>,
    /// Endpoints `pod.container` for init containers too. They run while their pod is `Pending`.
    pub(crate) observe_init_containers: bool,
    /// For how long a container that has ended is still observed, so that its last words are read.
    pub(crate) container_terminated_ttl: Duration,
    /// The namespaces of pods, services and ingresses that are observed; all when empty.
    pub(crate) namespaces: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            node: String::new(),
            all_nodes: false,
            observe_pods: true,
            observe_nodes: false,
            observe_services: false,
            observe_ingresses: false,
            observe_pod_phases: vec!["Running".to_owned()],
            observe_init_containers: false,
            container_terminated_ttl: Duration::from_secs(15 * 60),
            namespaces: Vec::new(),
        }
    }
}

const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

impl Config {
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }

    /// The collections of a resource that has namespaces; `api` is `/api/v1` or the like.
    pub(crate) fn collections(&self, api: &str, resource: &str) -> Vec<String> {
        if self.namespaces.is_empty() {
            return vec![format!("{api}/{resource}")];
        }
        self.namespaces
            .iter()
            .map(|namespace| format!("{api}/namespaces/{namespace}/{resource}"))
            .collect()
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let observed = [
            self.observe_pods,
            self.observe_nodes,
            self.observe_services,
            self.observe_ingresses,
        ];
        if !observed.contains(&true) {
            at.error("one of observe_pods, observe_nodes, observe_services and observe_ingresses must be true");
        }
        if self.all_nodes && !self.node.is_empty() {
            at.error("node and all_nodes exclude each other");
        }
        for (index, phase) in self.observe_pod_phases.iter().enumerate() {
            if !PHASES.contains(&phase.as_str()) {
                at.item("observe_pod_phases", index).error(format!(
                    "expected one of {}, found '{phase}'",
                    PHASES.join(", ")
                ));
            }
        }
        for (index, namespace) in self.namespaces.iter().enumerate() {
            let wrong = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if namespace.is_empty() || namespace.contains(wrong) {
                at.item("namespaces", index).error(format!(
                    "expected the name of a namespace, such as kube-system, found '{namespace}'"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "{observe_pods: false, node: a, all_nodes: true, observe_pod_phases: [running], namespaces: [a/b]}",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "one of observe_pods",
            "exclude each other",
            "found 'running'",
            "found 'a/b'",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }

    #[test]
    fn one_watch_for_the_cluster_or_one_for_each_namespace() {
        let of = |yaml: &str| {
            let config = from_str::<Config>(yaml).unwrap();
            config.collections("/api/v1", "pods")
        };
        assert_eq!(of("{}"), ["/api/v1/pods"]);
        assert_eq!(
            of("{namespaces: [a, b]}"),
            ["/api/v1/namespaces/a/pods", "/api/v1/namespaces/b/pods"]
        );
    }
}
