//! The kubelet's list of pods.

use corten_component::{Context, SecretFile};
use corten_config::settings;
use corten_net::body::Body;
use corten_net::client::{HttpClient, SetupError};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde::Deserialize;

use crate::known::{Container, Known};
use crate::{Config, Pod, RuntimeError};

/// A pod takes some ten kilobytes.
const LARGEST: usize = 64 << 20;
const DEFAULT: &str = "https://127.0.0.1:10250";
const HASH: &str = "kubernetes.io/config.hash";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pods {
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    metadata: Metadata,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    annotations: Option<std::collections::HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    image: String,
    #[serde(rename = "containerID")]
    container_id: String,
}

/// Asks one kubelet.
pub(crate) struct Kubelet {
    url: Uri,
    token: SecretFile,
    client: HttpClient,
}

impl Kubelet {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, SetupError> {
        let endpoint = match config.kubelet.endpoint.trim_end_matches('/') {
            "" => DEFAULT,
            endpoint => endpoint,
        };
        let url = format!("{endpoint}/pods")
            .parse()
            .map_err(|error| SetupError::Endpoint(format!("'{endpoint}': {error}")))?;
        let settings = settings::HttpClient {
            tls: config.kubelet.tls.clone(),
            timeout: config.timeout,
            ..settings::HttpClient::default()
        };
        Ok(Self {
            url,
            token: SecretFile::new(&config.kubelet.token_file),
            client: HttpClient::new(cx, &settings)?.with_max_response(LARGEST),
        })
    }

    /// Adds every container of every pod of the node.
    pub(crate) async fn list(&self, known: &mut Known) -> Result<(), RuntimeError> {
        let failed = |reason: String| RuntimeError::Kubelet {
            url: self.url.to_string(),
            reason,
        };
        let mut headers = HeaderMap::new();
        // A token goes nowhere in clear text.
        if self.url.scheme_str() == Some("https") {
            let token = self
                .token
                .read()
                .map_err(|error| failed(error.to_string()))?;
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| failed("the token is no text for a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let response = self
            .client
            .send(Method::GET, &self.url, headers, Body::default())
            .await
            .map_err(|error| failed(error.to_string()))?;
        match response.status {
            200 => {}
            401 => {
                self.token.forget();
                return Err(failed(
                    "401: the token is not accepted; look at runtime::kubelet::token_file"
                        .to_owned(),
                ));
            }
            403 => {
                return Err(failed(
                    "403: the service account needs the verb 'get' on the resource 'nodes/proxy' (or 'nodes/pods') in a ClusterRole"
                        .to_owned(),
                ));
            }
            status => return Err(failed(format!("answered with {status}"))),
        }
        add(&response.body, known).map_err(|error| RuntimeError::Answer {
            from: self.url.to_string(),
            expected: "a list of pods in JSON",
            reason: error.to_string(),
        })
    }
}

fn add(body: &[u8], known: &mut Known) -> Result<(), serde_json::Error> {
    let pods: Pods = serde_json::from_slice(body)?;
    for Item { metadata, status } in pods.items.unwrap_or_default() {
        let pod = Pod {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
        };
        // The groups of a static pod are named by the hash of its file, not by the uid that the
        // API server gave to its mirror.
        if let Some(hash) = metadata.annotations.unwrap_or_default().remove(HASH) {
            known.pods.insert(hash, pod.clone());
        }
        known.pods.insert(metadata.uid, pod);
        let all = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        for container in all.into_iter().flatten().flatten() {
            // `containerd://<id>`; empty until it runs.
            let Some((runtime, id)) = container.container_id.split_once("://") else {
                continue;
            };
            known.insert(
                id,
                Container {
                    // containerd has no other names.
                    name: if runtime == "containerd" {
                        id.to_owned()
                    } else {
                        String::new()
                    },
                    image: container.image,
                    namespace: metadata.namespace.clone(),
                    pod: metadata.name.clone(),
                    container: container.name,
                    ..Container::default()
                },
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pods_have_containers_of_three_kinds() {
        let body = br#"{"items":[{"metadata":{"name":"web-1","namespace":"shop","uid":"u-1","annotations":{"kubernetes.io/config.hash":"abc"}},
            "status":{"containerStatuses":[{"name":"web","image":"nginx:1","containerID":"containerd://c1"},{"name":"waits","containerID":""}],
            "initContainerStatuses":[{"name":"init","image":"busybox","containerID":"cri-o://c2"}]}},{}]}"#;
        let mut known = Known::default();
        add(body, &mut known).unwrap();
        assert_eq!(known.containers.len(), 2);
        let web = &known.containers["c1"];
        assert_eq!(
            (
                &*web.namespace,
                &*web.pod,
                &*web.container,
                &*web.image,
                &*web.name
            ),
            ("shop", "web-1", "web", "nginx:1", "c1")
        );
        assert_eq!(known.containers["c2"].name, "");
        assert_eq!(known.pods["u-1"].name, "web-1");
        assert_eq!(known.pods["abc"].name, "web-1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_worst(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(add(&body, &mut Known::default()));
        }
    }
}
