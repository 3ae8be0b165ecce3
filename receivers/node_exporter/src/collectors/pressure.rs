//! How long tasks waited for CPU, memory, disks and interrupts: `/proc/pressure`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, lines, number};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Pressure {
        folder: Attributes::new(sources.roots.proc("pressure")),
    })
}

struct Pressure {
    folder: Attributes,
}

/// A name and a description.
type Metric = Option<(&'static str, &'static str)>;

/// A file, the metric of its line `some` and that of its line `full`.
const FILES: [(&str, Metric, Metric); 4] = [
    (
        "cpu",
        Some((
            "node_pressure_cpu_waiting_seconds_total",
            "Time in which some task waited for a CPU, in seconds.",
        )),
        None,
    ),
    (
        "io",
        Some((
            "node_pressure_io_waiting_seconds_total",
            "Time in which some task waited for a disk, in seconds.",
        )),
        Some((
            "node_pressure_io_stalled_seconds_total",
            "Time in which every task waited for a disk, in seconds.",
        )),
    ),
    (
        "memory",
        Some((
            "node_pressure_memory_waiting_seconds_total",
            "Time in which some task waited for memory, in seconds.",
        )),
        Some((
            "node_pressure_memory_stalled_seconds_total",
            "Time in which every task waited for memory, in seconds.",
        )),
    ),
    (
        "irq",
        None,
        Some((
            "node_pressure_irq_stalled_seconds_total",
            "Time in which every task waited for interrupts, in seconds.",
        )),
    ),
];

impl Collector for Pressure {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut found = false;
        for (file, some, full) in FILES {
            let text = match self.folder.bytes(file) {
                Ok(text) => text,
                // Before Linux 6.1 there is no `irq`; a kernel with psi=0 refuses all of them.
                Err(_) if file == "irq" => continue,
                Err(HostError::Read { source, .. }) if source.raw_os_error() == Some(95) => {
                    return Err(HostError::NoData(
                        "pressure information is off, boot with psi=1",
                    ));
                }
                Err(error) if error.is_absent() && !found => {
                    return Err(HostError::NoData(
                        "no pressure information, needs Linux 4.20 with CONFIG_PSI",
                    ));
                }
                Err(error) => return Err(error),
            };
            found = true;
            for (start, metric) in [(&b"some"[..], some), (b"full", full)] {
                if let Some((name, help)) = metric
                    && let Some(microseconds) = total(text, start)?
                {
                    emit.put(
                        Counter,
                        name,
                        help,
                        &[],
                        float(microseconds) / 1000.0 / 1000.0,
                    );
                }
            }
        }
        Ok(())
    }
}

/// The total in the line that begins with `start`: microseconds.
fn total(text: &[u8], start: &[u8]) -> Result<Option<u64>, HostError> {
    for (at, line) in lines(text) {
        let mut columns = fields(line);
        if columns.next() == Some(start) {
            let total = columns.find_map(|column| column.strip_prefix(b"total="));
            return total
                .and_then(number)
                .map(Some)
                .ok_or_else(|| HostError::malformed("pressure", at, "averages and a total", line));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found_by_line() {
        let text = b"some avg10=0.10 avg60=2.00 avg300=3.85 total=15\nfull avg10=0.20 avg60=3.00 avg300=4.95 total=25\n";
        assert_eq!(total(text, b"some").unwrap(), Some(15));
        assert_eq!(total(text, b"full").unwrap(), Some(25));
        assert_eq!(total(b"some total=1\n", b"full").unwrap(), None);
        assert!(total(b"some avg10=0.10\n", b"some").is_err());
    }
}
