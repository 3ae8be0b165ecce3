//! Watchdogs that reboot a machine that hangs: `/sys/class/watchdog`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Watchdog {
        folder: Attributes::new(sources.roots.sys("class/watchdog")),
    })
}

struct Watchdog {
    folder: Attributes,
}

impl Collector for Watchdog {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for name in &self.folder.names("")? {
            for (file, metric) in NUMBERS {
                if let Some(value) = self.folder.optional(&format!("{name}/{file}"))? {
                    emit.put(
                        Gauge,
                        metric,
                        "What /sys/class/watchdog says of each watchdog.",
                        &[("name", name)],
                        value,
                    );
                }
            }
            let values =
                LABELS.map(|label| (label, self.folder.text_or_empty(&format!("{name}/{label}"))));
            let mut labels = vec![("name", name.as_str())];
            labels.extend(values.iter().map(|(label, value)| (*label, value.as_str())));
            emit.put(
                Gauge,
                "node_watchdog_info",
                "What each watchdog is: always 1.",
                &labels,
                1.0,
            );
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const LABELS: [&str; 5] = [
    "identity",
    "options",
    "pretimeout_governor",
    "state",
    "status",
];

const NUMBERS: [(&str, &str); 7] = [
    ("access_cs0", "node_watchdog_access_cs0"),
    ("bootstatus", "node_watchdog_bootstatus"),
    ("fw_version", "node_watchdog_fw_version"),
    ("nowayout", "node_watchdog_nowayout"),
    ("pretimeout", "node_watchdog_pretimeout_seconds"),
    ("timeleft", "node_watchdog_timeleft_seconds"),
    ("timeout", "node_watchdog_timeout_seconds"),
];
