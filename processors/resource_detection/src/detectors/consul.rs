//! Consul: what the agent on this host says of itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Consul;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, Variables, texts};

pub(crate) static ATTRIBUTES: [Attribute; 3] = [
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Agent {
    config: AgentConfig,
    meta: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AgentConfig {
    #[serde(rename = "NodeName")]
    name: String,
    #[serde(rename = "Datacenter")]
    datacenter: String,
    #[serde(rename = "NodeID")]
    id: String,
}

/// The agent's address: the configuration's, the environment's as Consul's own tools read it, or the usual one.
pub(crate) fn endpoint(config: &Consul, variables: &Variables) -> String {
    let address = match config.address.as_str() {
        "" => variables("CONSUL_HTTP_ADDR").unwrap_or_else(|| "127.0.0.1:8500".to_owned()),
        address => address.to_owned(),
    };
    if address.contains("://") {
        address
    } else {
        format!("http://{address}")
    }
}

/// The token: the configuration's, a file's, or the environment's.
fn token(config: &Consul, variables: &Variables) -> Result<Option<String>, Failure> {
    if !config.token.is_empty() {
        return Ok(Some(config.token.expose().to_owned()));
    }
    if let Some(path) = &config.token_file {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(variables("CONSUL_HTTP_TOKEN"))
}

pub(crate) async fn detect(
    mut service: Service<'_>,
    config: &Consul,
    variables: &Variables,
) -> Result<Found, Failure> {
    if let Some(token) = token(config, variables)? {
        service = service.with("x-consul-token", &token)?;
    }
    let mut path = "/v1/agent/self".to_owned();
    let mut mark = '?';
    for (key, value) in [("dc", &config.datacenter), ("ns", &config.namespace)] {
        if !value.is_empty() {
            let value =
                percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            path.push_str(&format!("{mark}{key}={value}"));
            mark = '&';
        }
    }
    let agent: Agent = service.json(&path).await?;
    service.is_named(&agent.config.id)?;
    let mut found = texts([
        ("cloud.region", agent.config.datacenter),
        ("host.id", agent.config.id),
        ("host.name", agent.config.name),
    ]);
    for (key, value) in agent.meta.unwrap_or_default() {
        if let Some(value) = value.as_str()
            && config.meta.contains_key(&key)
        {
            found.insert(key, value.into());
        }
    }
    Ok(found)
}
