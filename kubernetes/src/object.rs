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

    /// Whether it has run to its end: its address may be another's by now, although its status still names it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Every container as it is: the pod's own, then those before them, then those that were added.
    pub fn statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = &self.status;
        status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
            .chain(&status.ephemeral_container_statuses)
    }

    /// Every container as it was asked for, in the same order.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerSpec> {
        let spec = &self.spec;
        spec.containers
            .iter()
            .chain(&spec.init_containers)
            .chain(&spec.ephemeral_containers)
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
    /// The name that it has for itself, where one was asked for.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// The containers that were asked for.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<ContainerSpec>,
    /// Those that run before them; with `restartPolicy: Always` beside them.
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<ContainerSpec>,
    /// Those that were added to look into it.
    #[serde(deserialize_with = "or_default")]
    pub ephemeral_containers: Vec<ContainerSpec>,
}

/// `Container`, as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    /// The name in the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The image, as it was asked for.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// Of an init container alone: `Always` makes it a sidecar.
    #[serde(deserialize_with = "or_default")]
    pub restart_policy: String,
}

/// `PodStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(deserialize_with = "or_default")]
    pub phase: String,
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
    /// Those that run before them, or beside them as sidecars.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Those that were added to look into it.
    #[serde(deserialize_with = "or_default")]
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
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
    /// The image that runs, in its runtime's words.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// The image's identity, with its digest where the runtime tells it: `docker.io/library/nginx@sha256:…`.
    #[serde(rename = "imageID", deserialize_with = "or_default")]
    pub image_id: String,
    /// `containerd://<id>`; empty before it runs.
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    pub container_id: String,
    /// How often it was started again.
    #[serde(deserialize_with = "or_default")]
    pub restart_count: u32,
    /// What became of the one before the last restart.
    #[serde(deserialize_with = "or_default")]
    pub last_state: LastState,
}

/// `ContainerState` of a container that was started again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LastState {
    /// How it ended.
    #[serde(deserialize_with = "or_default")]
    pub terminated: Terminated,
}

/// `ContainerStateTerminated`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Terminated {
    /// `containerd://<id>` of the one that ended.
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    pub container_id: String,
}

impl ContainerStatus {
    /// The id without the name of its runtime; empty before it runs.
    #[must_use]
    pub fn bare_id(&self) -> &str {
        bare(&self.container_id)
    }

    /// The id before the last restart, without the name of its runtime; empty where there was none.
    #[must_use]
    pub fn previous_id(&self) -> &str {
        bare(&self.last_state.terminated.container_id)
    }

    /// The ids that its telemetry may carry.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        [self.bare_id(), self.previous_id()]
            .into_iter()
            .filter(|id| !id.is_empty())
    }
}

fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}
