//! Names of block devices, and the file systems of the machine.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use corten_host::diskstats::{self, Column};
use corten_host::mounts::{self, MountInfo};
use corten_host::statfs::{Question, Statfs, Usage, may_hang};
use corten_host::{Buffer, HostFile, Roots};

/// A file system of the machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSystem {
    /// Its device, or what stands for one.
    pub(crate) device: String,
    /// Size and use; `None` when it did not answer in time.
    pub(crate) usage: Option<Usage>,
    /// The columns of `/proc/diskstats` from [`Column::Reads`], zeros for what is no disk there.
    pub(crate) io: [u64; 11],
}

/// Reads the machine's disks.
pub(crate) struct Disks {
    roots: Roots,
    diskstats: HostFile,
    mounts: MountInfo,
    statfs: Statfs,
    names: HashMap<(u32, u32), String>,
    named: Option<Instant>,
}

const COLUMNS: [Column; 11] = [
    Column::Reads,
    Column::ReadsMerged,
    Column::SectorsRead,
    Column::ReadTime,
    Column::Writes,
    Column::WritesMerged,
    Column::SectorsWritten,
    Column::WriteTime,
    Column::InProgress,
    Column::IoTime,
    Column::WeightedIoTime,
];

/// How long the names of devices are believed.
const NAMED_FOR: Duration = Duration::from_secs(60);

impl Disks {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            diskstats: HostFile::new(roots.proc("diskstats")),
            mounts: MountInfo::new(roots),
            statfs: Statfs::new(Duration::from_secs(5), 4),
            names: HashMap::new(),
            named: None,
        }
    }

    /// Reads the names of whole disks, at most once a minute.
    pub(crate) fn read_names(&mut self) {
        if self.named.is_some_and(|at| at.elapsed() < NAMED_FOR) {
            return;
        }
        self.named = Some(Instant::now());
        self.names.clear();
        let mut buffer = Buffer::default();
        let folder = self.roots.sys("block");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ["loop", "ram", "sr"]
                .into_iter()
                .any(|prefix| name.starts_with(prefix))
            {
                continue;
            }
            let text = buffer.read(&entry.path().join("dev")).unwrap_or_default();
            let numbers = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.trim().split_once(':'))
                .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
            if let Some(numbers) = numbers {
                self.names.insert(numbers, format!("/dev/{name}"));
            }
        }
    }

    /// `/dev/sda`; empty for what is no disk.
    pub(crate) fn name(&self, major: u32, minor: u32) -> &str {
        self.names.get(&(major, minor)).map_or("", String::as_str)
    }

    /// The machine's file systems, each once however often it is mounted.
    pub(crate) fn file_systems(&mut self, deadline: Instant) -> Vec<FileSystem> {
        let mut found: Vec<FileSystem> = Vec::new();
        let mut questions = Vec::new();
        let text = self.mounts.read().unwrap_or_default();
        for mount in mounts::parse(text).flatten() {
            let kind = mount.fs_type.as_ref();
            let counts = kind.starts_with("ext")
                || kind.starts_with("nfs")
                || matches!(kind, "btrfs" | "overlay" | "tmpfs" | "xfs" | "zfs");
            let Ok(point) = std::str::from_utf8(&mount.mount_point) else {
                continue;
            };
            if !counts {
                continue;
            }
            let device = match kind {
                // All have the same source: the place tells them apart.
                "tmpfs" => point.to_owned(),
                "overlay" => format!("{}_{}-{}", mount.source, mount.major, mount.minor),
                _ => mount.source.clone().into_owned(),
            };
            if found.iter().any(|other| other.device == device) {
                continue;
            }
            found.push(FileSystem {
                device,
                ..FileSystem::default()
            });
            questions.push(Question {
                path: self.roots.on_host(Path::new(point)),
                remote: may_hang(kind),
            });
        }
        let mut answers = Vec::new();
        self.statfs.ask(&questions, deadline, &mut answers);
        for (system, answer) in found.iter_mut().zip(answers) {
            system.usage = answer.ok();
        }
        let text = self.diskstats.read().unwrap_or_default();
        for disk in diskstats::parse(text).flatten() {
            let system = found
                .iter_mut()
                .find(|system| system.device.strip_prefix("/dev/") == Some(disk.name));
            if let Some(system) = system {
                system.io = COLUMNS.map(|column| disk.get(column).unwrap_or(0));
            }
        }
        found
    }
}
