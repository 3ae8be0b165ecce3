//! The kernel's pools of objects: `/proc/slabinfo`, for root alone.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, float, lines, number, valid};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let config = &config.slabinfo;
    Box::new(Slabinfo {
        slabs: Filter::new(
            config.slabs_exclude.as_ref(),
            config.slabs_include.as_ref(),
            None,
        ),
        file: HostFile::new(sources.roots.proc("slabinfo")),
    })
}

struct Slabinfo {
    slabs: Filter,
    file: HostFile,
}

const COLUMNS: [(&str, &str); 5] = [
    (
        "node_slabinfo_active_objects",
        "Objects of each pool in use.",
    ),
    ("node_slabinfo_objects", "Objects of each pool."),
    (
        "node_slabinfo_object_size_bytes",
        "Bytes in an object of each pool.",
    ),
    (
        "node_slabinfo_objects_per_slab",
        "Objects in a slab of each pool.",
    ),
    (
        "node_slabinfo_pages_per_slab",
        "Pages in a slab of each pool.",
    ),
];

impl Collector for Slabinfo {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        // The version and a heading come first.
        for (at, line) in
            lines(self.file.read()?).filter(|(at, line)| *at > 1 && !line.starts_with(b"#"))
        {
            let mut words = fields(line);
            let Some(slab) = words.next().map(valid) else {
                continue;
            };
            if !self.slabs.lets_in(&slab) {
                continue;
            }
            for (name, help) in COLUMNS {
                let value = words.next().and_then(number);
                let value = value.ok_or_else(|| {
                    HostError::malformed("slabinfo", at, "a name and five numbers", line)
                })?;
                emit.put(Gauge, name, help, &[("slab", &slab)], float(value));
            }
        }
        Ok(())
    }
}
