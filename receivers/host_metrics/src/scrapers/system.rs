//! The host itself: `/proc/uptime`.

use corten_host::{HostError, HostFile, Roots, uptime};

use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[Definition::new(
    "system.uptime",
    "s",
    Shape::Gauge,
    &[],
    "Time since the host booted.",
)];

pub(crate) struct System {
    file: HostFile,
}

impl System {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            file: HostFile::new(roots.proc("uptime")),
        }
    }
}

impl Scraper for System {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let seconds = uptime::parse(self.file.read()?)?;
        emit.single("system.uptime", seconds);
        Ok(())
    }
}
