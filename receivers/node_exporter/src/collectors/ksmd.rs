//! Memory pages that are the same and shared: `/sys/kernel/mm/ksm`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Ksmd {
        folder: Attributes::new(sources.roots.sys("kernel/mm/ksm")),
    })
}

struct Ksmd {
    folder: Attributes,
}

impl Collector for Ksmd {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for (file, name) in FILES {
            let number = match self.folder.required(file) {
                // Newer than the rest.
                Err(error) if error.is_absent() && file == "general_profit" => continue,
                other => other?,
            };
            let (kind, divisor) = match file {
                "full_scans" => (Counter, 1.0),
                "sleep_millisecs" => (Gauge, 1000.0),
                _ => (Gauge, 1.0),
            };
            emit.put(
                kind,
                name,
                "What /sys/kernel/mm/ksm says.",
                &[],
                number / divisor,
            );
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const FILES: [(&str, &str); 10] = [
    ("full_scans", "node_ksmd_full_scans_total"),
    ("general_profit", "node_ksmd_general_profit_bytes"),
    ("merge_across_nodes", "node_ksmd_merge_across_nodes"),
    ("pages_shared", "node_ksmd_pages_shared"),
    ("pages_sharing", "node_ksmd_pages_sharing"),
    ("pages_to_scan", "node_ksmd_pages_to_scan"),
    ("pages_unshared", "node_ksmd_pages_unshared"),
    ("pages_volatile", "node_ksmd_pages_volatile"),
    ("run", "node_ksmd_run"),
    ("sleep_millisecs", "node_ksmd_sleep_seconds"),
];
