//! What objects become: `__meta_kubernetes_…`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use corten_kubernetes::object::Metadata;

use super::objects::{
    Container, ContainerPort, ContainerStatus, EndpointConditions, EndpointSlice, Endpoints,
    Ingress, Named, Node, Pod, Port, Reference, Service,
};
use super::{Key, Role, Shelves};
use crate::target::{ADDRESS, LabelMap};

const META: &str = "__meta_kubernetes_";

/// All that is known.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) pods: Shelves<Pod>,
    pub(super) nodes: Shelves<Node>,
    pub(super) services: Shelves<Service>,
    pub(super) endpoints: Shelves<Endpoints>,
    pub(super) slices: Shelves<EndpointSlice>,
    pub(super) ingresses: Shelves<Ingress>,
    pub(super) namespaces: Shelves<Named>,
}

/// Labels being made.
#[derive(Clone, Debug, Default)]
struct Made(LabelMap);

impl Made {
    fn put(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(format!("{META}{name}"), value.into());
    }

    /// An empty value is none.
    fn some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.put(name, value);
        }
    }

    fn flag(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.put(name, value.to_string());
        }
    }

    /// Labels and annotations of an object of the kind.
    fn described(&mut self, kind: &str, metadata: &Metadata) {
        for (what, all) in [
            ("label", &metadata.labels),
            ("annotation", &metadata.annotations),
        ] {
            for (name, value) in all {
                let name = sanitized(name);
                self.put(&format!("{kind}_{what}_{name}"), value.as_str());
                self.put(&format!("{kind}_{what}present_{name}"), "true");
            }
        }
    }

    fn at(mut self, address: String) -> LabelMap {
        self.0.insert(ADDRESS.to_owned(), address);
        self.0
    }
}

/// What a label's name cannot have becomes `_`.
fn sanitized(name: &str) -> String {
    let fits = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars()
        .map(|character| if fits(character) { character } else { '_' })
        .collect()
}

/// An address with a port, as URLs have it.
fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What is known beside the role's own objects.
struct Around {
    pods: BTreeMap<Key, Arc<Pod>>,
    nodes: BTreeMap<Key, Arc<Node>>,
    services: BTreeMap<Key, Arc<Service>>,
    namespaces: BTreeMap<Key, Arc<Named>>,
}

impl Objects {
    /// The labels of every target; with `node`, of those that are on it.
    pub(super) fn targets(&self, role: Role, node: Option<&str>) -> Vec<LabelMap> {
        let around = Around {
            pods: self.pods.all(),
            nodes: self.nodes.all(),
            services: self.services.all(),
            namespaces: self.namespaces.all(),
        };
        let is_here = |name: &str| node.is_none_or(|node| node == name);
        let mut targets = Vec::new();
        match role {
            Role::Node => targets.extend(around.nodes.values().filter_map(|node| of_node(node))),
            Role::Pod => {
                for pod in around.pods.values() {
                    around.of_pod(pod, &mut targets);
                }
            }
            Role::Service => {
                for service in around.services.values() {
                    around.of_service(service, &mut targets);
                }
            }
            Role::Endpoints => {
                for endpoints in self.endpoints.all().values() {
                    around.of_endpoints(endpoints, &is_here, &mut targets);
                }
            }
            Role::EndpointSlice => {
                for slice in self.slices.all().values() {
                    around.of_slice(slice, &is_here, &mut targets);
                }
            }
            Role::Ingress => {
                for ingress in self.ingresses.all().values() {
                    around.of_ingress(ingress, &mut targets);
                }
            }
        }
        targets
    }
}

fn of_node(node: &Node) -> Option<LabelMap> {
    let mut made = Made::default();
    describe_node(node, &mut made);
    made.some("node_provider_id", &node.spec.provider_id);
    let mut kinds = HashSet::new();
    for address in &node.status.addresses {
        // The first of a kind counts.
        if kinds.insert(address.kind.as_str()) {
            let kind = sanitized(&address.kind);
            made.put(&format!("node_address_{kind}"), address.address.as_str());
        }
    }
    let addresses = &node.status.addresses;
    let best = ["InternalIP", "ExternalIP", "LegacyHostIP", "Hostname"];
    let best = best
        .iter()
        .find_map(|kind| addresses.iter().find(|address| address.kind == **kind))?;
    let name = node.metadata.name.clone();
    made.0.insert("instance".to_owned(), name);
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    Some(made.at(joined(&best.address, port)))
}

fn describe_node(node: &Node, made: &mut Made) {
    made.put("node_name", node.metadata.name.as_str());
    made.described("node", &node.metadata);
}

fn describe_container(
    container: &Container,
    statuses: &[ContainerStatus],
    init: bool,
    made: &mut Made,
) {
    made.put("pod_container_name", container.name.as_str());
    made.some("pod_container_image", &container.image);
    made.put("pod_container_init", init.to_string());
    let status = statuses.iter().find(|status| status.name == container.name);
    made.some(
        "pod_container_id",
        status.map_or("", |status| &status.container_id),
    );
}

fn describe_port(port: &ContainerPort, made: &mut Made) {
    made.put("pod_container_port_number", port.container_port.to_string());
    made.put("pod_container_port_name", port.name.as_str());
    made.put("pod_container_port_protocol", protocol(&port.protocol));
}

/// What is not said is TCP.
fn protocol(said: &str) -> &str {
    if said.is_empty() { "TCP" } else { said }
}

/// A pod's containers, and whether they are the first ones.
fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, &[ContainerStatus], bool)> {
    let status = &pod.status;
    let usual = pod.spec.containers.iter();
    let first = pod.spec.init_containers.iter();
    usual
        .map(|container| (container, status.container_statuses.as_slice(), false))
        .chain(first.map(|container| (container, status.init_container_statuses.as_slice(), true)))
}

impl Around {
    /// The namespace's name, and what is to be known of it.
    fn namespace(&self, metadata: &Metadata, made: &mut Made) {
        made.put("namespace", metadata.namespace.as_str());
        let key = (String::new(), metadata.namespace.clone());
        if let Some(namespace) = self.namespaces.get(&key) {
            made.described("namespace", &namespace.metadata);
        }
    }

    fn node(&self, name: &str, made: &mut Made) {
        if let Some(node) = self.nodes.get(&(String::new(), name.to_owned())) {
            describe_node(node, made);
        }
    }

    fn describe_pod(&self, pod: &Pod, made: &mut Made) {
        let (metadata, status) = (&pod.metadata, &pod.status);
        made.put("pod_name", metadata.name.as_str());
        made.put("pod_ip", status.pod_ip.as_str());
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Ready");
        let ready = ready.map_or("unknown", |condition| condition.status.as_str());
        made.put("pod_ready", ready.to_lowercase());
        made.put("pod_phase", status.phase.as_str());
        made.put("pod_node_name", pod.spec.node_name.as_str());
        made.put("pod_host_ip", status.host_ip.as_str());
        made.put("pod_uid", metadata.uid.as_str());
        made.described("pod", metadata);
        if let Some(owner) = metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller)
        {
            made.some("pod_controller_kind", &owner.kind);
            made.some("pod_controller_name", &owner.name);
        }
        self.node(&pod.spec.node_name, made);
    }

    fn of_pod(&self, pod: &Pod, targets: &mut Vec<LabelMap>) {
        let ip = &pod.status.pod_ip;
        // Not yet, or no longer.
        if ip.is_empty() {
            return;
        }
        let mut common = Made::default();
        self.namespace(&pod.metadata, &mut common);
        self.describe_pod(pod, &mut common);
        for (container, statuses, init) in containers(pod) {
            let mut of_container = common.clone();
            describe_container(container, statuses, init, &mut of_container);
            if container.ports.is_empty() {
                // A rule may know the port.
                targets.push(of_container.clone().at(ip.clone()));
            }
            for port in &container.ports {
                let mut made = of_container.clone();
                describe_port(port, &mut made);
                targets.push(made.at(joined(ip, port.container_port)));
            }
        }
    }

    fn describe_service(service: &Service, made: &mut Made) {
        made.put("service_name", service.metadata.name.as_str());
        made.described("service", &service.metadata);
    }

    fn of_service(&self, service: &Service, targets: &mut Vec<LabelMap>) {
        let (metadata, spec) = (&service.metadata, &service.spec);
        let mut common = Made::default();
        self.namespace(metadata, &mut common);
        Self::describe_service(service, &mut common);
        common.put("service_type", spec.kind.as_str());
        if spec.kind == "ExternalName" {
            common.put("service_external_name", spec.external_name.as_str());
        } else {
            common.put("service_cluster_ip", spec.cluster_ip.as_str());
        }
        if spec.kind == "LoadBalancer" {
            common.put("service_loadbalancer_ip", spec.load_balancer_ip.as_str());
        }
        let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
        for port in &spec.ports {
            let mut made = common.clone();
            made.put("service_port_name", port.name.as_str());
            made.put("service_port_number", port.port.to_string());
            made.put("service_port_protocol", protocol(&port.protocol));
            targets.push(made.at(joined(&host, port.port)));
        }
    }

    /// What an address behind a service is besides: its pod and, by the port, its container. Gives the pod.
    fn behind(&self, of: &Reference, namespace: &str, port: u16, made: &mut Made) -> Option<&Pod> {
        if of.kind != "Pod" {
            return None;
        }
        let namespace = if of.namespace.is_empty() {
            namespace
        } else {
            &of.namespace
        };
        let pod = self.pods.get(&(namespace.to_owned(), of.name.clone()))?;
        self.describe_pod(pod, made);
        for (container, statuses, init) in containers(pod) {
            let bound = container
                .ports
                .iter()
                .find(|own| own.container_port == port);
            if let Some(bound) = bound {
                describe_container(container, statuses, init, made);
                describe_port(bound, made);
                break;
            }
        }
        Some(pod)
    }

    /// The ports of a pod behind a service that the service does not have.
    fn others(&self, pod: &Pod, bound: &HashSet<u16>, common: &Made, targets: &mut Vec<LabelMap>) {
        let ip = &pod.status.pod_ip;
        if ip.is_empty() {
            return;
        }
        for (container, statuses, init) in containers(pod) {
            let free = container.ports.iter();
            for port in free.filter(|port| !bound.contains(&port.container_port)) {
                let mut made = common.clone();
                self.describe_pod(pod, &mut made);
                describe_container(container, statuses, init, &mut made);
                describe_port(port, &mut made);
                targets.push(made.at(joined(ip, port.container_port)));
            }
        }
    }

    fn of_endpoints(
        &self,
        endpoints: &Endpoints,
        is_here: &dyn Fn(&str) -> bool,
        targets: &mut Vec<LabelMap>,
    ) {
        let metadata = &endpoints.metadata;
        let mut common = Made::default();
        self.namespace(metadata, &mut common);
        common.put("endpoints_name", metadata.name.as_str());
        common.described("endpoints", metadata);
        let key = (metadata.namespace.clone(), metadata.name.clone());
        if let Some(service) = self.services.get(&key) {
            Self::describe_service(service, &mut common);
        }
        let mut bound: BTreeMap<Key, (&Pod, HashSet<u16>)> = BTreeMap::new();
        for subset in &endpoints.subsets {
            let ready = subset.addresses.iter().map(|address| (address, true));
            let waiting = subset
                .not_ready_addresses
                .iter()
                .map(|address| (address, false));
            for (address, ready) in ready.chain(waiting) {
                if !is_here(&address.node_name) {
                    continue;
                }
                let of = &address.target_ref;
                for port in &subset.ports {
                    let mut made = common.clone();
                    made.put("endpoint_port_name", port.name.as_str());
                    made.put("endpoint_port_protocol", protocol(&port.protocol));
                    made.put("endpoint_ready", ready.to_string());
                    made.some("endpoint_hostname", &address.hostname);
                    made.some("endpoint_node_name", &address.node_name);
                    made.some("endpoint_address_target_kind", &of.kind);
                    made.some("endpoint_address_target_name", &of.name);
                    self.node(&address.node_name, &mut made);
                    if let Some(pod) = self.behind(of, &metadata.namespace, port.port, &mut made) {
                        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
                        bound
                            .entry(key)
                            .or_insert((pod, HashSet::new()))
                            .1
                            .insert(port.port);
                    }
                    targets.push(made.at(joined(&address.ip, port.port)));
                }
            }
        }
        for (pod, ports) in bound.values() {
            self.others(pod, ports, &common, targets);
        }
    }

    fn of_slice(
        &self,
        slice: &EndpointSlice,
        is_here: &dyn Fn(&str) -> bool,
        targets: &mut Vec<LabelMap>,
    ) {
        let metadata = &slice.metadata;
        let mut common = Made::default();
        self.namespace(metadata, &mut common);
        common.put("endpointslice_name", metadata.name.as_str());
        common.put("endpointslice_address_type", slice.address_type.as_str());
        common.described("endpointslice", metadata);
        let service = metadata.labels.get("kubernetes.io/service-name");
        let service = service.map(|name| (metadata.namespace.clone(), name.clone()));
        if let Some(service) = service.and_then(|key| self.services.get(&key)) {
            Self::describe_service(service, &mut common);
        }
        let mut bound: BTreeMap<Key, (&Pod, HashSet<u16>)> = BTreeMap::new();
        for endpoint in &slice.endpoints {
            if !is_here(&endpoint.node_name) {
                continue;
            }
            let of = &endpoint.target_ref;
            for (address, port) in endpoint
                .addresses
                .iter()
                .flat_map(|address| slice.ports.iter().map(move |port| (address, port)))
            {
                let mut made = common.clone();
                describe_slice_port(port, &mut made);
                describe_conditions(&endpoint.conditions, &mut made);
                made.some("endpointslice_endpoint_hostname", &endpoint.hostname);
                made.some("endpointslice_endpoint_node_name", &endpoint.node_name);
                made.some("endpointslice_endpoint_zone", &endpoint.zone);
                made.some("endpointslice_address_target_kind", &of.kind);
                made.some("endpointslice_address_target_name", &of.name);
                for (name, value) in &endpoint.deprecated_topology {
                    let name = sanitized(name);
                    made.put(
                        &format!("endpointslice_endpoint_topology_{name}"),
                        value.as_str(),
                    );
                    made.put(
                        &format!("endpointslice_endpoint_topology_present_{name}"),
                        "true",
                    );
                }
                self.node(&endpoint.node_name, &mut made);
                if let Some(pod) = self.behind(of, &metadata.namespace, port.port, &mut made) {
                    let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
                    bound
                        .entry(key)
                        .or_insert((pod, HashSet::new()))
                        .1
                        .insert(port.port);
                }
                targets.push(made.at(joined(address, port.port)));
            }
        }
        for (pod, ports) in bound.values() {
            self.others(pod, ports, &common, targets);
        }
    }

    fn of_ingress(&self, ingress: &Ingress, targets: &mut Vec<LabelMap>) {
        let (metadata, spec) = (&ingress.metadata, &ingress.spec);
        let mut common = Made::default();
        self.namespace(metadata, &mut common);
        common.put("ingress_name", metadata.name.as_str());
        common.some("ingress_class_name", &spec.ingress_class_name);
        common.described("ingress", metadata);
        for rule in &spec.rules {
            let secured = spec.tls.iter().flat_map(|tls| &tls.hosts);
            let secured = secured.into_iter().any(|host| covers(host, &rule.host));
            let paths: Vec<&str> = match rule.http.paths.as_slice() {
                [] => vec!["/"],
                paths => paths.iter().map(|path| path.path.as_str()).collect(),
            };
            for path in paths {
                let mut made = common.clone();
                made.put("ingress_scheme", if secured { "https" } else { "http" });
                made.put("ingress_host", rule.host.as_str());
                made.put("ingress_path", if path.is_empty() { "/" } else { path });
                targets.push(made.at(rule.host.clone()));
            }
        }
    }
}

/// Whether a name of a certificate, which may begin with `*.`, is the host's.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => name == host,
    }
}

fn describe_slice_port(port: &Port, made: &mut Made) {
    made.put("endpointslice_port_name", port.name.as_str());
    made.put("endpointslice_port", port.port.to_string());
    made.put("endpointslice_port_protocol", protocol(&port.protocol));
    made.some("endpointslice_port_app_protocol", &port.app_protocol);
}

fn describe_conditions(conditions: &EndpointConditions, made: &mut Made) {
    made.flag("endpointslice_endpoint_conditions_ready", conditions.ready);
    made.flag(
        "endpointslice_endpoint_conditions_serving",
        conditions.serving,
    );
    made.flag(
        "endpointslice_endpoint_conditions_terminating",
        conditions.terminating,
    );
}

#[cfg(test)]
mod tests;
