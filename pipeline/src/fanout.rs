//! One batch to several consumers, without copying it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use corten_component::{Batch, Collection, ComponentId, Consumer, Refused, Tap, Tasks};
use futures_util::future::join_all;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// What stands at the end of one branch.
pub(crate) enum Branch {
    /// Another pipeline or a connector: everything goes there.
    Onward(Arc<dyn Consumer>),
    /// An exporter that sends: everything but what was collected for somebody in particular.
    Push(Arc<dyn Consumer>),
    /// An exporter that collects on demand: what others push, and what it asked for.
    Pull(ComponentId, Arc<dyn Consumer>),
}

impl Branch {
    /// The consumer, if this branch is meant to have the batch.
    fn takes(&self, batch: &Batch) -> Option<&Arc<dyn Consumer>> {
        match (self, &batch.collection) {
            (Self::Onward(next), _) => Some(next),
            (Self::Push(next), Collection::Pushed | Collection::Scheduled) => Some(next),
            (Self::Pull(_, next), Collection::Pushed) => Some(next),
            // What was demanded is handed over by `Demand::deliver`, not consumed.
            _ => None,
        }
    }
}

/// Awaits all branches. A branch that refused retryably is retried alone, so that the others do
/// not get the batch twice; what some branches refused for good is counted and the answer is still
/// `Ok`; `Err` only when no branch kept the batch.
///
/// While a branch is retried its caller waits. At shutdown a batch whose source can replay it is
/// refused, so that it comes again (to every branch: twice is better than never); for any other
/// batch the branch's share is counted as refused.
pub(crate) struct FanOut {
    branches: Vec<Branch>,
    /// Into the ring of recent telemetry, at the end of a pipeline.
    recent: Option<Tap>,
    refused: Counter<u64>,
    attributes: [KeyValue; 1],
    tasks: Tasks,
}

/// First and longest pause before a branch that refused is tried again alone.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl FanOut {
    /// `place` names the fan-out in metrics: a pipeline or a receiver. `tasks` tells when to stop
    /// retrying.
    pub(crate) fn new(branches: Vec<Branch>, place: &str, meter: &Meter, tasks: Tasks) -> Self {
        Self {
            branches,
            recent: None,
            refused: meter
                .u64_counter("corten_fanout_refused_items")
                .with_description(
                    "Number of items that one branch of a fan-out refused for good while another kept them",
                )
                .build(),
            attributes: [KeyValue::new("place", place.to_owned())],
            tasks,
        }
    }

    /// The same, offering what passes to the ring of recent telemetry.
    pub(crate) fn showing(mut self, recent: Tap) -> Self {
        self.recent = Some(recent);
        self
    }

    /// Retries one branch until it answers for good. `Err` when shutdown came first.
    async fn retry_alone(
        &self,
        next: &Arc<dyn Consumer>,
        mut refused: Refused,
    ) -> Result<(), Refused> {
        let (mut pause, longest) = BACKOFF;
        loop {
            if !refused.is_retryable() {
                self.count(&refused);
                return Ok(());
            }
            let wait = refused.delay().unwrap_or(pause).max(pause);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.tasks.stopping() => {
                    if refused.rest().replayable {
                        return Err(refused);
                    }
                    self.count(&refused);
                    return Ok(());
                }
            }
            pause = (pause * 2).min(longest);
            match next.consume(refused.into_rest()).await {
                Ok(()) => return Ok(()),
                Err(again) => refused = again,
            }
        }
    }

    fn count(&self, refused: &Refused) {
        let items = u64::try_from(refused.rest().items()).unwrap_or(u64::MAX);
        self.refused.add(items, &self.attributes);
        tracing::warn!(
            items,
            reason = %refused,
            "one branch refused telemetry for good that another branch kept"
        );
    }

    fn deliver_demanded(&self, batch: &Batch) {
        if let Collection::Demanded(demand) = &batch.collection {
            for branch in &self.branches {
                if let Branch::Pull(id, _) = branch
                    && id == demand.exporter()
                {
                    demand.deliver(batch.clone());
                }
            }
        }
    }
}

#[async_trait]
impl Consumer for FanOut {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.deliver_demanded(&batch);
        if let Some(recent) = &self.recent {
            recent.offer(&batch);
        }
        let mut taking = self
            .branches
            .iter()
            .filter_map(|branch| branch.takes(&batch));
        let Some(first) = taking.next() else {
            return Ok(());
        };
        let Some(second) = taking.next() else {
            return first.consume(batch).await;
        };
        let all: Vec<&Arc<dyn Consumer>> = [first, second].into_iter().chain(taking).collect();
        let outcomes = join_all(all.iter().map(|next| next.consume(batch.clone()))).await;

        if outcomes.iter().all(Result::is_err) {
            // Nobody kept anything. If one branch may take it later, the whole may come again.
            let mut refusals: Vec<Refused> = outcomes.into_iter().filter_map(Result::err).collect();
            let chosen = refusals
                .iter()
                .position(Refused::is_retryable)
                .unwrap_or_default();
            return Err(refusals.swap_remove(chosen).for_batch(batch));
        }
        let retries = all
            .into_iter()
            .zip(outcomes)
            .filter_map(|(next, outcome)| outcome.err().map(|refused| (next, refused)))
            .map(|(next, refused)| self.retry_alone(next, refused));
        for outcome in join_all(retries).await {
            outcome.map_err(|refused| refused.for_batch(batch.clone()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use corten_component::{Demand, Status};
    use corten_pdata::{Data, Signal};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Sink {
        answers: Mutex<Vec<Answer>>,
        calls: AtomicUsize,
    }

    #[derive(Clone, Copy)]
    enum Answer {
        Ok,
        Retry,
        Never,
    }

    /// Answers in the given order, then `Ok`.
    fn sink(answers: &[Answer]) -> Arc<Sink> {
        let mut answers = answers.to_vec();
        answers.reverse();
        Arc::new(Sink {
            answers: Mutex::new(answers),
            calls: AtomicUsize::default(),
        })
    }

    #[async_trait]
    impl Consumer for Sink {
        async fn consume(&self, batch: Batch) -> Result<(), Refused> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let answer = self.answers.lock().pop();
            match answer.unwrap_or(Answer::Ok) {
                Answer::Ok => Ok(()),
                Answer::Retry => Err(Refused::retryable(Status::UNAVAILABLE, batch, "later")),
                Answer::Never => Err(Refused::permanent(Status::INTERNAL, batch, "never")),
            }
        }
    }

    fn batch() -> Batch {
        Batch::new(Data::empty(Signal::Logs))
    }

    fn fan_out(sinks: &[&Arc<Sink>], tasks: &Tasks) -> FanOut {
        let branches = sinks
            .iter()
            .map(|sink| Branch::Push(Arc::clone(*sink) as Arc<dyn Consumer>))
            .collect();
        FanOut::new(branches, "test", &crate::no_meter(), tasks.clone())
    }

    fn calls(sink: &Arc<Sink>) -> usize {
        sink.calls.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_that_refuses_is_retried_alone() {
        let (good, slow) = (sink(&[]), sink(&[Answer::Retry, Answer::Retry]));
        let fan_out = fan_out(&[&good, &slow], &Tasks::new());
        fan_out.consume(batch()).await.unwrap();
        assert_eq!((calls(&good), calls(&slow)), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn one_branch_for_good_is_ok_all_branches_are_not() {
        let (good, bad) = (sink(&[]), sink(&[Answer::Never]));
        fan_out(&[&good, &bad], &Tasks::new())
            .consume(batch())
            .await
            .unwrap();
        assert_eq!(calls(&bad), 1);

        let (bad, later) = (sink(&[Answer::Never]), sink(&[Answer::Retry]));
        let refused = fan_out(&[&bad, &later], &Tasks::new())
            .consume(batch())
            .await
            .unwrap_err();
        assert!(refused.is_retryable(), "one of them may take it later");
        let (one, two) = (sink(&[Answer::Never]), sink(&[Answer::Never]));
        let refused = fan_out(&[&one, &two], &Tasks::new())
            .consume(batch())
            .await
            .unwrap_err();
        assert!(!refused.is_retryable());
    }

    #[tokio::test(start_paused = true)]
    async fn at_shutdown_what_can_be_replayed_is_refused() {
        let forever = [Answer::Retry; 50];
        let (good, dead) = (sink(&[]), sink(&forever));
        let tasks = Tasks::new();
        let fan_out = fan_out(&[&good, &dead], &tasks);
        let (outcome, ()) = tokio::join!(fan_out.consume(batch().replayable()), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            tasks.stop();
        });
        assert!(outcome.unwrap_err().is_retryable());
        fan_out.consume(batch()).await.unwrap();
    }

    #[tokio::test]
    async fn collections_reach_only_whom_they_were_made_for() {
        let (push, pull) = (sink(&[]), sink(&[]));
        let id: ComponentId = "prometheus".parse().unwrap();
        let fan_out = FanOut::new(
            vec![
                Branch::Push(Arc::clone(&push) as Arc<dyn Consumer>),
                Branch::Pull(id.clone(), Arc::clone(&pull) as Arc<dyn Consumer>),
            ],
            "test",
            &crate::no_meter(),
            Tasks::new(),
        );
        let mut scheduled = batch();
        scheduled.collection = Collection::Scheduled;
        fan_out.consume(scheduled).await.unwrap();
        assert_eq!((calls(&push), calls(&pull)), (1, 0));

        let demand = Demand::new(id);
        let mut demanded = batch();
        demanded.collection = Collection::Demanded(Arc::clone(&demand));
        fan_out.consume(demanded).await.unwrap();
        assert_eq!((calls(&push), calls(&pull)), (1, 0));
        assert_eq!(demand.take().len(), 1);

        fan_out.consume(batch()).await.unwrap();
        assert_eq!((calls(&push), calls(&pull)), (2, 1));
    }
}
