//! Containers that come and go between two scrapes.
//!
//! The kernel forgets a control group with its folder, so whoever only looks at scrapes never sees
//! a container that lives for a second, nor the last seconds of any other. So the folders are watched
//! (inotify: a group that is made or removed is told at once), and as long as a container is young, or
//! somebody might not see it again, it is looked at a few times a second:
//!
//! - version 2 tells of the last process's end by a change of `cgroup.events`: the values are read
//!   then, before the runtime removes the folder. What is read is what was used in the end.
//! - version 1 tells nothing of the sort: the last look before the folder went is what there is, at
//!   most [`LOOK`] old in its first two seconds, a second old after that. A container that lives for less than that may show what it had used at its
//!   first look.
//!
//! A container that ended is in the next scrape with its last values, once.

use std::collections::{HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::Tasks;
use corten_host::Roots;
use corten_host::cgroup::{Cgroups, Group, Identity, Wanted};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// How often young containers are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a container is young.
const YOUNG: Duration = Duration::from_secs(30);
/// How many ended containers are kept when nobody scrapes; the oldest go first.
const MOST_ENDED: usize = 4096;
/// Folders beyond this are not watched: the limit of an unprivileged user's watches is not far.
const MOST_WATCHED: usize = 8192;

/// A container that has gone.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) id: String,
    /// Its last values; the id in here is empty.
    pub(crate) values: Group<'static>,
}

/// What has ended and was not taken yet.
#[derive(Default)]
pub(crate) struct ShortLived {
    ended: Mutex<Vec<Ended>>,
}

impl ShortLived {
    /// Everything that ended since the last time.
    pub(crate) fn take(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.ended.lock())
    }

    fn add(&self, ended: Ended) {
        let mut all = self.ended.lock();
        if all.len() >= MOST_ENDED {
            all.remove(0);
        }
        all.push(ended);
    }
}

/// Watches until the tasks stop. Blocks the calling thread.
pub(crate) fn watch(roots: &Roots, wanted: Wanted, tasks: &Tasks, into: &Arc<ShortLived>) {
    let mut watcher = match Watcher::new(roots, wanted) {
        Ok(watcher) => watcher,
        Err(error) => {
            // The scrape says what is wrong with the tree itself.
            tracing::debug!(%error, "containers between scrapes are not watched");
            return;
        }
    };
    // Without anybody to take what ended there is nothing to watch for.
    while !tasks.is_stopping() && Arc::strong_count(into) > 1 {
        watcher.wait();
        watcher.turn(into);
    }
}

struct Watcher {
    tree: PathBuf,
    inotify: OwnedFd,
    cgroups: Cgroups,
    wanted: Wanted,
    /// Folders (and `cgroup.events` files) by the numbers of their watches.
    watched: HashMap<i32, String>,
    folders: HashSet<String>,
    /// Containers, with when they were first seen and what was seen last.
    young: HashMap<String, Young>,
    /// Those whose last process has gone.
    finished: HashSet<String>,
    looked: Option<Instant>,
}

/// Time between two looks at a container of this age. Version 2 tells of the end by itself; what is
/// looked at there is for when it goes too fast.
fn pause(unified: bool, age: Duration) -> Duration {
    if unified {
        Duration::from_secs(2)
    } else if age < Duration::from_secs(2) {
        LOOK
    } else {
        Duration::from_secs(1)
    }
}

struct Young {
    since: Instant,
    looked: Instant,
    last: Option<Group<'static>>,
}

impl Watcher {
    fn new(roots: &Roots, wanted: Wanted) -> Result<Self, Box<dyn std::error::Error>> {
        let mut cgroups = Cgroups::new(&roots.cgroup);
        let tree = cgroups.watched_tree()?;
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut watcher = Self {
            tree,
            inotify,
            cgroups,
            wanted,
            watched: HashMap::new(),
            folders: HashSet::new(),
            young: HashMap::new(),
            finished: HashSet::new(),
            looked: None,
        };
        watcher.add(String::new(), false);
        Ok(watcher)
    }

    /// Waits for something to happen, or until the young ones should be looked at.
    fn wait(&self) {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(LOOK.subsec_nanos()),
        };
        let mut polled = [PollFd::new(&self.inotify, PollFlags::IN)];
        // A signal is as good as a timeout.
        rustix::event::poll(&mut polled, Some(&timeout)).ok();
    }

    fn turn(&mut self, into: &ShortLived) {
        self.read_events(into);
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            let unified = self.cgroups.is_unified();
            let due =
                |young: &Young| young.looked.elapsed() >= pause(unified, young.since.elapsed());
            let ids: Vec<String> = self
                .young
                .iter()
                .filter(|(_, young)| due(young))
                .map(|(id, _)| id.clone())
                .collect();
            for id in ids {
                self.look(&id, into);
            }
        }
    }

    /// Watches a folder and all below it. `new`: it was made just now.
    fn add(&mut self, id: String, new: bool) {
        if self.folders.len() >= MOST_WATCHED || self.folders.contains(&id) {
            return;
        }
        let path = self.path(&id);
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        let Ok(watch) = inotify::add_watch(&self.inotify, &path, flags) else {
            return;
        };
        self.watched.insert(watch, id.clone());
        self.folders.insert(id.clone());
        if Identity::of(&id).container_id.is_some() {
            if let Ok(watch) = inotify::add_watch(
                &self.inotify,
                path.join("cgroup.events"),
                WatchFlags::MODIFY,
            ) {
                self.watched.insert(watch, format!("{id}/cgroup.events"));
            }
            if new {
                let values = self.read(&id);
                self.young.insert(
                    id.clone(),
                    Young {
                        since: Instant::now(),
                        looked: Instant::now(),
                        last: values,
                    },
                );
            }
        }
        // What was made before the watch was there.
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
                && !name.ends_with(".mount")
            {
                self.add(format!("{id}/{name}"), new);
            }
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.tree.join(Path::new(id.trim_start_matches('/')))
    }

    fn read(&mut self, id: &str) -> Option<Group<'static>> {
        let group = self.cgroups.read_one(id, &self.wanted).ok()??;
        // A folder on its way out answers with nothing; that is no last value.
        (group.cpu.is_some() || group.memory.is_some()).then_some(Group { id: "", ..group })
    }

    fn look(&mut self, id: &str, into: &ShortLived) {
        let values = self.read(id);
        let Some(young) = self.young.get_mut(id) else {
            return;
        };
        match values {
            Some(values) => {
                young.last = Some(values);
                young.looked = Instant::now();
                if young.since.elapsed() > YOUNG {
                    self.young.remove(id);
                }
            }
            None => self.gone(id, into),
        }
    }

    fn gone(&mut self, id: &str, into: &ShortLived) {
        self.folders.remove(id);
        self.finished.remove(id);
        if let Some(Young {
            last: Some(values), ..
        }) = self.young.remove(id)
        {
            into.add(Ended {
                id: id.to_owned(),
                values,
            });
        }
    }

    fn read_events(&mut self, into: &ShortLived) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut made = Vec::new();
        let mut removed = Vec::new();
        let mut changed = Vec::new();
        let mut overflow = false;
        {
            let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
            // Ends with EAGAIN when everything has been read.
            while let Ok(event) = reader.next() {
                let flags = event.events();
                overflow |= flags.contains(ReadFlags::QUEUE_OVERFLOW);
                if flags.contains(ReadFlags::IGNORED) {
                    self.watched.remove(&event.wd());
                    continue;
                }
                let Some(watched) = self.watched.get(&event.wd()) else {
                    continue;
                };
                if flags.contains(ReadFlags::MODIFY) {
                    changed.extend(watched.strip_suffix("/cgroup.events").map(str::to_owned));
                } else if let Some(name) = event.file_name().and_then(|name| name.to_str().ok())
                    && flags.contains(ReadFlags::ISDIR)
                    && !name.ends_with(".mount")
                {
                    let id = format!("{watched}/{name}");
                    if flags.contains(ReadFlags::CREATE) {
                        made.push(id);
                    } else if flags.contains(ReadFlags::DELETE) {
                        removed.push(id);
                    }
                }
            }
        }
        for id in changed {
            // Its first process came, or its last one went: either way these are the values to
            // keep until it is gone.
            if let Some(values) = self.read(&id) {
                let young = self.young.entry(id).or_insert(Young {
                    since: Instant::now(),
                    looked: Instant::now(),
                    last: None,
                });
                young.last = Some(values);
            }
        }
        for id in made {
            self.add(id, true);
        }
        for id in removed {
            self.gone(&id, into);
        }
        if overflow {
            // Some were not told: look at everything.
            self.folders.clear();
            self.add(String::new(), true);
        }
    }
}
