//! Hints of the system that something was written: inotify on the directories.
//!
//! A hint only saves looking: whatever it misses (the queue ran over, there are no more watches, the file system is
//! another machine's) is found by the look at everything that comes around anyway. So no error is one here, and what
//! isn't watched is looked at more often.
//!
//! A directory whose files are written all the time has its hints of writing switched off until it is
//! quiet again ([`disarm`](Watch::disarm)): they would cost every writer something and tell nothing new.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::identity::Inode;

/// Names that come and go, and the directory itself.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);
/// When there were no more watches, they are asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// File systems whose every writer is this machine's.
const LOCAL: [i64; 10] = [
    0xEF53,      // ext2, 3, 4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x5265_4973, // reiserfs
];

/// What the hints say.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Directories in which a file was written.
    pub(crate) written: Vec<PathBuf>,
    /// Directories in which names changed.
    pub(crate) names: Vec<PathBuf>,
    /// Hints were lost: anything may have happened.
    pub(crate) overflow: bool,
}

#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
    most: usize,
    directories: HashMap<i32, PathBuf>,
    watched: HashMap<PathBuf, (i32, Inode)>,
    /// Directories that can't be watched, or whose hints don't tell of every writer.
    blind: usize,
    full_until: Option<Instant>,
    told: bool,
}

impl Watch {
    /// With at most `most` directories. `None` when the system has no more of it to give.
    pub(crate) fn new(most: usize) -> Option<Self> {
        if most == 0 {
            return None;
        }
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => Some(Self {
                inotify,
                most,
                directories: HashMap::new(),
                watched: HashMap::new(),
                blind: 0,
                full_until: None,
                told: false,
            }),
            Err(error) => {
                tracing::info!(
                    %error,
                    "no inotify instance (fs.inotify.max_user_instances): logs are looked at every poll_interval instead"
                );
                None
            }
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Whether every directory is watched.
    pub(crate) fn sees_all(&self) -> bool {
        self.blind == 0
    }

    /// Watches these directories and no others.
    pub(crate) fn follow(&mut self, directories: &HashMap<PathBuf, Inode>, now: Instant) {
        let gone: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, (_, inode))| directories.get(*path) != Some(inode))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.drop_watch(&path);
        }
        if self.full_until.is_some_and(|until| now < until) {
            self.blind = directories.len().saturating_sub(self.watched.len());
            return;
        }
        self.full_until = None;
        self.blind = 0;
        for (path, inode) in directories {
            if self.watched.contains_key(path) {
                continue;
            }
            if self.full_until.is_some() || !is_local(path) {
                self.blind += 1;
                continue;
            }
            let added = if self.watched.len() < self.most {
                inotify::add_watch(&self.inotify, path, NAMES | WatchFlags::MODIFY)
            } else {
                Err(Errno::NOSPC)
            };
            match added {
                Ok(watch) => {
                    // Another path to the same directory takes it over.
                    if let Some(before) = self.directories.insert(watch, path.clone()) {
                        self.watched.remove(&before);
                    }
                    self.watched.insert(path.clone(), (watch, *inode));
                }
                Err(Errno::NOSPC | Errno::NOMEM) => {
                    self.blind += 1;
                    self.full_until = Some(now + ASK_AGAIN);
                    if !self.told {
                        self.told = true;
                        tracing::info!(
                            watched = self.watched.len(),
                            "no more inotify watches (fs.inotify.max_user_watches): logs are looked at every poll_interval instead"
                        );
                    }
                }
                // Gone, or forbidden: the next look at the directories says more.
                Err(_) => self.blind += 1,
            }
        }
    }

    /// Tells of no writing in a directory from now on.
    pub(crate) fn disarm(&mut self, directory: &Path) {
        self.change(directory, NAMES);
    }

    /// Tells of writing again. What was written before has to be looked for after this.
    pub(crate) fn arm(&mut self, directory: &Path) {
        self.change(directory, NAMES | WatchFlags::MODIFY);
    }

    fn change(&mut self, directory: &Path, flags: WatchFlags) {
        let Some(&(watch, inode)) = self.watched.get(directory) else {
            return;
        };
        match inotify::add_watch(&self.inotify, directory, flags) {
            Ok(now) if now == watch => {}
            Ok(now) => {
                // Another directory has its name by now.
                self.directories.remove(&watch);
                self.directories.insert(now, directory.to_owned());
                self.watched.insert(directory.to_owned(), (now, inode));
            }
            Err(_) => self.drop_watch(directory),
        }
    }

    fn drop_watch(&mut self, directory: &Path) {
        if let Some((watch, _)) = self.watched.remove(directory) {
            self.directories.remove(&watch);
            // It may be gone by itself.
            let _gone = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// Takes the hints that came.
    pub(crate) fn take(&mut self, news: &mut News) {
        let mut room = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.inotify, &mut room);
        let mut last = -1;
        // Writers may be faster than this.
        for _ in 0..100_000 {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.overflow = true;
                continue;
            }
            if flags == ReadFlags::MODIFY && event.wd() == last {
                continue;
            }
            let Some(directory) = self.directories.get(&event.wd()) else {
                continue;
            };
            if flags == ReadFlags::MODIFY {
                last = event.wd();
                news.written.push(directory.clone());
                continue;
            }
            news.names.push(directory.clone());
            if flags.contains(ReadFlags::IGNORED)
                && let Some(directory) = self.directories.remove(&event.wd())
            {
                self.watched.remove(&directory);
            }
        }
        news.overflow = true;
    }
}

#[allow(
    clippy::useless_conversion,
    reason = "the field's width is the architecture's"
)]
fn is_local(directory: &Path) -> bool {
    rustix::fs::statfs(directory)
        .is_ok_and(|found| LOCAL.contains(&(i64::from(found.f_type) & 0xFFFF_FFFF)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    struct Place {
        root: tempfile::TempDir,
        watch: Watch,
        now: Instant,
    }

    impl Place {
        fn new(names: &[&str], most: usize) -> Self {
            let root = tempfile::tempdir().unwrap();
            for name in names {
                fs::create_dir(root.path().join(name)).unwrap();
            }
            let watch = Watch::new(most).unwrap();
            let mut place = Self {
                root,
                watch,
                now: Instant::now(),
            };
            place.follow(names);
            place
        }

        fn follow(&mut self, names: &[&str]) {
            let directories = names
                .iter()
                .map(|name| {
                    let path = self.root.path().join(name);
                    let metadata = fs::metadata(&path).unwrap();
                    (path, (metadata.dev(), metadata.ino()))
                })
                .collect();
            self.watch.follow(&directories, self.now);
        }

        fn news(&mut self) -> (Vec<String>, Vec<String>, bool) {
            let mut news = News::default();
            self.watch.take(&mut news);
            let names = |paths: Vec<PathBuf>| {
                let mut names: Vec<_> = paths
                    .iter()
                    .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
                    .collect();
                names.sort();
                names.dedup();
                names
            };
            (names(news.written), names(news.names), news.overflow)
        }

        fn write(&self, path: &str) {
            fs::write(self.root.path().join(path), path).unwrap();
        }
    }

    fn none() -> Vec<String> {
        Vec::new()
    }

    #[test]
    fn writing_and_names() {
        let mut place = Place::new(&["a", "b"], 10);
        assert!(place.watch.sees_all());
        assert_eq!(place.news(), (none(), none(), false));
        place.write("a/x");
        assert_eq!(place.news(), (vec!["a".into()], vec!["a".into()], false));
        place.write("a/x");
        place.write("a/x");
        assert_eq!(place.news(), (vec!["a".into()], none(), false));
        let (from, to) = (place.root.path().join("a/x"), place.root.path().join("b/x"));
        fs::rename(from, to).unwrap();
        assert_eq!(place.news(), (none(), vec!["a".into(), "b".into()], false));
    }

    #[test]
    fn a_busy_directory_is_told_to_be_quiet() {
        let mut place = Place::new(&["a"], 10);
        place.write("a/x");
        place.news();
        let path = place.root.path().join("a");
        place.watch.disarm(&path);
        place.write("a/x");
        assert_eq!(place.news(), (none(), none(), false));
        place.write("a/new");
        assert_eq!(place.news(), (none(), vec!["a".into()], false));
        place.watch.arm(&path);
        place.write("a/x");
        assert_eq!(place.news(), (vec!["a".into()], none(), false));
    }

    #[test]
    fn directories_come_and_go() {
        let mut place = Place::new(&["a", "b"], 10);
        fs::remove_dir(place.root.path().join("a")).unwrap();
        assert_eq!(place.news().1, ["a"]);
        // The same name is another directory.
        fs::create_dir(place.root.path().join("a")).unwrap();
        place.follow(&["a"]);
        place.news();
        place.write("a/x");
        place.write("b/x");
        assert_eq!(place.news().0, ["a"]);
        assert_eq!(place.watch.directories.len(), 1);
    }

    #[test]
    fn without_more_watches_it_is_known_what_is_not_seen() {
        let mut place = Place::new(&["a", "b", "c"], 2);
        assert!(!place.watch.sees_all());
        assert_eq!(place.watch.watched.len(), 2);
        place.follow(&["a"]);
        place.follow(&["a", "b"]);
        place.now += ASK_AGAIN;
        place.follow(&["a", "b"]);
        assert!(place.watch.sees_all());
        assert!(Watch::new(0).is_none());
    }

    #[test]
    fn a_queue_that_ran_over_is_told() {
        let mut place = Place::new(&["a"], 10);
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        if limit > 100_000 {
            return;
        }
        let path = |number: usize| place.root.path().join(format!("a/{number}"));
        fs::write(path(0), "").unwrap();
        for number in 0..limit / 2 + 2 {
            fs::rename(path(number), path(number + 1)).unwrap();
        }
        let (_, names, overflow) = place.news();
        assert!(overflow);
        assert_eq!(names, ["a"]);
        assert_eq!(place.news(), (none(), none(), false));
    }
}
