//! Packets that each CPU has handled: `/proc/net/softnet_stat`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, float, hexadecimal, lines};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Softnet {
        file: HostFile::of_short_lines(sources.roots.proc("net/softnet_stat")),
    })
}

struct Softnet {
    file: HostFile,
}

/// Columns with the metric's name and description.
const COUNTERS: [(usize, &str, &str); 6] = [
    (
        0,
        "node_softnet_processed_total",
        "Packets that each CPU has processed.",
    ),
    (
        1,
        "node_softnet_dropped_total",
        "Packets dropped because each CPU's queue was full.",
    ),
    (
        2,
        "node_softnet_times_squeezed_total",
        "Times that each CPU ran out of time with packets left.",
    ),
    (
        8,
        "node_softnet_cpu_collision_total",
        "Collisions when a device's lock was taken to send.",
    ),
    (
        9,
        "node_softnet_received_rps_total",
        "Times that each CPU was woken to handle packets.",
    ),
    (
        10,
        "node_softnet_flow_limit_count_total",
        "Times that each CPU's limit of a flow was reached.",
    ),
];

impl Collector for Softnet {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut number = itoa::Buffer::new();
        for cpu in parse(self.file.read()?) {
            let Cpu { index, columns } = cpu?;
            let labels = [("cpu", number.format(index))];
            for (column, name, help) in COUNTERS {
                let value = columns.get(column).copied().unwrap_or(0);
                emit.put(Counter, name, help, &labels, float(value));
            }
            let backlog = columns.get(11).copied().unwrap_or(0);
            emit.put(
                Gauge,
                "node_softnet_backlog_len",
                "Packets in each CPU's queue.",
                &labels,
                float(backlog),
            );
        }
        Ok(())
    }
}

struct Cpu {
    index: u64,
    columns: [u64; 13],
}

/// A line for each online CPU; newer kernels have more columns, of which the last is its number.
fn parse(text: &[u8]) -> impl Iterator<Item = Result<Cpu, HostError>> {
    let rows = lines(text).filter(|(_, line)| !line.is_empty());
    rows.zip(0..).map(|((at, line), row)| {
        let wrong = || {
            HostError::malformed(
                "net/softnet_stat",
                at,
                "nine hexadecimal numbers or more",
                line,
            )
        };
        let mut columns = [0; 13];
        let mut count = 0;
        for (column, field) in columns.iter_mut().zip(fields(line)) {
            *column = hexadecimal(field).ok_or_else(wrong)?;
            count += 1;
        }
        if count < 9 {
            return Err(wrong());
        }
        let index = if count >= 13 {
            columns.get(12).copied().unwrap_or(row)
        } else {
            row
        };
        Ok(Cpu { index, columns })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_numbered_by_the_kernel_where_it_says_so() {
        let old = b"00358fe3 00006283 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n00953d1a 000446f8 0 0 0 0 0 0 0 0 0\n";
        let rows: Vec<_> = parse(old).map(Result::unwrap).collect();
        assert_eq!((rows[0].index, rows[0].columns[0]), (0, 0x0035_8fe3));
        assert_eq!((rows[1].index, rows[1].columns[1]), (1, 0x0004_46f8));
        let new = b"1 2 3 0 0 0 0 0 0 0 0 7 5\n";
        let row = parse(new).next().unwrap().unwrap();
        assert_eq!((row.index, row.columns[11]), (5, 7));
        assert!(parse(b"1 2\n").next().unwrap().is_err());
        assert!(parse(b"x\n").next().unwrap().is_err());
    }
}
