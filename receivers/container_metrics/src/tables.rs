//! The families of a container: name, type, description and where the value comes from. What a
//! group does not count has no sample.

use corten_host::cgroup::{Cpu, Group, Memory, MoreMemory, Pressure, Throttling};
use corten_host::families::Kind;
use corten_host::float;

/// The value of a family for one group.
pub(crate) type Value = fn(&Group<'_>) -> Option<f64>;

/// A family with one sample for each group.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) value: Value,
}

const fn counter(name: &'static str, help: &'static str, value: Value) -> Row {
    Row {
        name,
        kind: Kind::Counter,
        help,
        value,
    }
}

const fn gauge(name: &'static str, help: &'static str, value: Value) -> Row {
    Row {
        name,
        kind: Kind::Gauge,
        help,
        value,
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

fn cpu(group: &Group<'_>, of: fn(&Cpu) -> f64) -> Option<f64> {
    group.cpu.as_ref().map(of)
}

/// Only groups with a quota can be throttled.
fn throttling(group: &Group<'_>, of: fn(&Throttling) -> f64) -> Option<f64> {
    group.cpu_spec.as_ref()?.quota?;
    group.cpu.as_ref()?.throttling.as_ref().map(of)
}

fn memory(group: &Group<'_>, of: fn(&Memory) -> u64) -> Option<f64> {
    group.memory.as_ref().map(|memory| float(of(memory)))
}

fn more(group: &Group<'_>, of: fn(&MoreMemory) -> u64) -> Option<f64> {
    let more = group.memory.as_ref()?.more.as_ref()?;
    Some(float(of(more)))
}

/// CPU time. (`container_cpu_usage_seconds_total` has a label of its own and is written apart.)
pub(crate) const CPU: &[Row] = &[
    counter(
        "container_cpu_user_seconds_total",
        "CPU time that each container has spent in user mode, in seconds.",
        |group| cpu(group, |cpu| seconds(cpu.user)),
    ),
    counter(
        "container_cpu_system_seconds_total",
        "CPU time that each container has spent in kernel mode, in seconds.",
        |group| cpu(group, |cpu| seconds(cpu.system)),
    ),
    counter(
        "container_cpu_cfs_periods_total",
        "Periods for which each container's CPU quota was enforced.",
        |group| throttling(group, |throttling| float(throttling.periods)),
    ),
    counter(
        "container_cpu_cfs_throttled_periods_total",
        "Periods in which each container had used up its CPU quota.",
        |group| throttling(group, |throttling| float(throttling.throttled_periods)),
    ),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Time that each container was held back by its CPU quota, in seconds.",
        |group| throttling(group, |throttling| seconds(throttling.throttled)),
    ),
    counter(
        "container_cpu_cfs_burst_periods_total",
        "Periods in which each container used more than its CPU quota from what it had saved.",
        |group| throttling(group, |throttling| float(throttling.bursts)),
    ),
    counter(
        "container_cpu_cfs_burst_seconds_total",
        "CPU time that each container has used above its quota, in seconds.",
        |group| throttling(group, |throttling| seconds(throttling.burst)),
    ),
];

/// Memory. (`container_memory_failures_total` has labels of its own and is written apart.)
pub(crate) const MEMORY: &[Row] = &[
    gauge(
        "container_memory_usage_bytes",
        "Memory charged to each container, page cache included.",
        |group| memory(group, |memory| memory.usage),
    ),
    gauge(
        "container_memory_working_set_bytes",
        "Memory of each container that cannot be taken back without paging.",
        |group| memory(group, Memory::working_set),
    ),
    gauge(
        "container_memory_rss",
        "Memory of each container's processes that no file backs.",
        |group| memory(group, |memory| memory.rss),
    ),
    gauge(
        "container_memory_cache",
        "Page cache charged to each container.",
        |group| memory(group, |memory| memory.cache),
    ),
    gauge(
        "container_memory_swap",
        "Memory of each container that is paged out.",
        |group| memory(group, |memory| memory.swap),
    ),
    gauge(
        "container_memory_mapped_file",
        "Files that each container's processes have mapped into memory.",
        |group| memory(group, |memory| memory.mapped_file),
    ),
    gauge(
        "container_memory_kernel_usage",
        "Kernel memory charged to each container, where it is counted apart.",
        |group| memory(group, |memory| memory.kernel),
    ),
    gauge(
        "container_memory_max_usage_bytes",
        "The most memory that each container has ever used.",
        |group| memory(group, |memory| memory.max_usage.unwrap_or(0)),
    ),
    gauge(
        "container_memory_total_active_file_bytes",
        "Page cache of each container in recent use.",
        |group| memory(group, |memory| memory.active_file),
    ),
    gauge(
        "container_memory_total_inactive_file_bytes",
        "Page cache of each container that could be dropped at once.",
        |group| memory(group, |memory| memory.inactive_file),
    ),
    counter(
        "container_memory_failcnt",
        "Times that each container hit its memory limit, where they are counted.",
        |group| memory(group, |memory| memory.failures),
    ),
    counter(
        "container_memory_events_high_total",
        "Times that each container was slowed down for being above memory.high.",
        |group| more(group, |more| more.high_events),
    ),
    counter(
        "container_memory_events_max_total",
        "Times that each container was about to pass memory.max.",
        |group| more(group, |more| more.max_events),
    ),
    gauge(
        "container_memory_file_dirty_bytes",
        "Page cache of each container that is not written yet.",
        |group| more(group, |more| more.file_dirty),
    ),
    gauge(
        "container_memory_file_writeback_bytes",
        "Page cache of each container that is being written.",
        |group| more(group, |more| more.file_writeback),
    ),
    counter(
        "container_memory_pgscan_total",
        "Pages of each container that reclaim has looked at.",
        |group| more(group, |more| more.scanned),
    ),
    counter(
        "container_memory_pgsteal_total",
        "Pages of each container that reclaim has taken.",
        |group| more(group, |more| more.stolen),
    ),
    counter(
        "container_memory_workingset_refault_file_total",
        "Pages of files that were taken from each container and soon wanted again.",
        |group| more(group, |more| more.refaults_file),
    ),
    counter(
        "container_memory_workingset_refault_anon_total",
        "Pages of processes that were taken from each container and soon wanted again.",
        |group| more(group, |more| more.refaults_anon),
    ),
];

/// What each container may use. A memory limit of 0 means that there is none.
pub(crate) const SPEC: &[Row] = &[
    gauge(
        "container_spec_cpu_period",
        "Period for which each container's CPU quota is enforced, in microseconds.",
        |group| Some(float(group.cpu_spec.as_ref()?.period)),
    ),
    gauge(
        "container_spec_cpu_quota",
        "CPU time that each container may use in a period, in microseconds.",
        |group| Some(float(group.cpu_spec.as_ref()?.quota?)),
    ),
    gauge(
        "container_spec_cpu_shares",
        "Each container's share of the CPUs against its siblings.",
        |group| Some(float(group.cpu_spec.as_ref()?.shares)),
    ),
    gauge(
        "container_spec_memory_limit_bytes",
        "Memory that each container may use, 0 without a limit.",
        |group| Some(float(group.memory_spec.as_ref()?.limit.unwrap_or(0))),
    ),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "Memory of each container that may be paged out, 0 without a limit.",
        |group| Some(float(group.memory_spec.as_ref()?.swap_limit.unwrap_or(0))),
    ),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory that is kept for each container under pressure, 0 without any.",
        |group| Some(float(group.memory_spec.as_ref()?.reservation.unwrap_or(0))),
    ),
];

fn stalled(pressure: Option<Pressure>) -> Option<f64> {
    Some(float(pressure?.full?) / 1e6)
}

fn waited(pressure: Option<Pressure>) -> Option<f64> {
    Some(float(pressure?.some) / 1e6)
}

/// Time spent waiting for what was short.
pub(crate) const PRESSURE: &[Row] = &[
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Time in which all of each container's processes waited for a CPU, in seconds.",
        |group| stalled(group.cpu_pressure),
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which some of each container's processes waited for a CPU, in seconds.",
        |group| waited(group.cpu_pressure),
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Time in which all of each container's processes waited for memory, in seconds.",
        |group| stalled(group.memory_pressure),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time in which some of each container's processes waited for memory, in seconds.",
        |group| waited(group.memory_pressure),
    ),
    counter(
        "container_pressure_io_stalled_seconds_total",
        "Time in which all of each container's processes waited for input or output, in seconds.",
        |group| stalled(group.io_pressure),
    ),
    counter(
        "container_pressure_io_waiting_seconds_total",
        "Time in which some of each container's processes waited for input or output, in seconds.",
        |group| waited(group.io_pressure),
    ),
];

/// Processes and threads. (Descriptors and limits are no matter of control groups.)
pub(crate) const PROCESS: &[Row] = &[
    gauge(
        "container_processes",
        "Processes of each container.",
        |group| Some(float(u64::try_from(group.processes.as_ref()?.len()).ok()?)),
    ),
    gauge("container_threads", "Threads of each container.", |group| {
        Some(float(group.pids?.current))
    }),
    gauge(
        "container_threads_max",
        "Threads that each container may have, 0 without a limit.",
        |group| Some(float(group.pids?.limit)),
    ),
];

/// Kills because memory ran out, as the kernel counts them.
pub(crate) const OOM: &[Row] = &[counter(
    "container_oom_events_total",
    "Processes of each container that were killed because memory ran out.",
    |group| group.oom_kills.map(float),
)];

/// What version 1 says of memory nodes.
pub(crate) const CPUSET: &[Row] = &[gauge(
    "container_memory_migrate",
    "Whether each container's memory moves along when its nodes change.",
    |group| group.memory_migrate.map(float),
)];

/// Load. cAdvisor shows zeros here unless it is told to ask the kernel over taskstats, which the
/// kubelet never does.
pub(crate) const LOAD: &[Row] = &[
    gauge(
        "container_cpu_load_average_10s",
        "Always 0, as with the kubelet: the load of containers is not sampled.",
        |_| Some(0.0),
    ),
    gauge(
        "container_cpu_load_d_average_10s",
        "Always 0, as with the kubelet: the load of containers is not sampled.",
        |_| Some(0.0),
    ),
];
