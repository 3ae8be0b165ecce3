//! The scrapers, one file each with the table of its metrics.

mod cpu;
mod disk;
mod filesystem;
mod load;
mod memory;
mod network;
mod nfs;
mod paging;
mod process;
mod processes;
mod system;

use corten_host::Roots;

use crate::config::{Metrics, Scrapers};
use crate::definition::Definition;
use crate::emit::Wanted;
use crate::scraper::{Entry, Scraper};

/// Their names.
pub(crate) const NAMES: [&str; 11] = [
    "cpu",
    "disk",
    "filesystem",
    "load",
    "memory",
    "network",
    "nfs",
    "paging",
    "process",
    "processes",
    "system",
];

/// The metrics of a scraper; none of one that there is not.
pub(crate) fn definitions(scraper: &str) -> &'static [Definition] {
    match scraper {
        "cpu" => cpu::METRICS,
        "disk" => disk::METRICS,
        "filesystem" => filesystem::METRICS,
        "load" => load::METRICS,
        "memory" => memory::METRICS,
        "network" => network::METRICS,
        "nfs" => nfs::METRICS,
        "paging" => paging::METRICS,
        "process" => process::METRICS,
        "processes" => processes::METRICS,
        "system" => system::METRICS,
        _ => &[],
    }
}

/// The instrumentation scope of a scraper's metrics.
pub(crate) fn scope(scraper: &str) -> &'static str {
    match scraper {
        "cpu" => "host_metrics/cpu",
        "disk" => "host_metrics/disk",
        "filesystem" => "host_metrics/filesystem",
        "load" => "host_metrics/load",
        "memory" => "host_metrics/memory",
        "network" => "host_metrics/network",
        "nfs" => "host_metrics/nfs",
        "paging" => "host_metrics/paging",
        "process" => "host_metrics/process",
        "processes" => "host_metrics/processes",
        "system" => "host_metrics/system",
        _ => "host_metrics",
    }
}

/// Those that the user named. What has resources of its own comes last.
pub(crate) fn all(config: &Scrapers, roots: &Roots) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |name, metrics: &Metrics, scraper: Box<dyn Scraper>| {
        entries.push(Entry {
            name,
            scraper,
            wanted: Wanted::new(definitions(name), metrics),
        });
    };
    if let Some(settings) = config.cpu.as_ref() {
        add("cpu", &settings.metrics, Box::new(cpu::Cpu::new(roots)));
    }
    if let Some(settings) = config.disk.as_ref() {
        let scraper = disk::DiskScraper::new(settings, roots);
        add("disk", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.filesystem.as_ref() {
        let scraper = filesystem::FilesystemScraper::new(settings, roots);
        add("filesystem", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.load.as_ref() {
        let scraper = load::LoadScraper::new(settings, roots);
        add("load", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.memory.as_ref() {
        let scraper = memory::Memory::new(roots);
        add("memory", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.network.as_ref() {
        let scraper = network::NetworkScraper::new(settings, roots);
        add("network", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.nfs.as_ref() {
        add("nfs", &settings.metrics, Box::new(nfs::Nfs::new(roots)));
    }
    if let Some(settings) = config.paging.as_ref() {
        let scraper = paging::Paging::new(roots);
        add("paging", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.processes.as_ref() {
        let scraper = processes::Processes::new(roots);
        add("processes", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.system.as_ref() {
        let scraper = system::System::new(roots);
        add("system", &settings.metrics, Box::new(scraper));
    }
    if let Some(settings) = config.process.as_ref() {
        let scraper = process::ProcessScraper::new(settings, roots);
        add("process", &settings.metrics, Box::new(scraper));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scraper_has_metrics_and_a_scope() {
        for name in NAMES {
            assert!(!definitions(name).is_empty(), "{name}");
            assert_eq!(scope(name), format!("host_metrics/{name}"));
        }
    }

    #[test]
    fn metrics_are_defined_once() {
        let mut names: Vec<_> = NAMES
            .into_iter()
            .flat_map(definitions)
            .map(|definition| definition.name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
