//! Gathering, sending, and waiting for answers.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Collection, Component, Consumer, Context, Processor, Refused, Status, Tasks,
    async_trait,
};
use corten_pdata::Data;
use futures_util::poll;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Config;
use crate::crowd::Crowds;
use crate::group::{Answer, Group, Key};
use crate::metadata::{Metrics, Trigger};

/// A batch that nothing was added to for this part of its timeout goes on.
const QUIET: u32 = 10;

/// The processor; a handle on what its timers share.
pub(crate) struct BatchProcessor(Arc<Shared>);

struct Shared {
    config: Config,
    timeout: Duration,
    next: Arc<dyn Consumer>,
    waiting: Mutex<Waiting>,
    /// Held from taking a group until the first poll of its `consume`, so that batches reach the
    /// next component in the order in which they were gathered, and are in flight side by side.
    order: tokio::sync::Mutex<()>,
    metrics: Metrics,
    tasks: Tasks,
}

#[derive(Default)]
struct Waiting {
    groups: Vec<(u64, Group)>,
    crowds: Crowds,
    /// Numbers groups, so that a timer never sends a later group with the same key.
    last: u64,
    closed: bool,
}

impl BatchProcessor {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature that a factory takes"
    )]
    pub(crate) fn create(
        cx: Context,
        config: Config,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, BoxError> {
        Ok(Self(Arc::new(Shared {
            timeout: config.timeout.into(),
            config,
            next,
            waiting: Mutex::default(),
            order: tokio::sync::Mutex::default(),
            metrics: Metrics::new(&cx),
            tasks: cx.tasks().clone(),
        })))
    }
}

impl Processor for BatchProcessor {}

#[async_trait]
impl Component for BatchProcessor {
    /// Sends what waits and returns when all of it is answered for.
    async fn shutdown(&self) -> Result<(), BoxError> {
        self.0.waiting.lock().closed = true;
        while let Some(number) = self.0.oldest() {
            self.0.send(number, Trigger::Shutdown).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for BatchProcessor {
    /// Resolves when every piece of this batch has been answered for downstream.
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        if batch.collection != Collection::Pushed || batch.data.is_empty() {
            // Somebody waits for exactly this, or there is nothing to gather.
            return self.0.next.consume(batch).await;
        }
        let mut pieces = Vec::new();
        let mut rest = Some(batch.data.clone());
        while let Some(data) = rest.take() {
            match self.0.gather(&batch, data) {
                Gathered::Waits { answer, full, left } => {
                    pieces.push(answer);
                    rest = left;
                    if let Some(number) = full {
                        self.0.send(number, Trigger::Size).await;
                    }
                }
                Gathered::NoRoom(data) => {
                    // Too many groups, or shutting down: the rest goes on by itself.
                    let outcome = self.0.next.consume(batch.with_data(data)).await;
                    return combine(&batch, pieces, Some(outcome)).await;
                }
            }
        }
        combine(&batch, pieces, None).await
    }
}

enum Gathered {
    /// The data waits in a group; what did not fit is left.
    Waits {
        answer: Answer,
        /// The group's number, when it should go on now.
        full: Option<u64>,
        left: Option<Data>,
    },
    /// No group can take it.
    NoRoom(Data),
}

impl Shared {
    /// Puts as much of `data` into its group as fits.
    fn gather(self: &Arc<Self>, batch: &Batch, mut data: Data) -> Gathered {
        let key = Key::of(batch, &self.config.metadata_keys);
        let mut waiting = self.waiting.lock();
        let waiting = &mut *waiting;
        let known = waiting
            .groups
            .iter()
            .position(|(_, group)| *group.key() == key);
        let index = match known {
            Some(index) => index,
            None if waiting.closed
                || waiting.groups.len() >= self.config.metadata_cardinality_limit.max(1) =>
            {
                return Gathered::NoRoom(data);
            }
            None => {
                waiting.last += 1;
                let number = waiting.last;
                waiting.groups.push((number, Group::new(key, batch)));
                self.start_timer(number);
                waiting.groups.len() - 1
            }
        };
        let Some((number, group)) = waiting.groups.get_mut(index) else {
            return Gathered::NoRoom(data);
        };
        let room = match self.config.send_batch_max_size {
            0 => usize::MAX,
            max => max.saturating_sub(group.items()).max(1),
        };
        let (fits, left) = if data.items() <= room {
            (data, None)
        } else {
            (data.take_items(room), Some(data))
        };
        let answer = group.add(fits, &batch.metadata);
        let everybody = waiting.crowds.came(group.key(), group.callers());
        let full = left.is_some()
            || self.timeout.is_zero()
            || group.items() >= self.config.send_batch_size
            || self.is_full(group);
        if everybody && !full {
            self.send_soon(*number);
        }
        Gathered::Waits {
            answer,
            full: full.then_some(*number),
            left,
        }
    }

    fn is_full(&self, group: &Group) -> bool {
        let max = self.config.send_batch_max_size;
        max > 0 && group.items() >= max
    }

    /// Sends the group when its first item has waited for the timeout, or when nothing has been
    /// added for a tenth of it: callers wait for their answers, so nothing more is likely to come
    /// from them until they have one.
    fn start_timer(self: &Arc<Self>, number: u64) {
        let shared = Arc::clone(self);
        let stopping = self.tasks.stopping();
        // Also without a timeout: the caller that should send the group may stop waiting first.
        let timeout = self.timeout.max(Duration::from_millis(1));
        let until = Instant::now() + timeout;
        let work = async move {
            while let Some(last) = shared.last_of(number) {
                let due = until.min(last + timeout / QUIET);
                if due <= Instant::now() {
                    shared.note_quiet(number, due < until);
                    return shared.send(number, Trigger::Timeout).await;
                }
                tokio::time::sleep_until(due).await;
            }
        };
        self.tasks.spawn("batch timeout", async move {
            tokio::select! {
                () = work => {}
                // Shutdown sends what waits.
                () = stopping => {}
            }
        });
    }

    /// Sends the group when everything that is ready now has been done: requests that have come already go with it.
    fn send_soon(self: &Arc<Self>, number: u64) {
        let shared = Arc::clone(self);
        self.tasks.spawn("batch", async move {
            tokio::task::yield_now().await;
            shared.send(number, Trigger::Timeout).await;
        });
    }

    /// Remembers how many callers a group has that nothing is added to any more.
    fn note_quiet(&self, number: u64, quiet: bool) {
        let mut waiting = self.waiting.lock();
        let Waiting { groups, crowds, .. } = &mut *waiting;
        if let Some((_, group)) = groups.iter().find(|(of, _)| *of == number)
            && quiet
        {
            crowds.quiet(group.key(), group.callers());
        }
    }

    /// When the last part of a group came; `None` when it has gone on.
    fn last_of(&self, number: u64) -> Option<Instant> {
        let waiting = self.waiting.lock();
        let mut groups = waiting.groups.iter();
        let (_, group) = groups.find(|(of, _)| *of == number)?;
        Some(group.last())
    }

    fn oldest(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        waiting.groups.first().map(|(number, _)| *number)
    }

    fn take(&self, number: u64) -> Option<Group> {
        let mut waiting = self.waiting.lock();
        let index = waiting.groups.iter().position(|(n, _)| *n == number)?;
        Some(waiting.groups.remove(index).1)
    }

    /// Sends a group, unless somebody else has done so. Returns when the next component has begun
    /// to take it; the answer is awaited in a task of its own, so that a caller which stops
    /// waiting takes nobody else's data along.
    async fn send(self: &Arc<Self>, number: u64, trigger: Trigger) {
        let order = self.order.lock().await;
        let Some(group) = self.take(number) else {
            return;
        };
        let Some(batch) = group.merged() else {
            return;
        };
        self.metrics.sent(trigger, batch.items(), batch.bytes_len());
        let shared = Arc::clone(self);
        let mut sending = Box::pin(async move {
            let outcome = shared.next.consume(batch).await;
            let (limit, callers) = (shared.config.metadata_cardinality_limit, group.callers());
            shared
                .waiting
                .lock()
                .crowds
                .answered(group.key(), callers, limit);
            group.settle(outcome, &shared.next).await;
        });
        let begun = poll!(sending.as_mut());
        drop(order);
        match begun {
            Poll::Ready(()) => {}
            Poll::Pending if trigger == Trigger::Shutdown => sending.await,
            Poll::Pending => self.tasks.spawn("batch in flight", sending),
        }
    }
}

/// One answer for the caller from those for its pieces: what was refused comes back as one batch.
async fn combine(
    batch: &Batch,
    pieces: Vec<Answer>,
    last: Option<Result<(), Refused>>,
) -> Result<(), Refused> {
    let mut refusal: Option<Refused> = None;
    let mut outcomes = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        outcomes.push(match piece.await {
            Ok(outcome) => outcome,
            // The task that would have answered is gone: the process is being torn down.
            Err(_) => Err(Refused::retryable(
                Status::UNAVAILABLE,
                batch.clone(),
                "shut down before the batch was answered for",
            )),
        });
    }
    outcomes.extend(last);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        refusal = Some(match refusal {
            None => refused,
            Some(first) => {
                let mut data = first.rest().data.clone();
                if data.append(refused.rest().data.clone()).is_err() {
                    return Err(first);
                }
                // If any piece may be taken later, the caller should try again with all.
                let rest = batch.with_data(data);
                if first.is_retryable() {
                    first.for_batch(rest)
                } else {
                    refused.for_batch(rest)
                }
            }
        });
    }
    refusal.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use corten_component::{ClientMetadata, Kind};
    use corten_pdata::Signal;
    use corten_pdata::build::LogsBuilder;
    use corten_testing::{Answer as Scripted, RecordingSink};

    use super::*;

    fn processor(yaml: &str, sink: &Arc<RecordingSink>) -> BatchProcessor {
        let config = corten_config::from_str(yaml).unwrap();
        let cx = Context::detached(Kind::Processor, "batch".parse().unwrap());
        BatchProcessor::create(cx, config, Arc::clone(sink) as _).unwrap()
    }

    /// A batch of `count` records whose bodies are `name 0`, `name 1`, …
    fn logs(name: &str, count: usize) -> Batch {
        let mut builder = LogsBuilder::new();
        builder.resource(|_| {});
        builder.scope("", "");
        for n in 0..count {
            builder.record(|record| {
                record.body_str(&format!("{name} {n}"));
            });
        }
        Batch::new(Data::Logs(builder.finish()))
    }

    fn bodies(batch: &Batch) -> Vec<String> {
        let Data::Logs(logs) = &batch.data else {
            panic!("not logs");
        };
        let records = logs
            .resources()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.records());
        records
            .map(|record| record.body().map(|body| body.to_text()).unwrap_or_default())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn batches_go_on_together_and_every_caller_waits_for_its_own() {
        let sink = RecordingSink::new();
        let batch = processor("{timeout: 1s, send_batch_size: 5}", &sink);
        let (a, b) = tokio::join!(batch.consume(logs("a", 2)), batch.consume(logs("b", 3)));
        a.unwrap();
        b.unwrap();
        let kept = sink.batches();
        assert_eq!(kept.len(), 1);
        assert_eq!(bodies(&kept[0]), ["a 0", "a 1", "b 0", "b 1", "b 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_nothing_is_added_to_goes_on_before_its_timeout() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 200ms", &sink);
        let begun = Instant::now();
        batch.consume(logs("a", 1)).await.unwrap();
        assert_eq!(begun.elapsed().as_millis(), 20);
        assert_eq!(sink.batches().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_wait_for_their_answers_do_not_wait_for_the_timeout() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 200ms", &sink);
        let begun = Instant::now();
        let callers = (0..16).map(|_| async {
            for _ in 0..50 {
                batch.consume(logs("a", 1)).await.unwrap();
            }
        });
        futures_util::future::join_all(callers).await;
        assert_eq!(sink.items(), 800);
        assert!(
            begun.elapsed() < Duration::from_millis(100),
            "{:?} for 50 rounds",
            begun.elapsed()
        );
        let sizes: Vec<_> = sink.batches().iter().map(Batch::items).collect();
        assert!(sizes.len() <= 60, "one batch a round: {sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_come_in_their_own_time_fill_batches() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 200ms", &sink);
        // A pause teaches how many there are; that must not make later batches small.
        for round in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = sink.batches().len();
            let callers = (0..100).map(|n| {
                let batch = &batch;
                async move {
                    tokio::time::sleep(Duration::from_millis(10 * n)).await;
                    batch.consume(logs("a", 1)).await.unwrap();
                }
            });
            futures_util::future::join_all(callers).await;
            let batches = sink.batches().len() - before;
            assert!(
                batches <= 7,
                "{batches} batches for a second, in round {round}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_counts_from_the_first_item() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 200ms", &sink);
        let begun = Instant::now();
        let steady = (0..30).map(|n| {
            let batch = &batch;
            async move {
                tokio::time::sleep(Duration::from_millis(15 * n)).await;
                batch.consume(logs("a", 1)).await.unwrap();
            }
        });
        let (_, first) = tokio::join!(futures_util::future::join_all(steady), async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            batch.consume(logs("b", 1)).await.unwrap();
            begun.elapsed()
        });
        assert_eq!(
            first.as_millis(),
            200,
            "always something new, but not for ever"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn larger_batches_are_cut_in_order() {
        let sink = RecordingSink::new();
        let batch = processor("{send_batch_size: 4, send_batch_max_size: 4}", &sink);
        batch.consume(logs("a", 10)).await.unwrap();
        let kept = sink.batches();
        assert_eq!(kept.iter().map(Batch::items).collect::<Vec<_>>(), [4, 4, 2]);
        let all: Vec<_> = kept.iter().flat_map(bodies).collect();
        assert_eq!(all, bodies(&logs("a", 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_comes_back_with_the_callers_own_data() {
        let sink = RecordingSink::scripted([Scripted::Retry(Status::UNAVAILABLE, None)]);
        let batch = processor("{timeout: 1s, send_batch_size: 5}", &sink);
        let (a, b) = tokio::join!(batch.consume(logs("a", 2)), batch.consume(logs("b", 3)));
        let (a, b) = (a.unwrap_err(), b.unwrap_err());
        assert!(a.is_retryable() && b.is_retryable());
        assert_eq!(bodies(a.rest()), ["a 0", "a 1"]);
        assert_eq!(bodies(b.rest()), ["b 0", "b 1", "b 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_poisoned_part_does_not_take_the_others_along() {
        let never = Scripted::Never(Status::INVALID_ARGUMENT);
        let sink = RecordingSink::scripted([never.clone(), never, Scripted::Keep]);
        let batch = processor("{timeout: 1s, send_batch_size: 5}", &sink);
        let (a, b) = tokio::join!(batch.consume(logs("a", 2)), batch.consume(logs("b", 3)));
        assert!(!a.unwrap_err().is_retryable());
        b.unwrap();
        assert_eq!(bodies(&sink.batches()[0]), ["b 0", "b 1", "b 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn different_senders_are_kept_apart() {
        let tenant = |name: &str| Arc::new(ClientMetadata::from_entries([("tenant", name)]));
        let sink = RecordingSink::new();
        let batch = processor("{timeout: 1s, send_batch_size: 100}", &sink);
        let (a, b, c, d) = tokio::join!(
            batch.consume(logs("a", 1).with_metadata(tenant("one"))),
            batch.consume(logs("b", 1).with_metadata(tenant("two"))),
            batch.consume(logs("c", 1).with_metadata(tenant("one"))),
            batch.consume(logs("d", 1).replayable()),
        );
        for outcome in [a, b, c, d] {
            outcome.unwrap();
        }
        let mut kept: Vec<_> = sink.batches().iter().map(bodies).collect();
        kept.sort();
        assert_eq!(kept, [vec!["a 0", "c 0"], vec!["b 0"], vec!["d 0"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_stops_waiting_takes_nobody_along() {
        let sink = RecordingSink::scripted([Scripted::After(Duration::from_secs(5))]);
        let batch = processor("{timeout: 1s, send_batch_size: 2}", &sink);
        let impatient =
            tokio::time::timeout(Duration::from_millis(500), batch.consume(logs("a", 1)));
        let (gone, b) = tokio::join!(impatient, batch.consume(logs("b", 1)));
        assert!(gone.is_err(), "the first caller gave up");
        b.unwrap();
        assert_eq!(bodies(&sink.batches()[0]), ["a 0", "b 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_sends_what_waits() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 1h", &sink);
        let (outcome, ()) = tokio::join!(batch.consume(logs("a", 3)), async {
            tokio::task::yield_now().await;
            batch.shutdown().await.unwrap();
        });
        outcome.unwrap();
        assert_eq!(sink.items(), 3);
        batch.consume(logs("late", 1)).await.unwrap();
        assert_eq!(
            sink.items(),
            4,
            "after shutdown batches pass straight through"
        );
    }

    #[tokio::test]
    async fn what_was_demanded_does_not_wait() {
        let sink = RecordingSink::new();
        let batch = processor("timeout: 1h", &sink);
        let mut demanded = Batch::new(Data::empty(Signal::Metrics));
        demanded.collection =
            Collection::Demanded(corten_component::Demand::new("prometheus".parse().unwrap()));
        batch.consume(demanded).await.unwrap();
        assert_eq!(sink.batches().len(), 1);
    }

    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(crate::factory(), "timeout: 1s").await;
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let problems = corten_config::from_str::<Config>(
            "{send_batch_size: 10, send_batch_max_size: 5, metadata_keys: [a, A]}",
        )
        .unwrap_err()
        .to_string();
        assert!(
            problems.contains("send_batch_max_size must be greater or equal to send_batch_size"),
            "{problems}"
        );
        assert!(
            problems.contains("duplicate entry in metadata_keys"),
            "{problems}"
        );
    }
}
