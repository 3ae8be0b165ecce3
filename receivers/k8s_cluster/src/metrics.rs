//! What each metric is: this table holds names, units and defaults, and nothing else does.

use std::collections::HashMap;

use crate::config::Config;

/// What a metric's points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A present value.
    Gauge,
    /// A present amount that can be added up.
    UpDown,
}

/// One metric.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) shape: Shape,
    /// Whether it is reported unless the user says otherwise.
    pub(crate) on: bool,
}

macro_rules! metrics {
    ($($shape:ident $on:literal $name:literal $unit:literal $description:literal)*) => {
        /// Every metric whose name does not depend on settings.
        pub(crate) const ALL: &[Definition] = &[$(Definition {
            name: $name,
            unit: $unit,
            description: $description,
            shape: Shape::$shape,
            on: $on,
        }),*];
    };
}

metrics! {
    Gauge true "k8s.container.cpu_limit" "{cpu}" "CPUs that the container may use"
    Gauge true "k8s.container.cpu_request" "{cpu}" "CPUs that the container was promised"
    Gauge true "k8s.container.ephemeralstorage_limit" "By" "Ephemeral storage that the container may use"
    Gauge true "k8s.container.ephemeralstorage_request" "By" "Ephemeral storage that the container was promised"
    Gauge true "k8s.container.memory_limit" "By" "Memory that the container may use"
    Gauge true "k8s.container.memory_request" "By" "Memory that the container was promised"
    Gauge true "k8s.container.ready" "" "Whether the container passes its readiness probe: 1 or 0"
    Gauge true "k8s.container.restarts" "{restart}" "How often the container was started again"
    UpDown false "k8s.container.status.reason" "{container}" "Whether the container is in its state for this reason: 1 or 0"
    UpDown false "k8s.container.status.state" "{container}" "Whether the container is in this state: 1 or 0"
    Gauge true "k8s.container.storage_limit" "By" "Storage that the container may use"
    Gauge true "k8s.container.storage_request" "By" "Storage that the container was promised"
    Gauge true "k8s.cronjob.active_jobs" "{job}" "Jobs of the cron job that run"
    Gauge true "k8s.daemonset.current_scheduled_nodes" "{node}" "Nodes that run the daemon and should"
    Gauge true "k8s.daemonset.desired_scheduled_nodes" "{node}" "Nodes that should run the daemon"
    Gauge true "k8s.daemonset.misscheduled_nodes" "{node}" "Nodes that run the daemon and should not"
    Gauge true "k8s.daemonset.ready_nodes" "{node}" "Nodes that should run the daemon and have it ready"
    Gauge true "k8s.deployment.available" "{pod}" "Pods of the deployment that are available"
    Gauge true "k8s.deployment.desired" "{pod}" "Pods that the deployment should have"
    Gauge true "k8s.hpa.current_replicas" "{pod}" "Pods that the autoscaler's target has"
    Gauge true "k8s.hpa.desired_replicas" "{pod}" "Pods that the autoscaler wants its target to have"
    Gauge true "k8s.hpa.max_replicas" "{pod}" "Pods that the autoscaler's target may have at most"
    Gauge true "k8s.hpa.min_replicas" "{pod}" "Pods that the autoscaler's target has at least"
    Gauge true "k8s.job.active_pods" "{pod}" "Pods of the job that run"
    Gauge true "k8s.job.desired_successful_pods" "{pod}" "Pods of the job that should succeed"
    Gauge true "k8s.job.failed_pods" "{pod}" "Pods of the job that failed"
    Gauge true "k8s.job.max_parallel_pods" "{pod}" "Pods of the job that may run at once"
    Gauge true "k8s.job.successful_pods" "{pod}" "Pods of the job that succeeded"
    Gauge true "k8s.namespace.phase" "" "Whether the namespace is active (1) or on its way out (0)"
    Gauge false "k8s.node.condition" "{condition}" "A condition of the node: 1 true, 0 false, -1 unknown"
    UpDown false "k8s.persistentvolume.status.phase" "{persistentvolume}" "Whether the volume is in this phase: 1 or 0"
    UpDown false "k8s.persistentvolume.storage.capacity" "By" "Size of the volume"
    UpDown false "k8s.persistentvolumeclaim.status.phase" "{persistentvolumeclaim}" "Whether the claim is in this phase: 1 or 0"
    UpDown false "k8s.persistentvolumeclaim.storage.capacity" "By" "Size of the volume that the claim is bound to"
    UpDown false "k8s.persistentvolumeclaim.storage.request" "By" "Storage that the claim asks for"
    Gauge true "k8s.pod.phase" "" "Phase of the pod: 1 pending, 2 running, 3 succeeded, 4 failed, 5 unknown"
    Gauge false "k8s.pod.status_reason" "" "Why the pod is as it is: 1 evicted, 2 node affinity, 3 node lost, 4 shutdown, 5 unexpected admission error, 6 unknown"
    Gauge true "k8s.replicaset.available" "{pod}" "Pods of the replica set that are available"
    Gauge true "k8s.replicaset.desired" "{pod}" "Pods that the replica set should have"
    Gauge true "k8s.replication_controller.available" "{pod}" "Pods of the replication controller that are available"
    Gauge true "k8s.replication_controller.desired" "{pod}" "Pods that the replication controller should have"
    Gauge true "k8s.resource_quota.hard_limit" "{resource}" "How much of a resource the namespace may use; CPU in thousandths"
    Gauge true "k8s.resource_quota.used" "{resource}" "How much of a resource the namespace uses; CPU in thousandths"
    Gauge false "k8s.service.load_balancer.ingress.count" "{ingress}" "Addresses that the service's load balancer has"
    Gauge true "k8s.statefulset.current_pods" "{pod}" "Pods of the present version of the stateful set"
    Gauge true "k8s.statefulset.desired_pods" "{pod}" "Pods that the stateful set should have"
    UpDown false "k8s.statefulset.pod.available" "{pod}" "Pods of the stateful set that are available"
    Gauge true "k8s.statefulset.ready_pods" "{pod}" "Pods of the stateful set that are ready"
    Gauge true "k8s.statefulset.updated_pods" "{pod}" "Pods of the version that the stateful set should have"
}

/// A metric that is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) description: String,
    pub(crate) shape: Shape,
}

/// The metrics that the user wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    metrics: Vec<Metric>,
    by_name: HashMap<String, usize>,
}

impl Wanted {
    pub(crate) fn new(config: &Config) -> Self {
        let fixed = ALL.iter().filter(|one| config.has_metric(one.name));
        let mut metrics: Vec<Metric> = fixed
            .map(|one| Metric {
                name: one.name.to_owned(),
                unit: one.unit,
                description: one.description.to_owned(),
                shape: one.shape,
            })
            .collect();
        metrics.extend(
            config
                .node_conditions_to_report
                .iter()
                .map(|condition| Metric {
                    name: condition_name(condition),
                    unit: "",
                    description: format!("{condition} of the node: 1 true, 0 false, -1 unknown"),
                    shape: Shape::Gauge,
                }),
        );
        metrics.extend(
            config
                .allocatable_types_to_report
                .iter()
                .map(|kind| Metric {
                    name: allocatable_name(kind),
                    unit: match kind.as_str() {
                        "cpu" => "{cpu}",
                        "pods" => "{pod}",
                        _ => "By",
                    },
                    description: format!("How much {kind} the node has for pods"),
                    shape: Shape::Gauge,
                }),
        );
        let by_name = metrics.iter().enumerate();
        Self {
            by_name: by_name.map(|(at, one)| (one.name.clone(), at)).collect(),
            metrics,
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Metric> {
        self.metrics.get(at)
    }

    /// Whether any metric is wanted whose name begins so.
    pub(crate) fn any(&self, prefixes: &[&str]) -> bool {
        self.metrics
            .iter()
            .any(|one| prefixes.iter().any(|prefix| one.name.starts_with(prefix)))
    }
}

/// `k8s.node.condition_memory_pressure` for `MemoryPressure`.
pub(crate) fn condition_name(condition: &str) -> String {
    let mut name = "k8s.node.condition_".to_owned();
    let letters: Vec<char> = condition.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let small = |letter: Option<&char>| letter.is_some_and(char::is_ascii_lowercase);
        // An abbreviation is one word: `PIDPressure` is `pid_pressure`.
        if letter.is_ascii_uppercase()
            && before.is_some()
            && (small(before) || small(letters.get(at + 1)))
        {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// `k8s.node.allocatable_ephemeral_storage` for `ephemeral-storage`.
pub(crate) fn allocatable_name(kind: &str) -> String {
    format!("k8s.node.allocatable_{}", kind.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn conditions_are_words() {
        for (condition, name) in [
            ("Ready", "ready"),
            ("MemoryPressure", "memory_pressure"),
            ("PIDPressure", "pid_pressure"),
        ] {
            assert_eq!(
                condition_name(condition),
                format!("k8s.node.condition_{name}")
            );
        }
    }
}
