//! One look at all groups, written as families.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use corten_component::CollectRequest;
use corten_host::cgroup::{Cgroups, Group, Wanted};
use corten_host::families::{Families, Kind};
use corten_host::meminfo::Meminfo;
use corten_host::stat::Stat;
use corten_host::{Buffer, HostError, HostFile, Roots, float};
use corten_pdata::Metrics;
use corten_runtimes::Directory;

use crate::config::Config;
use crate::disks::Disks;
use crate::groups::{Enabled, MetricGroup};
use crate::labels::{Extra, Labels};
use crate::machine::Machine;
use crate::network::{self, Link};
use crate::processes::{self, Open};
use crate::short_lived::{Ended, ShortLived};
use crate::tables::{CPU, CPUSET, LOAD, MEMORY, OOM, PRESSURE, PROCESS, Row, SPEC};
use crate::{io, page_sizes};

pub(crate) struct Scraper {
    config: Config,
    roots: Roots,
    enabled: Enabled,
    wanted: Wanted,
    extra: Extra,
    cgroups: Cgroups,
    machine: Machine,
    disks: Disks,
    directory: Arc<Directory>,
    short_lived: Arc<ShortLived>,
    stat_file: HostFile,
    /// When the host booted; read once, since it does not change.
    boot: Option<SystemTime>,
    families: Families,
    buffer: Buffer,
    asked_for: HashSet<String>,
    failing: bool,
}

/// A family's name and description, and its value for something that a container has several of.
pub(crate) type Measure<T> = (&'static str, &'static str, fn(&T) -> u64);

/// A group and what its samples are labelled with.
pub(crate) struct Container<'a> {
    pub(crate) group: Group<'a>,
    labels: &'a Labels,
    base: Vec<(&'a str, &'a str)>,
    /// The first process.
    pid: Option<u32>,
    links: Vec<Link>,
}

impl<'a> Container<'a> {
    /// Puts the labels that every sample has into `labels`, and `more`.
    pub(crate) fn labelled<'l>(
        &'l self,
        labels: &mut Vec<(&'l str, &'l str)>,
        more: &[(&'l str, &'l str)],
    ) where
        'a: 'l,
    {
        labels.clear();
        labels.extend_from_slice(&self.base);
        labels.extend_from_slice(more);
        // The order in which Prometheus's own libraries write them.
        labels.sort_unstable();
    }
}

impl Scraper {
    pub(crate) fn new(
        config: &Config,
        directory: Arc<Directory>,
        short_lived: Arc<ShortLived>,
    ) -> Self {
        let roots = config.roots();
        let enabled = config.enabled();
        Self {
            cgroups: Cgroups::new(&roots.cgroup).with_page_sizes(page_sizes::read(&roots)),
            machine: Machine::new(&roots),
            disks: Disks::new(&roots),
            stat_file: HostFile::new(roots.proc("stat")),
            wanted: enabled.wanted(),
            extra: Extra::new(config),
            directory,
            short_lived,
            config: config.clone(),
            roots,
            enabled,
            boot: None,
            families: Families::new("container_metrics", env!("CARGO_PKG_VERSION")),
            buffer: Buffer::default(),
            asked_for: HashSet::new(),
            failing: false,
        }
    }

    /// The metrics of every group, and of the machine. A part that fails is told by
    /// `container_scrape_error` or `machine_scrape_error`.
    pub(crate) fn scrape(&mut self, request: &CollectRequest) -> Metrics {
        self.families.begin();
        let memory = self.machine.memory();
        let containers = self.containers(request, memory.as_ref().ok());
        error(
            &mut self.families,
            "container_scrape_error",
            "Whether the containers could not be looked at.",
            containers.is_err(),
        );
        let mut result = containers;
        if request.wants("machine") {
            self.machine.version(&mut self.families);
            let machine =
                memory.and_then(|memory| self.machine.update(&mut self.families, &memory));
            error(
                &mut self.families,
                "machine_scrape_error",
                "Whether the machine could not be looked at.",
                machine.is_err(),
            );
            result = result.and(machine);
        }
        // Logged when it begins, not at every look.
        if let Err(error) = &result
            && !self.failing
        {
            tracing::warn!(%error, "looking at the containers failed");
        }
        self.failing = result.is_err();
        self.families.finish()
    }

    fn containers(
        &mut self,
        request: &CollectRequest,
        machine: Option<&Meminfo>,
    ) -> Result<(), HostError> {
        let boot = self.boot();
        let known = self.directory.known();
        let mut groups = self.cgroups.read(&self.wanted)?;
        let ended = self.short_lived.take();
        add_ended(&mut groups, &ended);
        groups.retain(|group| {
            self.config
                .shows(group.id, group.identity().container_id.is_some())
        });
        let all_labels: Vec<Labels> = groups
            .iter()
            .map(|group| Labels::of(group, &known, &self.extra))
            .collect();
        let unknown: HashSet<String> = groups
            .iter()
            .filter_map(|group| group.identity().container_id)
            .filter(|id| !known.containers.contains_key(*id))
            .map(str::to_owned)
            .collect();
        let mut containers: Vec<Container<'_>> = groups
            .into_iter()
            .zip(&all_labels)
            .map(|(group, labels)| Container {
                base: labels.base(group.id),
                pid: first_process(&group, labels),
                group,
                labels,
                links: Vec::new(),
            })
            .collect();
        for Container { group, .. } in &mut containers {
            group.created = group.created.map(|created| created.max(boot));
            // Nothing limits the root but the machine itself.
            if let (true, Some(machine)) = (group.is_root(), machine) {
                let spec = group.memory_spec.get_or_insert_default();
                spec.limit = Some(machine.total);
                spec.swap_limit = Some(machine.swap_total);
                if let Some(memory) = &mut group.memory
                    && memory.more.is_some()
                {
                    // Version 2's root has no file for it.
                    memory.swap = machine.swap_total.saturating_sub(machine.swap_free);
                }
            }
        }
        Self::write(
            request,
            &mut containers,
            &self.enabled,
            &self.roots,
            &mut self.disks,
            &mut self.buffer,
            &mut self.families,
        );
        drop(containers);
        self.ask_for_unknown(unknown);
        Ok(())
    }

    fn write(
        request: &CollectRequest,
        containers: &mut [Container<'_>],
        enabled: &Enabled,
        roots: &Roots,
        disks: &mut Disks,
        buffer: &mut Buffer,
        families: &mut Families,
    ) {
        let has = |group, name| enabled.has(group) && request.wants(name);
        if has(MetricGroup::Network, "network") {
            for container in &mut *containers {
                if let Some(pid) = network_of(container, roots, buffer) {
                    container.links = network::links(roots, pid, buffer);
                }
            }
        }
        let containers = &*containers;
        if request.wants("spec") {
            times(families, containers);
            table(families, SPEC, containers);
        }
        if has(MetricGroup::Cpu, "cpu") {
            usage(families, containers);
            table(families, CPU, containers);
        }
        if has(MetricGroup::CpuLoad, "cpuLoad") {
            table(families, LOAD, containers);
            tasks(families, containers);
        }
        if has(MetricGroup::Memory, "memory") {
            table(families, MEMORY, containers);
            failures(families, containers);
        }
        if has(MetricGroup::MemoryNuma, "memory_numa") {
            numa(families, containers);
        }
        if has(MetricGroup::OomEvent, "oom_event") {
            table(families, OOM, containers);
        }
        if has(MetricGroup::Network, "network") {
            links(families, containers);
        }
        let disk = has(MetricGroup::Disk, "disk");
        let disk_io = has(MetricGroup::DiskIo, "diskIO");
        if disk || disk_io {
            let systems = if enabled.has(MetricGroup::Disk) {
                disks.file_systems(request.deadline)
            } else {
                Vec::new()
            };
            if disk_io {
                disks.read_names();
                io::write(families, containers, disks, &systems);
            }
            if disk {
                io::file_systems(families, containers, &systems);
            }
        }
        if has(MetricGroup::Process, "process") {
            table(families, PROCESS, containers);
            open_files(families, containers, roots, buffer);
        }
        if has(MetricGroup::Pressure, "pressure") {
            table(families, PRESSURE, containers);
        }
        if has(MetricGroup::Hugetlb, "hugetlb") {
            huge_pages(families, containers);
        }
        if has(MetricGroup::Cpuset, "cpuset") {
            table(families, CPUSET, containers);
        }
        if has(MetricGroup::Tcp, "tcp") {
            sockets(families, containers, roots, buffer, "tcp");
        }
        if has(MetricGroup::Udp, "udp") {
            sockets(families, containers, roots, buffer, "udp");
        }
    }

    /// A container that is not known yet has just been started: whoever knows is asked at once,
    /// and the next scrape has its names.
    fn ask_for_unknown(&mut self, unknown: HashSet<String>) {
        // Some are known to nobody, such as sandboxes to the kubelet: asked for once.
        if !unknown.is_subset(&self.asked_for) {
            self.directory.refresh();
        }
        self.asked_for = unknown;
    }

    /// When the host booted; nothing on it is older.
    fn boot(&mut self) -> SystemTime {
        if let Some(boot) = self.boot {
            return boot;
        }
        let mut stat = Stat::default();
        match self.stat_file.read().and_then(|text| stat.parse(text)) {
            Ok(()) => *self
                .boot
                .insert(SystemTime::UNIX_EPOCH + Duration::from_secs(stat.boot_time)),
            Err(_) => SystemTime::UNIX_EPOCH,
        }
    }
}

/// The process whose network namespace is a container's own: of the sandbox, which holds the
/// namespace of its pod; of the machine for the root.
fn network_of(container: &Container<'_>, roots: &Roots, buffer: &mut Buffer) -> Option<u32> {
    if container.group.is_root() {
        return Some(1);
    }
    let identity = container.group.identity();
    identity.container_id?;
    let pid = container.pid?;
    let own = match &container.labels.container {
        Some(known) => known.has_network,
        None => identity.pod_uid.is_none() || processes::is_pause(roots, pid, buffer),
    };
    own.then_some(pid)
}

fn sockets(
    families: &mut Families,
    containers: &[Container<'_>],
    roots: &Roots,
    buffer: &mut Buffer,
    protocol: &str,
) {
    let mut labels = Vec::new();
    for (file, suffix) in [("", ""), ("6", "6")] {
        let file = format!("{protocol}{file}");
        let name = format!("container_network_{protocol}{suffix}_usage_total");
        let found: Vec<_> = containers
            .iter()
            .filter_map(|container| {
                let pid = network_of(container, roots, buffer)?;
                let counts = if protocol == "tcp" {
                    network::tcp(roots, pid, &file, buffer)?.to_vec()
                } else {
                    network::udp(roots, pid, &file, buffer)?.to_vec()
                };
                Some((container, counts))
            })
            .collect();
        let (states, label): (&[&str], &str) = if protocol == "tcp" {
            (&network::TCP_STATES, "tcp_state")
        } else {
            (&network::UDP_STATES, "udp_state")
        };
        let mut family = families.family(
            Kind::Gauge,
            &name,
            "Sockets in each container's network namespace.",
        );
        for (container, counts) in found {
            for (state, count) in states.iter().zip(counts) {
                container.labelled(&mut labels, &[(label, state)]);
                family.add(&labels, float(count));
            }
        }
    }
}

/// Adds the groups that have gone since the last look, with their last values.
fn add_ended<'a>(groups: &mut Vec<Group<'a>>, ended: &'a [Ended]) {
    let before = groups.len();
    for ended in ended {
        let there = groups
            .get(..before)
            .unwrap_or_default()
            .iter()
            .any(|group| group.id == ended.id);
        if !there {
            groups.push(Group {
                id: &ended.id,
                ..ended.values.clone()
            });
        }
    }
}

fn first_process(group: &Group<'_>, labels: &Labels) -> Option<u32> {
    if group.is_root() {
        return Some(1);
    }
    let known = labels.container.as_ref().and_then(|known| known.pid);
    known.or_else(|| {
        group.identity().container_id?;
        group.processes.as_ref()?.first().copied()
    })
}

fn table(families: &mut Families, rows: &[Row], containers: &[Container<'_>]) {
    for row in rows {
        let mut family = families.family(row.kind, row.name, row.help);
        for container in containers {
            if let Some(value) = (row.value)(&container.group) {
                family.add(&container.base, value);
            }
        }
    }
}

fn times(families: &mut Families, containers: &[Container<'_>]) {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        float(since.unwrap_or_default().as_secs())
    };
    let now = SystemTime::now();
    let mut family = families.family(
        Kind::Gauge,
        "container_last_seen",
        "When each container was looked at, in seconds since 1970.",
    );
    for container in containers {
        family.add(&container.base, seconds(now));
    }
    family.end();
    let mut family = families.family(
        Kind::Gauge,
        "container_health_state",
        "What each container's health check says: 1 healthy, 0 unhealthy, -1 neither.",
    );
    for container in containers {
        let known = container.labels.container.as_ref();
        let state = match known.map_or("", |known| known.health.as_str()) {
            "healthy" => 1.0,
            "unhealthy" => 0.0,
            _ => -1.0,
        };
        family.add(&container.base, state);
    }
    family.end();
    let mut family = families.family(
        Kind::Gauge,
        "container_start_time_seconds",
        "When each container was started, in seconds since 1970.",
    );
    for container in containers {
        if let Some(created) = container.group.created {
            family.add(&container.base, seconds(created));
        }
    }
    family.end();
    let mut family = families.family(
        Kind::Gauge,
        "container_creation_time_seconds",
        "When each container was made, in seconds since 1970.",
    );
    for container in containers {
        let known = container.labels.container.as_ref();
        let told = known.and_then(|known| known.created).map(float);
        if let Some(created) = told.or(container.group.created.map(seconds)) {
            family.add(&container.base, created);
        }
    }
}

fn usage(families: &mut Families, containers: &[Container<'_>]) {
    let mut labels = Vec::new();
    let mut family = families.family(
        Kind::Counter,
        "container_cpu_usage_seconds_total",
        "CPU time that each container has used, in seconds.",
    );
    for container in containers {
        if container.group.per_cpu.is_empty() {
            if let Some(cpu) = &container.group.cpu {
                container.labelled(&mut labels, &[("cpu", "total")]);
                family.add(&labels, float(cpu.usage) / 1e9);
            }
            continue;
        }
        // What has never run on a CPU has no sample for it.
        let all = container.group.per_cpu.iter().enumerate();
        for (number, nanoseconds) in all.filter(|(_, nanoseconds)| **nanoseconds > 0) {
            let cpu = format!("cpu{number:02}");
            let mut labels = container.base.clone();
            labels.push(("cpu", &cpu));
            labels.sort_unstable();
            family.add(&labels, float(*nanoseconds) / 1e9);
        }
    }
}

/// Zeros, as [`LOAD`].
fn tasks(families: &mut Families, containers: &[Container<'_>]) {
    let mut labels = Vec::new();
    let mut family = families.family(
        Kind::Gauge,
        "container_tasks_state",
        "Always 0, as with the kubelet: the load of containers is not sampled.",
    );
    for container in containers {
        for state in [
            "sleeping",
            "running",
            "stopped",
            "uninterruptible",
            "iowaiting",
        ] {
            container.labelled(&mut labels, &[("state", state)]);
            family.add(&labels, 0.0);
        }
    }
}

/// The kernel counts page faults for a group with its children; cAdvisor shows the same number for
/// both scopes.
fn failures(families: &mut Families, containers: &[Container<'_>]) {
    let mut labels = Vec::new();
    let mut family = families.family(
        Kind::Counter,
        "container_memory_failures_total",
        "Page faults of each container.",
    );
    for container in containers {
        let Some(memory) = &container.group.memory else {
            continue;
        };
        for (kind, value) in [
            ("pgfault", memory.page_faults),
            ("pgmajfault", memory.major_page_faults),
        ] {
            for scope in ["container", "hierarchy"] {
                container.labelled(&mut labels, &[("failure_type", kind), ("scope", scope)]);
                family.add(&labels, float(value));
            }
        }
    }
}

fn numa(families: &mut Families, containers: &[Container<'_>]) {
    let mut family = families.family(
        Kind::Gauge,
        "container_memory_numa_pages",
        "Pages of each container on each NUMA node.",
    );
    for container in containers {
        for pages in &container.group.numa {
            let node = pages.node.to_string();
            let scope = if pages.hierarchy {
                "hierarchy"
            } else {
                "container"
            };
            let mut labels = container.base.clone();
            labels.extend([
                ("type", pages.kind),
                ("scope", scope),
                ("node", node.as_str()),
            ]);
            labels.sort_unstable();
            family.add(&labels, float(pages.pages));
        }
    }
}

fn links(families: &mut Families, containers: &[Container<'_>]) {
    let rows: [Measure<Link>; 8] = [
        (
            "container_network_receive_bytes_total",
            "Bytes that each container has received.",
            |link| link.received[0],
        ),
        (
            "container_network_receive_packets_total",
            "Packets that each container has received.",
            |link| link.received[1],
        ),
        (
            "container_network_receive_packets_dropped_total",
            "Packets to each container that were dropped.",
            |link| link.received[3],
        ),
        (
            "container_network_receive_errors_total",
            "Errors in what each container has received.",
            |link| link.received[2],
        ),
        (
            "container_network_transmit_bytes_total",
            "Bytes that each container has sent.",
            |link| link.sent[0],
        ),
        (
            "container_network_transmit_packets_total",
            "Packets that each container has sent.",
            |link| link.sent[1],
        ),
        (
            "container_network_transmit_packets_dropped_total",
            "Packets from each container that were dropped.",
            |link| link.sent[3],
        ),
        (
            "container_network_transmit_errors_total",
            "Errors in what each container has sent.",
            |link| link.sent[2],
        ),
    ];
    let mut labels = Vec::new();
    for (name, help, value) in rows {
        let mut family = families.family(Kind::Counter, name, help);
        for container in containers {
            for link in &container.links {
                container.labelled(&mut labels, &[("interface", &link.name)]);
                family.add(&labels, float(value(link)));
            }
        }
    }
}

fn open_files(
    families: &mut Families,
    containers: &[Container<'_>],
    roots: &Roots,
    buffer: &mut Buffer,
) {
    let open: Vec<Option<Open>> = containers
        .iter()
        .map(|container| {
            let processes = container.group.processes.as_ref()?;
            Some(processes::open(roots, processes))
        })
        .collect();
    let rows: [Measure<Open>; 2] = [
        (
            "container_file_descriptors",
            "File descriptors that each container's processes have open.",
            |open| open.descriptors,
        ),
        (
            "container_sockets",
            "Sockets that each container's processes have open.",
            |open| open.sockets,
        ),
    ];
    for (name, help, value) in rows {
        let mut family = families.family(Kind::Gauge, name, help);
        for (container, open) in containers.iter().zip(&open) {
            if let Some(open) = open {
                family.add(&container.base, float(value(open)));
            }
        }
    }
    let mut labels = Vec::new();
    let mut family = families.family(
        Kind::Gauge,
        "container_ulimits_soft",
        "Soft limits of each container's first process, -1 without a limit.",
    );
    for container in containers {
        let limit = container
            .pid
            .and_then(|pid| processes::max_open_files(roots, pid, buffer));
        if let Some(limit) = limit {
            container.labelled(&mut labels, &[("ulimit", "max_open_files")]);
            family.add(&labels, limit);
        }
    }
}

fn huge_pages(families: &mut Families, containers: &[Container<'_>]) {
    use corten_host::cgroup::HugePages;

    let rows: [(Kind, Measure<HugePages>); 3] = [
        (
            Kind::Counter,
            (
                "container_hugetlb_failcnt",
                "Times that each container hit its limit of huge pages.",
                |pages| pages.failures,
            ),
        ),
        (
            Kind::Gauge,
            (
                "container_hugetlb_usage_bytes",
                "Bytes of huge pages that each container uses.",
                |pages| pages.usage,
            ),
        ),
        (
            Kind::Gauge,
            (
                "container_hugetlb_max_usage_bytes",
                "The most bytes of huge pages that each container has ever used, where it is counted.",
                |pages| pages.max_usage,
            ),
        ),
    ];
    let mut labels = Vec::new();
    for (kind, (name, help, value)) in rows {
        let mut family = families.family(kind, name, help);
        for container in containers {
            for pages in &container.group.huge_pages {
                container.labelled(&mut labels, &[("pagesize", &pages.size)]);
                family.add(&labels, float(value(pages)));
            }
        }
    }
}

fn error(families: &mut Families, name: &str, help: &str, failed: bool) {
    families
        .family(Kind::Gauge, name, help)
        .add(&[], f64::from(u8::from(failed)));
}
