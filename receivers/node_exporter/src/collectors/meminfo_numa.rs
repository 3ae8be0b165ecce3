//! Memory by node: `/sys/devices/system/node`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(MeminfoNuma {
        folder: Attributes::new(sources.roots.sys("devices/system/node")),
    })
}

struct MeminfoNuma {
    folder: Attributes,
}

impl Collector for MeminfoNuma {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut metric = String::new();
        for name in self.folder.names("")? {
            let Some(node) = name
                .strip_prefix("node")
                .filter(|rest| rest.parse::<u32>().is_ok())
            else {
                continue;
            };
            for (at, line) in lines(self.folder.bytes(&format!("{name}/meminfo"))?) {
                // `Node 0 MemTotal:       134182340 kB`
                let wrong = || {
                    HostError::malformed("node/meminfo", at, "a node, a name and a number", line)
                };
                let mut words = fields(line).skip(2);
                let Some(key) = words.next() else { continue };
                let number = words.next().and_then(value).ok_or_else(wrong)?;
                let factor = if words.next() == Some(b"kB") {
                    1024.0
                } else {
                    1.0
                };
                let key = valid(key).replace('(', "_").replace([')', ':'], "");
                metric.clear();
                metric.push_str("node_memory_numa_");
                metric.push_str(&key);
                emit.put(
                    Gauge,
                    &metric,
                    "Memory of each node, in bytes, or a number of pages.",
                    &[("node", node)],
                    number * factor,
                );
            }
            for (at, line) in lines(self.folder.bytes(&format!("{name}/numastat"))?) {
                let mut words = fields(line);
                let (Some(key), Some(number)) = (words.next(), words.next().and_then(value)) else {
                    return Err(HostError::malformed(
                        "node/numastat",
                        at,
                        "a name and a number",
                        line,
                    ));
                };
                metric.clear();
                metric.push_str("node_memory_numa_");
                metric.push_str(&valid(key));
                metric.push_str("_total");
                emit.put(
                    Counter,
                    &metric,
                    "Pages of each node, as the kernel counts them.",
                    &[("node", node)],
                    number,
                );
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}
