//! `/proc/diskstats`: what every block device has done since boot (the kernel's
//! `Documentation/admin-guide/iostats.rst`).

use crate::HostError;
use crate::scan::{fields, lines, number, text};

const FILE: &str = "diskstats";

/// Bytes in what the kernel calls a sector here, whatever the device's own sectors are.
pub const SECTOR: f64 = 512.0;
/// Seconds in the unit of the times here, a millisecond.
pub const MILLISECOND: f64 = 1e-3;

/// The columns after the device's name, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Column {
    /// Reads completed.
    Reads,
    /// Reads merged with others before they were issued.
    ReadsMerged,
    /// [`SECTOR`]s read.
    SectorsRead,
    /// Milliseconds spent reading.
    ReadTime,
    /// Writes completed.
    Writes,
    /// Writes merged with others before they were issued.
    WritesMerged,
    /// [`SECTOR`]s written.
    SectorsWritten,
    /// Milliseconds spent writing.
    WriteTime,
    /// Requests in progress; the only column that is no counter.
    InProgress,
    /// Milliseconds in which there was something to do.
    IoTime,
    /// Milliseconds weighted by the requests in progress.
    WeightedIoTime,
    /// Discards completed (4.18).
    Discards,
    /// Discards merged.
    DiscardsMerged,
    /// [`SECTOR`]s discarded.
    SectorsDiscarded,
    /// Milliseconds spent discarding.
    DiscardTime,
    /// Flush requests completed (5.5).
    Flushes,
    /// Milliseconds spent flushing.
    FlushTime,
}

/// How many columns a kernel of today writes.
pub const COLUMNS: usize = 17;

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk<'a> {
    /// Its driver's number.
    pub major: u32,
    /// Its number within the driver.
    pub minor: u32,
    /// `sda`, `nvme0n1p1`, `dm-0`.
    pub name: &'a str,
    columns: [u64; COLUMNS],
    present: usize,
}

impl Disk<'_> {
    /// The value of a column, `None` where the kernel is too old to have it.
    #[must_use]
    pub fn get(&self, column: Column) -> Option<u64> {
        self.columns
            .get(..self.present)?
            .get(column as usize)
            .copied()
    }
}

/// The devices in the order of the file.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<Disk<'_>, HostError>> {
    lines(file)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = |expected| HostError::malformed(FILE, at, expected, line);
            let mut parts = fields(line);
            let mut device_number = || {
                parts
                    .next()
                    .and_then(number)
                    .and_then(|number| u32::try_from(number).ok())
                    .ok_or_else(|| wrong("the two numbers of a device"))
            };
            let (major, minor) = (device_number()?, device_number()?);
            let name = parts.next().ok_or_else(|| wrong("a device's name"))?;
            let mut disk = Disk {
                major,
                minor,
                name: text(FILE, at, "a device's name", name)?,
                columns: [0; COLUMNS],
                present: 0,
            };
            for (slot, part) in disk.columns.iter_mut().zip(parts) {
                *slot = number(part).ok_or_else(|| wrong("numbers after the device's name"))?;
                disk.present += 1;
            }
            // Kernels from 2.6.25 on write eleven columns for partitions too.
            if disk.present < Column::WeightedIoTime as usize + 1 {
                return Err(wrong("eleven numbers or more after the device's name"));
            }
            Ok(disk)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_every_kernel() {
        let text = b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n\
            259 1 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n";
        let disks: Vec<_> = parse(text).map(Result::unwrap).collect();
        assert_eq!(
            (disks[0].major, disks[0].minor, disks[0].name),
            (8, 0, "sda")
        );
        assert_eq!(disks[0].get(Column::WeightedIoTime), Some(11));
        assert_eq!(disks[0].get(Column::Discards), None);
        assert_eq!(disks[1].get(Column::FlushTime), Some(17));
    }

    #[test]
    fn short_lines_are_errors() {
        for bad in [
            "8 0",
            "8 0 sda",
            "8 x sda 1 2 3 4 5 6 7 8 9 10 11",
            "8 0 sda 1 2 3 4 5 6 7 8 9 10",
        ] {
            assert!(parse(bad.as_bytes()).next().unwrap().is_err(), "{bad}");
        }
    }
}
