//! What stands in the files: encodings, records of several lines, holes, lines without end.

use super::*;
use crate::{Encoding, Multiline};

impl World {
    fn extend(&self, name: &str, len: u64) {
        let file = fs::OpenOptions::new()
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.set_len(file.metadata().unwrap().len() + len).unwrap();
    }
}

#[test]
fn holes_are_skipped() {
    for len in [200, 3_000_000, 1 << 36] {
        let mut world = World::new("*.log");
        world.append("a.log", "one\n");
        world.extend("a.log", len);
        world.append("a.log", "two\n");
        assert_eq!(world.read(), lines("a.log", &["one", "two"]), "{len}");
        assert_eq!(world.stat(|stats| &stats.zeros), len);
        world.append("a.log", "three\n");
        world.kill();
        assert_eq!(world.read(), lines("a.log", &["three"]), "{len}");
    }
}

#[test]
fn a_hole_at_the_end_is_room_for_what_comes() {
    for len in [200, 3_000_000, 1 << 36] {
        let mut world = World::new("*.log");
        world.settings.force_flush_period = Some(Duration::from_secs(1));
        world.append("a.log", "one\n");
        world.extend("a.log", len);
        assert_eq!(world.read(), lines("a.log", &["one"]), "{len}");
        if len == 200 {
            // A writer that has reserved it writes there.
            let file = fs::OpenOptions::new()
                .write(true)
                .open(world.path("a.log"))
                .unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"two\n", 4).unwrap();
            assert_eq!(world.read(), lines("a.log", &["two"]));
        }
        world.rename("a.log", "a.log.1");
        world.append("a.log", "three\n");
        assert_eq!(world.read(), lines("a.log", &["three"]), "{len}");
        fs::remove_file(world.path("a.log.1")).unwrap();
        world.turns(70);
        assert_eq!(world.stat(|stats| &stats.open_files), 1, "{len}");
    }
}

#[test]
fn a_line_of_64_mebibytes() {
    for over_limit in [OverLimit::Split, OverLimit::Truncate] {
        let mut world = World::new("*.log");
        world.settings.over_limit = over_limit;
        world.append("a.log", &format!("{}\nnext\n", "x".repeat(64 << 20)));
        let got = world.read();
        let long = "a.log: ".len() + (1 << 20) + 1;
        let count = match over_limit {
            // The last piece is as long as the limit and the line's end with it.
            OverLimit::Split => 64,
            OverLimit::Truncate => 1,
        };
        assert_eq!(got.len(), count + 1);
        assert!(got.iter().take(count - 1).all(|line| line.len() == long));
        assert_eq!(got.last().unwrap(), "a.log: next");
        assert!(world.engine().buffer.capacity() < 1 << 20);
    }
}

#[test]
fn records_of_several_lines() {
    let mut world = World::new("*.log");
    world.settings.multiline = Multiline::line_start(r"^\d+ ", false).ok();
    world.settings.read_size = 16;
    world.append("a.log", "1 one\n  more\n2 two\n  mo");
    assert_eq!(world.read(), lines("a.log", &["1 one\n  more"]));
    // The unfinished one is not committed, not even in part.
    world.kill();
    world.append("a.log", "re\n  and more\n3 three\n");
    assert_eq!(world.read(), lines("a.log", &["2 two\n  more\n  and more"]));
    // A rotation ends a record.
    world.rename("a.log", "a.log.1");
    world.append("a.log", "4 four\n");
    assert_eq!(world.read(), lines("a.log", &["3 three"]));
    world.settings.force_flush_period = Some(Duration::from_secs(2));
    world.kill();
    assert_eq!(world.read(), lines("a.log", &["4 four"]));
    world.turns(1);
    world.kill();
    assert_eq!(world.read(), Vec::<String>::new());
}

#[test]
fn records_that_end_with_a_pattern() {
    let mut world = World::new("*.log");
    world.settings.multiline = Multiline::line_end("END", true).ok();
    world.settings.max_log_size = 10;
    world.append("a.log", "a\nb END\nc END\nlonger than the limit END\nd");
    let expected = ["a\nb ", "c ", "\nlonger th+", "an the lim+", "it ", ""];
    let mut got = world.read();
    got.push("a.log: ".into());
    assert_eq!(got, lines("a.log", &expected));
}

#[test]
fn other_encodings() {
    let mut world = World::new("*.log");
    world.settings.encoding = Encoding::named("utf-16le").unwrap();
    world.settings.read_size = 8;
    let text: Vec<u8> = "\u{FEFF}\u{E9}t\u{E9}\r\n\u{1F600}\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let (first, second) = text.split_at(9);
    let mut file = File::create(world.path("a.log")).unwrap();
    file.write_all(first).unwrap();
    assert!(world.read().is_empty());
    file.write_all(second).unwrap();
    assert_eq!(
        world.read(),
        lines("a.log", &["\u{E9}t\u{E9}", "\u{1F600}"])
    );
    world.kill();
    assert!(world.read().is_empty());

    let mut world = World::new("*.log");
    world.settings.encoding = Encoding::named("latin1").unwrap();
    fs::write(world.path("a.log"), b"caf\xE9\n").unwrap();
    assert_eq!(world.read(), lines("a.log", &["caf\u{E9}"]));
}
