//! Scenarios with real files, turn by turn: no threads, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use corten_storage::{Checkpoint, Directory};

mod damage;
mod elders;
mod files;
mod gzip;
mod interpreter;
mod text;

use super::*;
use crate::settings::StartAt;
use crate::sink::{Completeness, Record, Source, Ticket};
use crate::{Framing, OverLimit};

/// What a sink got, as `stream-name: text`; `+` marks a piece, `~` a truncated line.
#[derive(Default)]
struct Got {
    lines: Vec<String>,
    tickets: VecDeque<Ticket>,
    hold: bool,
}

struct Sent(Arc<parking_lot::Mutex<Got>>);

impl Sink for Sent {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        let mark = match record.completeness {
            Completeness::Whole => "",
            Completeness::Piece => "+",
            Completeness::Truncated => "~",
        };
        let from = record
            .stream
            .map_or(source.name.as_str(), |stream| stream.as_str());
        let text = String::from_utf8_lossy(record.body);
        self.0.lock().lines.push(format!("{from}: {text}{mark}"));
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        let mut got = self.0.lock();
        if got.hold {
            got.tickets.push_back(ticket);
        } else {
            drop(got);
            ticket.delivered();
        }
    }

    fn flush(&mut self) {}
}

/// A log directory, and an engine that follows it, over restarts.
struct World {
    root: tempfile::TempDir,
    state: tempfile::TempDir,
    settings: Settings,
    got: Arc<parking_lot::Mutex<Got>>,
    engine: Option<Engine<Sent>>,
    checkpoint: Option<Checkpoint>,
    now: Instant,
    /// Between two turns.
    step: Duration,
}

impl World {
    fn new(include: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings = Settings {
            include: vec![format!("{}/{include}", root.path().display())],
            start_at: StartAt::Beginning,
            force_flush_period: None,
            ..Settings::default()
        };
        Self {
            root,
            state: tempfile::tempdir().unwrap(),
            settings,
            got: Arc::default(),
            engine: None,
            checkpoint: None,
            now: Instant::now(),
            step: Duration::from_secs(1),
        }
    }

    fn containers() -> Self {
        let mut world = Self::new("*.log");
        world.settings.framing = Framing::Container {
            format: crate::container::Format::Auto,
            join_docker: true,
        };
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn engine(&mut self) -> &mut Engine<Sent> {
        if self.engine.is_none() {
            let directory = Directory::open(self.state.path(), "test").unwrap();
            let (checkpoint, loaded) = Checkpoint::open(directory, "positions");
            let memory = match loaded.outcome {
                corten_storage::Outcome::Fresh => Memory::Fresh,
                corten_storage::Outcome::Lost { .. } => Memory::Lost,
                _ => Memory::Kept,
            };
            let saved = positions::read(&loaded.bytes).unwrap();
            let sink = Sent(Arc::clone(&self.got));
            let engine = Engine::new(self.settings.clone(), sink, saved, memory, self.now).unwrap();
            self.engine = Some(engine);
            self.checkpoint = Some(checkpoint);
        }
        self.engine.as_mut().unwrap()
    }

    fn turn(&mut self) {
        self.now += self.step;
        let now = self.now;
        self.engine().turn(now);
    }

    /// A few turns, a second apart, each with its save.
    fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.turn();
            let now = self.now;
            if let Some(bytes) = self.engine().positions(now, true) {
                self.checkpoint.as_mut().unwrap().save(&bytes).unwrap();
            }
        }
    }

    /// What came since the last call.
    fn read(&mut self) -> Vec<String> {
        self.turns(3);
        std::mem::take(&mut self.got.lock().lines)
    }

    /// SIGKILL: what wasn't saved and what is in flight is gone.
    fn kill(&mut self) {
        self.engine = None;
        self.checkpoint = None;
        let tickets = std::mem::take(&mut self.got.lock().tickets);
        drop(tickets);
    }

    fn hold(&self, hold: bool) {
        self.got.lock().hold = hold;
    }

    /// Acknowledges the oldest held chunks, all of them without a count.
    fn deliver(&self, count: Option<usize>) {
        let mut got = self.got.lock();
        let count = count.unwrap_or(got.tickets.len());
        let tickets: Vec<_> = got.tickets.drain(..count).collect();
        drop(got);
        tickets.into_iter().for_each(Ticket::delivered);
    }

    fn stat(&mut self, counter: impl Fn(&Stats) -> &AtomicU64) -> u64 {
        let stats = self.engine().stats();
        counter(&stats).load(Ordering::Relaxed)
    }
}

fn lines(name: &str, texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{name}: {text}")).collect()
}

fn cri(stream: &str, tag: &str, text: &str) -> String {
    format!("2026-01-01T00:00:00.000000000Z {stream} {tag} {text}\n")
}

#[test]
fn lines_as_they_come() {
    let mut world = World::new("*.log");
    assert!(world.read().is_empty());
    world.append("a.log", "one\ntwo\nthr");
    assert_eq!(world.read(), lines("a.log", &["one", "two"]));
    world.append("a.log", "ee\r\n\nfour\n");
    assert_eq!(world.read(), lines("a.log", &["three", "", "four"]));
    world.append("b.txt", "no\n");
    assert!(world.read().is_empty());
}

#[test]
fn a_last_line_waits_for_its_end_or_the_flush_period() {
    let mut world = World::new("*.log");
    world.append("a.log", "half");
    assert!(world.read().is_empty());
    world.settings.force_flush_period = Some(Duration::from_secs(2));
    world.kill();
    assert_eq!(world.read(), lines("a.log", &["half"]));
    world.append("a.log", " and more\n");
    assert_eq!(world.read(), lines("a.log", &[" and more"]));
}

#[test]
fn the_beginning_or_the_end() {
    let mut world = World::new("*.log");
    world.settings.start_at = StartAt::End;
    world.append("old.log", "old\n");
    assert!(world.read().is_empty());
    world.append("old.log", "new\n");
    world.append("later.log", "whole\n");
    let mut got = world.read();
    got.sort();
    assert_eq!(got, ["later.log: whole", "old.log: new"]);
    // With a checkpoint what is unknown is new, whether the engine ran or not.
    world.kill();
    world.append("down.log", "while down\n");
    world.append("old.log", "more\n");
    let mut got = world.read();
    got.sort();
    assert_eq!(got, ["down.log: while down", "old.log: more"]);
}

#[test]
fn old_files_are_begun_at_their_end() {
    let mut world = World::new("*.log");
    world.settings.exclude_older_than = Some(Duration::from_secs(3600));
    world.append("old.log", "old\n");
    let past = std::time::SystemTime::now() - Duration::from_secs(7200);
    File::open(world.path("old.log"))
        .unwrap()
        .set_modified(past)
        .unwrap();
    world.append("young.log", "young\n");
    assert_eq!(world.read(), lines("young.log", &["young"]));
    world.append("old.log", "awake\n");
    assert_eq!(world.read(), lines("old.log", &["awake"]));
}

#[test]
fn rotation_by_rename_under_writing() {
    let mut world = World::new("*.log");
    let mut expected = Vec::new();
    let mut got = Vec::new();
    for generation in 0..12 {
        // The writer goes on in the renamed file for a moment.
        let old = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(world.path("0.log"))
            .unwrap();
        for line in 0..3 {
            let text = format!("{generation}.{line}");
            world.append("0.log", &format!("{text}\n"));
            expected.push(format!("0.log: {text}"));
        }
        if generation % 3 == 0 {
            got.extend(world.read());
        }
        world.rename("0.log", &format!("0.log.20260101-0000{generation:02}"));
        if generation % 4 == 0 {
            got.extend(world.read());
        }
        (&old)
            .write_all(format!("{generation}.late\n").as_bytes())
            .unwrap();
        expected.push(format!("0.log: {generation}.late"));
    }
    world.append("0.log", "last\n");
    expected.push("0.log: last".to_owned());
    got.extend(world.read());
    assert_eq!(got, expected);
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
}

#[test]
fn rotation_while_down() {
    let mut world = World::new("*.log");
    world.append("0.log.20250101-000000", "before anybody read\n");
    world.append("0.log", "a1\na2\n");
    assert_eq!(world.read(), lines("0.log", &["a1", "a2"]));
    world.kill();
    world.append("0.log", "a3\n");
    for generation in ["b", "c", "d"] {
        world.rename(
            "0.log",
            &format!("0.log.20260101-00000{generation}")
                .replace('b', "1")
                .replace('c', "2")
                .replace('d', "3"),
        );
        world.append("0.log", &format!("{generation}1\n{generation}2\n"));
    }
    let expected = ["a3", "b1", "b2", "c1", "c2", "d1", "d2"];
    assert_eq!(world.read(), lines("0.log", &expected));
    // And nothing of it once more.
    world.kill();
    assert!(world.read().is_empty());
    world.append("0.log", "d3\n");
    assert_eq!(world.read(), lines("0.log", &["d3"]));
}

#[test]
fn what_came_and_went_between_two_looks() {
    let mut world = World::new("*/*.log");
    world.turns(2);
    fs::create_dir(world.path("pod")).unwrap();
    for generation in 1..4 {
        world.append("pod/0.log", &format!("{generation}\n"));
        world.rename("pod/0.log", &format!("pod/0.log.20260101-{generation:06}"));
    }
    assert_eq!(world.read(), lines("0.log", &["1", "2", "3"]));
    world.append("pod/0.log", "4\n");
    assert_eq!(world.read(), lines("0.log", &["4"]));
}

#[test]
fn counted_names_are_read_oldest_first() {
    let mut world = World::new("app.log");
    world.append("app.log", "1\n");
    assert_eq!(world.read(), lines("app.log", &["1"]));
    world.kill();
    for text in ["2", "3", "4"] {
        for (from, to) in [
            ("app.log.2", "app.log.3"),
            ("app.log.1", "app.log.2"),
            ("app.log", "app.log.1"),
        ] {
            if world.path(from).exists() {
                world.rename(from, to);
            }
        }
        world.append("app.log", &format!("{text}\n"));
    }
    assert_eq!(world.read(), lines("app.log", &["2", "3", "4"]));
}

#[test]
fn a_rotated_name_that_matches_too_is_not_read_twice() {
    let mut world = World::new("app.log*");
    world.append("app.log", "1\n");
    assert_eq!(world.read(), lines("app.log", &["1"]));
    world.append("app.log", "2\n");
    world.rename("app.log", "app.log.1");
    world.append("app.log", "3\n");
    assert_eq!(world.read(), lines("app.log", &["2", "3"]));
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn deleted_while_unread() {
    let mut world = World::new("*/*.log");
    world.settings.max_in_flight_bytes = 1;
    fs::create_dir(world.path("pod")).unwrap();
    world.append("pod/0.log", "1\n");
    world.hold(true);
    assert_eq!(world.read(), lines("0.log", &["1"]));
    world.append("pod/0.log", "2\n3\n");
    assert!(world.read().is_empty(), "too much is in flight");
    fs::remove_dir_all(world.path("pod")).unwrap();
    assert!(world.read().is_empty());
    world.hold(false);
    world.deliver(None);
    assert_eq!(world.read(), lines("0.log", &["2", "3"]));
    assert_eq!(world.stat(|stats| &stats.open_files), 1);
    world.turns(70);
    assert_eq!(world.stat(|stats| &stats.open_files), 0);
    assert_eq!(world.stat(|stats| &stats.streams), 0);
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
    assert_eq!(world.engine().inodes.len(), 0);
    assert_eq!(world.engine().by_directory.len(), 0);
}

#[test]
fn a_deleted_files_last_line_is_taken() {
    let mut world = World::new("*.log");
    world.append("a.log", "whole\nhalf");
    assert_eq!(world.read(), lines("a.log", &["whole"]));
    fs::remove_file(world.path("a.log")).unwrap();
    assert_eq!(world.read(), lines("a.log", &["half"]));
}

#[test]
fn truncated_and_written_anew() {
    let mut world = World::new("*.log");
    world.append("a.log", "one\ntwo\n");
    assert_eq!(world.read(), lines("a.log", &["one", "two"]));
    // Shorter.
    fs::write(world.path("a.log"), "x\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["x"]));
    // Longer than before, between two looks.
    fs::write(world.path("a.log"), "yy\nand then some\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["yy", "and then some"]));
    // Exactly as long.
    fs::write(world.path("a.log"), "zz\nAND THEN SOME\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["zz", "AND THEN SOME"]));
    assert_eq!(world.stat(|stats| &stats.truncated), 3);
    // While down.
    world.kill();
    fs::write(world.path("a.log"), "new\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["new"]));
    world.kill();
    fs::write(world.path("a.log"), "newer and longer\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["newer and longer"]));
}

#[test]
fn copytruncate_reads_on_in_the_copy() {
    for down in [false, true] {
        let mut world = World::new("*.log");
        world.append("a.log", "one\ntwo\n");
        assert_eq!(world.read(), lines("a.log", &["one", "two"]));
        if down {
            world.kill();
        }
        world.append("a.log", "three\n");
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        fs::write(world.path("a.log"), "").unwrap();
        world.append("a.log", "four\n");
        assert_eq!(
            world.read(),
            lines("a.log", &["three", "four"]),
            "down: {down}"
        );
        // The copy is no news, then or later.
        fs::copy(world.path("a.log"), world.path("a.log.2")).unwrap();
        assert!(world.read().is_empty());
        world.kill();
        assert!(world.read().is_empty());
    }
}

#[test]
fn equal_beginnings_are_two_files() {
    let mut world = World::new("*.log");
    let same = "the very same line\n".repeat(100);
    world.append("a.log", &same);
    world.append("b.log", &same);
    assert_eq!(world.read().len(), 200);
    world.append("b.log", "b\n");
    assert_eq!(world.read(), lines("b.log", &["b"]));
    world.kill();
    world.append("a.log", "a\n");
    assert_eq!(world.read(), lines("a.log", &["a"]));
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut world = World::new("*.log");
    world.append("a.log", "one\ntwo\n");
    world.read();
    world.kill();
    let before = fs::metadata(world.path("a.log")).unwrap().ino();
    // The same inode under the same name with other contents, as a file system that reuses numbers gives it.
    fs::write(world.path("a.log"), "ONE\nTWO\nTHREE\n").unwrap();
    assert_eq!(fs::metadata(world.path("a.log")).unwrap().ino(), before);
    assert_eq!(world.read(), lines("a.log", &["ONE", "TWO", "THREE"]));
}

#[test]
fn only_what_is_acknowledged_is_committed() {
    let mut world = World::new("*.log");
    world.hold(true);
    world.append("a.log", "1\n");
    world.turns(2);
    world.append("a.log", "2\n");
    world.turns(2);
    world.append("a.log", "3\n");
    assert_eq!(world.read(), lines("a.log", &["1", "2", "3"]));
    world.deliver(Some(1));
    world.turns(2);
    world.kill();
    assert_eq!(world.read(), lines("a.log", &["2", "3"]));
    world.deliver(None);
    world.turns(1);
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn out_of_order_acknowledgements_wait_for_the_gap() {
    let mut world = World::new("*.log");
    world.hold(true);
    for text in ["1\n", "2\n", "3\n"] {
        world.append("a.log", text);
        world.turns(1);
    }
    let first = world.got.lock().tickets.pop_front().unwrap();
    world.deliver(None);
    world.turns(1);
    world.got.lock().tickets.push_back(first);
    world.kill();
    world.got.lock().lines.clear();
    assert_eq!(world.read(), lines("a.log", &["1", "2", "3"]));
}

#[test]
fn a_dropped_ticket_has_its_lines_read_again() {
    let mut world = World::new("*.log");
    world.hold(true);
    world.append("a.log", "1\n");
    world.turns(1);
    world.append("a.log", "2\n");
    assert_eq!(world.read(), lines("a.log", &["1", "2"]));
    world.hold(false);
    let tickets: Vec<_> = world.got.lock().tickets.drain(..).collect();
    drop(tickets);
    assert_eq!(world.read(), lines("a.log", &["1", "2"]));
    assert_eq!(world.stat(|stats| &stats.rewound), 2);
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn reading_stops_when_too_much_is_in_flight() {
    let mut world = World::new("*.log");
    world.settings.read_size = 1000;
    world.settings.max_in_flight_bytes = 2500;
    world.hold(true);
    world.append("a.log", &"0123456789\n".repeat(1000));
    assert_eq!(world.read().len(), 270, "three chunks of whole lines");
    assert_eq!(world.stat(|stats| &stats.in_flight), 2970);
    world.deliver(Some(1));
    assert_eq!(world.read().len(), 90);
    world.hold(false);
    world.deliver(None);
    assert_eq!(world.read().len(), 1000 - 360);
}

#[test]
fn partial_lines_are_joined_per_stream_and_across_rotation() {
    let mut world = World::containers();
    world.append("0.log", &cri("stdout", "P", "one "));
    world.append("0.log", &cri("stderr", "F", "between"));
    world.append("0.log", &cri("stdout", "P", "two "));
    assert_eq!(world.read(), ["stderr: between"]);
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", &cri("stderr", "P", "err "));
    world.append("0.log", &cri("stdout", "F", "three"));
    world.append("0.log", &cri("stderr", "F", "or"));
    assert_eq!(world.read(), ["stdout: one two three", "stderr: err or"]);
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn a_kill_within_a_partial_line_loses_no_part() {
    for delivered in [false, true] {
        let mut world = World::containers();
        world.append("0.log", &cri("stdout", "F", "zero"));
        world.append("0.log", &cri("stdout", "P", "one "));
        assert_eq!(world.read(), ["stdout: zero"]);
        world.kill();
        world.rename("0.log", "0.log.20260101-000000");
        world.append("0.log", &cri("stdout", "P", "two "));
        assert!(world.read().is_empty());
        world.kill();
        world.hold(!delivered);
        world.append("0.log", &cri("stdout", "F", "three"));
        assert_eq!(world.read(), ["stdout: one two three"]);
        world.kill();
        let again: &[&str] = if delivered {
            &[]
        } else {
            &["stdout: one two three"]
        };
        assert_eq!(world.read(), again);
    }
}

#[test]
fn a_partial_line_without_end_is_given_up_in_time() {
    let mut world = World::containers();
    world.append("0.log", &cri("stdout", "P", "prompt> "));
    assert!(world.read().is_empty());
    world.turns(4);
    assert_eq!(world.read(), ["stdout: prompt> +"]);
    world.append("0.log", &cri("stdout", "F", "answer"));
    assert_eq!(world.read(), ["stdout: answer"]);
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn docker_lines_are_joined_and_others_passed_on() {
    let mut world = World::containers();
    let docker = |log: &str| {
        format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n")
    };
    world.append("0.log", &docker("half "));
    world.append("0.log", &docker("whole\\n"));
    world.append("0.log", "garbage\n");
    assert_eq!(world.read(), ["stdout: half whole", "0.log: garbage"]);
    assert_eq!(world.stat(|stats| &stats.unparsed), 1);
}

#[test]
fn long_lines_are_split_or_truncated() {
    let long = "0123456789".repeat(10);
    for over_limit in [OverLimit::Split, OverLimit::Truncate] {
        let mut world = World::new("*.log");
        world.settings.max_log_size = 40;
        world.settings.read_size = 16;
        world.settings.over_limit = over_limit;
        world.append("a.log", &format!("before\n{long}"));
        let mut got = world.read();
        world.append("a.log", "\nafter\n");
        got.extend(world.read());
        let piece = |range: std::ops::Range<usize>| format!("a.log: {}", long.get(range).unwrap());
        let expected = match over_limit {
            OverLimit::Split => vec![
                "a.log: before".to_owned(),
                piece(0..40) + "+",
                piece(40..80) + "+",
                piece(80..100),
                "a.log: after".to_owned(),
            ],
            OverLimit::Truncate => {
                vec![
                    "a.log: before".to_owned(),
                    piece(0..40) + "~",
                    "a.log: after".to_owned(),
                ]
            }
        };
        assert_eq!(got, expected);
        world.kill();
        assert!(world.read().is_empty());
    }
}

#[test]
fn long_container_messages_are_bounded_however_they_come() {
    let text = "0123456789".repeat(100);
    let whole = cri("stdout", "F", &text);
    let parts: String = (0..10)
        .map(|part| {
            let tag = if part == 9 { "F" } else { "P" };
            cri(
                "stdout",
                tag,
                text.get(part * 100..part * 100 + 100).unwrap(),
            )
        })
        .collect();
    for input in [whole, parts] {
        for over_limit in [OverLimit::Split, OverLimit::Truncate] {
            let mut world = World::containers();
            world.settings.max_log_size = 300;
            world.settings.over_limit = over_limit;
            world.append("0.log", &input);
            world.append("0.log", &cri("stdout", "F", "next"));
            let mut got = world.read();
            assert_eq!(got.pop().unwrap(), "stdout: next");
            let texts: Vec<_> = got
                .iter()
                .map(|line| {
                    line.trim_start_matches("stdout: ")
                        .trim_end_matches(['+', '~'])
                })
                .collect();
            assert!(texts.iter().all(|text| text.len() <= 300), "{got:?}");
            match over_limit {
                OverLimit::Split => assert_eq!(texts.concat(), text),
                OverLimit::Truncate => {
                    assert_eq!(got, [format!("stdout: {}~", text.get(..300).unwrap())])
                }
            }
        }
    }
}

#[test]
fn a_kill_while_a_line_is_truncated_keeps_its_rest_out() {
    let mut world = World::new("*.log");
    world.settings.max_log_size = 10;
    world.settings.over_limit = OverLimit::Truncate;
    world.append("a.log", &"x".repeat(30));
    assert_eq!(world.read(), ["a.log: xxxxxxxxxx~"]);
    world.kill();
    world.append("a.log", "xxxxx\nnext\n");
    assert_eq!(world.read(), ["a.log: xxxxxxxxxx~", "a.log: next"]);
}

#[test]
fn few_descriptors_do_for_many_files() {
    let mut world = World::new("*.log");
    world.settings.max_open_files = 3;
    for round in 0..4 {
        for file in 0..20 {
            world.append(&format!("{file}.log"), &format!("{round}\n"));
        }
        assert_eq!(world.read().len(), 20, "round {round}");
        assert!(world.stat(|stats| &stats.open_files) <= 4);
    }
    // Rotated while closed.
    for file in 0..20 {
        world.append(&format!("{file}.log"), "last\n");
        world.rename(&format!("{file}.log"), &format!("{file}.log.1"));
        world.append(&format!("{file}.log"), "first\n");
    }
    let mut got = world.read();
    got.extend(world.read());
    let mut by_file: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in got {
        let (file, text) = line.split_once(": ").unwrap();
        by_file
            .entry(file.to_owned())
            .or_default()
            .push(text.to_owned());
    }
    assert_eq!(by_file.len(), 20);
    for (file, texts) in by_file {
        assert_eq!(texts, ["last", "first"], "{file}");
    }
}

#[test]
fn a_damaged_checkpoint_means_reading_again() {
    let mut world = World::new("*.log");
    world.settings.start_at = StartAt::End;
    world.append("0.log", "");
    world.read();
    world.append("0.log", "1\n2\n");
    world.read();
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "3\n");
    assert_eq!(world.read(), lines("0.log", &["3"]));
    world.kill();
    for name in ["positions.a", "positions.b"] {
        fs::write(world.state.path().join(name), [0; 100]).unwrap();
    }
    assert_eq!(world.read(), lines("0.log", &["1", "2", "3"]));
}

#[test]
fn a_late_root_is_found_and_keeps_its_positions() {
    let mut world = World::new("late/*.log");
    fs::create_dir(world.path("late")).unwrap();
    world.append("late/a.log", "1\n");
    assert_eq!(world.read(), lines("a.log", &["1"]));
    world.kill();
    world.rename("late", "away");
    assert!(world.read().is_empty());
    world.rename("away", "late");
    world.append("late/a.log", "2\n");
    assert_eq!(world.read(), lines("a.log", &["2"]));
}

#[test]
fn a_generation_that_went_away_unread_is_told() {
    let mut world = World::new("*.log");
    world.hold(true);
    world.append("0.log", "1\n2\n");
    world.read();
    world.kill();
    fs::remove_file(world.path("0.log")).unwrap();
    world.append("0.log", "3\n");
    assert_eq!(world.read(), lines("0.log", &["3"]));
    assert_eq!(world.stat(|stats| &stats.gaps), 1);
}
