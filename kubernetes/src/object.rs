//! The fields of Kubernetes objects that are read; whatever else they have is skipped while parsing.
//!
//! Shapes: Kubernetes API reference, `core/v1` and `meta/v1`. Lists and maps may be `null` there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// What can be listed and watched.
pub trait Object: DeserializeOwned + Send {
    /// The object's metadata.
    fn metadata(&self) -> &Metadata;
}

/// `null` is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `ObjectMeta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name, unique among its kind in the namespace.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The namespace; empty for what is the cluster's.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The identity over all time.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Where a watch goes on; opaque.
    #[serde(deserialize_with = "or_default")]
    pub resource_version: String,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<Owner>,
}

/// `OwnerReference`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// `ReplicaSet`, `DaemonSet`, `Job`, …
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether it is the one that manages the object.
    #[serde(deserialize_with = "or_default")]
    pub controller: bool,
}

/// Any object of which the metadata is enough (`PartialObjectMetadata`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Partial {
    /// The metadata.
    pub metadata: Metadata,
}

impl Object for Partial {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// The metadata.
    pub metadata: Metadata,
    /// What it should be.
    pub spec: PodSpec,
    /// What it is.
    pub status: PodStatus,
}

impl Object for Pod {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Pod {
    /// The addresses that are this pod's alone: none for a pod on its node's network.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let own = !self.spec.host_network;
        std::iter::once(self.status.pod_ip.as_str())
            .chain(self.status.pod_ips.iter().map(|entry| entry.ip.as_str()))
            .filter(move |_| own)
            .filter_map(|address| address.parse().ok())
    }
}

/// `PodSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node it is bound to; empty before that.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    /// Whether its addresses are its node's.
    #[serde(deserialize_with = "or_default")]
    pub host_network: bool,
}

/// `PodStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// The first address.
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pub pod_ip: String,
    /// Every address.
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pub pod_ips: Vec<PodIp>,
    /// When the kubelet took it on, RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub start_time: String,
    /// The containers, as they are.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
}

/// One of a pod's addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
}

/// `ContainerStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The name in the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The image, as it was asked for.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// `containerd://<id>`; empty before it runs.
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    pub container_id: String,
    /// How often it was started again.
    #[serde(deserialize_with = "or_default")]
    pub restart_count: u32,
}

impl ContainerStatus {
    /// The id without the name of its runtime.
    #[must_use]
    pub fn bare_id(&self) -> &str {
        self.container_id
            .split_once("://")
            .map_or(self.container_id.as_str(), |(_, id)| id)
    }
}
