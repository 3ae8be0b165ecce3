//! The settings, under the Collector's names.

use std::time::Duration;

use corten_config::types::{Duration as Time, OneOrMany, Regex};
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::extraction::METADATA_KEYS;

/// Settings of the `k8s_attributes` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// Accepted for compatibility: watches are few requests.
    pub(crate) kube_api_qps: f64,
    /// Accepted for compatibility: watches are few requests.
    pub(crate) kube_api_burst: u32,
    /// Adds `k8s.pod.ip` from the sender's address and nothing else, without asking the API server: for an agent before a gateway that
    /// does the rest.
    pub(crate) passthrough: bool,
    /// What resources are told.
    pub(crate) extract: Extract,
    /// Which pods are watched. By default those of this node, where its name is known (`KUBE_NODE_NAME`, `K8S_NODE_NAME`).
    pub(crate) filter: Filter,
    /// How the pod of a resource is found: the first rule that finds one decides. By default `k8s.pod.uid`, `k8s.pod.ip`, `ip`,
    /// the sender's address, and `host.name` where that is an address.
    pub(crate) pod_association: Vec<Rule>,
    /// Pods whose telemetry stays as it is, besides those that say so themselves with the annotation
    /// `opentelemetry.io/k8s-processor/ignore: "true"`.
    pub(crate) exclude: Exclude,
    /// Whether the start waits until the pods and all else that is watched are known, so that not even the first batch goes without.
    pub(crate) wait_for_metadata: bool,
    /// How long it waits. After that it goes on without: what comes is not held.
    pub(crate) wait_for_metadata_timeout: Time,
    /// Accepted for compatibility: a watch that ended is followed by a new list.
    pub(crate) watch_sync_period: Time,
    /// How long a deleted pod, and what it belonged to, is still known: its last lines come after it.
    pub(crate) pod_delete_grace_period: Time,
    /// How labels and annotations are called where no `tag_name` says it, and `container.image.tags`.
    pub(crate) compat: Compat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            kube_api_qps: 5.0,
            kube_api_burst: 10,
            passthrough: false,
            extract: Extract::default(),
            filter: Filter::default(),
            pod_association: Vec::new(),
            exclude: Exclude::default(),
            wait_for_metadata: false,
            wait_for_metadata_timeout: Duration::from_secs(10).into(),
            watch_sync_period: Duration::from_secs(300).into(),
            pod_delete_grace_period: Duration::from_secs(120).into(),
            compat: Compat::default(),
        }
    }
}

/// What the Collector renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compat {
    /// `k8s.pod.label.<key>` and the list `container.image.tags`, as the Collector since 0.161.
    #[default]
    V1,
    /// `k8s.pod.labels.<key>` and the text `container.image.tag`, as the Collector before.
    V0,
}

/// What resources are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Extract {
    /// Attributes from the pod itself, its container, its workload, its node and its cluster.
    pub(crate) metadata: Vec<String>,
    /// Labels that become attributes.
    pub(crate) labels: Vec<Field>,
    /// Annotations that become attributes.
    pub(crate) annotations: Vec<Field>,
    /// Whether each annotation `resource.opentelemetry.io/<key>` of the pod becomes the attribute `<key>`.
    pub(crate) otel_annotations: bool,
    /// Whether a deployment's name is told from its replica set's name, which spares watching the cluster's replica sets.
    pub(crate) deployment_name_from_replicaset: bool,
}

impl Default for Extract {
    fn default() -> Self {
        Self {
            metadata: [
                "k8s.namespace.name",
                "k8s.pod.name",
                "k8s.pod.uid",
                "k8s.pod.start_time",
                "k8s.deployment.name",
                "k8s.node.name",
                "container.image.name",
                "container.image.tags",
            ]
            .map(str::to_owned)
            .into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            otel_annotations: false,
            deployment_name_from_replicaset: true,
        }
    }
}

/// A label or an annotation that becomes an attribute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Field {
    /// What the attribute is called; with `key_regex`, `$1` is what the first group of it matched. By default
    /// `k8s.<of what>.label.<key>` or `k8s.<of what>.annotation.<key>`.
    pub(crate) tag_name: String,
    /// The label's or annotation's key.
    pub(crate) key: String,
    /// An expression for whole keys, in place of `key`. Where several keys get one name, the last of them by the alphabet counts.
    pub(crate) key_regex: Option<Regex>,
    /// What it is a label or an annotation of.
    pub(crate) from: Source,
}

/// What has labels and annotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The pod.
    #[default]
    Pod,
    /// Its namespace.
    Namespace,
    /// Its node.
    Node,
    /// The replica set that it belongs to.
    ReplicaSet,
    /// The deployment that it belongs to.
    Deployment,
    /// The stateful set that it belongs to.
    StatefulSet,
    /// The daemon set that it belongs to.
    DaemonSet,
    /// The job that it belongs to.
    Job,
    /// The cron job that its job belongs to.
    CronJob,
}

/// Which pods are watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Filter {
    /// Those of this node.
    pub(crate) node: String,
    /// Those of the node that this environment variable names.
    pub(crate) node_from_env_var: String,
    /// Those of the whole cluster, although the node's name is known: for a gateway.
    pub(crate) all_nodes: bool,
    /// Those of this namespace, or of these. Workloads are asked for there alone as well, so Roles are enough.
    pub(crate) namespace: OneOrMany<String>,
    /// Those with such labels.
    pub(crate) labels: Vec<Selector>,
    /// Those with such fields.
    pub(crate) fields: Vec<Selector>,
}

impl Filter {
    /// The namespaces that are looked at; none for all.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        let named = self.namespace.iter().map(String::as_str);
        named.filter(|name| !name.is_empty())
    }
}

/// A condition on a label or a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Selector {
    /// The label or field.
    pub(crate) key: String,
    /// What it is held against.
    pub(crate) value: String,
    /// How.
    pub(crate) op: Operator,
}

/// How a label or field is held against a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operator {
    /// It is the value.
    #[default]
    Equals,
    /// It is another.
    NotEquals,
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
}

impl Selector {
    /// In the API's words.
    pub(crate) fn written(&self) -> String {
        let Self { key, value, op } = self;
        match op {
            Operator::Equals => format!("{key}={value}"),
            Operator::NotEquals => format!("{key}!={value}"),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        }
    }
}

/// A way to find the pod of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Rule {
    /// What has to be known, all of it.
    pub(crate) sources: Vec<AssociationSource>,
}

/// Something that is known of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AssociationSource {
    /// Where it is known from.
    pub(crate) from: Origin,
    /// The resource's attribute.
    pub(crate) name: String,
}

/// Where something is known from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// An attribute of the resource.
    #[default]
    ResourceAttribute,
    /// The address that the telemetry came from.
    Connection,
}

/// Pods whose telemetry stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Exclude {
    /// By their names.
    pub(crate) pods: Vec<ExcludedPod>,
}

impl Default for Exclude {
    fn default() -> Self {
        Self {
            pods: ["jaeger-agent", "jaeger-collector"]
                .into_iter()
                .filter_map(|name| {
                    Some(ExcludedPod {
                        name: Some(name.parse().ok()?),
                    })
                })
                .collect(),
        }
    }
}

/// Pods by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ExcludedPod {
    /// An expression that is looked for in the name.
    pub(crate) name: Option<Regex>,
}

/// Attributes by which a pod can be found or confirmed.
pub(crate) const ASSOCIATED: [&str; 8] = [
    "k8s.pod.uid",
    "k8s.pod.ip",
    "ip",
    "host.name",
    "container.id",
    "k8s.pod.name",
    "k8s.namespace.name",
    "k8s.node.name",
];

impl Config {
    /// Whether the user says that pods are found by their senders' addresses.
    pub(crate) fn counts_on_peers(&self) -> bool {
        let mut sources = self.pod_association.iter().flat_map(|rule| &rule.sources);
        self.passthrough || sources.any(|source| source.from == Origin::Connection)
    }

    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let mut extract = at.section("extract");
        for (index, key) in self.extract.metadata.iter().enumerate() {
            if !METADATA_KEYS.contains(&key.as_str()) {
                extract.item("metadata", index).error(format!(
                    "unknown attribute '{key}'; there are {}",
                    METADATA_KEYS.join(", ")
                ));
            }
        }
        for (name, fields) in [
            ("labels", &self.extract.labels),
            ("annotations", &self.extract.annotations),
        ] {
            for (index, field) in fields.iter().enumerate() {
                if field.key.is_empty() == field.key_regex.is_none() {
                    extract
                        .item(name, index)
                        .error("needs exactly one of key and key_regex");
                }
            }
        }
        for (index, field) in self.filter.fields.iter().enumerate() {
            if matches!(field.op, Operator::Exists | Operator::DoesNotExist) {
                at.section("filter")
                    .item("fields", index)
                    .error("a field is there always: op is equals or not-equals");
            }
        }
        for (index, rule) in self.pod_association.iter().enumerate() {
            let mut item = at.item("pod_association", index);
            if rule.sources.is_empty() || rule.sources.len() > 4 {
                item.field("sources").error("needs one to four sources");
            }
            let attributes = || {
                rule.sources
                    .iter()
                    .filter(|source| source.from == Origin::ResourceAttribute)
                    .map(|source| source.name.as_str())
            };
            for name in attributes() {
                if !ASSOCIATED.contains(&name) {
                    item.field("sources").error(format!(
                        "no pod is known by '{name}'; they are known by {}",
                        ASSOCIATED.join(", ")
                    ));
                }
            }
            let has = |name: &str| attributes().any(|other| other == name);
            let connected = rule
                .sources
                .iter()
                .any(|source| source.from == Origin::Connection);
            let finds = connected
                || [
                    "k8s.pod.uid",
                    "k8s.pod.ip",
                    "ip",
                    "host.name",
                    "container.id",
                ]
                .into_iter()
                .any(has)
                || (has("k8s.pod.name") && has("k8s.namespace.name"));
            if !finds && attributes().all(|name| ASSOCIATED.contains(&name)) {
                item.field("sources").error(
                    "does not tell one pod from others: add k8s.pod.uid, or both k8s.pod.name and k8s.namespace.name",
                );
            }
        }
    }
}
