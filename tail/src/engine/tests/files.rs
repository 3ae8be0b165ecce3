//! Which files are followed, and what becomes of them.

use std::os::unix::fs::symlink;

use super::*;
use crate::{OnTruncate, Ordering, SortBy, SortKind};

#[test]
fn deleted_when_read_and_acknowledged() {
    let mut world = World::new("*.log");
    world.settings.delete_after_read = true;
    world.hold(true);
    world.append("a.log", "1\n2");
    world.append("empty.log", "");
    assert_eq!(world.read(), lines("a.log", &["1"]));
    world.turns(5);
    assert!(world.path("a.log").exists());
    world.settings.force_flush_period = Some(Duration::from_secs(1));
    world.kill();
    world.hold(false);
    assert_eq!(world.read(), lines("a.log", &["1", "2"]));
    world.turns(4);
    assert!(!world.path("a.log").exists());
    assert!(world.path("empty.log").exists());
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
    world.append("a.log", "3\n");
    assert_eq!(world.read(), lines("a.log", &["3"]));
}

#[test]
fn truncated_but_begun_as_before() {
    for (on_truncate, again) in [
        (OnTruncate::ReadWholeFile, &["1", "2"][..]),
        (OnTruncate::ReadNew, &[]),
    ] {
        let mut world = World::new("*.log");
        world.settings.on_truncate = on_truncate;
        world.settings.fingerprint_size = 16;
        world.append("a.log", "1\n2\n");
        world.append("a.log", &format!("{}\n", "x".repeat(20)));
        assert_eq!(world.read().len(), 3);
        fs::write(world.path("a.log"), format!("1\n2\n{}", "x".repeat(15))).unwrap();
        assert_eq!(world.read(), lines("a.log", again));
        world.append("a.log", "y\n");
        assert_eq!(world.read().len(), 1);
        // Another file altogether is read in any case.
        fs::write(world.path("a.log"), "new\n").unwrap();
        assert_eq!(world.read(), lines("a.log", &["new"]));
    }
}

#[test]
fn only_the_newest_of_a_series() {
    let mut world = World::new("*.log");
    world.settings.ordering = Some(Ordering {
        regex: regex::Regex::new(r"(?<n>\d+)\.log").unwrap(),
        group_by: None,
        top_n: 1,
        sort_by: vec![SortBy {
            kind: SortKind::Numeric,
            key: "n".to_owned(),
            ascending: false,
        }],
    });
    world.append("9.log", "nine\n");
    world.append("10.log", "ten\n");
    world.append("x.log", "x\n");
    assert_eq!(world.read(), lines("10.log", &["ten"]));
    world.append("9.log", "more\n");
    assert!(world.read().is_empty());
    fs::remove_file(world.path("10.log")).unwrap();
    assert_eq!(world.read(), lines("9.log", &["nine", "more"]));
}

#[test]
fn what_is_known_of_a_file() {
    let mut world = World::new("links/*.log");
    world.settings.link_roots = vec![world.path("real")];
    world.settings.file_owner = true;
    for directory in ["links", "real"] {
        fs::create_dir(world.path(directory)).unwrap();
    }
    world.append("real/0.log", "1\n");
    symlink(world.path("real/0.log"), world.path("links/pod.log")).unwrap();
    assert_eq!(world.read(), lines("pod.log", &["1"]));
    let real = world.path("real/0.log").canonicalize().unwrap();
    let source = Arc::clone(&world.engine().streams.values().next().unwrap().source);
    assert_eq!(PathBuf::from(&source.path_resolved), real);
    assert_eq!(source.name_resolved, "0.log");
    assert_eq!(source.owner.as_ref().unwrap().permissions.len(), 3);
}

#[test]
fn records_are_counted_over_restarts() {
    struct Numbers(Arc<parking_lot::Mutex<Vec<(u64, u64)>>>);
    impl Sink for Numbers {
        fn record(&mut self, _: &Source, record: &Record<'_>) {
            self.0.lock().push((record.number, record.offset));
        }
        fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
            ticket.delivered();
        }
        fn flush(&mut self) {}
    }
    let mut world = World::containers();
    let numbers = Arc::default();
    let mut saved = Vec::new();
    let run = |world: &World, saved: &mut Vec<u8>| {
        let before = positions::read(saved).unwrap();
        let sink = Numbers(Arc::clone(&numbers));
        let memory = Memory::Kept;
        let mut engine =
            Engine::new(world.settings.clone(), sink, before, memory, world.now).unwrap();
        for turn in 1..4 {
            engine.turn(world.now + turn * Duration::from_millis(300));
        }
        if let Some(bytes) = engine.positions(world.now, true) {
            *saved = bytes;
        }
        std::mem::take(&mut *numbers.lock())
    };
    world.append("0.log", &cri("stdout", "F", "one"));
    world.append("0.log", &cri("stdout", "P", "t"));
    world.append("0.log", &cri("stderr", "F", "err"));
    let line = |number: u64| number * 42;
    let got: Vec<_> = run(&world, &mut saved);
    assert_eq!(
        got.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2]
    );
    world.append("0.log", &cri("stdout", "F", "wo"));
    // From the partial line on.
    let got = run(&world, &mut saved);
    assert_eq!(
        got.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(got[0].1 > line(1));
    world.append("0.log", &cri("stdout", "F", "end"));
    assert_eq!(run(&world, &mut saved)[0].0, 4);
    world.turns(0);
}

#[test]
fn a_file_system_that_is_mounted_again_with_another_number() {
    let mut world = World::new("*.log");
    world.append("a.log", "1\n");
    assert_eq!(world.read(), lines("a.log", &["1"]));
    // What is known of it is from a device that had the number 99.
    let engine = world.engine();
    let stream = engine.streams.values_mut().next().unwrap();
    let generation = &mut stream.generations[0];
    let now = generation.inode;
    generation.inode.0 = 99;
    generation.removed = true;
    generation.live = false;
    let before = (stream.id, generation.id);
    engine.inodes.remove(&now);
    engine.inodes.insert((99, now.1), before);
    world.append("a.log", "2\n");
    world.append("b.log", "");
    assert_eq!(world.read(), lines("a.log", &["2"]));
    assert_eq!(world.engine().inodes.get(&now), Some(&before));
}

#[test]
fn what_is_planted_shows_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.log");
    fs::write(&secret, "secret\n").unwrap();
    let mut world = World::new("*/*.log");
    fs::create_dir(world.path("pod")).unwrap();
    world.append("pod/0.log", "fine\n");
    symlink(&secret, world.path("pod/1.log")).unwrap();
    symlink(outside.path(), world.path("other")).unwrap();
    symlink("../pod/0.log", world.path("pod/loop.log")).unwrap();
    fs::create_dir(world.path("pod/2.log")).unwrap();
    let fifo = world.path("pod/3.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    symlink("/dev/zero", world.path("pod/4.log")).unwrap();
    symlink("3.log", world.path("pod/5.log")).unwrap();
    // As its rotated generations, too.
    symlink(&secret, world.path("pod/0.log.1")).unwrap();
    symlink(&secret, world.path("pod/0.log.20260101-000000.gz")).unwrap();
    assert_eq!(world.read(), lines("0.log", &["fine"]));
    assert!(world.stat(|stats| &stats.refused) >= 2);
    // Put in the place of a file that is followed.
    fs::remove_file(world.path("pod/0.log")).unwrap();
    symlink(&secret, world.path("pod/0.log")).unwrap();
    assert!(world.read().is_empty());
}

#[test]
fn a_container_that_crashes_on_and_on_leaves_nothing_behind() {
    let mut world = World::new("*/*/*.log");
    fs::create_dir_all(world.path("ns_pod_uid/app")).unwrap();
    let mut got = Vec::new();
    for restart in 0..60 {
        let path = format!("ns_pod_uid/app/{restart}.log");
        world.append(&path, &format!("{restart} begins\n{restart} ends"));
        if restart > 0 {
            // kubelet keeps the last one beside the current one.
            let old = restart - 2;
            if old >= 0 {
                fs::remove_file(world.path(&format!("ns_pod_uid/app/{old}.log"))).unwrap();
            }
        }
        if restart % 3 == 0 {
            world.turns(1);
        }
        // Some come and go between two looks.
        if restart % 20 == 19 {
            world.turns(70);
            got.append(&mut world.got.lock().lines);
            let streams = world.stat(|stats| &stats.streams);
            assert!(streams <= 3, "{streams} streams after {restart} restarts");
        }
    }
    assert!(world.engine().inodes.len() <= 3);
    assert!(world.engine().by_path.len() <= 3);
    let seen: BTreeSet<_> = got.iter().filter(|line| line.contains("begins")).collect();
    // Two of three exist at a look.
    assert!(seen.len() >= 40, "{}", seen.len());
}

#[test]
fn without_hints_and_with_few() {
    for watches in [0, 1, 2] {
        let mut world = World::new("*/*.log");
        world.settings.max_watches = watches;
        for directory in 0..5 {
            fs::create_dir(world.path(&directory.to_string())).unwrap();
            world.append(&format!("{directory}/a.log"), "1\n");
        }
        assert_eq!(world.read().len(), 5);
        for directory in 0..5 {
            world.append(&format!("{directory}/a.log"), "2\n");
            world.append(&format!("{directory}/b.log"), "3\n");
        }
        assert_eq!(world.read().len(), 10, "{watches}");
    }
}
