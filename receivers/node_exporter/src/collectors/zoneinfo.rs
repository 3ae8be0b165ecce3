//! Memory by zone: `/proc/zoneinfo`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, lines, valid, value};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Zoneinfo {
        file: HostFile::new(sources.roots.proc("zoneinfo")),
    })
}

struct Zoneinfo {
    file: HostFile,
}

/// The kernel's names and the metrics'.
const GAUGES: [(&str, &str); 26] = [
    ("nr_free_pages", "node_zoneinfo_nr_free_pages"),
    ("min", "node_zoneinfo_min_pages"),
    ("low", "node_zoneinfo_low_pages"),
    ("high", "node_zoneinfo_high_pages"),
    ("scanned", "node_zoneinfo_scanned_pages"),
    ("spanned", "node_zoneinfo_spanned_pages"),
    ("present", "node_zoneinfo_present_pages"),
    ("managed", "node_zoneinfo_managed_pages"),
    ("nr_active_anon", "node_zoneinfo_nr_active_anon_pages"),
    ("nr_inactive_anon", "node_zoneinfo_nr_inactive_anon_pages"),
    ("nr_isolated_anon", "node_zoneinfo_nr_isolated_anon_pages"),
    ("nr_anon_pages", "node_zoneinfo_nr_anon_pages"),
    (
        "nr_anon_transparent_hugepages",
        "node_zoneinfo_nr_anon_transparent_hugepages",
    ),
    ("nr_active_file", "node_zoneinfo_nr_active_file_pages"),
    ("nr_inactive_file", "node_zoneinfo_nr_inactive_file_pages"),
    ("nr_isolated_file", "node_zoneinfo_nr_isolated_file_pages"),
    ("nr_file_pages", "node_zoneinfo_nr_file_pages"),
    (
        "nr_slab_reclaimable",
        "node_zoneinfo_nr_slab_reclaimable_pages",
    ),
    (
        "nr_slab_unreclaimable",
        "node_zoneinfo_nr_slab_unreclaimable_pages",
    ),
    ("nr_kernel_stack", "node_zoneinfo_nr_kernel_stacks"),
    ("nr_mlock_stack", "node_zoneinfo_nr_mlock_stack_pages"),
    ("nr_mapped", "node_zoneinfo_nr_mapped_pages"),
    ("nr_dirty", "node_zoneinfo_nr_dirty_pages"),
    ("nr_writeback", "node_zoneinfo_nr_writeback_pages"),
    ("nr_unevictable", "node_zoneinfo_nr_unevictable_pages"),
    ("nr_shmem", "node_zoneinfo_nr_shmem_pages"),
];
const COUNTERS: [(&str, &str); 8] = [
    ("nr_dirtied", "node_zoneinfo_nr_dirtied_total"),
    ("nr_written", "node_zoneinfo_nr_written_total"),
    ("numa_hit", "node_zoneinfo_numa_hit_total"),
    ("numa_miss", "node_zoneinfo_numa_miss_total"),
    ("numa_foreign", "node_zoneinfo_numa_foreign_total"),
    ("numa_interleave", "node_zoneinfo_numa_interleave_total"),
    ("numa_local", "node_zoneinfo_numa_local_total"),
    ("numa_other", "node_zoneinfo_numa_other_total"),
];

impl Collector for Zoneinfo {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let (mut node, mut zone) = (String::new(), String::new());
        for (_, line) in lines(self.file.read()?) {
            if let Some(rest) = line.strip_prefix(b"Node ") {
                // `Node 0, zone      DMA`
                let mut words = fields(rest);
                let first = words.next().unwrap_or_default();
                node = valid(first.strip_suffix(b",").unwrap_or(first)).into_owned();
                zone = valid(words.nth(1).unwrap_or_default()).into_owned();
                continue;
            }
            let labels = [("node", node.as_str()), ("zone", zone.as_str())];
            let mut words = fields(line);
            let Some(key) = words.next() else { continue };
            if let Some(list) = line.trim_ascii().strip_prefix(b"protection:") {
                let list = valid(list);
                let inner = list.trim_start_matches('(').trim_end_matches(')');
                let numbers: Option<Vec<f64>> = inner
                    .split(',')
                    .map(|number| value(number.as_bytes()))
                    .collect();
                for (index, number) in numbers.unwrap_or_default().into_iter().enumerate() {
                    emit.put(
                        Gauge,
                        &format!("node_zoneinfo_protection_{index}"),
                        "Pages kept for zones further down.",
                        &labels,
                        number,
                    );
                }
                continue;
            }
            let of = |table: &'static [(&str, &str)]| {
                table.iter().find(|(kernel, _)| kernel.as_bytes() == key)
            };
            let (kind, metric) = match (of(&GAUGES), of(&COUNTERS)) {
                (Some((_, metric)), _) => (Gauge, *metric),
                (None, Some((_, metric))) => (Counter, *metric),
                (None, None) => continue,
            };
            // What is no number is left out, as node_exporter has it.
            let Some(number) = words.next().and_then(value) else {
                continue;
            };
            emit.put(
                kind,
                metric,
                &format!("{} of each zone, as the kernel counts it.", valid(key)),
                &labels,
                number,
            );
        }
        Ok(())
    }
}
