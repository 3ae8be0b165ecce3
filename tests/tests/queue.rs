//! What was answered is delivered: over kills, outages, reloads, refusals; with bounded memory.
//!
//! `CORTEN_KILLS=50` kills that often; `CORTEN_OUTAGE_SECONDS=600` keeps the backend away that long at 5 MB/s.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corten_tests::{
    Agent, Command, OtlpSink, export_traces, free_port, repository, scrape, wait_for,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(60);

/// OTLP in, a queue on disk, OTLP out.
fn config(root: &Path, port: u16, admin: u16, backend: u16, queue: &str) -> String {
    let root = root.display();
    format!(
        "{{extensions: {{file_storage: {{directory: '{root}', create_directory: true}}}},
          receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}},
          exporters: {{otlp_grpc/tempo: {{endpoint: '127.0.0.1:{backend}', tls: {{insecure: true}}, compression: none,
            retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms}},
            sending_queue: {{storage: file_storage, {queue}}}}}}},
          service: {{extensions: [file_storage],
            telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {admin}}}}}}}}}]}}}},
            pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc/tempo]}}}}}}}}"
    )
}

fn request(name: &str, padding: usize) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        trace_state: "x".repeat(padding),
        ..Default::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

fn names(sink: &OtlpSink) -> Vec<String> {
    sink.spans().into_iter().map(|span| span.name).collect()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn all_arrive(sink: &OtlpSink, wanted: &BTreeSet<String>) {
    wait_for("everything that was answered", SOON, || {
        let arrived: BTreeSet<String> = names(sink).into_iter().collect();
        wanted.is_subset(&arrived).then_some(())
    });
}

#[test]
fn kills_under_load_lose_nothing_that_was_answered() {
    let root = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    let text = config(root.path(), port, admin, sink.port(), "num_consumers: 4");
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let next = Arc::new(AtomicU64::new(0));
    for kill in 0..number("CORTEN_KILLS", 5) {
        // Killed while it delivers, and while it only gathers.
        sink.down(kill % 2 == 1);
        let agent = Command::yaml(&text).start();
        let before = answered.lock().len();
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (answered, next, stop) =
                    (Arc::clone(&answered), Arc::clone(&next), Arc::clone(&stop));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        let name = next.fetch_add(1, Ordering::AcqRel).to_string();
                        if export_traces(port, request(&name, 2000)).is_ok() {
                            answered.lock().insert(name);
                        }
                    }
                })
            })
            .collect();
        let enough = 40 + usize::try_from(kill * 13 % 50).unwrap();
        wait_for("answers", SOON, || {
            (answered.lock().len() >= before + enough).then_some(())
        });
        agent.kill();
        stop.store(true, Ordering::Release);
        for sender in senders {
            sender.join().unwrap();
        }
    }
    sink.down(false);
    let agent = Command::yaml(&text).start();
    all_arrive(&sink, &answered.lock());
    let offered = next.load(Ordering::Acquire);
    for name in names(&sink) {
        assert!(name.parse::<u64>().unwrap() < offered, "invented: {name}");
    }
    assert!(agent.stop().success());
}

#[test]
fn an_outage_fills_the_disk_not_the_memory_and_drains_oldest_first() {
    const SIZE: usize = 500_000;
    let root = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    sink.down(true);
    let queue = "num_consumers: 1, max_bytes: 8GiB";
    let agent = Command::yaml(&config(root.path(), port, admin, sink.port(), queue)).start();
    // Everything that is allocated once.
    for count in 0..4 {
        export_traces(port, request(&format!("warm {count}"), SIZE)).unwrap();
    }
    let before = agent.resident();
    let seconds = number("CORTEN_OUTAGE_SECONDS", 12);
    let count = seconds * 10;
    let begun = Instant::now();
    let mut most = before;
    for index in 0..count {
        export_traces(port, request(&format!("{index:06}"), SIZE)).unwrap();
        most = most.max(agent.resident());
        if seconds > 60 {
            // 5 MB/s.
            let due = begun + Duration::from_millis(100) * u32::try_from(index).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    sink.down(false);
    let draining = Instant::now();
    wait_for("everything", Duration::from_secs(60 + seconds), || {
        most = most.max(agent.resident());
        (sink.traces().len() as u64 >= count + 4).then_some(())
    });
    let took = draining.elapsed();
    let grown = most.saturating_sub(before) >> 20;
    let rate = count * SIZE as u64 / 1_000_000 * 1000 / u64::try_from(took.as_millis()).unwrap();
    eprintln!("memory grew by {grown} MiB; {count} requests drained in {took:?}: {rate} MB/s");
    assert!(grown <= 64, "{grown} MiB");
    assert!(rate >= 15, "three times 5 MB/s, not {rate}");
    let arrived: Vec<String> = names(&sink);
    let mut sorted = arrived[4..].to_vec();
    sorted.sort();
    sorted.dedup();
    assert_eq!(arrived[4..], sorted, "oldest first, each once");
    let metrics = scrape(admin, "/metrics");
    let refused = metrics.value("otelcol_exporter_enqueue_failed_spans_total", &[]);
    assert_eq!(refused.unwrap_or(0.0), 0.0);
    assert!(agent.stop().success());
}

#[test]
fn a_reload_a_restart_and_another_name_find_what_waits() {
    let root = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    sink.down(true);
    let queue = "dead_letters: {max_bytes: 1MiB}, fsync: always";
    let text = config(root.path(), port, admin, sink.port(), queue);
    let mut agent = Command::yaml(&text).start();
    let mut wanted = BTreeSet::new();
    let mut send = |name: &str| {
        wait_for("an answer", SOON, || {
            export_traces(port, request(name, 10)).ok()
        });
        wanted.insert(name.to_owned());
    };
    send("first");
    agent.signal(Signal::HUP);
    agent.wait_for_line("configuration reloaded");
    send("after the reload");
    assert!(agent.stop().success());
    let agent = Command::yaml(&text).start();
    send("after the restart");
    assert!(agent.stop().success());
    let renamed = root.path().join("otelcol-contrib");
    let agent = Command::yaml(&text).renamed(renamed).start();
    send("under another name");
    sink.down(false);
    all_arrive(&sink, &wanted);
    assert_eq!(names(&sink).len(), 4, "each once");
    assert!(agent.stop().success());
}

/// Of the first version on disk: a later one has to read it, as an agent that is replaced leaves such a folder behind. In it
/// are three requests, of which the first was delivered.
#[test]
fn a_queue_of_the_first_version_is_delivered() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("exporter_otlp_grpc_tempo_queue");
    std::fs::create_dir(&folder).unwrap();
    let kept = repository().join("tests/fixtures/queue-v1");
    for file in ["traces-00000000000000000000.queue", "traces.cursor.a"] {
        std::fs::copy(kept.join(file), folder.join(file)).unwrap();
    }
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    let text = config(root.path(), port, admin, sink.port(), "num_consumers: 1");
    let agent = Command::yaml(&text).start();
    wait_for("what waited", SOON, || {
        (names(&sink).len() >= 2).then_some(())
    });
    export_traces(port, request("now", 10)).unwrap();
    wait_for("what came", SOON, || {
        (names(&sink).len() >= 3).then_some(())
    });
    assert!(agent.stop().success());
    assert_eq!(names(&sink), ["second", "third", "now"]);
}

fn queue_command(root: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new().arg("queue");
    for arg in args {
        command = command.arg(arg);
    }
    let (status, out, err) = command.arg("--directory").arg(root).output();
    (status.success(), format!("{out}{err}"))
}

#[test]
fn what_is_refused_for_good_can_be_seen_and_sent_again() {
    let root = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    sink.refuse([tonic::Status::invalid_argument("no such tenant")]);
    let queue = "num_consumers: 1, dead_letters: {}";
    let text = config(root.path(), port, admin, sink.port(), queue);
    let agent = Command::yaml(&text).start();
    export_traces(port, request("poison", 10)).unwrap();
    export_traces(port, request("good", 10)).unwrap();
    all_arrive(&sink, &BTreeSet::from(["good".to_owned()]));
    let (ok, listed) = queue_command(root.path(), &["ls"]);
    assert!(
        ok && listed.contains("exporter_otlp_grpc_tempo"),
        "{listed}"
    );
    let exporter = "otlp_grpc/tempo";
    let (ok, shown) = queue_command(root.path(), &["show", exporter, "--dead-letters", "--data"]);
    assert!(ok, "{shown}");
    for words in [
        "1 items",
        "invalid_argument",
        "no such tenant",
        "\"poison\"",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for args in [
        ["retry", exporter].as_slice(),
        &["drop", exporter, "--dead-letters", "--all"],
        &["drop", exporter, "--all"],
    ] {
        let (ok, said) = queue_command(root.path(), args);
        assert!(!ok && said.contains("in use by process"), "{said}");
    }
    assert!(agent.stop().success());
    let (ok, said) = queue_command(root.path(), &["retry", exporter]);
    assert!(ok && said.contains("1 put into the queue"), "{said}");
    let (_, listed) = queue_command(root.path(), &["ls", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let records: BTreeMap<&str, u64> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let content = row["content"].as_str().unwrap();
            (content, row["records"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(records["queue"], 1, "{listed}");
    assert_eq!(records.get("dead letters").copied().unwrap_or(0), 0);
    let agent: Agent = Command::yaml(&text).start();
    all_arrive(&sink, &BTreeSet::from(["poison".to_owned()]));
    assert!(agent.stop().success());
}

#[test]
fn a_full_disk_holds_senders_off_and_recovers_without_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let sink = OtlpSink::start();
    sink.down(true);
    let text = config(
        &root.path().join("q"),
        port,
        admin,
        sink.port(),
        "num_consumers: 2",
    );
    let mut agent = Command::yaml(&text)
        .small_disk(root.path(), "8m", false)
        .start();
    let mut wanted = BTreeSet::new();
    let refused = (0..1000).find_map(|index: u32| {
        let name = index.to_string();
        match export_traces(port, request(&name, 200_000)) {
            Ok(()) => {
                wanted.insert(name);
                None
            }
            Err(status) => Some(status),
        }
    });
    let refused = refused.unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
    assert!(!refused.details().is_empty(), "with RetryInfo");
    assert!(wanted.len() > 20, "{}", wanted.len());
    agent.wait_for_line("the queue can't be written");
    sink.down(false);
    all_arrive(&sink, &wanted);
    for index in 0..60 {
        let name = format!("again {index}");
        wait_for("room", SOON, || {
            export_traces(port, request(&name, 200_000)).ok()
        });
        wanted.insert(name);
    }
    all_arrive(&sink, &wanted);
    assert!(agent.stop().success());
}
