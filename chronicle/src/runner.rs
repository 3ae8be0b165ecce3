//! The life that the receivers have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, ComponentId, Context, HealthHandle, Leadership, Next};
use corten_kubernetes::object::Object;
use corten_kubernetes::{ApiClient, ApiError, Begin, Changes, Round, Rule, Selection, Timing};
use corten_lines::{Delivery, Pauses, Progress, Receipt, Shipment, save_progress, ship};
use corten_pdata::Logs;
use corten_storage::{Checkpoint, Directory, Outcome};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::positions::Positions;

/// How long shutdown waits for what is under way. What is not acknowledged by then is told again.
const DRAIN: Duration = Duration::from_secs(5);
/// Positions are saved at most this often.
const SAVE: Duration = Duration::from_millis(500);
/// What may be under way, in KiB.
const UNDER_WAY: u32 = 8 << 10;
/// Batches that wait for the shipper.
const OUTBOX: usize = 16;

/// What every such receiver lets its user set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The extension that keeps positions.
    pub storage: Option<ComponentId>,
    /// The extension that says whether this agent leads.
    pub leader_elector: Option<ComponentId>,
    /// The pauses after a refusal by the pipeline.
    pub pauses: Pauses,
    /// The paces of watches.
    pub timing: Timing,
}

/// A watch, and what its records look like.
pub struct Watched<T> {
    /// What the position is kept under: the same after a restart.
    pub key: String,
    /// Which objects.
    pub selection: Selection,
    /// Where to begin when nothing is known.
    pub begin: Begin,
    /// What is needed, for the answer 403.
    pub rule: Rule,
    /// Makes records of changes; `None` where there is nothing to tell.
    pub write: Box<dyn FnMut(Round<T>) -> Option<Logs> + Send>,
}

/// The life of a receiver.
pub struct Chronicle {
    cx: Context,
    next: Next,
    settings: Settings,
    leadership: Option<Arc<dyn Leadership>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Read no more.
    stop: CancellationToken,
    /// Wait for no answer any more.
    end: CancellationToken,
    /// All is saved.
    done: CancellationToken,
}

impl Chronicle {
    /// Looks up the extensions. No IO.
    ///
    /// # Errors
    /// An extension is not running, or cannot do what it is named for.
    pub fn new(cx: Context, next: Next, settings: Settings) -> Result<Self, BoxError> {
        if let Some(storage) = &settings.storage {
            cx.storage(storage)?;
        }
        let elector = settings.leader_elector.as_ref();
        let leadership = elector.map(|id| cx.leadership(id)).transpose()?;
        Ok(Self {
            cx,
            next,
            settings,
            leadership,
            running: Mutex::new(None),
        })
    }

    /// The receiver's context.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.cx
    }

    fn recall(&self) -> Result<(Positions, Option<Checkpoint>), BoxError> {
        let Some(storage) = &self.settings.storage else {
            return Ok((Positions::default(), None));
        };
        let (kind, id) = (self.cx.kind(), self.cx.id());
        let path = self.cx.storage(storage)?.directory(kind, id, "versions")?;
        let directory = Directory::open(path, &format!("receivers::{id}"))?;
        let (checkpoint, loaded) = Checkpoint::open(directory, "versions");
        if let Outcome::Lost { reason } = &loaded.outcome {
            tracing::error!(reason, "the versions are lost: only what comes is told");
        }
        Ok((Positions::parse(&loaded.bytes), Some(checkpoint)))
    }

    /// Begins to work: `telling` gets a [`Scribe`] and spawns whatever tells.
    ///
    /// # Errors
    /// The storage cannot be used.
    pub fn start(&self, telling: impl FnOnce(&Scribe)) -> Result<(), BoxError> {
        let (positions, checkpoint) = self.recall()?;
        let [stop, end, done] = std::array::from_fn(|_| CancellationToken::new());
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let changed = Arc::<Notify>::default();
        let state = Arc::new(State {
            positions: Mutex::new(positions),
            progress: Mutex::new(Vec::new()),
            faults: Mutex::new(BTreeMap::new()),
            health: self.cx.health().clone(),
        });
        let scribe = Scribe {
            cx: self.cx.clone(),
            outbox,
            room: Arc::new(Semaphore::new(
                usize::try_from(UNDER_WAY).unwrap_or(usize::MAX),
            )),
            changed: Arc::clone(&changed),
            state: Arc::clone(&state),
            stop: stop.clone(),
            leadership: self.leadership.clone(),
            timing: self.settings.timing,
        };
        let shipping = ship(
            self.cx.clone(),
            self.next.clone(),
            inbox,
            self.settings.pauses,
            end.clone(),
        );
        let answered = CancellationToken::new();
        let finished = answered.clone();
        let saving = save_progress(checkpoint, changed, SAVE, finished, move || state.take());
        let all = done.clone();
        let tasks = self.cx.tasks();
        tasks.spawn("shipper", async move {
            // Also when it is dropped.
            let _answered = answered.drop_guard();
            shipping.await;
        });
        tasks.spawn("versions", async move {
            let _done = all.drop_guard();
            saving.await;
        });
        telling(&scribe);
        *self.running.lock() = Some(Running { stop, end, done });
        Ok(())
    }

    /// Stops telling, waits a while for what is under way, saves the positions.
    pub async fn shutdown(&self) {
        let running = self.running.lock().take();
        if let Some(Running { stop, end, done }) = running {
            // Ended in any case, also when the deadline drops this call.
            let end = end.drop_guard();
            stop.cancel();
            if tokio::time::timeout(DRAIN, done.cancelled()).await.is_err() {
                drop(end);
                done.cancelled().await;
            }
        }
    }
}

struct State {
    positions: Mutex<Positions>,
    progress: Mutex<Vec<(String, Arc<Progress<String>>)>>,
    /// What is wrong now, by who found it.
    faults: Mutex<BTreeMap<String, String>>,
    health: HealthHandle,
}

impl State {
    /// The positions to save, when any has moved.
    fn take(&self) -> Option<Vec<u8>> {
        let mut positions = self.positions.lock();
        let mut moved = false;
        for (key, progress) in self.progress.lock().iter() {
            if let Some(last) = progress.arrived().pop() {
                positions.put(key, last);
                moved = true;
            }
        }
        moved.then(|| positions.to_bytes())
    }
}

/// What is told, on its way to the pipeline.
struct Told {
    logs: Logs,
    permit: Option<OwnedSemaphorePermit>,
}

/// Tells the pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Scribe {
    cx: Context,
    outbox: mpsc::Sender<Shipment<Delivery<String>>>,
    room: Arc<Semaphore>,
    changed: Arc<Notify>,
    state: Arc<State>,
    stop: CancellationToken,
    leadership: Option<Arc<dyn Leadership>>,
    timing: Timing,
}

impl Scribe {
    /// Runs `future` until it ends or the receiver stops; where an elector is named, only while this agent leads, anew each
    /// time that it comes to lead.
    pub fn spawn<F>(&self, name: &'static str, mut work: impl FnMut(Self) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let scribe = self.clone();
        self.cx.tasks().spawn(name, async move {
            let stop = scribe.stop.clone();
            let leading = async {
                let Some(leadership) = scribe.leadership.clone() else {
                    return work(scribe.clone()).await;
                };
                let mut leading = leadership.leading();
                // Ends when the elector does.
                while leading.wait_for(|leading| *leading).await.is_ok() {
                    tokio::select! {
                        () = work(scribe.clone()) => return,
                        _ = leading.wait_for(|leading| !*leading) => {}
                    }
                }
            };
            tokio::select! {
                () = leading => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits until this agent leads, where an elector is named.
    pub async fn leads(&self) {
        if let Some(leadership) = &self.leadership {
            let mut leading = leadership.leading();
            if leading.wait_for(|leading| *leading).await.is_err() {
                // The elector is gone: nobody leads any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves when the receiver is to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Watches for as long as the receiver runs.
    pub fn watch<T: Object + Sync + 'static>(&self, client: &Arc<ApiClient>, watched: Watched<T>) {
        let Watched {
            key,
            selection,
            begin,
            rule,
            write,
        } = watched;
        let known = self.state.positions.lock().get(&key).map(str::to_owned);
        let progress = Progress::new(Arc::clone(&self.changed));
        let mut all = self.state.progress.lock();
        all.push((key.clone(), Arc::clone(&progress)));
        drop(all);
        let client = Arc::clone(client);
        // What outlives a time of leading: where reading goes on, and how it is written.
        let shared = Arc::new(tokio::sync::Mutex::new((known, write)));
        self.spawn("watch", move |scribe| {
            let (client, selection) = (Arc::clone(&client), selection.clone());
            let (key, rule, begin) = (key.clone(), rule.clone(), begin.clone());
            let (progress, shared) = (Arc::clone(&progress), Arc::clone(&shared));
            async move {
                let mut shared = shared.lock().await;
                let (known, write) = &mut *shared;
                let begin = known.clone().map_or(begin, Begin::Behind);
                let mut changes = Changes::new(client, selection, scribe.timing, begin);
                loop {
                    let round = match changes.next().await {
                        Ok(round) => round,
                        Err(error) => {
                            scribe.fails(&key, &error, &rule);
                            continue;
                        }
                    };
                    scribe.works(&key);
                    let version = round.version.clone();
                    let logs = write(round);
                    let told = scribe.ready(logs).await;
                    // From here on nothing waits that could be dropped between sending and noting.
                    let Ok(place) = scribe.outbox.reserve().await else {
                        return;
                    };
                    // In the middle of a list there is no position: the one before stands until its end.
                    let at = version.or_else(|| known.clone()).unwrap_or_default();
                    let delivery = progress.begin(at.clone(), told.permit);
                    if told.logs.is_empty() {
                        delivery.kept();
                    } else {
                        place.send(Shipment {
                            logs: told.logs,
                            receipt: delivery,
                        });
                    }
                    if !at.is_empty() {
                        *known = Some(at);
                    }
                }
            }
        });
    }

    /// Waits until there is room for these records.
    async fn ready(&self, logs: Option<Logs>) -> Told {
        let logs = logs.unwrap_or_default();
        if logs.is_empty() {
            return Told { logs, permit: None };
        }
        let kib = u32::try_from(logs.bytes_len() >> 10).unwrap_or(UNDER_WAY);
        let kib = kib.clamp(1, UNDER_WAY);
        // The semaphore is never closed.
        let permit = Arc::clone(&self.room).acquire_many_owned(kib).await.ok();
        Told { logs, permit }
    }

    /// Tells what has no position, since it cannot be asked for again. Waits until there is room, not until it is kept.
    pub async fn tell(&self, logs: Logs) {
        let told = self.ready(Some(logs)).await;
        if told.logs.is_empty() {
            return;
        }
        let alone = Progress::new(Arc::default());
        let shipment = Shipment {
            logs: told.logs,
            receipt: alone.begin(String::new(), told.permit),
        };
        // The shipper outlives who tells, but for a shutdown that is out of time.
        drop(self.outbox.send(shipment).await);
    }

    /// Notes that `key` cannot be read; says so when that begins, with the rule that is missing where that is why.
    pub fn fails(&self, key: &str, error: &ApiError, rule: &Rule) {
        let said = format!("{error}{}", rule.remedy(error));
        let mut faults = self.state.faults.lock();
        self.state.health.failing(said.clone());
        let before = faults.insert(key.to_owned(), said.clone());
        if before.is_none() {
            tracing::warn!(receiver = %self.cx.id(), "{said}; it is tried again");
        }
    }

    /// Notes that `key` can be read.
    pub fn works(&self, key: &str) {
        let mut faults = self.state.faults.lock();
        if faults.remove(key).is_some() {
            tracing::info!(receiver = %self.cx.id(), watch = key, "the API server answers again");
            match faults.values().next() {
                Some(other) => self.state.health.failing(other.clone()),
                None => self.state.health.ok(),
            }
        }
    }
}
