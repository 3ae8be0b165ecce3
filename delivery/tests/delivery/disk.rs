use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{ClientMetadata, Consumer, GrpcCode};

use crate::arrange::{Answer, Bench, Script, batch, queue};

const ON_DISK: &str = "{storage: file_storage, num_consumers: 2}";

/// Quick pauses: these tests live in real time, since threads do.
fn bench(yaml: &str, script: &Arc<Script>, directory: &Path) -> Bench {
    let retry = "{initial_interval: 20ms, max_interval: 20ms, max_elapsed_time: 1s}";
    let retry = corten_config::from_str(retry).unwrap();
    Bench::with(
        queue(yaml),
        retry,
        Duration::from_secs(5),
        script,
        directory,
    )
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory.join("queue"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_answered_survives_a_restart_and_comes_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let first = bench(ON_DISK, &script, directory.path());
    first.delivery.start().await.unwrap();
    let tenant = Arc::new(ClientMetadata::from_entries([("x-scope-orgid", "t")]));
    for number in 0..50 {
        let body = number.to_string();
        let batch = batch(&[&body]).with_metadata(Arc::clone(&tenant));
        first.delivery.consume(batch).await.unwrap();
    }
    assert!(first.metric("otelcol_exporter_queue_size") > 500);
    assert_eq!(first.metric("otelcol_exporter_queue_capacity"), 1 << 30);
    first.delivery.shutdown().await;
    assert_eq!(
        (first.sent(), first.failed()),
        (0, 0),
        "nothing is lost, nothing counted"
    );

    script.away(false);
    let yaml = "{storage: file_storage, num_consumers: 1}";
    let second = bench(yaml, &script, directory.path());
    second.delivery.start().await.unwrap();
    second.until("all", |bench| bench.sent() == 50).await;
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(script.all_taken(), expected);
    second.delivery.shutdown().await;

    let third = bench(ON_DISK, &script, directory.path());
    third.delivery.start().await.unwrap();
    assert_eq!(third.metric("otelcol_exporter_queue_size"), 0);
    third.delivery.shutdown().await;
    assert_eq!(script.all_taken().len(), 50, "nothing comes twice");
}

#[tokio::test]
async fn new_data_goes_through_while_the_backend_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    let bench = bench(ON_DISK, &script, directory.path());
    bench.delivery.start().await.unwrap();
    let mut calls = Vec::new();
    for number in 0..200 {
        let body = number.to_string();
        let delivery = Arc::clone(&bench.delivery);
        calls.push(async move { delivery.consume(batch(&[&body])).await });
    }
    for call in calls {
        call.await.unwrap();
    }
    bench.until("all", |bench| bench.sent() == 200).await;
    bench.delivery.shutdown().await;
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 0);
}

#[tokio::test]
async fn a_queue_on_disk_is_retried_without_end_whatever_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of(vec![Answer::Unavailable; 100]);
    let bench = bench(ON_DISK, &script, directory.path());
    bench.delivery.start().await.unwrap();
    bench.delivery.consume(batch(&["a"])).await.unwrap();
    bench.until("delivered", |bench| bench.sent() == 1).await;
    assert_eq!(bench.failed(), 0);
    bench.delivery.shutdown().await;
}

#[tokio::test]
async fn what_is_refused_for_good_leaves_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.poison("poison");
    let bench = bench(
        "{storage: file_storage, batch: {min_size: 3, flush_timeout: 50ms}}",
        &script,
        directory.path(),
    );
    bench.delivery.start().await.unwrap();
    for body in ["a", "poison", "b", "c"] {
        bench.delivery.consume(batch(&[body])).await.unwrap();
    }
    bench.until("the others", |bench| bench.sent() == 3).await;
    bench.until("counted", |bench| bench.failed() == 1).await;
    bench.delivery.shutdown().await;
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 0);
    assert_eq!(bench.metric("corten_exporter_rejected_items"), 1);
}

#[tokio::test]
async fn a_full_disk_queue_tells_its_senders_to_come_back_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let yaml = "{storage: file_storage, sizer: bytes, queue_size: 5000, num_consumers: 1}";
    let bench = bench(yaml, &script, directory.path());
    bench.delivery.start().await.unwrap();
    let body = "x".repeat(1000);
    let mut accepted = 0;
    let refused = loop {
        match bench.delivery.consume(batch(&[&body])).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(accepted < 100);
    };
    assert_eq!(accepted, 4);
    assert!(refused.is_retryable() && refused.delay().is_some());
    assert_eq!(refused.grpc_code(), GrpcCode::ResourceExhausted);
    assert_eq!(
        bench.metric("otelcol_exporter_enqueue_failed_log_records"),
        1
    );
    script.away(false);
    bench
        .until("drained", |bench| bench.sent() == accepted)
        .await;
    bench.delivery.consume(batch(&[&body])).await.unwrap();
    bench
        .until("again", |bench| bench.sent() == accepted + 1)
        .await;
    bench.delivery.shutdown().await;
}

#[tokio::test]
async fn blocked_senders_go_on_when_the_disk_has_room() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let yaml = "{storage: file_storage, sizer: bytes, queue_size: 3000, block_on_overflow: true}";
    let bench = bench(yaml, &script, directory.path());
    bench.delivery.start().await.unwrap();
    let body = "x".repeat(1000);
    for _ in 0..2 {
        bench.delivery.consume(batch(&[&body])).await.unwrap();
    }
    let blocked = bench.delivery.consume(batch(&[&body]));
    tokio::pin!(blocked);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut blocked)
            .await
            .is_err()
    );
    script.away(false);
    blocked.await.unwrap();
    bench.until("all", |bench| bench.sent() == 3).await;
    bench.delivery.shutdown().await;
}

#[tokio::test]
async fn a_damaged_record_costs_itself_and_a_torn_tail_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let first = bench(ON_DISK, &script, directory.path());
    first.delivery.start().await.unwrap();
    for number in 0..20 {
        first
            .delivery
            .consume(batch(&[&number.to_string()]))
            .await
            .unwrap();
    }
    first.delivery.shutdown().await;
    let name = files(directory.path())
        .into_iter()
        .find(|name| name.ends_with(".queue"))
        .unwrap();
    let path = directory.path().join("queue").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let tail = bytes[..60].to_vec();
    bytes.extend(tail);
    std::fs::write(&path, bytes).unwrap();

    script.away(false);
    let second = bench(ON_DISK, &script, directory.path());
    second.delivery.start().await.unwrap();
    second
        .until("all but one", |bench| bench.sent() == 19)
        .await;
    second.delivery.consume(batch(&["new"])).await.unwrap();
    second
        .until("the new one", |bench| bench.sent() == 20)
        .await;
    assert!(second.metric("corten_exporter_queue_damaged_bytes") > 0);
    assert_eq!(second.metric("corten_exporter_queue_damaged_records"), 1);
    second.delivery.shutdown().await;
}

#[tokio::test]
async fn the_queue_is_private_and_used_by_one_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([Answer::Hang]);
    let first = bench(ON_DISK, &script, directory.path());
    first.delivery.start().await.unwrap();
    first.delivery.consume(batch(&["a"])).await.unwrap();
    let queue = directory.path().join("queue");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&queue), 0o700);
    for name in files(directory.path()) {
        assert_eq!(mode(&queue.join(&name)), 0o600, "{name}");
    }
    let second = bench(ON_DISK, &script, directory.path());
    let error = second.delivery.start().await.unwrap_err().to_string();
    assert!(error.contains("in use by process"), "{error}");
    let shutdown = first.delivery.shutdown();
    drop(tokio::time::timeout(Duration::from_millis(10), shutdown).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flapping_backend_gets_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    let bench = Arc::new(bench(ON_DISK, &script, directory.path()));
    bench.delivery.start().await.unwrap();
    // More than is kept at hand, so that some is read back from the disk.
    let filler = "x".repeat(60_000);
    let mut senders = Vec::new();
    for sender in 0..4 {
        let (bench, filler) = (Arc::clone(&bench), filler.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own tasks")]
        senders.push(tokio::spawn(async move {
            for number in 0..60 {
                let body = format!("{sender}-{number}-{filler}");
                bench.delivery.consume(batch(&[&body])).await.unwrap();
                if number % 20 == 10 {
                    bench.script.away(sender % 2 == 0);
                }
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    script.away(false);
    bench.until("all", |bench| bench.sent() >= 240).await;
    let mut taken = script.all_taken();
    taken.sort();
    taken.dedup();
    assert_eq!((taken.len(), script.all_taken().len()), (240, 240));
    bench.delivery.shutdown().await;
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 0);
}
