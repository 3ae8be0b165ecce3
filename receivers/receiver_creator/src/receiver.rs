//! The creator's life: what runs is made the same as what is wanted, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    BoxError, Component, Context, Endpoint, Endpoints, Factories, Next, Observer, Receiver,
    async_trait,
};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::config::Config;
use crate::metadata::Instruments;
use crate::running::{Running, StartError};
use crate::wanted::{Planner, Wanted};

/// Endpoints whose receivers start and stop at once.
const AT_ONCE: usize = 16;
/// How long the shutdown of all of them may take; the pipeline's own deadline comes before.
const GRACE: Duration = Duration::from_secs(60);

/// Creates receivers while it runs.
pub(crate) struct ReceiverCreator {
    cx: Context,
    next: Next,
    observers: Vec<Arc<dyn Observer>>,
    planner: Planner,
    instruments: Instruments,
}

/// A receiver that an endpoint should have.
struct Created {
    wanted: Wanted,
    /// `None` when it could not be started. It is not tried again before something changes.
    running: Option<Running>,
}

/// An endpoint and what it has.
struct Known {
    endpoint: Arc<Endpoint>,
    created: Vec<Created>,
}

impl ReceiverCreator {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let observers = config.watch_observers.iter().map(|id| cx.observer(id));
        let observers = observers.collect::<Result<Vec<_>, _>>()?;
        let factories = cx.services().get::<Factories>();
        let known = factories.is_some();
        let planner = Planner::new(cx.id().clone(), config, factories.unwrap_or_default());
        if known {
            planner.check()?;
        }
        Ok(Self {
            instruments: Instruments::new(cx.meter(), cx.id()),
            cx,
            next,
            observers,
            planner,
        })
    }

    async fn run(&self, mut observed: Vec<watch::Receiver<Arc<Endpoints>>>) {
        let mut known = BTreeMap::new();
        let mut states = vec![Arc::default(); observed.len()];
        let stopping = self.cx.tasks().stopping();
        tokio::pin!(stopping);
        loop {
            for (state, observed) in states.iter_mut().zip(&mut observed) {
                *state = Arc::clone(&observed.borrow_and_update());
            }
            self.follow(&mut known, &states, AT_ONCE).await;
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = news(&mut observed) => {}
            }
        }
        // Nobody waits for others at the end.
        let all = known.len().max(1);
        self.follow(&mut known, &[], all).await;
    }

    /// Makes what runs the same as what these endpoints want, so many of them at once.
    async fn follow(
        &self,
        known: &mut BTreeMap<Arc<str>, Known>,
        states: &[Arc<Endpoints>],
        at_once: usize,
    ) {
        let now: BTreeMap<&Arc<str>, &Arc<Endpoint>> =
            states.iter().flat_map(|state| state.iter()).collect();
        let mut work = Vec::new();
        let gone: Vec<_> = known
            .keys()
            .filter(|id| !now.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            work.extend(known.remove(&id).map(|known| (None, known.created)));
        }
        for (id, endpoint) in now {
            let there = known.get(id);
            if there.is_some_and(|there| Arc::ptr_eq(&there.endpoint, endpoint)) {
                continue;
            }
            let there = known.remove(id).map(|known| known.created);
            work.push((Some(Arc::clone(endpoint)), there.unwrap_or_default()));
        }
        let work = work
            .into_iter()
            .map(|(endpoint, created)| self.change(endpoint, created));
        let mut done = futures_util::stream::iter(work).buffer_unordered(at_once);
        while let Some(changed) = done.next().await {
            if let Some(changed) = changed {
                known.insert(Arc::clone(&changed.endpoint.id), changed);
            }
        }
    }

    /// Stops what an endpoint no longer wants, then starts what it wants now. Without an endpoint nothing is wanted.
    async fn change(&self, endpoint: Option<Arc<Endpoint>>, before: Vec<Created>) -> Option<Known> {
        let (mut wanted, failed) = match &endpoint {
            Some(endpoint) => self.planner.of(endpoint),
            None => (Vec::new(), Vec::new()),
        };
        let mut created = Vec::new();
        for had in before {
            match wanted.iter().position(|wanted| *wanted == had.wanted) {
                Some(same) => {
                    wanted.swap_remove(same);
                    created.push(had);
                }
                None => {
                    let Some(running) = had.running else { continue };
                    tracing::info!(receiver = %had.wanted.id, "stopping a receiver");
                    running.stop().await;
                    self.instruments.stopped(had.wanted.id.component_type());
                }
            }
        }
        let endpoint = endpoint?;
        for failed in failed {
            let (receiver, error) = (failed.receiver, failed.error);
            self.instruments.failed(failed.kind);
            tracing::error!(endpoint = %endpoint.id, receiver, %error, "a receiver cannot be created");
        }
        for wanted in wanted {
            let running = self.start(&endpoint, &wanted).await;
            created.push(Created { wanted, running });
        }
        Some(Known { endpoint, created })
    }

    async fn start(&self, endpoint: &Endpoint, wanted: &Wanted) -> Option<Running> {
        if self.cx.tasks().is_stopping() {
            return None;
        }
        let factory = self.planner.factory(&wanted.id).ok()?;
        let started = Running::start(factory, wanted, &self.cx, &self.next);
        let receiver = &wanted.id;
        match started.await {
            Ok(running) => {
                let target = endpoint.target.as_str();
                tracing::info!(%receiver, target, "a receiver is created");
                self.instruments.started(receiver.component_type());
                Some(running)
            }
            Err(error @ StartError::NoPipeline) => {
                tracing::info!(%receiver, %error, "a receiver is not created");
                None
            }
            Err(error) => {
                tracing::error!(endpoint = %endpoint.id, %receiver, %error, "a receiver cannot be created");
                self.instruments.failed(receiver.component_type());
                None
            }
        }
    }
}

/// Waits until one of them has something new. One that is closed has not.
async fn news(observed: &mut [watch::Receiver<Arc<Endpoints>>]) {
    let all = observed.iter_mut().map(|observed| {
        Box::pin(async {
            if observed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    if all.len() == 0 {
        return std::future::pending().await;
    }
    futures_util::future::select_all(all).await;
}

#[async_trait]
impl Component for ReceiverCreator {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let observed = self.observers.iter().map(|observer| observer.endpoints());
        let observed = observed.collect();
        let creator = Arc::clone(&self);
        self.cx
            .tasks()
            .spawn("creator", async move { creator.run(observed).await });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.cx.tasks().shutdown(GRACE).await;
        Ok(())
    }
}

impl Receiver for ReceiverCreator {}
