//! One look at all groups, written as families.

use std::time::{Duration, SystemTime};

use corten_component::CollectRequest;
use corten_host::cgroup::{Cgroups, Group};
use corten_host::families::{Families, Kind};
use corten_host::meminfo::Meminfo;
use corten_host::stat::Stat;
use corten_host::{HostError, HostFile, float};
use corten_pdata::Metrics;

use crate::config::Config;
use crate::machine::Machine;
use crate::tables::{CPU, MEMORY, Row, SPEC};

pub(crate) struct Scraper {
    cgroups: Cgroups,
    machine: Machine,
    stat_file: HostFile,
    /// When the host booted; read once, since it does not change.
    boot: Option<SystemTime>,
    families: Families,
    failing: bool,
}

/// The labels of a container, exactly those of the kubelet. What only the container runtime or the
/// API server knows is empty.
struct Labels<'a> {
    id: &'a str,
    name: &'a str,
}

/// A group and what its samples are labelled with.
type Container<'a> = (Labels<'a>, Group<'a>);

impl<'a> Labels<'a> {
    fn of(group: &Group<'a>) -> Self {
        let identity = group.identity();
        // containerd's containers are called by their id; Docker's have names that the path does
        // not tell.
        let name = match identity.runtime {
            None | Some("cri-containerd") => identity.container_id.unwrap_or_default(),
            Some(_) => "",
        };
        Self { id: group.id, name }
    }

    fn all(&self) -> [(&'a str, &'a str); 6] {
        [
            ("container", ""),
            ("id", self.id),
            ("image", ""),
            ("name", self.name),
            ("namespace", ""),
            ("pod", ""),
        ]
    }

    fn with_cpu(&self, cpu: &'a str) -> [(&'a str, &'a str); 7] {
        let [container, id, image, name, namespace, pod] = self.all();
        [container, ("cpu", cpu), id, image, name, namespace, pod]
    }

    fn with_failure(&self, kind: &'a str, scope: &'a str) -> [(&'a str, &'a str); 8] {
        let [container, id, image, name, namespace, pod] = self.all();
        let (kind, scope) = (("failure_type", kind), ("scope", scope));
        [container, kind, id, image, name, namespace, pod, scope]
    }
}

impl Scraper {
    pub(crate) fn new(config: &Config) -> Self {
        let roots = config.roots();
        Self {
            cgroups: Cgroups::new(&roots.cgroup),
            machine: Machine::new(&roots),
            stat_file: HostFile::new(roots.proc("stat")),
            boot: None,
            families: Families::new("container_metrics", env!("CARGO_PKG_VERSION")),
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
        let mut containers: Vec<Container<'_>> = self
            .cgroups
            .read()?
            .into_iter()
            .map(|group| (Labels::of(&group), group))
            .collect();
        for (_, group) in &mut containers {
            group.created = group.created.map(|created| created.max(boot));
            // Nothing limits the root but the machine itself.
            if let (true, Some(machine)) = (group.is_root(), machine) {
                let spec = group.memory_spec.get_or_insert_default();
                spec.limit = Some(machine.total);
                spec.swap_limit = Some(machine.swap_total);
            }
        }
        let families = &mut self.families;
        if request.wants("spec") {
            times(families, &containers);
            table(families, SPEC, &containers);
        }
        if request.wants("cpu") {
            usage(families, &containers);
            table(families, CPU, &containers);
        }
        if request.wants("memory") {
            table(families, MEMORY, &containers);
            failures(families, &containers);
        }
        Ok(())
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

fn table(families: &mut Families, rows: &[Row], containers: &[Container<'_>]) {
    for row in rows {
        let mut family = families.family(row.kind, row.name, row.help);
        for (labels, group) in containers {
            if let Some(value) = (row.value)(group) {
                family.add(&labels.all(), value);
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
    for (labels, _) in containers {
        family.add(&labels.all(), seconds(now));
    }
    family.end();
    for (name, help) in [
        (
            "container_start_time_seconds",
            "When each container was started, in seconds since 1970.",
        ),
        (
            "container_creation_time_seconds",
            "When each container was made, in seconds since 1970.",
        ),
    ] {
        let mut family = families.family(Kind::Gauge, name, help);
        for (labels, group) in containers {
            if let Some(created) = group.created {
                family.add(&labels.all(), seconds(created));
            }
        }
    }
}

fn usage(families: &mut Families, containers: &[Container<'_>]) {
    let mut family = families.family(
        Kind::Counter,
        "container_cpu_usage_seconds_total",
        "CPU time that each container has used, in seconds.",
    );
    for (labels, group) in containers {
        if let Some(cpu) = &group.cpu {
            family.add(&labels.with_cpu("total"), float(cpu.usage) / 1e9);
        }
    }
}

/// The kernel counts page faults for a group with its children; cAdvisor shows the same number for
/// both scopes.
fn failures(families: &mut Families, containers: &[Container<'_>]) {
    let mut family = families.family(
        Kind::Counter,
        "container_memory_failures_total",
        "Page faults of each container.",
    );
    for (labels, group) in containers {
        let Some(memory) = &group.memory else {
            continue;
        };
        for (kind, value) in [
            ("pgfault", memory.page_faults),
            ("pgmajfault", memory.major_page_faults),
        ] {
            for scope in ["container", "hierarchy"] {
                family.add(&labels.with_failure(kind, scope), float(value));
            }
        }
    }
}

fn error(families: &mut Families, name: &str, help: &str, failed: bool) {
    families
        .family(Kind::Gauge, name, help)
        .add(&[], f64::from(u8::from(failed)));
}
