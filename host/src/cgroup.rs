//! Control groups: what every container and service of the host has used and may use.
//!
//! Both layouts are read into one shape: version 2 (one tree, the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst`) and version 1 (a tree for each controller, also where
//! an empty version 2 tree stands beside them). A group is the path below the tree's root, with the
//! same path in every tree of version 1.

mod identity;
mod io;
mod pressure;
mod v1;
mod v2;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags};

pub use self::identity::Identity;
pub use self::io::{DeviceIo, IoCost, Operation};
pub use self::pressure::Pressure;
use crate::scan::{fields, lines, number, only_number};
use crate::{Buffer, HostError};

/// CPU time that a group has used since it was made, its children's included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Nanoseconds in all.
    pub usage: u64,
    /// Nanoseconds in user mode.
    pub user: u64,
    /// Nanoseconds in kernel mode.
    pub system: u64,
    /// What the quota did; `None` without the controller.
    pub throttling: Option<Throttling>,
}

/// What the CPU quota did to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Enforcement periods that have passed while the group ran.
    pub periods: u64,
    /// Periods in which it used up its quota.
    pub throttled_periods: u64,
    /// Nanoseconds that its CPUs stood still for it.
    pub throttled: u64,
    /// Periods in which it used more than its quota from what it had saved.
    pub bursts: u64,
    /// Nanoseconds above its quota in those.
    pub burst: u64,
}

/// How much CPU a group may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSpec {
    /// Microseconds in an enforcement period.
    pub period: u64,
    /// Microseconds of CPU time in each; `None` without a limit.
    pub quota: Option<u64>,
    /// Its share against its siblings, on version 1's scale: 1024 is the default.
    pub shares: u64,
}

/// Memory in use, in bytes, children included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is charged to the group.
    pub usage: u64,
    /// The most that ever was; `None` on kernels that do not remember.
    pub max_usage: Option<u64>,
    /// Page cache.
    pub cache: u64,
    /// Memory of processes that is backed by no file.
    pub rss: u64,
    /// Files mapped into processes.
    pub mapped_file: u64,
    /// Paged out.
    pub swap: u64,
    /// Kernel memory, where it is counted apart.
    pub kernel: u64,
    /// Page cache in recent use.
    pub active_file: u64,
    /// Page cache that could go at once.
    pub inactive_file: u64,
    /// Times that a limit was hit, where they are counted.
    pub failures: u64,
    /// Page faults.
    pub page_faults: u64,
    /// Page faults that read from a disk.
    pub major_page_faults: u64,
    /// What only version 2 counts.
    pub more: Option<MoreMemory>,
}

/// What only version 2 counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoreMemory {
    /// Times that the group was slowed down for being above `memory.high`.
    pub high_events: u64,
    /// Times that it was about to pass `memory.max`.
    pub max_events: u64,
    /// Bytes of page cache that are not written yet.
    pub file_dirty: u64,
    /// Bytes of page cache that are being written.
    pub file_writeback: u64,
    /// Pages looked at by reclaim.
    pub scanned: u64,
    /// Pages taken by reclaim.
    pub stolen: u64,
    /// Pages of files that were taken and soon wanted again.
    pub refaults_file: u64,
    /// Pages of processes that were taken and soon wanted again.
    pub refaults_anon: u64,
}

impl Memory {
    /// What cannot be taken away without paging: use without idle page cache.
    #[must_use]
    pub fn working_set(&self) -> u64 {
        self.usage.saturating_sub(self.inactive_file)
    }
}

/// How much memory a group may use, in bytes; `None` without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySpec {
    /// The hard limit.
    pub limit: Option<u64>,
    /// The limit of what is paged out (version 1: together with memory).
    pub swap_limit: Option<u64>,
    /// What is kept for it under pressure.
    pub reservation: Option<u64>,
}

/// What a group may have of processes and threads, and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pids {
    /// Threads, children's included; without the controller, the lines of `cgroup.procs`.
    pub current: u64,
    /// The most that there may be; 0 without a limit.
    pub limit: u64,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    /// The size as the kernel's files have it: `2MB`.
    pub size: String,
    /// Bytes in use; where reservations are counted, the reserved ones.
    pub usage: u64,
    /// The most that ever was; version 2 does not remember.
    pub max_usage: u64,
    /// Times that the limit was hit.
    pub failures: u64,
}

/// One count of `memory.numa_stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumaPages {
    /// `file`, `anon` or `unevictable`.
    pub kind: &'static str,
    /// Whether it is of the group with its children.
    pub hierarchy: bool,
    /// The node's number.
    pub node: u64,
    /// Pages there.
    pub pages: u64,
}

/// What is read of every group. What is not wanted costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of parts, each wanted or not"
)]
pub struct Wanted {
    /// [`Group::cpu`].
    pub cpu: bool,
    /// [`Group::per_cpu`], which only version 1 has.
    pub per_cpu: bool,
    /// [`Group::cpu_spec`] and [`Group::memory_spec`].
    pub spec: bool,
    /// [`Group::memory`].
    pub memory: bool,
    /// [`Group::numa`], which only version 1 has.
    pub numa: bool,
    /// [`Group::oom_kills`].
    pub oom_kills: bool,
    /// [`Group::io`].
    pub io: bool,
    /// [`Group::pids`] and [`Group::processes`].
    pub processes: bool,
    /// The pressures, which only version 2 has.
    pub pressure: bool,
    /// [`Group::huge_pages`].
    pub huge_pages: bool,
    /// [`Group::memory_migrate`], which only version 1 has.
    pub cpuset: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self {
        cpu: true,
        per_cpu: true,
        spec: true,
        memory: true,
        numa: true,
        oom_kills: true,
        io: true,
        processes: true,
        pressure: true,
        huge_pages: true,
        cpuset: true,
    };
}

/// One control group as of now.
#[derive(Clone, Debug, Default)]
pub struct Group<'a> {
    /// Its path below the root of the tree, from `/`.
    pub id: &'a str,
    /// When it was made, as far as its files tell.
    pub created: Option<SystemTime>,
    /// CPU time, where it is counted.
    pub cpu: Option<Cpu>,
    /// CPU limits, where the controller is there (never for the root).
    pub cpu_spec: Option<CpuSpec>,
    /// Memory in use, where it is counted.
    pub memory: Option<Memory>,
    /// Memory limits, where the controller is there (never for the root of version 2).
    pub memory_spec: Option<MemorySpec>,
    /// CPU time of each CPU in nanoseconds, from CPU 0; empty where it is not counted apart.
    pub per_cpu: Vec<u64>,
    /// Pages on each node; empty where they are not counted.
    pub numa: Vec<NumaPages>,
    /// Processes of this very group that were killed because memory ran out.
    pub oom_kills: Option<u64>,
    /// Input and output of each block device.
    pub io: Vec<DeviceIo>,
    /// Threads, where they are counted.
    pub pids: Option<Pids>,
    /// The processes of this very group; `None` where the list cannot be read (a threaded group).
    pub processes: Option<Vec<u32>>,
    /// What waited for a CPU.
    pub cpu_pressure: Option<Pressure>,
    /// What waited for memory.
    pub memory_pressure: Option<Pressure>,
    /// What waited for input and output.
    pub io_pressure: Option<Pressure>,
    /// Huge pages of each size.
    pub huge_pages: Vec<HugePages>,
    /// Whether memory moves along when the nodes of the group change.
    pub memory_migrate: Option<u64>,
}

impl<'a> Group<'a> {
    /// Whether it is the tree's root: the whole host.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.id == "/"
    }

    /// What its path says about who made it.
    #[must_use]
    pub fn identity(&self) -> Identity<'a> {
        Identity::of(self.id)
    }
}

/// Groups deeper or more than this are passed over: nobody makes such trees in earnest.
const DEEPEST: usize = 32;
const MOST: usize = 1 << 15;

/// Reads all groups below a root.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    layout: Option<Layout>,
    ids: Vec<String>,
    buffer: Buffer,
    page_sizes: Vec<String>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Layout {
    V2(OwnedFd),
    V1(v1::Trees),
}

impl Cgroups {
    /// The groups below `root`, usually `/sys/fs/cgroup`. Nothing is opened yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            layout: None,
            ids: Vec::new(),
            buffer: Buffer::default(),
            page_sizes: Vec::new(),
        }
    }

    /// The huge pages that are looked for, as `/sys/kernel/mm/hugepages` lists them (`2MB`).
    #[must_use]
    pub fn with_page_sizes(mut self, sizes: Vec<String>) -> Self {
        self.page_sizes = sizes;
        self
    }

    /// Whether the groups are of version 2, once they have been read.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        matches!(self.layout, Some(Layout::V2(_)))
    }

    /// All groups as of now, parents before children, in the order of their paths. A group that
    /// goes away meanwhile is left out.
    ///
    /// # Errors
    ///
    /// The root is no control group tree of either version.
    pub fn read(&mut self, wanted: &Wanted) -> Result<Vec<Group<'_>>, HostError> {
        let layout = match &self.layout {
            Some(layout) => layout,
            None => self.layout.insert(detect(&self.root)?),
        };
        self.ids.clear();
        match layout {
            Layout::V2(_) => list(&self.root, "", 0, &mut self.ids),
            Layout::V1(trees) => {
                for tree in trees.paths() {
                    list(tree, "", 0, &mut self.ids);
                }
                self.ids.sort_unstable();
                self.ids.dedup();
            }
        }
        let (buffer, sizes) = (&mut self.buffer, &self.page_sizes);
        let groups = self.ids.iter().filter_map(|id| match layout {
            Layout::V2(root) => v2::read(root, id, wanted, sizes, buffer),
            Layout::V1(trees) => v1::read(trees, id, wanted, sizes, buffer),
        });
        Ok(groups.collect())
    }

    /// One group as of now, for whoever knows its path. `None` when it is not there.
    ///
    /// # Errors
    ///
    /// The root is no control group tree of either version.
    pub fn read_one<'a>(
        &mut self,
        id: &'a str,
        wanted: &Wanted,
    ) -> Result<Option<Group<'a>>, HostError> {
        let layout = match &self.layout {
            Some(layout) => layout,
            None => self.layout.insert(detect(&self.root)?),
        };
        let (buffer, sizes) = (&mut self.buffer, &self.page_sizes);
        Ok(match layout {
            Layout::V2(root) => v2::read(root, id, wanted, sizes, buffer),
            Layout::V1(trees) => v1::read(trees, id, wanted, sizes, buffer),
        })
    }

    /// The folder in which groups come and go: the tree of version 2, or one of version 1's that
    /// has all of them in practice.
    ///
    /// # Errors
    ///
    /// The root is no control group tree of either version.
    pub fn watched_tree(&mut self) -> Result<PathBuf, HostError> {
        let layout = match &self.layout {
            Some(layout) => layout,
            None => self.layout.insert(detect(&self.root)?),
        };
        Ok(match layout {
            Layout::V2(_) => self.root.clone(),
            Layout::V1(trees) => trees.paths().next().unwrap_or(&self.root).to_owned(),
        })
    }
}

fn detect(root: &Path) -> Result<Layout, HostError> {
    if root.join("cgroup.controllers").exists() {
        return open_folder(root)
            .map(Layout::V2)
            .map_err(|source| HostError::read(root, source));
    }
    v1::Trees::find(root).map(Layout::V1).ok_or_else(|| {
        let expected = "no control groups here: expected cgroup.controllers (version 2) or the folders cpu, cpuacct or memory (version 1)";
        HostError::read(root, std::io::Error::new(std::io::ErrorKind::NotFound, expected))
    })
}

/// Adds the folder `relative` of `tree` and all below it to `ids`.
fn list(tree: &Path, relative: &str, depth: usize, ids: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;

    if depth > DEEPEST || ids.len() >= MOST {
        return;
    }
    ids.push(if relative.is_empty() {
        "/".to_owned()
    } else {
        relative.to_owned()
    });
    let path = tree.join(relative.trim_start_matches('/'));
    // A folder's link count tells whether it has folders in it, which saves reading most of them.
    if path.metadata().is_ok_and(|metadata| metadata.nlink() == 2) {
        return;
    }
    let Ok(entries) = std::fs::read_dir(&path) else {
        return;
    };
    let mut children: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        // systemd's groups of mount points hold no processes.
        .filter(|name| !name.ends_with(".mount"))
        .map(|name| format!("{relative}/{name}"))
        .collect();
    children.sort_unstable();
    for child in children {
        list(tree, &child, depth + 1, ids);
    }
}

fn open_folder(path: &Path) -> std::io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folder of one group in one tree. Files are opened relative to it.
struct Folder(OwnedFd);

impl Folder {
    fn open(tree: impl AsFd, id: &str) -> Option<Self> {
        let relative = match id.trim_start_matches('/') {
            "" => ".",
            relative => relative,
        };
        rustix::fs::openat(tree, relative, FOLDER, Mode::empty())
            .ok()
            .map(Self)
    }

    fn read<'b>(&self, name: &str, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty()).ok()?;
        buffer.read_file_at_once(File::from(file)).ok()
    }

    /// The numbers of processes in `cgroup.procs`, which the kernel writes in several goes.
    fn processes(&self, buffer: &mut Buffer) -> Option<Vec<u32>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, "cgroup.procs", flags, Mode::empty()).ok()?;
        let text = buffer.read_file(File::from(file)).ok()?;
        Some(
            lines(text)
                .filter_map(|(_, line)| number(line))
                .filter_map(|pid| u32::try_from(pid).ok())
                .collect(),
        )
    }

    /// Threads and their limit; without the controller the processes are counted.
    fn pids(&self, processes: Option<&[u32]>, buffer: &mut Buffer) -> Option<Pids> {
        match self.number("pids.current", buffer) {
            Some(current) => Some(Pids {
                current,
                limit: self.number("pids.max", buffer).unwrap_or(0),
            }),
            None => processes.map(|processes| Pids {
                current: u64::try_from(processes.len()).unwrap_or(u64::MAX),
                limit: 0,
            }),
        }
    }

    fn number(&self, name: &str, buffer: &mut Buffer) -> Option<u64> {
        self.read(name, buffer).and_then(only_number)
    }

    /// A limit: a number, or `None` where it says that there is none, in whichever way.
    fn limit(&self, name: &str, buffer: &mut Buffer) -> Option<u64> {
        // Version 1 writes the largest number of pages that fits.
        self.number(name, buffer)
            .filter(|bytes| *bytes <= LARGEST_LIMIT)
    }

    /// When a group was made: the older of its folder and of a file that nothing writes to.
    fn created(&self, untouched: &str) -> Option<SystemTime> {
        let of = |stat: rustix::fs::Stat| {
            let seconds = u64::try_from(stat.st_mtime).ok()?;
            let nanoseconds = u32::try_from(stat.st_mtime_nsec).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
        };
        let folder = rustix::fs::statat(&self.0, ".", AtFlags::empty())
            .ok()
            .and_then(of);
        let file = rustix::fs::statat(&self.0, untouched, AtFlags::empty())
            .ok()
            .and_then(of);
        [folder, file].into_iter().flatten().min()
    }
}

const LARGEST_LIMIT: u64 = 1 << 62;

/// Lines `name value` of a flat file; others are passed over.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|(_, line)| {
        let mut parts = fields(line);
        Some((parts.next()?, number(parts.next()?)?))
    })
}

/// The words `name=value` of a line; others are passed over.
fn pairs_of_words(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields(line).filter_map(|word| crate::scan::cut(word, b'='))
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Small trees of control groups.

    use std::path::Path;

    pub(crate) fn write(root: &Path, group: &str, files: &[(&str, &str)]) {
        let folder = root.join(group);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(root: &Path) -> Vec<String> {
        let mut cgroups = Cgroups::new(root);
        let groups = cgroups.read(&Wanted::ALL).unwrap();
        groups.iter().map(|group| group.id.to_owned()).collect()
    }

    #[test]
    fn version_2_is_one_tree() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fixture::write(root, "", &[("cgroup.controllers", "cpu memory\n")]);
        for group in [
            "b.slice/x.service",
            "a.slice",
            "b.slice/dev-hugepages.mount",
        ] {
            fixture::write(root, group, &[("memory.current", "1\n")]);
        }
        assert_eq!(
            ids(root),
            ["/", "/a.slice", "/b.slice", "/b.slice/x.service"]
        );
    }

    #[test]
    fn version_1_is_the_union_of_its_trees() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fixture::write(root, "unified", &[("cgroup.controllers", "\n")]);
        fixture::write(root, "cpu,cpuacct/a", &[("cpuacct.usage", "1\n")]);
        fixture::write(root, "memory/a", &[("memory.usage_in_bytes", "1\n")]);
        fixture::write(root, "memory/b", &[("memory.usage_in_bytes", "1\n")]);
        assert_eq!(ids(root), ["/", "/a", "/b"]);
    }

    #[test]
    fn a_folder_without_control_groups_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Cgroups::new(folder.path()).read(&Wanted::ALL).unwrap_err();
        assert!(error.to_string().contains("cgroup.controllers"), "{error}");
    }

    #[test]
    fn this_machine_has_groups() {
        let mut cgroups = Cgroups::new(Path::new("/sys/fs/cgroup"));
        // A container may be given none; then there is nothing to see.
        if let Ok(groups) = cgroups.read(&Wanted::ALL) {
            assert!(
                groups
                    .iter()
                    .any(|group| group.cpu.is_some() || group.memory.is_some())
            );
        }
    }
}
