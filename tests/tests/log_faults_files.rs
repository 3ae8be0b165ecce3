//! What happens to log files, each as its own case: nothing is lost, nothing comes twice, nothing is out of order or
//! corrupted. The numbers are those of the catalogue in this folder's README.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::{Duration, Instant};

use corten_tests::oracle::World;
use corten_tests::wait_for;

const SOON: Duration = Duration::from_secs(20);

/// Rotated every 100 ms at full speed, the agent stopped for 3 s of it: thirty generations to find and to read in order.
#[test]
fn row_01_rotation_under_load() {
    let mut world = World::new("row_01");
    world.writer.sizes = (500, 1500);
    world.play("pod; pod; start");
    for round in 0..45 {
        if round == 10 {
            world.play("pause");
        }
        world.play("write * 300; rotate *; pace 100");
        if round == 40 {
            world.play("resume");
        }
    }
    world.finish();
}

/// Four generations while nobody runs, three of them compressed by kubelet.
#[test]
fn row_02_rotation_while_the_agent_is_down() {
    let mut world = World::new("row_02");
    world.play("pod; pod; write * 500; start; drain; write * 200; stop");
    for _ in 0..4 {
        world.play("write * 200; gzip *; rotate *");
    }
    world.play("write * 100; start");
    world.finish();
}

/// Copied and emptied at scripted points: all that was visible is there, once.
#[test]
fn row_03_copytruncate() {
    let mut world = World::new("row_03");
    world.play("pod; write 0 200; start; drain");
    for _ in 0..5 {
        world.play("copytruncate 0; write 0 150; drain");
    }
    // Emptied before anybody could have seen the last lines: only these may be missing.
    world.play("pause; write 0 50; truncate 0; write 0 20; resume");
    let verdict = world.finish();
    assert!(verdict.excused <= 50, "{verdict}");
}

/// Emptied and grown beyond where it was, within one pause and while the agent is down.
#[test]
fn row_04_truncated_and_regrown_beyond_the_old_offset() {
    let mut world = World::new("row_04");
    world.play("pod; write 0 100; start; drain; pause; truncate 0; write 0 400; resume; drain");
    world.play("stop; truncate 0; write 0 900; start");
    let verdict = world.finish();
    assert_eq!(verdict.excused, 0, "all of it had come before: {verdict}");
}

/// Compressed between reads: what is unread of a generation is read from the descriptor.
#[test]
fn row_05_gzip_between_reads() {
    let mut world = World::new("row_05_reads");
    world.writer.sizes = (500, 1500);
    world.play("pod; pod; write * 100; start; drain");
    for _ in 0..6 {
        world.play("pause; write * 800; gzip *; rotate *; write * 300; gzip *; rotate *; resume; write * 50");
    }
    world.finish();
}

/// Compressed across a restart, partly read: it goes on within the text of the `.gz`, not at its byte.
#[test]
fn row_05_gzip_across_a_restart() {
    let mut world = World::new("row_05_restart");
    world.writer.sizes = (500, 1500);
    world.play("pod; write 0 500; start; drain; stop; write 0 500; rotate 0; write 0 300; rotate 0; gzip-all 0");
    world.play("write 0 100; start; drain; stop; start; drain");
    assert_eq!(world.verdict().duplicated, 0, "{}", world.verdict());
    // And once more after a kill, when the files that are compressed are done.
    world.play("kill; start; write 0 100");
    world.finish();
}

/// Compressed files of several members, never seen before.
#[test]
fn row_05_gzip_of_several_members() {
    let mut world = World::new("row_05_members");
    world.play("pod; start; write 0 10; drain; stop");
    for _ in 0..3 {
        world.play("write 0 700; rotate 0; gzip-all 0");
    }
    world.play("write 0 10; start");
    world.finish();
}

/// Another log with the inode of one that was there, while the agent is down: as ext4 gives it within a second. Shorter than that,
/// longer, and with the inode of a generation that was read to its end.
#[test]
fn row_06_inode_reuse() {
    let mut world = World::new("row_06");
    world.play("pod; write 0 300; start; drain; stop");
    for (before, after) in [
        ("", 100),
        ("", 900),
        ("rotate 0; write 0 200", 150),
        ("rotate 0; write 0 50", 900),
    ] {
        let inode = world.writer.inode(0);
        world.play(&format!("start; {before}; drain; stop"));
        world.writer.reuse_inode(0);
        assert_eq!(world.writer.inode(0), inode);
        world.play(&format!("write 0 {after}; start; drain; stop"));
    }
    world.play("start; write 0 10");
    world.finish();
}

/// Two logs whose first 4 KiB are equal are two logs; an empty one that grows is one.
#[test]
fn row_07_equal_beginnings_and_empty_files() {
    let mut world = World::with("row_07", |setup| {
        setup.receiver.push("fingerprint_size: 1000".to_owned());
    });
    world.play("pod; pod; pod; start");
    // The same bytes in each: an empty message, which is a line nobody has in the books but in `raw`.
    let same = "2026-01-05T10:00:00.000000001Z stdout P \n".repeat(120);
    for log in 0..2 {
        world.writer.raw(log, same.as_bytes());
    }
    world.play("write * 50; drain; stop; write * 50; rotate 0; start; write * 20; drain");
    // Empty again and again.
    world.play("rotate 2; rotate 2; drain; stop; rotate 2; start; write * 5");
    world.finish();
}

/// A pod's folder with 20 MB of unread lines is removed: they are read through the descriptor.
#[test]
fn row_08_deleted_while_unread() {
    let mut world = World::new("row_08");
    world.writer.sizes = (2000, 4000);
    world.writer.parts = 0;
    world.play("pod; pod; write * 10; start; drain; loki 503; write 0 7000");
    world.requests(1);
    world.play("delete 0; pace 1000; loki up; write 1 10");
    world.finish();
}

/// A pod is gone before its last lines are read, and another of the same name is there: the metadata is that of the path,
/// for each of them. (Whether the API server is asked for more changes nothing here: it is not there.)
#[test]
fn row_09_metadata_outlives_the_pod() {
    let mut world = World::new("row_09");
    let first = world.writer.named("shop", "db-0", "postgres");
    world.writer.write(first, 10);
    world.play("start; drain; loki 503");
    world.writer.write(first, 500);
    world.requests(1);
    world.writer.delete(first);
    let second = world.writer.named("shop", "db-0", "postgres");
    world.writer.write(second, 300);
    world.play("pace 500; loki up");
    world.finish();
}

/// A last line without its newline waits: over polls, over a kill, over a rotation.
#[test]
fn row_10_partial_last_line() {
    let mut world = World::new("row_10");
    world.writer.parts = 0;
    world.play("pod; write 0 20; start; tear 0; pace 700; mend 0; drain");
    world.play("tear 0; pace 700; kill; mend 0; start; drain");
    world.play("tear 0; pace 300; stop; start; pace 700; mend 0; drain");
    world.play("tear 0; kill; mend 0; rotate 0; write 0 5; start");
    world.finish();
}

/// Lines in parts over reads, rotations and kills, with stderr in between.
#[test]
fn row_11_parts_over_rotations_and_kills() {
    let mut world = World::new("row_11");
    world.play("pod; pod; write * 20; start; drain");
    // Over a rotation.
    world.play("begin 0; write 0 5; rotate 0; write 0 5; end 0; write 0 5; drain");
    // Over a kill.
    world.play("begin 0; write 0 30; pace 900; kill; start; end 0; write 0 5; drain");
    // Over both, in both orders.
    world.play("begin 0; write 0 3; pace 700; rotate 0; kill; end 0; write 0 7; start; drain");
    world.play("begin 0; write 0 3; stop; rotate 0; write 0 3; rotate 0; end 0; start; drain");
    // Over a rotation that kubelet compresses.
    world.play(
        "begin 1; write 1 3; rotate 1; write 1 3; stop; rotate 1; gzip 1; end 1; start; write 1 9",
    );
    world.finish();
}

/// Lines from 1 byte to 64 MB: in pieces, with bounded memory, and the next line is intact.
#[test]
fn row_12_huge_lines() {
    let mut world = World::with("row_12", |setup| {
        setup.receiver.push("max_log_size: 200KiB".to_owned());
    });
    world.play("pod; start");
    world.writer.parts = 0;
    for bytes in [
        1,
        16 << 10,
        (200 << 10) - 100,
        200 << 10,
        1 << 20,
        5 << 20,
        64 << 20,
    ] {
        world.note(&format!("a line of {bytes} bytes"));
        world.writer.sizes = (bytes, bytes + 1);
        world.play("write 0 1");
        world.writer.sizes = (20, 400);
        world.play("write 0 3; drain");
    }
    let resident = world.agent().resident() >> 20;
    assert!(resident < 150, "{resident} MiB resident");
    // Cut in parts by the runtime, as containerd does at 16 KiB.
    world.writer.parts = 1;
    for bytes in [100 << 10, 3 << 20] {
        world.writer.sizes = (bytes, bytes + 1);
        world.play("write 0 1; drain");
    }
    world.finish();
}

/// Any bytes but a newline: what is no UTF-8 arrives as U+FFFD, and nothing stands still.
#[test]
fn row_13_invalid_utf8() {
    let mut world = World::new("row_13");
    world.play("pod; start");
    for _ in 0..300 {
        let len = world.random.within(0, 300);
        let payload: Vec<u8> = (0..len)
            .map(|_| u8::try_from(world.random.within(0, 256)).unwrap())
            .map(|byte| {
                if matches!(byte, b'\n' | b'\r') {
                    0xff
                } else {
                    byte
                }
            })
            .collect();
        world.writer.payload(0, &payload);
    }
    world.play("write 0 20; drain");
    // A character in halves around a read.
    world.writer.payload(0, "grüße €uro 🦀".as_bytes());
    world.writer.payload(0, b"\xc3");
    world.writer.payload(0, b"\xf0\x9f\xa6");
    world.finish();
}

/// A hole of 1 GiB and written zeros: skipped, quickly, and the lines behind them are intact.
#[test]
fn row_14_nul_and_sparse_files() {
    let mut world = World::new("row_14");
    world.play("pod; write 0 100; start; drain; hole 0 1048576; write 0 100");
    let begun = Instant::now();
    world.play("drain");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} for a hole");
    for zeros in [1, 63, 64, 65, 4096, 1 << 20] {
        world.note(&format!("{zeros} zeros"));
        world.writer.zeros(0, zeros);
        world.play("write 0 10; drain");
    }
    world.play("stop; hole 0 65536; write 0 10; rotate 0; hole 0 1024; write 0 10; start");
    world.finish();
}

/// 128 descriptors for 2,000 files: each is read, partial lines are kept, positions are saved and Loki is reached.
#[test]
fn row_17_too_few_descriptors() {
    let mut world = World::with("row_17", |setup| {
        setup.within = Some((String::new(), "ulimit -n 128".to_owned()));
    });
    for _ in 0..2000 {
        world.writer.pod();
    }
    world.note("2000 pods");
    world.play("write * 3; begin 7; tear 8; start; pace 2000; end 7; mend 8; write * 2; drain");
    world.play("rotate 0; rotate 1; write * 1; drain; stop; write * 1; start");
    world.finish();
}

/// Sixteen inotify watches for a hundred folders, in a user namespace of the agent's own.
#[test]
fn row_18_too_few_inotify_watches() {
    let mut world = World::with("row_18_watches", |setup| {
        let shell = "echo 16 > /proc/sys/user/max_inotify_watches || exit 9";
        setup.within = Some(("-Ur".to_owned(), shell.to_owned()));
    });
    for _ in 0..100 {
        world.writer.pod();
    }
    world.play(
        "write * 10; start; drain; write * 10; rotate *; write * 10; drain; pod; write 100 50",
    );
    world.finish();
}

/// No inotify at all.
#[test]
fn row_18_no_inotify() {
    let mut world = World::with("row_18_none", |setup| {
        let shell = "echo 0 > /proc/sys/user/max_inotify_instances || exit 9";
        setup.within = Some(("-Ur".to_owned(), shell.to_owned()));
    });
    world.play("pod; pod; write * 10; start; drain; write * 10; rotate *; write * 10; drain; pod; write 2 50");
    world.finish();
}

/// The agent stands still while more happens than the kernel keeps hints for.
#[test]
fn row_18_inotify_overflow() {
    let mut world = World::new("row_18_overflow");
    world.play("pod; pod; write * 10; start; drain; pause");
    let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    let dir = world.writer.path(0).parent().unwrap().to_owned();
    for at in 0..=most / 2 {
        let path = dir.join(format!("other-{at}"));
        std::fs::write(&path, "").unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    world.note(&format!("more than {most} events"));
    world.play(
        "write * 10; rotate 0; write * 10; rotate 0; write * 10; pod; write 2 20; resume; drain",
    );
    world.play("write * 10; rotate *; write * 10");
    world.finish();
}

/// The log root is not there at the start, then mounted in the agent's own mount namespace, then mounted over.
#[test]
fn row_19_late_and_remounted_root() {
    let mut world = World::with("row_19", |setup| {
        let root = rustix::process::geteuid().is_root();
        let flags = if root { "-m" } else { "-rm" };
        // Nothing that is written is visible until it is mounted.
        let shell = "mount -t tmpfs none {dir}/mounted";
        setup.within = Some((flags.to_owned(), shell.to_owned()));
        setup.root = "mounted/pods".to_owned();
    });
    let mounted = world.dir().join("mounted");
    world.play("pod; pod; write * 50; start; write * 10; pace 300");
    assert_eq!(world.have(), 0, "it is not mounted yet");
    let pid = world.agent().pid().to_string();
    let enter = |what: &[&str]| {
        let mut command = std::process::Command::new("nsenter");
        command.args(["-t", &pid, "-m"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        assert!(command.args(what).status().unwrap().success(), "{what:?}");
    };
    // What was hidden appears when the mount that hides it goes.
    enter(&["umount", "-l", mounted.to_str().unwrap()]);
    world.play("write * 20; drain; rotate 0; write * 20; drain");
    // Mounted once more over itself: the same files by another mount.
    let path = mounted.to_str().unwrap();
    enter(&["mount", "--bind", path, path]);
    world.play("write * 20; rotate 1; write * 20; pod; write 2 10");
    world.finish();
}

/// A container that begins anew twenty times a second, for 3 s; kubelet keeps the last five of its logs.
#[test]
fn row_20_crash_loop() {
    let mut world = World::new("row_20");
    world.play("pod; pod; write * 5; start; drain");
    for round in 0..60 {
        world.play("restart 0; write 0 7; pace 50; prune 0 5");
        if round % 10 == 0 {
            world.play("rotate 1; write 1 5");
        }
    }
    world.play("kill; restart 0; write 0 10; start");
    world.finish();
}

/// The wall clock jumps by an hour and by ten years, both ways, under the running agent: `clock_gettime` of its real
/// time is answered by a library of the test's own, which adds what a file says. Nothing stops, nothing comes twice.
#[test]
fn row_21_clock_jumps() {
    let mut world = World::new("row_21");
    let library = world.dir().join("clock.so");
    let source = corten_tests::case("log_faults").join("clock.c");
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(
        built.unwrap().success(),
        "the C compiler that builds the agent builds this"
    );
    let offset = world.dir().join("offset");
    std::fs::write(&offset, "0").unwrap();
    let env = [
        ("LD_PRELOAD", library.display().to_string()),
        ("CLOCK_OFFSET", offset.display().to_string()),
    ];
    world.setup().env = env.map(|(name, value)| (name.to_owned(), value)).into();
    world.play("pod; pod; write * 20; start; drain");
    let year: i64 = 365 * 86_400;
    for jump in [3600, -3600, 10 * year, -10 * year, 0] {
        std::fs::write(&offset, jump.to_string()).unwrap();
        world.note(&format!("the clock is off by {jump} s"));
        world.loki.next([corten_tests::oracle::Fault::Status(503)]);
        world.play("write * 20; rotate 0; write * 20");
        let begun = Instant::now();
        world.play("drain");
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(8),
            "{took:?} after a jump by {jump} s"
        );
    }
    assert!(world.agent().log().contains("2036-"), "the clock did jump");
    world.play("kill");
    std::fs::write(&offset, (-year).to_string()).unwrap();
    world.play("write * 10; start");
    world.finish();
}

/// Each stream is told of when it is opened, in the words that the guide looks for.
#[test]
fn each_stream_is_told_of_once() {
    let mut world = World::new("streams");
    world.play("pod; pod; write * 10; start; drain; rotate 0; write * 10; drain; restart 0; write * 5; drain");
    for pod in ["web-0", "web-1"] {
        let line = format!("opened log stream target=shop/{pod}:app");
        let log = world.agent().log();
        let told = wait_for(&line, SOON, || {
            let told = log.lines().filter(|one| {
                one.contains("opened log stream") && one.contains(&format!("target=shop/{pod}:app"))
            });
            let told = told.count();
            (told > 0).then_some(told)
        });
        assert!(told <= 2, "{told} times:\n{log}");
    }
    world.finish();
}
