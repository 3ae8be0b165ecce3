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

#[cfg(test)]
mod tests {
    use corten_kubernetes::{Keep as _, Limits};
    use corten_pdata::AnyValue;
    use corten_pdata::build::OwnedValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Few values, so that pods share them and resources meet them.
    const IPS: [&str; 4] = ["10.0.0.1", "10.0.0.2", "fd00::1", ""];
    const NAMES: [&str; 3] = ["a", "b", ""];
    const UIDS: [&str; 5] = ["u0", "u1", "u2", "u3", "hash"];
    const CONTAINERS: [&str; 4] = ["c0", "c1", "c2", ""];

    fn pods() -> impl Strategy<Value = Vec<Pod>> {
        let pod = (
            prop::sample::select(&NAMES[..]),
            prop::sample::select(&NAMES[..]),
            prop::sample::select(&NAMES[..]),
            prop::collection::vec(prop::sample::select(&IPS[..]), 0..3),
            prop::collection::vec(prop::sample::select(&CONTAINERS[..]), 3),
            any::<bool>(),
            any::<bool>(),
            prop::sample::select(&["Running", "Failed"][..]),
            prop::sample::select(&["2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"][..]),
        );
        prop::collection::vec(pod, 0..4).prop_map(|all| {
            let all = all.into_iter().enumerate();
            all.map(|(index, (name, namespace, node, ips, containers, own, by_hash, phase, start))| {
                let status = |id: &str, before: &str| {
                    json!([{"containerID": format!("containerd://{id}"), "lastState": {"terminated": {"containerID": format!("cri-o://{before}")}}}])
                };
                let annotations = if by_hash {
                    json!({"kubernetes.io/config.hash": "hash"})
                } else {
                    json!({})
                };
                let ips: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
                serde_json::from_value(json!({
                    "metadata": {"name": name, "namespace": namespace, "uid": UIDS[index], "annotations": annotations},
                    "spec": {"nodeName": node, "hostNetwork": !own},
                    "status": {"phase": phase, "startTime": start, "podIPs": ips, "containerStatuses": status(containers[0], containers[1]), "initContainerStatuses": status(containers[2], "")},
                }))
                .unwrap()
            })
            .collect()
        })
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let sources: Vec<AssociationSource> = crate::config::ASSOCIATED
            .iter()
            .map(|name| AssociationSource {
                from: Origin::ResourceAttribute,
                name: (*name).to_owned(),
            })
            .chain([AssociationSource {
                from: Origin::Connection,
                name: String::new(),
            }])
            .collect();
        let rule = prop::collection::vec(prop::sample::select(sources), 1..=4);
        // Others are refused when the configuration is checked.
        let rule = rule.prop_filter("tells one pod from others", |sources| {
            beginning(sources).is_some()
        });
        prop::collection::vec(rule.prop_map(|sources| Rule { sources }), 0..4)
    }

    /// What a resource says of itself.
    fn resource() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let values = |key: &'static str| match key {
            "k8s.pod.uid" => &UIDS[..],
            "container.id" => &CONTAINERS[..],
            "k8s.pod.name" | "k8s.namespace.name" | "k8s.node.name" => &NAMES[..],
            _ => &IPS[..],
        };
        let one = prop::sample::select(&crate::config::ASSOCIATED[..]).prop_flat_map(move |key| {
            let value = prop::sample::select(values(key));
            value.prop_map(move |value| (key, value))
        });
        prop::collection::vec(one, 0..6)
    }

    /// The first value of a key that is there.
    fn said<'r>(resource: &[(&str, &'r str)], key: &str) -> Option<&'r str> {
        let (_, value) = resource.iter().find(|(own, _)| *own == key)?;
        (!value.is_empty()).then_some(*value)
    }

    fn has(pod: &Pod, source: &AssociationSource, value: &str) -> bool {
        match (source.from, source.name.as_str()) {
            (Origin::ResourceAttribute, "k8s.pod.uid") => {
                let hash = pod.metadata.annotations.values().any(|hash| hash == value);
                pod.metadata.uid == value || hash
            }
            (Origin::ResourceAttribute, "k8s.pod.name") => pod.metadata.name == value,
            (Origin::ResourceAttribute, "k8s.namespace.name") => pod.metadata.namespace == value,
            (Origin::ResourceAttribute, "k8s.node.name") => pod.spec.node_name == value,
            (Origin::ResourceAttribute, "container.id") => {
                let mut all = pod
                    .statuses()
                    .flat_map(|status| [status.bare_id(), status.previous_id()]);
                all.any(|id| id == value)
            }
            _ => {
                let ips = pod.status.pod_ips.iter();
                !pod.spec.host_network && ips.into_iter().any(|own| own.ip == value)
            }
        }
    }

    /// What a rule begins with: by the first of these the pod is looked for, and the others have to agree.
    static BEGINNINGS: [(&[&str], Origin); 7] = [
        (&["k8s.pod.uid"], Origin::ResourceAttribute),
        (&["k8s.pod.ip"], Origin::ResourceAttribute),
        (&["ip"], Origin::ResourceAttribute),
        (&["host.name"], Origin::ResourceAttribute),
        (&[""], Origin::Connection),
        (&["container.id"], Origin::ResourceAttribute),
        (
            &["k8s.pod.name", "k8s.namespace.name"],
            Origin::ResourceAttribute,
        ),
    ];

    fn has_address(name: &str) -> bool {
        matches!(name, "k8s.pod.ip" | "ip" | "host.name")
    }

    fn beginning(
        sources: &[AssociationSource],
    ) -> Option<&'static (&'static [&'static str], Origin)> {
        let has = |name: &str, from: Origin| {
            let mut sources = sources.iter();
            sources.any(|source| (source.from, source.name.as_str()) == (from, name))
        };
        BEGINNINGS
            .iter()
            .find(|(names, from)| names.iter().all(|name| has(name, *from)))
    }

    /// Every pod is looked at for every rule; the last one that has what a rule begins with is meant.
    fn naive<'p>(
        pods: &'p [Pod],
        rules: &[Rule],
        resource: &[(&str, &str)],
        peer: Option<&str>,
    ) -> Option<&'p Pod> {
        rules.iter().find_map(|rule| {
            let value = |source: &AssociationSource| match source.from {
                Origin::Connection => peer,
                Origin::ResourceAttribute => said(resource, &source.name),
            };
            if rule.sources.iter().any(|source| value(source).is_none()) {
                return None;
            }
            let (names, from) = beginning(&rule.sources)?;
            let begins = |pod: &&Pod| {
                names.iter().all(|name| {
                    let source = AssociationSource {
                        from: *from,
                        name: (*name).to_owned(),
                    };
                    value(&source).is_some_and(|value| has(pod, &source, value))
                })
            };
            // Of pods that name an address, one that runs has it, and the youngest of those.
            let by_address =
                *from == Origin::Connection || names.iter().all(|name| has_address(name));
            let last = pods.iter().filter(begins).max_by_key(|pod| {
                let runs = pod.status.phase == "Running";
                by_address.then_some((runs, &pod.status.start_time))
            })?;
            let agrees = |source: &AssociationSource| {
                value(source).is_some_and(|value| has(last, source, value))
            };
            rule.sources.iter().all(agrees).then_some(last)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_pod_is_found_as_by_looking_at_all_of_them(
            pods in pods(),
            rules in rules(),
            resource in resource(),
            peer in prop::option::of(prop::sample::select(&IPS[..3])),
        ) {
            let mut index = Pods::new(Limits::default());
            for pod in &pods {
                index.put(pod.clone());
            }
            let written = OwnedValue::map(|attributes| {
                for (key, value) in &resource {
                    attributes.attribute_str(key, value);
                }
            });
            let AnyValue::KvList(attributes) = written.get() else {
                panic!("a map is written");
            };
            let peer_address = peer.map(|peer| peer.parse().unwrap());
            let associations = Associations::new(&rules);
            let found = associations.find(&index, &attributes, peer_address);
            let wanted = naive(&pods, &associations.0, &resource, peer);
            prop_assert_eq!(found.as_deref(), wanted);
        }

        #[test]
        fn no_resource_is_too_odd(pairs in prop::collection::vec((".{0,10}", ".{0,20}"), 0..5), rules in rules()) {
            let written = OwnedValue::map(|attributes| {
                for (key, value) in &pairs {
                    attributes.attribute_str(key, value);
                    attributes.attribute_str("k8s.pod.ip", value);
                    attributes.attribute_str("container.id", value);
                }
            });
            let AnyValue::KvList(attributes) = written.get() else {
                panic!("a map is written");
            };
            let index = Pods::new(Limits::default());
            prop_assert!(Associations::new(&rules).find(&index, &attributes, None).is_none());
        }
    }
}
