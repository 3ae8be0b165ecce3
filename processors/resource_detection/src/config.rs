//! The settings, under the Collector's names.

use std::collections::BTreeMap;
use std::time::Duration;

use corten_config::types::Duration as Time;
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `resource_detection` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who is asked, in the order in which they win over each other: `env`, `system`, `docker`, `k8s_api`, `ec2`, `gcp`, `azure`.
    pub(crate) detectors: Vec<String>,
    /// Whether what is detected replaces what a resource has already.
    #[serde(rename = "override")]
    pub(crate) replace: bool,
    /// How long the start waits for the detectors. What comes later is used from then on.
    pub(crate) timeout: Time,
    /// How often everything is detected again. `0`: once.
    pub(crate) refresh_interval: Time,
    /// The detector `env`.
    pub(crate) env: Plain,
    /// The detector `system`.
    pub(crate) system: System,
    /// The detector `docker`.
    pub(crate) docker: Docker,
    /// The detector `k8s_api`.
    pub(crate) k8s_api: K8sApi,
    /// The detector `ec2`.
    pub(crate) ec2: Cloud,
    /// The detector `gcp`.
    pub(crate) gcp: Cloud,
    /// The detector `azure`.
    pub(crate) azure: Cloud,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            detectors: vec!["env".to_owned()],
            replace: true,
            timeout: Duration::from_secs(5).into(),
            refresh_interval: Duration::ZERO.into(),
            env: Plain::default(),
            system: System::default(),
            docker: Docker::default(),
            k8s_api: K8sApi::default(),
            ec2: Cloud::at("http://169.254.169.254"),
            gcp: Cloud::at("http://metadata.google.internal"),
            azure: Cloud::at("http://169.254.169.254"),
        }
    }
}

/// Attributes by their names, to turn them on or off.
pub(crate) type Choices = BTreeMap<String, Choice>;

/// Whether an attribute is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Choice {
    /// Whether it is told.
    pub(crate) enabled: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// A detector without settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Plain {
    /// Its attributes, to turn them on or off.
    pub(crate) resource_attributes: Choices,
}

/// The detector `system`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct System {
    /// Where the host's name is asked for, the first answer counts: `dns` (its name with its domain, from `/etc/hosts`), `os`.
    pub(crate) hostname_sources: Vec<HostnameSource>,
    /// Its attributes, to turn them on or off. `host.name` and `os.type` are on; there are `host.id`, `host.arch`, `host.ip`, `host.mac`,
    /// `host.cpu.vendor.id`, `host.cpu.family`, `host.cpu.model.id`, `host.cpu.model.name`, `host.cpu.stepping`, `os.description`,
    /// `os.name`, `os.version`.
    pub(crate) resource_attributes: Choices,
}

impl Default for System {
    fn default() -> Self {
        Self {
            hostname_sources: vec![HostnameSource::Dns, HostnameSource::Os],
            resource_attributes: Choices::default(),
        }
    }
}

/// Where a host's name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HostnameSource {
    /// Its name with its domain, from `/etc/hosts`.
    Dns,
    /// What the kernel says.
    Os,
    /// The same as `dns`.
    Cname,
    /// The same as `dns`.
    Lookup,
}

/// The detector `docker`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Docker {
    /// Docker's socket.
    pub(crate) endpoint: std::path::PathBuf,
    /// Its attributes, to turn them on or off: `host.name`, `os.type`.
    pub(crate) resource_attributes: Choices,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            endpoint: "/var/run/docker.sock".into(),
            resource_attributes: Choices::default(),
        }
    }
}

/// The detector `k8s_api`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct K8sApi {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The environment variable that has the node's name.
    pub(crate) node_from_env_var: String,
    /// Its attributes, to turn them on or off: `k8s.node.name`, `k8s.node.uid`.
    pub(crate) resource_attributes: Choices,
}

impl Default for K8sApi {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            node_from_env_var: "K8S_NODE_NAME".to_owned(),
            resource_attributes: Choices::default(),
        }
    }
}

impl K8sApi {
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }
}

/// A cloud's detector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Cloud {
    /// The address of the cloud's metadata, without a path.
    pub(crate) endpoint: String,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

impl Cloud {
    fn at(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            resource_attributes: Choices::default(),
        }
    }
}

/// The detectors that there are.
pub(crate) const DETECTORS: [&str; 7] =
    ["env", "system", "docker", "k8s_api", "ec2", "gcp", "azure"];

/// The Collector's that are not here.
const ABSENT: [&str; 16] = [
    "aks",
    "akamai",
    "consul",
    "digitalocean",
    "dynatrace",
    "ecs",
    "eks",
    "elasticbeanstalk",
    "heroku",
    "hetzner",
    "kubeadm",
    "lambda",
    "openshift",
    "openstacknova",
    "oraclecloud",
    "scaleway",
];

/// The name that a detector has here: `k8snode` is the Collector's older one for `k8s_api`.
pub(crate) fn detector(name: &str) -> &str {
    match name {
        "k8snode" => "k8s_api",
        "gce" | "gke" => "gcp",
        other => other,
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        for (index, name) in self.detectors.iter().enumerate() {
            let name = detector(name);
            if DETECTORS.contains(&name) {
                continue;
            }
            let known = DETECTORS.join(", ");
            at.item("detectors", index)
                .error(if ABSENT.contains(&name) {
                    format!("the detector '{name}' is not in Corten yet; there are {known}")
                } else {
                    format!("unknown detector '{name}'; there are {known}")
                });
        }
        if self.detectors.is_empty() {
            at.field("detectors").error("names no detector");
        }
        for (name, cloud) in [
            ("ec2", &self.ec2),
            ("gcp", &self.gcp),
            ("azure", &self.azure),
        ] {
            let uri = cloud.endpoint.parse::<http::Uri>();
            if !uri.is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some()) {
                at.section(name)
                    .field("endpoint")
                    .error("expected http://host:port");
            }
        }
    }
}
