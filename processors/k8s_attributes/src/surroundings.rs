//! The objects around pods: which kinds of them are watched, and those of one pod.

use std::sync::Arc;

use corten_kubernetes::object::{Metadata, Owner, Pod};
use corten_pdata::Attributes;

use crate::config::{Config, Source};
use crate::extraction::Extraction;
use crate::index::{Changes, Objects};

/// The objects besides pods that an extraction asks about. Kinds that none asks about are not watched.
#[derive(Clone, Default)]
pub(crate) struct Surroundings {
    namespaces: Option<Objects>,
    /// Whether only the namespace whose uid stands for the cluster is asked about.
    system_alone: bool,
    nodes: Option<Objects>,
    replica_sets: Option<Objects>,
    deployments: Option<Objects>,
    stateful_sets: Option<Objects>,
    daemon_sets: Option<Objects>,
    jobs: Option<Objects>,
    cron_jobs: Option<Objects>,
    /// The namespaces whose workloads are watched; all where there is none.
    within: Vec<String>,
    changes: Changes,
}

/// The namespace that is as old as its cluster.
const SYSTEM: &str = "kube-system";

/// A collection that is watched.
pub(crate) struct Collection {
    pub(crate) path: String,
    /// A field selector.
    pub(crate) fields: String,
    /// What keeps its objects.
    pub(crate) objects: Objects,
}

impl Surroundings {
    pub(crate) fn needed(config: &Config, extraction: &Extraction) -> Self {
        let extract = &config.extract;
        let from = |source| {
            let mut fields = extract.labels.iter().chain(&extract.annotations);
            fields.any(|field| field.from == source)
        };
        let tells = |key: &str| extract.metadata.iter().any(|named| named == key);
        let grace = config.pod_delete_grace_period.get();
        let changes = Changes::default();
        let on = |source, needed: bool| {
            let wanted = || Objects::new(grace, extraction.wanted(source), &changes);
            (needed || from(source)).then(wanted)
        };
        let by_set = !extract.deployment_name_from_replicaset;
        Self {
            namespaces: on(Source::Namespace, tells("k8s.cluster.uid")),
            system_alone: !from(Source::Namespace),
            nodes: on(Source::Node, tells("k8s.node.uid")),
            replica_sets: on(
                Source::ReplicaSet,
                from(Source::Deployment)
                    || tells("k8s.deployment.uid")
                    || (by_set && (tells("k8s.deployment.name") || tells("service.name"))),
            ),
            deployments: on(Source::Deployment, false),
            stateful_sets: on(Source::StatefulSet, false),
            daemon_sets: on(Source::DaemonSet, false),
            jobs: on(
                Source::Job,
                from(Source::CronJob) || tells("k8s.cronjob.uid"),
            ),
            cron_jobs: on(Source::CronJob, false),
            changes: changes.clone(),
            within: config.filter.namespaces().map(str::to_owned).collect(),
        }
    }

    /// Each index with the collection that fills it. `node` is the only node that is looked at.
    pub(crate) fn collections(&self, node: Option<&str>) -> Vec<Collection> {
        let named = |name: &str| format!("metadata.name={name}");
        let namespaces = if self.system_alone {
            named(SYSTEM)
        } else {
            String::new()
        };
        let mut all = vec![];
        for (path, fields, objects) in [
            ("/api/v1/namespaces", namespaces, &self.namespaces),
            (
                "/api/v1/nodes",
                node.map(named).unwrap_or_default(),
                &self.nodes,
            ),
        ] {
            all.extend(objects.as_ref().map(|objects| Collection {
                path: path.to_owned(),
                fields,
                objects: objects.clone(),
            }));
        }
        for (group, kind, objects) in [
            ("apps", "replicasets", &self.replica_sets),
            ("apps", "deployments", &self.deployments),
            ("apps", "statefulsets", &self.stateful_sets),
            ("apps", "daemonsets", &self.daemon_sets),
            ("batch", "jobs", &self.jobs),
            ("batch", "cronjobs", &self.cron_jobs),
        ] {
            let Some(objects) = objects else { continue };
            if self.within.is_empty() {
                all.push(Collection {
                    path: format!("/apis/{group}/v1/{kind}"),
                    fields: String::new(),
                    objects: objects.clone(),
                });
            }
            all.extend(self.within.iter().map(|namespace| Collection {
                path: format!("/apis/{group}/v1/namespaces/{namespace}/{kind}"),
                fields: String::new(),
                objects: objects.part(namespace),
            }));
        }
        all
    }

    /// What is known around a pod, or around a resource that names what it belongs to.
    pub(crate) fn around(&self, belongs: &Belongs<'_>) -> Around {
        let named = |objects: &Option<Objects>, name: &str| objects.as_ref()?.by_name(name);
        let known = |objects: &Option<Objects>, uid: Option<&str>| objects.as_ref()?.by_uid(uid?);
        let replica_set = known(&self.replica_sets, belongs.replica_set);
        let job = known(&self.jobs, belongs.job);
        let owner = |of: &Option<Arc<Metadata>>, kind: &str, otherwise: Option<&str>| {
            let uid = owner(of.as_deref(), kind).map(|owner| owner.uid.as_str());
            uid.or(otherwise).map(str::to_owned)
        };
        let deployment = owner(&replica_set, "Deployment", belongs.deployment);
        let cron_job = owner(&job, "CronJob", belongs.cron_job);
        Around {
            namespace: named(&self.namespaces, belongs.namespace),
            system: named(&self.namespaces, SYSTEM),
            node: named(&self.nodes, belongs.node),
            deployment: known(&self.deployments, deployment.as_deref()),
            stateful_set: known(&self.stateful_sets, belongs.stateful_set),
            daemon_set: known(&self.daemon_sets, belongs.daemon_set),
            cron_job: known(&self.cron_jobs, cron_job.as_deref()),
            replica_set,
            job,
        }
    }

    /// Whether anything besides pods is watched.
    pub(crate) fn any(&self) -> bool {
        self.all().next().is_some()
    }

    /// Whether everything that is watched was listed completely at least once.
    pub(crate) fn complete(&self) -> bool {
        self.all().all(Objects::complete)
    }

    fn all(&self) -> impl Iterator<Item = &Objects> {
        [
            &self.namespaces,
            &self.nodes,
            &self.replica_sets,
            &self.deployments,
            &self.stateful_sets,
            &self.daemon_sets,
            &self.jobs,
            &self.cron_jobs,
        ]
        .into_iter()
        .flatten()
    }

    /// A number that changes with any of the objects, to be read before them.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.count()
    }
}

/// The names and uids of what something belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Belongs<'a> {
    pub(crate) namespace: &'a str,
    node: &'a str,
    replica_set: Option<&'a str>,
    deployment: Option<&'a str>,
    stateful_set: Option<&'a str>,
    daemon_set: Option<&'a str>,
    job: Option<&'a str>,
    cron_job: Option<&'a str>,
}

impl<'a> Belongs<'a> {
    pub(crate) fn of_pod(pod: &'a Pod) -> Self {
        let owner = controller(pod);
        let uid = |kind: &str| {
            let owner = owner.filter(|owner| owner.kind == kind)?;
            Some(owner.uid.as_str())
        };
        Self {
            namespace: &pod.metadata.namespace,
            node: &pod.spec.node_name,
            replica_set: uid("ReplicaSet"),
            deployment: None,
            stateful_set: uid("StatefulSet"),
            daemon_set: uid("DaemonSet"),
            job: uid("Job"),
            cron_job: None,
        }
    }

    /// What a resource says of itself whose pod is not known.
    pub(crate) fn of_resource(attributes: &Attributes<'a>) -> Self {
        let text = |key: &str| attributes.get_str(key);
        Self {
            namespace: text("k8s.namespace.name").unwrap_or_default(),
            node: text("k8s.node.name").unwrap_or_default(),
            replica_set: text("k8s.replicaset.uid"),
            deployment: text("k8s.deployment.uid"),
            stateful_set: text("k8s.statefulset.uid"),
            daemon_set: text("k8s.daemonset.uid"),
            job: text("k8s.job.uid"),
            cron_job: text("k8s.cronjob.uid"),
        }
    }
}

/// What is known around one pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    pub(crate) namespace: Option<Arc<Metadata>>,
    /// The namespace whose uid stands for the cluster.
    pub(crate) system: Option<Arc<Metadata>>,
    pub(crate) node: Option<Arc<Metadata>>,
    pub(crate) replica_set: Option<Arc<Metadata>>,
    pub(crate) deployment: Option<Arc<Metadata>>,
    pub(crate) stateful_set: Option<Arc<Metadata>>,
    pub(crate) daemon_set: Option<Arc<Metadata>>,
    pub(crate) job: Option<Arc<Metadata>>,
    pub(crate) cron_job: Option<Arc<Metadata>>,
}

impl Around {
    /// Whether nothing that is kept of these objects differs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let all = |around: &Self| {
            [
                &around.namespace,
                &around.system,
                &around.node,
                &around.replica_set,
                &around.deployment,
                &around.stateful_set,
                &around.daemon_set,
                &around.job,
                &around.cron_job,
            ]
            .map(|object| object.as_ref().map(Arc::as_ptr))
        };
        all(self) == all(other)
    }

    pub(crate) fn object(&self, source: Source) -> Option<&Metadata> {
        match source {
            Source::Pod => None,
            Source::Namespace => self.namespace.as_deref(),
            Source::Node => self.node.as_deref(),
            Source::ReplicaSet => self.replica_set.as_deref(),
            Source::Deployment => self.deployment.as_deref(),
            Source::StatefulSet => self.stateful_set.as_deref(),
            Source::DaemonSet => self.daemon_set.as_deref(),
            Source::Job => self.job.as_deref(),
            Source::CronJob => self.cron_job.as_deref(),
        }
    }
}

/// Who manages a pod.
fn controller(pod: &Pod) -> Option<&Owner> {
    let references = &pod.metadata.owner_references;
    references
        .iter()
        .find(|owner| owner.controller)
        .or(references.first())
}

/// The owner of this kind.
fn owner<'o>(object: Option<&'o Metadata>, kind: &str) -> Option<&'o Owner> {
    object?
        .owner_references
        .iter()
        .find(|owner| owner.kind == kind)
}

/// The names and uids of a pod's workload.
pub(crate) struct Owners<'p> {
    controller: Option<&'p Owner>,
    deployment: Option<&'p str>,
    deployment_uid: Option<&'p str>,
    cron_job: Option<&'p str>,
    cron_job_uid: Option<&'p str>,
}

impl<'p> Owners<'p> {
    /// `by_name`: whether a deployment's name may be told from its replica set's.
    pub(crate) fn of(pod: &'p Pod, around: &'p Around, by_name: bool) -> Self {
        let mut owners = Self {
            controller: controller(pod),
            deployment: None,
            deployment_uid: None,
            cron_job: None,
            cron_job_uid: None,
        };
        if let Some(set) = owners.is("ReplicaSet") {
            if let Some(known) = around.replica_set.as_deref() {
                let deployment = owner(Some(known), "Deployment");
                owners.deployment = deployment.map(|owner| owner.name.as_str());
                owners.deployment_uid = deployment.map(|owner| owner.uid.as_str());
            } else if by_name {
                owners.deployment = deployment_of(&set.name, pod);
            }
        }
        if let Some(job) = owners.is("Job") {
            if let Some(known) = around.job.as_deref() {
                let cron_job = owner(Some(known), "CronJob");
                owners.cron_job = cron_job.map(|owner| owner.name.as_str());
                owners.cron_job_uid = cron_job.map(|owner| owner.uid.as_str());
            } else {
                owners.cron_job = cron_job_of(&job.name);
            }
        }
        owners
    }

    fn is(&self, kind: &str) -> Option<&'p Owner> {
        self.controller.filter(|owner| owner.kind == kind)
    }

    /// The name of the controller, where it is of this kind.
    pub(crate) fn name(&self, kind: &str) -> Option<&'p str> {
        match kind {
            "Deployment" => self.deployment,
            "CronJob" => self.cron_job,
            kind => self.is(kind).map(|owner| owner.name.as_str()),
        }
    }

    /// The uid of the controller, where it is of this kind.
    pub(crate) fn uid(&self, kind: &str) -> Option<&'p str> {
        match kind {
            "Deployment" => self.deployment_uid,
            "CronJob" => self.cron_job_uid,
            kind => self.is(kind).map(|owner| owner.uid.as_str()),
        }
    }

    /// The name of the workload that users think of: the deployment rather than its replica set.
    pub(crate) fn workload(&self) -> Option<&'p str> {
        let controller = || self.controller.map(|owner| owner.name.as_str());
        self.deployment.or(self.cron_job).or_else(controller)
    }
}

/// A deployment's replica sets are called after it and the hash of their pods' template, which the pods have as a label. Without the label it
/// is no deployment's.
fn deployment_of<'n>(replica_set: &'n str, pod: &Pod) -> Option<&'n str> {
    let (name, hash) = replica_set.rsplit_once('-')?;
    let label = pod.metadata.labels.get("pod-template-hash")?;
    (label == hash).then_some(name)
}

/// A cron job's jobs are called after it and the minutes since 1970.
fn cron_job_of(job: &str) -> Option<&str> {
    let (name, minutes) = job.rsplit_once('-')?;
    let digits = !minutes.is_empty() && minutes.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(name)
}
