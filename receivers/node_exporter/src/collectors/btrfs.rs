//! btrfs file systems: `/sys/fs/btrfs`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, lines, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Btrfs {
        folder: Attributes::new(sources.roots.sys("fs/btrfs")),
    })
}

struct Btrfs {
    folder: Attributes,
}

impl Collector for Btrfs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for folder in &self.folder.names("").unwrap_or_default() {
            // `features` is for all of them.
            if folder.contains('-') && self.folder.has_folder(folder) {
                self.filesystem(emit, folder)?;
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

impl Btrfs {
    fn filesystem(&mut self, emit: &mut Emit<'_>, folder: &str) -> Result<(), HostError> {
        let uuid = self
            .folder
            .text(&format!("{folder}/metadata_uuid"))
            .map(|text| text.into_owned());
        // Kernels before 5.0 have only the folder's name.
        let uuid = match uuid {
            Err(error) if error.is_absent() => folder.to_owned(),
            uuid => uuid?,
        };
        let uuid = uuid.as_str();
        let label = self.folder.text_or_empty(&format!("{folder}/label"));
        emit.put(
            Gauge,
            "node_btrfs_info",
            "The file systems that are mounted: always 1.",
            &[("label", &label), ("uuid", uuid)],
            1.0,
        );
        let reserved = self
            .folder
            .required(&format!("{folder}/allocation/global_rsv_size"))?;
        emit.put(
            Gauge,
            "node_btrfs_global_rsv_size_bytes",
            "Bytes set aside for the file system itself.",
            &[("uuid", uuid)],
            reserved,
        );
        let mut commits = [0.0; 4];
        if let Ok(text) = self.folder.bytes(&format!("{folder}/commit_stats")) {
            for (at, line) in lines(text) {
                let mut words = fields(line);
                let index = match words.next() {
                    Some(b"commits") => 0,
                    Some(b"last_commit_ms") => 1,
                    Some(b"max_commit_ms") => 2,
                    Some(b"total_commit_ms") => 3,
                    _ => continue,
                };
                let number = words.next().and_then(value);
                let number = number.ok_or_else(|| {
                    HostError::malformed("commit_stats", at, "a name and a number", line)
                })?;
                if let Some(commit) = commits.get_mut(index) {
                    *commit = number;
                }
            }
        }
        let [count, last, longest, total] = commits;
        for (kind, name, help, value) in [
            (
                Counter,
                "node_btrfs_commits_total",
                "Commits since the file system was mounted.",
                count,
            ),
            (
                Gauge,
                "node_btrfs_last_commit_seconds",
                "How long the last commit took, in seconds.",
                last / 1000.0,
            ),
            (
                Gauge,
                "node_btrfs_max_commit_seconds",
                "How long the longest commit took, in seconds.",
                longest / 1000.0,
            ),
            (
                Counter,
                "node_btrfs_commit_seconds_total",
                "How long all commits took, in seconds.",
                total / 1000.0,
            ),
        ] {
            emit.put(kind, name, help, &[("uuid", uuid)], value);
        }
        let devices = self.folder.names(&format!("{folder}/devices"))?;
        for device in &devices {
            let sectors = self
                .folder
                .optional(&format!("{folder}/devices/{device}/size"))?
                .unwrap_or(0.0);
            emit.put(
                Gauge,
                "node_btrfs_device_size_bytes",
                "Size of each device, in bytes.",
                &[("device", device), ("uuid", uuid)],
                sectors * 512.0,
            );
        }
        for group in ["data", "metadata", "system"] {
            let path = format!("{folder}/allocation/{group}");
            if !self.folder.has_folder(&path) {
                continue;
            }
            let reserved = self.folder.required(&format!("{path}/bytes_reserved"))?;
            emit.put(
                Gauge,
                "node_btrfs_reserved_bytes",
                "Bytes set aside for what is being written.",
                &[("block_group_type", group), ("uuid", uuid)],
                reserved,
            );
            for mode in &self.folder.names(&path)? {
                let path = format!("{path}/{mode}");
                if !self.folder.has_folder(&path) {
                    continue;
                }
                let labels = [
                    ("block_group_type", group),
                    ("mode", mode.as_str()),
                    ("uuid", uuid),
                ];
                let used = self.folder.required(&format!("{path}/used_bytes"))?;
                let size = self.folder.required(&format!("{path}/total_bytes"))?;
                emit.put(
                    Gauge,
                    "node_btrfs_used_bytes",
                    "Bytes in use by what they are used for.",
                    &labels,
                    used,
                );
                emit.put(
                    Gauge,
                    "node_btrfs_size_bytes",
                    "Bytes allocated by what they are for.",
                    &labels,
                    size,
                );
                let devices = u32::try_from(devices.len()).map_or(0.0, f64::from);
                emit.put(
                    Gauge,
                    "node_btrfs_allocation_ratio",
                    "Bytes on disks for each byte of data.",
                    &labels,
                    ratio(mode, devices),
                );
            }
        }
        Ok(())
    }
}

/// How many bytes on disks a byte takes.
fn ratio(mode: &str, devices: f64) -> f64 {
    match mode {
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" if devices > 1.0 => devices / (devices - 1.0),
        "raid6" if devices > 2.0 => devices / (devices - 2.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_takes_a_share_of_the_disks() {
        assert_eq!(ratio("raid5", 4.0), 4.0 / 3.0);
        assert_eq!(ratio("raid6", 4.0), 2.0);
        assert_eq!(
            (
                ratio("single", 1.0),
                ratio("raid1", 2.0),
                ratio("raid5", 1.0)
            ),
            (1.0, 2.0, 1.0)
        );
    }
}
