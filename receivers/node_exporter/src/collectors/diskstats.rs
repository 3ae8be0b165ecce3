//! What the disks do: `/proc/diskstats`, with what udev knows of them.

use corten_host::diskstats::{self, Column, Disk, MILLISECOND, SECTOR};
use corten_host::udev::{self, Properties};
use corten_host::{Buffer, DeviceNumbers, HostError, HostFile, Roots, float};

use crate::collector::{Collector, Emit};
use crate::config::{Config, constant};
use crate::filter::Filter;
use crate::shared::Sources;

/// RAM disks, loop devices, floppies and partitions.
const EXCLUDED: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Diskstats {
        filter: Filter::new(
            config.diskstats.device_exclude.as_ref(),
            config.diskstats.device_include.as_ref(),
            Some(constant(EXCLUDED)),
        ),
        file: HostFile::of_short_lines(sources.roots.proc("diskstats")),
        rotational: DeviceNumbers::new(sources.roots.sys("block"), "queue/rotational"),
        udev: Vec::new(),
        roots: sources.roots.clone(),
    })
}

struct Diskstats {
    filter: Filter,
    file: HostFile,
    rotational: DeviceNumbers,
    /// udev's files of the disks, in their order.
    udev: Vec<Buffer>,
    roots: Roots,
}

/// The columns in the order of the file: name, description and the factor of the unit.
const COUNTERS: [(Column, &str, &str, f64); 16] = [
    (
        Column::Reads,
        "node_disk_reads_completed_total",
        "Reads that each disk has completed.",
        1.0,
    ),
    (
        Column::ReadsMerged,
        "node_disk_reads_merged_total",
        "Reads of each disk that were merged with others.",
        1.0,
    ),
    (
        Column::SectorsRead,
        "node_disk_read_bytes_total",
        "Bytes read from each disk.",
        SECTOR,
    ),
    (
        Column::ReadTime,
        "node_disk_read_time_seconds_total",
        "Time that all reads of each disk have taken together, in seconds.",
        MILLISECOND,
    ),
    (
        Column::Writes,
        "node_disk_writes_completed_total",
        "Writes that each disk has completed.",
        1.0,
    ),
    (
        Column::WritesMerged,
        "node_disk_writes_merged_total",
        "Writes of each disk that were merged with others.",
        1.0,
    ),
    (
        Column::SectorsWritten,
        "node_disk_written_bytes_total",
        "Bytes written to each disk.",
        SECTOR,
    ),
    (
        Column::WriteTime,
        "node_disk_write_time_seconds_total",
        "Time that all writes of each disk have taken together, in seconds.",
        MILLISECOND,
    ),
    (
        Column::IoTime,
        "node_disk_io_time_seconds_total",
        "Time in which each disk had something to do, in seconds.",
        MILLISECOND,
    ),
    (
        Column::WeightedIoTime,
        "node_disk_io_time_weighted_seconds_total",
        "Time in which each disk had something to do, times what it had to do, in seconds.",
        MILLISECOND,
    ),
    (
        Column::Discards,
        "node_disk_discards_completed_total",
        "Discards that each disk has completed.",
        1.0,
    ),
    (
        Column::DiscardsMerged,
        "node_disk_discards_merged_total",
        "Discards of each disk that were merged with others.",
        1.0,
    ),
    (
        Column::SectorsDiscarded,
        "node_disk_discarded_sectors_total",
        "Sectors of 512 bytes discarded on each disk.",
        1.0,
    ),
    (
        Column::DiscardTime,
        "node_disk_discard_time_seconds_total",
        "Time that all discards of each disk have taken together, in seconds.",
        MILLISECOND,
    ),
    (
        Column::Flushes,
        "node_disk_flush_requests_total",
        "Flushes that each disk has completed.",
        1.0,
    ),
    (
        Column::FlushTime,
        "node_disk_flush_requests_time_seconds_total",
        "Time that all flushes of each disk have taken together, in seconds.",
        MILLISECOND,
    ),
];

/// What udev knows of ATA disks: its property, name and description.
const ATA: [(&str, &str, &str); 3] = [
    (
        "ID_ATA_ROTATION_RATE_RPM",
        "node_disk_ata_rotation_rate_rpm",
        "Turns a minute of each ATA disk, 0 for flash.",
    ),
    (
        "ID_ATA_WRITE_CACHE",
        "node_disk_ata_write_cache",
        "Whether each ATA disk has a write cache.",
    ),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        "node_disk_ata_write_cache_enabled",
        "Whether the write cache of each ATA disk is on.",
    ),
];

impl Collector for Diskstats {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let filter = &self.filter;
        let disks: Vec<Disk<'_>> = diskstats::parse(self.file.read()?)
            .filter(|disk| !matches!(disk, Ok(disk) if !filter.lets_in(disk.name)))
            .collect::<Result<_, _>>()?;
        self.udev
            .resize_with(disks.len().max(self.udev.len()), Buffer::default);
        let known: Vec<(&Disk<'_>, Properties<'_>)> = disks
            .iter()
            .zip(&mut self.udev)
            .map(|(disk, buffer)| {
                let known = udev::block_device(&self.roots, disk.major, disk.minor, buffer);
                (disk, known)
            })
            .collect();
        info(emit, &known, &mut self.rotational);
        self.rotational.forget_unused();
        for (column, name, help, factor) in COUNTERS {
            let mut family = emit.counter(name, help);
            for disk in &disks {
                if let Some(value) = disk.get(column) {
                    family.add(&[("device", disk.name)], float(value) * factor);
                }
            }
        }
        let mut family = emit.gauge("node_disk_io_now", "Requests that each disk is working on.");
        for disk in &disks {
            if let Some(value) = disk.get(Column::InProgress) {
                family.add(&[("device", disk.name)], float(value));
            }
        }
        family.end();
        what_udev_knows(emit, &known);
        Ok(())
    }
}

fn info(
    emit: &mut Emit<'_>,
    disks: &[(&Disk<'_>, Properties<'_>)],
    rotational: &mut DeviceNumbers,
) {
    let (mut major, mut minor) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut turns = itoa::Buffer::new();
    let mut family = emit.gauge("node_disk_info", "What each disk is: always 1.");
    for (disk, known) in disks {
        // The number printed on the disk, where udev could ask for it.
        let serial = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"]
            .into_iter()
            .map(|name| known.text(name))
            .find(|serial| !serial.is_empty())
            .unwrap_or_default();
        let rotational = rotational.read(disk.name).unwrap_or(0);
        family.add(
            &[
                ("device", disk.name),
                ("major", major.format(disk.major)),
                ("minor", minor.format(disk.minor)),
                ("model", known.text("ID_MODEL")),
                ("path", known.text("ID_PATH")),
                ("revision", known.text("ID_REVISION")),
                ("rotational", turns.format(rotational)),
                ("serial", serial),
                ("wwn", known.text("ID_WWN")),
            ],
            1.0,
        );
    }
}

fn what_udev_knows(emit: &mut Emit<'_>, disks: &[(&Disk<'_>, Properties<'_>)]) {
    let mut family = emit.gauge(
        "node_disk_filesystem_info",
        "The file system on each disk that has one: always 1.",
    );
    for (disk, known) in disks {
        let kind = known.text("ID_FS_TYPE");
        if !kind.is_empty() {
            family.add(
                &[
                    ("device", disk.name),
                    ("type", kind),
                    ("usage", known.text("ID_FS_USAGE")),
                    ("uuid", known.text("ID_FS_UUID")),
                    ("version", known.text("ID_FS_VERSION")),
                ],
                1.0,
            );
        }
    }
    family.end();
    let mut family = emit.gauge(
        "node_disk_device_mapper_info",
        "What each disk of the device mapper is made of: always 1.",
    );
    for (disk, known) in disks {
        let name = known.text("DM_NAME");
        if !name.is_empty() {
            family.add(
                &[
                    ("device", disk.name),
                    ("lv_layer", known.text("DM_LV_LAYER")),
                    ("lv_name", known.text("DM_LV_NAME")),
                    ("name", name),
                    ("uuid", known.text("DM_UUID")),
                    ("vg_name", known.text("DM_VG_NAME")),
                ],
                1.0,
            );
        }
    }
    family.end();
    for (property, name, help) in ATA {
        let mut family = emit.gauge(name, help);
        for (disk, known) in disks {
            if known.text("ID_ATA").is_empty() {
                continue;
            }
            if let Some(value) = known.get(property).and_then(|text| text.parse().ok()) {
                family.add(&[("device", disk.name)], value);
            }
        }
    }
}
