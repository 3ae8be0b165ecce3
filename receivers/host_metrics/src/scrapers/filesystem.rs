//! How full the file systems are: the mounts of process 1, asked with `statfs(2)`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use corten_host::mounts::{self, Mount, MountInfo};
use corten_host::statfs::{Question, Statfs, Unknown, Usage, may_hang};
use corten_host::{HostError, HostFile, Roots, filesystems, float};

use crate::config;
use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::filter::Filter;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.filesystem.usage",
        "By",
        Shape::UpDown,
        &["device", "mode", "mountpoint", "type", "state"],
        "Space that is used, free for everybody, and kept for root.",
    ),
    Definition::new(
        "system.filesystem.inodes.usage",
        "{inodes}",
        Shape::UpDown,
        &["device", "mode", "mountpoint", "type", "state"],
        "Inodes that are used and free.",
    ),
    Definition::new(
        "system.filesystem.utilization",
        "1",
        Shape::Gauge,
        &["device", "mode", "mountpoint", "type"],
        "Share of the space that is used, of what users other than root can have.",
    )
    .off(),
];

/// How long a mount may take to answer, and how many are asked at the same time.
const TIMEOUT: Duration = Duration::from_secs(5);
const WORKERS: usize = 4;

pub(crate) struct FilesystemScraper {
    devices: Filter,
    types: Filter,
    points: Filter,
    include_virtual: bool,
    known: HostFile,
    mounts: MountInfo,
    statfs: Statfs,
    answers: Vec<Result<Usage, Unknown>>,
    roots: Roots,
}

impl FilesystemScraper {
    pub(crate) fn new(config: &config::Filesystem, roots: &Roots) -> Self {
        Self {
            devices: Filter::new(&config.include_devices, &config.exclude_devices),
            types: Filter::new(&config.include_fs_types, &config.exclude_fs_types),
            points: Filter::new(&config.include_mount_points, &config.exclude_mount_points),
            include_virtual: config.include_virtual_filesystems,
            known: HostFile::new(roots.proc("filesystems")),
            mounts: MountInfo::new(roots),
            statfs: Statfs::new(TIMEOUT, WORKERS),
            answers: Vec::new(),
            roots: roots.clone(),
        }
    }
}

/// A mount and where it is on the host.
struct Row<'a> {
    mount: Mount<'a>,
    point: String,
    mode: &'static str,
}

impl Row<'_> {
    fn attributes(&self) -> [(&str, &str); 4] {
        [
            ("device", &self.mount.source),
            ("mode", self.mode),
            ("mountpoint", &self.point),
            ("type", &self.mount.fs_type),
        ]
    }

    fn with_state<'s>(&'s self, state: &'s str) -> [(&'s str, &'s str); 5] {
        let [device, mode, mountpoint, kind] = self.attributes();
        [device, mode, mountpoint, kind, ("state", state)]
    }
}

impl Scraper for FilesystemScraper {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let on_devices: Option<HashSet<&str>> = if self.include_virtual {
            None
        } else {
            Some(filesystems::on_devices(self.known.read()?).collect())
        };
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut questions: Vec<Question> = Vec::new();
        let mut seen = HashSet::new();
        for mount in mounts::parse(self.mounts.read()?) {
            let mount = mount?;
            let point = String::from_utf8_lossy(&mount.mount_point);
            let point = self.roots.seen_from_host(&point);
            let virtual_one = on_devices
                .as_ref()
                .is_some_and(|types| !types.contains(&*mount.fs_type) || mount.source == "none");
            if virtual_one
                || !self.devices.lets_in(&mount.source)
                || !self.types.lets_in(&mount.fs_type)
                || !self.points.lets_in(point)
                || !seen.insert((mount.source.to_string(), point.to_owned()))
            {
                continue;
            }
            let path = match std::str::from_utf8(&mount.mount_point) {
                Ok(_) => self.roots.on_host(Path::new(point)),
                Err(_) => self
                    .roots
                    .on_host(Path::new(OsStr::from_bytes(&mount.mount_point))),
            };
            // The way to a mount may lead through one that hangs.
            let remote = may_hang(&mount.fs_type)
                || questions
                    .iter()
                    .any(|other| other.remote && path.starts_with(&other.path));
            questions.push(Question { path, remote });
            rows.push(Row {
                point: point.to_owned(),
                mode: if mount.is_read_only() { "ro" } else { "rw" },
                mount,
            });
        }
        self.statfs
            .ask(&questions, emit.deadline, &mut self.answers);
        let known: Vec<(&Row<'_>, &Usage)> = rows
            .iter()
            .zip(&self.answers)
            .filter_map(|(row, answer)| Some((row, answer.as_ref().ok()?)))
            .filter(|(_, usage)| usage.blocks > 0)
            .collect();
        show(emit, &known);
        Ok(())
    }
}

fn show(emit: &mut Emit<'_>, known: &[(&Row<'_>, &Usage)]) {
    let mut points = emit.metric("system.filesystem.usage");
    for (row, usage) in known {
        for (state, blocks) in [
            ("used", usage.blocks.saturating_sub(usage.blocks_free)),
            ("free", usage.blocks_available),
            (
                "reserved",
                usage.blocks_free.saturating_sub(usage.blocks_available),
            ),
        ] {
            let bytes = blocks.saturating_mul(usage.block_size);
            points.add(&row.with_state(state), bytes);
        }
    }
    points.end();
    let mut points = emit.metric("system.filesystem.inodes.usage");
    for (row, usage) in known {
        for (state, inodes) in [
            ("used", usage.inodes.saturating_sub(usage.inodes_free)),
            ("free", usage.inodes_free),
        ] {
            points.add(&row.with_state(state), inodes);
        }
    }
    points.end();
    let mut points = emit.metric("system.filesystem.utilization");
    for (row, usage) in known {
        let used = usage.blocks.saturating_sub(usage.blocks_free);
        let reachable = used.saturating_add(usage.blocks_available);
        if reachable > 0 {
            points.add(&row.attributes(), float(used) / float(reachable));
        }
    }
}
