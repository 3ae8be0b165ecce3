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
        let mut all = Vec::new();
        for folder in &self.folder.names("").unwrap_or_default() {
            // `features` is for all of them.
            if folder.contains('-') && self.folder.has_folder(folder) {
                all.push(self.read(folder)?);
            }
        }
        self.folder.forget_unused();
        for filesystem in &all {
            filesystem.write(emit);
        }
        Ok(())
    }
}

/// What one file system says of itself.
struct Filesystem {
    uuid: String,
    label: String,
    reserved: f64,
    /// Number, then how many milliseconds the last, the longest and all of them took.
    commits: [f64; 4],
    devices: Vec<(String, f64)>,
    groups: Vec<Group>,
}

struct Group {
    name: &'static str,
    reserved: f64,
    modes: Vec<Mode>,
}

struct Mode {
    name: String,
    used: f64,
    size: f64,
    ratio: f64,
}

impl Btrfs {
    /// Files that are not there, or hold no number, count as 0.
    fn number(&mut self, path: &str) -> f64 {
        self.folder.number(path).unwrap_or(0.0)
    }

    fn read(&mut self, folder: &str) -> Result<Filesystem, HostError> {
        let devices = self.folder.names(&format!("{folder}/devices"));
        // As in node_exporter, what lies between a folder that cannot be listed and the groups is 0.
        let whole = devices.is_ok() && self.folder.names(&format!("{folder}/features")).is_ok();
        let devices: Vec<(String, f64)> = devices
            .unwrap_or_default()
            .into_iter()
            .map(|device| {
                let sectors = self.number(&format!("{folder}/devices/{device}/size"));
                (device, sectors * 512.0)
            })
            .collect();
        let count = u32::try_from(devices.len()).map_or(0.0, f64::from);
        // Kernels before 5.0 have only the folder's name.
        let mut uuid = self
            .folder
            .text_or_empty(&format!("{folder}/metadata_uuid"));
        if uuid.is_empty() {
            folder.clone_into(&mut uuid);
        }
        let label = self.folder.text_or_empty(&format!("{folder}/label"));
        let reserved = if whole {
            self.number(&format!("{folder}/allocation/global_rsv_size"))
        } else {
            0.0
        };
        let mut groups = Vec::new();
        for name in ["data", "metadata", "system"] {
            let path = format!("{folder}/allocation/{name}");
            let reserved = self.number(&format!("{path}/bytes_reserved"));
            let modes = match self.folder.names(&path) {
                Ok(modes) => modes,
                // The last of them decides whether the file system can be read.
                Err(error) if name == "system" => return Err(error),
                Err(_) => Vec::new(),
            };
            let mut read = Vec::new();
            for mode in modes {
                let path = format!("{path}/{mode}");
                if self.folder.has_folder(&path) {
                    read.push(Mode {
                        used: self.number(&format!("{path}/used_bytes")),
                        size: self.number(&format!("{path}/total_bytes")),
                        ratio: ratio(&mode, count),
                        name: mode,
                    });
                }
            }
            groups.push(Group {
                name,
                reserved,
                modes: read,
            });
        }
        let commits = match self.folder.bytes(&format!("{folder}/commit_stats")) {
            Ok(text) => commits(text)?,
            Err(error) if error.is_absent() => [0.0; 4],
            Err(error) => return Err(error),
        };
        Ok(Filesystem {
            uuid,
            label,
            reserved,
            commits,
            devices,
            groups,
        })
    }
}

fn commits(text: &[u8]) -> Result<[f64; 4], HostError> {
    let mut commits = [0.0; 4];
    for (at, line) in lines(text) {
        let mut words = fields(line);
        let name = words.next();
        let number = words.next().and_then(value);
        let (Some(number), None) = (number, words.next()) else {
            return Err(HostError::malformed(
                "commit_stats",
                at,
                "a name and a number",
                line,
            ));
        };
        let [count, last, longest, total] = &mut commits;
        match name {
            Some(b"commits") => *count = number,
            Some(b"last_commit_ms") => *last = number,
            Some(b"max_commit_ms") => *longest = number,
            Some(b"total_commit_ms") => *total = number,
            _ => {}
        }
    }
    Ok(commits)
}

impl Filesystem {
    fn write(&self, emit: &mut Emit<'_>) {
        let uuid = ("uuid", self.uuid.as_str());
        emit.put(
            Gauge,
            "node_btrfs_info",
            "The file systems that are mounted: always 1.",
            &[("label", &self.label), uuid],
            1.0,
        );
        let [count, last, longest, total] = self.commits;
        for (kind, name, help, value) in [
            (
                Gauge,
                "node_btrfs_global_rsv_size_bytes",
                "Bytes set aside for the file system itself.",
                self.reserved,
            ),
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
            emit.put(kind, name, help, &[uuid], value);
        }
        for (device, size) in &self.devices {
            emit.put(
                Gauge,
                "node_btrfs_device_size_bytes",
                "Size of each device, in bytes.",
                &[("device", device), uuid],
                *size,
            );
        }
        for group in &self.groups {
            let kind = ("block_group_type", group.name);
            emit.put(
                Gauge,
                "node_btrfs_reserved_bytes",
                "Bytes set aside for what is being written.",
                &[kind, uuid],
                group.reserved,
            );
            for mode in &group.modes {
                let labels = [kind, ("mode", mode.name.as_str()), uuid];
                for (name, help, value) in [
                    (
                        "node_btrfs_used_bytes",
                        "Bytes in use by what they are used for.",
                        mode.used,
                    ),
                    (
                        "node_btrfs_size_bytes",
                        "Bytes allocated by what they are for.",
                        mode.size,
                    ),
                    (
                        "node_btrfs_allocation_ratio",
                        "Bytes on disks for each byte of data.",
                        mode.ratio,
                    ),
                ] {
                    emit.put(Gauge, name, help, &labels, value);
                }
            }
        }
    }
}

/// How many bytes on disks a byte takes; 0 where nobody knows.
fn ratio(mode: &str, devices: f64) -> f64 {
    match mode {
        "single" | "raid0" => 1.0,
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" => devices / (devices - 1.0),
        "raid6" => devices / (devices - 2.0),
        _ => 0.0,
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
                ratio("other", 1.0)
            ),
            (1.0, 2.0, 0.0)
        );
    }
}
