//! One receiver that was created, from its factory to its shutdown.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, CollectRequest, Consumer as _, Context, Create, Factory, Health, Next,
    Receiver, Source,
};
use corten_config::Problems;

use crate::enhance::enhance;
use crate::wanted::Wanted;

/// How long a start may take: it opens and binds, and connects to nobody.
const START: Duration = Duration::from_secs(10);
/// How long a receiver may deliver what it holds.
const STOP: Duration = Duration::from_secs(10);

/// A receiver that runs.
pub(crate) struct Running {
    cx: Context,
    receiver: Arc<dyn Receiver>,
}

/// A receiver does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// No pipeline wants what it brings: nothing is wrong.
    #[error("no pipeline of the creator takes what it brings")]
    NoPipeline,
    /// Its settings have errors.
    #[error("{0}")]
    Config(String),
    /// It cannot be made.
    #[error("{0}")]
    Create(BoxError),
    /// It does not start.
    #[error("it does not start: {0}")]
    Start(BoxError),
    /// It takes too long.
    #[error("it has not started within {START:?}")]
    Late,
}

impl Running {
    /// Reads the settings, makes the receiver and starts it. What it brings goes to `next`.
    pub(crate) async fn start(
        factory: &Factory,
        wanted: &Wanted,
        cx: &Context,
        next: &Next,
    ) -> Result<Self, StartError> {
        if !wanted.signals.iter().any(|signal| next.accepts(*signal)) {
            return Err(StartError::NoPipeline);
        }
        let next = enhance(next, &wanted.signals, &wanted.attributes);
        let mut problems = Problems::new();
        let prepared = factory.decode(&wanted.config, &mut problems);
        let create = match prepared.map(|prepared| prepared.create) {
            Some(Create::Receiver(create)) => create,
            _ => {
                let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return Err(StartError::Config(all.join("; ")));
            }
        };
        // A board of its own: a pod that does not answer is no reason to call the agent ill.
        let cx = cx.part(wanted.id.clone()).with_health(&Health::new());
        let receiver = create(cx.clone(), next.clone()).map_err(StartError::Create)?;
        let running = Self { cx, receiver };
        let started = Arc::clone(&running.receiver).start();
        let failed = match tokio::time::timeout(START, started).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(StartError::Start(error)),
            Err(_) => Some(StartError::Late),
        };
        if let Some(failed) = failed {
            running.stop().await;
            return Err(failed);
        }
        running.cx.health().ok();
        if let Some(source) = running.receiver.source() {
            running.collect(source, next);
        }
        Ok(running)
    }

    /// Collects from a receiver that scrapes, every `collection_interval`. What comes counts as pushed: exporters that
    /// collect on demand do not know of receivers that come and go.
    fn collect(&self, source: Arc<dyn Source>, next: Next) {
        let schedule = source.schedule();
        let timeout = if schedule.timeout.is_zero() {
            schedule.interval
        } else {
            schedule.timeout
        };
        let id = self.cx.id().clone();
        let work = async move {
            tokio::time::sleep(schedule.initial_delay).await;
            let mut ticks = tokio::time::interval(schedule.interval.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match source.collect(&CollectRequest::all(timeout)).await {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        if let Err(refused) = next.consume(Batch::new(data)).await {
                            tracing::warn!(
                                receiver = %id,
                                items = refused.rest().items(),
                                reason = %refused,
                                "collected metrics were refused; the next collection brings newer ones"
                            );
                        }
                    }
                    Err(error) => {
                        tracing::warn!(receiver = %id, %error, "nothing could be collected");
                    }
                }
            }
        };
        let stopping = self.cx.tasks().stopping();
        self.cx.tasks().spawn("collection schedule", async move {
            tokio::select! {
                () = work => {}
                () = stopping => {}
            }
        });
    }

    /// Shuts it down. What it still holds at the deadline is lost, and told.
    pub(crate) async fn stop(self) {
        let receiver = self.cx.id();
        self.cx.tasks().stop();
        match tokio::time::timeout(STOP, self.receiver.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%receiver, %error, "shutdown: something was left undone");
            }
            Err(_) => tracing::error!(
                %receiver,
                "shutdown: still busy at the deadline; what only its memory held is lost"
            ),
        }
        if !self.cx.tasks().shutdown(Duration::from_secs(1)).await {
            tracing::warn!(%receiver, "shutdown: tasks were still running at the deadline");
        }
    }
}
