//! Who is asked, and what the answers mean.

mod cloud;
mod system;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use corten_component::Context;
use corten_kubernetes::object::{Object as _, Partial};
use corten_kubernetes::{ApiClient, Surroundings};
use corten_net::client::{HttpClient, SetupError};
use corten_pdata::build::OwnedValue;
use percent_encoding::percent_decode_str;

use crate::config::{Choices, Config};

/// What a detector found, by the attributes' names.
pub(crate) type Found = BTreeMap<String, OwnedValue>;

/// Why it found nothing.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The most that is read of a node's object.
const NODE: usize = 8 << 20;

/// Asks all detectors.
pub(crate) struct Detectors {
    config: Config,
    client: HttpClient,
}

impl Detectors {
    /// No IO.
    ///
    /// # Errors
    ///
    /// The client cannot be made.
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, SetupError> {
        let mut settings = corten_config::settings::HttpClient {
            timeout: Duration::from_secs(2).into(),
            ..corten_config::settings::HttpClient::default()
        };
        // Metadata is never behind a proxy.
        settings.proxy_url = String::new();
        Ok(Self {
            config: config.clone(),
            client: HttpClient::new(cx, &settings)?.with_max_response(1 << 20),
        })
    }

    /// What the detector `name` finds of what the user wants.
    pub(crate) async fn detect(&self, name: &str) -> Result<Found, Failure> {
        let config = &self.config;
        let (found, choices, on) = match name {
            "env" => (environment()?, &config.env.resource_attributes, None),
            "system" => {
                let system = &config.system;
                let found = system::detect(Path::new("/"), &system.hostname_sources);
                let on = Some(system::ON.as_slice());
                (found, &system.resource_attributes, on)
            }
            "docker" => {
                let docker = &config.docker;
                let timeout = Duration::from_secs(2);
                let host = corten_runtimes::docker_host(&docker.endpoint, timeout).await?;
                let found = texts([("host.name", host.name), ("os.type", host.os_type)]);
                (found, &docker.resource_attributes, None)
            }
            "k8s_api" => (
                self.node().await?,
                &config.k8s_api.resource_attributes,
                None,
            ),
            "ec2" => (
                cloud::ec2(&self.client, &config.ec2.endpoint).await?,
                &config.ec2.resource_attributes,
                None,
            ),
            "gcp" => (
                cloud::gcp(&self.client, &config.gcp.endpoint).await?,
                &config.gcp.resource_attributes,
                None,
            ),
            "azure" => (
                cloud::azure(&self.client, &config.azure.endpoint).await?,
                &config.azure.resource_attributes,
                None,
            ),
            other => return Err(format!("unknown detector '{other}'").into()),
        };
        Ok(chosen(found, choices, on))
    }

    /// This node, as the API server knows it.
    async fn node(&self) -> Result<Found, Failure> {
        let settings = &self.config.k8s_api;
        let variable = &settings.node_from_env_var;
        let name = std::env::var(variable)
            .ok()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                format!(
                    "{variable} is not set: set it from spec.nodeName in the pod's specification"
                )
            })?;
        let client = ApiClient::new(settings.api(), Surroundings::of_pod());
        let path = format!("/api/v1/nodes/{name}");
        let body = client.get(&path, "application/json", NODE).await?;
        let node: Partial = serde_json::from_slice(&body)?;
        Ok(texts([
            ("k8s.node.uid", node.metadata().uid.clone()),
            ("k8s.node.name", name),
        ]))
    }
}

/// What is wanted of it: what the user says, or else `on`, or else all.
fn chosen(mut found: Found, choices: &Choices, on: Option<&[&str]>) -> Found {
    found.retain(|name, _| match choices.get(name) {
        Some(choice) => choice.enabled,
        None => on.is_none_or(|on| on.contains(&name.as_str())),
    });
    found
}

/// Attributes with these texts; empty ones are left out.
fn texts<const N: usize>(all: [(&str, String); N]) -> Found {
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), OwnedValue::from(value)))
        .collect()
}

/// `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, keys and values percent-encoded (OpenTelemetry's resource SDK).
fn environment() -> Result<Found, Failure> {
    parse_environment(&std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_decoded() {
        let found = parse_environment("service.name=shop, a%20b = c%2Cd,").unwrap();
        assert_eq!(found["service.name"].get().as_str(), Some("shop"));
        assert_eq!(found["a b"].get().as_str(), Some("c,d"));
        assert!(
            parse_environment("lonely")
                .unwrap_err()
                .to_string()
                .contains("lonely")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_environment_is_too_odd(text in ".{0,60}") {
            drop(parse_environment(&text));
        }
    }
}
