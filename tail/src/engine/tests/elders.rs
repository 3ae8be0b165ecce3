//! The logs of a container that is restarted, and what is there when nothing was read before.

use super::*;

fn write(world: &World, restart: u32, numbers: std::ops::Range<u32>) {
    for n in numbers {
        world.append(
            &format!("{restart}.log"),
            &cri("stdout", "F", &n.to_string()),
        );
    }
}

fn expected(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("stdout: {n}")).collect()
}

fn written_hours_ago(world: &World, hours: u64) {
    let log = File::options().append(true).open(world.path("0.log"));
    let then = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
    log.unwrap().set_modified(then).unwrap();
}

#[test]
fn logs_of_one_container_are_read_oldest_first() {
    let mut world = World::containers();
    world.settings.read_size = 256;
    // Ten comes after nine.
    for (restart, from) in [(10, 200), (9, 100), (2, 0)] {
        write(&world, restart, from..from + 100);
    }
    assert_eq!(world.read(), expected(0..300));
    write(&world, 10, 300..310);
    write(&world, 11, 310..320);
    assert_eq!(world.read(), expected(300..320));
}

#[test]
fn an_older_log_is_read_to_its_end_over_a_restart_of_the_agent() {
    let mut world = World::containers();
    world.settings.read_size = 256;
    world.settings.max_in_flight_bytes = 1;
    write(&world, 0, 0..50);
    world.hold(true);
    let first = world.read();
    assert!(first.len() < 50, "{}", first.len());
    write(&world, 1, 50..100);
    world.kill();
    world.hold(false);
    world.settings.max_in_flight_bytes = u64::MAX;
    assert_eq!(world.read(), expected(0..100));
}

#[test]
fn an_older_log_that_cannot_be_read_holds_up_nothing_for_long() {
    let mut world = World::containers();
    write(&world, 0, 0..1);
    // Its file is another one when it is opened: unreadable, as far as anybody can see.
    assert_eq!(world.read(), expected(0..1));
    write(&world, 0, 1..2);
    let path = world.path("0.log");
    world.engine().streams.values_mut().for_each(|stream| {
        for generation in &mut stream.generations {
            generation.file = None;
            generation.retry_at = Some(generation.grown_at + Duration::from_secs(3600));
        }
    });
    assert!(path.exists());
    write(&world, 1, 2..3);
    world.step = Duration::from_millis(250);
    world.turns(8);
    assert!(world.got.lock().lines.is_empty(), "it waits");
    world.turns(20);
    assert_eq!(std::mem::take(&mut world.got.lock().lines), expected(2..3));
}

#[test]
fn logs_that_only_look_like_a_containers_wait_for_nobody() {
    let mut world = World::new("*.log");
    world.settings.read_size = 64;
    let line = "x".repeat(30);
    for name in ["0.log", "1.log"] {
        for _ in 0..10 {
            world.append(name, &format!("{line}\n"));
        }
    }
    let read = world.read();
    assert_eq!(read.len(), 20);
    assert!(
        !read.is_sorted(),
        "plain files are read side by side: {read:?}"
    );
}

#[test]
fn zeros_of_any_length_before_a_containers_line_are_no_part_of_it() {
    let mut world = World::containers();
    for zeros in [1, 2, 63, 64, 5000] {
        world.append("0.log", &"\0".repeat(zeros));
        write(&world, 0, 1..2);
        assert_eq!(world.read(), expected(1..2), "{zeros} zeros");
    }
    assert_eq!(world.stat(|stats| &stats.zeros), 5130);
    assert_eq!(world.stat(|stats| &stats.unparsed), 0);
}

#[test]
fn a_containers_first_generations_are_read_when_it_begins_at_the_beginning() {
    for (start_at, numbers) in [(StartAt::Beginning, 0..6), (StartAt::End, 6..6)] {
        let mut world = World::containers();
        world.settings.start_at = start_at;
        write(&world, 0, 0..2);
        world.rename("0.log", "0.log.20260101-000001");
        write(&world, 0, 2..4);
        world.rename("0.log", "0.log.20260101-000002");
        write(&world, 0, 4..6);
        assert_eq!(world.read(), expected(numbers), "{start_at:?}");
        write(&world, 0, 6..7);
        assert_eq!(world.read(), expected(6..7));
    }
}

#[test]
fn what_plain_logs_were_rotated_to_before_the_first_start_is_history() {
    let mut world = World::new("*.log");
    world.append("app.log", "old\n");
    world.rename("app.log", "app.log.1");
    world.append("app.log", "first\n");
    assert_eq!(world.read(), ["app.log: first"]);
    world.append("app.log", "second\n");
    world.rename("app.log.1", "app.log.2");
    world.rename("app.log", "app.log.1");
    world.append("app.log", "third\n");
    assert_eq!(world.read(), ["app.log: second", "app.log: third"]);
}

#[test]
fn first_generations_are_read_where_the_folder_appears_late() {
    let mut world = World::containers();
    world.turns(1);
    write(&world, 0, 0..2);
    written_hours_ago(&world, 2);
    world.rename("0.log", "0.log.20260101-000001");
    write(&world, 0, 2..4);
    assert_eq!(world.read(), expected(0..4));
}

#[test]
fn first_generations_that_are_too_old_are_left_alone() {
    let mut world = World::containers();
    world.settings.exclude_older_than = Some(Duration::from_secs(3600));
    write(&world, 0, 0..2);
    written_hours_ago(&world, 2);
    world.rename("0.log", "0.log.20260101-000001");
    write(&world, 0, 2..4);
    assert_eq!(world.read(), expected(2..4));
}

#[test]
fn an_inode_that_another_generation_has_now_does_not_change_the_order() {
    let mut world = World::containers();
    world.hold(true);
    // All that is known of it, its first byte, holds of any other log too.
    world.append("0.log", "2");
    world.turns(1);
    world.rename("0.log", "0.log.20260101-000001");
    write(&world, 0, 1..2);
    world.turns(1);
    world.kill();
    world.rename("0.log", "0.log.20260101-000002");
    world.rename("0.log.20260101-000001", "0.log.20260101-000003");
    fs::write(world.path("0.log.20260101-000003"), "").unwrap();
    let line = cri("stdout", "F", "2");
    world.append("0.log.20260101-000003", &line);
    write(&world, 0, 3..4);
    world.hold(false);
    assert_eq!(world.read(), expected(1..4));
}
