//! What the firmware says of the machine: `/sys/class/dmi/id`, which never changes.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Dmi {
        folder: Attributes::new(sources.roots.sys("class/dmi/id")),
        told: Vec::new(),
    })
}

struct Dmi {
    folder: Attributes,
    /// What the files said when they were read.
    told: Vec<(&'static str, String)>,
}

impl Collector for Dmi {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        if self.told.is_empty() && self.folder.has_folder("") {
            for (file, label) in FILES {
                if let Ok(text) = self.folder.text(file) {
                    self.told.push((label, text.into_owned()));
                }
            }
            // Twice: the first time leaves those of now.
            self.folder.forget_unused();
            self.folder.forget_unused();
        }
        if self.told.is_empty() {
            return Err(HostError::NoData("the machine has no DMI"));
        }
        let labels: Vec<_> = self
            .told
            .iter()
            .map(|(label, value)| (*label, value.as_str()))
            .collect();
        emit.put(
            Gauge,
            "node_dmi_info",
            "What the firmware says of the machine: always 1.",
            &labels,
            1.0,
        );
        Ok(())
    }
}

/// The files and their labels. Serial numbers are for root alone.
const FILES: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("sys_vendor", "system_vendor"),
];
