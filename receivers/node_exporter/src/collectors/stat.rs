//! What the kernel has done since boot: `/proc/stat`.

use corten_host::stat::{SOFTIRQS, Stat};
use corten_host::{HostError, float};

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::shared::{SharedStat, Sources};

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(StatCollector {
        softirq: config.stat.softirq,
        stat: sources.stat.clone(),
    })
}

struct StatCollector {
    softirq: bool,
    stat: SharedStat,
}

impl Collector for StatCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let softirq = self.softirq;
        self.stat
            .read(emit.scrape, |stat| show(stat, softirq, emit))
    }
}

fn show(stat: &Stat, softirq: bool, emit: &mut Emit<'_>) {
    for (name, help, value) in [
        (
            "node_intr_total",
            "Interrupts served since boot.",
            stat.interrupts,
        ),
        (
            "node_context_switches_total",
            "Context switches since boot.",
            stat.context_switches,
        ),
        (
            "node_forks_total",
            "Processes and threads made since boot.",
            stat.forks,
        ),
    ] {
        single(emit.counter(name, help), float(value));
    }
    for (name, help, value) in [
        (
            "node_boot_time_seconds",
            "When the host booted, in seconds since 1970.",
            stat.boot_time,
        ),
        (
            "node_procs_running",
            "Processes that run or could.",
            stat.procs_running,
        ),
        (
            "node_procs_blocked",
            "Processes that wait for a disk.",
            stat.procs_blocked,
        ),
    ] {
        single(emit.gauge(name, help), float(value));
    }
    if softirq {
        let mut family = emit.counter(
            "node_softirqs_total",
            "Software interrupts of each kind since boot.",
        );
        for (vector, count) in SOFTIRQS.into_iter().zip(stat.softirqs) {
            family.add(&[("vector", vector)], float(count));
        }
    }
}
