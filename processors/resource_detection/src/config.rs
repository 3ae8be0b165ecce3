//! The settings, under the Collector's names.

use std::collections::BTreeMap;
use std::time::Duration;

use corten_config::settings::TlsClient;
use corten_config::types::{Duration as Time, Regex, Secret};
use corten_config::{Check, Checker, nearest};
use corten_kubernetes::{ApiConfig, AuthType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detectors::{ALL, detector};

/// Settings of the `resource_detection` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who is asked, in the order in which they win over each other. There are `env`, `system`, `docker`, `k8s_api`, `kubeadm`, `openshift`, `ec2`, `ecs`,
    /// `eks`, `elastic_beanstalk`, `lambda`, `gcp`, `azure`, `aks`, `azurecontainerapps`, `consul`, `heroku`, `dynatrace`, `nova`, `oraclecloud`,
    /// `digitalocean`, `akamai`, `hetzner`, `upcloud`, `vultr`, `scaleway`, `alibaba_ecs`, `tencent_cvm`, `ibmcloud_vpc`, `ibmcloud_classic`.
    pub(crate) detectors: Vec<String>,
    /// Whether what is detected replaces what a resource has already.
    #[serde(rename = "override")]
    pub(crate) replace: bool,
    /// How long the start waits for the detectors. What comes later is used from then on.
    pub(crate) timeout: Time,
    /// How often everything is detected again. `0`: once.
    pub(crate) refresh_interval: Time,
    /// Whether the start fails where a detector has not found anything within `timeout`. By default it goes on without.
    pub(crate) fail_on_missing_metadata: bool,
    /// The detector `env`: `OTEL_RESOURCE_ATTRIBUTES`.
    pub(crate) env: Plain,
    /// The detector `system`: the host itself.
    pub(crate) system: System,
    /// The detector `docker`: the host that Docker runs on.
    pub(crate) docker: Docker,
    /// The detector `k8s_api`: this node and its cluster.
    #[serde(alias = "k8snode")]
    pub(crate) k8s_api: K8sApi,
    /// The detector `kubeadm`: a cluster that kubeadm made.
    pub(crate) kubeadm: Cluster,
    /// The detector `openshift`: a cluster of OpenShift.
    pub(crate) openshift: Openshift,
    /// The detector `ec2`: a machine of Amazon's.
    pub(crate) ec2: Ec2,
    /// The detector `ecs`: a task of Amazon's container service. Its address is in the environment unless `endpoint` is set.
    pub(crate) ecs: Cloud,
    /// The detector `eks`: a cluster of Amazon's.
    pub(crate) eks: Eks,
    /// The detector `elastic_beanstalk`: a machine of Amazon's with X-Ray.
    pub(crate) elasticbeanstalk: Plain,
    /// The detector `lambda`: a function of Amazon's.
    pub(crate) lambda: Plain,
    /// The detector `gcp`: a machine or a cluster's node of Google's, Cloud Run, Cloud Functions and App Engine.
    pub(crate) gcp: Gcp,
    /// The detector `azure`: a machine of Microsoft's.
    pub(crate) azure: Tagged,
    /// The detector `aks`: a cluster of Microsoft's.
    pub(crate) aks: Cloud,
    /// The detector `azurecontainerapps`: a container app of Microsoft's.
    pub(crate) azurecontainerapps: Plain,
    /// The detector `consul`: the agent of Consul on this host.
    pub(crate) consul: Consul,
    /// The detector `heroku`: a dyno.
    pub(crate) heroku: Plain,
    /// The detector `dynatrace`: what Dynatrace's agent on this host has written down.
    pub(crate) dynatrace: Plain,
    /// The detector `nova`: a machine of OpenStack.
    pub(crate) nova: Labeled,
    /// The detector `ibmcloud_vpc`: a machine in a VPC of IBM's.
    pub(crate) ibmcloud_vpc: IbmVpc,
    /// The detector `oraclecloud`: Oracle Cloud Infrastructure.
    pub(crate) oraclecloud: Cloud,
    /// The detector `digitalocean`: DigitalOcean.
    pub(crate) digitalocean: Cloud,
    /// The detector `akamai`: Akamai's cloud, once Linode.
    pub(crate) akamai: Cloud,
    /// The detector `hetzner`: Hetzner Cloud.
    pub(crate) hetzner: Cloud,
    /// The detector `upcloud`: UpCloud.
    pub(crate) upcloud: Cloud,
    /// The detector `vultr`: Vultr.
    pub(crate) vultr: Cloud,
    /// The detector `scaleway`: Scaleway.
    pub(crate) scaleway: Cloud,
    /// The detector `alibaba_ecs`: Alibaba Cloud ECS.
    pub(crate) alibaba_ecs: Cloud,
    /// The detector `tencent_cvm`: Tencent Cloud CVM.
    pub(crate) tencent_cvm: Cloud,
    /// The detector `ibmcloud_classic`: IBM Cloud's classic infrastructure.
    pub(crate) ibmcloud_classic: Cloud,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            detectors: vec!["env".to_owned()],
            replace: true,
            timeout: Duration::from_secs(5).into(),
            refresh_interval: Duration::ZERO.into(),
            fail_on_missing_metadata: false,
            env: Plain::default(),
            system: System::default(),
            docker: Docker::default(),
            k8s_api: K8sApi::default(),
            kubeadm: Cluster::default(),
            openshift: Openshift::default(),
            ec2: Ec2::default(),
            ecs: Cloud::default(),
            eks: Eks::default(),
            elasticbeanstalk: Plain::default(),
            lambda: Plain::default(),
            gcp: Gcp::default(),
            azure: Tagged::default(),
            aks: Cloud::default(),
            azurecontainerapps: Plain::default(),
            consul: Consul::default(),
            heroku: Plain::default(),
            dynatrace: Plain::default(),
            nova: Labeled::default(),
            ibmcloud_vpc: IbmVpc::default(),
            oraclecloud: Cloud::default(),
            digitalocean: Cloud::default(),
            akamai: Cloud::default(),
            hetzner: Cloud::default(),
            upcloud: Cloud::default(),
            vultr: Cloud::default(),
            scaleway: Cloud::default(),
            alibaba_ecs: Cloud::default(),
            tencent_cvm: Cloud::default(),
            ibmcloud_classic: Cloud::default(),
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
    /// Its attributes, to turn them on or off. `host.name` and `os.type` are on; there are `host.id`, `host.arch`, `host.interface`, `host.ip`, `host.mac`,
    /// `host.cpu.vendor.id`, `host.cpu.family`, `host.cpu.model.id`, `host.cpu.model.name`, `host.cpu.stepping`, `host.cpu.cache.l2.size`, `os.build.id`,
    /// `os.description`, `os.name`, `os.version`.
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
    /// Its attributes, to turn them on or off: `k8s.node.name`, `k8s.node.uid`, `k8s.cluster.uid`.
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

/// A detector that asks the API server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Cluster {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// Its attributes, to turn them on or off.
    pub(crate) resource_attributes: Choices,
}

/// The detector `eks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Eks {
    /// The address of the instance's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The environment variable that has the node's name, by which zone and instance are told where pods cannot reach the instance's metadata.
    pub(crate) node_from_env_var: String,
    /// Its attributes, to turn them on or off; on are `cloud.provider` and `cloud.platform`.
    pub(crate) resource_attributes: Choices,
}

impl Default for Eks {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            node_from_env_var: "K8S_NODE_NAME".to_owned(),
            resource_attributes: Choices::default(),
        }
    }
}

/// The detector `openshift`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Openshift {
    /// The API server's address, where it is not that of the pod's own cluster.
    pub(crate) address: String,
    /// The token for `address`.
    pub(crate) token: Secret,
    /// How `address` is spoken to.
    pub(crate) tls: TlsClient,
    /// Who Corten is to its own cluster's API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<std::path::PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

/// The detector `consul`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Consul {
    /// The agent's address. Without it, `CONSUL_HTTP_ADDR` or `127.0.0.1:8500`.
    pub(crate) address: String,
    /// The data center that is asked; empty for the agent's own.
    pub(crate) datacenter: String,
    /// The namespace that is asked about.
    pub(crate) namespace: String,
    /// The token. Without it and `token_file`, `CONSUL_HTTP_TOKEN`.
    pub(crate) token: Secret,
    /// A file that has the token.
    pub(crate) token_file: Option<std::path::PathBuf>,
    /// Of the node's metadata, the keys that become attributes; values are not looked at.
    pub(crate) meta: BTreeMap<String, Option<String>>,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

/// A cloud's detector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Cloud {
    /// The address of the cloud's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Deprecated: the same one level up, for this detector.
    pub(crate) fail_on_missing_metadata: bool,
    /// Its attributes, to turn them on or off.
    pub(crate) resource_attributes: Choices,
}

/// The detector `ec2`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Ec2 {
    /// The address of the instance's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Expressions for the keys of tags that become `ec2.tag.<key>`. Tags are read from the instance's metadata, which has to allow it
    /// (`InstanceMetadataTags=enabled`).
    pub(crate) tags: Vec<Regex>,
    /// Accepted for compatibility: tags are read from the instance's metadata always.
    pub(crate) tags_from_imds: bool,
    /// Accepted for compatibility: who does not answer is asked again in the background.
    pub(crate) max_attempts: u32,
    /// Accepted for compatibility: who does not answer is asked again in the background.
    pub(crate) max_backoff: Time,
    /// Deprecated: the same one level up, for this detector.
    pub(crate) fail_on_missing_metadata: bool,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

/// The detector `gcp`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Gcp {
    /// The address of the metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Expressions for the keys of labels that become `gcp.gce.instance.labels.<key>`. Google's API is asked for them, which needs the role
    /// `compute.viewer`.
    pub(crate) labels: Vec<Regex>,
    /// The address of Google's API, without a path, where it is not the usual one.
    pub(crate) api_endpoint: String,
    /// Its attributes, to turn them on or off; all but `gcp.gce.instance.hostname` and `gcp.gce.instance.name` are on.
    pub(crate) resource_attributes: Choices,
}

/// The detector `azure`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tagged {
    /// The address of the machine's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Expressions for the keys of tags that become `azure.tag.<key>`.
    pub(crate) tags: Vec<Regex>,
    /// Its attributes, to turn them on or off; all but `cloud.availability_zone` are on.
    pub(crate) resource_attributes: Choices,
}

/// The detector `nova`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Labeled {
    /// The address of the machine's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// Expressions for the keys of metadata that become `openstack.nova.meta.<key>`.
    pub(crate) labels: Vec<Regex>,
    /// Deprecated: the same one level up, for this detector.
    pub(crate) fail_on_missing_metadata: bool,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

/// The detector `ibmcloud_vpc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct IbmVpc {
    /// The address of the machine's metadata, without a path, where it is not the usual one.
    pub(crate) endpoint: String,
    /// How the usual address is spoken to, as the machine's secure access says.
    pub(crate) protocol: Protocol,
    /// Its attributes, to turn them on or off; all are on.
    pub(crate) resource_attributes: Choices,
}

/// In the clear or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// In the clear.
    #[default]
    Http,
    /// With TLS.
    Https,
}

macro_rules! reaches {
    ($($type:ident),*) => {$(
        impl $type {
            pub(crate) fn api(&self) -> ApiConfig {
                ApiConfig {
                    auth_type: self.auth_type,
                    kubeconfig_path: self.kubeconfig_path.clone(),
                    context: self.context.clone(),
                }
            }
        }
    )*};
}

reaches!(K8sApi, Cluster, Eks, Openshift);

impl Config {
    /// The attributes of a detector that are turned on or off.
    pub(crate) fn choices(&self, detector: &str) -> &Choices {
        match detector {
            "system" => &self.system.resource_attributes,
            "docker" => &self.docker.resource_attributes,
            "k8s_api" => &self.k8s_api.resource_attributes,
            "kubeadm" => &self.kubeadm.resource_attributes,
            "openshift" => &self.openshift.resource_attributes,
            "ec2" => &self.ec2.resource_attributes,
            "gcp" => &self.gcp.resource_attributes,
            "eks" => &self.eks.resource_attributes,
            "elastic_beanstalk" => &self.elasticbeanstalk.resource_attributes,
            "lambda" => &self.lambda.resource_attributes,
            "azure" => &self.azure.resource_attributes,
            "azurecontainerapps" => &self.azurecontainerapps.resource_attributes,
            "consul" => &self.consul.resource_attributes,
            "heroku" => &self.heroku.resource_attributes,
            "dynatrace" => &self.dynatrace.resource_attributes,
            "nova" => &self.nova.resource_attributes,
            "ibmcloud_vpc" => &self.ibmcloud_vpc.resource_attributes,
            other => match self.cloud(other) {
                Some(cloud) => &cloud.resource_attributes,
                None => &self.env.resource_attributes,
            },
        }
    }

    /// Where the user says that a detector asks; empty where it is the usual place.
    pub(crate) fn endpoint(&self, detector: &str) -> &str {
        match detector {
            "ec2" => &self.ec2.endpoint,
            "gcp" => &self.gcp.endpoint,
            "eks" => &self.eks.endpoint,
            "azure" => &self.azure.endpoint,
            "nova" => &self.nova.endpoint,
            "ibmcloud_vpc" => match (&self.ibmcloud_vpc.endpoint, self.ibmcloud_vpc.protocol) {
                (own, Protocol::Https) if own.is_empty() => "https://api.metadata.cloud.ibm.com",
                (own, _) => own,
            },
            other => self.cloud(other).map_or("", |cloud| &cloud.endpoint),
        }
    }

    /// Whether the start fails without what a detector finds.
    pub(crate) fn insists_on(&self, detector: &str) -> bool {
        let own = match detector {
            "ec2" => self.ec2.fail_on_missing_metadata,
            "nova" => self.nova.fail_on_missing_metadata,
            other => self
                .cloud(other)
                .is_some_and(|cloud| cloud.fail_on_missing_metadata),
        };
        own || self.fail_on_missing_metadata
    }

    fn cloud(&self, detector: &str) -> Option<&Cloud> {
        Some(match detector {
            "ecs" => &self.ecs,
            "aks" => &self.aks,
            "oraclecloud" => &self.oraclecloud,
            "digitalocean" => &self.digitalocean,
            "akamai" => &self.akamai,
            "hetzner" => &self.hetzner,
            "upcloud" => &self.upcloud,
            "vultr" => &self.vultr,
            "scaleway" => &self.scaleway,
            "alibaba_ecs" => &self.alibaba_ecs,
            "tencent_cvm" => &self.tencent_cvm,
            "ibmcloud_classic" => &self.ibmcloud_classic,
            _ => return None,
        })
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let mut seen = Vec::new();
        for (index, name) in self.detectors.iter().enumerate() {
            let known = || ALL.iter().map(|detector| detector.name);
            match detector(name) {
                Some(detector) if seen.contains(&detector.name) => {
                    at.item("detectors", index)
                        .warning(format!("'{name}' is named twice, which changes nothing"));
                }
                Some(detector) => seen.push(detector.name),
                None => {
                    let mut message = format!("unknown detector '{name}'");
                    if let Some(near) = nearest(name, known()) {
                        message.push_str(&format!(", did you mean '{near}'?"));
                    } else {
                        let all: Vec<_> = known().collect();
                        message.push_str(&format!("; there are {}", all.join(", ")));
                    }
                    at.item("detectors", index).error(message);
                }
            }
        }
        if self.detectors.is_empty() {
            at.field("detectors").error("names no detector");
        }
        for detector in &ALL {
            let mut section = at.section(detector.section);
            let own = self.endpoint(detector.name);
            if !own.is_empty() && !is_address(own) {
                section.field("endpoint").error("expected http://host:port");
            }
            // What the environment says may have any name.
            if detector.attributes.is_empty() {
                continue;
            }
            let names = || detector.attributes.iter().map(|(name, _)| *name);
            let mut choices = section.section("resource_attributes");
            for name in self.choices(detector.name).keys() {
                if names().any(|known| known == name) {
                    continue;
                }
                match nearest(name, names()) {
                    Some(near) => choices.on(name).error(format!(
                        "unknown attribute '{name}', did you mean '{near}'?"
                    )),
                    // It may be one of a newer Collector's.
                    None => choices.on(name).warning(format!(
                        "'{name}' is none that '{}' detects; there are {}",
                        detector.name,
                        names().collect::<Vec<_>>().join(", ")
                    )),
                }
            }
        }
        let address = &self.gcp.api_endpoint;
        if !address.is_empty() && !is_address(address) {
            at.section("gcp")
                .field("api_endpoint")
                .error("expected https://host:port");
        }
        let address = &self.openshift.address;
        if !address.is_empty() && !is_address(address) {
            at.section("openshift")
                .field("address")
                .error("expected https://host:port");
        }
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    })
}
