//! Swap areas: `/proc/swaps`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Swap {
        file: HostFile::new(sources.roots.proc("swaps")),
    })
}

struct Swap {
    file: HostFile,
}

impl Collector for Swap {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;

        for (at, line) in lines(text).skip(1) {
            let wrong =
                || HostError::malformed("swaps", at, "a file, a type and three numbers", line);
            let words: Vec<_> = fields(line).collect();
            let [device, kind, size, used, priority] = words.as_slice() else {
                return Err(wrong());
            };
            let (device, kind) = (valid(device), valid(kind));
            let labels = [("device", &*device), ("swap_type", &*kind)];
            for (name, help, word, factor) in [
                (
                    "node_swap_size_bytes",
                    "Size of each swap area, in bytes.",
                    size,
                    1024.0,
                ),
                (
                    "node_swap_used_bytes",
                    "Bytes in use in each swap area.",
                    used,
                    1024.0,
                ),
                (
                    "node_swap_priority",
                    "Priority of each swap area.",
                    priority,
                    1.0,
                ),
            ] {
                emit.put(
                    Gauge,
                    name,
                    help,
                    &labels,
                    value(word).ok_or_else(wrong)? * factor,
                );
            }
        }
        Ok(())
    }
}
