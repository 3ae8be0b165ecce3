//! Full queues: who gives way, what is counted, and how many bytes there can be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corten_component::Consumer;

use crate::arrange::{Answer, Bench, Script, batch, queue};

fn on_disk(yaml: &str, script: &Arc<Script>, directory: &Path) -> Bench {
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

#[tokio::test]
async fn a_full_disk_queue_drops_its_oldest_by_choice_and_counts_every_item() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let yaml = "{storage: file_storage, max_bytes: 1MiB, overflow: drop_oldest, num_consumers: 2}";
    let bench = on_disk(yaml, &script, directory.path());
    bench.delivery.start().await.unwrap();
    let filler = "x".repeat(10_000);
    let mut bodies = Vec::new();
    for number in 0..400 {
        let body = format!("{number}-{filler}");
        // Two items each, so that records and items differ.
        bench.delivery.consume(batch(&[&body, "y"])).await.unwrap();
        assert!(bench.metric("otelcol_exporter_queue_size") <= 1 << 20);
        bodies.push(body);
    }
    assert_eq!(
        bench.metric("otelcol_exporter_enqueue_failed_log_records"),
        0
    );
    script.away(false);
    bench
        .until("drained", |bench| {
            bench.metric("otelcol_exporter_queue_size") == 0
                && bench.metric("otelcol_exporter_in_flight_requests") == 0
        })
        .await;
    bench.delivery.shutdown().await;
    let dropped = bench.metric("corten_exporter_queue_dropped_items");
    assert_eq!(
        bench.sent() + dropped,
        800,
        "every item is in one of the two"
    );
    assert_eq!(bench.failed(), dropped);
    assert!((500..720).contains(&dropped), "{dropped}");
    let newest = script.all_taken().into_iter().filter(|body| body != "y");
    let newest: Vec<String> = newest.collect();
    assert!(newest.contains(&bodies[399]) && newest.contains(&bodies[350]));
    // What the senders held came through, then only the newest, each once.
    let mut once = newest.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), newest.len());
}

#[tokio::test(start_paused = true)]
async fn a_full_memory_queue_drops_its_oldest_by_choice() {
    let script = Script::of([Answer::TakeAfter(Duration::from_secs(1))]);
    let yaml = "{queue_size: 3, overflow: drop_oldest, num_consumers: 1, wait_for_result: auto}";
    let bench = Bench::new(queue(yaml), &script);
    bench.delivery.consume(batch(&["under way"])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    for body in ["a", "b", "c", "d"] {
        bench.delivery.consume(batch(&[body])).await.unwrap();
    }
    bench.until("three", |bench| bench.sent() == 3).await;
    assert_eq!(script.all_taken(), ["under way", "c", "d"]);
    assert_eq!(bench.metric("corten_exporter_queue_dropped_items"), 2);
    assert_eq!(bench.failed(), 2);
    // Whoever waits hears of it and can send it again: nothing is lost.
    let waiting = Script::of([Answer::Hang]);
    let bench = Bench::new(queue(yaml), &waiting);
    bench.delivery.consume(batch(&["under way"])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let replayable = bench.delivery.consume(batch(&["r"]).replayable());
    let newer = async {
        for body in ["a", "b"] {
            tokio::time::sleep(Duration::from_millis(1)).await;
            bench.delivery.consume(batch(&[body])).await.unwrap();
        }
    };
    let (refused, ()) = tokio::join!(replayable, newer);
    assert!(refused.unwrap_err().is_retryable());
    assert_eq!(bench.metric("corten_exporter_queue_dropped_items"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_memory_queue_is_bounded_in_bytes_too() {
    let script = Script::of([Answer::Hang]);
    let bench = Bench::new(queue("{max_bytes: 10KiB}"), &script);
    let body = "x".repeat(3000);
    for _ in 0..3 {
        bench.delivery.consume(batch(&[&body])).await.unwrap();
    }
    let refused = bench.delivery.consume(batch(&[&body])).await.unwrap_err();
    assert!(refused.is_retryable() && refused.delay().is_some());
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 3);
}

/// One sync may gather others, but nobody waits long for company.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_one_after_the_other_do_not_wait_for_company() {
    for fsync in ["always", "100ms"] {
        let directory = tempfile::tempdir().unwrap();
        let script = Script::of([]);
        let yaml = format!("{{storage: file_storage, fsync: {fsync}}}");
        let bench = on_disk(&yaml, &script, directory.path());
        bench.delivery.start().await.unwrap();
        let begun = std::time::Instant::now();
        for number in 0..20 {
            bench
                .delivery
                .consume(batch(&[&number.to_string()]))
                .await
                .unwrap();
        }
        // A hundred milliseconds each would be two seconds, on top of what the disk takes.
        let took = begun.elapsed();
        bench.until("all", |bench| bench.sent() == 20).await;
        bench.delivery.shutdown().await;
        assert!(took < Duration::from_secs(10), "{fsync}: {took:?}");
    }
}
