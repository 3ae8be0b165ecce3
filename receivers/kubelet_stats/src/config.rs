//! What users set: the Collector's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_component::Schedule;
use corten_config::settings::TlsClient;
use corten_config::types::Duration;
use corten_config::{Check, Checker, nearest};
use corten_kubernetes::ApiConfig;
use corten_runtimes::KubeletAccess;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claims::Claims;
use crate::metrics;

/// Settings of the `kubelet_stats` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How often the kubelet is asked when the metrics are pushed somewhere. An exporter that is scraped asks when
    /// it is scraped, whatever this says.
    pub(crate) collection_interval: Duration,
    /// Time between the start and the first request.
    pub(crate) initial_delay: Duration,
    /// How long one collection may take; `0s` means as long as the interval.
    pub(crate) timeout: Duration,
    /// Who Corten is to the kubelet: `serviceAccount`, `tls` (a client certificate), `none` (the read-only port), or
    /// `kubeConfig` (through the API server; `endpoint` is the node's name then).
    pub(crate) auth_type: AuthType,
    /// Where the kubelet is: `${env:K8S_NODE_NAME}:10250`, or a URL. Without it, this host's name and port 10250, or
    /// 10255 for `none`.
    pub(crate) endpoint: String,
    /// The file with the bearer token for `serviceAccount`, read again when it changes.
    pub(crate) token_file: PathBuf,
    /// A PEM file with the authorities that sign kubelets' certificates. Without it, those of the service account for
    /// `serviceAccount`, and the system's for `tls`.
    pub(crate) ca_file: Option<PathBuf>,
    /// A PEM file with the certificate to present, for `tls`.
    pub(crate) cert_file: Option<PathBuf>,
    /// A PEM file with the private key of the certificate, for `tls`.
    pub(crate) key_file: Option<PathBuf>,
    /// The name that the kubelet's certificate has to have, when it is not the endpoint's host.
    pub(crate) server_name_override: Option<String>,
    /// Accept any certificate. Kubelets' certificates are often signed by themselves.
    pub(crate) insecure_skip_verify: bool,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// What else resources say, taken from the kubelet's `/pods`.
    pub(crate) extra_metadata_labels: Vec<Label>,
    /// What is reported. `volume` is not, unless it is named.
    pub(crate) metric_groups: Vec<Group>,
    /// How the API server is reached, for the capacity of `node` and the volumes behind claims.
    pub(crate) k8s_api_config: Option<ApiConfig>,
    /// The node's name, `${env:K8S_NODE_NAME}`: for the metrics that compare use with the node's capacity.
    pub(crate) node: String,
    /// Report every network interface, not only the default one.
    pub(crate) collect_all_network_interfaces: AllInterfaces,
    /// Metrics by name, to turn them on or off: `k8s.node.uptime: {enabled: true}`.
    pub(crate) metrics: BTreeMap<String, Switch>,
    /// Attributes of resources by name, to turn them on or off: `k8s.pod.uid: {enabled: false}`.
    pub(crate) resource_attributes: BTreeMap<String, Switch>,
}

/// Who Corten is to the kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AuthType {
    /// The pod's service account.
    #[default]
    ServiceAccount,
    /// Whoever the client certificate says.
    Tls,
    /// Nobody.
    None,
    /// The user of a kubeconfig file, through the API server.
    KubeConfig,
}

/// What else a resource says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Label {
    /// The container's id at its runtime.
    #[serde(rename = "container.id")]
    ContainerId,
    /// What kind of volume it is: `emptyDir`, `persistentVolumeClaim`, …
    #[serde(rename = "k8s.volume.type")]
    VolumeType,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Group {
    /// Containers.
    Container,
    /// Pods.
    Pod,
    /// The node.
    Node,
    /// Volumes of pods.
    Volume,
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Volume => "volume",
        }
    }
}

/// Whose network interfaces are all reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AllInterfaces {
    /// Those of pods.
    pub(crate) pod: bool,
    /// Those of the node.
    pub(crate) node: bool,
}

/// Something to be turned on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Switch {
    /// Whether it is reported; each has a default of its own.
    pub(crate) enabled: Option<bool>,
}

/// The attributes of resources, and whether they are there unless the user says otherwise.
pub(crate) const ATTRIBUTES: [(&str, bool); 16] = [
    ("aws.volume.id", false),
    ("container.id", true),
    ("fs.type", false),
    ("gce.pd.name", false),
    ("glusterfs.endpoints.name", false),
    ("glusterfs.path", false),
    ("k8s.container.name", true),
    ("k8s.namespace.name", true),
    ("k8s.node.name", true),
    ("k8s.node.system_container.name", true),
    ("k8s.persistentvolumeclaim.name", true),
    ("k8s.pod.name", true),
    ("k8s.pod.uid", true),
    ("k8s.volume.name", true),
    ("k8s.volume.type", true),
    ("partition", false),
];

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Default for Config {
    fn default() -> Self {
        Self {
            collection_interval: Duration::from_secs(10),
            initial_delay: Duration::from_secs(1),
            timeout: Duration::ZERO,
            auth_type: AuthType::default(),
            endpoint: String::new(),
            token_file: format!("{ACCOUNT}/token").into(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name_override: None,
            insecure_skip_verify: false,
            kubeconfig_path: None,
            context: None,
            extra_metadata_labels: Vec::new(),
            metric_groups: vec![Group::Container, Group::Pod, Group::Node],
            k8s_api_config: None,
            node: String::new(),
            collect_all_network_interfaces: AllInterfaces::default(),
            metrics: BTreeMap::new(),
            resource_attributes: BTreeMap::new(),
        }
    }
}

/// Whether a metric compares use with the node's capacity.
pub(crate) fn needs_node(metric: &str) -> bool {
    metric.ends_with(".node.utilization")
}

impl Config {
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.collection_interval.into(),
            initial_delay: self.initial_delay.into(),
            timeout: self.timeout.into(),
        }
    }

    pub(crate) fn has_metric(&self, name: &str) -> bool {
        let default = || metrics::ALL.iter().any(|one| one.name == name && one.on);
        self.metrics
            .get(name)
            .and_then(|switch| switch.enabled)
            .unwrap_or_else(default)
    }

    pub(crate) fn has_attribute(&self, name: &str) -> bool {
        let default = || ATTRIBUTES.iter().any(|(one, on)| *one == name && *on);
        self.resource_attributes
            .get(name)
            .and_then(|switch| switch.enabled)
            .unwrap_or_else(default)
    }

    /// Whether anything is wanted that only `/pods` says.
    pub(crate) fn needs_pods(&self) -> bool {
        let mut names = metrics::ALL.iter().map(|one| one.name);
        !self.extra_metadata_labels.is_empty()
            || names.any(|name| {
                (name.ends_with("_limit_utilization") || name.ends_with("_request_utilization"))
                    && self.has_metric(name)
            })
    }

    /// Whether anything is wanted that needs the node's capacity.
    pub(crate) fn needs_capacity(&self) -> bool {
        let mut names = metrics::ALL.iter().map(|one| one.name);
        names.any(|name| needs_node(name) && self.has_metric(name))
    }

    /// How the kubelet is reached, when it is not through the API server.
    pub(crate) fn access(&self) -> KubeletAccess {
        let (scheme, port) = match self.auth_type {
            AuthType::None => ("http", 10255),
            _ => ("https", 10250),
        };
        let endpoint = match self.endpoint.as_str() {
            "" => {
                let host = rustix::system::uname();
                format!("{scheme}://{}:{port}", host.nodename().to_string_lossy())
            }
            url if url.contains("://") => url.to_owned(),
            address => format!("{scheme}://{address}"),
        };
        let account = self.auth_type == AuthType::ServiceAccount;
        let ca_file = self.ca_file.clone().or_else(|| {
            let of_account = account && !self.insecure_skip_verify;
            of_account.then(|| format!("{ACCOUNT}/ca.crt").into())
        });
        KubeletAccess {
            endpoint,
            token_file: account.then(|| self.token_file.clone()),
            tls: TlsClient {
                insecure_skip_verify: self.insecure_skip_verify,
                server_name_override: self.server_name_override.clone(),
                include_system_ca_certs_pool: account && ca_file.is_some(),
                ca_file,
                cert_file: self.cert_file.clone(),
                key_file: self.key_file.clone(),
                ..TlsClient::default()
            },
            timeout: self
                .timeout
                .non_zero()
                .unwrap_or(self.collection_interval.get())
                .into(),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval == Duration::ZERO {
            at.field("collection_interval")
                .error("must be greater than zero");
        }
        if self.auth_type == AuthType::Tls && (self.cert_file.is_none() || self.key_file.is_none())
        {
            at.error("auth_type 'tls' needs cert_file and key_file");
        }
        if self.auth_type == AuthType::KubeConfig && self.endpoint.is_empty() {
            at.error("auth_type 'kubeConfig' asks through the API server: set endpoint to the node's name");
        }
        for name in self.metrics.keys() {
            let all = || metrics::ALL.iter().map(|one| one.name);
            if !all().any(|known| known == name) {
                unknown("metric", name, all(), &mut at.section("metrics"));
            } else if needs_node(name) && self.has_metric(name) {
                let at = &mut at.section("metrics");
                if self.node.is_empty() {
                    at.on(name).error(
                        "needs the setting 'node': node: ${env:K8S_NODE_NAME}, which the pod's specification sets from spec.nodeName",
                    );
                } else if self.k8s_api_config.is_none() {
                    at.on(name).error(
                        "needs the node's capacity, which the API server has: k8s_api_config: {auth_type: serviceAccount}",
                    );
                }
            }
        }
        for name in self.resource_attributes.keys() {
            let all = || ATTRIBUTES.iter().map(|(name, _)| *name);
            if !all().any(|known| known == name) {
                let at = &mut at.section("resource_attributes");
                unknown("resource attribute", name, all(), at);
            }
        }
        if self.k8s_api_config.is_some() && !self.needs_capacity() && !Claims::wanted(self) {
            at.field("k8s_api_config").warning(
                "is not used: the API server is asked for the node's capacity, and for the volumes behind claims with the group volume and the label k8s.volume.type",
            );
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
    fn endpoints_are_completed() {
        let of = |yaml: &str| from_str::<Config>(yaml).unwrap().access();
        assert_eq!(
            of("{endpoint: node-1:10250}").endpoint,
            "https://node-1:10250"
        );
        assert_eq!(
            of("{auth_type: none, endpoint: node-1:10255}").endpoint,
            "http://node-1:10255"
        );
        let ours = of("{}");
        assert!(ours.endpoint.starts_with("https://") && ours.endpoint.ends_with(":10250"));
        assert!(ours.token_file.is_some() && ours.tls.ca_file.is_some());
        let open = of("{insecure_skip_verify: true}");
        assert!(open.tls.ca_file.is_none() && open.tls.insecure_skip_verify);
        assert!(of("{auth_type: none}").token_file.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "auth_type: tls\nmetrics: {k8s.node.uptme: {enabled: true}, k8s.pod.cpu.node.utilization: {enabled: true}}\nresource_attributes: {k8s.pod.ui: {enabled: false}}\ncollection_interval: 0s",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "needs cert_file and key_file",
            "unknown metric 'k8s.node.uptme', did you mean 'k8s.node.uptime'?",
            "needs the setting 'node'",
            "did you mean 'k8s.pod.uid'?",
            "collection_interval must be greater than zero",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }
}
