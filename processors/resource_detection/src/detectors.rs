//! Who is asked, and what the answers mean.
//!
//! Each detector is a file: its attributes, where it finds them, and what they are made of. [`ALL`] lists them.

mod akamai;
mod alibaba_ecs;
mod azure;
mod consul;
mod digitalocean;
mod dynatrace;
mod ec2;
mod ecs;
mod eks;
mod elastic_beanstalk;
mod gcp;
mod heroku;
mod hetzner;
mod ibm_cloud;
mod kubernetes;
mod lambda;
mod nova;
mod openshift;
mod oracle_cloud;
mod scaleway;
mod service;
mod system;
mod tencent_cvm;
#[cfg(test)]
mod tests;
mod upcloud;
mod vultr;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use corten_component::Context;
use corten_config::types::Regex;
use corten_kubernetes::{ApiClient, ApiConfig, Surroundings};
use corten_net::client::{HttpClient, SetupError};
use corten_pdata::build::OwnedValue;
use percent_encoding::percent_decode_str;

use crate::config::{Choices, Config, Openshift};
use crate::detectors::service::Service;

/// What a detector found, by the attributes' names.
pub(crate) type Found = BTreeMap<String, OwnedValue>;

/// Why it found nothing.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An attribute, and whether it is told unless the user says otherwise.
pub(crate) type Attribute = (&'static str, bool);

/// The environment's variables; an empty one is none.
pub(crate) type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A detector that can be asked.
pub(crate) struct Detector {
    /// In the list `detectors`.
    pub(crate) name: &'static str,
    /// Of its settings.
    pub(crate) section: &'static str,
    /// Where it asks, unless the user says otherwise; nothing for what is no metadata service.
    pub(crate) endpoint: &'static str,
    /// What it tells. Nothing for one that tells what it finds.
    pub(crate) attributes: &'static [Attribute],
}

const fn at(
    name: &'static str,
    endpoint: &'static str,
    attributes: &'static [Attribute],
) -> Detector {
    Detector {
        name,
        section: name,
        endpoint,
        attributes,
    }
}

/// The address that most clouds give their metadata.
const LINK_LOCAL: &str = "http://169.254.169.254";

/// The detectors that there are, under the Collector's names.
pub(crate) static ALL: [Detector; 30] = [
    at("env", "", &[]),
    at("system", "", &system::ATTRIBUTES),
    at("docker", "", &[("host.name", true), ("os.type", true)]),
    at("k8s_api", "", &kubernetes::ATTRIBUTES),
    at("kubeadm", "", &kubernetes::KUBEADM),
    at("openshift", "", &openshift::ATTRIBUTES),
    at("ec2", LINK_LOCAL, &ec2::ATTRIBUTES),
    at("ecs", "", &ecs::ATTRIBUTES),
    at("eks", LINK_LOCAL, &eks::ATTRIBUTES),
    Detector {
        name: "elastic_beanstalk",
        section: "elasticbeanstalk",
        endpoint: "",
        attributes: &elastic_beanstalk::ATTRIBUTES,
    },
    at("lambda", "", &lambda::ATTRIBUTES),
    at("gcp", "http://metadata.google.internal", &gcp::ATTRIBUTES),
    at("azure", LINK_LOCAL, &azure::ATTRIBUTES),
    at("aks", LINK_LOCAL, &azure::AKS),
    at("azurecontainerapps", "", &azure::CONTAINER_APPS),
    at("consul", "", &consul::ATTRIBUTES),
    at("heroku", "", &heroku::ATTRIBUTES),
    at("dynatrace", "", &dynatrace::ATTRIBUTES),
    at("nova", LINK_LOCAL, &nova::ATTRIBUTES),
    at("oraclecloud", LINK_LOCAL, &oracle_cloud::ATTRIBUTES),
    at("digitalocean", LINK_LOCAL, &digitalocean::ATTRIBUTES),
    at("akamai", LINK_LOCAL, &akamai::ATTRIBUTES),
    at("hetzner", LINK_LOCAL, &hetzner::ATTRIBUTES),
    at("upcloud", LINK_LOCAL, &upcloud::ATTRIBUTES),
    at("vultr", LINK_LOCAL, &vultr::ATTRIBUTES),
    at("scaleway", "http://169.254.42.42", &scaleway::ATTRIBUTES),
    at(
        "alibaba_ecs",
        "http://100.100.100.200",
        &alibaba_ecs::ATTRIBUTES,
    ),
    at(
        "tencent_cvm",
        "http://metadata.tencentyun.com",
        &tencent_cvm::ATTRIBUTES,
    ),
    at(
        "ibmcloud_vpc",
        "http://api.metadata.cloud.ibm.com",
        &ibm_cloud::VPC,
    ),
    at(
        "ibmcloud_classic",
        "https://api.service.softlayer.com",
        &ibm_cloud::CLASSIC,
    ),
];

/// The detector of this name, or of the Collector's older one for it.
pub(crate) fn detector(name: &str) -> Option<&'static Detector> {
    let name = match name {
        "k8snode" => "k8s_api",
        "gce" | "gke" => "gcp",
        "elasticbeanstalk" => "elastic_beanstalk",
        "linode" => "akamai",
        "openstack" | "openstacknova" => "nova",
        other => other,
    };
    ALL.iter().find(|detector| detector.name == name)
}

/// How long one request may take: metadata is near, or not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks all detectors.
pub(crate) struct Detectors {
    config: Config,
    client: HttpClient,
    /// For the cluster of OpenShift that the user names.
    openshift: Option<HttpClient>,
    variables: Box<Variables>,
    /// Where the host's files are.
    root: PathBuf,
}

impl Detectors {
    /// No IO.
    ///
    /// # Errors
    ///
    /// The client cannot be made.
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, SetupError> {
        let settings = corten_config::settings::HttpClient {
            timeout: PATIENCE.into(),
            ..corten_config::settings::HttpClient::default()
        };
        let openshift = if config.openshift.address.is_empty() {
            None
        } else {
            let settings = corten_config::settings::HttpClient {
                tls: config.openshift.tls.clone(),
                ..settings.clone()
            };
            Some(HttpClient::new(cx, &settings)?.with_max_response(1 << 20))
        };
        Ok(Self {
            openshift,
            config: config.clone(),
            // Metadata is never behind a proxy.
            client: HttpClient::direct(cx, &settings)?.with_max_response(1 << 20),
            variables: Box::new(|name| {
                let value = std::env::var(name).ok();
                value.filter(|value| !value.trim().is_empty())
            }),
            root: PathBuf::from("/"),
        })
    }

    /// What a detector finds of what the user wants.
    pub(crate) async fn detect(&self, detector: &Detector) -> Result<Found, Failure> {
        let found = self.ask(detector).await?;
        let choices = self.config.choices(detector.name);
        Ok(chosen(found, choices, detector.attributes))
    }

    async fn ask(&self, detector: &Detector) -> Result<Found, Failure> {
        let config = &self.config;
        let variables = &*self.variables;
        let endpoint = match config.endpoint(detector.name) {
            "" => detector.endpoint,
            own => own,
        };
        let service = || Service::new(&self.client, endpoint);
        let client = |api: ApiConfig| ApiClient::new(api, Surroundings::of_pod());
        match detector.name {
            "env" => parse_environment(&variables("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()),
            "system" => Ok(system::detect(&self.root, &config.system.hostname_sources)),
            "docker" => {
                let asked = corten_runtimes::docker_host(&config.docker.endpoint, PATIENCE);
                let host = asked.await?;
                Ok(texts([("host.name", host.name), ("os.type", host.os_type)]))
            }
            "k8s_api" => {
                let variable = &config.k8s_api.node_from_env_var;
                let name = variables(variable).ok_or_else(|| {
                    format!("{variable} is not set: set it from spec.nodeName in the pod's specification")
                })?;
                let with_cluster = self.tells(detector, "k8s.cluster.uid");
                kubernetes::node(&client(config.k8s_api.api()), name, with_cluster).await
            }
            "kubeadm" => {
                let with_uid = self.tells(detector, "k8s.cluster.uid");
                kubernetes::kubeadm(&client(config.kubeadm.api()), with_uid).await
            }
            "openshift" => self.openshift(&config.openshift).await,
            "ec2" => ec2::detect(service(), &config.ec2).await,
            "ecs" => {
                let own = match endpoint {
                    "" => ecs::endpoint(variables)?,
                    own => own.to_owned(),
                };
                ecs::detect(Service::new(&self.client, &own)).await
            }
            "eks" => {
                let node = variables(&config.eks.node_from_env_var);
                eks::detect(service(), &client(config.eks.api()), node).await
            }
            "elastic_beanstalk" => elastic_beanstalk::detect(&self.root),
            "lambda" => lambda::detect(variables),
            "gcp" => {
                let api = match config.gcp.api_endpoint.as_str() {
                    "" => gcp::API,
                    own => own,
                };
                let api = Service::new(&self.client, api);
                gcp::detect(service(), api, &config.gcp, variables).await
            }
            "azure" => azure::detect(service(), &config.azure).await,
            "aks" => azure::aks(service(), variables).await,
            "azurecontainerapps" => azure::container_apps(variables),
            "consul" => {
                let address = consul::endpoint(&config.consul, variables);
                let service = Service::new(&self.client, &address);
                consul::detect(service, &config.consul, variables).await
            }
            "heroku" => heroku::detect(variables),
            "dynatrace" => dynatrace::detect(&self.root),
            "nova" => nova::detect(service(), &config.nova).await,
            "oraclecloud" => oracle_cloud::detect(service()).await,
            "digitalocean" => digitalocean::detect(service()).await,
            "akamai" => akamai::detect(service()).await,
            "hetzner" => hetzner::detect(service()).await,
            "upcloud" => upcloud::detect(service()).await,
            "vultr" => vultr::detect(service()).await,
            "scaleway" => scaleway::detect(service()).await,
            "alibaba_ecs" => alibaba_ecs::detect(service()).await,
            "tencent_cvm" => tencent_cvm::detect(service()).await,
            "ibmcloud_vpc" => ibm_cloud::vpc(service()).await,
            "ibmcloud_classic" => ibm_cloud::classic(service()).await,
            other => Err(format!("unknown detector '{other}'").into()),
        }
    }

    /// The API server of the pod's own cluster, or the one that the user names.
    async fn openshift(&self, config: &Openshift) -> Result<Found, Failure> {
        let Some(client) = &self.openshift else {
            let client = ApiClient::new(config.api(), Surroundings::of_pod());
            return openshift::detect(&client).await;
        };
        let bearer = format!("Bearer {}", config.token.expose());
        let service = Service::new(client, &config.address).with("authorization", &bearer)?;
        openshift::told(service.json(openshift::PATH).await?)
    }

    /// Whether the user wants this attribute.
    fn tells(&self, detector: &Detector, name: &str) -> bool {
        let choice = self.config.choices(detector.name).get(name);
        choice.map_or_else(|| is_on(detector.attributes, name), |choice| choice.enabled)
    }
}

/// Whether an attribute is told unless the user says otherwise. What has no fixed name is: tags, metadata, the environment's.
fn is_on(attributes: &[Attribute], name: &str) -> bool {
    let known = attributes.iter().find(|(own, _)| *own == name);
    known.is_none_or(|(_, on)| *on)
}

/// What is wanted of it.
fn chosen(mut found: Found, choices: &Choices, attributes: &[Attribute]) -> Found {
    found.retain(|name, _| match choices.get(name) {
        Some(choice) => choice.enabled,
        None => is_on(attributes, name),
    });
    found
}

/// Whether any of the expressions is found in a key.
fn matches(patterns: &[Regex], key: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(key))
}

/// Attributes with these texts; empty ones are left out.
fn texts<const N: usize>(all: [(&str, String); N]) -> Found {
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), OwnedValue::from(value)))
        .collect()
}

/// `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, keys and values percent-encoded (OpenTelemetry's resource SDK).
fn parse_environment(text: &str) -> Result<Found, Failure> {
    let decoded = |text: &str| {
        percent_decode_str(text.trim())
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                format!("OTEL_RESOURCE_ATTRIBUTES: expected key=value, found '{pair}'")
            })?;
            Ok((decoded(key), OwnedValue::from(decoded(value))))
        })
        .collect()
}
