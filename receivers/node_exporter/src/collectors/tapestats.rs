//! Tape drives: `/sys/class/scsi_tape`.

use corten_config::types::Regex;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Tapestats {
        folder: Attributes::new(sources.roots.sys("class/scsi_tape")),
        ignored: config.tapestats.ignored_devices.clone(),
    })
}

struct Tapestats {
    folder: Attributes,
    ignored: Regex,
}

impl Collector for Tapestats {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for device in &self.folder.names("")? {
            // `st0l`, `nst0` and so on are other modes of the same drive.
            let is_drive = device
                .strip_prefix("st")
                .is_some_and(|number| number.parse::<u32>().is_ok());
            if !is_drive || self.ignored.is_match(device) {
                continue;
            }
            let labels = [("device", device.as_str())];
            // What a driver does not count is 0.
            let mut number = |file: &str| {
                let number = self.folder.optional(&format!("{device}/stats/{file}"))?;
                Ok::<_, HostError>(number.unwrap_or(0.0))
            };
            let now = number("in_flight")?;
            emit.put(
                Gauge,
                "node_tape_io_now",
                "Requests that each drive is working on.",
                &labels,
                now,
            );
            for (file, name, help, factor) in COUNTERS {
                let value = number(file)?;
                emit.put(Counter, name, help, &labels, value * factor);
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const COUNTERS: [(&str, &str, &str, f64); 9] = [
    (
        "io_ns",
        "node_tape_io_time_seconds_total",
        "Time that each drive was busy, in seconds.",
        1e-9,
    ),
    (
        "other_cnt",
        "node_tape_io_others_total",
        "Requests other than reads and writes.",
        1.0,
    ),
    (
        "read_byte_cnt",
        "node_tape_read_bytes_total",
        "Bytes read from each drive.",
        1.0,
    ),
    (
        "read_cnt",
        "node_tape_reads_completed_total",
        "Reads that each drive has completed.",
        1.0,
    ),
    (
        "read_ns",
        "node_tape_read_time_seconds_total",
        "Time that reads took, in seconds.",
        1e-9,
    ),
    (
        "resid_cnt",
        "node_tape_residual_total",
        "Requests that moved fewer bytes than asked for.",
        1.0,
    ),
    (
        "write_byte_cnt",
        "node_tape_written_bytes_total",
        "Bytes written to each drive.",
        1.0,
    ),
    (
        "write_cnt",
        "node_tape_writes_completed_total",
        "Writes that each drive has completed.",
        1.0,
    ),
    (
        "write_ns",
        "node_tape_write_time_seconds_total",
        "Time that writes took, in seconds.",
        1e-9,
    ),
];
