//! What the CPUs do: `/proc/stat`.

use std::collections::BTreeMap;

use corten_host::stat::{CpuTimes, Stat, USER_HZ};
use corten_host::{HostError, HostFile, Roots, cpuinfo, float};

use crate::definition::{Definition, Shape};
use crate::emit::{Emit, Number};
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.cpu.time",
        "s",
        Shape::Counter,
        &["state"],
        "Time that the CPUs have spent in each state.",
    )
    .optional(&["cpu"]),
    Definition::new(
        "system.cpu.utilization",
        "1",
        Shape::Gauge,
        &["state"],
        "Share of the time since the last look that the CPUs have spent in each state.",
    )
    .optional(&["cpu"])
    .off(),
    Definition::new(
        "system.cpu.logical.count",
        "{cpu}",
        Shape::UpDown,
        &[],
        "Logical CPUs that are online.",
    ),
    Definition::new(
        "system.cpu.physical.count",
        "{cpu}",
        Shape::UpDown,
        &[],
        "Physical CPU cores.",
    )
    .off(),
    Definition::new(
        "system.cpu.frequency",
        "Hz",
        Shape::Gauge,
        &["cpu"],
        "Present frequency of each CPU.",
    )
    .off(),
];

pub(crate) struct Cpu {
    file: HostFile,
    info: HostFile,
    stat: Stat,
    /// The times of the last look, which shares are taken against.
    last: BTreeMap<u32, CpuTimes>,
    label: String,
}

impl Cpu {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            file: HostFile::new(roots.proc("stat")),
            info: HostFile::new(roots.proc("cpuinfo")),
            stat: Stat::default(),
            last: BTreeMap::new(),
            label: String::new(),
        }
    }
}

/// OpenTelemetry's states. A guest's time is part of `user` and `nice`, as the kernel has it.
fn states(times: &CpuTimes) -> [(&'static str, u64); 8] {
    [
        ("user", times.user),
        ("system", times.system),
        ("idle", times.idle),
        ("interrupt", times.irq),
        ("nice", times.nice),
        ("softirq", times.softirq),
        ("steal", times.steal),
        ("wait", times.iowait),
    ]
}

fn name(label: &mut String, cpu: u32) -> &str {
    label.clear();
    label.push_str("cpu");
    label.push_str(itoa::Buffer::new().format(cpu));
    label
}

impl Scraper for Cpu {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        self.stat.parse(self.file.read()?)?;
        let mut points = emit.metric("system.cpu.time");
        for (cpu, times) in &self.stat.cpus {
            let cpu = name(&mut self.label, *cpu);
            for (state, ticks) in states(times) {
                points.add(&[("cpu", cpu), ("state", state)], float(ticks) / USER_HZ);
            }
        }
        points.end();
        let mut points = emit.metric("system.cpu.utilization");
        for (cpu, times) in &self.stat.cpus {
            let Some(last) = self.last.get(cpu) else {
                continue;
            };
            let passed = times.total().saturating_sub(last.total());
            if passed == 0 {
                continue;
            }
            let cpu = name(&mut self.label, *cpu);
            for ((state, now), (_, before)) in states(times).into_iter().zip(states(last)) {
                let share = float(now.saturating_sub(before)) / float(passed);
                points.add(&[("cpu", cpu), ("state", state)], share);
            }
        }
        points.end();
        self.last = self.stat.cpus.iter().copied().collect();
        let count = u64::try_from(self.stat.cpus.len()).unwrap_or(u64::MAX);
        emit.single("system.cpu.logical.count", Number::from(count));
        if emit
            .wanted
            .any(&["system.cpu.physical.count", "system.cpu.frequency"])
        {
            self.info(emit)?;
        }
        Ok(())
    }
}

impl Cpu {
    fn info(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let processors = cpuinfo::parse(self.info.read()?)?;
        if let Some(cores) = cpuinfo::physical_cores(&processors) {
            let cores = u64::try_from(cores).unwrap_or(u64::MAX);
            emit.single("system.cpu.physical.count", cores);
        }
        let mut points = emit.metric("system.cpu.frequency");
        for processor in &processors {
            if let Some(megahertz) = processor.megahertz {
                let cpu = name(&mut self.label, processor.number);
                points.add(&[("cpu", cpu)], megahertz * 1e6);
            }
        }
        Ok(())
    }
}
