//! What the CPUs do: `/proc/stat`, `/sys/devices/system/cpu` and, when asked, `/proc/cpuinfo`.

use std::collections::BTreeMap;

use corten_config::types::Regex;
use corten_host::stat::{CpuTimes, USER_HZ};
use corten_host::topology::{self, Topology};
use corten_host::{HostError, HostFile, Roots, cpuinfo, float};

use crate::collector::{Collector, Emit};
use crate::config::{Config, Cpu};
use crate::shared::{SharedStat, Sources};

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(CpuCollector {
        config: config.cpu.clone(),
        info: HostFile::new(sources.roots.proc("cpuinfo")),
        stat: sources.stat.clone(),
        shown: BTreeMap::new(),
        topology: Topology::new(&sources.roots),
        isolated: None,
        roots: sources.roots.clone(),
    })
}

struct CpuCollector {
    config: Cpu,
    info: HostFile,
    stat: SharedStat,
    /// What was shown last; counters never go back.
    shown: BTreeMap<u32, CpuTimes>,
    topology: Topology,
    /// Decided at boot, so read once.
    isolated: Option<Vec<u32>>,
    roots: Roots,
}

impl Collector for CpuCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let Cpu {
            info,
            flags_include,
            bugs_include,
            ..
        } = &self.config;
        if *info || flags_include.is_some() || bugs_include.is_some() {
            self.update_info(emit)?;
        }
        self.update_times(emit)?;
        self.update_topology(emit)
    }
}

impl CpuCollector {
    fn update_times(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let shown = &mut self.shown;
        self.stat.read(emit.scrape, |stat| {
            shown.retain(|cpu, _| stat.cpus.iter().any(|(online, _)| online == cpu));
            for (cpu, now) in &stat.cpus {
                let shown = shown.entry(*cpu).or_default();
                *shown = later(shown, now);
            }
        })?;
        let mut number = itoa::Buffer::new();
        let mut seconds = emit.counter(
            "node_cpu_seconds_total",
            "Time that each CPU has spent in each mode since boot, in seconds.",
        );
        for (cpu, times) in &self.shown {
            let cpu = number.format(*cpu);
            for (mode, ticks) in [
                ("idle", times.idle),
                ("iowait", times.iowait),
                ("irq", times.irq),
                ("nice", times.nice),
                ("softirq", times.softirq),
                ("steal", times.steal),
                ("system", times.system),
                ("user", times.user),
            ] {
                seconds.add(&[("cpu", cpu), ("mode", mode)], float(ticks) / USER_HZ);
            }
        }
        seconds.end();
        if self.config.guest {
            let mut seconds = emit.counter(
                "node_cpu_guest_seconds_total",
                "Time that each CPU has spent running guests (virtual machines) since boot, in seconds; also part of the modes user and nice.",
            );
            for (cpu, times) in &self.shown {
                let cpu = number.format(*cpu);
                for (mode, ticks) in [("nice", times.guest_nice), ("user", times.guest)] {
                    seconds.add(&[("cpu", cpu), ("mode", mode)], float(ticks) / USER_HZ);
                }
            }
        }
        Ok(())
    }

    fn update_topology(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut number = itoa::Buffer::new();
        let isolated = match &mut self.isolated {
            Some(isolated) => isolated,
            unread => unread.insert(topology::isolated(&self.roots)?),
        };
        let mut family = emit.gauge(
            "node_cpu_isolated",
            "1 for each CPU that the scheduler leaves alone.",
        );
        for cpu in isolated {
            family.add(&[("cpu", number.format(*cpu))], 1.0);
        }
        family.end();
        let cpus = self.topology.read()?;
        // Where the first CPU has no such file, none can be taken offline.
        if cpus.first().is_some_and(|cpu| cpu.online.is_some()) {
            let mut family = emit.gauge("node_cpu_online", "Whether each CPU is online.");
            for cpu in cpus {
                let online = cpu.online.unwrap_or(false);
                family.add(
                    &[("cpu", number.format(cpu.number))],
                    f64::from(u8::from(online)),
                );
            }
        }
        let mut family = emit.counter(
            "node_cpu_package_throttles_total",
            "How often each CPU package was slowed down for heat.",
        );
        let throttles = self.topology.throttles();
        for throttled in throttles.clone() {
            if throttled.core.is_none() {
                let labels = [("package", number.format(throttled.package))];
                family.add(&labels, float(throttled.count));
            }
        }
        family.end();
        let mut family = emit.counter(
            "node_cpu_core_throttles_total",
            "How often each CPU core was slowed down for heat.",
        );
        let mut other = itoa::Buffer::new();
        for throttled in throttles {
            if let Some(core) = throttled.core {
                let labels = [
                    ("core", number.format(core)),
                    ("package", other.format(throttled.package)),
                ];
                family.add(&labels, float(throttled.count));
            }
        }
        Ok(())
    }

    fn update_info(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let processors = cpuinfo::parse(self.info.read()?)?;
        let mut number = itoa::Buffer::new();
        let mut family = emit.gauge("node_cpu_info", "What each CPU is: always 1.");
        for cpu in &processors {
            family.add(
                &[
                    ("cachesize", cpu.cache_size),
                    ("core", cpu.core_id),
                    ("cpu", number.format(cpu.number)),
                    ("family", cpu.family),
                    ("microcode", cpu.microcode),
                    ("model", cpu.model),
                    ("model_name", cpu.model_name),
                    ("package", cpu.physical_id),
                    ("stepping", cpu.stepping),
                    ("vendor", cpu.vendor),
                ],
                1.0,
            );
        }
        family.end();
        let Some(first) = processors.first() else {
            return Ok(());
        };
        let words = |filter: &Option<Regex>, words: &str, mut show: Box<dyn FnMut(&str) + '_>| {
            if let Some(filter) = filter {
                for word in words.split_ascii_whitespace() {
                    if filter.is_match(word) {
                        show(word);
                    }
                }
            }
        };
        let mut family = emit.gauge(
            "node_cpu_flag_info",
            "1 for each feature that the first CPU has.",
        );
        words(
            &self.config.flags_include,
            first.flags,
            Box::new(|flag| family.add(&[("flag", flag)], 1.0)),
        );
        family.end();
        let mut family = emit.gauge(
            "node_cpu_bug_info",
            "1 for each hardware bug that the first CPU has.",
        );
        words(
            &self.config.bugs_include,
            first.bugs,
            Box::new(|bug| family.add(&[("bug", bug)], 1.0)),
        );
        Ok(())
    }
}

/// Ticks of idle time that a CPU may seem to lose; beyond that it was offline and counts anew.
const JUMP: u64 = 300;

/// The times to show after `shown`. The kernel's accounting of idle time and of I/O wait steps
/// back now and then (Documentation/filesystems/proc.rst), which would look like a restart.
fn later(shown: &CpuTimes, now: &CpuTimes) -> CpuTimes {
    if shown.idle.saturating_sub(now.idle) >= JUMP {
        return *now;
    }
    CpuTimes {
        user: now.user.max(shown.user),
        nice: now.nice.max(shown.nice),
        system: now.system.max(shown.system),
        idle: now.idle.max(shown.idle),
        iowait: now.iowait.max(shown.iowait),
        irq: now.irq.max(shown.irq),
        softirq: now.softirq.max(shown.softirq),
        steal: now.steal.max(shown.steal),
        guest: now.guest.max(shown.guest),
        guest_nice: now.guest_nice.max(shown.guest_nice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_step_back_only_when_a_cpu_was_offline() {
        let shown = CpuTimes {
            user: 10,
            idle: 1000,
            iowait: 50,
            ..CpuTimes::default()
        };
        let now = CpuTimes {
            user: 11,
            idle: 999,
            iowait: 49,
            ..CpuTimes::default()
        };
        let next = later(&shown, &now);
        assert_eq!((next.user, next.idle, next.iowait), (11, 1000, 50));
        let restarted = CpuTimes {
            idle: 700,
            ..CpuTimes::default()
        };
        assert_eq!(later(&shown, &restarted), restarted);
    }
}
