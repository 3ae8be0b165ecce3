//! Energy that the processor has used: `/sys/class/powercap`.

use corten_host::families::Kind::Counter;
use corten_host::{Attributes, HostError};
use std::collections::HashMap;

use crate::collector::{Collector, Emit, sanitized};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Rapl {
        folder: Attributes::new(sources.roots.sys("class/powercap")),
        zone_label: config.rapl.enable_zone_label,
    })
}

struct Rapl {
    folder: Attributes,
    zone_label: bool,
}

impl Collector for Rapl {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut seen: HashMap<String, u64> = HashMap::new();
        for zone in self.folder.names("")? {
            let Ok(full) = self
                .folder
                .text(&format!("{zone}/name"))
                .map(|name| name.into_owned())
            else {
                continue;
            };
            // `package-1` is the package 1; zones without a number are counted.
            let numbered = full
                .split_once('-')
                .and_then(|(name, index)| Some((name, index.parse().ok()?)));
            let (name, index) =
                numbered.unwrap_or_else(|| (&full, seen.get(&full).copied().unwrap_or(0)));
            seen.insert(name.to_owned(), index.saturating_add(1));
            let microjoules = match self.folder.required(&format!("{zone}/energy_uj")) {
                Err(HostError::Read { source, .. })
                    if source.kind() == std::io::ErrorKind::PermissionDenied =>
                {
                    return Err(HostError::NoData("energy_uj is for root alone"));
                }
                other => other?,
            };
            let path = self.folder.folder().join(&zone);
            let (path, index) = (path.to_string_lossy(), index.to_string());
            if self.zone_label {
                emit.put(
                    Counter,
                    "node_rapl_joules_total",
                    "Energy that each zone has used, in joules.",
                    &[("index", &index), ("path", &path), ("rapl_zone", name)],
                    microjoules / 1e6,
                );
            } else {
                let metric = format!("node_rapl_{}_joules_total", sanitized(name));
                emit.put(
                    Counter,
                    &metric,
                    "Energy that the zone has used, in joules.",
                    &[("index", &index), ("path", &path)],
                    microjoules / 1e6,
                );
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}
