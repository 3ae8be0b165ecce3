//! What users set: the Collector's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::types::{ComponentId, Duration};
use corten_config::{Check, Checker, nearest};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics;

/// Settings of the `k8s_cluster` receiver; every one may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// How often the metrics are written when they are pushed somewhere. An exporter that is scraped has them when it is
    /// scraped, whatever this says.
    pub(crate) collection_interval: Duration,
    /// Time between the start and the first collection.
    pub(crate) initial_delay: Duration,
    /// How long one collection may take; `0s` means as long as the interval.
    pub(crate) timeout: Duration,
    /// Conditions of nodes that are reported, each as a metric of its own.
    pub(crate) node_conditions_to_report: Vec<String>,
    /// What nodes have for pods that is reported: `cpu`, `memory`, `ephemeral-storage`, `pods`, `storage`.
    pub(crate) allocatable_types_to_report: Vec<String>,
    /// `kubernetes`; of `openshift` nothing further is reported.
    pub(crate) distribution: Distribution,
    /// Only the objects of this namespace. The older spelling of `namespaces`.
    pub(crate) namespace: String,
    /// Only the objects of these namespaces; all when empty. What has no namespace (nodes, namespaces, volumes) is not
    /// reported then.
    pub(crate) namespaces: Vec<String>,
    /// The extension that says which of many agents reports, such as `k8s_leader_elector`.
    pub(crate) k8s_leader_elector: Option<ComponentId>,
    /// Not in Corten: must be empty.
    pub(crate) metadata_exporters: Vec<String>,
    /// Accepted for the Collector's sake; Corten has no metadata that it would collect apart.
    pub(crate) metadata_collection_interval: Duration,
    /// Metrics by name, to turn them on or off: `k8s.node.condition: {enabled: true}`.
    pub(crate) metrics: BTreeMap<String, Switch>,
    /// Attributes of resources by name, to turn them on or off: `k8s.pod.qos_class: {enabled: true}`.
    pub(crate) resource_attributes: BTreeMap<String, Switch>,
}

/// Which Kubernetes it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Distribution {
    /// Any.
    #[default]
    Kubernetes,
    /// Red Hat's.
    Openshift,
}

/// Something to be turned on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Switch {
    /// Whether it is reported; each has a default of its own.
    pub(crate) enabled: Option<bool>,
}

/// The attributes of resources, and whether they are there unless the user says otherwise.
pub(crate) const ATTRIBUTES: [(&str, bool); 51] = [
    ("container.id", true),
    ("container.image.name", true),
    ("container.image.tag", true),
    ("container.runtime", false),
    ("container.runtime.version", false),
    ("k8s.container.name", true),
    ("k8s.container.status.last_terminated_reason", false),
    ("k8s.cronjob.name", true),
    ("k8s.cronjob.uid", true),
    ("k8s.daemonset.name", true),
    ("k8s.daemonset.uid", true),
    ("k8s.deployment.name", true),
    ("k8s.deployment.uid", true),
    ("k8s.hpa.name", true),
    ("k8s.hpa.scaletargetref.apiversion", false),
    ("k8s.hpa.scaletargetref.kind", false),
    ("k8s.hpa.scaletargetref.name", false),
    ("k8s.hpa.uid", true),
    ("k8s.job.name", true),
    ("k8s.job.uid", true),
    ("k8s.kubelet.version", false),
    ("k8s.namespace.name", true),
    ("k8s.namespace.uid", true),
    ("k8s.node.name", true),
    ("k8s.node.uid", true),
    ("k8s.persistentvolume.name", true),
    ("k8s.persistentvolume.reclaim_policy", false),
    ("k8s.persistentvolume.uid", true),
    ("k8s.persistentvolumeclaim.name", true),
    ("k8s.persistentvolumeclaim.uid", true),
    ("k8s.pod.name", true),
    ("k8s.pod.qos_class", false),
    ("k8s.pod.uid", true),
    ("k8s.replicaset.name", true),
    ("k8s.replicaset.uid", true),
    ("k8s.replicationcontroller.name", true),
    ("k8s.replicationcontroller.uid", true),
    ("k8s.resourcequota.name", true),
    ("k8s.resourcequota.uid", true),
    ("k8s.service.name", true),
    ("k8s.service.publish_not_ready_addresses", false),
    ("k8s.service.traffic_distribution", false),
    ("k8s.service.type", true),
    ("k8s.service.uid", true),
    ("k8s.statefulset.name", true),
    ("k8s.statefulset.uid", true),
    ("k8s.storageclass.name", true),
    ("openshift.clusterquota.name", true),
    ("openshift.clusterquota.uid", true),
    ("os.description", false),
    ("os.type", false),
];

const ALLOCATABLE: [&str; 5] = ["cpu", "memory", "ephemeral-storage", "pods", "storage"];

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            collection_interval: Duration::from_secs(10),
            initial_delay: Duration::from_secs(1),
            timeout: Duration::ZERO,
            node_conditions_to_report: vec!["Ready".to_owned()],
            allocatable_types_to_report: Vec::new(),
            distribution: Distribution::default(),
            namespace: String::new(),
            namespaces: Vec::new(),
            k8s_leader_elector: None,
            metadata_exporters: Vec::new(),
            metadata_collection_interval: Duration::from_secs(300),
            metrics: BTreeMap::new(),
            resource_attributes: BTreeMap::new(),
        }
    }
}

impl Config {
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.collection_interval.into(),
            initial_delay: self.initial_delay.into(),
            timeout: self.timeout.into(),
        }
    }

    /// The namespaces, whichever key they are under.
    pub(crate) fn all_namespaces(&self) -> Vec<&str> {
        let one = Some(self.namespace.as_str()).filter(|name| !name.is_empty());
        one.into_iter()
            .chain(self.namespaces.iter().map(String::as_str))
            .collect()
    }

    pub(crate) fn has_metric(&self, name: &str) -> bool {
        let default = || metrics::ALL.iter().any(|one| one.name == name && one.on);
        let switch = self.metrics.get(name);
        switch
            .and_then(|switch| switch.enabled)
            .unwrap_or_else(default)
    }

    pub(crate) fn has_attribute(&self, name: &str) -> bool {
        let default = || ATTRIBUTES.iter().any(|(one, on)| *one == name && *on);
        let switch = self.resource_attributes.get(name);
        switch
            .and_then(|switch| switch.enabled)
            .unwrap_or_else(default)
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval.is_zero() {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
        for (index, kind) in self.allocatable_types_to_report.iter().enumerate() {
            if !ALLOCATABLE.contains(&kind.as_str()) {
                at.item("allocatable_types_to_report", index).error(format!(
                    "expected one of {}, found '{kind}'",
                    ALLOCATABLE.join(", ")
                ));
            }
        }
        for (index, name) in self.node_conditions_to_report.iter().enumerate() {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                at.item("node_conditions_to_report", index).error(format!(
                    "expected a condition such as Ready, found '{name}'"
                ));
            }
        }
        let namespace = |name: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !name.is_empty() && name.chars().all(fits)
        };
        if !self.namespace.is_empty() && !namespace(&self.namespace) {
            at.field("namespace").error(format!(
                "expected the name of a namespace, found '{}'",
                self.namespace
            ));
        }
        for (index, name) in self.namespaces.iter().enumerate() {
            if !namespace(name) {
                at.item("namespaces", index)
                    .error(format!("expected the name of a namespace, found '{name}'"));
            }
        }
        if !self.metadata_exporters.is_empty() {
            at.field("metadata_exporters")
                .error("is not in Corten: metadata is added by the processor k8s_attributes");
        }
        if self.distribution == Distribution::Openshift {
            at.field("distribution")
                .warning("openshift.* are not in Corten; everything else is reported");
        }
        for name in self.metrics.keys() {
            let all = || metrics::ALL.iter().map(|one| one.name);
            if name.starts_with("openshift.") {
                at.section("metrics").on(name).warning("is not in Corten");
            } else if !all().any(|known| known == name) {
                unknown("metric", name, all(), &mut at.section("metrics"));
            }
        }
        for name in self.resource_attributes.keys() {
            let all = || ATTRIBUTES.iter().map(|(name, _)| *name);
            if !all().any(|known| known == name) {
                let at = &mut at.section("resource_attributes");
                unknown("resource attribute", name, all(), at);
            }
        }
    }
}

fn unknown(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'static str>,
    at: &mut Checker<'_>,
) {
    at.on(name).error(match nearest(name, known) {
        Some(near) => format!("unknown {what} '{name}', did you mean '{near}'?"),
        None => format!("unknown {what} '{name}'"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "allocatable_types_to_report: [gpu]\nnode_conditions_to_report: ['a b']\nnamespaces: [A]\nmetadata_exporters: [x]\nmetrics: {k8s.pod.phas: {enabled: true}}",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "found 'gpu'",
            "found 'a b'",
            "found 'A'",
            "processor k8s_attributes",
            "did you mean 'k8s.pod.phase'?",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }
}
