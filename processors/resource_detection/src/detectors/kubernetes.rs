//! The API server about this node, and about clusters that kubeadm made.

use std::collections::BTreeMap;

use corten_kubernetes::ApiClient;
use corten_kubernetes::object::{Object as _, Partial};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 3] = [
    ("k8s.cluster.uid", true),
    ("k8s.node.name", true),
    ("k8s.node.uid", true),
];

pub(crate) static KUBEADM: [Attribute; 2] = [("k8s.cluster.name", true), ("k8s.cluster.uid", true)];

/// The most that is read of an object.
const MOST: usize = 8 << 20;

/// The object at this path.
pub(crate) async fn get<T: DeserializeOwned>(
    cluster: &ApiClient,
    path: &str,
) -> Result<T, Failure> {
    let body = cluster.get(path, "application/json", MOST).await?;
    let object = serde_json::from_slice(&body);
    object.map_err(|error| format!("{path}: not what the API server says there: {error}").into())
}

/// The uid of the namespace that is as old as its cluster. Nothing where it may not be read: that costs nobody else anything.
async fn cluster_uid(cluster: &ApiClient) -> String {
    let system = get::<Partial>(cluster, "/api/v1/namespaces/kube-system").await;
    match system {
        Ok(system) => system.metadata().uid.clone(),
        Err(error) => {
            tracing::warn!(%error, "k8s.cluster.uid is not told; it needs get on the namespace kube-system");
            String::new()
        }
    }
}

/// `name`: this node's. `with_cluster`: whether the cluster's uid is wanted.
pub(crate) async fn node(
    cluster: &ApiClient,
    name: String,
    with_cluster: bool,
) -> Result<Found, Failure> {
    let node: Partial = get(cluster, &format!("/api/v1/nodes/{name}")).await?;
    let uid = if with_cluster {
        cluster_uid(cluster).await
    } else {
        String::new()
    };
    Ok(texts([
        ("k8s.cluster.uid", uid),
        ("k8s.node.uid", node.metadata().uid.clone()),
        ("k8s.node.name", name),
    ]))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    data: BTreeMap<String, String>,
}

pub(crate) async fn kubeadm(cluster: &ApiClient, with_uid: bool) -> Result<Found, Failure> {
    let path = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";
    let config: ConfigMap = get(cluster, path).await?;
    let name = cluster_name(&config.data)
        .ok_or_else(|| format!("{path}: expected clusterName in ClusterConfiguration"))?
        .to_owned();
    let uid = if with_uid {
        cluster_uid(cluster).await
    } else {
        String::new()
    };
    Ok(texts([
        ("k8s.cluster.name", name),
        ("k8s.cluster.uid", uid),
    ]))
}

/// The cluster's name in kubeadm's configuration, a document of YAML that kubeadm writes one setting a line.
fn cluster_name(data: &BTreeMap<String, String>) -> Option<&str> {
    let document = data.get("ClusterConfiguration");
    let written = document.and_then(|text| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("clusterName:"))?;
        Some(value.trim().trim_matches(['"', '\'']))
    });
    let written = written.or_else(|| data.get("clusterName").map(String::as_str));
    written.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadm_names_its_cluster() {
        let named = |key: &str, text: &str| {
            let data = BTreeMap::from([(key.to_owned(), text.to_owned())]);
            cluster_name(&data).map(str::to_owned)
        };
        let document = "apiServer:\n  clusterName: not-this\nclusterName: \"blue\"\nkind: ClusterConfiguration\n";
        assert_eq!(
            named("ClusterConfiguration", document).as_deref(),
            Some("blue")
        );
        assert_eq!(named("clusterName", "blue").as_deref(), Some("blue"));
        assert_eq!(named("ClusterConfiguration", "clusterName:\n"), None);
        assert_eq!(named("ClusterConfiguration", "kind: x"), None);
    }
}
