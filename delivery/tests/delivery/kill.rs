//! What was answered survives SIGKILL.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use corten_component::Consumer;

use crate::arrange::{Bench, Script, batch, queue, steady};

const DIRECTORY: &str = "CORTEN_TEST_QUEUE";
const QUEUE: &str = "{storage: file_storage, num_consumers: 1}";

fn bench(script: &std::sync::Arc<Script>, directory: &Path) -> Bench {
    Bench::with(
        queue(QUEUE),
        steady(),
        Duration::from_secs(5),
        script,
        directory,
    )
}

/// The process that is killed: queues numbered records and says which were answered. Does nothing as a plain test.
#[tokio::test]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let script = Script::of([]);
    script.away(true);
    let bench = bench(&script, Path::new(&directory));
    bench.delivery.start().await.unwrap();
    let mut out = std::io::stdout();
    for number in 0u64.. {
        let body = format!("{}-{number}", std::process::id());
        bench.delivery.consume(batch(&[&body])).await.unwrap();
        writeln!(out, "\nanswered {body}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = 20 + round * 7;
        let mut count = 0;
        let mut note = |line: String| {
            if let Some(body) = line.strip_prefix("answered ") {
                answered.push(body.to_owned());
                count += 1;
            }
            count
        };
        for line in &mut lines {
            if note(line.unwrap()) == enough {
                break;
            }
        }
        child.kill().unwrap();
        for line in lines {
            note(line.unwrap());
        }
        child.wait().unwrap();
        assert!(count >= enough);
    }
    let script = Script::of([]);
    let bench = bench(&script, directory.path());
    bench.delivery.start().await.unwrap();
    let expected = answered.len();
    bench
        .until("everything", |bench| {
            bench.sent() >= i64::try_from(expected).unwrap()
        })
        .await;
    bench.delivery.shutdown().await;
    let taken = script.all_taken();
    // A record may have been synced without its answer having been seen: never the other way round.
    let kept: Vec<&String> = taken
        .iter()
        .filter(|body| answered.contains(body))
        .collect();
    assert_eq!(
        kept,
        answered.iter().collect::<Vec<_>>(),
        "all of it, in order"
    );
    assert!(taken.len() <= expected + 5, "one more a kill at most");
}
