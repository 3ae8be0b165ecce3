//! Disks behind a cache: `/sys/fs/bcache`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{cut, fields, lines, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Bcache {
        folder: Attributes::new(sources.roots.sys("fs/bcache")),
        priority_stats: config.bcache.priority_stats,
    })
}

struct Bcache {
    folder: Attributes,
    /// Reading that file is expensive for the kernel.
    priority_stats: bool,
}

const SET: [(&str, &str, &str); 8] = [
    (
        "average_key_size",
        "node_bcache_average_key_size_sectors",
        "Sectors for each key in the tree, on average.",
    ),
    (
        "btree_cache_size",
        "node_bcache_btree_cache_size_bytes",
        "Memory that the tree's cache uses, in bytes.",
    ),
    (
        "cache_available_percent",
        "node_bcache_cache_available_percent",
        "Share of the cache that may be written to.",
    ),
    (
        "congested",
        "node_bcache_congested",
        "Whether the cache is congested.",
    ),
    (
        "root_usage_percent",
        "node_bcache_root_usage_percent",
        "Share of the tree's root that is in use.",
    ),
    ("tree_depth", "node_bcache_tree_depth", "Depth of the tree."),
    (
        "internal/active_journal_entries",
        "node_bcache_active_journal_entries",
        "Entries of the journal that are newer than the index.",
    ),
    (
        "internal/btree_nodes",
        "node_bcache_btree_nodes",
        "Nodes in the tree.",
    ),
];

const CACHE: [(&str, &str, &str); 7] = [
    (
        "bypassed",
        "node_bcache_bypassed_bytes_total",
        "Bytes read and written past the cache.",
    ),
    (
        "cache_bypass_hits",
        "node_bcache_cache_bypass_hits_total",
        "Hits of requests that were to skip the cache.",
    ),
    (
        "cache_bypass_misses",
        "node_bcache_cache_bypass_misses_total",
        "Misses of requests that were to skip the cache.",
    ),
    (
        "cache_hits",
        "node_bcache_cache_hits_total",
        "Requests that the cache answered.",
    ),
    (
        "cache_miss_collisions",
        "node_bcache_cache_miss_collisions_total",
        "Misses whose data had been written before they were read.",
    ),
    (
        "cache_misses",
        "node_bcache_cache_misses_total",
        "Requests that the cache could not answer.",
    ),
    (
        "cache_readaheads",
        "node_bcache_cache_readaheads_total",
        "Times that more was read than asked for.",
    ),
];

/// The names in the file of the writeback's rate, of 2.6 and later kernels; and the metrics.
const RATES: [(&str, &str, &str); 6] = [
    (
        "rate",
        "node_bcache_writeback_rate",
        "Bytes written back a second.",
    ),
    (
        "target",
        "node_bcache_dirty_target_bytes",
        "Bytes that may wait to be written back.",
    ),
    (
        "proportional",
        "node_bcache_writeback_rate_proportional_term",
        "The rate's proportional part.",
    ),
    (
        "integral",
        "node_bcache_writeback_rate_integral_term",
        "The rate's integral part.",
    ),
    (
        "change",
        "node_bcache_writeback_change",
        "By how much the rate changed last, in bytes a second.",
    ),
    ("dirty", "", ""),
];

impl Collector for Bcache {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for uuid in &self.folder.names("").unwrap_or_default() {
            if !uuid.contains('-') || !self.folder.has_folder(uuid) {
                continue;
            }
            for (file, name, help) in SET {
                let number = self.amount(&format!("{uuid}/{file}"))?;
                emit.put(Gauge, name, help, &[("uuid", uuid)], number);
            }
            let nanoseconds =
                self.amount(&format!("{uuid}/internal/btree_read_average_duration_us"))?;
            emit.put(
                Gauge,
                "node_bcache_btree_read_average_duration_seconds",
                "How long a read of the tree takes on average, in seconds.",
                &[("uuid", uuid)],
                nanoseconds * 1e-9,
            );
            let races = self.amount(&format!("{uuid}/internal/cache_read_races"))?;
            emit.put(
                Counter,
                "node_bcache_cache_read_races_total",
                "Times that data was replaced while it was read from the cache.",
                &[("uuid", uuid)],
                races,
            );
            for name in self.folder.names(uuid)? {
                let numbered = |prefix: &str| {
                    name.strip_prefix(prefix)
                        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
                };
                if numbered("bdev") {
                    self.backing_device(emit, uuid, &name)?;
                } else if numbered("cache") {
                    self.cache_device(emit, uuid, &name)?;
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

impl Bcache {
    /// What a kernel does not count is 0: those since 5.17 have no `cache_readaheads`.
    fn amount(&mut self, path: &str) -> Result<f64, HostError> {
        match self.folder.bytes(path).map(amount) {
            Ok(Some(amount)) => Ok(amount),
            Ok(None) => Err(self.folder.no_number(path)),
            Err(error) if error.is_absent() => Ok(0.0),
            Err(error) => Err(error),
        }
    }

    fn backing_device(
        &mut self,
        emit: &mut Emit<'_>,
        uuid: &str,
        device: &str,
    ) -> Result<(), HostError> {
        let labels = [("backing_device", device), ("uuid", uuid)];
        let dirty = self.amount(&format!("{uuid}/{device}/dirty_data"))?;
        emit.put(
            Gauge,
            "node_bcache_dirty_data_bytes",
            "Bytes in the cache that are not yet on the disk.",
            &labels,
            dirty,
        );
        let path = format!("{uuid}/{device}/writeback_rate_debug");
        let mut rates = [0.0; RATES.len()];
        let mut garbled = false;
        if let Ok(text) = self.folder.bytes(&path) {
            for (_, line) in lines(text) {
                let Some((key, rest)) = cut(line, b':') else {
                    continue;
                };
                let rest = rest.trim_ascii();
                let rest = rest.strip_suffix(b"/sec").unwrap_or(rest);
                for ((name, ..), rate) in RATES.iter().zip(&mut rates) {
                    if key == name.as_bytes() {
                        match signed_amount(rest) {
                            Some(amount) => *rate = amount,
                            None => garbled = true,
                        }
                    }
                }
            }
        }
        if garbled {
            return Err(self.folder.no_number(&path));
        }
        for ((_, name, help), rate) in RATES.into_iter().zip(rates) {
            if !name.is_empty() {
                emit.put(Gauge, name, help, &labels, rate);
            }
        }
        let own = self
            .folder
            .has_folder(&format!("{uuid}/{device}/stats_total"));
        for (file, name, help) in CACHE {
            // Without totals of its own a device is all that the set has.
            let folder = if own { device } else { "" };
            let number = self.amount(&format!("{uuid}/{folder}/stats_total/{file}"))?;
            emit.put(Counter, name, help, &labels, number);
        }
        Ok(())
    }

    fn cache_device(
        &mut self,
        emit: &mut Emit<'_>,
        uuid: &str,
        device: &str,
    ) -> Result<(), HostError> {
        let labels = [("cache_device", device), ("uuid", uuid)];
        let errors = self.amount(&format!("{uuid}/{device}/io_errors"))?;
        emit.put(
            Gauge,
            "node_bcache_io_errors",
            "Errors of each cache, of which old ones count less.",
            &labels,
            errors,
        );
        for (file, name, help) in [
            (
                "metadata_written",
                "node_bcache_metadata_written_bytes_total",
                "Bytes of everything but data written to each cache.",
            ),
            (
                "written",
                "node_bcache_written_bytes_total",
                "Bytes of data written to each cache.",
            ),
        ] {
            let number = self.amount(&format!("{uuid}/{device}/{file}"))?;
            emit.put(Counter, name, help, &labels, number);
        }
        if !self.priority_stats {
            return Ok(());
        }
        let path = format!("{uuid}/{device}/priority_stats");
        let text = self.folder.bytes(&path)?;
        let (mut unused, mut metadata) = (Some(0.0), Some(0.0));
        for (_, line) in lines(text) {
            let percent = || value(fields(line).last()?.strip_suffix(b"%")?);
            if line.starts_with(b"Unused:") {
                unused = percent();
            } else if line.starts_with(b"Metadata:") {
                metadata = percent();
            }
        }
        let (Some(unused), Some(metadata)) = (unused, metadata) else {
            return Err(self.folder.no_number(&path));
        };
        emit.put(
            Gauge,
            "node_bcache_priority_stats_unused_percent",
            "Share of each cache that holds no data.",
            &labels,
            unused,
        );
        emit.put(
            Gauge,
            "node_bcache_priority_stats_metadata_percent",
            "Share of each cache that is taken by all but data.",
            &labels,
            metadata,
        );
        Ok(())
    }
}

fn signed_amount(text: &[u8]) -> Option<f64> {
    match text.strip_prefix(b"-") {
        Some(rest) => amount(rest).map(|amount| -amount),
        None => amount(text),
    }
}

/// A number, or one as bcache makes it readable: `1.1k`. What stands behind the point is a number of
/// 1024ths, divided by 100 and cut off.
fn amount(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let unit = text.chars().last()?;
    let exponent = match unit {
        'k' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        'P' => 50,
        'E' => 60,
        'Z' => 70,
        'Y' => 80,
        _ => return value(text.as_bytes()),
    };
    let number = text.strip_suffix(unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let number = value(whole.as_bytes())? + value(part.as_bytes())? / 10.24;
    Some((number * 2f64.powi(exponent)).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_back() {
        assert_eq!(amount(b"546\n"), Some(546.0));
        assert_eq!(amount(b"2.0k"), Some(2048.0));
        assert_eq!(amount(b"1k"), Some(1024.0));
        assert_eq!(signed_amount(b"-9.0k"), Some(-9216.0));
        assert_eq!(amount(b"k"), None);
        assert_eq!(amount(b""), None);
    }
}
