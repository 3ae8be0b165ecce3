//! Version 1: a tree for each controller, or for several together.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{Cpu, CpuSpec, Folder, Group, Memory, MemorySpec, Throttling, open_folder, pairs};
use crate::Buffer;

/// The trees that are read.
#[derive(Debug)]
pub(super) struct Trees {
    cpu: Option<Tree>,
    cpuacct: Option<Tree>,
    memory: Option<Tree>,
}

#[derive(Debug)]
struct Tree {
    path: PathBuf,
    folder: OwnedFd,
}

impl Trees {
    /// The controllers' folders below `root`; `None` when there is none of them.
    pub(super) fn find(root: &Path) -> Option<Self> {
        let tree = |names: &[&str]| {
            names.iter().find_map(|name| {
                let path = root.join(name);
                let folder = open_folder(&path).ok()?;
                Some(Tree { path, folder })
            })
        };
        let trees = Self {
            cpu: tree(&["cpu", "cpu,cpuacct", "cpuacct,cpu"]),
            cpuacct: tree(&["cpuacct", "cpu,cpuacct", "cpuacct,cpu"]),
            memory: tree(&["memory"]),
        };
        let any = trees.paths().next().is_some();
        any.then_some(trees)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cpu, &self.cpuacct, &self.memory]
            .into_iter()
            .flatten()
            .map(|tree| tree.path.as_path())
    }
}

pub(super) fn read<'a>(trees: &Trees, id: &'a str, buffer: &mut Buffer) -> Option<Group<'a>> {
    let open = |tree: &Option<Tree>| Folder::open(&tree.as_ref()?.folder, id);
    let (cpu, cpuacct, memory) = (open(&trees.cpu), open(&trees.cpuacct), open(&trees.memory));
    let created = [&cpuacct, &cpu, &memory]
        .into_iter()
        .flatten()
        .filter_map(|folder| folder.created("cgroup.clone_children"))
        .min();
    if cpu.is_none() && cpuacct.is_none() && memory.is_none() {
        return None;
    }
    Some(Group {
        id,
        created,
        cpu: cpuacct.and_then(|folder| usage(&folder, cpu.as_ref(), buffer)),
        cpu_spec: cpu.as_ref().and_then(|folder| cpu_spec(folder, buffer)),
        memory: memory.as_ref().and_then(|folder| used(folder, buffer)),
        memory_spec: memory
            .as_ref()
            .and_then(|folder| memory_spec(folder, buffer)),
    })
}

/// Nanoseconds in a tick of `USER_HZ`.
const TICK: u64 = 10_000_000;

fn usage(cpuacct: &Folder, cpu: Option<&Folder>, buffer: &mut Buffer) -> Option<Cpu> {
    let mut result = Cpu {
        usage: cpuacct.number("cpuacct.usage", buffer)?,
        ..Cpu::default()
    };
    for (name, value) in pairs(cpuacct.read("cpuacct.stat", buffer).unwrap_or_default()) {
        match name {
            b"user" => result.user = value.saturating_mul(TICK),
            b"system" => result.system = value.saturating_mul(TICK),
            _ => {}
        }
    }
    result.throttling = cpu
        .and_then(|folder| folder.read("cpu.stat", buffer))
        .map(throttling);
    Some(result)
}

fn throttling(stat: &[u8]) -> Throttling {
    let mut throttling = Throttling::default();
    for (name, value) in pairs(stat) {
        match name {
            b"nr_periods" => throttling.periods = value,
            b"nr_throttled" => throttling.throttled_periods = value,
            b"throttled_time" => throttling.throttled = value,
            b"nr_bursts" => throttling.bursts = value,
            b"burst_time" => throttling.burst = value,
            _ => {}
        }
    }
    throttling
}

fn cpu_spec(folder: &Folder, buffer: &mut Buffer) -> Option<CpuSpec> {
    Some(CpuSpec {
        shares: folder.number("cpu.shares", buffer)?,
        period: folder.number("cpu.cfs_period_us", buffer).unwrap_or(0),
        // -1 without a limit, which is no number here.
        quota: folder.number("cpu.cfs_quota_us", buffer),
    })
}

fn used(folder: &Folder, buffer: &mut Buffer) -> Option<Memory> {
    let mut memory = Memory {
        usage: folder.number("memory.usage_in_bytes", buffer)?,
        max_usage: folder.number("memory.max_usage_in_bytes", buffer),
        failures: folder.number("memory.failcnt", buffer).unwrap_or(0),
        kernel: folder
            .number("memory.kmem.usage_in_bytes", buffer)
            .unwrap_or(0),
        ..Memory::default()
    };
    for (name, value) in pairs(folder.read("memory.stat", buffer).unwrap_or_default()) {
        match name {
            b"total_cache" => memory.cache = value,
            b"total_rss" => memory.rss = value,
            b"total_swap" => memory.swap = value,
            b"total_mapped_file" => memory.mapped_file = value,
            b"total_active_file" => memory.active_file = value,
            b"total_inactive_file" => memory.inactive_file = value,
            b"pgfault" => memory.page_faults = value,
            b"pgmajfault" => memory.major_page_faults = value,
            _ => {}
        }
    }
    Some(memory)
}

fn memory_spec(folder: &Folder, buffer: &mut Buffer) -> Option<MemorySpec> {
    folder.read("memory.limit_in_bytes", buffer)?;
    Some(MemorySpec {
        limit: folder.limit("memory.limit_in_bytes", buffer),
        swap_limit: folder.limit("memory.memsw.limit_in_bytes", buffer),
        reservation: folder.limit("memory.soft_limit_in_bytes", buffer),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Cgroups, fixture};
    use super::*;

    #[test]
    fn every_file_lands_in_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fixture::write(
            root,
            "cpuacct/a",
            &[
                ("cpuacct.usage", "12345\n"),
                ("cpuacct.stat", "user 3\nsystem 4\n"),
            ],
        );
        fixture::write(
            root,
            "cpu/a",
            &[
                (
                    "cpu.stat",
                    "nr_periods 7\nnr_throttled 3\nthrottled_time 11\n",
                ),
                ("cpu.shares", "512\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("cpu.cfs_quota_us", "-1\n"),
            ],
        );
        fixture::write(
            root,
            "memory/a",
            &[
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.max_usage_in_bytes", "2000\n"),
                ("memory.failcnt", "6\n"),
                ("memory.limit_in_bytes", "4096\n"),
                ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
                ("memory.soft_limit_in_bytes", "9223372036854771712\n"),
                (
                    "memory.stat",
                    "cache 1\ntotal_cache 300\ntotal_rss 600\ntotal_swap 30\ntotal_inactive_file 200\npgfault 8\n",
                ),
            ],
        );
        fixture::write(root, "memory/b", &[("memory.usage_in_bytes", "10\n")]);
        let mut cgroups = Cgroups::new(root);
        let groups = cgroups.read().unwrap();
        let shown: Vec<_> = groups
            .iter()
            .map(|group| {
                let Group {
                    id,
                    cpu,
                    cpu_spec,
                    memory,
                    memory_spec,
                    ..
                } = *group;
                (id, cpu, cpu_spec, memory, memory_spec)
            })
            .collect();
        let [_, a, b] = shown.as_slice() else {
            panic!("{shown:?}")
        };
        let (_, Some(cpu), Some(cpu_spec), Some(memory), Some(memory_spec)) = a else {
            panic!("{a:?}")
        };
        assert_eq!(
            (cpu.usage, cpu.user, cpu.system),
            (12_345, 30_000_000, 40_000_000)
        );
        assert_eq!(cpu.throttling.unwrap().throttled, 11);
        assert_eq!(
            *cpu_spec,
            CpuSpec {
                period: 100_000,
                quota: None,
                shares: 512
            }
        );
        assert_eq!(
            (memory.cache, memory.rss, memory.swap, memory.failures),
            (300, 600, 30, 6)
        );
        assert_eq!((memory.working_set(), memory.page_faults), (800, 8));
        assert_eq!(
            *memory_spec,
            MemorySpec {
                limit: Some(4096),
                swap_limit: None,
                reservation: None
            }
        );
        assert_eq!(b.0, "/b");
        assert!(b.1.is_none() && b.2.is_none() && b.3.is_some() && b.4.is_none());
    }
}
