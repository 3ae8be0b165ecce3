//! A node's container logs arrive in Loki: every line once, in order, with its labels and its time, whatever happens in
//! between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::Duration;

use corten_tests::{Command, FakeLoki, PodLogs, Script, case, free_port, scrape, wait_for};
use tempfile::TempDir;

/// The longest that anything here may take.
const SOON: Duration = Duration::from_secs(20);

/// A node with its logs, a Loki, and the place where the agent keeps its positions.
struct Node {
    dir: TempDir,
    logs: PodLogs,
    loki: FakeLoki,
    admin: u16,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let logs = PodLogs::new(&dir.path().join("pods"));
        Self {
            logs,
            dir,
            loki: FakeLoki::start(),
            admin: free_port(),
        }
    }

    fn agent(&self) -> Command {
        Command::new()
            .arg("--config")
            .arg(case("logs_to_loki").join("corten.yaml"))
            .env("LOG_ROOT", self.dir.path().join("pods"))
            .env("STATE_DIR", self.dir.path().join("state"))
            .env("LOKI_URL", self.loki.url())
            .env("ADMIN_PORT", self.admin.to_string())
    }

    /// Waits until Loki has as many lines as were written.
    fn wait(&self) {
        self.loki.wait_for_lines(self.logs.lines(), SOON);
    }

    /// `lines` lines for every container, to stdout and stderr.
    fn write(&mut self, what: &str, lines: usize) {
        for container in self.logs.each() {
            for line in 0..lines {
                if line % 3 == 0 {
                    container.err(&format!("{what} {line} went wrong"));
                } else {
                    container.out(&format!("{what} {line}: grüße, {{\"json\": \"like\"}}"));
                }
            }
        }
    }

    fn pods(&mut self) {
        self.logs.add("shop", "web-7d4b9c", "app");
        self.logs.add("shop", "web-7d4b9c", "sidecar");
        self.logs.add("shop", "db-0", "postgres");
        self.logs
            .add("kube-system", "coredns-5d78c9869d-abcde", "coredns");
    }

    /// The pods' lines of before are in Loki, and the agent runs.
    fn running() -> (Self, corten_tests::Agent) {
        let mut node = Self::new();
        node.pods();
        node.write("before", 20);
        let agent = node.agent().start();
        node.wait();
        (node, agent)
    }
}

#[test]
fn every_line_arrives_once_and_in_order() {
    let mut node = Node::new();
    node.pods();
    node.write("before the start", 200);
    let first = node.logs.container(0);
    first.write("stdout", 'P', "a long line ");
    first.write("stderr", 'P', "while an error ");
    first.write("stdout", 'P', "in three ");
    first.out("parts");
    first.out("");
    first.out("  spaces are kept  ");
    let agent = node.agent().start();
    let lines = node.logs.lines();
    node.loki.wait_for_lines(lines, SOON);
    // The end of a line whose beginning was read long ago.
    node.logs.container(0).err("is told");
    node.write("while it runs", 50);
    node.wait();
    let loki = &node.loki;
    node.logs
        .container(2)
        .torn("a line that is written in two halves", || {
            // The first half was there while other lines came through.
            loki.wait_for_lines(lines + 201, SOON);
        });
    // A pod that is new, and a file that rotates with a line half written in parts.
    let late = node.logs.add("batch", "job-1", "run");
    node.logs
        .container(late)
        .out("the first line of a pod that came late");
    let web = node.logs.container(0);
    web.write("stdout", 'P', "begun before the rotation, ");
    web.rotate();
    web.out("ended after it");
    web.out("after the rotation");
    node.wait();
    node.write("at the end", 20);
    node.wait();
    assert!(agent.stop().success(), "SIGTERM ends it with 0");
    node.logs.assert_exactly(&node.loki);
    assert_eq!(node.loki.streams().len(), 5, "a stream per container");
    for push in node.loki.pushes() {
        assert_eq!(push.headers["content-type"], "application/x-protobuf");
    }
}

#[test]
fn a_restart_neither_loses_nor_repeats() {
    let (mut node, agent) = Node::running();
    // Lines that are written while it stops are nobody's loss either.
    node.write("while it stops", 500);
    assert!(agent.stop().success(), "SIGTERM ends it with 0");
    node.write("while it is away", 20);
    node.logs.container(1).rotate();
    node.write("after a rotation nobody saw", 20);
    node.logs.container(1).rotate();
    node.write("after two", 20);
    let agent = node.agent().start();
    node.write("while it runs again", 20);
    node.wait();
    assert!(agent.stop().success());
    node.logs.assert_exactly(&node.loki);
}

#[test]
fn a_kill_loses_nothing() {
    let (mut node, mut agent) = Node::running();
    for round in 0..3 {
        node.write(&format!("round {round}"), 300);
        // Somewhere in the middle: some of these lines are in Loki, some are not.
        node.loki.wait_for_lines(node.loki.lines() + 1, SOON);
        agent.kill();
        // Rotated while nobody looks.
        node.logs.container(1).rotate();
        node.write("while it is dead", 5);
        agent = node.agent().start();
    }
    agent.kill();
    let agent = node.agent().start();
    node.write("after the last", 10);
    let complete = || {
        let streams = node.loki.streams();
        let last = |labels: &String| {
            streams[labels]
                .iter()
                .any(|entry| entry.line.contains("after the last 9"))
        };
        streams.keys().all(last).then_some(())
    };
    wait_for("the last line of every stream", SOON, complete);
    assert!(agent.stop().success());
    node.logs.assert_at_least(&node.loki);
}

#[test]
fn an_outage_delays_and_loses_nothing() {
    let (mut node, agent) = Node::running();
    node.loki.close();
    node.write("while nobody listens", 100);
    let told = || agent.log().contains("connection refused");
    wait_for("a word about it in the log", SOON, || told().then_some(()));
    node.loki.down(Some(503));
    node.loki.open();
    node.logs.container(1).rotate();
    node.write("while Loki answers 503", 100);
    let refused = || {
        node.loki
            .pushes()
            .iter()
            .filter(|push| push.status == 503)
            .count()
    };
    wait_for("several attempts", SOON, || (refused() >= 4).then_some(()));
    node.loki.down(None);
    node.wait();
    assert!(agent.stop().success());
    node.logs.assert_exactly(&node.loki);
}

/// Stopped while Loki is away: the positions stay where they are, and the next start sends it all.
#[test]
fn a_stop_during_an_outage_keeps_everything_for_the_next_start() {
    let (mut node, agent) = Node::running();
    node.loki.down(Some(500));
    node.write("while Loki is broken", 50);
    let refused = || node.loki.pushes().iter().any(|push| push.status == 500);
    wait_for("an attempt", SOON, || refused().then_some(()));
    let asked = std::time::Instant::now();
    assert!(agent.stop().success(), "it ends within its grace period");
    let took = asked.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "{took:?}: what a file keeps is not waited for"
    );
    node.loki.down(None);
    let agent = node.agent().start();
    node.wait();
    assert!(agent.stop().success());
    node.logs.assert_exactly(&node.loki);
}

/// Loki stores the good lines of a request that it answers with 400: sending it again would be in vain for the bad ones
/// and store the good ones twice.
#[test]
fn a_partial_refusal_is_counted_and_not_sent_again() {
    let mut node = Node::new();
    let web = node.logs.add("shop", "web", "app");
    for line in ["good 1", "late 1", "good 2", "late 2", "good 3"] {
        node.logs.container(web).out(line);
    }
    let labels = node.logs.container(web).labels();
    let reason = "reason: 'entry too far behind, entry timestamp is: 2026-01-05T10:00:00Z, oldest acceptable timestamp is: 2026-01-05T11:00:00Z'";
    let body = format!(
        "entry with timestamp 2026-01-05 10:00:00.002 +0000 UTC ignored, {reason},\n\
         entry with timestamp 2026-01-05 10:00:00.004 +0000 UTC ignored, {reason},\n\
         user 'fake', total ignored: 2 out of 5 for stream: {labels}"
    );
    node.loki
        .script([Script::status(400).body(body).keeps_without("late")]);
    let agent = node.agent().start();
    node.loki.wait_for_lines(3, SOON);
    node.logs.container(web).out("good 4");
    node.loki.wait_for_lines(4, SOON);
    let kept: Vec<_> = node.loki.streams()[&labels]
        .iter()
        .map(|entry| entry.line.clone())
        .collect();
    assert_eq!(kept, ["good 1", "good 2", "good 3", "good 4"]);
    // Counted when Loki's answer was read, which is a moment after it was given.
    let own = || scrape(node.admin, "/metrics");
    let count = |name, labels: &[(&str, &str)]| own().value(name, labels);
    let rejected = [("exporter", "loki"), ("reason", "too_far_behind")];
    wait_for("four lines are counted as sent", SOON, || {
        (count("otelcol_exporter_sent_log_records", &rejected[..1]) == Some(4.0)).then_some(())
    });
    assert_eq!(
        count("corten_exporter_rejected_items", &rejected),
        Some(2.0)
    );
    assert_eq!(
        count("otelcol_exporter_send_failed_log_records", &rejected[..1]),
        Some(2.0)
    );
    assert!(
        agent.log().contains("too_far_behind"),
        "it is told:\n{}",
        agent.log()
    );
    assert!(agent.stop().success());
    assert_eq!(node.loki.pushes().len(), 2, "nothing was sent again");
}

#[test]
fn a_rate_limit_is_answered_with_identical_bytes() {
    let mut node = Node::new();
    node.pods();
    node.write("too fast", 30);
    let limit = Script::status(429)
        .header("retry-after", "1")
        .body("ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '120' lines totaling '4000' bytes, reduce log volume");
    node.loki.script([limit.clone(), limit]);
    let begun = std::time::Instant::now();
    let agent = node.agent().start();
    node.wait();
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "Retry-After was not heeded"
    );
    assert!(agent.stop().success());
    let pushes = node.loki.pushes();
    let bodies: Vec<_> = pushes
        .iter()
        .filter(|push| push.status == 429)
        .map(|push| &push.body)
        .collect();
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        let again = pushes
            .iter()
            .any(|push| push.status == 204 && push.body == *body);
        assert!(again, "what was refused came again in other bytes");
    }
    node.logs.assert_exactly(&node.loki);
}

#[test]
fn a_body_that_is_too_large_is_split() {
    let mut node = Node::new();
    node.pods();
    node.write("much at once", 300);
    node.loki
        .script([Script::status(413).body("request body too large")]);
    let agent = node.agent().start();
    node.wait();
    assert!(agent.stop().success());
    node.logs.assert_exactly(&node.loki);
    let pushes = node.loki.pushes();
    let refused = pushes.iter().find(|push| push.status == 413).unwrap();
    let entries = |push: &corten_tests::Push| {
        push.streams()
            .iter()
            .map(|(_, entries)| entries.len())
            .sum::<usize>()
    };
    let most = pushes
        .iter()
        .filter(|push| push.status == 204)
        .map(entries)
        .max()
        .unwrap();
    assert!(
        most < entries(refused),
        "{most} entries after {} were too many",
        entries(refused)
    );
}
