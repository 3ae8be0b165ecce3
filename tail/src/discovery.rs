//! Finds the files.
//!
//! A scan walks the include patterns' directories. A directory that has not changed (its own time stamps say so) is not
//! listed again, so a scan of a quiet tree costs one `stat` a directory. Time stamps are coarse and some
//! file systems keep none worth having, so one that changed just now, or was listed long ago, is listed anyway.
//!
//! A matched symbolic link is followed when it ends beneath a configured root; its real directory then is
//! listed like any other, since that is where its rotated generations are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::beneath::Roots;
use crate::identity::Inode;
use crate::ordering::Ordering;
use crate::pattern::{Exclude, Pattern};
use crate::rotation;
use crate::stats::{Stats, add};

/// A directory that changed this recently may change again within the same time stamp.
const SETTLED: Duration = Duration::from_millis(100);
/// Every directory is listed anew after this long, whatever its time stamps say.
const RELIST: Duration = Duration::from_secs(10);
/// How often a directory is read again at once that changes while it is read.
const READS: usize = 4;
/// How often it is then looked at once more, at the next opportunity, before what was found is taken as it is.
const UNSURE: u32 = 20;
/// Deeper is a loop.
const MAX_DEPTH: usize = 40;

/// A regular file in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: OsString,
    /// The path that a pattern matched; `None` when the file only lies beside such files.
    pub(crate) matched: Option<PathBuf>,
    pub(crate) excluded: bool,
    /// For a file that doesn't match: the name that would, were it not rotated away from it.
    pub(crate) rotated_from: Option<OsString>,
    pub(crate) inode: Inode,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
}

impl Found {
    fn new(name: OsString, metadata: &Metadata) -> Self {
        Self {
            name,
            matched: None,
            excluded: false,
            rotated_from: None,
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: modified(metadata),
        }
    }
}

pub(crate) fn modified(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

/// The files of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Without symbolic links.
    pub(crate) directory: PathBuf,
    pub(crate) files: Vec<Found>,
}

/// What a scan found out.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Directories that changed, or were seen for the first time.
    pub(crate) changed: Vec<Listing>,
    /// Directories that are gone.
    pub(crate) gone: Vec<PathBuf>,
    /// A directory could not be listed for want of a descriptor.
    pub(crate) exhausted: bool,
    /// Directories that change too fast to be listed for certain: to be looked at again at once.
    pub(crate) unsure: Vec<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Discovery {
    patterns: Vec<Pattern>,
    exclude: Exclude,
    pub(crate) roots: Roots,
    ordering: Option<Ordering>,
    trees: Vec<Node>,
    /// Real directories of links → link names in them.
    linked: HashMap<PathBuf, Node>,
    /// The directories of the last scan.
    pub(crate) known: HashMap<PathBuf, Inode>,
    roots_at: Option<Instant>,
    warned: HashSet<PathBuf>,
}

/// A directory of the walk.
#[derive(Debug, Default)]
struct Node {
    /// As the pattern says it.
    display: PathBuf,
    /// Without symbolic links, once it exists.
    real: PathBuf,
    /// Per pattern: where in its components this directory is.
    states: Vec<(usize, Vec<usize>)>,
    stamp: Option<Stamp>,
    /// How often in a row it changed too fast to be listed for certain.
    unsure: u32,
    children: BTreeMap<OsString, Node>,
    links: Vec<Link>,
    /// For a links' real directory: name → the link's path.
    names: BTreeMap<OsString, PathBuf>,
}

#[derive(Debug)]
struct Link {
    path: PathBuf,
    below: Vec<(usize, Vec<usize>)>,
    file: bool,
    named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: Inode,
    modified: i64,
    changed: i64,
    settled: bool,
    listed: Instant,
}

struct Walk<'a> {
    patterns: &'a [Pattern],
    exclude: &'a Exclude,
    roots: &'a Roots,
    stats: &'a Stats,
    now: Instant,
    /// Directories are listed whether they have changed or not.
    anyway: bool,
    /// Directories to look at; the others are taken to be as they were.
    only: Option<&'a HashSet<PathBuf>>,
    known: &'a HashMap<PathBuf, Inode>,
    scan: Scan,
    seen: HashMap<PathBuf, Inode>,
    linked: HashMap<PathBuf, BTreeMap<OsString, PathBuf>>,
    warned: &'a mut HashSet<PathBuf>,
}

impl Discovery {
    pub(crate) fn new(
        patterns: Vec<Pattern>,
        exclude: Exclude,
        link_roots: &[PathBuf],
        ordering: Option<Ordering>,
    ) -> Self {
        let mut trees: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let node = trees.entry(pattern.base.clone()).or_default();
            node.display.clone_from(&pattern.base);
            node.states.push((index, pattern.start()));
        }
        let roots = trees.keys().chain(link_roots).cloned().collect();
        Self {
            patterns,
            exclude,
            roots: Roots::new(roots),
            ordering,
            trees: trees.into_values().collect(),
            linked: HashMap::new(),
            known: HashMap::new(),
            roots_at: None,
            warned: HashSet::new(),
        }
    }

    /// Looks at every directory once; with `only` at those of them that are known, and at what is new beneath them.
    pub(crate) fn scan(
        &mut self,
        now: Instant,
        stats: &Stats,
        only: Option<&HashSet<PathBuf>>,
    ) -> Scan {
        if self
            .roots_at
            .is_none_or(|at| now.duration_since(at) >= RELIST)
        {
            self.roots.refresh();
            self.roots_at = Some(now);
            self.warned.clear();
        }
        for tree in &mut self.trees {
            match tree.display.canonicalize() {
                Ok(real) => {
                    if real != tree.real {
                        // It appeared, or leads elsewhere now.
                        tree.real = real;
                        tree.stamp = None;
                        self.roots.refresh();
                    }
                }
                Err(_) => tree.real = PathBuf::new(),
            }
        }
        let mut walk = Walk {
            patterns: &self.patterns,
            exclude: &self.exclude,
            roots: &self.roots,
            stats,
            now,
            anyway: self.ordering.is_some(),
            only: only.filter(|_| self.ordering.is_none()),
            known: &self.known,
            scan: Scan::default(),
            seen: HashMap::new(),
            linked: HashMap::new(),
            warned: &mut self.warned,
        };
        for tree in &mut self.trees {
            if !tree.real.as_os_str().is_empty() {
                walk.directory(tree, 0);
            }
        }
        let linked = std::mem::take(&mut walk.linked);
        self.linked
            .retain(|directory, _| linked.contains_key(directory));
        for (directory, names) in linked {
            if walk.seen.contains_key(&directory) {
                // The walk has been there itself: its files are known by their own paths.
                continue;
            }
            let node = self.linked.entry(directory.clone()).or_default();
            if node.names != names {
                node.names = names;
                node.stamp = None;
            }
            node.real = directory;
            walk.directory(node, MAX_DEPTH);
        }
        let Walk { mut scan, seen, .. } = walk;
        if let Some(ordering) = &self.ordering {
            choose(ordering, &mut scan.changed);
        }
        let gone = self.known.keys().filter(|known| !seen.contains_key(*known));
        scan.gone = gone.cloned().collect();
        self.known = seen;
        scan
    }
}

impl Walk<'_> {
    fn directory(&mut self, node: &mut Node, depth: usize) {
        let wanted = self.only.map(|only| only.contains(&node.real));
        if wanted == Some(false)
            && node.stamp.is_some()
            && let Some(inode) = self.known.get(&node.real)
        {
            if self.seen.insert(node.real.clone(), *inode).is_none() {
                self.below(node, depth);
            }
            return;
        }
        let metadata = match fs::metadata(&node.real) {
            Ok(metadata) => metadata,
            Err(error) => return self.failed(&node.real, &error),
        };
        let inode = (metadata.dev(), metadata.ino());
        if self.seen.insert(node.real.clone(), inode).is_some() {
            return;
        }
        let stamp = Stamp {
            inode,
            modified: modified(&metadata),
            changed: metadata.ctime().saturating_mul(1_000_000_000) + metadata.ctime_nsec(),
            settled: is_settled(&metadata),
            listed: self.now,
        };
        let fresh = node.stamp.is_some_and(|before| {
            !self.anyway
                && wanted != Some(true)
                && before.settled
                && before.inode == stamp.inode
                && before.modified == stamp.modified
                && before.changed == stamp.changed
                && self.now.duration_since(before.listed) < RELIST
        });
        if !fresh {
            match self.list(node, depth) {
                Ok(()) => node.stamp = Some(stamp),
                Err(error) => {
                    node.stamp = None;
                    return self.failed(&node.real, &error);
                }
            }
        }
        self.below(node, depth);
    }

    fn below(&mut self, node: &mut Node, depth: usize) {
        for child in node.children.values_mut() {
            self.directory(child, depth + 1);
        }
        let links = std::mem::take(&mut node.links);
        for link in &links {
            self.link(node, link, depth);
        }
        node.links = links;
    }

    /// Lists a directory. Names that change while it is read may be missed, so one that changes meanwhile, or changed just
    /// now, is read until twice the same is found.
    fn list(&mut self, node: &mut Node, depth: usize) -> io::Result<()> {
        let mut before = fs::metadata(&node.real)?;
        let mut files = self.list_once(node, depth)?;
        let mut sure = false;
        for _ in 0..READS {
            let after = fs::metadata(&node.real)?;
            if is_settled(&after) && modified(&before) == modified(&after) {
                sure = true;
                break;
            }
            before = after;
            let again = self.list_once(node, depth)?;
            let names = |found: &Found| (found.name.clone(), found.inode);
            let same = files.iter().map(names).eq(again.iter().map(names));
            files = again;
            if same {
                sure = true;
                break;
            }
        }
        node.unsure = if sure { 0 } else { node.unsure + 1 };
        if (1..=UNSURE).contains(&node.unsure) {
            // A file that was renamed meanwhile may be in neither place: what is younger would be read before it.
            self.scan.unsure.push(node.real.clone());
            return Ok(());
        }
        node.unsure = 0;
        self.scan.changed.push(Listing {
            directory: node.real.clone(),
            files,
        });
        Ok(())
    }

    fn list_once(&mut self, node: &mut Node, depth: usize) -> io::Result<Vec<Found>> {
        let mut files = Vec::new();
        let mut before = std::mem::take(&mut node.children);
        node.links.clear();
        for entry in fs::read_dir(&node.real)? {
            let entry = entry?;
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let display = node.display.join(&name);
            if kind.is_file() {
                // What vanishes in between is no error.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                let mut found = Found::new(name, &metadata);
                if let Some(link) = node.names.get(&found.name) {
                    found.matched = Some(link.clone());
                } else if !node.states.is_empty() {
                    found.excluded = self.exclude.file(&display);
                    if !found.excluded && self.fit(node, &found.name).0 {
                        found.matched = Some(display);
                    } else if !found.excluded {
                        found.rotated_from = rotation::bases(&found.name)
                            .find(|base| {
                                self.fit(node, base).0
                                    && !self.exclude.file(&node.display.join(base))
                            })
                            .map(OsStr::to_owned);
                    }
                }
                files.push(found);
            } else if depth < MAX_DEPTH && (kind.is_dir() || kind.is_symlink()) {
                let (file, named, below) = self.fit(node, &name);
                if below.is_empty() && !file || self.exclude.directory(&display) {
                    continue;
                }
                if kind.is_symlink() {
                    if !self.exclude.file(&display) {
                        node.links.push(Link {
                            path: display,
                            below,
                            file,
                            named,
                        });
                    }
                } else if !below.is_empty() {
                    let mut child = before.remove(&name).unwrap_or_default();
                    child.real = node.real.join(&name);
                    child.display = display;
                    child.states = below;
                    node.children.insert(name, child);
                }
            }
        }
        Ok(files)
    }

    /// Whether a file of this name matches, whether it fits a component that is no `**`, and the states below it.
    fn fit(&self, node: &Node, name: &OsStr) -> (bool, bool, Vec<(usize, Vec<usize>)>) {
        let (mut file, mut named) = (false, false);
        let mut all = Vec::new();
        for (index, states) in &node.states {
            let mut below = Vec::new();
            if let Some(pattern) = self.patterns.get(*index) {
                let fit = pattern.step(states, name, &mut below);
                file |= fit.file;
                named |= fit.named;
            }
            if !below.is_empty() {
                all.push((*index, below));
            }
        }
        (file, named, all)
    }

    fn link(&mut self, node: &mut Node, link: &Link, depth: usize) {
        // Where it leads can change without a trace in its directory.
        let Ok(real) = link.path.canonicalize() else {
            return;
        };
        let Ok(metadata) = fs::metadata(&real) else {
            return;
        };
        let wanted = (metadata.is_file() && link.file) || (metadata.is_dir() && link.named);
        if !wanted {
            return;
        }
        if !self.roots.contain(&real) {
            if self.warned.insert(link.path.clone()) {
                add(&self.stats.refused, 1);
                tracing::warn!(
                    link = %link.path.display(),
                    target_path = %real.display(),
                    "symbolic link refused: it leads out of the log roots"
                );
            }
            return;
        }
        if metadata.is_file() {
            let (Some(directory), Some(name)) = (real.parent(), real.file_name()) else {
                return;
            };
            self.linked
                .entry(directory.to_owned())
                .or_default()
                .insert(name.to_owned(), link.path.clone());
        } else if !link.below.is_empty()
            && let Some(name) = link.path.file_name()
        {
            let child = node.children.entry(name.to_owned()).or_default();
            if child.real != real {
                *child = Node {
                    real,
                    display: link.path.clone(),
                    ..Node::default()
                };
                child.states.clone_from(&link.below);
            }
            self.directory(child, depth + 1);
        }
    }

    fn failed(&mut self, directory: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            // It may be unreadable for a moment only: what is known of it stays.
            self.seen.entry(directory.to_owned()).or_default();
            if is_exhausted(error) {
                add(&self.stats.descriptor_errors, 1);
                self.scan.exhausted = true;
                return;
            }
            add(&self.stats.read_errors, 1);
            if self.warned.insert(directory.to_owned()) {
                tracing::warn!(directory = %directory.display(), %error, "log directory unreadable");
            }
        }
    }
}

/// Leaves out what an ordering leaves out.
fn choose(ordering: &Ordering, listings: &mut [Listing]) {
    let mut files: Vec<&mut Found> = listings
        .iter_mut()
        .flat_map(|listing| &mut listing.files)
        .filter(|found| found.matched.is_some())
        .collect();
    let paths: Vec<(&Path, i64)> = files
        .iter()
        .filter_map(|found| Some((found.matched.as_deref()?, found.modified)))
        .collect();
    let selected = ordering.select(&paths);
    for (found, selected) in files.iter_mut().zip(selected) {
        if !selected {
            found.matched = None;
            found.excluded = true;
        }
    }
}

fn is_settled(metadata: &Metadata) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok())
        .is_some_and(|age| age > SETTLED)
}

/// The process or the system has no more descriptors.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree {
        root: tempfile::TempDir,
        discovery: Discovery,
        stats: Stats,
        now: Instant,
    }

    impl Tree {
        fn new(include: &[&str], exclude: &[&str], roots: &[&str]) -> Self {
            let root = tempfile::tempdir().unwrap();
            let place = |pattern: &&str| format!("{}/{pattern}", root.path().display());
            let patterns = include
                .iter()
                .flat_map(|pattern| Pattern::parse(&place(pattern)).unwrap())
                .collect();
            let exclude: Vec<_> = exclude.iter().map(place).collect();
            let roots: Vec<_> = roots
                .iter()
                .map(|root| PathBuf::from(place(root)))
                .collect();
            let exclude = Exclude::parse(&exclude).unwrap();
            let discovery = Discovery::new(patterns, exclude, &roots, None);
            Self {
                root,
                discovery,
                stats: Stats::default(),
                now: Instant::now(),
            }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.root.path().canonicalize().unwrap().join(path)
        }

        fn write(&self, path: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }

        fn scan(&mut self) -> Scan {
            self.discovery.scan(self.now, &self.stats, None)
        }

        /// The matched paths of the directories that changed, below the root.
        fn matched(&mut self) -> Vec<String> {
            let root = self.root.path().to_owned();
            let mut paths: Vec<_> = self
                .scan()
                .changed
                .into_iter()
                .flat_map(|listing| listing.files)
                .filter_map(|found| found.matched)
                .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
                .collect();
            paths.sort();
            paths
        }
    }

    #[test]
    fn finds_matching_files_and_their_neighbours() {
        let mut tree = Tree::new(
            &["pods/*/*/*.log"],
            &["pods/skip_*/**", "pods/*/sidecar/*"],
            &[],
        );
        assert!(tree.scan().changed.is_empty(), "nothing is there yet");
        for path in [
            "pods/a/c/0.log",
            "pods/a/c/0.log.20260101-000000",
            "pods/b/c/0.log",
            "pods/b/sidecar/0.log",
            "pods/skip_b/c/0.log",
            "pods/b/c/deep/0.log",
            "other/a/c/0.log",
        ] {
            tree.write(path);
        }
        assert_eq!(tree.matched(), ["pods/a/c/0.log", "pods/b/c/0.log"]);
        tree.write("pods/a/c/1.log");
        assert!(tree.matched().contains(&"pods/a/c/1.log".to_owned()));
    }

    #[test]
    fn only_what_is_named_is_looked_at_and_what_is_new_below_it() {
        let mut tree = Tree::new(&["pods/*/*/*.log"], &[], &[]);
        tree.write("pods/a/c/0.log");
        tree.write("pods/b/c/0.log");
        tree.scan();
        tree.write("pods/a/c/1.log");
        tree.write("pods/b/c/1.log");
        tree.write("pods/new/c/0.log");
        let mut look = |paths: &[&str]| {
            let only = paths.iter().map(|path| tree.path(path)).collect();
            let scan = tree.discovery.scan(tree.now, &tree.stats, Some(&only));
            let root = tree.path("");
            let mut directories: Vec<_> = scan
                .changed
                .iter()
                .map(|listing| {
                    let below = listing.directory.strip_prefix(&root).unwrap();
                    below.display().to_string()
                })
                .collect();
            directories.sort();
            (directories, scan.gone)
        };
        assert_eq!(look(&["pods/a/c"]), (vec!["pods/a/c".to_owned()], vec![]));
        assert_eq!(look(&["pods/a"]), (vec!["pods/a".to_owned()], vec![]));
        let below = ["pods", "pods/new", "pods/new/c"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(look(&["pods"]), (below, vec![]));
        fs::remove_dir_all(tree.path("pods/b")).unwrap();
        let mut look = |path: &str| {
            let only = HashSet::from([tree.path(path)]);
            tree.discovery.scan(tree.now, &tree.stats, Some(&only)).gone
        };
        assert!(look("pods/a").is_empty());
        let mut gone = look("pods");
        gone.sort();
        assert_eq!(gone, [tree.path("pods/b"), tree.path("pods/b/c")]);
    }

    #[test]
    fn a_settled_directory_is_not_listed_again_until_it_changes() {
        let mut tree = Tree::new(&["*.log"], &[], &[]);
        tree.write("a.log");
        let past = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(tree.path(""))
            .unwrap()
            .set_modified(past)
            .unwrap();
        assert_eq!(tree.matched(), ["a.log"]);
        assert!(tree.scan().changed.is_empty());
        tree.write("b.log");
        assert_eq!(tree.matched(), ["a.log", "b.log"]);
        // Just changed, so looked at again.
        assert_eq!(tree.matched(), ["a.log", "b.log"]);
        fs::File::open(tree.path(""))
            .unwrap()
            .set_modified(past)
            .unwrap();
        tree.scan();
        assert!(tree.scan().changed.is_empty());
        tree.now += RELIST;
        assert_eq!(tree.matched(), ["a.log", "b.log"]);
    }

    #[test]
    fn gone_directories_are_told() {
        let mut tree = Tree::new(&["pods/*/*.log"], &[], &[]);
        tree.write("pods/a/0.log");
        tree.scan();
        fs::remove_dir_all(tree.path("pods/a")).unwrap();
        assert_eq!(tree.scan().gone, [tree.path("pods/a")]);
        assert!(tree.scan().gone.is_empty());
        fs::remove_dir_all(tree.path("pods")).unwrap();
        assert_eq!(tree.scan().gone, [tree.path("pods")]);
        tree.write("pods/a/0.log");
        assert_eq!(tree.matched(), ["pods/a/0.log"]);
    }

    #[test]
    fn links_are_followed_beneath_the_roots_only() {
        let mut tree = Tree::new(&["containers/*.log", "pods/*/*.log"], &[], &["docker"]);
        tree.write("docker/1/1-json.log");
        tree.write("docker/1/1-json.log.1");
        tree.write("secret/shadow");
        fs::create_dir_all(tree.path("containers")).unwrap();
        fs::create_dir_all(tree.path("pods")).unwrap();
        symlink(
            tree.path("docker/1/1-json.log"),
            tree.path("containers/web.log"),
        )
        .unwrap();
        symlink(
            tree.path("secret/shadow"),
            tree.path("containers/planted.log"),
        )
        .unwrap();
        symlink(tree.path("secret"), tree.path("pods/planted")).unwrap();
        symlink(tree.path("nowhere"), tree.path("containers/dangling.log")).unwrap();
        assert_eq!(tree.matched(), ["containers/web.log"]);
        assert_eq!(
            tree.stats
                .refused
                .load(std::sync::atomic::Ordering::Relaxed),
            2
        );
        let scan = tree.scan();
        let docker = scan
            .changed
            .iter()
            .find(|listing| listing.directory == tree.path("docker/1"))
            .unwrap();
        assert_eq!(
            docker.files.len(),
            2,
            "the generations beside the link's file"
        );

        // A chain of links, as /var/log/containers → /var/log/pods → docker.
        symlink(tree.path("docker/1"), tree.path("pods/linked")).unwrap();
        assert!(
            tree.matched()
                .contains(&"pods/linked/1-json.log".to_owned())
        );
    }
}
