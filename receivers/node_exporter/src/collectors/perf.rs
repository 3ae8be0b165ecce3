//! What every CPU counts: the kernel's performance counters (`perf_event_open(2)`), for all processes together.
//!
//! Counters are opened at the first scrape and count from then on. Those that the machine has not (a virtual machine seldom
//! has any of the hardware's) are left out.

use std::io;

use corten_host::families::Kind::Counter;
use corten_host::scan::float;
use corten_host::{Attributes, HostError};
use perf_event::Builder;
use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware, Software};

use crate::collector::{Collector, Emit};
use crate::config::{Config, Perf};
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(PerfCollector {
        config: config.perf.clone(),
        cpus: Attributes::new(sources.roots.sys("devices/system/cpu")),
        open: None,
    })
}

struct PerfCollector {
    config: Perf,
    cpus: Attributes,
    open: Option<Vec<Open>>,
}

/// A counter of one CPU.
struct Open {
    counter: perf_event::Counter,
    kind: &'static Profiler,
    cpu: String,
}

/// What can be counted: node_exporter's name of it, the metric, what that is, and the event.
struct Profiler {
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    event: What,
}

enum What {
    Software(Software),
    Hardware(Hardware),
    Cache(CacheId, CacheOp, CacheResult),
}

const fn software(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    event: Software,
) -> Profiler {
    let event = What::Software(event);
    Profiler {
        name,
        metric,
        help,
        event,
    }
}

const fn hardware(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    event: Hardware,
) -> Profiler {
    let event = What::Hardware(event);
    Profiler {
        name,
        metric,
        help,
        event,
    }
}

const fn cache(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    event: (CacheId, CacheOp, CacheResult),
) -> Profiler {
    let event = What::Cache(event.0, event.1, event.2);
    Profiler {
        name,
        metric,
        help,
        event,
    }
}

pub(crate) struct Group {
    profilers: &'static [Profiler],
}

impl Group {
    /// The names that users may choose.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.profilers.iter().map(|one| one.name)
    }
}

pub(crate) const SOFTWARE: Group = Group {
    profilers: &[
        software(
            "ContextSwitch",
            "node_perf_context_switches_total",
            "How often each CPU went from one task to another.",
            Software::CONTEXT_SWITCHES,
        ),
        software(
            "CpuMigration",
            "node_perf_cpu_migrations_total",
            "How often a task was moved to each CPU.",
            Software::CPU_MIGRATIONS,
        ),
        software(
            "MajorFault",
            "node_perf_major_faults_total",
            "Page faults that needed a disk.",
            Software::PAGE_FAULTS_MAJ,
        ),
        software(
            "MinorFault",
            "node_perf_minor_faults_total",
            "Page faults that needed no disk.",
            Software::PAGE_FAULTS_MIN,
        ),
        software(
            "PageFault",
            "node_perf_page_faults_total",
            "Page faults.",
            Software::PAGE_FAULTS,
        ),
    ],
};

pub(crate) const HARDWARE: Group = Group {
    profilers: &[
        hardware(
            "BranchInstr",
            "node_perf_branch_instructions_total",
            "Branches that were executed.",
            Hardware::BRANCH_INSTRUCTIONS,
        ),
        hardware(
            "BranchMisses",
            "node_perf_branch_misses_total",
            "Branches that were predicted wrongly.",
            Hardware::BRANCH_MISSES,
        ),
        hardware(
            "CacheMisses",
            "node_perf_cache_misses_total",
            "Accesses that the last cache could not serve.",
            Hardware::CACHE_MISSES,
        ),
        hardware(
            "CacheRef",
            "node_perf_cache_refs_total",
            "Accesses to the last cache.",
            Hardware::CACHE_REFERENCES,
        ),
        hardware(
            "CpuCycles",
            "node_perf_cpucycles_total",
            "Cycles, at whatever frequency.",
            Hardware::CPU_CYCLES,
        ),
        hardware(
            "CpuInstr",
            "node_perf_instructions_total",
            "Instructions that were executed.",
            Hardware::INSTRUCTIONS,
        ),
        hardware(
            "RefCpuCycles",
            "node_perf_ref_cpucycles_total",
            "Cycles, as if the frequency were always the same.",
            Hardware::REF_CPU_CYCLES,
        ),
        hardware(
            "StalledCyclesBackend",
            "node_perf_stalled_cycles_backend_total",
            "Cycles in which nothing could be finished.",
            Hardware::STALLED_CYCLES_BACKEND,
        ),
        hardware(
            "StalledCyclesFrontend",
            "node_perf_stalled_cycles_frontend_total",
            "Cycles in which nothing could be begun.",
            Hardware::STALLED_CYCLES_FRONTEND,
        ),
    ],
};

pub(crate) const CACHES: Group = Group {
    profilers: &[
        cache(
            "BPUReadHit",
            "node_perf_cache_bpu_read_hits_total",
            "Reads of the branch predictor that hit.",
            (CacheId::BPU, CacheOp::READ, CacheResult::ACCESS),
        ),
        cache(
            "BPUReadMiss",
            "node_perf_cache_bpu_read_misses_total",
            "Reads of the branch predictor that missed.",
            (CacheId::BPU, CacheOp::READ, CacheResult::MISS),
        ),
        cache(
            "L1DataReadHit",
            "node_perf_cache_l1d_read_hits_total",
            "Reads of the first data cache that hit.",
            (CacheId::L1D, CacheOp::READ, CacheResult::ACCESS),
        ),
        cache(
            "L1DataReadMiss",
            "node_perf_cache_l1d_read_misses_total",
            "Reads of the first data cache that missed.",
            (CacheId::L1D, CacheOp::READ, CacheResult::MISS),
        ),
        cache(
            "L1DataWriteHit",
            "node_perf_cache_l1d_write_hits_total",
            "Writes to the first data cache that hit.",
            (CacheId::L1D, CacheOp::WRITE, CacheResult::ACCESS),
        ),
        cache(
            "L1InstrReadMiss",
            "node_perf_cache_l1_instr_read_misses_total",
            "Reads of the first instruction cache that missed.",
            (CacheId::L1I, CacheOp::READ, CacheResult::MISS),
        ),
        cache(
            "LLReadHit",
            "node_perf_cache_ll_read_hits_total",
            "Reads of the last cache that hit.",
            (CacheId::LL, CacheOp::READ, CacheResult::ACCESS),
        ),
        cache(
            "LLReadMiss",
            "node_perf_cache_ll_read_misses_total",
            "Reads of the last cache that missed.",
            (CacheId::LL, CacheOp::READ, CacheResult::MISS),
        ),
        cache(
            "LLWriteHit",
            "node_perf_cache_ll_write_hits_total",
            "Writes to the last cache that hit.",
            (CacheId::LL, CacheOp::WRITE, CacheResult::ACCESS),
        ),
        cache(
            "LLWriteMiss",
            "node_perf_cache_ll_write_misses_total",
            "Writes to the last cache that missed.",
            (CacheId::LL, CacheOp::WRITE, CacheResult::MISS),
        ),
        cache(
            "InstrTLBReadHit",
            "node_perf_cache_tlb_instr_read_hits_total",
            "Reads of the instructions' translation buffer that hit.",
            (CacheId::ITLB, CacheOp::READ, CacheResult::ACCESS),
        ),
        cache(
            "InstrTLBReadMiss",
            "node_perf_cache_tlb_instr_read_misses_total",
            "Reads of the instructions' translation buffer that missed.",
            (CacheId::ITLB, CacheOp::READ, CacheResult::MISS),
        ),
    ],
};

impl Profiler {
    fn open(&self, cpu: usize) -> io::Result<perf_event::Counter> {
        match self.event {
            What::Software(event) => open(event, cpu),
            What::Hardware(event) => open(event, cpu),
            What::Cache(which, operation, result) => open(
                Cache {
                    which,
                    operation,
                    result,
                },
                cpu,
            ),
        }
    }
}

fn open(event: impl Event, cpu: usize) -> io::Result<perf_event::Counter> {
    let mut builder = Builder::new(event);
    builder.any_pid().one_cpu(cpu).include_kernel().include_hv();
    builder.enabled(true).build()
}

impl PerfCollector {
    /// The profilers that are wanted, of all groups.
    fn wanted(&self) -> impl Iterator<Item = &'static Profiler> {
        let config = &self.config;
        [
            (
                SOFTWARE,
                config.disable_software_profilers,
                &config.software_profilers,
            ),
            (
                HARDWARE,
                config.disable_hardware_profilers,
                &config.hardware_profilers,
            ),
            (
                CACHES,
                config.disable_cache_profilers,
                &config.cache_profilers,
            ),
        ]
        .into_iter()
        .filter(|(_, disabled, _)| !disabled)
        .flat_map(|(group, _, chosen)| {
            let wanted =
                |one: &&Profiler| chosen.is_empty() || chosen.iter().any(|name| name == one.name);
            group.profilers.iter().filter(wanted)
        })
    }

    fn open(&mut self) -> Result<Vec<Open>, HostError> {
        let cpus = match &self.config.cpus {
            Some(cpus) => cpus.clone(),
            None => {
                let online = self.cpus.text("online")?;
                online.trim().parse().map_err(|_| {
                    HostError::malformed(
                        "devices/system/cpu/online",
                        1,
                        "numbers of CPUs",
                        online.as_bytes(),
                    )
                })?
            }
        };
        let mut open = Vec::new();
        for cpu in cpus.iter() {
            for kind in self.wanted() {
                match kind.open(cpu) {
                    Ok(counter) => open.push(Open {
                        counter,
                        kind,
                        cpu: cpu.to_string(),
                    }),
                    Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied) => {
                        let remedy =
                            "CAP_PERFMON is needed, or kernel.perf_event_paranoid of 0 or less";
                        let error = io::Error::new(error.kind(), format!("{error}: {remedy}"));
                        return Err(HostError::read("perf_event_open", error));
                    }
                    // The machine has no such counter, or not as many at once.
                    Err(_) => {}
                }
            }
        }
        if open.is_empty() {
            return Err(HostError::NoData("no counter could be opened"));
        }
        Ok(open)
    }
}

impl Collector for PerfCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        if self.open.is_none() {
            self.open = Some(self.open()?);
        }
        for open in self.open.iter_mut().flatten() {
            let count = open.counter.read();
            let count = count.map_err(|error| HostError::read("perf_event", error))?;
            let Profiler { metric, help, .. } = open.kind;
            emit.put(Counter, metric, help, &[("cpu", &open.cpu)], float(count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerfCpus;

    #[test]
    fn the_kernels_own_counters_grow() {
        let switches = &SOFTWARE.profilers[0];
        match switches.open(0) {
            Ok(mut counter) => {
                let before = counter.read().unwrap();
                for _ in 0..50 {
                    std::thread::yield_now();
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
                assert!(counter.read().unwrap() >= before);
            }
            // Without the right to, it says so.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }

    #[test]
    fn cpus_are_numbers_and_ranges() {
        let cpus = |text: &str| {
            let parsed: Option<PerfCpus> = text.parse().ok();
            parsed.map(|cpus| cpus.iter().collect::<Vec<_>>())
        };
        assert_eq!(cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpus("1-9:4"), Some(vec![1, 5, 9]));
        for wrong in ["", "a", "3-1", "0-2:0", "0-999999999"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
    }
}
