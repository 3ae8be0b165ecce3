//! The limiter in a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, ComponentId, Consumer, Context, Processor, Refused, Status,
    async_trait,
};
use parking_lot::Mutex;

use crate::config::Config;
use crate::limiter::Limiter;
use crate::memory;
use crate::metadata::Metrics;

/// The limiters of a run, by id: pipelines that name the same one share it.
#[derive(Default)]
struct Limiters(Mutex<BTreeMap<ComponentId, Arc<Limiter>>>);

/// One pipeline's share of a limiter.
pub(crate) struct MemoryLimiter {
    limiter: Arc<Limiter>,
    next: Arc<dyn Consumer>,
    metrics: Metrics,
    id: ComponentId,
}

impl MemoryLimiter {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature that a factory takes"
    )]
    pub(crate) fn create(
        cx: Context,
        config: Config,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, BoxError> {
        let limiters = cx.services().get_or_insert_with(Limiters::default);
        let mut limiters = limiters.0.lock();
        let limiter = limiters.entry(cx.id().clone()).or_insert_with(|| {
            Arc::new(Limiter::new(
                config.limits(memory::total),
                config.check_interval.into(),
                memory::resident,
            ))
        });
        Ok(Self {
            limiter: Arc::clone(limiter),
            next,
            metrics: Metrics::new(&cx),
            id: cx.id().clone(),
        })
    }

    fn say(&self, refusing: bool, used: u64, limit: u64) {
        match self.limiter.note(refusing) {
            Some(true) => tracing::warn!(
                processor = %self.id,
                used_mib = used >> 20,
                limit_mib = limit >> 20,
                "memory is short: telemetry is refused until some is free; senders try again"
            ),
            Some(false) => {
                tracing::info!(processor = %self.id, "memory is no longer short: telemetry is taken again");
            }
            None => {}
        }
    }
}

impl Component for MemoryLimiter {}

impl Processor for MemoryLimiter {}

#[async_trait]
impl Consumer for MemoryLimiter {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let bytes = u64::try_from(batch.bytes_len()).unwrap_or(u64::MAX);
        match self.limiter.admit(bytes) {
            Ok(_admitted) => {
                self.say(false, 0, 0);
                self.metrics.accepted(&batch);
                self.next.consume(batch).await
            }
            Err(estimate) => {
                self.say(true, estimate.used, estimate.limit);
                self.metrics.refused(&batch);
                let delay = self.limiter.come_back_after();
                Err(Refused::retryable(
                    Status::UNAVAILABLE,
                    batch,
                    "data refused due to high memory usage",
                )
                .after(delay))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_component::Kind;
    use corten_pdata::{Data, Signal};
    use corten_testing::RecordingSink;

    use super::*;

    #[tokio::test]
    async fn a_process_over_its_limit_refuses_with_a_time_to_come_back() {
        // More than the limit, whatever else the test's process has.
        let ballast = vec![1u8; 4 << 20];
        let sink = RecordingSink::new();
        let config = corten_config::from_str("{check_interval: 1s, limit_mib: 1}").unwrap();
        let cx = Context::detached(Kind::Processor, "memory_limiter".parse().unwrap());
        let limiter = MemoryLimiter::create(cx, config, Arc::clone(&sink) as _).unwrap();
        let refused = limiter
            .consume(Batch::new(Data::empty(Signal::Logs)))
            .await
            .unwrap_err();
        assert!(refused.is_retryable() && refused.delay().is_some());
        assert_eq!(refused.http_status(), 503);
        assert_eq!(refused.to_string(), "data refused due to high memory usage");
        assert_eq!(sink.offered(), 0);
        drop(std::hint::black_box(ballast));
    }

    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(crate::factory(), "{check_interval: 1s, limit_mib: 512}").await;
    }
}
