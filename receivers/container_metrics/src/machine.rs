//! The machine that the containers run on: what cAdvisor calls `machine_*`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::scraper::Measure;
use corten_host::families::{Families, Kind};
use corten_host::meminfo::Meminfo;
use corten_host::{Buffer, HostError, HostFile, Roots, cpuinfo, float};

/// Reads the machine.
pub(crate) struct Machine {
    meminfo: HostFile,
    cpuinfo: HostFile,
    identity: Option<Identity>,
    dimms: Option<BTreeMap<String, Dimms>>,
    version: Option<(String, String)>,
    roots: Roots,
}

/// What tells this machine from all others, and this boot from all others. None of it changes
/// while the agent runs, so it is read once.
struct Identity {
    boot_id: String,
    machine_id: String,
    system_uuid: String,
}

impl Identity {
    /// What cannot be read (the firmware's number is root's alone) is empty.
    fn read(roots: &Roots) -> Self {
        let mut buffer = Buffer::default();
        let mut first = |paths: &[PathBuf]| {
            paths
                .iter()
                .find_map(|path| {
                    let text = buffer.read(path).ok()?;
                    Some(String::from_utf8_lossy(text).trim().to_owned())
                })
                .unwrap_or_default()
        };
        Self {
            boot_id: first(&[roots.proc("sys/kernel/random/boot_id")]),
            machine_id: first(&[
                roots.rootfs.join("etc/machine-id"),
                roots.rootfs.join("var/lib/dbus/machine-id"),
            ]),
            system_uuid: first(&[roots.sys("class/dmi/id/product_uuid")]),
        }
    }

    fn labels(&self) -> [(&str, &str); 3] {
        [
            ("boot_id", &self.boot_id),
            ("machine_id", &self.machine_id),
            ("system_uuid", &self.system_uuid),
        ]
    }
}

impl Machine {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            meminfo: HostFile::new(roots.proc("meminfo")),
            cpuinfo: HostFile::new(roots.proc("cpuinfo")),
            identity: None,
            dimms: None,
            version: None,
            roots: roots.clone(),
        }
    }

    /// Memory and swap in all: what the root group may use.
    pub(crate) fn memory(&mut self) -> Result<Meminfo, HostError> {
        Meminfo::parse(self.meminfo.read()?)
    }

    /// `cadvisor_version_info`: the kernel and the system. The agent is no cAdvisor, so what is
    /// told of one is empty, as it is in the kubelet.
    pub(crate) fn version(&mut self, families: &mut Families) {
        let (kernel, system) = self.version.get_or_insert_with(|| {
            let mut buffer = Buffer::default();
            let mut read = |path: PathBuf| {
                let text = buffer.read(&path).unwrap_or_default();
                String::from_utf8_lossy(text).trim().to_owned()
            };
            let kernel = read(self.roots.proc("sys/kernel/osrelease"));
            let release = ["etc/os-release", "usr/lib/os-release"]
                .into_iter()
                .map(|path| read(self.roots.rootfs.join(path)))
                .find(|text| !text.is_empty())
                .unwrap_or_default();
            let system = release
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))
                .unwrap_or_default();
            (kernel, system.trim_matches('"').to_owned())
        });
        families
            .family(
                Kind::Gauge,
                "cadvisor_version_info",
                "Always 1, labelled with the versions of the kernel and the system.",
            )
            .add(&[("kernelVersion", kernel), ("osVersion", system)], 1.0);
    }

    pub(crate) fn update(
        &mut self,
        families: &mut Families,
        memory: &Meminfo,
    ) -> Result<(), HostError> {
        let identity = self
            .identity
            .get_or_insert_with(|| Identity::read(&self.roots));
        let labels = identity.labels();
        let mut gauge = |name, help, value: u64| {
            families
                .family(Kind::Gauge, name, help)
                .add(&labels, float(value));
        };
        gauge(
            "machine_memory_bytes",
            "Memory of the machine.",
            memory.total,
        );
        gauge(
            "machine_swap_bytes",
            "Space of the machine for paging.",
            memory.swap_total,
        );
        let processors = cpuinfo::parse(self.cpuinfo.read()?)?;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        gauge(
            "machine_cpu_cores",
            "Logical CPUs of the machine.",
            count(processors.len()),
        );
        if let Some(cores) = cpuinfo::physical_cores(&processors) {
            gauge(
                "machine_cpu_physical_cores",
                "CPU cores of the machine.",
                count(cores),
            );
        }
        // Both are levels of mainframes' topology.
        gauge("machine_cpu_books", "CPU books of the machine.", 0);
        gauge("machine_cpu_drawers", "CPU drawers of the machine.", 0);
        gauge(
            "machine_cpu_sockets",
            "CPU packages of the machine.",
            count(cpuinfo::sockets(&processors)),
        );
        gauge(
            "machine_nvm_avg_power_budget_watts",
            "Power that the machine's persistent memory may take.",
            0,
        );
        let dimms = self.dimms.get_or_insert_with(|| dimms(&self.roots));
        let mut family = families.family(
            Kind::Gauge,
            "machine_nvm_capacity",
            "Bytes of persistent memory in each mode.",
        );
        for mode in ["app_direct_mode", "memory_mode"] {
            family.add(&with(&labels, ("mode", mode)), 0.0);
        }
        family.end();
        let of: [Measure<Dimms>; 2] = [
            (
                "machine_dimm_count",
                "Memory modules of each type.",
                |dimms| dimms.count,
            ),
            (
                "machine_dimm_capacity_bytes",
                "Bytes of the memory modules of each type.",
                |dimms| dimms.bytes,
            ),
        ];
        for (name, help, value) in of {
            let mut family = families.family(Kind::Gauge, name, help);
            for (kind, dimms) in dimms.iter() {
                family.add(&with(&labels, ("type", kind)), float(value(dimms)));
            }
        }
        Ok(())
    }
}

fn with<'a>(
    labels: &[(&'a str, &'a str); 3],
    extra: (&'a str, &'a str),
) -> [(&'a str, &'a str); 4] {
    let [boot, machine, system] = *labels;
    [boot, machine, extra, system]
}

/// Memory modules of one type.
#[derive(Default)]
struct Dimms {
    count: u64,
    bytes: u64,
}

/// The memory modules that the memory controllers' drivers tell of, by type; none on most virtual
/// machines.
fn dimms(roots: &Roots) -> BTreeMap<String, Dimms> {
    let mut found = BTreeMap::<String, Dimms>::new();
    let mut buffer = Buffer::default();
    let folders = |path: &Path, prefix: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path())
            .collect()
    };
    for controller in folders(&roots.sys("devices/system/edac/mc"), "mc") {
        for dimm in folders(&controller, "dimm") {
            let Some(megabytes) = buffer
                .read(&dimm.join("size"))
                .ok()
                .and_then(corten_host::scan::only_number)
            else {
                continue;
            };
            let Ok(kind) = buffer.read(&dimm.join("dimm_mem_type")) else {
                continue;
            };
            let dimms = found
                .entry(corten_host::scan::valid(kind).into_owned())
                .or_default();
            dimms.count += 1;
            dimms.bytes = dimms
                .bytes
                .saturating_add(megabytes.saturating_mul(1 << 20));
        }
    }
    found
}
