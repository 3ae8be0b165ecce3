//! What a pod's resource is told.

use std::collections::BTreeMap;

use corten_kubernetes::object::{Metadata, Pod};
use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;
use corten_pdata::edit::AttributeEdits;

use crate::config::{Compat, Config, Field, Source};
use crate::container::Container;
use crate::surroundings::{Around, Belongs, Owners};

/// What `extract.metadata` may name.
pub(crate) const METADATA_KEYS: [&str; 31] = [
    "k8s.cluster.uid",
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
    "k8s.cronjob.uid",
    "k8s.node.name",
    "k8s.node.uid",
    "k8s.container.name",
    "container.id",
    "container.image.name",
    "container.image.tag",
    "container.image.tags",
    "container.image.repo_digests",
    "service.name",
    "service.namespace",
    "service.version",
    "service.instance.id",
];

/// By their keys.
pub(crate) type Told = BTreeMap<String, OwnedValue>;

/// Makes attributes of pods.
pub(crate) struct Extraction {
    metadata: Vec<String>,
    otel_annotations: bool,
    /// Whether a deployment's name may be told from its replica set's.
    by_name: bool,
    compat: Compat,
    /// Labels before annotations, each in the user's order.
    rules: Vec<Rule>,
}

/// Which labels or annotations become attributes, and what those are called.
struct Rule {
    from: Source,
    what: What,
    key: Key,
    name: Name,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Label,
    Annotation,
}

enum Key {
    Exact(String),
    /// For whole keys.
    Pattern(regex::Regex),
}

enum Name {
    /// What stands before the key.
    Before(String),
    /// The name, or with a pattern its template.
    Given(String),
}

impl Extraction {
    /// # Errors
    ///
    /// An expression that is none for whole keys: one with a comment at its end.
    pub(crate) fn new(config: &Config) -> Result<Self, regex::Error> {
        let extract = &config.extract;
        let labels = extract.labels.iter().map(|field| (What::Label, field));
        let annotations = extract.annotations.iter();
        let annotations = annotations.map(|field| (What::Annotation, field));
        Ok(Self {
            metadata: extract.metadata.clone(),
            otel_annotations: extract.otel_annotations,
            by_name: extract.deployment_name_from_replicaset,
            compat: config.compat,
            rules: labels
                .chain(annotations)
                .map(|(what, field)| Rule::new(what, field, config.compat))
                .collect::<Result<_, _>>()?,
        })
    }

    /// What a resource of this pod, and of this container where it is known, gets: nothing that it has already.
    pub(crate) fn edits(
        &self,
        pod: &Pod,
        container: Option<&Container<'_>>,
        around: &Around,
    ) -> AttributeEdits {
        insert(self.attributes(pod, container, around))
    }

    /// A rule of the user's wins over what is always told.
    pub(crate) fn attributes(
        &self,
        pod: &Pod,
        container: Option<&Container<'_>>,
        around: &Around,
    ) -> Told {
        let owners = Owners::of(pod, around, self.by_name);
        let mut all = Told::new();
        for key in &self.metadata {
            match key.as_str() {
                "container.image.tags" => {
                    let tag = container.and_then(|container| container.image.tag());
                    all.extend(tag.map(|tag| match self.compat {
                        Compat::V1 => (key.clone(), list(tag)),
                        Compat::V0 => ("container.image.tag".to_owned(), tag.into()),
                    }));
                }
                "container.image.repo_digests" => {
                    let digest = container.and_then(Container::repo_digest);
                    all.extend(digest.map(|digest| (key.clone(), list(&digest))));
                }
                name => {
                    let value = told(name, pod, container, &owners, around);
                    let value = value.filter(|value| !value.is_empty());
                    all.extend(value.map(|value| (key.clone(), value.into())));
                }
            }
        }
        if self.otel_annotations {
            for (key, value) in &pod.metadata.annotations {
                if let Some(key) = key.strip_prefix(ANNOTATED) {
                    all.insert(key.to_owned(), value.as_str().into());
                }
            }
        }
        for rule in &self.rules {
            let object = match rule.from {
                Source::Pod => Some(&pod.metadata),
                source => around.object(source),
            };
            if let Some(object) = object {
                rule.apply(object, &mut all);
            }
        }
        all
    }

    /// What a resource gets whose pod is not known, and that says itself what it belongs to.
    pub(crate) fn edits_around(&self, belongs: &Belongs<'_>, around: &Around) -> AttributeEdits {
        let mut all = Told::new();
        let tells = |key: &str| self.metadata.iter().any(|named| named == key);
        if let Some(node) = around.node.as_deref()
            && tells("k8s.node.uid")
        {
            all.insert("k8s.node.uid".to_owned(), node.uid.as_str().into());
        }
        if !belongs.namespace.is_empty() && tells("service.namespace") {
            all.insert("service.namespace".to_owned(), belongs.namespace.into());
        }
        for rule in &self.rules {
            if let Some(object) = around.object(rule.from) {
                rule.apply(object, &mut all);
            }
        }
        insert(all)
    }
}

fn insert(all: Told) -> AttributeEdits {
    all.into_iter()
        .fold(AttributeEdits::new(), |edits, (key, value)| {
            edits.insert(key, value)
        })
}

/// A list of one text.
fn list(text: &str) -> OwnedValue {
    OwnedValue::array([AnyValue::String(text)])
}

impl Rule {
    fn new(what: What, field: &Field, compat: Compat) -> Result<Self, regex::Error> {
        let key = match &field.key_regex {
            Some(regex) => Key::Pattern(regex::Regex::new(&format!("^(?:{})$", regex.as_str()))?),
            None => Key::Exact(field.key.clone()),
        };
        let name = if field.tag_name.is_empty() {
            let (of, plural) = match field.from {
                Source::Pod => ("pod", "s"),
                Source::Namespace => ("namespace", "s"),
                Source::Node => ("node", "s"),
                // These never had the other spelling.
                Source::ReplicaSet => ("replicaset", ""),
                Source::Deployment => ("deployment", ""),
                Source::StatefulSet => ("statefulset", ""),
                Source::DaemonSet => ("daemonset", ""),
                Source::Job => ("job", ""),
                Source::CronJob => ("cronjob", ""),
            };
            let what = match what {
                What::Label => "label",
                What::Annotation => "annotation",
            };
            let plural = match compat {
                Compat::V0 => plural,
                Compat::V1 => "",
            };
            Name::Before(format!("k8s.{of}.{what}{plural}."))
        } else {
            Name::Given(field.tag_name.clone())
        };
        Ok(Self {
            from: field.from,
            what,
            key,
            name,
        })
    }

    /// The attributes that it makes of an object's labels or annotations.
    fn apply(&self, object: &Metadata, all: &mut Told) {
        let has = match self.what {
            What::Label => &object.labels,
            What::Annotation => &object.annotations,
        };
        match &self.key {
            Key::Exact(key) => {
                if let Some(value) = has.get(key) {
                    let name = match &self.name {
                        Name::Before(before) => format!("{before}{key}"),
                        Name::Given(name) => name.clone(),
                    };
                    all.insert(name, value.as_str().into());
                }
            }
            Key::Pattern(pattern) => {
                for (key, value) in has {
                    let Some(found) = pattern.captures(key) else {
                        continue;
                    };
                    let name = match &self.name {
                        Name::Before(before) => format!("{before}{key}"),
                        Name::Given(template) => {
                            let mut name = String::new();
                            found.expand(template, &mut name);
                            name
                        }
                    };
                    // A group that matched nothing names nothing.
                    if !name.is_empty() {
                        all.insert(name, value.as_str().into());
                    }
                }
            }
        }
    }
}

/// The annotations of a pod that say what its telemetry is to be called.
const ANNOTATED: &str = "resource.opentelemetry.io/";

fn told(
    key: &str,
    pod: &Pod,
    container: Option<&Container<'_>>,
    owners: &Owners<'_>,
    around: &Around,
) -> Option<String> {
    let Pod {
        metadata,
        spec,
        status,
    } = pod;
    let label = |name: &str| metadata.labels.get(name).cloned();
    let annotated = |key: &str| {
        metadata
            .annotations
            .get(&format!("{ANNOTATED}{key}"))
            .cloned()
    };
    let uid = |object: &Option<std::sync::Arc<Metadata>>| Some(object.as_deref()?.uid.clone());
    let name_of = |kind: &str| owners.name(kind).map(str::to_owned);
    let uid_of = |kind: &str| owners.uid(kind).map(str::to_owned);
    Some(match key {
        "k8s.cluster.uid" => uid(&around.system)?,
        "k8s.namespace.name" => metadata.namespace.clone(),
        "k8s.pod.name" => metadata.name.clone(),
        "k8s.pod.hostname" => spec.hostname.clone(),
        "k8s.pod.uid" => metadata.uid.clone(),
        "k8s.pod.ip" => status.pod_ip.clone(),
        "k8s.pod.start_time" => status.start_time.clone(),
        "k8s.replicaset.name" => name_of("ReplicaSet")?,
        "k8s.replicaset.uid" => uid_of("ReplicaSet")?,
        "k8s.deployment.name" => name_of("Deployment")?,
        "k8s.deployment.uid" => uid_of("Deployment")?,
        "k8s.statefulset.name" => name_of("StatefulSet")?,
        "k8s.statefulset.uid" => uid_of("StatefulSet")?,
        "k8s.daemonset.name" => name_of("DaemonSet")?,
        "k8s.daemonset.uid" => uid_of("DaemonSet")?,
        "k8s.job.name" => name_of("Job")?,
        "k8s.job.uid" => uid_of("Job")?,
        "k8s.cronjob.name" => name_of("CronJob")?,
        "k8s.cronjob.uid" => uid_of("CronJob")?,
        "k8s.node.name" => spec.node_name.clone(),
        "k8s.node.uid" => uid(&around.node)?,
        "k8s.container.name" => container?.name.to_owned(),
        "container.id" => container?.id().to_owned(),
        "container.image.name" => container?.image.name.to_owned(),
        "container.image.tag" => container?.image.tag()?.to_owned(),
        // How these four are told: semantic conventions, non-normative, Kubernetes attributes.
        "service.namespace" => {
            annotated("service.namespace").unwrap_or_else(|| metadata.namespace.clone())
        }
        "service.name" => annotated("service.name")
            .or_else(|| label("app.kubernetes.io/instance"))
            .or_else(|| label("app.kubernetes.io/name"))
            .or_else(|| owners.workload().map(str::to_owned))
            .unwrap_or_else(|| metadata.name.clone()),
        "service.version" => annotated("service.version")
            .or_else(|| label("app.kubernetes.io/version"))
            .or_else(|| container?.image.version())?,
        "service.instance.id" => annotated("service.instance.id").or_else(|| {
            Some(format!(
                "{}.{}.{}",
                metadata.namespace, metadata.name, container?.name
            ))
        })?,
        _ => return None,
    })
}
