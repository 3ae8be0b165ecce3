//! The families of block devices: one sample for each device of a container, and for the root one
//! for each file system.

use corten_host::cgroup::{DeviceIo, Operation};
use corten_host::families::{Families, Kind};
use corten_host::float;
use corten_host::statfs::Usage;

use crate::disks::{Disks, FileSystem};
use crate::scraper::{Container, Measure};

/// One family: its value for a device of a group, and for a file system of the machine.
struct Row {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    device: fn(&DeviceIo) -> Option<f64>,
    /// Which column of `/proc/diskstats`, and what it is divided by.
    machine: Option<(usize, f64)>,
}

const fn row(
    name: &'static str,
    help: &'static str,
    device: fn(&DeviceIo) -> Option<f64>,
    machine: Option<(usize, f64)>,
) -> Row {
    Row {
        name,
        kind: Kind::Counter,
        help,
        device,
        machine,
    }
}

const MILLISECONDS: f64 = 1e3;

fn seconds(nanoseconds: Option<u64>) -> Option<f64> {
    Some(float(nanoseconds?) / 1e9)
}

fn micro(microseconds: Option<u64>) -> Option<f64> {
    Some(float(microseconds?) / 1e6)
}

const ROWS: &[Row] = &[
    row(
        "container_fs_reads_bytes_total",
        "Bytes that each container has read from each device.",
        |device| device.bytes(Operation::Read).map(float),
        None,
    ),
    row(
        "container_fs_reads_total",
        "Reads of each container from each device.",
        |device| device.requests(Operation::Read).map(float),
        Some((0, 1.0)),
    ),
    row(
        "container_fs_sector_reads_total",
        "Sectors that each container has read from each device.",
        |device| device.sectors.map(float),
        Some((2, 1.0)),
    ),
    row(
        "container_fs_reads_merged_total",
        "Reads of each container that were merged with others.",
        |device| device.merged(Operation::Read).map(float),
        Some((1, 1.0)),
    ),
    row(
        "container_fs_read_seconds_total",
        "Time that each container's reads took, in seconds.",
        |device| seconds(device.service_time(Operation::Read)),
        Some((3, MILLISECONDS)),
    ),
    row(
        "container_fs_writes_bytes_total",
        "Bytes that each container has written to each device.",
        |device| device.bytes(Operation::Write).map(float),
        None,
    ),
    row(
        "container_fs_writes_total",
        "Writes of each container to each device.",
        |device| device.requests(Operation::Write).map(float),
        Some((4, 1.0)),
    ),
    row(
        "container_fs_sector_writes_total",
        "Sectors that each container has written to each device.",
        |_| None,
        Some((6, 1.0)),
    ),
    row(
        "container_fs_writes_merged_total",
        "Writes of each container that were merged with others.",
        |device| device.merged(Operation::Write).map(float),
        Some((5, 1.0)),
    ),
    row(
        "container_fs_write_seconds_total",
        "Time that each container's writes took, in seconds.",
        |device| seconds(device.service_time(Operation::Write)),
        Some((7, MILLISECONDS)),
    ),
    Row {
        name: "container_fs_io_current",
        kind: Kind::Gauge,
        help: "Requests that are waiting or under way.",
        device: |device| device.queued(Operation::Total).map(float),
        machine: Some((8, 1.0)),
    },
    row(
        "container_fs_io_time_seconds_total",
        "Time in which there was something to do, in seconds.",
        |device| device.time.map(|time| float(time) / MILLISECONDS),
        Some((9, MILLISECONDS)),
    ),
    row(
        "container_fs_io_time_weighted_seconds_total",
        "Time in which there was something to do, times the requests under way, in seconds.",
        |_| None,
        Some((10, MILLISECONDS)),
    ),
    row(
        "container_fs_io_cost_usage_seconds_total",
        "Time that the cost model of the device charged, in seconds.",
        |device| micro(device.cost.usage),
        None,
    ),
    row(
        "container_fs_io_cost_wait_seconds_total",
        "Time that requests waited for the cost model of the device, in seconds.",
        |device| micro(device.cost.wait),
        None,
    ),
    row(
        "container_fs_io_cost_indebt_seconds_total",
        "Time in debt to the cost model of the device, in seconds.",
        |device| micro(device.cost.indebt),
        None,
    ),
    row(
        "container_fs_io_cost_indelay_seconds_total",
        "Time held back for a debt to the cost model of the device, in seconds.",
        |device| micro(device.cost.indelay),
        None,
    ),
];

/// Writes them; `systems` are the machine's file systems, empty unless they are wanted.
pub(crate) fn write(
    families: &mut Families,
    containers: &[Container<'_>],
    disks: &Disks,
    systems: &[FileSystem],
) {
    let mut labels = Vec::new();
    for row in ROWS {
        let mut family = families.family(row.kind, row.name, row.help);
        for container in containers {
            for device in &container.group.io {
                let Some(value) = (row.device)(device) else {
                    continue;
                };
                let name = disks.name(device.major, device.minor);
                container.labelled(&mut labels, &[("device", name)]);
                family.add(&labels, value);
            }
            let Some((column, unit)) = row.machine else {
                continue;
            };
            if !container.group.is_root() {
                continue;
            }
            for system in systems {
                // The control group has told of it already: two samples of one name and labels
                // would spoil the scrape.
                let told = container.group.io.iter().any(|device| {
                    disks.name(device.major, device.minor) == system.device
                        && (row.device)(device).is_some()
                });
                if !told && let Some(value) = system.io.get(column) {
                    container.labelled(&mut labels, &[("device", &system.device)]);
                    family.add(&labels, float(*value) / unit);
                }
            }
        }
    }
    usage(families, containers, disks);
}

/// Bytes by operation, with the device's numbers.
fn usage(families: &mut Families, containers: &[Container<'_>], disks: &Disks) {
    let mut family = families.family(
        Kind::Counter,
        "container_blkio_device_usage_total",
        "Bytes that each container has moved to and from each device.",
    );
    for container in containers {
        for device in &container.group.io {
            let (major, minor) = (device.major.to_string(), device.minor.to_string());
            let name = disks.name(device.major, device.minor);
            let mut labels = Vec::new();
            for (operation, value) in &device.bytes {
                container.labelled(
                    &mut labels,
                    &[
                        ("device", name),
                        ("major", &major),
                        ("minor", &minor),
                        ("operation", operation.name()),
                    ],
                );
                family.add(&labels, float(*value));
            }
        }
    }
}

/// Size and use of the machine's file systems, under the root.
pub(crate) fn file_systems(
    families: &mut Families,
    containers: &[Container<'_>],
    systems: &[FileSystem],
) {
    let rows: [Measure<Usage>; 4] = [
        (
            "container_fs_inodes_free",
            "Inodes that are free on each file system.",
            |usage| usage.inodes_free,
        ),
        (
            "container_fs_inodes_total",
            "Inodes of each file system.",
            |usage| usage.inodes,
        ),
        (
            "container_fs_limit_bytes",
            "Size of each file system in bytes.",
            |usage| usage.blocks.saturating_mul(usage.block_size),
        ),
        (
            "container_fs_usage_bytes",
            "Bytes in use on each file system.",
            |usage| {
                usage
                    .blocks
                    .saturating_sub(usage.blocks_free)
                    .saturating_mul(usage.block_size)
            },
        ),
    ];
    let mut labels = Vec::new();
    for (name, help, value) in rows {
        let mut family = families.family(Kind::Gauge, name, help);
        for container in containers
            .iter()
            .filter(|container| container.group.is_root())
        {
            for system in systems {
                if let Some(usage) = &system.usage {
                    container.labelled(&mut labels, &[("device", &system.device)]);
                    family.add(&labels, float(value(usage)));
                }
            }
        }
    }
}
