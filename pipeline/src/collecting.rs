//! Scraping receivers: collected on demand by exporters, or on a schedule for those that push.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use corten_component::{
    Batch, BoxError, CollectRequest, Collection, ComponentId, Consumer, Demand, Feed, Source, Tasks,
};
use corten_pdata::Data;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

/// A source, collected at most once at a time for the same request.
pub(crate) struct Collector {
    id: ComponentId,
    source: Arc<dyn Source>,
    running: Mutex<HashMap<u64, (CollectRequest, Running)>>,
}

type Running = Shared<BoxFuture<'static, Result<Data, Arc<str>>>>;

impl Collector {
    pub(crate) fn new(id: ComponentId, source: Arc<dyn Source>) -> Arc<Self> {
        Arc::new(Self {
            id,
            source,
            running: Mutex::default(),
        })
    }

    /// Collects, or joins the collection for an equal request that is under way.
    async fn collect(self: &Arc<Self>, request: &CollectRequest) -> Result<Data, BoxError> {
        let (key, running) = self.join(request);
        let result = running.await;
        // Whoever comes next gets fresh values.
        self.running.lock().remove(&key);
        result.map_err(|reason| reason.to_string().into())
    }

    fn join(self: &Arc<Self>, request: &CollectRequest) -> (u64, Running) {
        let mut all = self.running.lock();
        // A collection that everybody stopped waiting for stands still: its values would be old.
        all.retain(|_, (_, running)| running.strong_count().is_some_and(|holders| holders > 1));
        for (key, (asked, running)) in &*all {
            if asked.asks_the_same(request) && running.peek().is_none() {
                return (*key, running.clone());
            }
        }
        let (source, asked) = (Arc::clone(&self.source), request.clone());
        let running: Running = async move {
            source
                .collect(&asked)
                .await
                .map_err(|error| Arc::from(error.to_string()))
        }
        .boxed()
        .shared();
        let key = all.keys().max().map_or(0, |last| last + 1);
        all.insert(key, (request.clone(), running.clone()));
        (key, running)
    }

    /// Collects every `interval` and sends what comes to `next`, until the tasks stop. A
    /// collection that takes longer than the interval makes the next one late, never two at once.
    pub(crate) fn run_on_schedule(self: Arc<Self>, next: Arc<dyn Consumer>, tasks: &Tasks) {
        let schedule = self.source.schedule();
        let stopping = tasks.stopping();
        let timeout = if schedule.timeout.is_zero() {
            schedule.interval
        } else {
            schedule.timeout
        };
        let work = async move {
            tokio::time::sleep(schedule.initial_delay).await;
            let mut ticks = tokio::time::interval(schedule.interval.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match self.collect(&CollectRequest::all(timeout)).await {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        let mut batch = Batch::new(data);
                        batch.collection = Collection::Scheduled;
                        if let Err(refused) = next.consume(batch).await {
                            tracing::warn!(
                                receiver = %self.id,
                                items = refused.rest().items(),
                                reason = %refused,
                                "collected metrics were refused; the next collection brings newer ones"
                            );
                        }
                    }
                    Err(error) => {
                        tracing::warn!(receiver = %self.id, %error, "nothing could be collected");
                    }
                }
            }
        };
        tasks.spawn("collection schedule", async move {
            tokio::select! {
                () = work => {}
                () = stopping => {}
            }
        });
    }
}

/// A collector behind the processors of one pipeline, as one exporter sees it.
pub(crate) struct PipelineFeed {
    pub(crate) collector: Arc<Collector>,
    pub(crate) entry: Arc<dyn Consumer>,
    pub(crate) exporter: ComponentId,
}

#[async_trait]
impl Feed for PipelineFeed {
    fn source(&self) -> &ComponentId {
        &self.collector.id
    }

    async fn collect(&self, request: &CollectRequest) -> Result<Vec<Batch>, BoxError> {
        let left = request.deadline.saturating_duration_since(Instant::now());
        let work = async {
            let data = self.collector.collect(request).await?;
            if data.is_empty() {
                return Ok(Vec::new());
            }
            let demand = Demand::new(self.exporter.clone());
            let mut batch = Batch::new(data);
            batch.collection = Collection::Demanded(Arc::clone(&demand));
            self.entry.consume(batch).await?;
            Ok(demand.take())
        };
        match tokio::time::timeout(left, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!(
                "receiver \"{}\" did not answer within {left:?}",
                self.collector.id
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use corten_component::Schedule;
    use corten_pdata::Signal;
    use futures_util::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Slow(AtomicUsize);

    #[async_trait]
    impl Source for Slow {
        fn schedule(&self) -> Schedule {
            Schedule::default()
        }

        async fn collect(&self, _request: &CollectRequest) -> Result<Data, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Data::empty(Signal::Metrics))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn simultaneous_scrapes_share_one_collection() {
        let source = Arc::new(Slow::default());
        let collector = Collector::new("node_exporter".parse().unwrap(), source.clone());
        let request = CollectRequest::all(Duration::from_secs(5));
        let scrapes = (0..10).map(|_| collector.collect(&request));
        for outcome in join_all(scrapes).await {
            outcome.unwrap();
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 1);
        collector.collect(&request).await.unwrap();
        assert_eq!(
            source.0.load(Ordering::Relaxed),
            2,
            "a later scrape reads again"
        );
        assert!(collector.running.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn different_requests_are_collected_apart() {
        let source = Arc::new(Slow::default());
        let collector = Collector::new("node_exporter".parse().unwrap(), source.clone());
        let all = CollectRequest::all(Duration::from_secs(5));
        let mut cpu = all.clone();
        cpu.include.push("cpu".to_owned());
        let (one, two) = tokio::join!(collector.collect(&all), collector.collect(&cpu));
        one.unwrap();
        two.unwrap();
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
    }
}
