//! The fields of objects that endpoints are made of; the rest is skipped while parsing.
//!
//! Shapes: Kubernetes API reference, `core/v1` and `networking/v1`. Lists may be `null` there.

use corten_kubernetes::object::{Metadata, Object};
use serde::{Deserialize, Deserializer};

/// `null` is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$more:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(crate) struct $name {
            $($(#[$more])* #[serde(deserialize_with = "or_default")] pub(crate) $field: $type,)*
        }
    )*};
}

objects! {
    /// A pod.
    Pod { metadata: Metadata, spec: PodSpec, status: PodStatus, }
    /// `PodSpec`.
    PodSpec { containers: Vec<Container>, init_containers: Vec<Container>, }
    /// `Container`, as it was asked for.
    Container { name: String, image: String, ports: Vec<ContainerPort>, }
    /// `ContainerPort`.
    ContainerPort { name: String, container_port: u16, protocol: String, }
    /// `PodStatus`.
    PodStatus {
        phase: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    /// `ContainerStatus`.
    ContainerStatus {
        name: String,
        #[serde(rename = "containerID")]
        container_id: String,
        state: ContainerState,
    }
    /// `ContainerState`; at most one of them is there.
    ContainerState { running: Option<Running>, terminated: Option<Terminated>, }
    /// `ContainerStateRunning`.
    Running {}
    /// `ContainerStateTerminated`; the time is RFC 3339.
    Terminated { finished_at: String, }

    /// A service.
    Service { metadata: Metadata, spec: ServiceSpec, }
    /// `ServiceSpec`.
    ServiceSpec {
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
    }

    /// An ingress.
    Ingress { metadata: Metadata, spec: IngressSpec, }
    /// `IngressSpec`.
    IngressSpec { rules: Vec<IngressRule>, tls: Vec<IngressTls>, }
    /// `IngressRule`.
    IngressRule { host: String, http: IngressPaths, }
    /// `HTTPIngressRuleValue`.
    IngressPaths { paths: Vec<IngressPath>, }
    /// `HTTPIngressPath`.
    IngressPath { path: String, }
    /// `IngressTLS`.
    IngressTls { hosts: Vec<String>, }

    /// A node.
    Node { metadata: Metadata, status: NodeStatus, }
    /// `NodeStatus`.
    NodeStatus { addresses: Vec<NodeAddress>, daemon_endpoints: DaemonEndpoints, }
    /// `NodeAddress`.
    NodeAddress {
        #[serde(rename = "type")]
        kind: String,
        address: String,
    }
    /// `NodeDaemonEndpoints`.
    DaemonEndpoints { kubelet_endpoint: DaemonEndpoint, }
    /// `DaemonEndpoint`; its field begins with a capital.
    DaemonEndpoint {
        #[serde(rename = "Port")]
        port: u16,
    }
}

macro_rules! watched {
    ($($name:ident)*) => {$(
        impl Object for $name {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        }
    )*};
}

watched!(Pod Service Ingress Node);
