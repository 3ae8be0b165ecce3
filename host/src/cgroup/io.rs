//! Input and output of block devices.

use super::pairs_of_words;
use crate::scan::{cut, fields, lines, number};

/// What was done, as version 1 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `Read`.
    Read,
    /// `Write`.
    Write,
    /// `Sync`.
    Sync,
    /// `Async`.
    Async,
    /// `Discard`.
    Discard,
    /// `Total`.
    Total,
}

impl Operation {
    /// As the kernel writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Sync => "Sync",
            Self::Async => "Async",
            Self::Discard => "Discard",
            Self::Total => "Total",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"Read" => Self::Read,
            b"Write" => Self::Write,
            b"Sync" => Self::Sync,
            b"Async" => Self::Async,
            b"Discard" => Self::Discard,
            b"Total" => Self::Total,
            _ => return None,
        })
    }
}

/// What the cost model of version 2 has charged, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCost {
    /// Used.
    pub usage: Option<u64>,
    /// Waited.
    pub wait: Option<u64>,
    /// In debt.
    pub indebt: Option<u64>,
    /// Held back for it.
    pub indelay: Option<u64>,
}

/// One device. Empty lists are of what is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Its driver's number.
    pub major: u32,
    /// Its number within the driver.
    pub minor: u32,
    /// Bytes.
    pub bytes: Vec<(Operation, u64)>,
    /// Requests.
    pub requests: Vec<(Operation, u64)>,
    /// Sectors (version 1 with a scheduler that counts them, as all that follow).
    pub sectors: Option<u64>,
    /// Requests that were merged with others.
    pub merged: Vec<(Operation, u64)>,
    /// Nanoseconds between the issue and the end of requests.
    pub service_time: Vec<(Operation, u64)>,
    /// Requests that are waiting.
    pub queued: Vec<(Operation, u64)>,
    /// Milliseconds in which the group had the device to itself.
    pub time: Option<u64>,
    /// What the cost model says.
    pub cost: IoCost,
}

impl DeviceIo {
    /// Bytes of one operation.
    #[must_use]
    pub fn bytes(&self, operation: Operation) -> Option<u64> {
        of(&self.bytes, operation)
    }

    /// Requests of one operation.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> Option<u64> {
        of(&self.requests, operation)
    }

    /// Merged requests of one operation.
    #[must_use]
    pub fn merged(&self, operation: Operation) -> Option<u64> {
        of(&self.merged, operation)
    }

    /// Nanoseconds of one operation.
    #[must_use]
    pub fn service_time(&self, operation: Operation) -> Option<u64> {
        of(&self.service_time, operation)
    }

    /// Waiting requests of one operation.
    #[must_use]
    pub fn queued(&self, operation: Operation) -> Option<u64> {
        of(&self.queued, operation)
    }
}

fn of(list: &[(Operation, u64)], wanted: Operation) -> Option<u64> {
    list.iter()
        .find(|(operation, _)| *operation == wanted)
        .map(|(_, value)| *value)
}

fn device(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = cut(text, b':')?;
    Some((
        u32::try_from(number(major)?).ok()?,
        u32::try_from(number(minor)?).ok()?,
    ))
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`, perhaps with `cost.usage=…`.
/// A device that has done nothing yet may stand there without counts.
pub(super) fn unified(text: &[u8]) -> Vec<DeviceIo> {
    let mut devices = Vec::new();
    for (_, line) in lines(text) {
        let Some((major, minor)) = fields(line).next().and_then(device) else {
            continue;
        };
        let mut found = DeviceIo {
            major,
            minor,
            ..DeviceIo::default()
        };
        let mut any = false;
        for (name, value) in pairs_of_words(line) {
            let Some(value) = number(value) else { continue };
            match name {
                b"rbytes" => found.bytes.push((Operation::Read, value)),
                b"wbytes" => found.bytes.push((Operation::Write, value)),
                b"rios" => found.requests.push((Operation::Read, value)),
                b"wios" => found.requests.push((Operation::Write, value)),
                b"cost.usage" => found.cost.usage = Some(value),
                b"cost.wait" => found.cost.wait = Some(value),
                b"cost.indebt" => found.cost.indebt = Some(value),
                b"cost.indelay" => found.cost.indelay = Some(value),
                _ => continue,
            }
            any = true;
        }
        if any {
            devices.push(found);
        }
    }
    devices
}

/// The files of version 1. Which of them count depends on the device's scheduler: those of bfq and
/// cfq count more, but nothing on devices that they do not schedule; then those of the throttling
/// layer, which sees everything, are taken.
pub(super) fn legacy(mut read: impl FnMut(&str) -> Option<Vec<u8>>) -> Vec<DeviceIo> {
    for prefix in ["blkio.bfq.", "blkio."] {
        let mut devices = Vec::new();
        let mut file = |name: &str| read(&format!("{prefix}{name}")).unwrap_or_default();
        operations(&file("io_serviced_recursive"), &mut devices, |device| {
            &mut device.requests
        });
        if devices.is_empty() {
            continue;
        }
        operations(
            &file("io_service_bytes_recursive"),
            &mut devices,
            |device| &mut device.bytes,
        );
        operations(&file("io_merged_recursive"), &mut devices, |device| {
            &mut device.merged
        });
        operations(&file("io_service_time_recursive"), &mut devices, |device| {
            &mut device.service_time
        });
        operations(&file("io_queued_recursive"), &mut devices, |device| {
            &mut device.queued
        });
        single(&file("sectors_recursive"), &mut devices, |device| {
            &mut device.sectors
        });
        single(&file("time_recursive"), &mut devices, |device| {
            &mut device.time
        });
        return devices;
    }
    let mut devices = Vec::new();
    let mut either = |name: &str| {
        read(&format!("blkio.throttle.{name}_recursive"))
            .or_else(|| read(&format!("blkio.throttle.{name}")))
            .unwrap_or_default()
    };
    operations(&either("io_service_bytes"), &mut devices, |device| {
        &mut device.bytes
    });
    operations(&either("io_serviced"), &mut devices, |device| {
        &mut device.requests
    });
    devices
}

fn entry(devices: &mut Vec<DeviceIo>, (major, minor): (u32, u32)) -> Option<&mut DeviceIo> {
    let at = devices
        .iter()
        .position(|device| (device.major, device.minor) == (major, minor))
        .unwrap_or_else(|| {
            devices.push(DeviceIo {
                major,
                minor,
                ..DeviceIo::default()
            });
            devices.len() - 1
        });
    devices.get_mut(at)
}

/// Lines `8:0 Read 4096`; the last one, `Total 4096`, is of all devices and passed over.
fn operations(
    text: &[u8],
    devices: &mut Vec<DeviceIo>,
    field: impl Fn(&mut DeviceIo) -> &mut Vec<(Operation, u64)>,
) {
    for (_, line) in lines(text) {
        let mut parts = fields(line);
        if let Some(id) = parts.next().and_then(device)
            && let Some(operation) = parts.next().and_then(Operation::of)
            && let Some(value) = parts.next().and_then(number)
            && let Some(found) = entry(devices, id)
        {
            field(found).push((operation, value));
        }
    }
}

/// Lines `8:0 4096`.
fn single(
    text: &[u8],
    devices: &mut Vec<DeviceIo>,
    field: impl Fn(&mut DeviceIo) -> &mut Option<u64>,
) {
    for (_, line) in lines(text) {
        let mut parts = fields(line);
        if let Some(id) = parts.next().and_then(device)
            && let Some(value) = parts.next().and_then(number)
            && let Some(found) = entry(devices, id)
        {
            *field(found) = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_2_has_a_line_for_each_device() {
        let devices = unified(
            b"8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=3 dios=4 cost.usage=7\n7:1 \n253:0 rbytes=x wios=9\n",
        );
        let [first, second] = devices.as_slice() else {
            panic!("{devices:?}")
        };
        assert_eq!((first.major, first.minor), (8, 0));
        assert_eq!(first.bytes(Operation::Read), Some(4096));
        assert_eq!(first.bytes(Operation::Write), Some(8192));
        assert_eq!(first.requests(Operation::Read), Some(1));
        assert_eq!(first.requests(Operation::Write), Some(2));
        assert_eq!(first.cost.usage, Some(7));
        assert_eq!(second.requests(Operation::Write), Some(9));
        assert_eq!(second.bytes(Operation::Read), None);
    }

    #[test]
    fn version_1_takes_the_scheduler_that_counts() {
        let throttled = |name: &str| match name {
            "blkio.bfq.io_serviced_recursive" => Some(b"Total 0\n".to_vec()),
            "blkio.throttle.io_service_bytes_recursive" => {
                Some(b"8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n".to_vec())
            }
            "blkio.throttle.io_serviced" => Some(b"8:0 Read 1\n8:0 Write 2\n".to_vec()),
            _ => None,
        };
        let [device] = legacy(throttled).try_into().unwrap();
        assert_eq!(device.bytes(Operation::Total), Some(30));
        assert_eq!(device.requests(Operation::Write), Some(2));
        let scheduled = |name: &str| match name {
            "blkio.io_serviced_recursive" => Some(b"8:0 Read 1\n".to_vec()),
            "blkio.io_merged_recursive" => Some(b"8:0 Write 5\n".to_vec()),
            "blkio.sectors_recursive" => Some(b"8:0 6\n".to_vec()),
            "blkio.throttle.io_serviced_recursive" => Some(b"8:16 Read 9\n".to_vec()),
            _ => None,
        };
        let [device] = legacy(scheduled).try_into().unwrap();
        assert_eq!(device.requests(Operation::Read), Some(1));
        assert_eq!(device.merged(Operation::Write), Some(5));
        assert_eq!(device.sectors, Some(6));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            unified(&text);
            legacy(|_| Some(text.clone()));
        }
    }
}
