//! Who is asked: the kubelet itself, or the API server for it.

use std::time::Duration;

use corten_component::{BoxError, Context};
use corten_kubernetes::{
    ApiClient, ApiConfig, AuthType as ApiAuth, Rule, Surroundings, parse_quantity,
};
use corten_runtimes::KubeletClient;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::config::{AuthType, Config};
use crate::report::Capacity;

/// The most that is read of an answer.
const LARGEST: usize = 64 << 20;
/// A node is asked for its capacity anew after this long: it changes seldom.
const REFRESH: Duration = Duration::from_secs(300);

/// A kubelet.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(crate) enum Kubelet {
    Direct(KubeletClient),
    /// Through the API server, by the node's name.
    Proxied(ApiClient, String),
}

impl Kubelet {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, BoxError> {
        if config.auth_type != AuthType::KubeConfig {
            return Ok(Self::Direct(KubeletClient::new(cx, &config.access())?));
        }
        let api = ApiConfig {
            auth_type: ApiAuth::KubeConfig,
            kubeconfig_path: config.kubeconfig_path.clone(),
            context: config.context.clone(),
        };
        let client = ApiClient::new(api, Surroundings::of_pod());
        Ok(Self::Proxied(client, config.endpoint.clone()))
    }

    /// What the kubelet answers to `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, BoxError> {
        match self {
            Self::Direct(client) => Ok(client.get(path).await?.into()),
            Self::Proxied(client, node) => {
                let path = format!("/api/v1/nodes/{node}/proxy{path}");
                match client.get(&path, "application/json", LARGEST).await {
                    Ok(body) => Ok(body),
                    Err(error) => {
                        let remedy = Rule::core("nodes/proxy", &["get"]).remedy(&error);
                        Err(format!("{error}{remedy}").into())
                    }
                }
            }
        }
    }
}

/// What the node has, asked of the API server now and then.
pub(crate) struct NodeCapacity {
    client: ApiClient,
    path: String,
    known: Mutex<Option<(Instant, Capacity)>>,
}

impl NodeCapacity {
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let api = config.k8s_api_config.clone()?;
        config.needs_capacity().then(|| Self {
            client: ApiClient::new(api, Surroundings::of_pod()),
            path: format!("/api/v1/nodes/{}", config.node),
            known: Mutex::new(None),
        })
    }

    /// What is known, asked for when that was long ago. When there is no answer, what was known stands.
    pub(crate) async fn get(&self) -> (Capacity, Option<BoxError>) {
        let known = *self.known.lock();
        if let Some((asked, capacity)) = known
            && asked.elapsed() < REFRESH
        {
            return (capacity, None);
        }
        let before = known.map(|(_, capacity)| capacity).unwrap_or_default();
        let body = match self
            .client
            .get(&self.path, "application/json", LARGEST)
            .await
        {
            Ok(body) => body,
            Err(error) => {
                let remedy = Rule::core("nodes", &["get"]).remedy(&error);
                return (before, Some(format!("{error}{remedy}").into()));
            }
        };
        match capacity(&body) {
            Ok(capacity) => {
                *self.known.lock() = Some((Instant::now(), capacity));
                (capacity, None)
            }
            Err(error) => {
                let error = format!("{}: expected a node: {error}", self.path);
                (before, Some(error.into()))
            }
        }
    }
}

fn capacity(body: &[u8]) -> Result<Capacity, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Node {
        status: Status,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        capacity: Option<serde_json::Map<String, Value>>,
    }
    let node: Node = serde_json::from_slice(body)?;
    let of = |what: &str| {
        let capacity = node.status.capacity.as_ref()?;
        parse_quantity(capacity.get(what)?.as_str()?)
    };
    Ok(Capacity {
        cpu: of("cpu"),
        memory: of("memory"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nodes_capacity() {
        let body = br#"{"status":{"capacity":{"cpu":"4","memory":"16Gi","pods":"110"}}}"#;
        let capacity = capacity(body).unwrap();
        assert_eq!(capacity.cpu, Some(4.0));
        assert_eq!(capacity.memory, Some(17_179_869_184.0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_worst(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(capacity(&body));
        }
    }
}
