//! What a pod's resource is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_kubernetes::object::{ContainerStatus, Metadata, Owner, Pod};
use corten_pdata::edit::AttributeEdits;

use crate::config::{Compat, Config, Field, Source};
use crate::index::Objects;

/// What `extract.metadata` may name.
pub(crate) const METADATA_KEYS: [&str; 27] = [
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.pod.hostname",
    "k8s.pod.ip",
    "k8s.pod.start_time",
    "k8s.replicaset.name",
    "k8s.replicaset.uid",
    "k8s.deployment.name",
    "k8s.deployment.uid",
    "k8s.statefulset.name",
    "k8s.statefulset.uid",
    "k8s.daemonset.name",
    "k8s.daemonset.uid",
    "k8s.job.name",
    "k8s.job.uid",
    "k8s.cronjob.name",
    "k8s.node.name",
    "k8s.node.uid",
    "k8s.container.name",
    "container.id",
    "container.image.name",
    "container.image.tag",
    "service.name",
    "service.namespace",
    "service.version",
    "service.instance.id",
];

/// The objects besides pods that an extraction asks about. Those that none asks about are not watched.
#[derive(Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) namespaces: Option<Objects>,
    pub(crate) nodes: Option<Objects>,
    pub(crate) replica_sets: Option<Objects>,
    pub(crate) deployments: Option<Objects>,
    pub(crate) stateful_sets: Option<Objects>,
    pub(crate) daemon_sets: Option<Objects>,
    pub(crate) jobs: Option<Objects>,
}

impl Surroundings {
    pub(crate) fn needed(config: &Config) -> Self {
        let extract = &config.extract;
        let from = |source| {
            let mut fields = extract.labels.iter().chain(&extract.annotations);
            fields.any(|field| field.from == source)
        };
        let tells = |key: &str| extract.metadata.iter().any(|named| named == key);
        let on = |needed: bool| needed.then(Objects::default);
        let deployments = from(Source::Deployment);
        Self {
            namespaces: on(from(Source::Namespace)),
            nodes: on(from(Source::Node) || tells("k8s.node.uid")),
            replica_sets: on(deployments
                || tells("k8s.deployment.uid")
                || (tells("k8s.deployment.name") && !extract.deployment_name_from_replicaset)),
            deployments: on(deployments),
            stateful_sets: on(from(Source::StatefulSet)),
            daemon_sets: on(from(Source::DaemonSet)),
            jobs: on(from(Source::Job)),
        }
    }

    /// Each index with the collection that fills it.
    pub(crate) fn collections(&self) -> impl Iterator<Item = (&'static str, &Objects)> {
        [
            ("/api/v1/namespaces", &self.namespaces),
            ("/api/v1/nodes", &self.nodes),
            ("/apis/apps/v1/replicasets", &self.replica_sets),
            ("/apis/apps/v1/deployments", &self.deployments),
            ("/apis/apps/v1/statefulsets", &self.stateful_sets),
            ("/apis/apps/v1/daemonsets", &self.daemon_sets),
            ("/apis/batch/v1/jobs", &self.jobs),
        ]
        .into_iter()
        .filter_map(|(path, objects)| Some((path, objects.as_ref()?)))
    }

    /// A number that changes with any of the objects.
    pub(crate) fn changes(&self) -> u64 {
        self.collections()
            .map(|(_, objects)| objects.changes())
            .sum()
    }
}

/// Makes attributes of pods.
pub(crate) struct Extraction {
    config: Config,
}

impl Extraction {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
        }
    }

    /// What a resource of this pod, and of this container where it is known, gets: nothing that it has already.
    pub(crate) fn edits(
        &self,
        pod: &Pod,
        container: Option<&ContainerStatus>,
        around: &Surroundings,
    ) -> AttributeEdits {
        let mut edits = AttributeEdits::new();
        for (key, value) in self.attributes(pod, container, around) {
            if !value.is_empty() {
                edits = edits.insert(key, value);
            }
        }
        edits
    }

    /// By their keys; a rule of the user's wins over what is always told.
    pub(crate) fn attributes(
        &self,
        pod: &Pod,
        container: Option<&ContainerStatus>,
        around: &Surroundings,
    ) -> BTreeMap<String, String> {
        let extract = &self.config.extract;
        let owners = Owners::of(pod, around, extract.deployment_name_from_replicaset);
        let mut all = BTreeMap::new();
        for key in &extract.metadata {
            if let Some(value) = told(key, pod, container, &owners, around) {
                all.insert(key.clone(), value);
            }
        }
        if extract.otel_annotations {
            for (key, value) in &pod.metadata.annotations {
                if let Some(key) = key.strip_prefix("resource.opentelemetry.io/") {
                    all.insert(key.to_owned(), value.clone());
                }
            }
        }
        for (what, fields) in [
            ("label", &extract.labels),
            ("annotation", &extract.annotations),
        ] {
            for field in fields {
                let object = match field.from {
                    Source::Pod => {
                        self.field(what, field, &pod.metadata, &mut all);
                        continue;
                    }
                    Source::Namespace => named(&around.namespaces, &pod.metadata.namespace),
                    Source::Node => named(&around.nodes, &pod.spec.node_name),
                    Source::Deployment => {
                        looked_up(&around.deployments, owners.deployment_uid.as_deref())
                    }
                    Source::StatefulSet => {
                        looked_up(&around.stateful_sets, owners.uid("StatefulSet"))
                    }
                    Source::DaemonSet => looked_up(&around.daemon_sets, owners.uid("DaemonSet")),
                    Source::Job => looked_up(&around.jobs, owners.uid("Job")),
                };
                if let Some(object) = object {
                    self.field(what, field, &object, &mut all);
                }
            }
        }
        all
    }

    /// The attributes that one rule makes of an object's labels or annotations.
    fn field(
        &self,
        what: &str,
        field: &Field,
        object: &Metadata,
        all: &mut BTreeMap<String, String>,
    ) {
        let has = match what {
            "label" => &object.labels,
            _ => &object.annotations,
        };
        let default = |key: &str| {
            let of = match field.from {
                Source::Pod => "pod",
                Source::Namespace => "namespace",
                Source::Node => "node",
                Source::Deployment => "deployment",
                Source::StatefulSet => "statefulset",
                Source::DaemonSet => "daemonset",
                Source::Job => "job",
            };
            let plural = match self.config.compat {
                Compat::V1 => "",
                Compat::V0 => "s",
            };
            format!("k8s.{of}.{what}{plural}.{key}")
        };
        match &field.key_regex {
            None => {
                if let Some(value) = has.get(&field.key) {
                    let name = match field.tag_name.as_str() {
                        "" => default(&field.key),
                        name => name.to_owned(),
                    };
                    all.insert(name, value.clone());
                }
            }
            Some(regex) => {
                for (key, value) in has {
                    let Some(found) = regex.captures(key) else {
                        continue;
                    };
                    // The whole key has to match.
                    if found.get(0).is_none_or(|whole| whole.len() != key.len()) {
                        continue;
                    }
                    let name = if field.tag_name.is_empty() {
                        default(key)
                    } else {
                        let mut name = String::new();
                        found.expand(&field.tag_name, &mut name);
                        name
                    };
                    all.insert(name, value.clone());
                }
            }
        }
    }
}

fn looked_up(objects: &Option<Objects>, uid: Option<&str>) -> Option<Arc<Metadata>> {
    objects.as_ref()?.by_uid(uid?)
}

fn named(objects: &Option<Objects>, name: &str) -> Option<Arc<Metadata>> {
    objects.as_ref()?.by_name(name)
}

/// Whom a pod belongs to.
struct Owners<'p> {
    owner: Option<&'p Owner>,
    deployment: Option<String>,
    deployment_uid: Option<String>,
}

impl<'p> Owners<'p> {
    fn of(pod: &'p Pod, around: &Surroundings, by_name: bool) -> Self {
        let references = &pod.metadata.owner_references;
        let owner = references
            .iter()
            .find(|owner| owner.controller)
            .or(references.first());
        let mut owners = Self {
            owner,
            deployment: None,
            deployment_uid: None,
        };
        if let Some(set) = owner.filter(|owner| owner.kind == "ReplicaSet") {
            let known = looked_up(&around.replica_sets, Some(&set.uid));
            let deployment = known.as_deref().and_then(|set| {
                set.owner_references
                    .iter()
                    .find(|owner| owner.kind == "Deployment")
            });
            if let Some(deployment) = deployment {
                owners.deployment = Some(deployment.name.clone());
                owners.deployment_uid = Some(deployment.uid.clone());
            } else if by_name {
                owners.deployment = deployment_of(&set.name, pod).map(str::to_owned);
            }
        }
        owners
    }

    fn name(&self, kind: &str) -> Option<String> {
        let owner = self.owner.filter(|owner| owner.kind == kind)?;
        Some(owner.name.clone())
    }

    fn uid(&self, kind: &str) -> Option<&'p str> {
        let owner = self.owner.filter(|owner| owner.kind == kind)?;
        Some(owner.uid.as_str())
    }

    /// The cron job that made the job: its name and the minutes since 1970.
    fn cron_job(&self) -> Option<String> {
        let owner = self.owner.filter(|owner| owner.kind == "Job")?;
        let (name, minutes) = owner.name.rsplit_once('-')?;
        let digits = !minutes.is_empty() && minutes.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| name.to_owned())
    }
}

/// A deployment's replica sets are called after it and the hash of their pods' template, which the pods have as a label.
fn deployment_of<'n>(replica_set: &'n str, pod: &Pod) -> Option<&'n str> {
    let (name, hash) = replica_set.rsplit_once('-')?;
    match pod.metadata.labels.get("pod-template-hash") {
        Some(label) => (label == hash).then_some(name),
        // Without the label it is no deployment's.
        None => None,
    }
}

fn told(
    key: &str,
    pod: &Pod,
    container: Option<&ContainerStatus>,
    owners: &Owners<'_>,
    around: &Surroundings,
) -> Option<String> {
    let label = |name: &str| pod.metadata.labels.get(name).cloned();
    let image = || container.map(|container| image(&container.image));
    Some(match key {
        "k8s.namespace.name" => pod.metadata.namespace.clone(),
        "k8s.pod.name" | "k8s.pod.hostname" => pod.metadata.name.clone(),
        "k8s.pod.uid" => pod.metadata.uid.clone(),
        "k8s.pod.ip" => pod.status.pod_ip.clone(),
        "k8s.pod.start_time" => pod.status.start_time.clone(),
        "k8s.replicaset.name" => owners.name("ReplicaSet")?,
        "k8s.replicaset.uid" => owners.uid("ReplicaSet")?.to_owned(),
        "k8s.deployment.name" => owners.deployment.clone()?,
        "k8s.deployment.uid" => owners.deployment_uid.clone()?,
        "k8s.statefulset.name" => owners.name("StatefulSet")?,
        "k8s.statefulset.uid" => owners.uid("StatefulSet")?.to_owned(),
        "k8s.daemonset.name" => owners.name("DaemonSet")?,
        "k8s.daemonset.uid" => owners.uid("DaemonSet")?.to_owned(),
        "k8s.job.name" => owners.name("Job")?,
        "k8s.job.uid" => owners.uid("Job")?.to_owned(),
        "k8s.cronjob.name" => owners.cron_job()?,
        "k8s.node.name" => pod.spec.node_name.clone(),
        "k8s.node.uid" => {
            let node = around.nodes.as_ref()?.by_name(&pod.spec.node_name)?;
            node.uid.clone()
        }
        "k8s.container.name" => container?.name.clone(),
        "container.id" => container?.bare_id().to_owned(),
        "container.image.name" => image()?.0.to_owned(),
        "container.image.tag" => image()?.1.to_owned(),
        "service.namespace" => {
            annotated(pod, "service.namespace").unwrap_or_else(|| pod.metadata.namespace.clone())
        }
        "service.name" => annotated(pod, "service.name")
            .or_else(|| label("app.kubernetes.io/instance"))
            .or_else(|| label("app.kubernetes.io/name"))
            .or_else(|| owners.deployment.clone())
            .or_else(|| owners.cron_job())
            .or_else(|| owners.owner.map(|owner| owner.name.clone()))
            .unwrap_or_else(|| pod.metadata.name.clone()),
        "service.version" => annotated(pod, "service.version")
            .or_else(|| label("app.kubernetes.io/version"))
            .or_else(|| image().map(|(_, tag)| tag.to_owned()))?,
        "service.instance.id" => annotated(pod, "service.instance.id").or_else(|| {
            let names = [
                &pod.metadata.namespace,
                &pod.metadata.name,
                &container?.name,
            ];
            Some(names.map(String::as_str).join("."))
        })?,
        _ => return None,
    })
}

fn annotated(pod: &Pod, key: &str) -> Option<String> {
    let annotations = &pod.metadata.annotations;
    annotations
        .get(&format!("resource.opentelemetry.io/{key}"))
        .cloned()
}

/// Name and tag of an image: `registry:5000/shop/cart:1.2@sha256:…`. Without a tag it is `latest`.
fn image(image: &str) -> (&str, &str) {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    match named.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (named, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_taken_apart() {
        assert_eq!(image("shop/cart:1.2"), ("shop/cart", "1.2"));
        assert_eq!(
            image("registry:5000/shop/cart"),
            ("registry:5000/shop/cart", "latest")
        );
        assert_eq!(image("a:5000/b:1@sha256:ab"), ("a:5000/b", "1"));
        assert_eq!(image("a@sha256:ab"), ("a", "latest"));
    }

    proptest::proptest! {
        #[test]
        fn no_image_is_too_odd(text in ".{0,40}") {
            let (name, tag) = image(&text);
            proptest::prop_assert!(text.starts_with(name));
            proptest::prop_assert!(tag == "latest" || text.contains(tag));
        }
    }
}
