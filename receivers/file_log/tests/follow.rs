//! The receiver against real files and a scripted pipeline.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Component, ComponentId, Context, Create, Extension, Extensions, Health, Kind,
    Receiver, Services, Status, Storage, StorageError, async_trait,
};
use corten_file_log_receiver::factory;
use corten_pdata::Data;
use corten_testing::{Answer, RecordingSink, conforms, decode, eventually};

const POD: &str = "shop_web-0_49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c";

struct Disk(PathBuf);

#[async_trait]
impl Component for Disk {}

impl Storage for Disk {
    fn directory(&self, _: Kind, id: &ComponentId, purpose: &str) -> Result<PathBuf, StorageError> {
        let path = self.0.join(format!("{id}_{purpose}"));
        fs::create_dir_all(&path).map_err(|source| StorageError {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

impl Extension for Disk {
    fn storage(&self) -> Option<&dyn Storage> {
        Some(self)
    }
}

struct Node {
    root: tempfile::TempDir,
    extensions: Extensions,
    yaml: String,
}

impl Node {
    fn new(settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Extension> = Arc::new(Disk(root.path().join("state")));
        let id: ComponentId = "file_storage".parse().unwrap();
        let yaml = format!(
            "include: [{}/pods/*/*/*.log]\nstart_at: beginning\npoll_interval: 10ms\nstorage: file_storage\n{settings}",
            root.path().display()
        );
        let extensions = Extensions::new(BTreeMap::from([(id, disk)]));
        fs::create_dir_all(root.path().join("pods").join(POD).join("app")).unwrap();
        Self {
            root,
            extensions,
            yaml,
        }
    }

    fn containers() -> Self {
        Self::new("include_file_path: true\noperators: [{type: container}]")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.root
            .path()
            .join("pods")
            .join(POD)
            .join("app")
            .join(name)
    }

    fn append(&self, text: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log("0.log"))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn start(&self, sink: &Arc<RecordingSink>) -> (Arc<dyn Receiver>, Context) {
        let prepared = decode(&factory(), &self.yaml).unwrap();
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver")
        };
        let meter = opentelemetry_meter();
        let cx = Context::new(
            Kind::Receiver,
            "file_log".parse().unwrap(),
            self.extensions.clone(),
            Services::new(),
            &Health::new(),
            meter,
        );
        let receiver = create(cx.clone(), sink.next()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        (receiver, cx)
    }
}

fn opentelemetry_meter() -> opentelemetry::metrics::Meter {
    opentelemetry::metrics::MeterProvider::meter(
        &opentelemetry::metrics::noop::NoopMeterProvider::new(),
        "test",
    )
}

async fn stop((receiver, cx): (Arc<dyn Receiver>, Context)) -> Result<(), BoxError> {
    receiver.shutdown().await?;
    assert!(
        cx.tasks().shutdown(Duration::from_secs(5)).await,
        "a task is left"
    );
    Ok(())
}

fn cri(stream: &str, tag: &str, message: &str) -> String {
    format!("2026-01-01T00:00:00.000000001Z {stream} {tag} {message}\n")
}

fn bodies(batches: &[Batch]) -> Vec<String> {
    let mut bodies = Vec::new();
    for batch in batches {
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs")
        };
        assert!(batch.replayable);
        for resource in logs.decode().unwrap().resource_logs {
            for record in resource
                .scope_logs
                .into_iter()
                .flat_map(|scope| scope.log_records)
            {
                bodies.push(format!("{:?}", record.body.unwrap().value.unwrap()));
            }
        }
    }
    bodies
        .iter()
        .map(|body| {
            body.trim_start_matches("StringValue(\"")
                .trim_end_matches("\")")
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn keeps_the_contract() {
    conforms(
        factory(),
        "include: [/nonexistent/*.log]\npoll_interval: 10ms",
    )
    .await;
}

#[tokio::test]
async fn a_containers_line_becomes_a_record() {
    let node = Node::containers();
    node.append(&cri("stdout", "P", "hello "));
    node.append(&cri("stdout", "F", "world"));
    node.append(&cri("stderr", "F", "caf\u{e9} \u{1F600} "));
    node.append("not of a container\n");
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    assert_eq!(
        bodies(&batches),
        ["hello world", "café 😀 ", "not of a container"]
    );

    let Data::Logs(logs) = &batches[0].data else {
        panic!("no logs")
    };
    let model = logs.decode().unwrap();
    let text = format!("{:?}", model.resource_logs[0].resource.as_ref().unwrap());
    for expected in [
        "k8s.namespace.name",
        "\"shop\"",
        "k8s.pod.name",
        "\"web-0\"",
        "k8s.pod.uid",
        "49cc7c1f-d370-4a1c-ad3f-41a3b5a39e6c",
        "k8s.container.name",
        "\"app\"",
        "k8s.container.restart_count",
        "\"0\"",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let records = &model.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records[0].time_unix_nano, 1_767_225_600_000_000_001);
    assert!(records[0].observed_time_unix_nano > records[0].time_unix_nano / 2);
    let text = format!("{:?}", records[1].attributes);
    for expected in [
        "log.iostream",
        "stderr",
        "logtag",
        "\"F\"",
        "log.file.name",
        "0.log",
        "log.file.path",
        POD,
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(records[2].time_unix_nano, 0);
}

#[tokio::test]
async fn plain_lines_are_trimmed_and_blank_ones_left_out() {
    let node = Node::new("attributes: {env: test}\nresource: {cluster: a}");
    node.append("  one \n\n \t \n\u{fffd}two\r\n");
    fs::OpenOptions::new()
        .append(true)
        .open(node.log("0.log"))
        .unwrap()
        .write_all(b"bad \xFF byte\n")
        .unwrap();
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    assert_eq!(
        bodies(&batches),
        ["one", "\u{fffd}two", "bad \u{fffd} byte"]
    );
    let Data::Logs(logs) = &batches[0].data else {
        panic!("no logs")
    };
    let text = format!("{:?}", logs.decode().unwrap());
    assert!(text.contains("cluster") && text.contains("env"), "{text}");
}

#[tokio::test]
async fn a_restart_goes_on_where_the_pipeline_had_kept() {
    let node = Node::containers();
    node.append(&cri("stdout", "F", "one"));
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    sink.wait_for_items(1).await;
    stop(running).await.unwrap();

    // This time the pipeline never answers: the line is not done.
    node.append(&cri("stdout", "F", "two"));
    let hanging = RecordingSink::scripted([Answer::Hang]);
    let running = node.start(&hanging).await;
    eventually("the line is offered", Duration::from_secs(10), || async {
        (hanging.offered() == 1).then_some(())
    })
    .await;
    stop(running).await.unwrap();

    fs::rename(node.log("0.log"), node.log("0.log.20260101-000000")).unwrap();
    node.append(&cri("stdout", "F", "three"));
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["one", "two", "three"]);
}

#[tokio::test]
async fn what_is_refused_for_now_is_offered_again_in_order() {
    let node = Node::new("retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}");
    let retry = || Answer::Retry(Status::UNAVAILABLE, None);
    let sink = RecordingSink::scripted([retry(), retry(), retry()]);
    let running = node.start(&sink).await;
    node.append("one\n");
    eventually("it is offered", Duration::from_secs(10), || async {
        (sink.offered() > 0).then_some(())
    })
    .await;
    node.append("two\n");
    let batches = sink.wait_for_items(2).await;
    assert_eq!(bodies(&batches), ["one", "two"]);
    assert!(sink.offered() >= 5);
    stop(running).await.unwrap();
    let running = node.start(&sink).await;
    node.append("three\n");
    assert_eq!(
        bodies(&sink.wait_for_items(3).await),
        ["one", "two", "three"]
    );
    stop(running).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    let node = Node::new("");
    let sink = RecordingSink::scripted([Answer::Never(Status::INVALID_ARGUMENT)]);
    let running = node.start(&sink).await;
    node.append("poison\n");
    eventually("it is offered", Duration::from_secs(10), || async {
        (sink.offered() == 1).then_some(())
    })
    .await;
    node.append("fine\n");
    assert_eq!(bodies(&sink.wait_for_items(1).await), ["fine"]);
    stop(running).await.unwrap();
    let running = node.start(&sink).await;
    node.append("later\n");
    assert_eq!(bodies(&sink.wait_for_items(2).await), ["fine", "later"]);
    stop(running).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_loses_nothing_and_keeps_the_order() {
    let node = Node::containers();
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let (log, directory) = (node.log("0.log"), node.log(""));
    let (generations, each) = (30usize, 2000usize);
    let writer = std::thread::spawn(move || {
        for generation in 0..generations {
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap();
            for line in 0..each {
                let number = generation * each + line;
                file.write_all(
                    cri("stdout", "F", &format!("{number} {}", "x".repeat(150))).as_bytes(),
                )
                .unwrap();
            }
            fs::rename(
                &log,
                directory.join(format!("0.log.20260101-{generation:06}")),
            )
            .unwrap();
        }
    });
    writer.join().unwrap();
    let batches = sink.wait_for_items(generations * each).await;
    stop(running).await.unwrap();
    let numbers: Vec<usize> = bodies(&batches)
        .iter()
        .map(|body| body.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        numbers.iter().copied().eq(0..generations * each),
        "lost, doubled or out of order"
    );
}

fn records(batches: &[Batch]) -> Vec<String> {
    let mut records = Vec::new();
    for batch in batches {
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs")
        };
        for resource in logs.decode().unwrap().resource_logs {
            for scope in resource.scope_logs {
                for record in scope.log_records {
                    records.push(format!("{:?} {record:?}", resource.resource));
                }
            }
        }
    }
    records
}

#[tokio::test]
async fn operators_work_on_what_containers_wrote() {
    let node = Node::new(
        "include_file_record_number: true
include_file_permissions: true
attributes: {where: 'EXPR(attributes[\"log.iostream\"] + \"!\")', constant: c}
resource: {cluster: blue}
operators:
- type: container
- {type: filter, expr: 'body == \"noise\"'}
- type: json_parser
  if: 'body startsWith \"{\"'
  severity: {parse_from: attributes.level}
- {type: move, from: attributes.message, to: body, if: 'attributes.message != nil'}
- {type: move, from: 'resource[\"k8s.pod.name\"]', to: resource.pod}",
    );
    node.append(&cri("stdout", "F", "noise"));
    node.append(&cri("stdout", "P", r#"{"level":"error","#));
    node.append(&cri("stdout", "F", r#""message":"it broke","n":1}"#));
    node.append(&cri("stderr", "F", "plain"));
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(2).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["it broke", "plain"]);
    let records = records(&batches);
    for expected in [
        "severity_number: Error",
        "severity_text: \"error\"",
        "DoubleValue(1.0)",
        "\"stdout!\"",
        "\"constant\"",
        "\"blue\"",
        "\"pod\"",
        "\"web-0\"",
        "log.file.record_number",
        "log.file.permissions",
        "1767225600000000001",
    ] {
        assert!(
            records[0].contains(expected),
            "{expected} in {}",
            records[0]
        );
    }
    assert!(!records[0].contains("k8s.pod.name"));
    assert!(records[1].contains("\"stderr!\""), "{}", records[1]);
    // What was filtered is done with as well.
    let running = node.start(&sink).await;
    node.append(&cri("stdout", "F", "later"));
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["it broke", "plain", "later"]);
}

const RECOMBINE: &str = "operators:
- type: recombine
  combine_field: body
  is_first_entry: 'body startsWith \"*\"'
  force_flush_period: 1h
";

/// What `recombine` holds at the end of a process is read again by the next one, and joined with what was written in between;
/// what had left it is not.
#[tokio::test]
async fn what_recombine_holds_survives_the_process() {
    let node = Node::new(RECOMBINE);
    node.append("*one\n and more\n*two\n");
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    assert_eq!(bodies(&sink.wait_for_items(1).await), ["*one\\nand more"]);
    node.append(" two's second\n");
    stop(running).await.unwrap();

    node.append(" two's third\n*three\n");
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    // The chunk that began the second record held the first one, too: it comes twice.
    assert_eq!(
        bodies(&batches),
        [
            "*one\\nand more",
            "*one\\nand more",
            "*two\\ntwo's second\\ntwo's third"
        ]
    );

    // What began a chunk of its own is alone in being read again.
    let running = node.start(&sink).await;
    node.append("*four\n");
    sink.wait_for_items(6).await;
    node.append("*five\n");
    let batches = sink.wait_for_items(7).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches).last().unwrap(), "*four");
    let running = node.start(&sink).await;
    node.append("*six\n");
    let batches = sink.wait_for_items(8).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches)[7..], ["*five"]);
}

/// A chunk whose records went out in two batches is done when both are kept, in whichever order.
#[tokio::test]
async fn a_chunk_in_two_batches_needs_both() {
    let node = Node::new(RECOMBINE);
    node.append("*one\n*two\n");
    let sink = RecordingSink::scripted([Answer::Hang]);
    let running = node.start(&sink).await;
    eventually("the first is offered", Duration::from_secs(10), || async {
        (sink.offered() == 1).then_some(())
    })
    .await;
    node.append("*three\n");
    // The second record left the operator later, and is kept at once.
    assert_eq!(bodies(&sink.wait_for_items(1).await), ["*two"]);
    stop(running).await.unwrap();

    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    node.append("*four\n");
    let batches = sink.wait_for_items(3).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["*one", "*two", "*three"]);
}

/// Killed at any moment: what the last checkpoint says is all that is left of the process. Every record comes at least once and
/// whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_recombining_lose_nothing() {
    let node = Node::new(RECOMBINE);
    let saved = node.root.path().join("saved");
    let state = node.root.path().join("state");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        fs::create_dir_all(to).unwrap();
        for directory in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(directory.file_name());
            fs::create_dir_all(&to).unwrap();
            for file in fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
    };
    let mut seen = std::collections::BTreeSet::new();
    let (rounds, each) = (12usize, 40usize);
    for round in 0..rounds {
        let sink = RecordingSink::new();
        let running = node.start(&sink).await;
        for record in round * each..(round + 1) * each {
            node.append(&format!("*{record}\n second of {record}\n"));
            if record % 7 == round % 7 {
                tokio::task::yield_now().await;
            }
        }
        // The last record of the file is held.
        let last = (round + 1) * each - 2;
        eventually("the round is read", Duration::from_secs(10), || async {
            let kept = sink.batches();
            bodies(&kept)
                .iter()
                .any(|body| body.starts_with(&format!("*{last}\\n")))
                .then_some(())
        })
        .await;
        for body in bodies(&sink.batches()) {
            let (first, second) = body.split_once("\\n").unwrap();
            let record = first.trim_start_matches('*');
            assert_eq!(second, format!("second of {record}"), "torn: {body}");
            seen.insert(record.parse::<usize>().unwrap());
        }
        // A kill leaves the files of the state as they are at this moment, and the writer goes on.
        drop(fs::remove_dir_all(&saved));
        copy(&state, &saved);
        stop(running).await.unwrap();
        fs::remove_dir_all(&state).unwrap();
        copy(&saved, &state);
        if round % 3 == 1 {
            fs::rename(
                node.log("0.log"),
                node.log(&format!("0.log.20260101-{round:06}")),
            )
            .unwrap();
        }
    }
    let missing: Vec<usize> = (0..rounds * each - 1)
        .filter(|record| !seen.contains(record))
        .collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
}

#[tokio::test]
async fn logs_that_wait_for_their_ends_do_not_stop_the_reading() {
    // Each of forty logs has a record whose end is open, in a chunk of its own; all together are far more than may be in flight.
    let node = Node::new(&format!("max_in_flight: 256KiB\n{RECOMBINE}"));
    let count = 40;
    for log in 0..count {
        let filler = "x".repeat(32 << 10);
        fs::write(
            node.log(&format!("{log}.log")),
            format!("*a{log}{filler}\n*held\n"),
        )
        .unwrap();
    }
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(count).await;
    stop(running).await.unwrap();
    let found: std::collections::BTreeSet<String> = bodies(&batches)
        .iter()
        .map(|body| body.trim_end_matches('x').to_owned())
        .collect();
    assert_eq!(found.len(), count);
}

#[tokio::test]
async fn records_of_several_lines_and_other_encodings() {
    let node = Node::new(
        "multiline: {line_start_pattern: '^\\d'}\nforce_flush_period: 50ms\noperators: [{type: regex_parser, regex: '(?s)^(?P<n>\\d) (?P<rest>.*)$'}]",
    );
    node.append("1 first\n  more\n2 second\n");
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(2).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["1 first\\n  more", "2 second"]);
    assert!(records(&batches)[0].contains("first\\n  more"));

    let node = Node::new("encoding: utf-16le\noperators: [{type: json_parser, parse_to: body}]");
    let text: Vec<u8> = "{\"a\":\"é\"}\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    fs::write(node.log("0.log"), text).unwrap();
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(1).await;
    stop(running).await.unwrap();
    assert!(
        records(&batches)[0].contains("StringValue(\"é\")"),
        "{:?}",
        records(&batches)
    );
}

#[tokio::test]
async fn a_header_describes_the_records_of_its_file() {
    let node = Node::new(
        "header:
  pattern: '^#'
  metadata_operators:
  - {type: regex_parser, regex: '^#Fields: (?P<fields>.*)$', on_error: drop_quiet}
operators: [{type: csv_parser, header_attribute: fields, delimiter: ' '}]",
    );
    node.append("#Software: x\n#Fields: date uri\nmonday /a\n#no header\n");
    let sink = RecordingSink::new();
    let running = node.start(&sink).await;
    let batches = sink.wait_for_items(2).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches), ["monday /a", "#no header"]);
    assert!(
        records(&batches)[0].contains("StringValue(\"/a\")"),
        "{:?}",
        records(&batches)
    );

    // After a restart it is looked up; the next generation has its own.
    let running = node.start(&sink).await;
    node.append("tuesday /b\n");
    sink.wait_for_items(3).await;
    fs::rename(node.log("0.log"), node.log("0.log.20260101-000000")).unwrap();
    node.append("#Fields: day\nwednesday\n");
    let batches = sink.wait_for_items(4).await;
    stop(running).await.unwrap();
    assert_eq!(bodies(&batches)[2..], ["tuesday /b", "wednesday"]);
    let records = records(&batches);
    for (record, expected) in [(2, "\"uri\""), (2, "\"/b\""), (3, "\"day\"")] {
        assert!(
            records[record].contains(expected),
            "{expected} in {}",
            records[record]
        );
    }
    assert!(!records[3].contains("uri"), "{}", records[3]);
}

#[tokio::test]
async fn a_file_is_deleted_when_all_of_it_was_kept() {
    let node = Node::new(
        "delete_after_read: true\nforce_flush_period: 20ms\nordering_criteria: {regex: '(?P<n>\\d+)\\.log$', sort_by: [{sort_type: numeric, regex_key: n, ascending: false}]}",
    );
    fs::write(node.log("9.log"), "nine\n").unwrap();
    fs::write(node.log("10.log"), "ten\n").unwrap();
    let sink = RecordingSink::scripted([Answer::Retry(Status::UNAVAILABLE, None)]);
    let running = node.start(&sink).await;
    // The newest first; the other is looked at when that is gone.
    assert_eq!(bodies(&sink.wait_for_items(2).await), ["ten", "nine"]);
    eventually("both are gone", Duration::from_secs(10), || async {
        (!node.log("9.log").exists() && !node.log("10.log").exists()).then_some(())
    })
    .await;
    stop(running).await.unwrap();
}
