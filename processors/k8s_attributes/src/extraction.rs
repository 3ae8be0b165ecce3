//! What a pod's resource is told.

use std::collections::BTreeMap;

use corten_config::types::Regex;
use corten_kubernetes::object::{Metadata, Pod};
use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;
use corten_pdata::edit::AttributeEdits;

use crate::config::{Compat, Config, Field, Source};
use crate::container::Container;
use crate::index::{Key, Wanted};
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
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
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

    /// What is asked about an object of this kind.
    pub(crate) fn wanted(&self, source: Source) -> Wanted {
        let keys = |what: What| {
            let rules = self.rules.iter();
            let asking = rules.filter(|rule| (rule.from, rule.what) == (source, what));
            asking.map(|rule| rule.key.clone()).collect()
        };
        Wanted {
            labels: keys(What::Label),
            annotations: keys(What::Annotation),
        }
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
                let key = key.strip_prefix(ANNOTATED);
                if let Some(key) = key.filter(|key| !key.is_empty()) {
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
    fn new(what: What, field: &Field, compat: Compat) -> Result<Self, String> {
        let key = match &field.key_regex {
            Some(regex) => Key::Pattern(Regex::whole(regex.as_str())?),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Extract;

    /// An expression for keys, a template, and by hand what they make of a key.
    type Case = (&'static str, &'static str, fn(&str) -> Option<String>);

    const CASES: [Case; 7] = [
        ("a(.*)", "$1", |key| {
            key.strip_prefix('a').map(str::to_owned)
        }),
        ("(.*)/(.*)", "$2.$1", |key| {
            key.rsplit_once('/')
                .map(|(before, after)| format!("{after}.{before}"))
        }),
        // The first alternative alone would match less than the key.
        ("b|bc", "x.$0", |key| {
            ["b", "bc"].contains(&key).then(|| format!("x.{key}"))
        }),
        ("(?<first>a+)(b*)", "${first}_$2", |key| {
            let rest = key.trim_start_matches('a');
            let first = key.strip_suffix(rest).filter(|first| !first.is_empty())?;
            rest.bytes()
                .all(|byte| byte == b'b')
                .then(|| format!("{first}_{rest}"))
        }),
        // No such group: nothing stands for it.
        ("a(b)?.*", "$1$7", |key| {
            let rest = key.strip_prefix('a')?;
            Some(if rest.starts_with('b') {
                "b".to_owned()
            } else {
                String::new()
            })
        }),
        (".*", "all", |_| Some("all".to_owned())),
        (".*b", "", |key| {
            key.ends_with('b').then(|| format!("k8s.pod.label.{key}"))
        }),
    ];

    fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[abc/.]{0,5}", "[xy]{0,2}", 0..5)
    }

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn config(extract: Extract) -> Config {
        Config {
            extract,
            ..Config::default()
        }
    }

    /// As texts; a list is its texts between commas.
    fn shown(told: Told) -> BTreeMap<String, String> {
        let text = |value: &OwnedValue| match value.get() {
            AnyValue::Array(all) => all.iter().filter_map(|text| text.as_str()).collect(),
            text => text.as_str().unwrap().to_owned(),
        };
        told.iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn labels_are_renamed_as_by_hand(labels in texts(), chosen in prop::collection::vec(0..CASES.len(), 0..4)) {
            let cases: Vec<Case> = chosen.iter().map(|index| CASES[*index]).collect();
            let rules = cases.iter().map(|(pattern, name, _)| Field {
                tag_name: (*name).to_owned(),
                key_regex: Some(pattern.parse().unwrap()),
                ..Field::default()
            });
            let extract = Extract { metadata: vec![], labels: rules.collect(), ..Extract::default() };
            let pod: Pod = read(json!({"metadata": {"labels": labels}}));
            let extraction = Extraction::new(&config(extract)).unwrap();
            let mut wanted = BTreeMap::new();
            for (_, _, by_hand) in &cases {
                for (key, value) in &labels {
                    if let Some(name) = by_hand(key).filter(|name| !name.is_empty()) {
                        wanted.insert(name, value.clone());
                    }
                }
            }
            prop_assert_eq!(shown(extraction.attributes(&pod, None, &Around::default())), wanted);
        }

        /// Everything that there is of a pod, told as by looking at its JSON.
        #[test]
        fn pods_are_told_as_they_are_written(
            (labels, annotations) in (texts(), texts()),
            version in prop::option::of("[0-9]"),
            instance in prop::option::of("[a-z]"),
            owner in prop::option::of(prop::sample::select(&["ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Other"][..])),
            owner_name in prop::sample::select(&["cart", "cart-7d", "cart-29", "cart-"][..]),
            above in prop::option::of(any::<bool>()),
            hash in prop::option::of(prop::sample::select(&["7d", "29"][..])),
            by_name in any::<bool>(),
            hostname in "[a-z]{0,2}",
        ) {
            let mut all_labels = labels.clone();
            for (key, value) in [
                ("app.kubernetes.io/version", version.as_deref()),
                ("app.kubernetes.io/instance", instance.as_deref()),
                ("pod-template-hash", hash),
            ] {
                all_labels.extend(value.map(|value| (key.to_owned(), value.to_owned())));
            }
            let owners = owner.map(|kind| json!({"kind": kind, "name": owner_name, "uid": "o", "controller": true}));
            // One that does not manage it is no workload.
            let mut owners: Vec<Value> = owners.into_iter().collect();
            if !owners.is_empty() {
                owners.insert(0, json!({"kind": "Job", "name": "wrong-1", "uid": "w"}));
            }
            let pod: Pod = read(json!({
                "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": all_labels, "annotations": annotations, "ownerReferences": owners},
                "spec": {"nodeName": "m", "hostname": hostname},
                "status": {"podIP": "10.0.0.1", "startTime": "then"},
            }));
            let object = |kind: &str, owned: bool| {
                let owner = json!({"kind": kind, "name": "above", "uid": "a"});
                let owners = if owned { vec![owner] } else { vec![] };
                Some(Arc::new(read::<Metadata>(json!({"uid": "o", "ownerReferences": owners}))))
            };
            let around = Around {
                replica_set: above.filter(|_| owner == Some("ReplicaSet")).and_then(|owned| object("Deployment", owned)),
                job: above.filter(|_| owner == Some("Job")).and_then(|owned| object("CronJob", owned)),
                ..Around::default()
            };
            let extract = Extract {
                metadata: METADATA_KEYS.map(str::to_owned).into(),
                deployment_name_from_replicaset: by_name,
                ..Extract::default()
            };
            let mut wanted: BTreeMap<&str, &str> = [
                ("k8s.namespace.name", "n"), ("k8s.pod.name", "p"), ("k8s.pod.uid", "u"), ("k8s.pod.ip", "10.0.0.1"),
                ("k8s.pod.start_time", "then"), ("k8s.node.name", "m"), ("service.namespace", "n"),
            ].into();
            if !hostname.is_empty() {
                wanted.insert("k8s.pod.hostname", &hostname);
            }
            let kind = owner.unwrap_or_default().to_lowercase();
            let (name, uid) = (format!("k8s.{kind}.name"), format!("k8s.{kind}.uid"));
            if !kind.is_empty() && kind != "other" {
                wanted.insert(&name, owner_name);
                wanted.insert(&uid, "o");
            }
            let higher = match kind.as_str() {
                "replicaset" => Some(("k8s.deployment.name", "k8s.deployment.uid")),
                "job" => Some(("k8s.cronjob.name", "k8s.cronjob.uid")),
                _ => None,
            };
            let mut workload = if kind.is_empty() { "p" } else { owner_name };
            if let Some((name, uid)) = higher {
                let told_by_name = match (kind.as_str(), owner_name) {
                    ("job", "cart-29") => true,
                    ("replicaset", "cart-7d") => by_name && hash == Some("7d"),
                    ("replicaset", "cart-29") => by_name && hash == Some("29"),
                    _ => false,
                };
                match above {
                    Some(true) => {
                        wanted.insert(name, "above");
                        wanted.insert(uid, "a");
                        workload = "above";
                    }
                    None if told_by_name => {
                        wanted.insert(name, "cart");
                        workload = "cart";
                    }
                    _ => {}
                }
            }
            wanted.insert("service.name", instance.as_deref().unwrap_or(workload));
            if let Some(version) = &version {
                wanted.insert("service.version", version);
            }
            let extraction = Extraction::new(&config(extract)).unwrap();
            let told = shown(extraction.attributes(&pod, None, &around));
            let told: BTreeMap<&str, &str> = told.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(told, wanted);
        }

        /// Whatever the API server says and a resource names, something is told or nothing.
        #[test]
        fn no_pod_is_too_odd(texts in prop::collection::vec(".{0,12}", 12), count in any::<i64>(), pattern in "[ab(.*)|?+\\[\\]{}^$#]{0,8}") {
            let [name, kind, image, identity, id, key, value, tag, asked, restarts, owner, uid] = texts.as_slice() else {
                panic!("twelve texts");
            };
            let pod: Pod = read(json!({
                "metadata": {"name": name, "labels": {key: value}, "annotations": {key: value, format!("resource.opentelemetry.io/{key}"): value},
                    "ownerReferences": [{"kind": kind, "name": owner, "uid": uid}, {"kind": "ReplicaSet", "name": owner, "uid": uid}]},
                "spec": {"containers": [{"name": name, "image": image}, {"name": key, "image": identity}]},
                "status": {"containerStatuses": [{"name": name, "image": image, "imageID": identity, "containerID": id}]},
            }));
            let extract = Extract {
                metadata: METADATA_KEYS.map(str::to_owned).into(),
                otel_annotations: true,
                labels: vec![Field { tag_name: tag.clone(), key_regex: pattern.parse().ok(), key: key.clone(), from: Source::Pod }],
                ..Extract::default()
            };
            let Ok(extraction) = Extraction::new(&config(extract)) else {
                return Ok(());
            };
            let resource = OwnedValue::map(|attributes| {
                attributes.attribute_str("container.id", asked);
                attributes.attribute_str("k8s.container.name", name);
                if count % 2 == 0 {
                    attributes.attribute_str("k8s.container.restart_count", restarts);
                } else {
                    attributes.attribute_int("k8s.container.restart_count", count);
                }
            });
            let AnyValue::KvList(attributes) = resource.get() else {
                panic!("a map is written");
            };
            let container = Container::find(&pod, &attributes);
            let told = extraction.attributes(&pod, container.as_ref(), &Around::default());
            prop_assert!(!told.contains_key(""));
        }
    }
}
