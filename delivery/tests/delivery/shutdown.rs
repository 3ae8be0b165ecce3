use std::time::Duration;

use corten_component::{Consumer, GrpcCode};
use tokio::time::Instant;

use crate::arrange::{Answer, Bench, Script, batch, queue};

#[tokio::test(start_paused = true)]
async fn everything_queued_is_sent_before_the_end() {
    let script = Script::of([]);
    for yaml in [
        "{num_consumers: 1}",
        "{batch: {min_size: 1000, flush_timeout: 1h}}",
    ] {
        let bench = Bench::new(queue(yaml), &script);
        for body in ["a", "b", "c"] {
            bench.delivery.consume(batch(&[body])).await.unwrap();
        }
        bench.delivery.shutdown().await;
        assert_eq!((bench.sent(), bench.failed()), (3, 0), "{yaml}");
        let refused = bench.delivery.consume(batch(&["d"])).await.unwrap_err();
        assert!(refused.is_retryable());
        assert_eq!(refused.grpc_code(), GrpcCode::Unavailable);
        bench.delivery.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_next_attempt_gets_one_at_once() {
    let script = Script::of([Answer::WaitFor(Duration::from_secs(50))]);
    let bench = Bench::new(queue("{}"), &script);
    bench.delivery.consume(batch(&["a"])).await.unwrap();
    bench
        .until("an attempt", |bench| bench.script.attempts().len() == 1)
        .await;
    let started = Instant::now();
    bench.delivery.shutdown().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!((bench.sent(), bench.failed()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_is_counted_or_handed_back() {
    let script = Script::of([]);
    script.away(true);
    let bench = Bench::new(queue("{num_consumers: 2}"), &script);
    for body in ["a", "b", "c"] {
        bench.delivery.consume(batch(&[body, "x"])).await.unwrap();
    }
    let waiting = bench.delivery.consume(batch(&["replayed"]).replayable());
    let shutdown = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        bench.delivery.shutdown().await;
    };
    let (answer, ()) = tokio::join!(waiting, shutdown);
    assert!(answer.unwrap_err().is_retryable());
    assert_eq!((bench.sent(), bench.failed()), (0, 7));
    assert_eq!(
        script.attempts().len(),
        2 + 4,
        "everything got an attempt after the stop"
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_what_memory_holds_is_counted() {
    let script = Script::of(vec![Answer::Hang; 100]);
    let nowhere = std::path::Path::new("/nonexistent");
    let bench = Bench::with(
        queue("{num_consumers: 1}"),
        crate::arrange::steady(),
        Duration::ZERO,
        &script,
        nowhere,
    );
    for body in ["a", "b", "c"] {
        bench.delivery.consume(batch(&[body])).await.unwrap();
    }
    let waiting = bench.delivery.consume(batch(&["replayed"]).replayable());
    let shutdown = async {
        let limit = Duration::from_secs(10);
        assert!(
            tokio::time::timeout(limit, bench.delivery.shutdown())
                .await
                .is_err()
        );
    };
    let (answer, ()) = tokio::join!(waiting, shutdown);
    assert!(answer.unwrap_err().is_retryable());
    bench.until("counted", |bench| bench.failed() == 4).await;
    assert_eq!(bench.sent(), 0);
}
