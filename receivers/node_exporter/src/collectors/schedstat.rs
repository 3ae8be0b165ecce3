//! How long the scheduler let tasks run and wait: `/proc/schedstat`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, lines, number};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Schedstat {
        file: HostFile::new(sources.roots.proc("schedstat")),
    })
}

struct Schedstat {
    file: HostFile,
}

impl Collector for Schedstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for cpu in parse(self.file.read()?) {
            let (cpu, [running, waiting, timeslices]) = cpu?;
            let labels = [("cpu", cpu)];
            emit.put(
                Counter,
                "node_schedstat_running_seconds_total",
                "Time that each CPU spent running a process, in seconds.",
                &labels,
                float(running) / 1e9,
            );
            emit.put(
                Counter,
                "node_schedstat_waiting_seconds_total",
                "Time that processes waited for each CPU, in seconds.",
                &labels,
                float(waiting) / 1e9,
            );
            emit.put(
                Counter,
                "node_schedstat_timeslices_total",
                "Times that each CPU let a process run.",
                &labels,
                float(timeslices),
            );
        }
        Ok(())
    }
}

/// The lines `cpu<n>`: the number, nanoseconds run and waited, and timeslices. Lines of scheduling
/// domains are passed over.
fn parse(text: &[u8]) -> impl Iterator<Item = Result<(&str, [u64; 3]), HostError>> {
    lines(text).filter_map(|(at, line)| {
        let rest = line.strip_prefix(b"cpu")?;
        let mut columns = fields(rest);
        let cpu = columns.next()?;
        let wrong = || HostError::malformed("schedstat", at, "a CPU and nine numbers", line);
        let read = || {
            let cpu = std::str::from_utf8(cpu).ok()?;
            number(cpu.as_bytes())?;
            let mut columns = columns.skip(6).map(number);
            let mut next = || columns.next().flatten();
            Some((cpu, [next()?, next()?, next()?]))
        };
        Some(read().ok_or_else(wrong))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_columns_count() {
        let text = b"version 15\ntimestamp 15819019232\ncpu0 498494191 0 3533438552 2553969831 3853684107 2465731542 2045936778163039 343796328169361 4767485306\ndomain0 3 1 2\n";
        let all: Vec<_> = parse(text).map(Result::unwrap).collect();
        assert_eq!(
            all,
            [(
                "0",
                [2_045_936_778_163_039, 343_796_328_169_361, 4_767_485_306]
            )]
        );
        assert!(parse(b"cpu0 1 2\n").next().unwrap().is_err());
    }
}
