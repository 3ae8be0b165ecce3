//! Version 2: one tree, all controllers' files in one folder.

use std::os::fd::OwnedFd;

use super::{
    Cpu, CpuSpec, Folder, Group, HugePages, LARGEST_LIMIT, Memory, MemorySpec, MoreMemory,
    Throttling, Wanted, io, pairs, pressure,
};
use crate::Buffer;
use crate::scan::{fields, number, only_number};

pub(super) fn read<'a>(
    root: &OwnedFd,
    id: &'a str,
    wanted: &Wanted,
    page_sizes: &[String],
    buffer: &mut Buffer,
) -> Option<Group<'a>> {
    let folder = Folder::open(root, id)?;
    let mut group = Group {
        id,
        created: folder.created("cgroup.events"),
        ..Group::default()
    };
    if wanted.cpu {
        group.cpu = folder.read("cpu.stat", buffer).map(cpu);
    }
    if wanted.spec {
        group.cpu_spec = cpu_spec(&folder, buffer);
        group.memory_spec = memory_spec(&folder, buffer);
    } else if wanted.cpu && group.cpu.is_some_and(|cpu| cpu.throttling.is_some()) {
        // Whether there is a quota decides what is shown of throttling.
        group.cpu_spec = cpu_spec(&folder, buffer);
    }
    if wanted.memory {
        group.memory = memory(&folder, buffer);
    }
    if wanted.oom_kills {
        // Kills are counted where the victim was; with its children's they would be counted twice.
        group.oom_kills = ["memory.events.local", "memory.events"]
            .into_iter()
            .find_map(|name| {
                let text = folder.read(name, buffer)?;
                pairs(text).find_map(|(name, value)| (name == b"oom_kill").then_some(value))
            });
    }
    if wanted.io {
        group.io = folder
            .read("io.stat", buffer)
            .map(io::unified)
            .unwrap_or_default();
    }
    if wanted.processes {
        group.processes = folder.processes(buffer);
        group.pids = folder.pids(group.processes.as_deref(), buffer);
    }
    if wanted.pressure {
        let mut read = |name| folder.read(name, buffer).and_then(pressure::parse);
        group.cpu_pressure = read("cpu.pressure");
        group.memory_pressure = read("memory.pressure");
        group.io_pressure = read("io.pressure");
    }
    if wanted.huge_pages {
        group.huge_pages = page_sizes
            .iter()
            .filter_map(|size| huge_pages(&folder, size, buffer))
            .collect();
    }
    Some(group)
}

fn huge_pages(folder: &Folder, size: &str, buffer: &mut Buffer) -> Option<HugePages> {
    let usage = ["rsvd.current", "current"]
        .into_iter()
        .find_map(|file| folder.number(&format!("hugetlb.{size}.{file}"), buffer))?;
    let events = format!("hugetlb.{size}.events");
    let failures = pairs(folder.read(&events, buffer).unwrap_or_default())
        .find_map(|(name, value)| (name == b"max").then_some(value));
    Some(HugePages {
        size: size.to_owned(),
        usage,
        max_usage: 0,
        failures: failures.unwrap_or(0),
    })
}

fn cpu(stat: &[u8]) -> Cpu {
    let mut cpu = Cpu::default();
    let mut throttling = Throttling::default();
    let mut controlled = false;
    for (name, value) in pairs(stat) {
        let nanoseconds = value.saturating_mul(1000);
        match name {
            b"usage_usec" => cpu.usage = nanoseconds,
            b"user_usec" => cpu.user = nanoseconds,
            b"system_usec" => cpu.system = nanoseconds,
            b"nr_periods" => {
                controlled = true;
                throttling.periods = value;
            }
            b"nr_throttled" => throttling.throttled_periods = value,
            b"throttled_usec" => throttling.throttled = nanoseconds,
            b"nr_bursts" => throttling.bursts = value,
            b"burst_usec" => throttling.burst = nanoseconds,
            _ => {}
        }
    }
    cpu.throttling = controlled.then_some(throttling);
    cpu
}

fn cpu_spec(folder: &Folder, buffer: &mut Buffer) -> Option<CpuSpec> {
    let (quota, period) = {
        let mut parts = fields(folder.read("cpu.max", buffer)?.trim_ascii());
        (
            parts.next().and_then(number),
            parts.next().and_then(number)?,
        )
    };
    let weight = folder.number("cpu.weight", buffer).unwrap_or(100);
    Some(CpuSpec {
        period,
        quota,
        shares: shares(weight),
    })
}

/// A weight from 1 to 10000 on version 1's scale from 2 to 262144, as container runtimes turn one
/// into the other.
fn shares(weight: u64) -> u64 {
    2 + weight.clamp(1, 10_000).saturating_sub(1) * 262_142 / 9_999
}

fn memory(folder: &Folder, buffer: &mut Buffer) -> Option<Memory> {
    let mut memory = Memory::default();
    let mut more = MoreMemory::default();
    for (name, value) in pairs(folder.read("memory.stat", buffer)?) {
        match name {
            b"anon" => memory.rss = value,
            b"file" => memory.cache = value,
            b"file_mapped" => memory.mapped_file = value,
            b"active_file" => memory.active_file = value,
            b"inactive_file" => memory.inactive_file = value,
            b"pgfault" => memory.page_faults = value,
            b"pgmajfault" => memory.major_page_faults = value,
            b"file_dirty" => more.file_dirty = value,
            b"file_writeback" => more.file_writeback = value,
            b"pgscan" => more.scanned = value,
            b"pgsteal" => more.stolen = value,
            b"workingset_refault_file" => more.refaults_file = value,
            b"workingset_refault_anon" => more.refaults_anon = value,
            _ => {}
        }
    }
    // The root has no file for what it uses.
    memory.usage = folder
        .number("memory.current", buffer)
        .unwrap_or_else(|| memory.rss.saturating_add(memory.cache));
    memory.max_usage = folder.number("memory.peak", buffer);
    memory.swap = folder.number("memory.swap.current", buffer).unwrap_or(0);
    for (name, value) in pairs(folder.read("memory.events", buffer).unwrap_or_default()) {
        match name {
            b"high" => more.high_events = value,
            b"max" => more.max_events = value,
            _ => {}
        }
    }
    memory.more = Some(more);
    Some(memory)
}

fn memory_spec(folder: &Folder, buffer: &mut Buffer) -> Option<MemorySpec> {
    let limit = only_number(folder.read("memory.max", buffer)?);
    Some(MemorySpec {
        limit: limit.filter(|bytes| *bytes <= LARGEST_LIMIT),
        swap_limit: folder.limit("memory.swap.max", buffer),
        reservation: folder.limit("memory.min", buffer),
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
            "",
            &[
                ("cgroup.controllers", "cpu memory\n"),
                ("cpu.stat", "usage_usec 9\nuser_usec 5\nsystem_usec 4\n"),
                ("memory.stat", "anon 100\nfile 50\ninactive_file 20\n"),
            ],
        );
        fixture::write(
            root,
            "a",
            &[
                (
                    "cpu.stat",
                    "usage_usec 900\nuser_usec 500\nsystem_usec 400\nnr_periods 7\nnr_throttled 3\nthrottled_usec 11\nnr_bursts 1\nburst_usec 2\n",
                ),
                ("cpu.max", "50000 100000\n"),
                ("cpu.weight", "79\n"),
                ("memory.current", "1000\n"),
                ("memory.peak", "2000\n"),
                ("memory.swap.current", "30\n"),
                ("memory.max", "4096\n"),
                ("memory.swap.max", "max\n"),
                ("memory.min", "0\n"),
                ("memory.events", "low 0\nhigh 4\nmax 5\noom 0\n"),
                (
                    "memory.stat",
                    "anon 600\nfile 300\nfile_mapped 10\nactive_file 100\ninactive_file 200\npgfault 8\npgmajfault 1\npgscan 12\n",
                ),
            ],
        );
        let mut cgroups = Cgroups::new(root);
        let groups = cgroups.read(&Wanted::ALL).unwrap();
        assert!(groups.iter().all(|group| group.created.is_some()));
        let shown: Vec<_> = groups
            .iter()
            .map(|group| (group.cpu, group.cpu_spec, group.memory, group.memory_spec))
            .collect();
        let [(Some(cpu), None, Some(memory), None), group] = shown.as_slice() else {
            panic!("{shown:?}")
        };
        assert_eq!((cpu.usage, cpu.throttling), (9000, None));
        assert_eq!((memory.usage, memory.working_set()), (150, 130));
        let (Some(cpu), Some(cpu_spec), Some(memory), Some(memory_spec)) = group else {
            panic!("{group:?}")
        };
        assert_eq!((cpu.user, cpu.system), (500_000, 400_000));
        let throttling = cpu.throttling.unwrap();
        assert_eq!(
            (
                throttling.periods,
                throttling.throttled_periods,
                throttling.throttled
            ),
            (7, 3, 11_000)
        );
        assert_eq!((throttling.bursts, throttling.burst), (1, 2000));
        assert_eq!(
            *cpu_spec,
            CpuSpec {
                period: 100_000,
                quota: Some(50_000),
                shares: 2046
            }
        );
        assert_eq!(
            (memory.usage, memory.max_usage, memory.swap),
            (1000, Some(2000), 30)
        );
        assert_eq!(
            (memory.rss, memory.cache, memory.working_set()),
            (600, 300, 800)
        );
        let more = memory.more.unwrap();
        assert_eq!(
            (more.high_events, more.max_events, more.scanned),
            (4, 5, 12)
        );
        assert_eq!(
            *memory_spec,
            MemorySpec {
                limit: Some(4096),
                swap_limit: None,
                reservation: Some(0)
            }
        );
    }

    #[test]
    fn weights_become_shares() {
        assert_eq!(shares(1), 2);
        assert_eq!(shares(10_000), 262_144);
        assert_eq!(shares(0), 2);
        assert_eq!(shares(u64::MAX), 262_144);
    }
}
