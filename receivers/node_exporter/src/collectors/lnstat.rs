//! Counters of the network's caches by CPU: `/proc/net/stat`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, hexadecimal, lines, valid};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Lnstat {
        folder: Attributes::new(sources.roots.proc("net/stat")),
    })
}

struct Lnstat {
    folder: Attributes,
}

impl Collector for Lnstat {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for subsystem in &self.folder.names("")? {
            let text = self.folder.bytes(subsystem)?;
            let names: Vec<String> = lines(text)
                .next()
                .map(|(_, heading)| {
                    fields(heading)
                        .map(|name| format!("node_lnstat_{}_total", valid(name)))
                        .collect()
                })
                .unwrap_or_default();
            for (cpu, (at, line)) in lines(text).skip(1).enumerate() {
                let cpu = cpu.to_string();
                for (name, word) in names.iter().zip(fields(line)) {
                    let count = hexadecimal(word).ok_or_else(|| {
                        HostError::malformed("net/stat", at, "hexadecimal numbers", line)
                    })?;
                    emit.put(
                        Counter,
                        name,
                        "A counter of the network's caches, as the kernel has it.",
                        &[("cpu", &cpu), ("subsystem", subsystem)],
                        float(count),
                    );
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}
