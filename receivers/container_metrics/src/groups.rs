//! Groups of metrics, switched on and off as those of cAdvisor.

use corten_host::cgroup::Wanted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group of metrics, as `--enable_metrics` and `--disable_metrics` of cAdvisor name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum MetricGroup {
    /// Not known here; accepted.
    #[serde(rename = "accelerator")]
    Accelerator,
    /// Not known here; accepted.
    #[serde(rename = "advtcp")]
    AdvancedTcp,
    /// Applications' own metrics: not known here; accepted.
    #[serde(rename = "app")]
    App,
    /// CPU time and throttling.
    #[serde(rename = "cpu")]
    Cpu,
    /// The load averages and `container_tasks_state`.
    #[serde(rename = "cpuLoad")]
    CpuLoad,
    /// Not known here; accepted.
    #[serde(rename = "cpu_topology")]
    CpuTopology,
    /// `container_memory_migrate`.
    #[serde(rename = "cpuset")]
    Cpuset,
    /// Size and use of file systems.
    #[serde(rename = "disk")]
    Disk,
    /// Input and output of block devices.
    #[serde(rename = "diskIO")]
    DiskIo,
    /// Huge pages.
    #[serde(rename = "hugetlb")]
    Hugetlb,
    /// Memory.
    #[serde(rename = "memory")]
    Memory,
    /// Pages on each NUMA node.
    #[serde(rename = "memory_numa")]
    MemoryNuma,
    /// Network interfaces.
    #[serde(rename = "network")]
    Network,
    /// Kills because memory ran out.
    #[serde(rename = "oom_event")]
    OomEvent,
    /// CPU time of each CPU, where control groups of version 1 count it.
    #[serde(rename = "percpu")]
    PerCpu,
    /// Not known here; accepted.
    #[serde(rename = "perf_event")]
    PerfEvent,
    /// Pressure: time spent waiting.
    #[serde(rename = "pressure")]
    Pressure,
    /// Processes, threads, descriptors, sockets and limits.
    #[serde(rename = "process")]
    Process,
    /// Not known here; accepted.
    #[serde(rename = "referenced_memory")]
    ReferencedMemory,
    /// Not known here; accepted.
    #[serde(rename = "resctrl")]
    Resctrl,
    /// Not known here; accepted.
    #[serde(rename = "sched")]
    Sched,
    /// TCP connections by state.
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP sockets.
    #[serde(rename = "udp")]
    Udp,
}

/// All of them.
const ALL: [MetricGroup; 23] = [
    MetricGroup::Accelerator,
    MetricGroup::AdvancedTcp,
    MetricGroup::App,
    MetricGroup::Cpu,
    MetricGroup::CpuLoad,
    MetricGroup::CpuTopology,
    MetricGroup::Cpuset,
    MetricGroup::Disk,
    MetricGroup::DiskIo,
    MetricGroup::Hugetlb,
    MetricGroup::Memory,
    MetricGroup::MemoryNuma,
    MetricGroup::Network,
    MetricGroup::OomEvent,
    MetricGroup::PerCpu,
    MetricGroup::PerfEvent,
    MetricGroup::Pressure,
    MetricGroup::Process,
    MetricGroup::ReferencedMemory,
    MetricGroup::Resctrl,
    MetricGroup::Sched,
    MetricGroup::Tcp,
    MetricGroup::Udp,
];

/// What the kubelet has on.
const KUBELET: [MetricGroup; 9] = [
    MetricGroup::Cpu,
    MetricGroup::CpuLoad,
    MetricGroup::Disk,
    MetricGroup::DiskIo,
    MetricGroup::Memory,
    MetricGroup::Network,
    MetricGroup::OomEvent,
    MetricGroup::Pressure,
    MetricGroup::Process,
];

/// The groups that are on.
#[derive(Clone, Debug)]
pub(crate) struct Enabled(Vec<MetricGroup>);

impl Enabled {
    /// `enable` alone when it names any; else all but `disable`; the kubelet's when neither does.
    pub(crate) fn new(enable: &[MetricGroup], disable: Option<&[MetricGroup]>) -> Self {
        if !enable.is_empty() {
            return Self(enable.to_vec());
        }
        match disable {
            None => Self(KUBELET.to_vec()),
            Some(disable) => Self(
                ALL.into_iter()
                    .filter(|group| !disable.contains(group))
                    .collect(),
            ),
        }
    }

    pub(crate) fn has(&self, group: MetricGroup) -> bool {
        self.0.contains(&group)
    }

    /// What these need of control groups.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            cpu: self.has(MetricGroup::Cpu),
            per_cpu: self.has(MetricGroup::PerCpu),
            spec: true,
            memory: self.has(MetricGroup::Memory),
            numa: self.has(MetricGroup::MemoryNuma),
            oom_kills: self.has(MetricGroup::OomEvent),
            io: self.has(MetricGroup::DiskIo),
            // The network of a container is that of its first process.
            processes: [
                MetricGroup::Process,
                MetricGroup::Network,
                MetricGroup::Tcp,
                MetricGroup::Udp,
            ]
            .into_iter()
            .any(|group| self.has(group)),
            pressure: self.has(MetricGroup::Pressure),
            huge_pages: self.has(MetricGroup::Hugetlb),
            cpuset: self.has(MetricGroup::Cpuset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enable_wins_and_disable_leaves_the_rest() {
        let kubelet = Enabled::new(&[], None);
        assert!(kubelet.has(MetricGroup::Process) && !kubelet.has(MetricGroup::Tcp));
        let only = Enabled::new(&[MetricGroup::Cpu], Some(&[MetricGroup::Cpu]));
        assert!(only.has(MetricGroup::Cpu) && !only.has(MetricGroup::Memory));
        let rest = Enabled::new(&[], Some(&[MetricGroup::Cpu]));
        assert!(!rest.has(MetricGroup::Cpu) && rest.has(MetricGroup::Tcp));
        assert!(!only.wanted().memory && rest.wanted().memory);
    }
}
