//! Generations that are compressed, and files that are.

use flate2::write::GzEncoder;

use super::*;
use crate::Compression;

pub(super) fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

impl World {
    /// What kubelet does with an old generation.
    pub(super) fn compress(&self, name: &str) {
        let text = fs::read(self.path(name)).unwrap();
        let temporary = format!("{name}.tmp");
        fs::write(self.path(&temporary), packed(&text)).unwrap();
        self.rename(&temporary, &format!("{name}.gz"));
        fs::remove_file(self.path(name)).unwrap();
    }
}

#[test]
fn compressed_while_it_is_read() {
    let mut world = World::new("*.log");
    world.append("0.log", "1\n");
    assert_eq!(world.read(), lines("0.log", &["1"]));
    world.append("0.log", "2\n");
    // All of it between two looks.
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "3\n");
    world.compress("0.log.20260101-000000");
    assert_eq!(world.read(), lines("0.log", &["2", "3"]));
    // Long after it was forgotten the compressed one still is known.
    world.turns(70);
    world.append("0.log", "4\n");
    assert_eq!(world.read(), lines("0.log", &["4"]));
    world.kill();
    assert!(world.read().is_empty());
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
}

#[test]
fn compressed_before_anything_of_it_was_read() {
    let mut world = World::new("*.log");
    world.append("0.log", "");
    world.turns(2);
    world.append("0.log", "1\n2\n");
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "3\n");
    world.compress("0.log.20260101-000000");
    assert_eq!(world.read(), lines("0.log", &["1", "2", "3"]));
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn in_the_middle_of_being_compressed() {
    for kill in [false, true] {
        let mut world = World::new("*.log");
        world.append("0.log", "1\n");
        assert_eq!(world.read(), lines("0.log", &["1"]));
        let name = "0.log.20260101-000000";
        world.rename("0.log", name);
        world.append("0.log", "2\n");
        let bytes = packed(b"1\n");
        fs::write(world.path(&format!("{name}.tmp")), &bytes[..10]).unwrap();
        assert_eq!(world.read(), lines("0.log", &["2"]));
        fs::write(world.path(&format!("{name}.tmp")), &bytes).unwrap();
        if kill {
            world.kill();
        }
        assert!(world.read().is_empty());
        world.rename(&format!("{name}.tmp"), &format!("{name}.gz"));
        if kill {
            world.kill();
        }
        assert!(world.read().is_empty(), "both are there");
        fs::remove_file(world.path(name)).unwrap();
        if kill {
            world.kill();
        }
        assert!(world.read().is_empty());
        assert_eq!(world.stat(|stats| &stats.gaps), 0);
    }
}

#[test]
fn found_while_it_is_compressed() {
    let mut world = World::new("*.log");
    world.turns(2);
    world.append("0.log.20260101-000000", "1\n");
    world.append("0.log", "2\n");
    fs::write(world.path("0.log.20260101-000000.gz"), packed(b"1\n")).unwrap();
    assert_eq!(world.read(), lines("0.log", &["1", "2"]));
    fs::remove_file(world.path("0.log.20260101-000000")).unwrap();
    assert!(world.read().is_empty());
    world.kill();
    assert!(world.read().is_empty());
}

#[test]
fn compressed_while_down() {
    let mut world = World::containers();
    world.append("0.log", &cri("stdout", "F", "0"));
    world.append("0.log", &cri("stdout", "P", "1,"));
    assert_eq!(world.read(), ["stdout: 0"]);
    world.kill();
    world.append("0.log", &cri("stdout", "F", "1"));
    for generation in 2..6 {
        world.append("0.log", &cri("stdout", "P", "half "));
        let name = format!("0.log.20260101-00000{generation}");
        world.rename("0.log", &name);
        world.append("0.log", &cri("stdout", "F", &generation.to_string()));
        if generation < 5 {
            world.compress(&name);
        }
    }
    let expected = ["1,1", "half 2", "half 3", "half 4", "half 5"];
    assert_eq!(world.read(), lines("stdout", &expected));
    world.kill();
    assert!(world.read().is_empty());
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
}

#[test]
fn a_kill_within_a_compressed_generation() {
    let mut world = World::new("*.log");
    world.append("0.log", "begin\n");
    world.turns(2);
    world.kill();
    let text: String = (0..2000).map(|line| format!("{line}\n")).collect();
    world.append("0.log", &text);
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "end\n");
    world.compress("0.log.20260101-000000");
    world.settings.read_size = 1000;
    world.settings.max_in_flight_bytes = 3000;
    world.hold(true);
    let mut got = Vec::new();
    for _ in 0..20 {
        world.turns(1);
        world.deliver(None);
        world.turns(1);
        got.append(&mut world.got.lock().lines);
        world.kill();
    }
    let mut expected = vec!["0.log: begin".to_owned()];
    expected.extend((0..2000).map(|line| format!("0.log: {line}")));
    expected.push("0.log: end".to_owned());
    let mut seen = BTreeSet::new();
    got.retain(|line| seen.insert(line.clone()));
    assert_eq!(got, expected);
}

#[test]
fn compressed_while_its_descriptor_was_given_up() {
    let mut world = World::new("*.log");
    world.settings.max_open_files = 1;
    let both = |world: &World, text: &str| {
        world.append("a.log", text);
        world.append("b.log", text);
    };
    both(&world, "1\n");
    assert_eq!(world.read().len(), 2);
    world.hold(true);
    world.settings.max_in_flight_bytes = 1;
    world.kill();
    world.turns(2);
    both(&world, "2\n");
    for name in ["a.log", "b.log"] {
        world.rename(name, &format!("{name}.20260101-000000"));
    }
    both(&world, "3\n");
    world.turns(2);
    for name in ["a.log", "b.log"] {
        world.compress(&format!("{name}.20260101-000000"));
    }
    world.hold(false);
    world.deliver(None);
    let mut got = world.read();
    for _ in 0..5 {
        world.deliver(None);
        got.extend(world.read());
    }
    got.sort();
    assert_eq!(got, ["a.log: 2", "a.log: 3", "b.log: 2", "b.log: 3"]);
    assert_eq!(world.stat(|stats| &stats.gaps), 0);
}

#[test]
fn copied_truncated_and_compressed() {
    for down in [false, true] {
        let mut world = World::new("*.log");
        world.append("a.log", "one\n");
        assert_eq!(world.read(), lines("a.log", &["one"]));
        if down {
            world.kill();
        }
        world.append("a.log", "two\n");
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        fs::write(world.path("a.log"), "").unwrap();
        world.compress("a.log.1");
        world.append("a.log", "three\n");
        assert_eq!(world.read(), lines("a.log", &["two", "three"]), "{down}");
        world.rename("a.log.1.gz", "a.log.2.gz");
        assert!(world.read().is_empty());
        world.kill();
        assert!(world.read().is_empty());
    }
}

#[test]
fn damaged_ones_are_read_as_far_as_they_are_good() {
    let text: String = (0..20_000)
        .map(|line| format!("{line} {}\n", line * line))
        .collect();
    let whole = packed(text.as_bytes());
    for damage in ["cut", "flipped", "empty"] {
        let mut world = World::new("*.log");
        world.append("0.log", "begin\n");
        world.turns(2);
        world.kill();
        let mut bytes = whole.clone();
        match damage {
            "cut" => bytes.truncate(whole.len() / 2),
            "flipped" => bytes[whole.len() / 2] ^= 0xFF,
            _ => bytes.clear(),
        }
        world.rename("0.log", "0.log.20260101-000000");
        fs::write(world.path("0.log.20260101-000001.gz"), &bytes).unwrap();
        world.append("0.log", "end\n");
        let mut got = world.read();
        for _ in 0..4 {
            got.extend(world.read());
        }
        assert_eq!(got.remove(0), "0.log: begin");
        assert_eq!(got.pop().unwrap(), "0.log: end", "{damage}");
        if damage == "empty" {
            assert!(got.is_empty());
        } else {
            assert!(got.len() > 1000, "{damage}: {}", got.len());
            // What decodes to something else before the damage shows can't be told.
            let good = got.len() / 3;
            let numbers: Vec<_> = (0..good)
                .map(|line| format!("0.log: {line} {}", line * line))
                .collect();
            assert!(got[..good] == numbers, "{damage}");
        }
        assert_eq!(world.stat(|stats| &stats.gzip_errors), 1, "{damage}");
        world.turns(20);
        assert_eq!(world.stat(|stats| &stats.gzip_errors), 1, "{damage}");
        world.kill();
        assert!(world.read().is_empty());
        assert_eq!(world.stat(|stats| &stats.gzip_errors), 0, "{damage}");
    }
}

#[test]
fn files_that_are_compressed_themselves() {
    let mut world = World::new("*");
    world.settings.compression = Compression::Auto;
    fs::write(world.path("a.gz"), packed(b"1\n2\n")).unwrap();
    world.append("b.log", "3\n");
    let mut got = world.read();
    got.sort();
    assert_eq!(got, ["a.gz: 1", "a.gz: 2", "b.log: 3"]);
    // Another member is added.
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(world.path("a.gz"))
        .unwrap();
    file.write_all(&packed(b"4\n")).unwrap();
    assert_eq!(world.read(), lines("a.gz", &["4"]));
    world.kill();
    assert!(world.read().is_empty());
    file.write_all(&packed(b"5\n")).unwrap();
    assert_eq!(world.read(), lines("a.gz", &["5"]));
    // Shifted by a rotation, and a new one in its place.
    world.rename("a.gz", "a.2.gz");
    fs::write(world.path("a.gz"), packed(b"6\n")).unwrap();
    assert_eq!(world.read(), lines("a.gz", &["6"]));
}

#[test]
fn a_pattern_that_matches_the_compressed_ones_too() {
    let mut world = World::new("*");
    world.append("0.log", "1\n");
    assert_eq!(world.read(), lines("0.log", &["1"]));
    world.append("0.log", "2\n");
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "3\n");
    world.compress("0.log.20260101-000000");
    assert_eq!(world.read(), lines("0.log", &["2", "3"]));
}
