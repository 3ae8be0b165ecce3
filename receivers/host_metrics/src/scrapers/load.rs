//! How much there is to do: `/proc/loadavg`.

use corten_host::loadavg::LoadAverage;
use corten_host::stat::Stat;
use corten_host::{HostError, HostFile, Roots, float};

use crate::config;
use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.cpu.load_average.1m",
        "{thread}",
        Shape::Gauge,
        &[],
        "Load average over one minute.",
    ),
    Definition::new(
        "system.cpu.load_average.5m",
        "{thread}",
        Shape::Gauge,
        &[],
        "Load average over five minutes.",
    ),
    Definition::new(
        "system.cpu.load_average.15m",
        "{thread}",
        Shape::Gauge,
        &[],
        "Load average over fifteen minutes.",
    ),
];

pub(crate) struct LoadScraper {
    file: HostFile,
    /// Where the CPUs are counted, when averages are shared out among them.
    cpus: Option<(HostFile, Stat)>,
}

impl LoadScraper {
    pub(crate) fn new(config: &config::Load, roots: &Roots) -> Self {
        let stat = || (HostFile::new(roots.proc("stat")), Stat::default());
        Self {
            file: HostFile::new(roots.proc("loadavg")),
            cpus: config.cpu_average.then(stat),
        }
    }
}

impl Scraper for LoadScraper {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let load = LoadAverage::parse(self.file.read()?)?;
        let cpus = match &mut self.cpus {
            Some((file, stat)) => {
                stat.parse(file.read()?)?;
                float(u64::try_from(stat.cpus.len()).unwrap_or(u64::MAX))
            }
            None => 1.0,
        };
        emit.single("system.cpu.load_average.1m", load.one / cpus);
        emit.single("system.cpu.load_average.5m", load.five / cpus);
        emit.single("system.cpu.load_average.15m", load.fifteen / cpus);
        Ok(())
    }
}
