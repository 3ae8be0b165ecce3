//! What goes wrong between the agent and Loki, each as its own case: nothing is lost, nothing comes twice but what Loki
//! kept without saying so. The numbers are those of the catalogue in this folder's README.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::{Duration, Instant};

use corten_tests::oracle::{Fault, Verdict, World};
use corten_tests::wait_for;

const SOON: Duration = Duration::from_secs(20);
const HOUR: i128 = 3_600_000_000_000;

fn now() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    i128::try_from(since.unwrap().as_nanos()).unwrap()
}

/// Killed between read and answer: the positions are those of what Loki has acknowledged.
#[test]
fn row_15_no_position_before_delivery() {
    let mut world = World::new("row_15");
    world.play("pod; pod; write * 50; start; drain; pace 700; loki 503; write * 500");
    world.requests(2);
    // Long enough for positions to be saved, were they to move.
    world.play("pace 1200; kill; loki up; start; drain");
    let verdict = world.verdict();
    assert_eq!(verdict.duplicated, 0, "all was saved before: {verdict}");
    // And while Loki hangs with the request in its hands.
    world
        .loki
        .always(Some(Fault::Hang(Duration::from_secs(30))));
    world.play("pace 700; write * 200");
    world.requests(1);
    world.play("pace 1200; kill; rotate *; write * 20; loki up; start; drain");
    let verdict = world.finish();
    assert_eq!(verdict.duplicated, 0, "{verdict}");
}

/// Loki's own limits: the good lines of a request are kept once, the bad ones are counted by reason and never sent again.
#[test]
fn row_22_loki_refuses_some_lines_for_good() {
    let mut world = World::with("row_22", |setup| {
        setup.receiver.push("max_log_size: 1MiB".to_owned());
    });
    world.play("pod; pod; write * 20; start; drain");
    world.writer.parts = 0;
    for round in 0..5 {
        // Too long.
        world.writer.sizes = (300 << 10, 400 << 10);
        world.play("write 0 1");
        world.writer.sizes = (20, 400);
        world.play("write * 10");
        if round == 2 {
            world.play("pace 300");
        }
    }
    world.play("drain");
    assert_eq!(world.loki.refused()["line_too_long"], 5);
    // Too old, too far behind and too new, in streams of their own: their times only grow.
    let limits = [
        ("greater_than_max_sample_age", now() - 200 * HOUR),
        ("too_far_in_future", now() + HOUR),
    ];
    for (log, (reason, time)) in (2..).zip(limits) {
        world.play("pod");
        world.writer.clock = Some((time, 1_000_000));
        world.writer.write(log, 10);
        world.writer.clock = None;
        if reason == "greater_than_max_sample_age" {
            world.writer.write(log, 10);
        }
    }
    world.play("drain");
    wait_for("what is refused", SOON, || {
        (world.loki.refused().values().sum::<usize>() == 25).then_some(())
    });
    let behind = world.writer.pod();
    world.writer.write(behind, 5);
    world.play("drain");
    world.play("stop");
    let verdict = world.verdict();
    assert_eq!(
        (verdict.excused, verdict.excused_came),
        (25, 0),
        "{verdict}"
    );
    assert_eq!(verdict.duplicated, 0, "{verdict}");
    assert_counts_itself(&mut world);
    world.finish();
}

/// The agent's own count of rejected lines is Loki's, reason by reason.
fn assert_counts_itself(world: &mut World) {
    world.play("start; pod");
    let last = world.writer.logs() - 1;
    world.writer.parts = 0;
    let before = world.loki.refused();
    world.writer.clock = Some((now() - 200 * HOUR, 1_000_000));
    world.writer.write(last, 7);
    world.writer.clock = Some((now() + HOUR, 1_000_000));
    world.writer.write(last, 3);
    world.writer.clock = None;
    world.play("drain");
    for (reason, count) in [("greater_than_max_sample_age", 7), ("too_far_in_future", 3)] {
        let labels = [("exporter", "loki"), ("reason", reason)];
        wait_for(reason, SOON, || {
            let counted = world
                .metrics()
                .value("corten_exporter_rejected_items", &labels);
            (counted == Some(f64::from(count))).then_some(())
        });
        let refused = world.loki.refused()[reason] - before.get(reason).copied().unwrap_or(0);
        assert_eq!(refused, usize::try_from(count).unwrap());
        assert!(world.agent().log().contains(reason), "it is told of");
    }
    world.play("stop");
}

/// An unknown refusal of a whole request is no reason to send it for ever, nor to lose what comes after it.
#[test]
fn row_22_an_unknown_refusal_does_not_stop_anything() {
    let mut world = World::new("row_22_unknown");
    world.play("pod; pod; write * 20; start; drain");
    let texts = [
        (422, "empty streams list"),
        (400, "something that Loki never said before"),
        (
            260,
            "ingestion blocked for user fake until '2030-01-01' with status code '260'",
        ),
    ];
    for (status, text) in texts {
        let before = world.loki.requests();
        world
            .loki
            .next([Fault::Says(status, text.to_owned(), None)]);
        world.play("write 1 1");
        let seen = wait_for("the request", SOON, || {
            world.loki.seen().get(before).cloned()
        });
        world.note(&format!("{} bytes were refused", seen.body.len()));
        // That line is refused for good, as Loki said.
        world.excuse_last(1);
        world.play("write * 10; drain");
        let sent_again = world
            .loki
            .seen()
            .iter()
            .skip(before + 1)
            .any(|again| again.body == seen.body);
        assert!(
            !sent_again,
            "{status} was answered with the same bytes again"
        );
    }
    world.finish();
}

/// One of ten streams is over its rate for a while: the nine go on meanwhile. What Loki kept of a refused request may come
/// once more, since with several ingesters the answer is that of the first to refuse; Loki skips lines that it has.
#[test]
fn row_23_one_stream_of_ten_is_limited() {
    let mut world = World::new("row_23");
    for _ in 0..10 {
        world.writer.pod();
    }
    world.play("write * 20; start; drain");
    world
        .loki
        .always(Some(Fault::StreamLimit("web-3".to_owned())));
    for _ in 0..8 {
        world.play("write * 20");
        let begun = Instant::now();
        wait_for("the other nine", SOON, || world.all_but(3).then_some(()));
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "the others waited"
        );
    }
    assert!(world.verdict().lost > 0, "the tenth is held up");
    world.play("rotate 3; loki up");
    world.finish();
}

/// 429 for the tenant and 5xx: the same bytes again, after what `Retry-After` says.
#[test]
fn row_23_rate_limits_and_server_errors() {
    let mut world = World::new("row_23_statuses");
    world.play("pod; pod; write * 20; start; drain");
    let limit = "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '20' lines totaling '4000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased";
    world
        .loki
        .next([Fault::Says(429, limit.to_owned(), Some(1))]);
    let before = world.loki.requests();
    world.play("write * 20; drain");
    let seen = world.loki.seen();
    assert_eq!(seen[before].status, 429);
    let again = seen
        .iter()
        .skip(before + 1)
        .find(|again| again.body == seen[before].body);
    let waited = again.expect("the same bytes again").at - seen[before].at;
    assert!(
        waited >= Duration::from_millis(950),
        "{waited:?}: Retry-After was not heeded"
    );
    for status in [429, 500, 502, 503, 504, 408, 403, 401, 404] {
        world.note(&format!("{status}"));
        world
            .loki
            .next([Fault::Status(status), Fault::Status(status)]);
        world.play("write * 5; drain");
        assert_eq!(world.loki.pending(), 0);
    }
    world.finish();
}

/// Loki is away while lines of 90 minutes are written, some rotated and compressed, and new lines come when it is back: per stream
/// oldest first, so that nothing is too far behind.
#[test]
fn row_24_oldest_first_after_an_outage() {
    let mut world = World::new("row_24");
    world.writer.parts = 0;
    world.play("pod; pod; start; loki 503");
    world.writer.clock = Some((now() - 3 * HOUR / 2, HOUR / 2 / 1000));
    for _ in 0..5 {
        world.play("write * 280; gzip *; rotate *");
    }
    world.play("kill; write * 50; start");
    world.requests(2);
    world.writer.clock = None;
    world.play("write * 50; loki up; write * 50; rotate *; write * 50");
    let verdict = world.finish();
    assert_eq!(world.loki.refused().len(), 0, "{:?}", world.loki.refused());
    assert_eq!(verdict.excused, 0, "{verdict}");
}

/// Loki is away at 5 MB/s: `CORTEN_ORACLE_LONG` makes it ten minutes of it, otherwise four seconds. Memory stays where it is.
#[test]
fn row_25_loki_is_away_for_long() {
    let seconds = if std::env::var_os("CORTEN_ORACLE_LONG").is_some() {
        600
    } else {
        4
    };
    let mut world = World::new("row_25");
    world.writer.sizes = (1000, 3000);
    world.writer.parts = 0;
    world.play("pod; pod; write * 50; start; drain; loki away");
    for round in 0..seconds * 4 {
        // 5 MB/s, rotated every 10 MB as kubelet does, all of it kept.
        world.play("write * 312; pace 250");
        if round % 8 == 7 {
            world.play("gzip *; rotate *");
        }
        if round == seconds * 2 {
            world.play("loki back; loki 503");
        }
    }
    let resident = world.agent().resident() >> 20;
    assert!(resident < 120, "{resident} MiB resident");
    world.play("loki up");
    world.drain(Duration::from_secs(60 + seconds));
    world.finish();
}

/// The name's address changes: connections go to the new one. Names are those of `/etc/hosts` in a mount namespace of the
/// agent's own, which every resolver of the system reads again when it changes.
#[test]
fn row_26_the_address_of_the_name_changes() {
    let mut world = World::with("row_26", |setup| {
        let root = rustix::process::geteuid().is_root();
        let flags = if root { "-m" } else { "-rm" };
        setup.within = Some((
            flags.to_owned(),
            "mount --bind {dir}/hosts /etc/hosts".to_owned(),
        ));
        setup.host = "loki.example".to_owned();
        setup.ip = [127, 0, 0, 2];
    });
    let hosts = world.dir().join("hosts");
    std::fs::write(&hosts, "127.0.0.2 loki.example\n").unwrap();
    world.play("pod; write * 20; start; drain");
    world.play("loki away; write * 20");
    world.note("127.0.0.3 from now on");
    std::fs::write(&hosts, "127.0.0.3 loki.example\n").unwrap();
    world.move_loki([127, 0, 0, 3]);
    world.play("loki back; write * 20; drain; loki away");
    // Two addresses, of which one answers.
    std::fs::write(&hosts, "127.0.0.4 loki.example\n127.0.0.2 loki.example\n").unwrap();
    world.move_loki([127, 0, 0, 2]);
    world.play("loki back; write * 20");
    world.finish();
}

/// Half open: what is sent is taken by the kernel and read by nobody. A request has a deadline, and a connection that
/// met it is not used again.
#[test]
fn row_27_half_open_connections() {
    let mut world = World::with("row_27", |setup| {
        setup.loki.push("headers: {X-Case: half-open}".to_owned());
    });
    world.play("pod; pod; write * 20; start; drain");
    world.loki.freeze(true);
    world.play("write * 200; pace 2500; write * 20");
    let said = |world: &mut World| world.agent().log().contains("no answer within 2s");
    let begun = Instant::now();
    wait_for("a word about the timeout", SOON, || {
        said(&mut world).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(8));
    // The machine is gone: the connections are never closed by the other side.
    world.loki.freeze(false);
    let begun = Instant::now();
    world.play("drain");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    world.play("write * 20; drain; stop");
    let verdict = world.verdict();
    // What the endpoint read from a connection that was given up counts as kept without an answer.
    assert_eq!(
        (verdict.lost, verdict.corrupted, verdict.reordered),
        (0, 0, 0),
        "{verdict}"
    );
    assert!(verdict.duplicated <= 2 * 220, "{verdict}");
}

/// Connections that are closed with the request read, with and without its lines kept.
#[test]
fn row_27_connections_that_are_closed() {
    let mut world = World::new("row_27_closed");
    world.play("pod; pod; write * 20; start; drain");
    for _ in 0..5 {
        world.loki.next([Fault::Close, Fault::Close]);
        world.play("write * 20; drain");
    }
    assert_eq!(world.verdict().duplicated, 0, "{}", world.verdict());
    for _ in 0..3 {
        world.loki.next([Fault::KeepAndClose]);
        world.play("write * 20; drain");
    }
    world.play("write * 5");
    wait_for("the faults", SOON, || {
        (world.loki.pending() == 0).then_some(())
    });
    world.finish();
}

/// Answers without an end, with every kind of status: read as far as it makes sense, with bounded memory.
#[test]
fn row_28_answers_without_an_end() {
    let mut world = World::new("row_28");
    world.play("pod; pod; write * 50; start; drain");
    let before = world.agent().resident() >> 20;
    for status in [500, 503, 429, 404] {
        world.note(&format!("{status} without an end"));
        world.loki.next([Fault::Endless(status)]);
        let begun = Instant::now();
        world.play("write * 20; drain");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?} for {status}");
    }
    let after = world.agent().resident() >> 20;
    assert!(after < before + 40, "{after} MiB resident after {before}");
    // A success and a refusal for good are what their status says, whatever the body.
    for status in [200, 400] {
        world.loki.next([Fault::Endless(status)]);
        world.play("write 1 1");
        wait_for("the fault", SOON, || {
            (world.loki.pending() == 0).then_some(())
        });
        world.excuse_last(1);
        world.play("write * 20; drain");
    }
    world.finish();
}

/// SIGTERM while Loki hangs, is slow, or is away: it ends with 0, in time, and the next start sends the rest, once.
#[test]
fn row_32_sigterm() {
    let mut world = World::new("row_32");
    world.play("pod; pod; write * 50; start; drain");
    let hung = Fault::Hang(Duration::from_secs(60));
    let slow = Fault::Slow(Duration::from_millis(600));
    for (name, fault) in [
        ("hangs", Some(hung)),
        ("is slow", Some(slow)),
        ("is away", None),
    ] {
        world.note(&format!("Loki {name}"));
        match fault {
            Some(fault) => world.loki.always(Some(fault)),
            None => world.play("loki away"),
        }
        world.play("write * 300; pace 300");
        let begun = Instant::now();
        world.play("stop");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?} while Loki {name}");
        if name == "is away" {
            world.play("loki back");
        }
        world.play("loki up; rotate *; write * 10; start; drain");
    }
    world.finish();
}

/// SIGTERM at full speed, ten times.
#[test]
fn row_32_sigterm_under_load() {
    let mut world = World::new("row_32_load");
    world.play("pod; pod");
    for _ in 0..10 {
        world.play("start; write * 300; rotate 0; write * 300; stop");
    }
    world.play("start");
    let Verdict { duplicated, .. } = world.finish();
    assert_eq!(duplicated, 0);
}
