//! How full the file systems are: the mounts of process 1, asked with `statfs(2)`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use corten_host::mounts::{self, Mount, MountInfo};
use corten_host::statfs::{Question, Statfs, Unknown, Usage, may_hang};
use corten_host::{HostError, Roots, float};

use crate::collector::{Collector, Emit};
use crate::config::{Config, constant};
use crate::filter::Filter;
use crate::shared::Sources;

const MOUNT_POINTS_EXCLUDED: &str =
    r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const FS_TYPES_EXCLUDED: &str = r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$";

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let config = &config.filesystem;
    Box::new(Filesystem {
        mount_points: Filter::new(
            config.mount_points_exclude.as_ref(),
            config.mount_points_include.as_ref(),
            Some(constant(MOUNT_POINTS_EXCLUDED)),
        ),
        types: Filter::new(
            config.fs_types_exclude.as_ref(),
            config.fs_types_include.as_ref(),
            Some(constant(FS_TYPES_EXCLUDED)),
        ),
        mounts: MountInfo::new(&sources.roots),
        statfs: Statfs::new(config.mount_timeout.into(), config.stat_workers),
        answers: Vec::new(),
        roots: sources.roots.clone(),
    })
}

struct Filesystem {
    mount_points: Filter,
    types: Filter,
    mounts: MountInfo,
    statfs: Statfs,
    answers: Vec<Result<Usage, Unknown>>,
    roots: Roots,
}

/// A mount with what it answered.
struct Row<'a> {
    mount: Mount<'a>,
    point: String,
    usage: Option<Usage>,
    error: String,
}

impl Row<'_> {
    fn labels(&self) -> [(&str, &str); 4] {
        [
            ("device", &self.mount.source),
            ("device_error", &self.error),
            ("fstype", &self.mount.fs_type),
            ("mountpoint", &self.point),
        ]
    }
}

type Value = fn(&Usage) -> f64;

const VALUES: [(&str, &str, Value); 6] = [
    (
        "node_filesystem_size_bytes",
        "Size of each file system, in bytes.",
        |usage| float(usage.blocks) * float(usage.block_size),
    ),
    (
        "node_filesystem_free_bytes",
        "Free space of each file system, in bytes.",
        |usage| float(usage.blocks_free) * float(usage.block_size),
    ),
    (
        "node_filesystem_avail_bytes",
        "Space of each file system that is free for users other than root, in bytes.",
        |usage| float(usage.blocks_available) * float(usage.block_size),
    ),
    (
        "node_filesystem_files",
        "Inodes of each file system.",
        |usage| float(usage.inodes),
    ),
    (
        "node_filesystem_files_free",
        "Free inodes of each file system.",
        |usage| float(usage.inodes_free),
    ),
    (
        "node_filesystem_purgeable_bytes",
        "Bytes that macOS would free when somebody needs them: 0 here.",
        |_| 0.0,
    ),
];

impl Collector for Filesystem {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut rows = Vec::new();
        let mut questions: Vec<Question> = Vec::new();
        let mut seen = HashSet::new();
        for mount in mounts::parse(self.mounts.read()?) {
            let mount = mount?;
            let point = String::from_utf8_lossy(&mount.mount_point);
            let point = self.roots.seen_from_host(&point);
            if !self.mount_points.lets_in(point) || !self.types.lets_in(&mount.fs_type) {
                continue;
            }
            // What is mounted over is hidden, and the same series must not be there twice.
            if !seen.insert((
                mount.source.to_string(),
                point.to_owned(),
                mount.fs_type.to_string(),
            )) {
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
                mount,
                usage: None,
                error: String::new(),
            });
        }
        self.statfs
            .ask(&questions, emit.deadline, &mut self.answers);
        for (row, answer) in rows.iter_mut().zip(&self.answers) {
            match answer {
                Ok(usage) => row.usage = Some(*usage),
                Err(error) => row.error = error.to_string(),
            }
        }
        show(emit, &rows);
        Ok(())
    }
}

fn show(emit: &mut Emit<'_>, rows: &[Row<'_>]) {
    let mut family = emit.gauge(
        "node_filesystem_device_error",
        "Whether each file system could not be asked how full it is.",
    );
    for row in rows {
        family.add(&row.labels(), f64::from(u8::from(row.usage.is_none())));
    }
    family.end();
    let mut family = emit.gauge(
        "node_filesystem_readonly",
        "Whether nothing can be written to each file system.",
    );
    for row in rows {
        let read_only = row.mount.is_read_only();
        family.add(&row.labels(), f64::from(u8::from(read_only)));
    }
    family.end();
    for (name, help, value) in VALUES {
        let mut family = emit.gauge(name, help);
        for row in rows {
            if let Some(usage) = &row.usage {
                family.add(&row.labels(), value(usage));
            }
        }
    }
    let (mut major, mut minor) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut family = emit.gauge(
        "node_filesystem_mount_info",
        "The device of each mount: always 1.",
    );
    for row in rows.iter().filter(|row| row.usage.is_some()) {
        family.add(
            &[
                ("device", &row.mount.source),
                ("major", major.format(row.mount.major)),
                ("minor", minor.format(row.mount.minor)),
                ("mountpoint", &row.point),
            ],
            1.0,
        );
    }
}
