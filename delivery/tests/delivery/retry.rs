use std::time::Duration;

use corten_component::{Condition, Consumer, GrpcCode};
use tokio::time::Instant;

use crate::arrange::{Answer, Bench, Script, batch, bodies, queue, steady};

fn gaps(script: &Script) -> Vec<u64> {
    let attempts = script.attempts();
    attempts
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_are_sent_again_after_growing_pauses() {
    let script = Script::of(vec![Answer::Unavailable; 6]);
    let bench = Bench::new(queue("{}"), &script);
    bench
        .delivery
        .consume(batch(&["a"]).replayable())
        .await
        .unwrap();
    assert_eq!(gaps(&script), [1, 2, 4, 8, 8, 8]);
    let attempts = script.attempts();
    assert!(attempts.iter().all(|(bytes, _)| *bytes == attempts[0].0));
    assert_eq!(script.encoded(), 1);
    assert_eq!((bench.sent(), bench.failed()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_servers_delay_counts_when_it_is_longer() {
    let script = Script::of([
        Answer::WaitFor(Duration::from_secs(30)),
        Answer::WaitFor(Duration::from_millis(1)),
    ]);
    let bench = Bench::new(queue("{}"), &script);
    bench
        .delivery
        .consume(batch(&["a"]).replayable())
        .await
        .unwrap();
    assert_eq!(gaps(&script), [30, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_made_again() {
    let script = Script::of([Answer::Hang]);
    let bench = Bench::new(queue("{}"), &script);
    bench
        .delivery
        .consume(batch(&["a"]).replayable())
        .await
        .unwrap();
    assert_eq!(gaps(&script), [5 + 1]);
}

#[tokio::test(start_paused = true)]
async fn answered_data_is_given_up_after_a_while_and_counted() {
    let script = Script::of([]);
    script.away(true);
    let bench = Bench::new(queue("{}"), &script);
    let started = Instant::now();
    bench.delivery.consume(batch(&["a", "b"])).await.unwrap();
    bench.until("given up", |bench| bench.failed() == 2).await;
    assert!(started.elapsed() <= Duration::from_secs(61));
    assert_eq!(bench.metric("otelcol_exporter_queue_size"), 0);
}

#[tokio::test(start_paused = true)]
async fn data_that_can_be_replayed_is_never_given_up() {
    let script = Script::of([]);
    script.away(true);
    let bench = Bench::new(queue("{}"), &script);
    let waiting = bench.delivery.consume(batch(&["a"]).replayable());
    tokio::pin!(waiting);
    let a_day = Duration::from_secs(86_400);
    assert!(tokio::time::timeout(a_day, &mut waiting).await.is_err());
    script.away(false);
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_sender_decides() {
    let script = Script::of([]);
    script.away(true);
    let mut retry = steady();
    retry.enabled = false;
    for yaml in ["{}", "{enabled: false}"] {
        let nowhere = std::path::Path::new("/nonexistent");
        let bench = Bench::with(queue(yaml), retry.clone(), Duration::ZERO, &script, nowhere);
        let refused = bench
            .delivery
            .consume(batch(&["a"]).replayable())
            .await
            .unwrap_err();
        assert!(refused.is_retryable());
        assert_eq!(refused.grpc_code(), GrpcCode::Unavailable);
        assert_eq!(bodies(&refused.rest().data), ["a"]);
        assert_eq!(bench.failed(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_sent_in_halves() {
    let script = Script::of([]);
    script.too_many(2);
    let bench = Bench::new(queue("{enabled: false}"), &script);
    bench
        .delivery
        .consume(batch(&["a", "b", "c", "d", "e"]))
        .await
        .unwrap();
    assert_eq!(script.all_taken(), ["a", "b", "c", "d", "e"]);
    assert!(script.taken().iter().all(|taken| taken.len() <= 2));
    script.too_many(0);
    let refused = bench
        .delivery
        .consume(batch(&["f", "g"]))
        .await
        .unwrap_err();
    assert!(!refused.is_retryable());
    assert_eq!(bodies(&refused.rest().data), ["f", "g"]);
    assert_eq!((bench.sent(), bench.failed()), (5, 2));
}

#[tokio::test(start_paused = true)]
async fn a_bad_segment_does_not_take_the_others_along() {
    let script = Script::of([]);
    script.poison("poison");
    let bench = Bench::new(queue("{enabled: false}"), &script);
    let mut merged = batch(&["a"]);
    merged
        .data
        .append(batch(&["poison", "beside"]).data)
        .unwrap();
    merged.data.append(batch(&["b"]).data).unwrap();
    let refused = bench.delivery.consume(merged).await.unwrap_err();
    assert_eq!(bodies(&refused.rest().data), ["poison", "beside"]);
    assert_eq!(script.all_taken(), ["a", "b"]);
    assert_eq!((bench.sent(), bench.failed()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_is_delivered_and_counted() {
    let script = Script::of([Answer::Partly(2)]);
    let bench = Bench::new(queue("{enabled: false}"), &script);
    bench
        .delivery
        .consume(batch(&["a", "b", "c"]))
        .await
        .unwrap();
    assert_eq!((bench.sent(), bench.failed()), (1, 2));
    assert_eq!(bench.metric("corten_exporter_rejected_items"), 2);
    assert_eq!(script.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_requests_of_a_batch_fail_alone() {
    let script = Script::of([Answer::Take, Answer::Never, Answer::Take]);
    script.per_request(1);
    let bench = Bench::new(queue("{enabled: false}"), &script);
    let refused = bench
        .delivery
        .consume(batch(&["a", "b", "c"]))
        .await
        .unwrap_err();
    assert_eq!(bodies(&refused.rest().data), ["b"]);
    assert_eq!(script.all_taken(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn health_means_delivering() {
    let script = Script::of(vec![Answer::Unavailable; 3]);
    let bench = Bench::new(queue("{}"), &script);
    let condition = |bench: &Bench| bench.health.components()[0].condition.clone();
    bench.delivery.consume(batch(&["a"])).await.unwrap();
    bench
        .until("failing", |bench| match condition(bench) {
            Condition::Failing { reason, .. } => reason == "test:1: nobody there",
            _ => false,
        })
        .await;
    bench
        .until("ok", |bench| condition(bench) == Condition::Ok)
        .await;
    assert_eq!(bench.sent(), 1);
}
