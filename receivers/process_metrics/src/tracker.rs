//! Follows processes from one look to the next, and adds up what their groups use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use corten_host::process::{self, Folder, Io, Proportional, Stat, Status, Users, cgroups, words};
use corten_host::scan::{float, valid};
use corten_host::stat::USER_HZ;
use corten_host::{Buffer, HostError, Roots};

use crate::config::Config;
use crate::selector::{Seen, Selector};
use crate::template::Values;

/// Groups at most: names with process IDs in them would fill the memory.
const MOST: usize = 10_000;

/// What only grows, of a process, a thread or a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ticks.
    pub(crate) user: u64,
    /// Ticks.
    pub(crate) system: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) major_faults: u64,
    pub(crate) minor_faults: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

impl Counts {
    fn of(stat: &Stat<'_>, status: &Status, io: Io) -> Self {
        Self {
            user: stat.user,
            system: stat.system,
            read: io.read,
            written: io.written,
            major_faults: stat.major_faults,
            minor_faults: stat.minor_faults,
            voluntary: status.voluntary_switches,
            involuntary: status.involuntary_switches,
        }
    }

    fn each(&mut self, other: &Self, change: impl Fn(u64, u64) -> u64) {
        for (own, other) in [
            (&mut self.user, other.user),
            (&mut self.system, other.system),
            (&mut self.read, other.read),
            (&mut self.written, other.written),
            (&mut self.major_faults, other.major_faults),
            (&mut self.minor_faults, other.minor_faults),
            (&mut self.voluntary, other.voluntary),
            (&mut self.involuntary, other.involuntary),
        ] {
            *own = change(*own, other);
        }
    }

    /// What was added since `before`. A file that could not be read in between adds nothing.
    fn since(mut self, before: &Self) -> Self {
        self.each(before, u64::saturating_sub);
        self
    }

    fn add(&mut self, other: &Self) {
        self.each(other, u64::wrapping_add);
    }

    /// Where a file could not be read this time, what was known.
    fn at_least(mut self, before: &Self) -> Self {
        self.each(before, u64::max);
        self
    }
}

/// Processes by state, in the words of the metric.
pub(crate) const STATES: [&str; 5] = ["Running", "Sleeping", "Waiting", "Zombie", "Other"];

/// A group of processes as it is now, with counters since it was first seen.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) processes: u64,
    pub(crate) threads: u64,
    pub(crate) resident: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) swapped: u64,
    pub(crate) proportional: Proportional,
    pub(crate) descriptors: u64,
    /// The worst share of its descriptors that a process has open.
    pub(crate) worst_ratio: f64,
    /// Of the oldest process: ticks from boot.
    pub(crate) oldest: Option<u64>,
    /// As in [`STATES`].
    pub(crate) states: [u64; 5],
    /// Threads by what in the kernel they wait for.
    pub(crate) waits: BTreeMap<String, u64>,
    pub(crate) counts: Counts,
    pub(crate) by_thread: BTreeMap<String, Threads>,
}

/// The threads of one name in a group.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    pub(crate) threads: u64,
    pub(crate) counts: Counts,
}

impl Group {
    /// Forgets what is only true of the moment.
    fn begin(&mut self) {
        *self = Self {
            counts: self.counts,
            by_thread: std::mem::take(&mut self.by_thread),
            ..Self::default()
        };
        for threads in self.by_thread.values_mut() {
            threads.threads = 0;
        }
    }
}

/// A process that was seen before.
struct Known {
    /// Ticks from boot to its start: another process may have its number one day.
    started: u64,
    /// `None`: it belongs to no group.
    group: Option<Arc<str>>,
    /// When it was measured last.
    counts: Option<Counts>,
    threads: HashMap<u32, (u64, Counts)>,
    seen: u64,
}

/// What went wrong, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    /// Looks at which the processes could not even be listed.
    pub(crate) scrapes: u64,
    /// Processes that could not be read at all.
    pub(crate) processes: u64,
    /// Processes of which a part could not be read.
    pub(crate) parts: u64,
}

pub(crate) struct Tracker {
    roots: Roots,
    selectors: Vec<Selector>,
    children: bool,
    threads: bool,
    recheck: bool,
    smaps: bool,
    remove_empty: bool,
    known: HashMap<u32, Known>,
    groups: BTreeMap<Arc<str>, Group>,
    users: Users,
    buffer: Buffer,
    page: u64,
    looks: u64,
    /// It was said that there are too many groups.
    told: bool,
    pub(crate) errors: Errors,
}

/// A process that no selector matched, and its parent.
struct Orphan {
    pid: u32,
    parent: u32,
}

impl Tracker {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            roots: config.roots(),
            selectors: config.selectors(),
            children: config.children,
            threads: config.threads,
            recheck: config.recheck,
            smaps: config.gather_smaps,
            remove_empty: config.remove_empty_groups,
            known: HashMap::new(),
            groups: BTreeMap::new(),
            users: Users::new(&config.roots()),
            buffer: Buffer::default(),
            page: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            looks: 0,
            told: false,
            errors: Errors::default(),
        }
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Group)> + Clone {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// Looks at all processes. `booted`: seconds since 1970.
    pub(crate) fn look(&mut self, booted: u64) -> Result<(), HostError> {
        let processes = process::all(&self.roots).inspect_err(|_| self.errors.scrapes += 1)?;
        self.looks += 1;
        let orphans = self.name(&processes, booted);
        self.inherit(orphans);
        let looks = self.looks;
        self.known.retain(|_, known| known.seen == looks);
        self.groups.values_mut().for_each(Group::begin);
        for pid in processes {
            self.measure(pid);
        }
        for group in self.groups.values_mut() {
            group.by_thread.retain(|_, threads| threads.threads > 0);
        }
        if self.remove_empty {
            self.groups.retain(|_, group| group.processes > 0);
        }
        Ok(())
    }

    /// Finds the groups of processes that are new. Returns those that no selector matches.
    fn name(&mut self, processes: &[u32], booted: u64) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        for pid in processes.iter().copied() {
            let mut folder = Folder::of(&self.roots, pid);
            let Some(text) = folder.read("stat", &mut self.buffer) else {
                // It has ended; what is there and can't be read is another matter.
                if folder.path().exists() {
                    self.errors.processes += 1;
                }
                continue;
            };
            let Some(stat) = Stat::parse(text) else {
                self.errors.processes += 1;
                continue;
            };
            let (started, parent) = (stat.started, stat.parent);
            let before = self
                .known
                .get_mut(&pid)
                .filter(|known| known.started == started);
            if let Some(known) = before {
                known.seen = self.looks;
                if !self.recheck {
                    continue;
                }
            } else {
                let known = Known {
                    started,
                    group: None,
                    counts: None,
                    threads: HashMap::new(),
                    seen: self.looks,
                };
                self.known.insert(pid, known);
            }
            let comm = valid(stat.comm).into_owned();
            match self.choose(&mut folder, pid, &comm, booted, started) {
                Some(group) => self.put(pid, Some(group.into())),
                None => orphans.push(Orphan { pid, parent }),
            }
        }
        orphans
    }

    /// The name of the first group that matches.
    fn choose(
        &mut self,
        folder: &mut Folder,
        pid: u32,
        comm: &str,
        booted: u64,
        started: u64,
    ) -> Option<String> {
        let line = folder.read("cmdline", &mut self.buffer).unwrap_or_default();
        let words = words(line);
        let line = words.join(" ");
        let seen = Seen {
            comm,
            words: &words,
            line: &line,
        };
        let mut selectors = self.selectors.iter();
        let (selector, matches) =
            selectors.find_map(|selector| Some((selector, selector.matches(&seen)?)))?;
        let user = folder
            .read("status", &mut self.buffer)
            .map(|status| Status::parse(status).user)
            .unwrap_or_default();
        let cgroups = match selector.name.wants_cgroups() {
            true => cgroups(folder.read("cgroup", &mut self.buffer).unwrap_or_default()),
            false => Vec::new(),
        };
        let values = Values {
            comm,
            exe: words.first().map_or(comm, String::as_str),
            user: self.users.name(user).to_owned().into(),
            pid,
            started: (i128::from(booted) * 100 + i128::from(started)) * 10_000_000,
            cgroups: &cgroups,
            matches: &matches,
        };
        Some(selector.name.fill(&values))
    }

    /// Gives processes that no selector matches to the groups of their parents, and those of their parents.
    fn inherit(&mut self, orphans: Vec<Orphan>) {
        if !self.children {
            for orphan in orphans {
                self.put(orphan.pid, None);
            }
            return;
        }
        let parents: HashMap<u32, u32> = orphans.iter().map(|one| (one.pid, one.parent)).collect();
        for orphan in orphans {
            let mut ancestor = orphan.parent;
            // No tree is deeper than there are processes: a file that lies makes no loop.
            let mut group = None;
            for _ in 0..=parents.len() {
                match parents.get(&ancestor) {
                    // As new, and without a group of its own.
                    Some(next) if *next != ancestor => ancestor = *next,
                    _ => {
                        let known = self.known.get(&ancestor);
                        group = known.and_then(|known| known.group.clone());
                        break;
                    }
                }
            }
            self.put(orphan.pid, group);
        }
    }

    fn put(&mut self, pid: u32, group: Option<Arc<str>>) {
        let group = match group {
            Some(name) if !self.groups.contains_key(&name) => {
                if self.groups.len() >= MOST {
                    if !self.told {
                        tracing::warn!(
                            group = &*name,
                            "more than {MOST} groups of processes: further ones are left out; does `name` have a process ID in it?"
                        );
                    }
                    self.told = true;
                    None
                } else {
                    self.groups.insert(Arc::clone(&name), Group::default());
                    Some(name)
                }
            }
            other => other,
        };
        if let Some(known) = self.known.get_mut(&pid) {
            known.group = group;
        }
    }

    /// Adds a process to its group.
    fn measure(&mut self, pid: u32) {
        let Some(known) = self.known.get_mut(&pid) else {
            return;
        };
        let Some(group) = known
            .group
            .as_ref()
            .and_then(|name| self.groups.get_mut(name))
        else {
            return;
        };
        let mut folder = Folder::of(&self.roots, pid);
        let buffer = &mut self.buffer;
        let Some(stat) = folder.read("stat", buffer).and_then(Numbers::of) else {
            return;
        };
        if stat.started != known.started {
            return;
        }
        let status = folder.read("status", buffer).map(Status::parse);
        let io = folder.read("io", buffer).map(Io::parse);
        let descriptors = folder.descriptors();
        let limit = folder.read("limits", buffer).map(process::most_descriptors);
        let ended = !folder.path().exists();
        if !ended && (status.is_none() || io.is_none() || descriptors.is_none() || limit.is_none())
        {
            self.errors.parts += 1;
        }
        let status = status.unwrap_or_default();
        let mut now = stat.counts(&status, io.unwrap_or_default());
        let by_thread = self.threads && stat.threads > 1;
        // What it used before it was first seen is nobody's.
        let is_known = known.counts.is_some();
        if let Some(before) = known.counts {
            now = now.at_least(&before);
            let mut used = now.since(&before);
            if by_thread || !known.threads.is_empty() {
                // `status` tells of the first thread alone.
                used.voluntary = 0;
                used.involuntary = 0;
            }
            group.counts.add(&used);
        }
        known.counts = Some(now);
        group.processes += 1;
        group.threads += stat.threads;
        group.resident += stat.resident_pages.saturating_mul(self.page);
        group.virtual_bytes += stat.virtual_bytes;
        group.swapped += status.swapped;
        let open = descriptors.unwrap_or_default();
        group.descriptors += open;
        if let Some(Some(limit)) = limit
            && limit > 0
        {
            group.worst_ratio = group.worst_ratio.max(float(open) / float(limit));
        }
        group.oldest = Some(group.oldest.map_or(stat.started, |at| at.min(stat.started)));
        if let Some(count) = group.states.get_mut(state(stat.state)) {
            *count += 1;
        }
        if self.smaps
            && let Some(share) = folder.read("smaps_rollup", buffer).map(Proportional::parse)
        {
            group.proportional.resident += share.resident;
            group.proportional.swapped += share.swapped;
        }
        waits(group, &mut folder, buffer);
        if by_thread {
            threads(group, known, &folder, buffer, is_known);
        } else {
            known.threads.clear();
        }
    }
}

/// The numbers of a `stat`.
struct Numbers {
    state: u8,
    started: u64,
    threads: u64,
    resident_pages: u64,
    virtual_bytes: u64,
    counts: Counts,
}

impl Numbers {
    fn of(text: &[u8]) -> Option<Self> {
        let stat = Stat::parse(text)?;
        Some(Self {
            state: stat.state,
            started: stat.started,
            threads: stat.threads,
            resident_pages: stat.resident_pages,
            virtual_bytes: stat.virtual_bytes,
            counts: Counts::of(&stat, &Status::default(), Io::default()),
        })
    }

    fn counts(&self, status: &Status, io: Io) -> Counts {
        Counts {
            read: io.read,
            written: io.written,
            voluntary: status.voluntary_switches,
            involuntary: status.involuntary_switches,
            ..self.counts
        }
    }
}

/// Where in [`STATES`] a letter belongs.
fn state(letter: u8) -> usize {
    match letter {
        b'R' => 0,
        b'S' => 1,
        b'D' => 2,
        b'Z' => 3,
        _ => 4,
    }
}

/// Notes what a process or thread waits for.
fn waits(group: &mut Group, folder: &mut Folder, buffer: &mut Buffer) {
    let Some(wait) = folder.read("wchan", buffer) else {
        return;
    };
    if wait.is_empty() || wait == b"0" {
        return;
    }
    let wait = valid(wait);
    match group.waits.get_mut(&*wait) {
        Some(count) => *count += 1,
        None => {
            group.waits.insert(wait.into_owned(), 1);
        }
    }
}

/// Adds the threads of a process: also to its states and its switches, as process-exporter does.
fn threads(
    group: &mut Group,
    known: &mut Known,
    folder: &Folder,
    buffer: &mut Buffer,
    is_known: bool,
) {
    let mut before = std::mem::take(&mut known.threads);
    for mut thread in folder.threads() {
        let id = thread
            .path()
            .file_name()
            .and_then(|id| id.to_str()?.parse().ok());
        let Some((id, stat)) = id.zip(thread.read("stat", buffer)) else {
            continue;
        };
        let Some(stat) = Stat::parse(stat) else {
            continue;
        };
        let name = valid(stat.comm).into_owned();
        let started = stat.started;
        if let Some(count) = group.states.get_mut(state(stat.state)) {
            *count += 1;
        }
        let counts = Counts::of(&stat, &Status::default(), Io::default());
        let status = thread
            .read("status", buffer)
            .map(Status::parse)
            .unwrap_or_default();
        let io = thread.read("io", buffer).map(Io::parse).unwrap_or_default();
        let mut now = Counts {
            read: io.read,
            written: io.written,
            voluntary: status.voluntary_switches,
            involuntary: status.involuntary_switches,
            ..counts
        };
        waits(group, &mut thread, buffer);
        let of_name = group.by_thread.entry(name).or_default();
        of_name.threads += 1;
        let used = match before.remove(&id).filter(|(at, _)| *at == started) {
            Some((_, counts)) => {
                now = now.at_least(&counts);
                let used = now.since(&counts);
                of_name.counts.add(&used);
                used
            }
            // All that a new thread of a known process did is new.
            None if is_known => now,
            None => Counts::default(),
        };
        group.counts.voluntary += used.voluntary;
        group.counts.involuntary += used.involuntary;
        known.threads.insert(id, (started, now));
    }
}

/// Seconds of ticks.
pub(crate) fn seconds(ticks: u64) -> f64 {
    float(ticks) / USER_HZ
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// A `/proc` to be.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn tracker(&self, yaml: &str) -> Tracker {
            let mut config: Config = corten_config::from_str(yaml).unwrap();
            config.procfs = self.0.path().to_owned();
            config.rootfs = self.0.path().to_owned();
            Tracker::new(&config)
        }

        /// A process with `used` of everything that only grows.
        fn process(&self, pid: u32, parent: u32, comm: &str, line: &str, used: u64) {
            let at = self.0.path().join(pid.to_string());
            self.files(&at, pid, parent, comm, used, 2);
            fs::write(at.join("cmdline"), line.replace(' ', "\0")).unwrap();
            fs::write(at.join("limits"), "Max open files  10  20  files\n").unwrap();
            let rollup = "Pss: 3 kB\nSwapPss: 1 kB\n";
            fs::write(at.join("smaps_rollup"), rollup).unwrap();
            fs::create_dir_all(at.join("fd")).unwrap();
            fs::write(at.join("fd/0"), "").unwrap();
            for (thread, name) in [(pid, comm), (pid + 1, "worker")] {
                self.files(
                    &at.join(format!("task/{thread}")),
                    thread,
                    parent,
                    name,
                    used,
                    2,
                );
            }
        }

        fn files(&self, at: &Path, pid: u32, parent: u32, comm: &str, used: u64, threads: u64) {
            fs::create_dir_all(at).unwrap();
            let stat = format!(
                "{pid} ({comm}) S {parent} 1 1 0 -1 0 {used} 0 {used} 0 {used} {used} 0 0 20 0 {threads} 0 {} 4096 2 0\n",
                pid * 100
            );
            fs::write(at.join("stat"), stat).unwrap();
            let status = format!(
                "Uid: 0 1000 0 0\nVmSwap: 1 kB\nvoluntary_ctxt_switches: {used}\nnonvoluntary_ctxt_switches: {used}\n"
            );
            fs::write(at.join("status"), status).unwrap();
            let io = format!("read_bytes: {used}\nwrite_bytes: {used}\n");
            fs::write(at.join("io"), io).unwrap();
            fs::write(at.join("wchan"), "poll").unwrap();
        }

        fn end(&self, pid: u32) {
            fs::remove_dir_all(self.0.path().join(pid.to_string())).unwrap();
        }
    }

    fn names(tracker: &Tracker) -> Vec<(String, u64)> {
        let groups = tracker.groups();
        groups
            .map(|(name, group)| (name.to_owned(), group.processes))
            .collect()
    }

    fn group<'t>(tracker: &'t Tracker, name: &str) -> &'t Group {
        tracker
            .groups()
            .find(|(known, _)| *known == name)
            .unwrap()
            .1
    }

    fn all(used: u64) -> Counts {
        Counts {
            user: used,
            system: used,
            read: used,
            written: used,
            major_faults: used,
            minor_faults: used,
            voluntary: used,
            involuntary: used,
        }
    }

    #[test]
    fn counters_begin_when_a_process_is_first_seen_and_outlive_it() {
        let tree = Tree::new();
        tree.process(10, 1, "web", "/bin/web -x", 500);
        tree.process(20, 1, "web", "/bin/web -y", 0);
        let mut tracker = tree.tracker("process_names: [{comm: [web]}]");
        tracker.look(1000).unwrap();
        let web = group(&tracker, "web");
        assert_eq!((web.processes, web.threads, web.descriptors), (2, 4, 2));
        assert_eq!(web.counts, all(0));
        assert_eq!((web.swapped, web.virtual_bytes), (2048, 8192));
        assert_eq!(web.proportional.resident, 6 << 10);
        assert_eq!((web.worst_ratio, web.oldest), (0.1, Some(1000)));
        // As process-exporter counts: each process once, and each of its threads.
        assert_eq!(web.states, [0, 6, 0, 0, 0]);
        // Once for each process and once for each of its threads, as process-exporter counts.
        assert_eq!(web.waits["poll"], 6);
        assert_eq!(web.by_thread["worker"].threads, 2);

        tree.process(10, 1, "web", "/bin/web -x", 507);
        tree.process(20, 1, "web", "/bin/web -y", 3);
        tracker.look(1000).unwrap();
        let both = Counts {
            voluntary: 20,
            involuntary: 20,
            ..all(10)
        };
        assert_eq!(group(&tracker, "web").counts, both);
        assert_eq!(group(&tracker, "web").by_thread["worker"].counts, all(10));

        tree.end(10);
        tracker.look(1000).unwrap();
        let web = group(&tracker, "web");
        assert_eq!((web.processes, web.counts), (1, both));
        tree.end(20);
        tracker.look(1000).unwrap();
        let web = group(&tracker, "web");
        assert_eq!((web.processes, web.resident, web.oldest), (0, 0, None));
        assert_eq!(web.counts, both);
        assert!(web.by_thread.is_empty());
        assert_eq!(tracker.errors, Errors::default());
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let tree = Tree::new();
        tree.process(10, 1, "web", "/bin/web", 500);
        let mut tracker = tree.tracker("process_names: [{comm: [web, db]}]");
        tracker.look(0).unwrap();
        tree.end(10);
        tree.process(10, 1, "db", "/bin/db", 900);
        let stat = tree.0.path().join("10/stat");
        let text = fs::read_to_string(&stat).unwrap();
        fs::write(&stat, text.replace(" 1000 4096", " 7777 4096")).unwrap();
        tracker.look(0).unwrap();
        assert_eq!(
            names(&tracker),
            [("db".to_owned(), 1), ("web".to_owned(), 0)]
        );
        assert_eq!(group(&tracker, "db").counts, all(0));
    }

    #[test]
    fn children_belong_to_their_parents_group() {
        for (children, expected) in [(true, 3), (false, 1)] {
            let tree = Tree::new();
            tree.process(10, 1, "web", "/bin/web", 0);
            // The grandchild has the smaller number.
            tree.process(8, 30, "sh", "/bin/sh", 0);
            tree.process(30, 10, "sh", "/bin/sh", 0);
            tree.process(40, 1, "sh", "/bin/sh", 0);
            let yaml = format!("{{process_names: [{{comm: [web]}}], children: {children}}}");
            let mut tracker = tree.tracker(&yaml);
            tracker.look(0).unwrap();
            assert_eq!(names(&tracker), [("web".to_owned(), expected)]);
            // One that comes later too.
            tree.process(50, 8, "sh", "/bin/sh", 0);
            tracker.look(0).unwrap();
            let more = u64::from(children);
            assert_eq!(names(&tracker), [("web".to_owned(), expected + more)]);
        }
    }

    #[test]
    fn processes_that_change_are_found_again_where_that_is_asked_for() {
        for (recheck, expected) in [(false, "sh"), (true, "web")] {
            let tree = Tree::new();
            tree.process(10, 1, "sh", "/bin/sh", 0);
            let mut tracker = tree.tracker(&format!(
                "{{process_names: [{{cmdline: ['.']}}], recheck: {recheck}, remove_empty_groups: true}}"
            ));
            tracker.look(0).unwrap();
            assert_eq!(names(&tracker), [("sh".to_owned(), 1)]);
            tree.process(10, 1, "web", "/bin/web", 0);
            tracker.look(0).unwrap();
            assert_eq!(names(&tracker), [(expected.to_owned(), 1)]);
        }
    }

    #[test]
    fn names_have_users_and_cgroups() {
        let tree = Tree::new();
        tree.process(10, 1, "web", "/bin/web", 0);
        fs::create_dir(tree.0.path().join("etc")).unwrap();
        fs::write(
            tree.0.path().join("etc/passwd"),
            "root:x:0:0::/:\nada:x:1000:1000::/:\n",
        )
        .unwrap();
        fs::write(tree.0.path().join("10/cgroup"), "1:cpu:/a\n0::/b:c\n").unwrap();
        let mut tracker = tree
            .tracker("process_names: [{name: '{{.Username}} {{.Cgroups}} {{.PID}}', comm: [web]}]");
        tracker.look(0).unwrap();
        assert_eq!(names(&tracker), [("ada [/a /b:c] 10".to_owned(), 1)]);
    }

    #[test]
    fn what_cannot_be_read_costs_itself_alone() {
        let tree = Tree::new();
        tree.process(10, 1, "web", "/bin/web", 0);
        tree.process(20, 1, "web", "/bin/web", 0);
        tree.process(30, 1, "web", "/bin/web", 0);
        fs::write(tree.0.path().join("10/stat"), "10 (web) S").unwrap();
        fs::remove_file(tree.0.path().join("20/io")).unwrap();
        let mut tracker = tree.tracker("process_names: [{comm: [web]}]");
        tracker.look(0).unwrap();
        assert_eq!(names(&tracker), [("web".to_owned(), 2)]);
        let errors = Errors {
            scrapes: 0,
            processes: 1,
            parts: 1,
        };
        assert_eq!(tracker.errors, errors);
        let mut nowhere = tree.tracker("{}");
        nowhere.roots.procfs = tree.0.path().join("nowhere");
        nowhere.look(0).unwrap_err();
        assert_eq!(nowhere.errors.scrapes, 1);
    }

    #[test]
    fn a_parent_that_is_its_own_child_is_no_loop() {
        let tree = Tree::new();
        tree.process(10, 20, "a", "/a", 0);
        tree.process(20, 10, "b", "/b", 0);
        tree.process(30, 30, "c", "/c", 0);
        let mut tracker = tree.tracker("process_names: [{comm: [web]}]");
        tracker.look(0).unwrap();
        assert!(names(&tracker).is_empty());
    }

    proptest! {
        #[test]
        fn any_command_line_is_words(bytes: Vec<u8>) {
            let words = words(&bytes);
            prop_assert!(words.len() <= bytes.len() + 1);
            prop_assert!(cgroups(&bytes).len() <= bytes.len());
        }
    }
}
