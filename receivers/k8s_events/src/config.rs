//! What users set: the Collector's keys.

use std::path::PathBuf;

use corten_config::types::ComponentId;
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `k8s_events` receiver; every one may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The namespaces whose events are read; all when empty.
    pub(crate) namespaces: Vec<String>,
    /// The extension that says which of many agents reads them, such as `k8s_leader_elector`.
    pub(crate) k8s_leader_elector: Option<ComponentId>,
    /// The extension that keeps how far events were delivered, such as `file_storage`. Without one every start begins with
    /// what comes.
    pub(crate) storage: Option<ComponentId>,
}

impl Config {
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }

    /// The collections to watch.
    pub(crate) fn collections(&self) -> Vec<String> {
        if self.namespaces.is_empty() {
            return vec!["/api/v1/events".to_owned()];
        }
        self.namespaces
            .iter()
            .map(|namespace| format!("/api/v1/namespaces/{namespace}/events"))
            .collect()
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
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
    fn one_watch_for_the_cluster_or_one_for_each_namespace() {
        let of = |yaml: &str| from_str::<Config>(yaml).unwrap().collections();
        assert_eq!(of("{}"), ["/api/v1/events"]);
        assert_eq!(
            of("{namespaces: [a, b]}"),
            ["/api/v1/namespaces/a/events", "/api/v1/namespaces/b/events"]
        );
        let wrong = from_str::<Config>("{namespaces: ['a/b']}").unwrap_err();
        assert!(wrong.to_string().contains("found 'a/b'"), "{wrong}");
    }
}
