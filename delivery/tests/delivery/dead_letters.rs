//! What is refused for good is kept, shown, sent again, thrown away; never without bound.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corten_component::Consumer;
use corten_delivery::queues::{self, Content, Place};

use crate::arrange::{Bench, Script, batch, bodies, queue};

fn bench(yaml: &str, script: &Arc<Script>, root: &Path) -> Bench {
    let retry = "{initial_interval: 20ms, max_interval: 20ms, max_elapsed_time: 1s}";
    let retry = corten_config::from_str(retry).unwrap();
    let directory = root.join("exporter_test_");
    Bench::with(
        queue(yaml),
        retry,
        Duration::from_secs(5),
        script,
        &directory,
    )
}

const YAML: &str = "{storage: file_storage, num_consumers: 1, dead_letters: {max_bytes: 1MiB},
    batch: {min_size: 3, flush_timeout: 50ms}}";

fn place(root: &Path, content: Content) -> Place {
    queues::places(root)
        .unwrap()
        .into_iter()
        .find(|place| place.content == content)
        .unwrap()
}

fn shown(place: &Place) -> Vec<(String, Option<String>)> {
    let mut shown = Vec::new();
    place
        .entries(|entry| {
            let body = bodies(&entry.batch.unwrap().data).join(",");
            shown.push((body, entry.refused.map(|(reason, _)| reason)));
            true
        })
        .unwrap();
    shown
}

#[tokio::test]
async fn a_poison_record_becomes_a_letter_and_can_be_sent_again() {
    let root = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.poison("poison");
    let first = bench(YAML, &script, root.path());
    first.delivery.start().await.unwrap();
    for body in ["a", "poison", "b"] {
        first.delivery.consume(batch(&[body])).await.unwrap();
    }
    first
        .until("all", |bench| {
            bench.sent() == 2 && bench.metric("otelcol_exporter_queue_size") == 0
        })
        .await;
    assert_eq!(first.metric("corten_exporter_dead_letters_items"), 1);

    // Beside the running agent: looking works, changing does not.
    let letters = place(root.path(), Content::DeadLetters);
    assert_eq!(letters.exporter, "exporter_test_");
    let summary = letters.summary().unwrap();
    assert_eq!((summary.records, summary.items, summary.damaged), (1, 1, 0));
    assert_eq!(
        shown(&letters),
        [("poison".to_owned(), Some("bad".to_owned()))]
    );
    let error = letters.retry(None).unwrap_err().to_string();
    assert!(error.contains("in use by process"), "{error}");
    assert!(letters.discard(None).is_err());
    first.delivery.shutdown().await;

    assert_eq!(letters.retry(None).unwrap(), 1);
    assert_eq!(letters.summary().unwrap().records, 0);
    let waiting = place(root.path(), Content::Queue);
    assert_eq!(shown(&waiting), [("poison".to_owned(), None)]);
    assert!(waiting.retry(None).is_err(), "a queue is sent anyway");

    // The backend has changed its mind.
    script.poison("nothing");
    let second = bench(YAML, &script, root.path());
    second.delivery.start().await.unwrap();
    second.until("sent", |bench| bench.sent() == 1).await;
    second.delivery.shutdown().await;
    let mut taken = script.all_taken();
    taken.sort();
    assert_eq!(taken, ["a", "b", "poison"]);
}

#[tokio::test]
async fn letters_are_bounded_the_oldest_go_and_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let filler = "x".repeat(20_000);
    let script = Script::of(vec![crate::arrange::Answer::Never; 200]);
    let yaml = "{storage: file_storage, num_consumers: 1, dead_letters: {max_bytes: 1MiB}}";
    let bench = bench(yaml, &script, root.path());
    bench.delivery.start().await.unwrap();
    for number in 0..100 {
        let body = format!("{number}-{filler}");
        bench.delivery.consume(batch(&[&body])).await.unwrap();
    }
    bench.until("all", |bench| bench.failed() == 100).await;
    bench.delivery.shutdown().await;
    let letters = place(root.path(), Content::DeadLetters);
    let kept = letters.summary().unwrap();
    let dropped = bench.metric("corten_exporter_dead_letters_dropped_items");
    assert_eq!(i64::try_from(kept.items).unwrap() + dropped, 100);
    assert!(kept.bytes <= 1 << 20 && kept.items > 40, "{kept:?}");
    assert!(shown(&letters).last().unwrap().0.starts_with("99-"));

    let mut numbers = Vec::new();
    letters
        .entries(|entry| {
            numbers.push(entry.number);
            true
        })
        .unwrap();
    assert_eq!(letters.discard(Some(numbers[9])).unwrap(), 10);
    assert_eq!(letters.summary().unwrap().records, kept.records - 10);
    assert_eq!(letters.discard(None).unwrap(), kept.records - 10);
    assert_eq!(letters.summary().unwrap().records, 0);
}

#[tokio::test]
async fn a_queue_can_be_looked_at_while_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let script = Script::of([]);
    script.away(true);
    let bench = bench(YAML, &script, root.path());
    bench.delivery.start().await.unwrap();
    for number in 0..50 {
        bench
            .delivery
            .consume(batch(&[&number.to_string()]))
            .await
            .unwrap();
    }
    let waiting = place(root.path(), Content::Queue);
    let summary = waiting.summary().unwrap();
    assert_eq!((summary.records, summary.damaged), (50, 0));
    assert!(summary.oldest.unwrap().elapsed().unwrap() < Duration::from_secs(60));
    let expected: Vec<_> = (0..50).map(|number| (number.to_string(), None)).collect();
    assert_eq!(shown(&waiting), expected);
    bench.delivery.shutdown().await;
    assert_eq!(shown(&waiting), expected, "nothing was changed by it");
}
