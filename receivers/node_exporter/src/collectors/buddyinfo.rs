//! Free memory by size: `/proc/buddyinfo`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Buddyinfo {
        file: HostFile::of_short_lines(sources.roots.proc("buddyinfo")),
    })
}

struct Buddyinfo {
    file: HostFile,
}

impl Collector for Buddyinfo {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;

        let mut shown = itoa::Buffer::new();
        for (at, line) in lines(text) {
            // `Node 0, zone      DMA      1      0 …`
            let wrong =
                || HostError::malformed("buddyinfo", at, "a node, a zone and numbers", line);
            let mut words = fields(line);
            let (Some(b"Node"), Some(node), Some(b"zone"), Some(zone)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(wrong());
            };
            let (node, zone) = (valid(node.strip_suffix(b",").unwrap_or(node)), valid(zone));
            for (size, word) in words.enumerate() {
                let blocks = value(word).ok_or_else(wrong)?;
                emit.put(
                    Gauge,
                    "node_buddyinfo_blocks",
                    "Free blocks of 2 to the power of size pages.",
                    &[
                        ("node", &node),
                        ("size", shown.format(size)),
                        ("zone", &zone),
                    ],
                    blocks,
                );
            }
        }
        Ok(())
    }
}
