//! How fast the CPUs run: `/sys/devices/system/cpu/cpu*/cpufreq`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Cpufreq {
        folder: Attributes::new(sources.roots.sys("devices/system/cpu")),
    })
}

struct Cpufreq {
    folder: Attributes,
}

impl Collector for Cpufreq {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let offline = numbers(&self.folder.text_or_empty("offline"));
        for name in self.folder.names("")? {
            let Some(cpu) = name
                .strip_prefix("cpu")
                .filter(|rest| rest.parse::<u32>().is_ok())
            else {
                continue;
            };
            let is_offline = cpu
                .parse()
                .is_ok_and(|cpu: u32| offline.iter().any(|range| range.contains(&cpu)));
            if is_offline || !self.folder.has_folder(&format!("{name}/cpufreq")) {
                continue;
            }
            for (file, metric, help) in FREQUENCIES {
                // A driver may say `<unknown>`.
                if let Some(kilohertz) = self.folder.number(&format!("{name}/cpufreq/{file}")) {
                    emit.put(Gauge, metric, help, &[("cpu", cpu)], kilohertz * 1000.0);
                }
            }
            let governor = self
                .folder
                .text_or_empty(&format!("{name}/cpufreq/scaling_governor"));
            if governor.is_empty() {
                continue;
            }
            let available = self
                .folder
                .text_or_empty(&format!("{name}/cpufreq/scaling_available_governors"));
            for other in available.split_ascii_whitespace() {
                let chosen = if other == governor { 1.0 } else { 0.0 };
                emit.put(
                    Gauge,
                    "node_cpu_scaling_governor",
                    "Which governor sets each CPU's frequency: 1 for that one.",
                    &[("cpu", cpu), ("governor", other)],
                    chosen,
                );
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const FREQUENCIES: [(&str, &str, &str); 7] = [
    (
        "cpuinfo_cur_freq",
        "node_cpu_frequency_hertz",
        "Frequency of each CPU, in hertz.",
    ),
    (
        "cpuinfo_min_freq",
        "node_cpu_frequency_min_hertz",
        "Lowest frequency that each CPU can have, in hertz.",
    ),
    (
        "cpuinfo_max_freq",
        "node_cpu_frequency_max_hertz",
        "Highest frequency that each CPU can have, in hertz.",
    ),
    (
        "cpuinfo_avg_freq",
        "node_cpu_frequency_avg_hertz",
        "Average frequency of each CPU, in hertz.",
    ),
    (
        "scaling_cur_freq",
        "node_cpu_scaling_frequency_hertz",
        "Frequency that each CPU was set to, in hertz.",
    ),
    (
        "scaling_min_freq",
        "node_cpu_scaling_frequency_min_hertz",
        "Lowest frequency that each CPU may be set to, in hertz.",
    ),
    (
        "scaling_max_freq",
        "node_cpu_scaling_frequency_max_hertz",
        "Highest frequency that each CPU may be set to, in hertz.",
    ),
];

/// The kernel's way to write sets of numbers: `1,3-5`.
fn numbers(text: &str) -> Vec<std::ops::RangeInclusive<u32>> {
    text.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_numbers_and_ranges() {
        assert_eq!(numbers("1,3-5"), [1..=1, 3..=5]);
        assert_eq!(numbers(""), []);
    }
}
