//! Which pod a resource is from.

use std::net::IpAddr;
use std::sync::Arc;

use corten_kubernetes::Pods;
use corten_kubernetes::object::Pod;
use corten_pdata::Attributes;

use crate::config::{AssociationSource, Origin, Rule};

/// The rules, in their order.
pub(crate) struct Associations(Vec<Rule>);

impl Associations {
    /// The user's rules, or else the Collector's: the pod's address, the sender's, and a host name that is an address. Before them the
    /// pod's uid, which logs of files carry and nothing can contradict.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        if !rules.is_empty() {
            return Self(rules.to_vec());
        }
        let attribute = |name: &str| AssociationSource {
            from: Origin::ResourceAttribute,
            name: name.to_owned(),
        };
        let connection = AssociationSource {
            from: Origin::Connection,
            name: String::new(),
        };
        let rules = [
            attribute("k8s.pod.uid"),
            attribute("k8s.pod.ip"),
            attribute("ip"),
            connection,
            attribute("host.name"),
        ];
        Self(
            rules
                .into_iter()
                .map(|source| Rule {
                    sources: vec![source],
                })
                .collect(),
        )
    }

    /// The pod that the first rule finds that finds one.
    pub(crate) fn find(
        &self,
        pods: &Pods,
        attributes: &Attributes<'_>,
        peer: Option<IpAddr>,
    ) -> Option<Arc<Pod>> {
        self.0
            .iter()
            .find_map(|rule| find(rule, pods, attributes, peer))
    }
}

fn find(
    rule: &Rule,
    pods: &Pods,
    attributes: &Attributes<'_>,
    peer: Option<IpAddr>,
) -> Option<Arc<Pod>> {
    let has = |name: &str| {
        rule.sources
            .iter()
            .any(|source| source.from == Origin::ResourceAttribute && source.name == name)
    };
    let value = |name: &str| attributes.get_str(name).filter(|value| !value.is_empty());
    // All of it has to be known.
    let complete = rule.sources.iter().all(|source| match source.from {
        Origin::Connection => peer.is_some(),
        Origin::ResourceAttribute => value(&source.name).is_some(),
    });
    if !complete {
        return None;
    }
    let by_ip = |name: &str| pods.by_ip(value(name)?.parse().ok()?);
    let connected = rule
        .sources
        .iter()
        .any(|source| source.from == Origin::Connection);
    let pod = if has("k8s.pod.uid") {
        pods.by_uid(value("k8s.pod.uid")?)
    } else if let Some(name) = ["k8s.pod.ip", "ip", "host.name"]
        .into_iter()
        .find(|name| has(name))
    {
        by_ip(name)
    } else if connected {
        pods.by_ip(peer?)
    } else if has("container.id") {
        pods.by_container(value("container.id")?)
    } else {
        pods.by_name(value("k8s.namespace.name")?, value("k8s.pod.name")?)
    }?;
    rule.sources
        .iter()
        .all(|source| agrees(source, &pod, value(&source.name), peer))
        .then_some(pod)
}

/// Whether what is known of the resource is so of the pod.
fn agrees(
    source: &AssociationSource,
    pod: &Pod,
    value: Option<&str>,
    peer: Option<IpAddr>,
) -> bool {
    let has_address = |address: IpAddr| pod.addresses().any(|own| own == address);
    if source.from == Origin::Connection {
        return peer.is_some_and(has_address);
    }
    let Some(value) = value else { return false };
    match source.name.as_str() {
        // Found by it: a static pod is found by another uid than its own.
        "k8s.pod.uid" => true,
        "k8s.pod.name" => pod.metadata.name == value,
        "k8s.namespace.name" => pod.metadata.namespace == value,
        "k8s.node.name" => pod.spec.node_name == value,
        "container.id" => pod
            .statuses()
            .any(|container| container.ids().any(|id| id == value)),
        _ => value.parse().is_ok_and(has_address),
    }
}
