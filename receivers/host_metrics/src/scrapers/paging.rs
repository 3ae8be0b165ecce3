//! Paging: `/proc/swaps` and `/proc/vmstat`.

use corten_host::scan::whole;
use corten_host::{HostError, HostFile, Roots, float, swaps, vmstat};

use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.paging.usage",
        "By",
        Shape::UpDown,
        &["device", "state"],
        "Space for paging that is used and free.",
    ),
    Definition::new(
        "system.paging.utilization",
        "1",
        Shape::Gauge,
        &["device", "state"],
        "Share of the space for paging that is used and free.",
    )
    .off(),
    Definition::new(
        "system.paging.operations",
        "{operations}",
        Shape::Counter,
        &["direction", "type"],
        "Pages swapped (major), and kilobytes read from and written to disks (minor).",
    ),
    Definition::new(
        "system.paging.faults",
        "{faults}",
        Shape::Counter,
        &["type"],
        "Page faults, major where a disk had to be read.",
    ),
];

pub(crate) struct Paging {
    swaps: HostFile,
    vmstat: HostFile,
}

impl Paging {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            swaps: HostFile::new(roots.proc("swaps")),
            vmstat: HostFile::new(roots.proc("vmstat")),
        }
    }
}

impl Scraper for Paging {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let swaps: Vec<_> = swaps::parse(self.swaps.read()?).collect::<Result<_, _>>()?;
        let states = |swap: &swaps::Swap<'_>| {
            [
                ("used", swap.used),
                ("free", swap.size.saturating_sub(swap.used)),
            ]
        };
        let mut points = emit.metric("system.paging.usage");
        for swap in &swaps {
            for (state, bytes) in states(swap) {
                points.add(&[("device", swap.device), ("state", state)], bytes);
            }
        }
        points.end();
        let mut points = emit.metric("system.paging.utilization");
        for swap in swaps.iter().filter(|swap| swap.size > 0) {
            for (state, bytes) in states(swap) {
                let share = float(bytes) / float(swap.size);
                points.add(&[("device", swap.device), ("state", state)], share);
            }
        }
        points.end();
        let (mut swapped_in, mut swapped_out) = (0, 0);
        let (mut paged_in, mut paged_out) = (0, 0);
        let (mut faults, mut major_faults) = (0, 0);
        for line in vmstat::parse(self.vmstat.read()?) {
            let (name, value) = line?;
            let value = whole(value);
            match name {
                "pswpin" => swapped_in = value,
                "pswpout" => swapped_out = value,
                "pgpgin" => paged_in = value,
                "pgpgout" => paged_out = value,
                "pgfault" => faults = value,
                "pgmajfault" => major_faults = value,
                _ => {}
            }
        }
        let mut points = emit.metric("system.paging.operations");
        for (direction, kind, value) in [
            ("page_in", "major", swapped_in),
            ("page_out", "major", swapped_out),
            ("page_in", "minor", paged_in),
            ("page_out", "minor", paged_out),
        ] {
            points.add(&[("direction", direction), ("type", kind)], value);
        }
        points.end();
        let mut points = emit.metric("system.paging.faults");
        points.add(&[("type", "major")], major_faults);
        points.add(&[("type", "minor")], faults.saturating_sub(major_faults));
        Ok(())
    }
}
