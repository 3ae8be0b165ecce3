//! The kubelet's `/pods`: what the statistics do not say of containers and volumes.

use std::collections::HashMap;

use corten_kubernetes::parse_quantity;
use serde::Deserialize;
use serde_json::Value;

/// How much of something a container may use and was promised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) limit: Option<f64>,
    pub(crate) request: Option<f64>,
}

/// Bounds of CPUs and of bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Resources {
    pub(crate) cpu: Bounds,
    pub(crate) memory: Bounds,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Container {
    /// Without the runtime's name; empty before it runs.
    pub(crate) id: String,
    pub(crate) resources: Resources,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pod {
    pub(crate) containers: HashMap<String, Container>,
    /// Sums over the containers, where every one has the bound.
    pub(crate) resources: Resources,
    /// Attributes of the volumes, by name.
    pub(crate) volumes: HashMap<String, Vec<(&'static str, String)>>,
}

/// The pods of the node, by uid.
pub(crate) type Pods = HashMap<String, Pod>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Option<Vec<ContainerSpec>>,
    init_containers: Option<Vec<ContainerSpec>>,
    volumes: Option<Vec<serde_json::Map<String, Value>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerSpec {
    name: String,
    resources: Option<Requirements>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirements {
    limits: Option<HashMap<String, Value>>,
    requests: Option<HashMap<String, Value>>,
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
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

/// Reads the list of pods.
pub(crate) fn parse(body: &[u8]) -> Result<Pods, serde_json::Error> {
    let list: List = serde_json::from_slice(body)?;
    let pods = list.items.unwrap_or_default().into_iter();
    Ok(pods
        .map(|item| {
            let uid = item.metadata.uid.clone();
            (uid, pod(item))
        })
        .collect())
}

fn pod(Item { spec, status, .. }: Item) -> Pod {
    let mut containers: HashMap<String, Container> = HashMap::new();
    let mut all = Vec::new();
    for spec in spec.containers.into_iter().flatten() {
        let resources = resources(spec.resources.as_ref());
        all.push(resources);
        let container = Container {
            resources,
            ..Container::default()
        };
        containers.insert(spec.name, container);
    }
    for spec in spec.init_containers.into_iter().flatten() {
        let container = Container {
            resources: resources(spec.resources.as_ref()),
            ..Container::default()
        };
        containers.insert(spec.name, container);
    }
    let statuses = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    for status in statuses.into_iter().flatten().flatten() {
        let id = status.container_id.unwrap_or_default();
        let id = id.split_once("://").map_or(id.as_str(), |(_, id)| id);
        containers.entry(status.name).or_default().id = id.to_owned();
    }
    let sum = |of: fn(&Resources) -> Option<f64>| {
        let sum = all.iter().map(of).sum::<Option<f64>>();
        sum.filter(|_| !all.is_empty())
    };
    Pod {
        resources: Resources {
            cpu: Bounds {
                limit: sum(|of| of.cpu.limit),
                request: sum(|of| of.cpu.request),
            },
            memory: Bounds {
                limit: sum(|of| of.memory.limit),
                request: sum(|of| of.memory.request),
            },
        },
        containers,
        volumes: spec
            .volumes
            .into_iter()
            .flatten()
            .filter_map(|volume| volume_attributes(&volume))
            .collect(),
    }
}

fn resources(of: Option<&Requirements>) -> Resources {
    let get = |from: Option<&HashMap<String, Value>>, what: &str| match from?.get(what)? {
        Value::String(text) => parse_quantity(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let bounds = |what| Bounds {
        limit: get(of.and_then(|of| of.limits.as_ref()), what).filter(|value| *value > 0.0),
        request: get(of.and_then(|of| of.requests.as_ref()), what).filter(|value| *value > 0.0),
    };
    Resources {
        cpu: bounds("cpu"),
        memory: bounds("memory"),
    }
}

/// A volume's type is the key of its source; of some sources more is known.
fn volume_attributes(
    volume: &serde_json::Map<String, Value>,
) -> Option<(String, Vec<(&'static str, String)>)> {
    let name = volume.get("name")?.as_str()?.to_owned();
    let (kind, source) = volume.iter().find(|(key, _)| *key != "name")?;
    Some((name, source_attributes(kind, source)))
}

/// What a volume's source says: its kind, and more of some.
pub(crate) fn source_attributes(kind: &str, source: &Value) -> Vec<(&'static str, String)> {
    let mut all = vec![("k8s.volume.type", kind.to_owned())];
    let details: &[(&'static str, &str)] = match kind {
        "awsElasticBlockStore" => &[
            ("aws.volume.id", "volumeID"),
            ("fs.type", "fsType"),
            ("partition", "partition"),
        ],
        "gcePersistentDisk" => &[
            ("gce.pd.name", "pdName"),
            ("fs.type", "fsType"),
            ("partition", "partition"),
        ],
        "glusterfs" => &[
            ("glusterfs.endpoints.name", "endpoints"),
            ("glusterfs.path", "path"),
        ],
        _ => &[],
    };
    for (attribute, key) in details {
        match source.get(key) {
            Some(Value::String(text)) if !text.is_empty() => all.push((attribute, text.clone())),
            Some(Value::Number(number)) => all.push((attribute, number.to_string())),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pods_bounds_are_sums_where_every_container_has_one() {
        let body = br#"{"items":[{"metadata":{"uid":"u"},"spec":{"containers":[
            {"name":"a","resources":{"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"cpu":1}}},
            {"name":"b","resources":{"limits":{"cpu":"2"},"requests":{"cpu":"250m"}}}],
            "volumes":[{"name":"v","awsElasticBlockStore":{"volumeID":"vol-1","fsType":"ext4","partition":1}},{"name":"w","projected":{}}]},
            "status":{"containerStatuses":[{"name":"a","containerID":"containerd://abc"},{"name":"b","containerID":null}]}}]}"#;
        let pods = parse(body).unwrap();
        let pod = &pods["u"];
        assert_eq!(pod.resources.cpu.limit, Some(2.5));
        assert_eq!(pod.resources.cpu.request, Some(1.25));
        assert_eq!(pod.resources.memory, Bounds::default());
        assert_eq!(pod.containers["a"].id, "abc");
        assert_eq!(
            pod.containers["a"].resources.memory.limit,
            Some(1073741824.0)
        );
        assert_eq!(pod.containers["b"].id, "");
        assert_eq!(pod.volumes["v"].len(), 4);
        assert_eq!(
            pod.volumes["w"],
            [("k8s.volume.type", "projected".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_worst(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&body));
        }

        #[test]
        fn any_shape_is_an_error_at_worst(part in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let body = format!(r#"{{"items":[{{"spec":{{"volumes":{part},"containers":[]}}}}]}}"#);
            drop(parse(body.as_bytes()));
        }
    }
}
