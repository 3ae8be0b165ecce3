//! What happens to the agent and to what it remembers: kills, damaged positions, full disks. Nothing is lost, and what comes
//! twice is no more than what was in flight. The numbers are those of the catalogue in this folder's README.
//!
//! `CORTEN_ORACLE_LONG=1` runs the long forms: fifty kills at 20 MB/s, and positions damaged at every byte.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use corten_tests::oracle::{Action, Fault, Random, Who, World};
use corten_tests::wait_for;

const SOON: Duration = Duration::from_secs(20);

fn long() -> bool {
    std::env::var_os("CORTEN_ORACLE_LONG").is_some()
}

/// Positions flipped at a byte or cut at a length: it starts within 5 s, nothing is lost, what is read again is what the
/// damage cost, and a metric or a warning says so. Some places of each file; all of them in the long form.
#[test]
fn row_16_damaged_positions() {
    let mut world = World::new("row_16");
    world.writer.sizes = (20, 100);
    // Each life ends with a sync, which goes to the other generation than the one before.
    world.play("pod; pod; write * 30; start; drain; stop; start; write * 5; drain; stop");
    let kept: Vec<_> = world
        .checkpoints()
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    assert!(kept.len() >= 2, "two generations: {kept:?}");
    let restore = |but: Option<(&Path, Vec<u8>)>| {
        for (bytes, path) in &kept {
            std::fs::write(path, bytes).unwrap();
        }
        if let Some((path, bytes)) = but {
            std::fs::write(path, bytes).unwrap();
        }
    };
    let mut damages = Vec::new();
    for (bytes, path) in &kept {
        let step = if long() {
            1
        } else {
            bytes.len().div_ceil(4).max(1)
        };
        let first = if long() {
            0
        } else {
            world.random.within(0, step)
        };
        for at in (first..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << world.random.within(0, 8);
            damages.push((format!("{} flipped at {at}", path.display()), path, flipped));
            damages.push((
                format!("{} cut at {at}", path.display()),
                path,
                bytes[..at].to_vec(),
            ));
        }
        damages.push((
            format!("{} all zero", path.display()),
            path,
            vec![0; bytes.len()],
        ));
        damages.push((format!("{} empty", path.display()), path, Vec::new()));
    }
    world.note(&format!("{} damages", damages.len()));
    let lines = world.verdict().written;
    let mut again = 0;
    for (name, path, bytes) in damages {
        world.note(&name);
        restore(Some((path, bytes)));
        let before = world.verdict();
        let begun = Instant::now();
        world.play("start");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}: {name}");
        world.play("write * 1; drain; stop");
        let verdict = world.verdict();
        let twice = verdict.duplicated - before.duplicated;
        // At most all that was there before, once.
        assert!(twice <= verdict.written, "{name}: {verdict}");
        again += twice;
    }
    let all_damaged: Vec<_> = kept.iter().map(|(_, path)| path.clone()).collect();
    for path in &all_damaged {
        std::fs::write(path, vec![0; 4096]).unwrap();
    }
    world.note("all generations are zeros");
    let begun = Instant::now();
    world.play("start");
    assert!(begun.elapsed() < Duration::from_secs(5));
    world.play("write * 1; drain");
    let written = world.verdict().written;
    wait_for("everything again, from the files", SOON, || {
        (world.verdict().duplicated >= again + written - 2).then_some(())
    });
    let log = world.agent().log();
    assert!(log.contains("positions lost"), "it is said:\n{log}");
    world.play("stop");
    let verdict = world.verdict();
    assert_eq!(
        (verdict.lost, verdict.corrupted, verdict.reordered),
        (0, 0, 0),
        "{verdict}"
    );
    assert!(lines > 0);
}

/// SIGKILL at random while 20 MB/s are written and rotated every second, with a Loki that fails now and then: fifty kills in the
/// long form, and as fast as the machine writes; eight with a tenth of it otherwise.
#[test]
fn row_33_sigkill_under_load() {
    let (kills, rate) = if long() {
        (50, 20_000_000)
    } else {
        (8, 2_000_000)
    };
    let mut world = World::new("row_33");
    world.writer.sizes = (500, 1500);
    world.play("pod; pod; pod; pod; start");
    let begun = Instant::now();
    let mut killed = 0;
    let mut written = 0_usize;
    let mut rotated = Duration::ZERO;
    let mut next_kill = Duration::from_millis(700);
    let every = if long() {
        Duration::from_secs(1)
    } else {
        Duration::from_millis(500)
    };
    while killed < kills {
        world.play("write * 50");
        written += 4 * 50 * 1050;
        let due = Duration::from_secs_f64(
            f64::from(u32::try_from(written).unwrap_or(u32::MAX)) / f64::from(rate),
        );
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            world.act(&Action::Pace(early));
        }
        if begun.elapsed() > rotated + every {
            rotated = begun.elapsed();
            world.play("gzip *; rotate *");
        }
        if begun.elapsed() > next_kill {
            world.play("kill");
            killed += 1;
            if world.random.once_in(3) {
                world.loki.next([Fault::Status(503), Fault::Close]);
            }
            if world.random.once_in(3) {
                world.play("write * 100; gzip *; rotate *; write * 10");
            }
            world.play("start");
            let millis = world.random.within(100, if long() { 3000 } else { 900 });
            next_kill = begun.elapsed() + Duration::from_millis(u64::try_from(millis).unwrap());
        }
    }
    world.drain(Duration::from_secs(if long() { 600 } else { 40 }));
    let verdict = world.finish();
    println!(
        "{kills} kills, {} bytes/s: {verdict}",
        written as u64 / begun.elapsed().as_secs().max(1)
    );
}

/// Everything at once, in an order that the seed makes: twelve scripts, or what `CORTEN_ORACLE_SCRIPT` names.
#[test]
fn everything_in_any_order() {
    if let Some(path) = std::env::var_os("CORTEN_ORACLE_SCRIPT") {
        let mut world = World::new("script");
        world.play(&std::fs::read_to_string(path).unwrap());
        world.finish();
        return;
    }
    let rounds = if long() { 200 } else { 6 };
    for round in 0..rounds {
        let mut world = World::new(&format!("any_{round}"));
        let mut random = world.random.clone();
        world.play("pod; pod; pod; start");
        let mut state = Arranged::default();
        for _ in 0..60 {
            if let Some(action) = state.next(&mut random) {
                world.act(&action);
            }
        }
        for action in state.end() {
            world.act(&action);
        }
        world.finish();
    }
}

/// What is so at a place of a script: which actions make sense.
#[derive(Default)]
struct Arranged {
    down: bool,
    paused: bool,
    away: bool,
    refusing: bool,
    open: [bool; 3],
    torn: [bool; 3],
}

impl Arranged {
    fn next(&mut self, random: &mut Random) -> Option<Action> {
        let log = random.within(0, 3);
        let who = Who::One(log);
        let torn = self.torn[log];
        Some(match random.within(0, 22) {
            0..=5 if !torn => Action::Write(who, random.within(1, 200)),
            6 if !torn && !self.open[log] => {
                self.open[log] = true;
                Action::Begin(who)
            }
            7 if !torn && self.open[log] => {
                self.open[log] = false;
                Action::End(who)
            }
            8 if !torn => {
                self.torn[log] = true;
                Action::Tear(who)
            }
            9 | 10 if torn => {
                self.torn[log] = false;
                Action::Mend(who)
            }
            11 | 12 if !torn => Action::Rotate(who),
            13 => Action::Gzip(who),
            14 if !torn => Action::Hole(who, random.within(1, 5000)),
            15 if !self.down => {
                let stuck = std::mem::take(&mut self.paused);
                self.down = true;
                if stuck || random.once_in(2) {
                    Action::Kill
                } else {
                    Action::Stop
                }
            }
            15 | 16 if self.down => {
                self.down = false;
                Action::Start
            }
            17 if !self.down && !self.paused => {
                self.paused = true;
                Action::Pause
            }
            17 | 18 if self.paused => {
                self.paused = false;
                Action::Resume
            }
            19 if !self.refusing => {
                self.refusing = true;
                Action::Loki(*[500, 503, 429].get(random.within(0, 3))?)
            }
            19 | 20 if self.refusing => {
                self.refusing = false;
                Action::LokiUp
            }
            20 => {
                self.away = !self.away;
                if self.away {
                    Action::LokiAway
                } else {
                    Action::LokiBack
                }
            }
            21 => Action::Pace(Duration::from_millis(
                u64::try_from(random.within(1, 300)).ok()?,
            )),
            _ => return None,
        })
    }

    fn end(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for log in 0..3 {
            if self.torn[log] {
                actions.push(Action::Mend(Who::One(log)));
            }
            if self.open[log] {
                actions.push(Action::End(Who::One(log)));
            }
        }
        if self.paused {
            actions.push(Action::Resume);
        }
        if self.down {
            actions.push(Action::Start);
        }
        if self.away {
            actions.push(Action::LokiBack);
        }
        actions.push(Action::LokiUp);
        actions
    }
}

/// The disk of the positions is full from the start, and later has room again: everything is delivered meanwhile, the
/// failed saves are told of, and the positions are saved as soon as there is room. The disk is a tmpfs in a mount namespace of the agent's own.
#[test]
fn row_35_full_disk() {
    let mut world = World::with("row_35", |setup| {
        let root = rustix::process::geteuid().is_root();
        let flags = if root { "-m" } else { "-rm" };
        let shell = "mkdir -p {dir}/disk && mount -t tmpfs -o size=256k none {dir}/disk && mkdir -p {dir}/disk/state && (head -c 1G /dev/zero > {dir}/disk/fill 2>/dev/null || true)";
        setup.within = Some((flags.to_owned(), shell.to_owned()));
        setup.state = "disk/state".to_owned();
    });
    world.play("pod; pod; write * 100; start; drain; pace 900");
    for _ in 0..4 {
        world.play("write * 50; rotate *; drain; pace 400");
    }
    wait_for("a word about it", SOON, || {
        world
            .agent()
            .log()
            .contains("positions not saved")
            .then_some(())
    });
    // There is room again.
    let inside = format!(
        "/proc/{}/root{}/disk",
        world.agent().pid(),
        world.dir().display()
    );
    std::fs::remove_file(format!("{inside}/fill")).unwrap();
    world.play("write * 20; drain");
    let saved = || {
        let mut folders = vec![std::path::PathBuf::from(format!("{inside}/state"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map_while(Result::ok) {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if entry.path().to_string_lossy().contains("positions")
                    && metadata.len() > 100
                {
                    return Some(());
                }
            }
        }
        None
    };
    wait_for("positions on the disk", SOON, saved);
    world.finish();
}
