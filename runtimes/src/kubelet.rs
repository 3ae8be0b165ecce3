//! The kubelet's list of pods.

use corten_component::Context;
use corten_net::client::SetupError;
use serde::Deserialize;

use crate::known::{Container, Known};
use crate::{Config, KubeletAccess, KubeletClient, Pod, RuntimeError};

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
pub(crate) struct Kubelet(KubeletClient);

impl Kubelet {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, SetupError> {
        let access = KubeletAccess {
            endpoint: match config.kubelet.endpoint.as_str() {
                "" => DEFAULT.to_owned(),
                endpoint => endpoint.to_owned(),
            },
            token_file: Some(config.kubelet.token_file.clone()),
            tls: config.kubelet.tls.clone(),
            timeout: config.timeout,
        };
        KubeletClient::new(cx, &access).map(Self)
    }

    /// Adds every container of every pod of the node.
    pub(crate) async fn list(&self, known: &mut Known) -> Result<(), RuntimeError> {
        let body = self.0.get("/pods").await?;
        add(&body, known).map_err(|error| RuntimeError::Answer {
            from: "the kubelet's /pods".to_owned(),
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
