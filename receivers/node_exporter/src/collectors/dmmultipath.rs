//! Disks that are reached by several paths: `/sys/block/dm-*`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Dmmultipath {
        folder: Attributes::new(sources.roots.sys("block")),
    })
}

struct Dmmultipath {
    folder: Attributes,
}

impl Collector for Dmmultipath {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for dm in self
            .folder
            .names("")?
            .iter()
            .filter(|name| name.starts_with("dm-"))
        {
            let uuid = self.folder.text_or_empty(&format!("{dm}/dm/uuid"));
            if !uuid.starts_with("mpath-") {
                continue;
            }
            let name = self.folder.text_or_empty(&format!("{dm}/dm/name"));
            let suspended = self
                .folder
                .optional(&format!("{dm}/dm/suspended"))?
                .unwrap_or(0.0);
            let sectors = self.folder.optional(&format!("{dm}/size"))?.unwrap_or(0.0);
            let slaves = self
                .folder
                .names(&format!("{dm}/slaves"))
                .unwrap_or_default();
            let (mut up, mut down) = (0.0, 0.0);
            for path in &slaves {
                let state = self.folder.text_or_empty(&format!("{path}/device/state"));
                if matches!(state.as_str(), "running" | "live") {
                    up += 1.0;
                } else {
                    down += 1.0;
                }
                emit.put(
                    Gauge,
                    "node_dmmultipath_path_state",
                    "The state of each path to a disk: always 1.",
                    &[("device", &name), ("path", path), ("state", &state)],
                    1.0,
                );
            }
            emit.put(
                Gauge,
                "node_dmmultipath_device_info",
                "What each disk of many paths is: always 1.",
                &[("device", &name), ("sysfs_name", dm), ("uuid", &uuid)],
                1.0,
            );
            let active = if suspended == 0.0 { 1.0 } else { 0.0 };
            for (metric, help, value) in [
                (
                    "node_dmmultipath_device_active",
                    "Whether each disk is in use and not suspended.",
                    active,
                ),
                (
                    "node_dmmultipath_device_size_bytes",
                    "Size of each disk, in bytes.",
                    sectors * 512.0,
                ),
                (
                    "node_dmmultipath_device_paths",
                    "Paths to each disk.",
                    up + down,
                ),
                (
                    "node_dmmultipath_device_paths_active",
                    "Paths to each disk that work.",
                    up,
                ),
                (
                    "node_dmmultipath_device_paths_failed",
                    "Paths to each disk that do not work.",
                    down,
                ),
            ] {
                emit.put(
                    Gauge,
                    metric,
                    help,
                    &[("device", &name), ("sysfs_name", dm)],
                    value,
                );
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}
