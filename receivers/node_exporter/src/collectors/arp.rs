//! How many neighbours each interface knows: `/proc/net/arp`.

use std::collections::BTreeMap;

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, lines, valid};
use corten_host::{HostError, HostFile, float};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Arp {
        filter: Filter::new(
            config.arp.device_exclude.as_ref(),
            config.arp.device_include.as_ref(),
            None,
        ),
        file: HostFile::of_short_lines(sources.roots.proc("net/arp")),
    })
}

struct Arp {
    filter: Filter,
    file: HostFile,
}

impl Collector for Arp {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for (device, entries) in parse(self.file.read()?)? {
            let device = valid(device);
            if self.filter.lets_in(&device) {
                emit.put(
                    Gauge,
                    "node_arp_entries",
                    "Entries of the ARP table by device.",
                    &[("device", &device)],
                    float(entries),
                );
            }
        }
        Ok(())
    }
}

/// Entries by device; the first line is a heading.
fn parse(text: &[u8]) -> Result<BTreeMap<&[u8], u64>, HostError> {
    let mut entries = BTreeMap::new();
    for (at, line) in lines(text) {
        match fields(line).count() {
            // Nothing, or the heading.
            0 | 9 => {}
            6 => {
                if let Some(device) = fields(line).nth(5) {
                    *entries.entry(device).or_default() += 1;
                }
            }
            _ => return Err(HostError::malformed("net/arp", at, "six fields", line)),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_by_device() {
        let text = b"IP address       HW type     Flags       HW address            Mask     Device\n\
            10.0.0.1  0x1  0x2  aa:bb:cc:dd:ee:ff  *  eth0\n10.0.0.2 0x1 0x0 00:00:00:00:00:00 * eth0\n";
        let entries: Vec<_> = parse(text).unwrap().into_iter().collect();
        assert_eq!(entries, [(&b"eth0"[..], 2)]);
        assert!(parse(b"1 2 3\n").is_err());
    }
}
