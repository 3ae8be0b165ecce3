//! How many processes there are, and how many there have been.

use corten_host::processes::States;
use corten_host::stat::Stat;
use corten_host::{Buffer, HostError, HostFile, Roots};

use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.processes.count",
        "{processes}",
        Shape::UpDown,
        &["status"],
        "Processes in each state.",
    ),
    Definition::new(
        "system.processes.created",
        "{processes}",
        Shape::Counter,
        &[],
        "Processes and threads made since boot.",
    ),
];

/// OpenTelemetry's states and the kernel's letters for them.
const STATES: [(&str, &[u8]); 7] = [
    ("blocked", b"D"),
    ("idle", b"I"),
    ("paging", b"W"),
    ("running", b"R"),
    ("sleeping", b"S"),
    ("stopped", b"Tt"),
    ("zombies", b"Z"),
];

pub(crate) struct Processes {
    stat_file: HostFile,
    stat: Stat,
    buffer: Buffer,
    roots: Roots,
}

impl Processes {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            stat_file: HostFile::new(roots.proc("stat")),
            stat: Stat::default(),
            buffer: Buffer::default(),
            roots: roots.clone(),
        }
    }
}

impl Scraper for Processes {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        if emit.wanted.any(&["system.processes.count"]) {
            let states = States::count(&self.roots, &mut self.buffer)?;
            let mut points = emit.metric("system.processes.count");
            for (status, letters) in STATES {
                points.add(&[("status", status)], states.of(letters));
            }
        }
        self.stat.parse(self.stat_file.read()?)?;
        emit.single("system.processes.created", self.stat.forks);
        Ok(())
    }
}
