//! The ring of the moment, and what happens when it changes.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use corten_component::{Batch, BoxError, Context, Refused, Status};
use corten_delivery::{SendError, Sent};
use corten_pdata::Data;
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::{Config, Otlp};
use crate::metadata::Metrics;
use crate::ring::Ring;
use crate::route::Router;

/// How often one batch is dealt out anew because the ring changed meanwhile.
const TRIES: usize = 8;
/// The pauses between two offers of what a backend held that is gone.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long shutdown waits for what is being dealt out anew before it ends those who would take it.
const DEAL_OUT: Duration = Duration::from_secs(3);

/// Who is there.
#[derive(Default)]
struct State {
    ring: Ring,
    /// In the order that the ring counts them.
    backends: Vec<Arc<Backend>>,
}

/// Deals batches out to the backends of the moment.
pub(crate) struct Balancer {
    me: Weak<Self>,
    cx: Context,
    settings: Otlp,
    router: Router,
    state: RwLock<Arc<State>>,
    pub(crate) metrics: Metrics,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Those that have left and still deal out what they hold.
    leaving: TaskTracker,
    stopped: CancellationToken,
    told: Mutex<Option<Instant>>,
}

/// What was not kept of a batch.
struct Rest {
    batch: Batch,
    refused: Refused,
}

impl Balancer {
    pub(crate) fn new(cx: &Context, config: &Config) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            cx: cx.clone(),
            settings: config.protocol.otlp.clone(),
            router: Router::new(config.routing_key, &config.routing_attributes),
            state: RwLock::default(),
            metrics: Metrics::new(cx),
            changing: tokio::sync::Mutex::default(),
            leaving: TaskTracker::new(),
            stopped: CancellationToken::new(),
            told: Mutex::new(None),
        })
    }

    /// Takes note of who is there now. Those that are new begin, those that are not there any more deal out what
    /// they hold.
    ///
    /// # Errors
    ///
    /// The settings do not make a client of a name; the ring stays as it was.
    pub(crate) async fn change(
        &self,
        resolver: &'static str,
        mut names: Vec<String>,
    ) -> Result<(), BoxError> {
        names.sort();
        names.dedup();
        let _one = self.changing.lock().await;
        let old = Arc::clone(&self.state.read());
        let same = old
            .backends
            .iter()
            .map(|backend| &backend.name)
            .eq(names.iter());
        if same || self.stopped.is_cancelled() {
            return Ok(());
        }
        let mut backends = Vec::with_capacity(names.len());
        for name in &names {
            let known = old.backends.iter().find(|backend| backend.name == *name);
            backends.push(match known {
                Some(backend) => Arc::clone(backend),
                None => {
                    let new = Backend::new(&self.cx, &self.settings, name, self.me.clone())?;
                    new.start().await?;
                    new
                }
            });
        }
        let ring = Ring::new(&names);
        *self.state.write() = Arc::new(State { ring, backends });
        self.metrics.updated(resolver, names.len());
        tracing::info!(exporter = %self.cx.id(), backends = names.len(), "the ring has changed");
        let left = old.backends.iter();
        for backend in left.filter(|backend| !names.contains(&backend.name)) {
            let backend = Arc::clone(backend);
            let token = self.leaving.token();
            self.cx.tasks().spawn("leaving backend", async move {
                let _token = token;
                backend.leave().await;
            });
        }
        Ok(())
    }

    /// Gives every backend its share. Resolves when all of them have answered.
    pub(crate) async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let mut work = vec![batch];
        let mut rests = Vec::new();
        for _ in 0..TRIES {
            let mut again = Vec::new();
            for batch in work {
                let failed = self.offer(batch).await?;
                for (backend, rest) in failed {
                    // It left while it was asked: others have its place now.
                    if backend.is_gone() && rest.refused.is_retryable() {
                        again.push(rest.batch);
                    } else {
                        rests.push(rest);
                    }
                }
            }
            work = again;
            if work.is_empty() {
                break;
            }
        }
        rests.extend(work.into_iter().map(|batch| Rest {
            refused: Refused::retryable(
                Status::UNAVAILABLE,
                batch.clone(),
                "the backends change too fast",
            ),
            batch,
        }));
        match together(rests) {
            None => Ok(()),
            Some(refused) => Err(refused),
        }
    }

    /// Offers every backend its share, and returns what was refused by whom.
    async fn offer(&self, batch: Batch) -> Result<Vec<(Arc<Backend>, Rest)>, Refused> {
        let state = Arc::clone(&self.state.read());
        if state.backends.is_empty() {
            let text = "no backend is known yet; see whether the resolver's name is right";
            return Err(Refused::retryable(Status::UNAVAILABLE, batch, text));
        }
        let pieces = match self
            .router
            .split(&batch.data, &state.ring, state.backends.len())
        {
            Ok(pieces) => pieces,
            Err(unsupported) => {
                return Err(Refused::permanent(
                    Status::UNIMPLEMENTED,
                    batch,
                    unsupported,
                ));
            }
        };
        let pieces = state.backends.iter().zip(pieces);
        let shares = pieces.filter(|(_, piece)| !piece.is_empty());
        let answers = shares.map(|(backend, piece)| {
            let share = batch.with_data(piece);
            async move {
                let began = Instant::now();
                let answer = backend.consume(share).await;
                self.metrics
                    .offered(&backend.name, answer.is_ok(), began.elapsed());
                let refused = answer.err()?;
                let batch = refused.rest().clone();
                Some((Arc::clone(backend), Rest { batch, refused }))
            }
        });
        let answers = futures_util::future::join_all(answers).await;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Deals out anew what a backend held that is gone; offers it until others have it.
    pub(crate) async fn reroute(&self, batch: Batch) -> Result<Sent, SendError> {
        let items = batch.items();
        let mut sent = Sent::all();
        let mut pause = FIRST_PAUSE;
        let mut batch = batch;
        loop {
            let Err(refused) = Box::pin(self.consume(batch)).await else {
                self.metrics.rerouted(items);
                return Ok(sent);
            };
            if !refused.is_retryable() {
                let (lost, why) = (refused.rest().items(), refused.to_string());
                let more = Sent::partly(lost, "rerouted", why);
                sent.rejected.extend(more.rejected);
                return Ok(sent);
            }
            self.tell(&refused);
            let wait = refused.delay().unwrap_or(pause).max(pause);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stopped.cancelled() => {
                    return Err(SendError::retryable(Status::UNAVAILABLE, refused.to_string()));
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            batch = refused.into_rest();
        }
    }

    fn tell(&self, refused: &Refused) {
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
            *told = Some(Instant::now());
            drop(told);
            tracing::warn!(exporter = %self.cx.id(), reason = %refused, "what waited for a backend that left waits for the others");
        }
    }

    /// Takes nothing new; what waits gets an attempt.
    pub(crate) async fn shutdown(&self) {
        self.leaving.close();
        if tokio::time::timeout(DEAL_OUT, self.leaving.wait())
            .await
            .is_err()
        {
            tracing::warn!(exporter = %self.cx.id(), "backends that left still hold data");
        }
        let _one = self.changing.lock().await;
        self.stopped.cancel();
        let state = Arc::clone(&self.state.read());
        let all = state.backends.iter().map(|backend| backend.shutdown());
        futures_util::future::join_all(all).await;
        self.leaving.wait().await;
    }
}

/// One answer of several: for now, if any of them was; with what nobody kept.
fn together(rests: Vec<Rest>) -> Option<Refused> {
    let worst = rests
        .iter()
        .position(|rest| rest.refused.is_retryable())
        .unwrap_or_default();
    let delay = rests.iter().filter_map(|rest| rest.refused.delay()).max();
    // What was refused for good is not sent again with what was not: it has been counted where it was refused.
    let retryable = rests.get(worst)?.refused.is_retryable();
    let kept_out = rests
        .iter()
        .filter(|rest| rest.refused.is_retryable() == retryable);
    let mut data: Option<Data> = None;
    for rest in kept_out {
        match &mut data {
            None => data = Some(rest.batch.data.clone()),
            Some(data) => {
                if data.append(rest.batch.data.clone()).is_err() {
                    tracing::error!("shares are of different signals: this is a bug in Corten");
                }
            }
        }
    }
    let rest = rests.get(worst)?;
    let refused = rest.refused.for_batch(rest.batch.with_data(data?));
    Some(match delay {
        Some(delay) if retryable => refused.after(delay),
        _ => refused,
    })
}
