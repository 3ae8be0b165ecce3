//! The receiver with a `journalctl` that is a script, a journal that is a file, and a scripted pipeline.
//!
//! The entry in line n of the file has the cursor `c<n>`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    BoxError, Component, ComponentId, Context, Create, Extension, Extensions, Health, Kind,
    Receiver, Services, Status, Storage, StorageError, async_trait,
};
use corten_journald_receiver::factory;
use corten_pdata::{AnyValue, Data};
use corten_testing::{Answer, RecordingSink, conforms, decode, eventually};

/// Follows the file from behind the cursor. When there is a file `die` it prints what remains up to so many lines, complains and
/// ends; when there is a file `refuse`, it does not want cursors.
const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$@" >> arguments
echo $$ > pid
after=0
for argument in "$@"; do
  case "$argument" in
    --after-cursor=c*)
      if [ -f refuse ]; then echo "Failed to seek to cursor: Invalid argument" >&2; exit 1; fi
      after=${argument#--after-cursor=c} ;;
  esac
done
if [ -f die ]; then
  lines=$(cat die)
  rm die
  tail -n +$((after + 1)) journal | head -n "$lines"
  echo "it broke" >&2
  exit 3
fi
exec tail -n +$((after + 1)) -f journal
"#;

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

struct Machine {
    root: tempfile::TempDir,
    extensions: Extensions,
    yaml: String,
    health: Health,
}

impl Machine {
    fn new(settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Extension> = Arc::new(Disk(root.path().join("state")));
        let id: ComponentId = "file_storage".parse().unwrap();
        let program = root.path().join("journalctl");
        fs::write(&program, SCRIPT).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(root.path().join("journal"), "").unwrap();
        Self {
            yaml: format!(
                "journalctl_path: {}\nstorage: file_storage\nstart_at: beginning\nbody: message\n{settings}",
                program.display()
            ),
            extensions: Extensions::new(BTreeMap::from([(id, disk)])),
            root,
            health: Health::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn lines(&self, lines: &[String]) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.path("journal"))
            .unwrap();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn entries(&self, numbers: std::ops::RangeInclusive<u32>) {
        self.lines(&numbers.map(entry).collect::<Vec<_>>());
    }

    fn arguments(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("arguments")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn start(&self, sink: &Arc<RecordingSink>) -> (Arc<dyn Receiver>, Context) {
        let prepared = decode(&factory(), &self.yaml).unwrap();
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver")
        };
        let meter = opentelemetry::metrics::MeterProvider::meter(
            &opentelemetry::metrics::noop::NoopMeterProvider::new(),
            "test",
        );
        let cx = Context::new(
            Kind::Receiver,
            "journald".parse().unwrap(),
            self.extensions.clone(),
            Services::new(),
            &self.health,
            meter,
        );
        let receiver = create(cx.clone(), sink.next()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        (receiver, cx)
    }

    async fn reason(&self) -> String {
        eventually("it fails", Duration::from_secs(10), async || {
            self.health
                .components()
                .into_iter()
                .find_map(|component| match component.condition {
                    corten_component::Condition::Failing { reason, .. } => Some(reason),
                    _ => None,
                })
        })
        .await
    }
}

async fn stop((receiver, cx): (Arc<dyn Receiver>, Context)) -> Result<(), BoxError> {
    receiver.shutdown().await?;
    assert!(
        cx.tasks().shutdown(Duration::from_secs(5)).await,
        "a task is left"
    );
    Ok(())
}

fn entry(number: u32) -> String {
    format!(
        r#"{{"__CURSOR":"c{number}","__REALTIME_TIMESTAMP":"17000000000000{number:02}","PRIORITY":"6","MESSAGE":"m{number}"}}"#
    )
}

fn bodies(sink: &RecordingSink) -> Vec<String> {
    let mut bodies = Vec::new();
    for batch in sink.batches() {
        assert!(batch.replayable);
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs")
        };
        for resource in logs.resources() {
            for scope in resource.scopes() {
                for record in scope.records() {
                    match record.body() {
                        Some(AnyValue::String(text)) => bodies.push(text.to_owned()),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
    bodies
}

#[tokio::test]
async fn keeps_the_contract() {
    conforms(factory(), "{journalctl_path: /no/such/program}").await;
}

#[tokio::test]
async fn goes_on_behind_what_was_delivered() {
    let machine = Machine::new("");
    machine.entries(1..=3);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(3).await;
    machine.entries(4..=4);
    sink.wait_for_items(4).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m1", "m2", "m3", "m4"]);

    machine.entries(5..=6);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(2).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m5", "m6"]);
    let arguments = machine.arguments();
    assert!(!arguments[0].contains("cursor") && !arguments[0].contains("since"));
    assert!(arguments[1].contains("--after-cursor=c4"), "{arguments:?}");
}

#[tokio::test]
async fn what_was_not_delivered_is_read_again() {
    let machine = Machine::new("");
    machine.entries(1..=2);
    // The second batch is delivered, the first never is.
    let sink = RecordingSink::scripted([Answer::Hang]);
    let receiver = machine.start(&sink).await;
    eventually("the first batch", Duration::from_secs(10), async || {
        (sink.offered() == 1).then_some(())
    })
    .await;
    machine.entries(3..=3);
    sink.wait_for_items(1).await;
    assert_eq!(bodies(&sink), ["m3"]);
    stop(receiver).await.unwrap();

    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(3).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_refused_batch_is_offered_again() {
    let machine = Machine::new("retry_on_failure: {initial_interval: 10ms}");
    machine.entries(1..=3);
    let sink = RecordingSink::scripted([
        Answer::Retry(Status::UNAVAILABLE, None),
        Answer::Retry(Status::UNAVAILABLE, None),
    ]);
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(3).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_journalctl_that_dies_is_started_again() {
    let machine = Machine::new("");
    machine.entries(1..=3);
    fs::write(machine.path("die"), "2").unwrap();
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    let reason = machine.reason().await;
    assert!(
        reason.contains("it broke") && reason.contains('3'),
        "{reason}"
    );
    sink.wait_for_items(3).await;
    assert_eq!(bodies(&sink), ["m1", "m2", "m3"]);
    assert!(machine.arguments()[1].contains("--after-cursor=c2"));

    // Killed from outside.
    let pid = fs::read_to_string(machine.path("pid")).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", pid.trim()])
        .status();
    assert!(killed.unwrap().success());
    machine.entries(4..=4);
    sink.wait_for_items(4).await;
    assert_eq!(bodies(&sink)[3], "m4");
    stop(receiver).await.unwrap();
}

#[tokio::test]
async fn a_cursor_that_is_refused_is_replaced_by_its_time() {
    let machine = Machine::new("");
    machine.entries(1..=2);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(2).await;
    stop(receiver).await.unwrap();

    fs::write(machine.path("refuse"), "").unwrap();
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    assert!(machine.reason().await.contains("Failed to seek to cursor"));
    sink.wait_for_items(2).await;
    stop(receiver).await.unwrap();
    assert!(machine.arguments()[2].contains("--since=@1700000000.000002"));
}

#[tokio::test]
async fn what_is_no_entry_is_left_out() {
    let machine = Machine::new("max_log_size: 1KiB");
    let long = "x".repeat(5000);
    machine.lines(&[
        "-- Boot 0123 --".to_owned(),
        entry(2),
        "{\"__CURSOR\":".to_owned(),
        "\u{0}\u{1}\"".to_owned(),
        String::new(),
        format!(r#"{{"A":[1,2],"MESSAGE":"{long}","__CURSOR":"c6","__REALTIME_TIMESTAMP":"1"}}"#),
        entry(7),
    ]);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(3).await;
    stop(receiver).await.unwrap();
    let bodies = bodies(&sink);
    assert_eq!(bodies[0], "m2");
    assert!(
        long.starts_with(&bodies[1]) && bodies[1].len() > 900,
        "{}",
        bodies[1].len()
    );
    assert_eq!(bodies[2], "m7");
}

#[tokio::test]
async fn the_process_ends_with_the_receiver() {
    let machine = Machine::new("");
    machine.entries(1..=1);
    // The pipeline takes nothing: reading has stopped somewhere.
    let sink = RecordingSink::scripted([Answer::Hang]);
    let receiver = machine.start(&sink).await;
    eventually("the first batch", Duration::from_secs(10), async || {
        (sink.offered() == 1).then_some(())
    })
    .await;
    let pid = fs::read_to_string(machine.path("pid")).unwrap();
    stop(receiver).await.unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists());
}

#[tokio::test]
async fn the_first_start_at_the_end_is_remembered() {
    let machine = Machine::new("");
    let yaml = machine.yaml.replace("start_at: beginning", "start_at: end");
    let machine = Machine { yaml, ..machine };
    let sink = RecordingSink::new();
    for round in 0..2 {
        let receiver = machine.start(&sink).await;
        eventually("it runs", Duration::from_secs(10), async || {
            (machine.arguments().len() > round).then_some(())
        })
        .await;
        stop(receiver).await.unwrap();
    }
    let arguments = machine.arguments();
    assert!(arguments[0].contains("--since=@"), "{arguments:?}");
    // Nothing came in between, and the same moment still counts.
    assert_eq!(arguments[0], arguments[1]);
}

/// What an operator holds, or drops, counts like everything else: the cursor stays before the one and passes the other.
#[tokio::test]
async fn operators_keep_what_they_hold() {
    let machine = Machine::new(
        "operators:\n- {type: filter, expr: 'body == \"m1\"'}\n- {type: recombine, combine_field: body, combine_with: +, is_last_entry: 'body matches \"[05]$\"', force_flush_period: 60s}\n",
    );
    machine.entries(1..=6);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(1).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m2+m3+m4+m5"]);

    // The sixth entry was held.
    machine.entries(7..=10);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    eventually("the rest", Duration::from_secs(10), async || {
        bodies(&sink)
            .last()
            .is_some_and(|last| last.ends_with("m6+m7+m8+m9+m10"))
            .then_some(())
    })
    .await;
    stop(receiver).await.unwrap();

    // And now nothing is.
    let machine = Machine {
        yaml: machine.yaml.split("operators:").next().unwrap().to_owned(),
        ..machine
    };
    machine.entries(11..=11);
    let sink = RecordingSink::new();
    let receiver = machine.start(&sink).await;
    sink.wait_for_items(1).await;
    stop(receiver).await.unwrap();
    assert_eq!(bodies(&sink), ["m11"]);
}

/// The options are those of the real program, where the machine has one.
#[tokio::test]
async fn the_machines_own_journalctl_takes_the_options() {
    let Ok(version) = std::process::Command::new("journalctl")
        .arg("--version")
        .output()
    else {
        return;
    };
    assert!(version.status.success());
    let machine = Machine::new(
        "units: [ssh]\nidentifiers: [x]\nmatches: [{_UID: '1'}, {_UID: '2'}]\nmerge: true\nnamespace: ''\n",
    );
    let yaml = machine
        .yaml
        .lines()
        .filter(|line| !line.starts_with("journalctl_path"))
        .collect::<Vec<_>>()
        .join("\n");
    let yaml = format!("{yaml}\ndirectory: {}\n", machine.root.path().display());
    let sink = RecordingSink::new();
    let machine = Machine { yaml, ..machine };
    let receiver = machine.start(&sink).await;
    // It is well for five seconds, or fails at once.
    let condition = eventually("a verdict", Duration::from_secs(30), async || {
        machine
            .health
            .components()
            .into_iter()
            .map(|component| component.condition)
            .find(|condition| *condition != corten_component::Condition::Starting)
    })
    .await;
    stop(receiver).await.unwrap();
    assert_eq!(condition, corten_component::Condition::Ok);
}
