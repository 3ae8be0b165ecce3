//! Software interrupts by CPU and kind: `/proc/softirqs`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{cut, fields, float, lines, number, valid};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Softirqs {
        file: HostFile::new(sources.roots.proc("softirqs")),
    })
}

struct Softirqs {
    file: HostFile,
}

impl Collector for Softirqs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;

        let cpus: Vec<String> = lines(text)
            .next()
            .map(|(_, heading)| {
                fields(heading)
                    .map(|cpu| valid(cpu.strip_prefix(b"CPU").unwrap_or(cpu)).into_owned())
                    .collect()
            })
            .unwrap_or_default();
        for (at, line) in lines(text).skip(1) {
            let wrong =
                || HostError::malformed("softirqs", at, "a kind and a number for each CPU", line);
            let (kind, counts) = cut(line, b':').ok_or_else(wrong)?;
            let kind = valid(kind);
            let mut counts = fields(counts);
            for cpu in &cpus {
                let count = counts.next().and_then(number).ok_or_else(wrong)?;
                emit.put(
                    Counter,
                    "node_softirqs_functions_total",
                    "Software interrupts by CPU and kind.",
                    &[("cpu", cpu), ("type", &kind)],
                    float(count),
                );
            }
        }
        Ok(())
    }
}
