//! The fields of objects that become labels. Shapes: Kubernetes API reference; lists may be `null` there.

use std::collections::BTreeMap;

use corten_kubernetes::object::{Metadata, Object, Partial};
use serde::{Deserialize, Deserializer};

/// An object of which the metadata is enough.
pub(super) type Named = Partial;

/// `null` is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

macro_rules! objects {
    ($($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub(super) struct $name {
                $(
                    $(#[$field_about])*
                    #[serde(deserialize_with = "or_default")]
                    pub(super) $field: $type,
                )*
            }
        )*
    };
}

macro_rules! kinds {
    ($($name:ident),*) => {
        $(
            impl Object for $name {
                fn metadata(&self) -> &Metadata {
                    &self.metadata
                }
            }
        )*
    };
}

objects! {
    /// `core/v1`.
    Pod {
        metadata: Metadata,
        spec: PodSpec,
        status: PodStatus,
    }
    PodSpec {
        node_name: String,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
    }
    Container {
        name: String,
        image: String,
        ports: Vec<ContainerPort>,
    }
    ContainerPort {
        name: String,
        container_port: u16,
        protocol: String,
    }
    PodStatus {
        phase: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        #[serde(rename = "hostIP")]
        host_ip: String,
        conditions: Vec<Condition>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    Condition {
        #[serde(rename = "type")]
        kind: String,
        status: String,
    }
    ContainerStatus {
        name: String,
        #[serde(rename = "containerID")]
        container_id: String,
    }
    /// `core/v1`.
    Node {
        metadata: Metadata,
        spec: NodeSpec,
        status: NodeStatus,
    }
    NodeSpec {
        #[serde(rename = "providerID")]
        provider_id: String,
    }
    NodeStatus {
        addresses: Vec<NodeAddress>,
        daemon_endpoints: DaemonEndpoints,
    }
    NodeAddress {
        #[serde(rename = "type")]
        kind: String,
        address: String,
    }
    DaemonEndpoints {
        kubelet_endpoint: DaemonEndpoint,
    }
    DaemonEndpoint {
        #[serde(rename = "Port")]
        port: u16,
    }
    /// `core/v1`.
    Service {
        metadata: Metadata,
        spec: ServiceSpec,
    }
    ServiceSpec {
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        external_name: String,
        #[serde(rename = "loadBalancerIP")]
        load_balancer_ip: String,
        ports: Vec<Port>,
    }
    Port {
        name: String,
        port: u16,
        protocol: String,
        app_protocol: String,
    }
    /// `core/v1`.
    Endpoints {
        metadata: Metadata,
        subsets: Vec<Subset>,
    }
    Subset {
        addresses: Vec<EndpointAddress>,
        not_ready_addresses: Vec<EndpointAddress>,
        ports: Vec<Port>,
    }
    EndpointAddress {
        ip: String,
        hostname: String,
        node_name: String,
        target_ref: Reference,
    }
    Reference {
        kind: String,
        name: String,
        namespace: String,
    }
    /// `discovery.k8s.io/v1`.
    EndpointSlice {
        metadata: Metadata,
        address_type: String,
        endpoints: Vec<Endpoint>,
        ports: Vec<Port>,
    }
    Endpoint {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        hostname: String,
        node_name: String,
        zone: String,
        target_ref: Reference,
        deprecated_topology: BTreeMap<String, String>,
    }
    EndpointConditions {
        ready: Option<bool>,
        serving: Option<bool>,
        terminating: Option<bool>,
    }
    /// `networking.k8s.io/v1`.
    Ingress {
        metadata: Metadata,
        spec: IngressSpec,
    }
    IngressSpec {
        ingress_class_name: String,
        rules: Vec<IngressRule>,
        tls: Vec<IngressTls>,
    }
    IngressRule {
        host: String,
        http: IngressHttp,
    }
    IngressHttp {
        paths: Vec<IngressPath>,
    }
    IngressPath {
        path: String,
    }
    IngressTls {
        hosts: Vec<String>,
    }
}

kinds!(Pod, Node, Service, Endpoints, EndpointSlice, Ingress);
