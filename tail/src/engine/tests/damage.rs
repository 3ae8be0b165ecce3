//! A checkpoint that is damaged anywhere: the engine starts, and nothing is lost.

use super::*;

#[test]
fn a_checkpoint_flipped_and_cut_anywhere() {
    let mut world = World::new("*.log");
    world.settings.start_at = StartAt::End;
    world.append("0.log", "");
    world.turns(2);
    world.append("0.log", "1\n2\n");
    world.read();
    world.rename("0.log", "0.log.20260101-000000");
    world.append("0.log", "3\n");
    world.append("1.log", "a\n");
    world.read();
    world.hold(true);
    world.append("0.log", "4\n");
    assert_eq!(world.read(), lines("0.log", &["4"]));
    world.kill();
    world.hold(false);
    world.append("0.log", "5\n");
    world.append("2.log", "b\n");

    let files = ["positions.a", "positions.b"].map(|name| world.state.path().join(name));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    let mut outcomes = BTreeSet::new();
    let mut start = |world: &mut World, contents: [&[u8]; 2]| {
        for (file, bytes) in files.iter().zip(contents) {
            fs::write(file, bytes).unwrap();
        }
        world.kill();
        for _ in 0..3 {
            world.turn();
        }
        let mut got = std::mem::take(&mut world.got.lock().lines);
        got.sort();
        for expected in ["0.log: 4", "0.log: 5", "2.log: b"] {
            let count = got.iter().filter(|line| *line == expected).count();
            assert_eq!(count, 1, "{expected} in {got:?}");
        }
        // Either what was committed is known, or all of it comes again.
        outcomes.insert(got);
    };
    let [a, b] = &before;
    start(&mut world, [a, b]);
    for at in 0..a.len().max(b.len()) {
        let flipped = [a, b].map(|bytes| {
            let mut bytes = bytes.clone();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            bytes
        });
        let cut = [a, b].map(|bytes| &bytes[..at.min(bytes.len())]);
        let [flipped_a, flipped_b] = &flipped;
        let [cut_a, cut_b] = cut;
        for contents in [[flipped_a, b], [a, flipped_b], [flipped_a, flipped_b]] {
            start(&mut world, contents.map(Vec::as_slice));
        }
        for contents in [[cut_a, b], [a, cut_b], [cut_a, cut_b]] {
            start(&mut world, contents);
        }
    }
    let all = [
        "0.log: 1", "0.log: 2", "0.log: 3", "0.log: 4", "0.log: 5", "1.log: a", "2.log: b",
    ];
    assert!(
        outcomes.contains(all.map(str::to_owned).as_slice()),
        "{outcomes:?}"
    );
}
