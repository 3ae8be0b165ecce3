//! Errors that memory controllers found and corrected: `/sys/devices/system/edac/mc`.

use corten_host::families::Kind::Counter;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Edac {
        folder: Attributes::new(sources.roots.sys("devices/system/edac/mc")),
    })
}

struct Edac {
    folder: Attributes,
}

impl Collector for Edac {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let Ok(controllers) = self.folder.names("") else {
            // No such controller is no failure.
            return Ok(());
        };
        for (mc, controller) in numbered(&controllers, "mc") {
            for (file, name, help) in CONTROLLER {
                let value = self.folder.required(&format!("{mc}/{file}"))?;
                emit.put(Counter, name, help, &[("controller", controller)], value);
            }
            for (file, name, help) in NOWHERE {
                let value = self.folder.required(&format!("{mc}/{file}"))?;
                emit.put(
                    Counter,
                    name,
                    help,
                    &[("controller", controller), ("csrow", "unknown")],
                    value,
                );
            }
            for (row, csrow) in numbered(&self.folder.names(mc)?, "csrow") {
                for (file, name, help) in ROW {
                    let value = self.folder.required(&format!("{mc}/{row}/{file}"))?;
                    emit.put(
                        Counter,
                        name,
                        help,
                        &[("controller", controller), ("csrow", csrow)],
                        value,
                    );
                }
                for file in self.folder.names(&format!("{mc}/{row}"))? {
                    let channel = file
                        .strip_prefix("ch")
                        .and_then(|rest| rest.strip_suffix("_ce_count"));
                    let Some(channel) = channel.filter(|channel| channel.parse::<u32>().is_ok())
                    else {
                        continue;
                    };
                    let label = self
                        .folder
                        .text_or_empty(&format!("{mc}/{row}/ch{channel}_dimm_label"));
                    let labels = [
                        ("channel", channel),
                        ("controller", controller),
                        ("csrow", csrow),
                        ("dimm_label", label.as_str()),
                    ];
                    for (kind, name, help) in CHANNEL {
                        let path = format!("{mc}/{row}/ch{channel}_{kind}_count");
                        if let Some(value) = self.folder.optional(&path)? {
                            emit.put(Counter, name, help, &labels, value);
                        }
                    }
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const CONTROLLER: [(&str, &str, &str); 2] = [
    (
        "ce_count",
        "node_edac_correctable_errors_total",
        "Errors that each controller corrected.",
    ),
    (
        "ue_count",
        "node_edac_uncorrectable_errors_total",
        "Errors that each controller could not correct.",
    ),
];
const NOWHERE: [(&str, &str, &str); 2] = [
    (
        "ce_noinfo_count",
        "node_edac_csrow_correctable_errors_total",
        "Errors that were corrected in each row.",
    ),
    (
        "ue_noinfo_count",
        "node_edac_csrow_uncorrectable_errors_total",
        "Errors that could not be corrected in each row.",
    ),
];
const ROW: [(&str, &str, &str); 2] = [
    (
        "ce_count",
        "node_edac_csrow_correctable_errors_total",
        "Errors that were corrected in each row.",
    ),
    (
        "ue_count",
        "node_edac_csrow_uncorrectable_errors_total",
        "Errors that could not be corrected in each row.",
    ),
];
const CHANNEL: [(&str, &str, &str); 2] = [
    (
        "ce",
        "node_edac_channel_correctable_errors_total",
        "Errors that were corrected in each channel.",
    ),
    (
        "ue",
        "node_edac_channel_uncorrectable_errors_total",
        "Errors that could not be corrected in each channel.",
    ),
];

/// The names that are `prefix` and a number, with the number.
fn numbered<'a>(names: &'a [String], prefix: &str) -> Vec<(&'a str, &'a str)> {
    names
        .iter()
        .filter_map(|name| {
            let number = name.strip_prefix(prefix)?;
            number
                .parse::<u32>()
                .is_ok()
                .then_some((name.as_str(), number))
        })
        .collect()
}
