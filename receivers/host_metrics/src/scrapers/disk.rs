//! What the disks do: `/proc/diskstats`.

use corten_host::diskstats::{self, Column, Disk, MILLISECOND};
use corten_host::{HostError, HostFile, Roots, float};

use crate::config;
use crate::definition::{Definition, Shape};
use crate::emit::{Emit, Number};
use crate::filter::Filter;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.disk.io",
        "By",
        Shape::Counter,
        &["device", "direction"],
        "Bytes read and written.",
    ),
    Definition::new(
        "system.disk.operations",
        "{operations}",
        Shape::Counter,
        &["device", "direction"],
        "Reads and writes that are completed.",
    ),
    Definition::new(
        "system.disk.operation_time",
        "s",
        Shape::Counter,
        &["device", "direction"],
        "Time that all reads and writes have taken together.",
    ),
    Definition::new(
        "system.disk.merged",
        "{operations}",
        Shape::Counter,
        &["device", "direction"],
        "Reads and writes that were merged with others.",
    ),
    Definition::new(
        "system.disk.io_time",
        "s",
        Shape::Counter,
        &["device"],
        "Time in which there was something to do.",
    ),
    Definition::new(
        "system.disk.weighted_io_time",
        "s",
        Shape::Counter,
        &["device"],
        "Time in which there was something to do, times what there was to do.",
    ),
    Definition::new(
        "system.disk.pending_operations",
        "{operations}",
        Shape::UpDown,
        &["device"],
        "Requests that are being worked on.",
    ),
];

pub(crate) struct DiskScraper {
    filter: Filter,
    file: HostFile,
}

impl DiskScraper {
    pub(crate) fn new(config: &config::Disk, roots: &Roots) -> Self {
        Self {
            filter: Filter::new(&config.include, &config.exclude),
            file: HostFile::new(roots.proc("diskstats")),
        }
    }
}

type Convert = fn(u64) -> Number;

/// Metrics with a direction: name, the columns of reads and of writes, and what a column's number
/// becomes.
const DIRECTED: [(&str, Column, Column, Convert); 4] = [
    (
        "system.disk.io",
        Column::SectorsRead,
        Column::SectorsWritten,
        // The kernel's sectors have 512 bytes, whatever the disk's have.
        |sectors| Number::from(sectors.saturating_mul(512)),
    ),
    (
        "system.disk.operations",
        Column::Reads,
        Column::Writes,
        |count| Number::from(count),
    ),
    (
        "system.disk.operation_time",
        Column::ReadTime,
        Column::WriteTime,
        seconds,
    ),
    (
        "system.disk.merged",
        Column::ReadsMerged,
        Column::WritesMerged,
        |count| Number::from(count),
    ),
];

fn seconds(milliseconds: u64) -> Number {
    Number::from(float(milliseconds) * MILLISECOND)
}

impl Scraper for DiskScraper {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let filter = &self.filter;
        let disks: Vec<Disk<'_>> = diskstats::parse(self.file.read()?)
            .filter(|disk| !matches!(disk, Ok(disk) if !filter.lets_in(disk.name)))
            .collect::<Result<_, _>>()?;
        for (name, reads, writes, number) in DIRECTED {
            let mut points = emit.metric(name);
            for disk in &disks {
                for (direction, column) in [("read", reads), ("write", writes)] {
                    if let Some(value) = disk.get(column) {
                        let attributes = [("device", disk.name), ("direction", direction)];
                        points.add(&attributes, number(value));
                    }
                }
            }
        }
        for (name, column) in [
            ("system.disk.io_time", Column::IoTime),
            ("system.disk.weighted_io_time", Column::WeightedIoTime),
        ] {
            let mut points = emit.metric(name);
            for disk in &disks {
                if let Some(value) = disk.get(column) {
                    points.add(&[("device", disk.name)], seconds(value));
                }
            }
        }
        let mut points = emit.metric("system.disk.pending_operations");
        for disk in &disks {
            if let Some(value) = disk.get(Column::InProgress) {
                points.add(&[("device", disk.name)], value);
            }
        }
        Ok(())
    }
}
