//! From what the kubelet says to metrics.

use std::collections::{HashMap, HashSet};

use corten_component::CollectRequest;
use corten_pdata::Metrics;
use corten_pdata::build::MetricsBuilder;

use crate::claims::{Attributes, Claim};
use crate::config::{Config, Group, Label};
use crate::emit::{Emit, Number, Wanted};
use crate::pods::{self, Bounds, Pods, Resources};
use crate::summary::{self, Container, Cpu, Fs, Interface, Memory, Network, Pod, Summary};

/// What a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Capacity {
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<f64>,
}

/// What is known beside the statistics.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) pods: Pods,
    pub(crate) capacity: Capacity,
    pub(crate) claims: HashMap<Claim, Attributes>,
}

/// The names of the metrics of one kind of thing.
struct Names {
    cpu_time: &'static str,
    cpu_usage: &'static str,
    cpu_of_limit: &'static str,
    cpu_of_request: &'static str,
    cpu_of_node: &'static str,
    memory_available: &'static str,
    memory_usage: &'static str,
    memory_rss: &'static str,
    memory_working_set: &'static str,
    memory_page_faults: &'static str,
    memory_major_page_faults: &'static str,
    memory_of_limit: &'static str,
    memory_of_request: &'static str,
    memory_of_node: &'static str,
    fs_available: &'static str,
    fs_capacity: &'static str,
    fs_usage: &'static str,
    network_io: &'static str,
    network_errors: &'static str,
    uptime: &'static str,
}

macro_rules! names {
    ($prefix:literal, $k8s:literal) => {
        Names {
            cpu_time: concat!($prefix, ".cpu.time"),
            cpu_usage: concat!($prefix, ".cpu.usage"),
            cpu_of_limit: concat!($k8s, ".cpu_limit_utilization"),
            cpu_of_request: concat!($k8s, ".cpu_request_utilization"),
            cpu_of_node: concat!($k8s, ".cpu.node.utilization"),
            memory_available: concat!($prefix, ".memory.available"),
            memory_usage: concat!($prefix, ".memory.usage"),
            memory_rss: concat!($prefix, ".memory.rss"),
            memory_working_set: concat!($prefix, ".memory.working_set"),
            memory_page_faults: concat!($prefix, ".memory.page_faults"),
            memory_major_page_faults: concat!($prefix, ".memory.major_page_faults"),
            memory_of_limit: concat!($k8s, ".memory_limit_utilization"),
            memory_of_request: concat!($k8s, ".memory_request_utilization"),
            memory_of_node: concat!($k8s, ".memory.node.utilization"),
            fs_available: concat!($prefix, ".filesystem.available"),
            fs_capacity: concat!($prefix, ".filesystem.capacity"),
            fs_usage: concat!($prefix, ".filesystem.usage"),
            network_io: concat!($prefix, ".network.io"),
            network_errors: concat!($prefix, ".network.errors"),
            uptime: concat!($prefix, ".uptime"),
        }
    };
}

const NODE: Names = names!("k8s.node", "k8s.node");
const POD: Names = names!("k8s.pod", "k8s.pod");
const CONTAINER: Names = names!("container", "k8s.container");
const SYSTEM: Names = names!("k8s.node.system_container", "k8s.node.system_container");

/// Writes what is wanted of a summary.
pub(crate) fn report(
    summary: &Summary,
    known: &Known,
    config: &Config,
    wanted: &Wanted,
    request: &CollectRequest,
    now: u64,
    expected: usize,
) -> Metrics {
    let mut builder = MetricsBuilder::with_capacity(expected);
    let mut report = Report {
        emit: Emit::new(&mut builder, wanted, now),
        known,
        config,
    };
    let on = |group: Group| config.metric_groups.contains(&group) && request.wants(group.name());
    if on(Group::Node) {
        report.node(summary);
    }
    for pod in summary.pods.iter().flatten() {
        if on(Group::Pod) {
            report.pod(pod);
        }
        if on(Group::Container) {
            report.containers(pod);
        }
        if on(Group::Volume) {
            report.volumes(pod);
        }
    }
    builder.finish()
}

/// The claims of all pods.
pub(crate) fn claims(summary: &Summary) -> HashSet<Claim> {
    let pods = summary.pods.iter().flatten();
    let volumes = pods.flat_map(|pod| pod.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| volume.pvc_ref.as_ref());
    claims
        .map(|claim| (claim.namespace.clone(), claim.name.clone()))
        .collect()
}

struct Report<'a> {
    emit: Emit<'a>,
    known: &'a Known,
    config: &'a Config,
}

impl<'a> Report<'a> {
    fn node(&mut self, summary: &'a Summary) {
        let node = &summary.node;
        let start = summary::nanos(node.start_time.as_deref());
        let name = ("k8s.node.name", node.node_name.as_str());
        self.emit.resource(start, &[name]);
        self.cpu(&NODE, node.cpu.as_ref(), Bounds::default());
        self.memory(&NODE, node.memory.as_ref(), Bounds::default());
        self.fs(&NODE, node.fs.as_ref());
        let fs = node.fs.as_ref();
        let (inodes, free) = (
            fs.and_then(|fs| fs.inodes),
            fs.and_then(|fs| fs.inodes_free),
        );
        self.emit.value("k8s.node.filesystem.inode.count", inodes);
        self.emit.value("k8s.node.filesystem.inode.free", free);
        if let Some(tasks) = &node.rlimit {
            self.emit.value("k8s.node.pid.limit", tasks.maxpid);
            self.emit.value("k8s.node.pid.usage", tasks.curproc);
        }
        let all = self.config.collect_all_network_interfaces.node;
        self.network(&NODE, node.network.as_ref(), all);
        self.uptime(&NODE);
        for system in node.system_containers.iter().flatten() {
            let start = summary::nanos(system.start_time.as_deref());
            let its_name = ("k8s.node.system_container.name", system.name.as_str());
            self.emit.resource(start, &[name, its_name]);
            self.cpu(&SYSTEM, system.cpu.as_ref(), Bounds::default());
            self.memory(&SYSTEM, system.memory.as_ref(), Bounds::default());
        }
    }

    fn pod(&mut self, pod: &'a Pod) {
        let start = summary::nanos(pod.start_time.as_deref());
        self.emit.resource(start, &identity(pod));
        let known = self.known.pods.get(&pod.pod_ref.uid);
        let bounds = known.map(|pod| pod.resources).unwrap_or_default();
        self.cpu(&POD, pod.cpu.as_ref(), bounds.cpu);
        self.memory(&POD, pod.memory.as_ref(), bounds.memory);
        self.fs(&POD, pod.ephemeral_storage.as_ref());
        let all = self.config.collect_all_network_interfaces.pod;
        self.network(&POD, pod.network.as_ref(), all);
        self.uptime(&POD);
    }

    fn containers(&mut self, pod: &'a Pod) {
        let known = self.known.pods.get(&pod.pod_ref.uid);
        let wants_id = self
            .config
            .extra_metadata_labels
            .contains(&Label::ContainerId);
        for container in pod.containers.iter().flatten() {
            let known = known.and_then(|pod| pod.containers.get(&container.name));
            let id = match known {
                Some(known) if wants_id => known.id.as_str(),
                _ => "",
            };
            self.container(pod, container, id, known);
        }
    }

    fn container(
        &mut self,
        pod: &'a Pod,
        container: &'a Container,
        id: &'a str,
        known: Option<&pods::Container>,
    ) {
        let [uid, name, namespace] = identity(pod);
        let start = summary::nanos(container.start_time.as_deref());
        let its_name = ("k8s.container.name", container.name.as_str());
        let attributes = [uid, name, namespace, its_name, ("container.id", id)];
        self.emit.resource(start, &attributes);
        let Resources { cpu, memory } = known.map(|known| known.resources).unwrap_or_default();
        self.cpu(&CONTAINER, container.cpu.as_ref(), cpu);
        self.memory(&CONTAINER, container.memory.as_ref(), memory);
        self.fs(&CONTAINER, container.rootfs.as_ref());
        let parts = [("rootfs", &container.rootfs), ("logs", &container.logs)];
        let parts = parts.map(|(name, fs)| ([("fs.type", name)], fs));
        let points = parts.iter().filter_map(|(attributes, fs)| {
            let used = fs.as_ref()?.used_bytes?;
            Some((&attributes[..], Number::from(used)))
        });
        self.emit
            .points("k8s.container.ephemeral_storage.usage", points);
        self.uptime(&CONTAINER);
    }

    fn volumes(&mut self, pod: &'a Pod) {
        let known = self.known.pods.get(&pod.pod_ref.uid);
        for volume in pod.volumes.iter().flatten() {
            let mut attributes = identity(pod).to_vec();
            attributes.push(("k8s.volume.name", volume.name.as_str()));
            if let Some(claim) = &volume.pvc_ref {
                attributes.push(("k8s.persistentvolumeclaim.name", claim.name.as_str()));
            }
            let known = known
                .filter(|_| {
                    self.config
                        .extra_metadata_labels
                        .contains(&Label::VolumeType)
                })
                .and_then(|pod| pod.volumes.get(&volume.name));
            // What is behind a claim says more than that it is one.
            let claim = volume.pvc_ref.as_ref().and_then(|claim| {
                let claim = (claim.namespace.clone(), claim.name.clone());
                self.known.claims.get(&claim).filter(|all| !all.is_empty())
            });
            let known = claim.or(known);
            for (name, value) in known.into_iter().flatten() {
                attributes.push((name, value));
            }
            self.emit.resource(0, &attributes);
            let Fs {
                available_bytes,
                capacity_bytes,
                used_bytes,
                inodes_free,
                inodes,
                inodes_used,
            } = volume.fs;
            self.emit.value("k8s.volume.available", available_bytes);
            self.emit.value("k8s.volume.capacity", capacity_bytes);
            self.emit.value("k8s.pod.volume.usage", used_bytes);
            self.emit.value("k8s.volume.inodes", inodes);
            self.emit.value("k8s.volume.inodes.free", inodes_free);
            self.emit.value("k8s.volume.inodes.used", inodes_used);
        }
    }

    fn cpu(&mut self, names: &Names, cpu: Option<&Cpu>, bounds: Bounds) {
        let Some(cpu) = cpu else {
            return;
        };
        let usage = cpu.usage_nano_cores.map(billionths);
        let time = cpu.usage_core_nano_seconds.map(billionths);
        self.emit.value(names.cpu_time, time);
        self.emit.value(names.cpu_usage, usage);
        self.emit
            .value(names.cpu_of_limit, ratio(usage, bounds.limit));
        self.emit
            .value(names.cpu_of_request, ratio(usage, bounds.request));
        let capacity = self.known.capacity.cpu;
        self.emit.value(names.cpu_of_node, ratio(usage, capacity));
    }

    fn memory(&mut self, names: &Names, memory: Option<&Memory>, bounds: Bounds) {
        let Some(memory) = memory else {
            return;
        };
        let emit = &mut self.emit;
        emit.value(names.memory_available, memory.available_bytes);
        emit.value(names.memory_usage, memory.usage_bytes);
        emit.value(names.memory_rss, memory.rss_bytes);
        emit.value(names.memory_working_set, memory.working_set_bytes);
        emit.value(names.memory_page_faults, memory.page_faults);
        emit.value(names.memory_major_page_faults, memory.major_page_faults);
        let usage = memory.usage_bytes.map(float);
        emit.value(names.memory_of_limit, ratio(usage, bounds.limit));
        emit.value(names.memory_of_request, ratio(usage, bounds.request));
        let capacity = self.known.capacity.memory;
        emit.value(names.memory_of_node, ratio(usage, capacity));
    }

    fn fs(&mut self, names: &Names, fs: Option<&Fs>) {
        if let Some(fs) = fs {
            self.emit.value(names.fs_available, fs.available_bytes);
            self.emit.value(names.fs_capacity, fs.capacity_bytes);
            self.emit.value(names.fs_usage, fs.used_bytes);
        }
    }

    fn network(&mut self, names: &Names, network: Option<&Network>, all: bool) {
        let Some(network) = network else {
            return;
        };
        let interfaces: Vec<&Interface> = match &network.interfaces {
            Some(interfaces) if all && !interfaces.is_empty() => interfaces.iter().collect(),
            _ => vec![&network.default],
        };
        let io = |of: &Interface| (of.rx_bytes, of.tx_bytes);
        self.traffic(names.network_io, &interfaces, io);
        let errors = |of: &Interface| (of.rx_errors, of.tx_errors);
        self.traffic(names.network_errors, &interfaces, errors);
    }

    fn traffic(
        &mut self,
        name: &str,
        interfaces: &[&Interface],
        of: impl Fn(&Interface) -> (Option<u64>, Option<u64>),
    ) {
        let attributes: Vec<_> = interfaces
            .iter()
            .map(|interface| {
                ["receive", "transmit"].map(|direction| {
                    [
                        ("interface", interface.name.as_str()),
                        ("direction", direction),
                    ]
                })
            })
            .collect();
        let points = interfaces
            .iter()
            .zip(&attributes)
            .flat_map(|(interface, [receive, transmit])| {
                let (received, transmitted) = of(interface);
                [(receive, received), (transmit, transmitted)]
            })
            .filter_map(|(attributes, value)| Some((&attributes[..], Number::from(value?))));
        self.emit.points(name, points);
    }

    fn uptime(&mut self, names: &Names) {
        let uptime = self.emit.uptime();
        self.emit.value(names.uptime, uptime);
    }
}

fn identity(pod: &Pod) -> [(&'static str, &str); 3] {
    [
        ("k8s.pod.uid", pod.pod_ref.uid.as_str()),
        ("k8s.pod.name", pod.pod_ref.name.as_str()),
        ("k8s.namespace.name", pod.pod_ref.namespace.as_str()),
    ]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio or a number of seconds needs no more than 53 bits"
)]
fn float(value: u64) -> f64 {
    value as f64
}

fn billionths(value: u64) -> f64 {
    float(value) / 1e9
}

fn ratio(value: Option<f64>, of: Option<f64>) -> Option<f64> {
    let of = of.filter(|of| *of > 0.0)?;
    Some(value? / of)
}
