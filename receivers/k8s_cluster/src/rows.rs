//! What an object becomes: rows of values, each of one resource.
//!
//! Shapes: Kubernetes API reference, `core/v1`, `apps/v1`, `batch/v1`, `autoscaling/v2`. Any field may be missing or `null`; a
//! value that is not there is not reported. Names of attributes and what numbers stand for: those of the Collector's receiver.

use std::collections::HashSet;

use corten_kubernetes::parse_quantity;
use serde_json::Value;

use crate::config::{ATTRIBUTES, Config};
use crate::metrics::{Wanted, allocatable_name, condition_name};

/// A kind of object.
pub(crate) struct Kind {
    /// `/api/v1`, `/apis/apps/v1`.
    pub(crate) base: &'static str,
    /// The resource, in the plural.
    pub(crate) resource: &'static str,
    pub(crate) namespaced: bool,
    /// How the names of its metrics begin.
    pub(crate) prefixes: &'static [&'static str],
    /// Its object in, its rows out.
    rows: fn(&Value, &mut Rows<'_>),
}

const CORE: &str = "/api/v1";
const APPS: &str = "/apis/apps/v1";
const BATCH: &str = "/apis/batch/v1";

/// Every kind that is read.
pub(crate) const KINDS: [Kind; 15] = [
    Kind::new(CORE, "nodes", false, &["k8s.node."], node),
    Kind::new(CORE, "namespaces", false, &["k8s.namespace."], namespace),
    Kind::new(CORE, "pods", true, &["k8s.pod.", "k8s.container."], pod),
    Kind::new(
        CORE,
        "replicationcontrollers",
        true,
        &["k8s.replication_controller."],
        replication_controller,
    ),
    Kind::new(
        CORE,
        "resourcequotas",
        true,
        &["k8s.resource_quota."],
        resource_quota,
    ),
    Kind::new(CORE, "services", true, &["k8s.service."], service),
    Kind::new(
        CORE,
        "persistentvolumes",
        false,
        &["k8s.persistentvolume."],
        volume,
    ),
    Kind::new(
        CORE,
        "persistentvolumeclaims",
        true,
        &["k8s.persistentvolumeclaim."],
        claim,
    ),
    Kind::new(APPS, "deployments", true, &["k8s.deployment."], deployment),
    Kind::new(APPS, "replicasets", true, &["k8s.replicaset."], replica_set),
    Kind::new(
        APPS,
        "statefulsets",
        true,
        &["k8s.statefulset."],
        stateful_set,
    ),
    Kind::new(APPS, "daemonsets", true, &["k8s.daemonset."], daemon_set),
    Kind::new(BATCH, "jobs", true, &["k8s.job."], job),
    Kind::new(BATCH, "cronjobs", true, &["k8s.cronjob."], cron_job),
    Kind::new(
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
        true,
        &["k8s.hpa."],
        autoscaler,
    ),
];

impl Kind {
    const fn new(
        base: &'static str,
        resource: &'static str,
        namespaced: bool,
        prefixes: &'static [&'static str],
        rows: fn(&Value, &mut Rows<'_>),
    ) -> Self {
        Self {
            base,
            resource,
            namespaced,
            prefixes,
            rows,
        }
    }

    /// The rows of an object, those that the user wants.
    pub(crate) fn rows(&self, object: &Value, chosen: &Chosen) -> Vec<Row> {
        let mut rows = Rows {
            chosen,
            rows: Vec::new(),
        };
        (self.rows)(object, &mut rows);
        rows.rows.retain(|row| !row.points.is_empty());
        rows.rows
    }
}

/// A point's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

/// A value of one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Which metric, see [`Wanted::get`].
    pub(crate) metric: usize,
    pub(crate) attribute: Option<(&'static str, String)>,
    pub(crate) value: Number,
}

/// The values of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) resource: Vec<(&'static str, String)>,
    /// Those of one metric stand beside each other.
    pub(crate) points: Vec<Point>,
}

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) wanted: Wanted,
    attributes: HashSet<&'static str>,
    conditions: Vec<String>,
    allocatable: Vec<String>,
}

impl Chosen {
    pub(crate) fn new(config: &Config) -> Self {
        let names = ATTRIBUTES.iter().map(|(name, _)| *name);
        Self {
            wanted: Wanted::new(config),
            attributes: names.filter(|name| config.has_attribute(name)).collect(),
            conditions: config.node_conditions_to_report.clone(),
            allocatable: config.allocatable_types_to_report.clone(),
        }
    }
}

struct Rows<'a> {
    chosen: &'a Chosen,
    rows: Vec<Row>,
}

impl Rows<'_> {
    /// Begins a resource.
    fn resource(&mut self, attributes: &[(&'static str, &str)]) {
        let wanted = &self.chosen.attributes;
        let resource = attributes
            .iter()
            .filter(|(name, value)| !value.is_empty() && wanted.contains(name))
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.rows.push(Row {
            resource: resource.collect(),
            points: Vec::new(),
        });
    }

    fn put(&mut self, name: &str, attribute: Option<(&'static str, &str)>, value: Number) {
        if let Some(metric) = self.chosen.wanted.find(name)
            && let Some(row) = self.rows.last_mut()
        {
            row.points.push(Point {
                metric,
                attribute: attribute.map(|(key, value)| (key, value.to_owned())),
                value,
            });
        }
    }

    fn int(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.put(name, None, Number::Int(value));
        }
    }

    /// One point for each of `all`: 1 for the present one, 0 for the others.
    fn one_of(&mut self, name: &str, key: &'static str, all: &[&str], present: &str) {
        for one in all {
            let value = Number::Int(i64::from(*one == present));
            self.put(name, Some((key, one)), value);
        }
    }

    /// A quantity: of CPUs with its fractions, of anything else whole.
    fn quantity(&mut self, name: &str, value: Option<&Value>, fractions: bool) {
        if let Some(value) = value.and_then(number) {
            let value = if fractions {
                Number::Double(value)
            } else {
                Number::Int(whole(value))
            };
            self.put(name, None, value);
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => parse_quantity(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// The next whole number, but for what fractions in base two make of a whole one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is beyond 64 bits becomes the largest number, as the language has it"
)]
fn whole(value: f64) -> i64 {
    let nearest = value.round();
    if (value - nearest).abs() < 1e-6 {
        nearest as i64
    } else {
        value.ceil() as i64
    }
}

fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or("")
}

fn int(object: &Value, at: &str) -> Option<i64> {
    object.pointer(at).and_then(Value::as_i64)
}

/// What the API server leaves out when it is nothing.
fn count(object: &Value, at: &str) -> Option<i64> {
    Some(int(object, at).unwrap_or(0))
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    let list = object.pointer(at).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// The resource of what has a namespace, a name and a uid.
fn begin(object: &Value, rows: &mut Rows<'_>, name_key: &'static str, uid_key: &'static str) {
    rows.resource(&[
        ("k8s.namespace.name", text(object, "/metadata/namespace")),
        (name_key, name(object)),
        (uid_key, uid(object)),
    ]);
}

fn node(object: &Value, rows: &mut Rows<'_>) {
    let runtime = text(object, "/status/nodeInfo/containerRuntimeVersion");
    let (runtime, version) = runtime.split_once("://").unwrap_or(("", ""));
    rows.resource(&[
        ("k8s.node.name", name(object)),
        ("k8s.node.uid", uid(object)),
        (
            "k8s.kubelet.version",
            text(object, "/status/nodeInfo/kubeletVersion"),
        ),
        ("container.runtime", runtime),
        ("container.runtime.version", version),
        ("os.description", text(object, "/status/nodeInfo/osImage")),
        ("os.type", text(object, "/status/nodeInfo/operatingSystem")),
    ]);
    let state = |condition: &Value| match text(condition, "/status") {
        "True" => 1,
        "False" => 0,
        _ => -1,
    };
    for wanted in &rows.chosen.conditions.clone() {
        let mut all = list(object, "/status/conditions");
        let found = all.find(|one| text(one, "/type") == wanted);
        rows.int(&condition_name(wanted), Some(found.map_or(-1, state)));
    }
    for condition in list(object, "/status/conditions") {
        let value = Number::Int(state(condition));
        let kind = ("condition", text(condition, "/type"));
        rows.put("k8s.node.condition", Some(kind), value);
    }
    for kind in &rows.chosen.allocatable.clone() {
        let value = object.pointer("/status/allocatable");
        let value = value.and_then(|all| all.get(kind.as_str()));
        rows.quantity(&allocatable_name(kind), value, kind == "cpu");
    }
}

fn namespace(object: &Value, rows: &mut Rows<'_>) {
    rows.resource(&[
        ("k8s.namespace.name", name(object)),
        ("k8s.namespace.uid", uid(object)),
    ]);
    let phase = match text(object, "/status/phase") {
        "Active" => 1,
        "Terminating" => 0,
        _ => -1,
    };
    rows.int("k8s.namespace.phase", Some(phase));
}

fn pod(object: &Value, rows: &mut Rows<'_>) {
    let of_pod = [
        ("k8s.namespace.name", text(object, "/metadata/namespace")),
        ("k8s.node.name", text(object, "/spec/nodeName")),
        ("k8s.pod.name", name(object)),
        ("k8s.pod.uid", uid(object)),
    ];
    let mut resource = of_pod.to_vec();
    resource.push(("k8s.pod.qos_class", text(object, "/status/qosClass")));
    rows.resource(&resource);
    let phase = match text(object, "/status/phase") {
        "Pending" => 1,
        "Running" => 2,
        "Succeeded" => 3,
        "Failed" => 4,
        _ => 5,
    };
    rows.int("k8s.pod.phase", Some(phase));
    let reason = match text(object, "/status/reason") {
        "Evicted" => 1,
        "NodeAffinity" => 2,
        "NodeLost" => 3,
        "Shutdown" => 4,
        "UnexpectedAdmissionError" => 5,
        _ => 6,
    };
    rows.int("k8s.pod.status_reason", Some(reason));
    for container in list(object, "/spec/containers") {
        let its_name = text(container, "/name");
        let mut statuses = list(object, "/status/containerStatuses");
        let status = statuses.find(|status| text(status, "/name") == its_name);
        let id = status.map_or("", |status| text(status, "/containerID"));
        let id = id.split_once("://").map_or(id, |(_, id)| id);
        let image = text(container, "/image");
        let (image, tag) = image_parts(image);
        let ended = "/lastState/terminated/reason";
        let mut resource = of_pod.to_vec();
        resource.extend([
            ("k8s.container.name", its_name),
            ("container.id", id),
            ("container.image.name", image),
            ("container.image.tag", tag),
            (
                "k8s.container.status.last_terminated_reason",
                status.map_or("", |status| text(status, ended)),
            ),
        ]);
        rows.resource(&resource);
        of_container(container, status, rows);
    }
}

fn of_container(container: &Value, status: Option<&Value>, rows: &mut Rows<'_>) {
    let bound = |side: &str, what: &str| {
        let all = container
            .pointer("/resources")
            .and_then(|all| all.get(side));
        all.and_then(|all| all.get(what)).cloned()
    };
    for (limit, request, what) in [
        (
            "k8s.container.cpu_limit",
            "k8s.container.cpu_request",
            "cpu",
        ),
        (
            "k8s.container.memory_limit",
            "k8s.container.memory_request",
            "memory",
        ),
        (
            "k8s.container.storage_limit",
            "k8s.container.storage_request",
            "storage",
        ),
        (
            "k8s.container.ephemeralstorage_limit",
            "k8s.container.ephemeralstorage_request",
            "ephemeral-storage",
        ),
    ] {
        let fractions = what == "cpu";
        rows.quantity(limit, bound("limits", what).as_ref(), fractions);
        rows.quantity(request, bound("requests", what).as_ref(), fractions);
    }
    let Some(status) = status else {
        return;
    };
    let ready = status.get("ready").and_then(Value::as_bool);
    rows.int("k8s.container.ready", Some(i64::from(ready == Some(true))));
    rows.int("k8s.container.restarts", count(status, "/restartCount"));
    let states = ["terminated", "running", "waiting"];
    let there = |state: &&str| {
        status
            .pointer("/state")
            .is_some_and(|all| all.get(state).is_some_and(Value::is_object))
    };
    let state = states.into_iter().find(there).unwrap_or("");
    let key = "k8s.container.status.state";
    rows.one_of(key, key, &states, state);
    let reason = text(status, &format!("/state/{state}/reason")).to_owned();
    let key = "k8s.container.status.reason";
    rows.one_of(key, key, &REASONS, &reason);
}

const REASONS: [&str; 9] = [
    "ContainerCreating",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ErrImagePull",
    "ImagePullBackOff",
    "OOMKilled",
    "Completed",
    "Error",
    "ContainerCannotRun",
];

/// `registry:5000/team/app:1@sha256:…` is `registry:5000/team/app` and `1`.
fn image_parts(image: &str) -> (&str, &str) {
    if image.is_empty() {
        return ("", "");
    }
    let (bare, digest) = match image.split_once('@') {
        Some((bare, _)) => (bare, true),
        None => (image, false),
    };
    match bare.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ if digest => (bare, ""),
        _ => (bare, "latest"),
    }
}

fn replication_controller(object: &Value, rows: &mut Rows<'_>) {
    let keys = (
        "k8s.replicationcontroller.name",
        "k8s.replicationcontroller.uid",
    );
    begin(object, rows, keys.0, keys.1);
    let desired = int(object, "/spec/replicas");
    rows.int("k8s.replication_controller.desired", desired);
    let available = count(object, "/status/availableReplicas");
    rows.int("k8s.replication_controller.available", available);
}

fn resource_quota(object: &Value, rows: &mut Rows<'_>) {
    begin(
        object,
        rows,
        "k8s.resourcequota.name",
        "k8s.resourcequota.uid",
    );
    for (metric, at) in [
        ("k8s.resource_quota.hard_limit", "/status/hard"),
        ("k8s.resource_quota.used", "/status/used"),
    ] {
        let all = object.pointer(at).and_then(Value::as_object);
        for (resource, value) in all.into_iter().flatten() {
            let Some(mut value) = number(value) else {
                continue;
            };
            if resource.ends_with(".cpu") || resource == "cpu" {
                value *= 1000.0;
            }
            let value = Number::Int(whole(value));
            rows.put(metric, Some(("resource", resource)), value);
        }
    }
}

fn service(object: &Value, rows: &mut Rows<'_>) {
    let flag = object.pointer("/spec/publishNotReadyAddresses");
    rows.resource(&[
        ("k8s.namespace.name", text(object, "/metadata/namespace")),
        ("k8s.service.name", name(object)),
        ("k8s.service.uid", uid(object)),
        ("k8s.service.type", text(object, "/spec/type")),
        (
            "k8s.service.traffic_distribution",
            text(object, "/spec/trafficDistribution"),
        ),
        (
            "k8s.service.publish_not_ready_addresses",
            match flag.and_then(Value::as_bool) {
                Some(true) => "true",
                _ => "false",
            },
        ),
    ]);
    let ingress = list(object, "/status/loadBalancer/ingress").count();
    let ingress = i64::try_from(ingress).unwrap_or(i64::MAX);
    if text(object, "/spec/type") == "LoadBalancer" {
        rows.int("k8s.service.load_balancer.ingress.count", Some(ingress));
    }
}

fn volume(object: &Value, rows: &mut Rows<'_>) {
    rows.resource(&[
        ("k8s.persistentvolume.name", name(object)),
        ("k8s.persistentvolume.uid", uid(object)),
        (
            "k8s.persistentvolume.reclaim_policy",
            text(object, "/spec/persistentVolumeReclaimPolicy"),
        ),
        (
            "k8s.storageclass.name",
            text(object, "/spec/storageClassName"),
        ),
    ]);
    let key = "k8s.persistentvolume.status.phase";
    let phases = ["Pending", "Available", "Bound", "Released", "Failed"];
    rows.one_of(key, key, &phases, text(object, "/status/phase"));
    let capacity = object.pointer("/spec/capacity/storage");
    rows.quantity("k8s.persistentvolume.storage.capacity", capacity, false);
}

fn claim(object: &Value, rows: &mut Rows<'_>) {
    rows.resource(&[
        ("k8s.namespace.name", text(object, "/metadata/namespace")),
        ("k8s.persistentvolumeclaim.name", name(object)),
        ("k8s.persistentvolumeclaim.uid", uid(object)),
        (
            "k8s.storageclass.name",
            text(object, "/spec/storageClassName"),
        ),
    ]);
    let key = "k8s.persistentvolumeclaim.status.phase";
    let phases = ["Pending", "Bound", "Lost"];
    rows.one_of(key, key, &phases, text(object, "/status/phase"));
    let request = object.pointer("/spec/resources/requests/storage");
    rows.quantity("k8s.persistentvolumeclaim.storage.request", request, false);
    let capacity = object.pointer("/status/capacity/storage");
    let metric = "k8s.persistentvolumeclaim.storage.capacity";
    rows.quantity(metric, capacity, false);
}

fn deployment(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.deployment.name", "k8s.deployment.uid");
    rows.int("k8s.deployment.desired", int(object, "/spec/replicas"));
    let available = count(object, "/status/availableReplicas");
    rows.int("k8s.deployment.available", available);
}

fn replica_set(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.replicaset.name", "k8s.replicaset.uid");
    rows.int("k8s.replicaset.desired", int(object, "/spec/replicas"));
    let available = count(object, "/status/availableReplicas");
    rows.int("k8s.replicaset.available", available);
}

fn stateful_set(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.statefulset.name", "k8s.statefulset.uid");
    let desired = int(object, "/spec/replicas");
    rows.int("k8s.statefulset.desired_pods", desired);
    for (metric, at) in [
        ("k8s.statefulset.ready_pods", "/status/readyReplicas"),
        ("k8s.statefulset.current_pods", "/status/currentReplicas"),
        ("k8s.statefulset.updated_pods", "/status/updatedReplicas"),
        ("k8s.statefulset.pod.available", "/status/availableReplicas"),
    ] {
        rows.int(metric, count(object, at));
    }
}

fn daemon_set(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.daemonset.name", "k8s.daemonset.uid");
    for (metric, at) in [
        (
            "k8s.daemonset.current_scheduled_nodes",
            "/status/currentNumberScheduled",
        ),
        (
            "k8s.daemonset.desired_scheduled_nodes",
            "/status/desiredNumberScheduled",
        ),
        (
            "k8s.daemonset.misscheduled_nodes",
            "/status/numberMisscheduled",
        ),
        ("k8s.daemonset.ready_nodes", "/status/numberReady"),
    ] {
        rows.int(metric, count(object, at));
    }
}

fn job(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.job.name", "k8s.job.uid");
    rows.int("k8s.job.active_pods", count(object, "/status/active"));
    rows.int("k8s.job.failed_pods", count(object, "/status/failed"));
    rows.int(
        "k8s.job.successful_pods",
        count(object, "/status/succeeded"),
    );
    let completions = int(object, "/spec/completions");
    rows.int("k8s.job.desired_successful_pods", completions);
    let parallel = int(object, "/spec/parallelism");
    rows.int("k8s.job.max_parallel_pods", parallel);
}

fn cron_job(object: &Value, rows: &mut Rows<'_>) {
    begin(object, rows, "k8s.cronjob.name", "k8s.cronjob.uid");
    let active = list(object, "/status/active").count();
    rows.int("k8s.cronjob.active_jobs", i64::try_from(active).ok());
}

fn autoscaler(object: &Value, rows: &mut Rows<'_>) {
    rows.resource(&[
        ("k8s.namespace.name", text(object, "/metadata/namespace")),
        ("k8s.hpa.name", name(object)),
        ("k8s.hpa.uid", uid(object)),
        (
            "k8s.hpa.scaletargetref.apiversion",
            text(object, "/spec/scaleTargetRef/apiVersion"),
        ),
        (
            "k8s.hpa.scaletargetref.kind",
            text(object, "/spec/scaleTargetRef/kind"),
        ),
        (
            "k8s.hpa.scaletargetref.name",
            text(object, "/spec/scaleTargetRef/name"),
        ),
    ]);
    rows.int("k8s.hpa.max_replicas", int(object, "/spec/maxReplicas"));
    let least = int(object, "/spec/minReplicas").unwrap_or(1);
    rows.int("k8s.hpa.min_replicas", Some(least));
    let current = count(object, "/status/currentReplicas");
    rows.int("k8s.hpa.current_replicas", current);
    let desired = count(object, "/status/desiredReplicas");
    rows.int("k8s.hpa.desired_replicas", desired);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_have_names_and_tags() {
        for (image, parts) in [
            ("nginx", ("nginx", "latest")),
            ("nginx:1.27", ("nginx", "1.27")),
            ("r:5000/a/b", ("r:5000/a/b", "latest")),
            ("r:5000/a/b:2@sha256:00", ("r:5000/a/b", "2")),
            ("a@sha256:00", ("a", "")),
            ("", ("", "")),
        ] {
            assert_eq!(image_parts(image), parts, "{image}");
        }
    }

    #[test]
    fn fractions_of_a_byte_are_a_byte_and_thousandths_are_exact() {
        for thousandths in 0..5000 {
            let value = parse_quantity(&format!("{thousandths}m")).unwrap();
            assert_eq!(whole(value * 1000.0), thousandths);
        }
        assert_eq!((whole(0.5), whole(1e300)), (1, i64::MAX));
    }

    #[test]
    fn every_metric_belongs_to_a_kind() {
        for one in crate::metrics::ALL {
            let mut all = KINDS.iter().flat_map(|kind| kind.prefixes);
            assert!(
                all.any(|prefix| one.name.starts_with(prefix)),
                "{}",
                one.name
            );
        }
    }

    proptest! {
        #[test]
        fn any_object_becomes_rows(spec in "[\\[\\]{}\":,a-z0-9]{0,60}", status in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let text = format!(r#"{{"metadata":{{"name":"a","uid":1}},"spec":{spec},"status":{status}}}"#);
            if let Ok(object) = serde_json::from_str::<Value>(&text) {
                let chosen = Chosen::new(&Config::default());
                for kind in &KINDS {
                    drop(kind.rows(&object, &chosen));
                }
            }
        }
    }
}
