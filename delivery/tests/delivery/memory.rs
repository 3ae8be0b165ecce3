use std::sync::Arc;
use std::time::Duration;

use corten_component::{ClientMetadata, Consumer, GrpcCode};
use tokio::time::Instant;

use crate::arrange::{Answer, Bench, Script, batch, queue};

#[tokio::test(start_paused = true)]
async fn data_without_a_replay_is_answered_when_it_is_queued() {
    let script = Script::of([Answer::TakeAfter(Duration::from_secs(3))]);
    let bench = Bench::new(queue("{}"), &script);
    let started = Instant::now();
    bench.delivery.consume(batch(&["a", "b"])).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 1);
    assert_eq!(bench.metric("otelcol_exporter_queue_capacity"), 1000);
    bench.until("taken", |bench| bench.sent() == 2).await;
    assert_eq!(script.all_taken(), ["a", "b"]);
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 0);
    assert_eq!(bench.metric("otelcol_exporter_in_flight_requests"), 0);
}

#[tokio::test(start_paused = true)]
async fn data_with_a_replay_is_answered_when_it_is_delivered() {
    for yaml in ["{}", "{wait_for_result: true}", "{enabled: false}"] {
        let script = Script::of([Answer::TakeAfter(Duration::from_secs(3))]);
        let bench = Bench::new(queue(yaml), &script);
        let started = Instant::now();
        bench
            .delivery
            .consume(batch(&["a"]).replayable())
            .await
            .unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(3), "{yaml}");
        assert_eq!(bench.sent(), 1);
    }
    let bench = Bench::new(
        queue("{wait_for_result: false}"),
        &Script::of([Answer::Hang]),
    );
    bench
        .delivery
        .consume(batch(&["a"]).replayable())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backlog_slows_its_senders_down_for_a_moment() {
    let large = "x".repeat(9 << 20);
    for (answer, expected) in [
        (Answer::TakeAfter(Duration::from_millis(30)), 30),
        (Answer::Hang, 100),
    ] {
        let script = Script::of([answer]);
        let bench = Bench::new(queue("{}"), &script);
        let started = Instant::now();
        bench.delivery.consume(batch(&[&large])).await.unwrap();
        let elapsed = started.elapsed().as_millis();
        assert!((expected..=expected + 2).contains(&elapsed), "{elapsed} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_tells_its_senders_to_come_back() {
    let script = Script::of([Answer::Hang]);
    let bench = Bench::new(
        queue("{queue_size: 3, sizer: items, num_consumers: 1}"),
        &script,
    );
    bench.delivery.consume(batch(&["a", "b"])).await.unwrap();
    bench.delivery.consume(batch(&["c"])).await.unwrap();
    let refused = bench
        .delivery
        .consume(batch(&["d", "e"]))
        .await
        .unwrap_err();
    assert!(refused.is_retryable() && refused.delay().is_some());
    assert_eq!(refused.grpc_code(), GrpcCode::ResourceExhausted);
    assert_eq!(refused.rest().items(), 2);
    assert_eq!(refused.to_string(), "sending queue is full");
    assert_eq!(
        bench.metric("otelcol_exporter_enqueue_failed_log_records"),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_queue_gets_in_when_it_is_empty() {
    let bench = Bench::new(queue("{queue_size: 1, sizer: items}"), &Script::of([]));
    bench
        .delivery
        .consume(batch(&["a", "b", "c"]))
        .await
        .unwrap();
    bench.until("taken", |bench| bench.sent() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn senders_wait_for_room_where_that_is_asked_for() {
    let script = Script::of([Answer::TakeAfter(Duration::from_secs(2))]);
    let bench = Bench::new(queue("{queue_size: 1, block_on_overflow: true}"), &script);
    let started = Instant::now();
    bench.delivery.consume(batch(&["a"])).await.unwrap();
    bench.delivery.consume(batch(&["b"])).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_does_not_hold_up_the_others() {
    let script = Script::of([Answer::Hang]);
    let bench = Bench::new(queue("{num_consumers: 2}"), &script);
    for body in ["slow", "b", "c", "d"] {
        bench.delivery.consume(batch(&[body])).await.unwrap();
    }
    bench.until("the others", |bench| bench.sent() == 3).await;
    assert_eq!(script.all_taken(), ["b", "c", "d"]);
    assert_eq!(bench.metric("otelcol_exporter_in_flight_requests"), 1);
}

#[tokio::test(start_paused = true)]
async fn small_batches_are_put_together_and_large_ones_cut() {
    let script = Script::of([]);
    let yaml = "{batch: {min_size: 3, max_size: 4, flush_timeout: 1s}}";
    let bench = Bench::new(queue(yaml), &script);
    let started = Instant::now();
    bench.delivery.consume(batch(&["a", "b"])).await.unwrap();
    bench.delivery.consume(batch(&["c"])).await.unwrap();
    bench.until("full", |bench| bench.sent() == 3).await;
    assert!(started.elapsed() < Duration::from_millis(100));
    let five: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let five: Vec<&str> = five.iter().map(String::as_str).collect();
    bench.delivery.consume(batch(&five)).await.unwrap();
    bench.until("cut", |bench| bench.sent() == 12).await;
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "the last one waited for others"
    );
    assert_eq!(
        script.taken().iter().map(Vec::len).collect::<Vec<_>>(),
        [3, 4, 4, 1]
    );
    assert_eq!(script.all_taken().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn what_differs_in_provenance_is_never_put_together() {
    let script = Script::of([]);
    let bench = Bench::new(queue("{batch: {min_size: 10, flush_timeout: 1s}}"), &script);
    let tenant = Arc::new(ClientMetadata::from_entries([("x-scope-orgid", "t")]));
    for round in ["1", "2"] {
        bench.delivery.consume(batch(&[round])).await.unwrap();
        bench
            .delivery
            .consume(batch(&[round]).with_metadata(Arc::clone(&tenant)))
            .await
            .unwrap();
        let delivery = Arc::clone(&bench.delivery);
        let (round, _) = (round.to_owned(), ());
        let waiting = async move { delivery.consume(batch(&[&round]).replayable()).await };
        drop(tokio::time::timeout(Duration::from_millis(1), waiting).await);
    }
    bench.until("all", |bench| bench.sent() == 6).await;
    assert_eq!(script.taken().len(), 3);
    assert!(script.taken().iter().all(|taken| taken == &["1", "2"]));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_waiting_loses_nobodys_data() {
    let script = Script::of([Answer::TakeAfter(Duration::from_secs(10))]);
    let bench = Bench::new(queue("{batch: {min_size: 2, flush_timeout: 1s}}"), &script);
    let impatient = bench.delivery.consume(batch(&["impatient"]).replayable());
    assert!(
        tokio::time::timeout(Duration::from_millis(5), impatient)
            .await
            .is_err()
    );
    bench
        .delivery
        .consume(batch(&["patient"]).replayable())
        .await
        .unwrap();
    assert_eq!(script.taken(), [["impatient", "patient"]]);
}

#[tokio::test(start_paused = true)]
async fn in_a_merged_request_only_the_bad_piece_is_refused() {
    let script = Script::of([]);
    script.poison("poison");
    let bench = Bench::new(queue("{batch: {min_size: 3, flush_timeout: 1s}}"), &script);
    let answers = futures_join(&bench, ["a", "poison", "b"]).await;
    assert_eq!(answers, [true, false, true]);
    assert_eq!(script.all_taken(), ["a", "b"]);
    assert_eq!((bench.sent(), bench.failed()), (2, 1));
    assert_eq!(bench.metric("corten_exporter_rejected_items"), 1);
}

async fn futures_join(bench: &Bench, all: [&str; 3]) -> [bool; 3] {
    let [a, b, c] = all.map(|body| bench.delivery.consume(batch(&[body]).replayable()));
    let (a, b, c) = tokio::join!(a, b, c);
    if let Err(refused) = &b {
        assert!(!refused.is_retryable());
        assert_eq!(crate::arrange::bodies(&refused.rest().data), ["poison"]);
    }
    [a.is_ok(), b.is_ok(), c.is_ok()]
}
