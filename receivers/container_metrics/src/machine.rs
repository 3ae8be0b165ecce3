//! The machine that the containers run on: what cAdvisor calls `machine_*`.

use corten_host::families::{Families, Kind};
use corten_host::meminfo::Meminfo;
use corten_host::{Buffer, HostError, HostFile, Roots, cpuinfo, float};

/// Reads the machine.
pub(crate) struct Machine {
    meminfo: HostFile,
    cpuinfo: HostFile,
    identity: Option<Identity>,
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
        let mut first = |paths: &[std::path::PathBuf]| {
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
            roots: roots.clone(),
        }
    }

    /// Memory and swap in all: what the root group may use.
    pub(crate) fn memory(&mut self) -> Result<Meminfo, HostError> {
        Meminfo::parse(self.meminfo.read()?)
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
        gauge(
            "machine_cpu_sockets",
            "CPU packages of the machine.",
            count(cpuinfo::sockets(&processors)),
        );
        Ok(())
    }
}
