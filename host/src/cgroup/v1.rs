//! Version 1: a tree for each controller, or for several together.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{
    Cpu, CpuSpec, Folder, Group, HugePages, LARGEST_LIMIT, Memory, MemorySpec, NumaPages,
    Throttling, Wanted, io, open_folder, pairs,
};
use crate::Buffer;
use crate::scan::{cut, fields, lines, number, only_number};

/// The trees that are read.
#[derive(Debug)]
pub(super) struct Trees {
    cpu: Option<Tree>,
    cpuacct: Option<Tree>,
    memory: Option<Tree>,
    blkio: Option<Tree>,
    pids: Option<Tree>,
    hugetlb: Option<Tree>,
    cpuset: Option<Tree>,
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
            blkio: tree(&["blkio"]),
            pids: tree(&["pids"]),
            hugetlb: tree(&["hugetlb"]),
            cpuset: tree(&["cpuset"]),
        };
        let any = trees.paths().next().is_some();
        any.then_some(trees)
    }

    /// The trees whose groups are listed: what has a group in any of them has it in one of these.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cpu, &self.cpuacct, &self.memory, &self.pids]
            .into_iter()
            .flatten()
            .map(|tree| tree.path.as_path())
    }
}

pub(super) fn read<'a>(
    trees: &Trees,
    id: &'a str,
    wanted: &Wanted,
    page_sizes: &[String],
    buffer: &mut Buffer,
) -> Option<Group<'a>> {
    let open = |tree: &Option<Tree>| Folder::open(&tree.as_ref()?.folder, id);
    let only = |wanted: bool, tree: &Option<Tree>| wanted.then(|| open(tree)).flatten();
    let (cpu, cpuacct, memory) = (open(&trees.cpu), open(&trees.cpuacct), open(&trees.memory));
    let pids = open(&trees.pids);
    let folders = [&cpuacct, &cpu, &memory, &pids];
    if folders.iter().all(|folder| folder.is_none()) {
        return None;
    }
    let created = folders
        .into_iter()
        .flatten()
        .filter_map(|folder| folder.created("cgroup.clone_children"))
        .min();
    let mut group = Group {
        id,
        created,
        ..Group::default()
    };
    if wanted.cpu {
        group.cpu = cpuacct
            .as_ref()
            .and_then(|folder| usage(folder, cpu.as_ref(), buffer));
    }
    if wanted.per_cpu {
        group.per_cpu = cpuacct
            .as_ref()
            .and_then(|folder| folder.read("cpuacct.usage_percpu", buffer))
            .map(|text| fields(text.trim_ascii()).filter_map(number).collect())
            .unwrap_or_default();
    }
    if wanted.spec || wanted.cpu {
        group.cpu_spec = cpu.as_ref().and_then(|folder| cpu_spec(folder, buffer));
    }
    if let Some(folder) = &memory {
        if wanted.memory {
            group.memory = used(folder, buffer);
        }
        if wanted.spec {
            group.memory_spec = memory_spec(folder, buffer);
        }
        if wanted.numa {
            group.numa = folder
                .read("memory.numa_stat", buffer)
                .map(numa)
                .unwrap_or_default();
        }
        if wanted.oom_kills {
            group.oom_kills = folder.read("memory.oom_control", buffer).and_then(|text| {
                pairs(text).find_map(|(name, value)| (name == b"oom_kill").then_some(value))
            });
        }
    }
    if let Some(folder) = only(wanted.io, &trees.blkio) {
        group.io = io::legacy(|name| folder.read(name, buffer).map(<[u8]>::to_vec));
    }
    if wanted.processes {
        group.processes = [&cpu, &cpuacct, &pids, &memory]
            .into_iter()
            .flatten()
            .next()
            .and_then(|folder| folder.processes(buffer));
        group.pids = pids
            .as_ref()
            .and_then(|folder| folder.pids(group.processes.as_deref(), buffer));
    }
    if let Some(folder) = only(wanted.huge_pages, &trees.hugetlb) {
        group.huge_pages = page_sizes
            .iter()
            .filter_map(|size| huge_pages(&folder, size, buffer))
            .collect();
    }
    if let Some(folder) = only(wanted.cpuset, &trees.cpuset) {
        group.memory_migrate = folder.number("cpuset.memory_migrate", buffer);
    }
    Some(group)
}

fn huge_pages(folder: &Folder, size: &str, buffer: &mut Buffer) -> Option<HugePages> {
    let mut read = |file| folder.number(&format!("hugetlb.{size}.{file}"), buffer);
    Some(HugePages {
        size: size.to_owned(),
        usage: read("usage_in_bytes")?,
        max_usage: read("max_usage_in_bytes").unwrap_or(0),
        failures: read("failcnt").unwrap_or(0),
    })
}

/// Lines `file=3 N0=1 N1=2`, `hierarchical_file=…`.
fn numa(text: &[u8]) -> Vec<NumaPages> {
    let mut found = Vec::new();
    for (_, line) in lines(text) {
        let mut parts = fields(line);
        let Some((name, _)) = parts.next().and_then(|part| cut(part, b'=')) else {
            continue;
        };
        let (hierarchy, name) = match name.strip_prefix(b"hierarchical_") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let kind = match name {
            b"file" => "file",
            b"anon" => "anon",
            b"unevictable" => "unevictable",
            _ => continue,
        };
        for part in parts {
            if let Some((node, pages)) = cut(part, b'=')
                && let Some(node) = node.strip_prefix(b"N").and_then(number)
                && let Some(pages) = number(pages)
            {
                found.push(NumaPages {
                    kind,
                    hierarchy,
                    node,
                    pages,
                });
            }
        }
    }
    found
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
    let limit = only_number(folder.read("memory.limit_in_bytes", buffer)?);
    Some(MemorySpec {
        limit: limit.filter(|bytes| *bytes <= LARGEST_LIMIT),
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
        let groups = cgroups.read(&Wanted::ALL).unwrap();
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
                } = group;
                (*id, *cpu, *cpu_spec, *memory, *memory_spec)
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
