//! Each process: a resource of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use corten_host::meminfo::Meminfo;
use corten_host::process::{self, Folder, Io, Stat, Status, Users, cgroups, words};
use corten_host::scan::{float, valid};
use corten_host::stat::USER_HZ;
use corten_host::{Buffer, HostError, HostFile, Roots};

use crate::config;
use crate::definition::{Definition, Shape};
use crate::emit::{Emit, Number};
use crate::filter::Filter;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "process.cpu.time",
        "s",
        Shape::Counter,
        &["state"],
        "Processor time in each state.",
    ),
    Definition::new(
        "process.cpu.utilization",
        "1",
        Shape::Gauge,
        &["state"],
        "Share of all processors since the last look.",
    )
    .off(),
    Definition::new(
        "process.memory.usage",
        "By",
        Shape::UpDown,
        &[],
        "Memory that is there physically.",
    ),
    Definition::new(
        "process.memory.virtual",
        "By",
        Shape::UpDown,
        &[],
        "Size of the address space.",
    ),
    Definition::new(
        "process.memory.utilization",
        "1",
        Shape::Gauge,
        &[],
        "Percentage of the host's memory.",
    )
    .off(),
    Definition::new(
        "process.disk.io",
        "By",
        Shape::Counter,
        &["direction"],
        "Bytes that came from storage and went there.",
    ),
    Definition::new(
        "process.disk.operations",
        "{operations}",
        Shape::Counter,
        &["direction"],
        "Calls that read and wrote.",
    )
    .off(),
    Definition::new(
        "process.paging.faults",
        "{faults}",
        Shape::Counter,
        &["type"],
        "Page faults, with reading (major) and without.",
    )
    .off(),
    Definition::new(
        "process.signals_pending",
        "{signals}",
        Shape::UpDown,
        &[],
        "Signals that wait.",
    )
    .off(),
    Definition::new(
        "process.threads",
        "{threads}",
        Shape::UpDown,
        &[],
        "Threads.",
    )
    .off(),
    Definition::new(
        "process.open_file_descriptors",
        "{count}",
        Shape::UpDown,
        &[],
        "Open file descriptors.",
    )
    .off(),
    Definition::new(
        "process.context_switches",
        "{count}",
        Shape::Counter,
        &["type"],
        "Switches to other tasks, voluntary and not.",
    )
    .off(),
    Definition::new(
        "process.uptime",
        "s",
        Shape::Gauge,
        &[],
        "Time since it started.",
    )
    .off(),
];

/// A name of this length may be cut off.
const CUT: usize = 15;

pub(crate) struct ProcessScraper {
    roots: Roots,
    names: Filter,
    delay: Duration,
    with_cgroup: bool,
    muted: bool,
    /// It was said that a process could not be read in full.
    told: bool,
    users: Users,
    buffer: Buffer,
    meminfo: HostFile,
    stat: HostFile,
    /// Of the last look: by process, when it started and its ticks by state.
    before: HashMap<u32, (u64, [u64; 3])>,
    before_at: Option<u64>,
}

/// What is read of a process.
struct Seen {
    started: u64,
    ticks: [u64; 3],
    faults: [u64; 2],
    threads: u64,
    virtual_bytes: u64,
    resident: u64,
    parent: u32,
    name: String,
    exe: String,
    words: Vec<String>,
    owner: String,
    cgroup: Option<String>,
    status: Status,
    io: Option<Io>,
    descriptors: Option<u64>,
}

impl ProcessScraper {
    pub(crate) fn new(settings: &config::Process, roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            names: Filter::new(&settings.include, &settings.exclude),
            delay: settings.scrape_process_delay.into(),
            with_cgroup: settings.resource_attributes.cgroup.enabled,
            muted: settings.mute_process_all_errors || settings.mute_process_io_error,
            told: false,
            users: Users::new(roots),
            buffer: Buffer::default(),
            meminfo: HostFile::new(roots.proc("meminfo")),
            stat: HostFile::new(roots.proc("stat")),
            before: HashMap::new(),
            before_at: None,
        }
    }

    /// Reads a process; `None` when it is gone or not wanted. `now` and `booted` are nanoseconds since 1970.
    fn read(&mut self, pid: u32, now: u64, booted: u64, emit: &Emit<'_>) -> Option<Seen> {
        let mut folder = Folder::of(&self.roots, pid);
        let buffer = &mut self.buffer;
        let text = folder.read("stat", buffer)?;
        let stat = Stat::parse(text)?;
        let started = booted.saturating_add(stat.started.saturating_mul(10_000_000));
        let age = Duration::from_nanos(now.saturating_sub(started));
        if age < self.delay {
            return None;
        }
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let mut seen = Seen {
            started,
            ticks: [stat.user, stat.system, stat.waited],
            faults: [stat.major_faults, stat.minor_faults],
            threads: stat.threads,
            virtual_bytes: stat.virtual_bytes,
            resident: stat.resident_pages.saturating_mul(page),
            parent: stat.parent,
            name: valid(stat.comm).into_owned(),
            exe: String::new(),
            words: Vec::new(),
            owner: String::new(),
            cgroup: None,
            status: Status::default(),
            io: None,
            descriptors: None,
        };
        seen.words = words(folder.read("cmdline", buffer).unwrap_or_default());
        // The kernel cuts names off; the command line has the whole.
        if seen.name.len() >= CUT
            && let Some(called) = seen.words.first()
            && let Some(called) = Path::new(called).file_name()
            && let Some(called) = called.to_str()
            && called.starts_with(&seen.name)
        {
            called.clone_into(&mut seen.name);
        }
        if !self.names.lets_in(&seen.name) {
            return None;
        }
        seen.status = Status::parse(folder.read("status", buffer)?);
        if let Ok(exe) = std::fs::read_link(folder.path().join("exe")) {
            seen.exe = exe.to_string_lossy().into_owned();
        }
        self.users
            .name(seen.status.user)
            .clone_into(&mut seen.owner);
        if self.with_cgroup {
            let all = cgroups(folder.read("cgroup", buffer).unwrap_or_default());
            seen.cgroup = all.into_iter().next_back();
        }
        if emit
            .wanted
            .any(&["process.disk.io", "process.disk.operations"])
        {
            seen.io = folder.read("io", buffer).map(Io::parse);
            if seen.io.is_none() && !self.muted && !self.told && folder.path().exists() {
                self.told = true;
                tracing::warn!(
                    pid,
                    name = seen.name,
                    "process.disk.* is left out for processes of other users: run as root or with CAP_SYS_PTRACE, or set mute_process_io_error"
                );
            }
        }
        if emit.wanted.any(&["process.open_file_descriptors"]) {
            seen.descriptors = folder.descriptors();
        }
        Some(seen)
    }
}

impl Scraper for ProcessScraper {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let (now, booted) = (emit.time, emit.boot);
        let memory = match emit.wanted.any(&["process.memory.utilization"]) {
            true => Meminfo::parse(self.meminfo.read()?)?.total,
            false => 0,
        };
        let mut processors = 1.0;
        if emit.wanted.any(&["process.cpu.utilization"]) {
            let mut stat = corten_host::stat::Stat::default();
            stat.parse(self.stat.read()?)?;
            processors = float(u64::try_from(stat.cpus.len().max(1)).unwrap_or(1));
        }
        let elapsed = self
            .before_at
            .replace(now)
            .map(|before| now.saturating_sub(before));
        let mut before = std::mem::take(&mut self.before);
        for pid in process::all(&self.roots)? {
            let Some(seen) = self.read(pid, now, booted, emit) else {
                continue;
            };
            let last = before
                .remove(&pid)
                .filter(|(started, _)| *started == seen.started);
            self.before.insert(pid, (seen.started, seen.ticks));
            let used =
                last.zip(elapsed.filter(|elapsed| *elapsed > 0))
                    .map(|((_, last), elapsed)| {
                        let mut shares = [0.0; 3];
                        for ((share, now), last) in shares.iter_mut().zip(seen.ticks).zip(last) {
                            let seconds = float(now.saturating_sub(last)) / USER_HZ;
                            *share = seconds / (float(elapsed) / 1e9) / processors;
                        }
                        shares
                    });
            emit.builder.resource(|resource| {
                resource.attribute_int("process.pid", i64::from(pid));
                resource.attribute_int("process.parent_pid", i64::from(seen.parent));
                resource.attribute_str("process.executable.name", &seen.name);
                resource.attribute_str("process.executable.path", &seen.exe);
                let command = seen.words.first().map_or("", String::as_str);
                resource.attribute_str("process.command", command);
                resource.attribute_str("process.command_line", &seen.words.join(" "));
                resource.attribute_str("process.owner", &seen.owner);
                if let Some(cgroup) = &seen.cgroup {
                    resource.attribute_str("process.cgroup", cgroup);
                }
            });
            emit.builder
                .scope(super::scope("process"), env!("CARGO_PKG_VERSION"));
            let mut own = Emit {
                builder: emit.builder,
                wanted: emit.wanted,
                time: now,
                boot: seen.started,
                deadline: emit.deadline,
            };
            seen.write(&mut own, used, memory);
        }
        Ok(())
    }
}

impl Seen {
    fn write(&self, emit: &mut Emit<'_>, used: Option<[f64; 3]>, memory: u64) {
        const STATES: [&str; 3] = ["user", "system", "wait"];
        let mut points = emit.metric("process.cpu.time");
        for (state, ticks) in STATES.into_iter().zip(self.ticks) {
            points.add(&[("state", state)], float(ticks) / USER_HZ);
        }
        points.end();
        if let Some(used) = used {
            let mut points = emit.metric("process.cpu.utilization");
            for (state, share) in STATES.into_iter().zip(used) {
                points.add(&[("state", state)], share);
            }
            points.end();
        }
        emit.single("process.memory.usage", self.resident);
        emit.single("process.memory.virtual", self.virtual_bytes);
        if memory > 0 {
            let share = float(self.resident) / float(memory) * 100.0;
            emit.single("process.memory.utilization", share);
        }
        if let Some(io) = self.io {
            pair(
                emit,
                "process.disk.io",
                "direction",
                [("read", io.read), ("write", io.written)],
            );
            let calls = [("read", io.read_calls), ("write", io.write_calls)];
            pair(emit, "process.disk.operations", "direction", calls);
        }
        let [major, minor] = self.faults;
        pair(
            emit,
            "process.paging.faults",
            "type",
            [("major", major), ("minor", minor)],
        );
        emit.single("process.signals_pending", self.status.pending_signals);
        emit.single("process.threads", self.threads);
        if let Some(descriptors) = self.descriptors {
            emit.single("process.open_file_descriptors", descriptors);
        }
        let switches = [
            ("voluntary", self.status.voluntary_switches),
            ("involuntary", self.status.involuntary_switches),
        ];
        pair(emit, "process.context_switches", "type", switches);
        let age = float(emit.time.saturating_sub(self.started)) / 1e9;
        emit.single("process.uptime", age);
    }
}

fn pair(emit: &mut Emit<'_>, metric: &str, attribute: &str, values: [(&str, u64); 2]) {
    let mut points = emit.metric(metric);
    for (which, value) in values {
        points.add(&[(attribute, which)], Number::from(value));
    }
}
