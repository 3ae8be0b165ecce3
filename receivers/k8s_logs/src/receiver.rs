//! The receiver's life.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_kubernetes::{ApiClient, Selection, Surroundings, Timing, node_from_environment, run};
use corten_lines::{Pauses, Progress, save_progress, ship};
use corten_pdata::build::LineAttributes;
use corten_storage::{Checkpoint, Directory, Outcome};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Filter, StartAt};
use crate::metadata::Metrics;
use crate::positions::Positions;
use crate::reader::{Reader, Shared};
use crate::targets::{LogPod, Targets};

/// How long shutdown waits for what is under way. What is not acknowledged by then is read again.
const DRAIN: Duration = Duration::from_secs(5);
/// Positions are saved at most this often.
const SAVE: Duration = Duration::from_secs(1);
/// Batches that wait for the shipper.
const OUTBOX: usize = 64;
/// Logs that are asked for at once.
const OPENING: usize = 16;

/// Reads logs through the API server.
pub(crate) struct K8sLogs {
    cx: Context,
    config: Config,
    next: Next,
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

impl K8sLogs {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        if let Some(storage) = &config.storage {
            cx.storage(storage)?;
        }
        Ok(Self {
            cx,
            config,
            next,
            running: Mutex::new(None),
        })
    }

    fn selection(&self) -> Result<Selection, BoxError> {
        let pods = if self.config.all_nodes {
            Selection::all("/api/v1/pods")
        } else {
            let node = match self.config.node.as_str() {
                "" => node_from_environment(),
                node => Some(node.to_owned()),
            };
            let node = node.ok_or(
                "which node this is is not known: set KUBE_NODE_NAME in the pod's specification from spec.nodeName, or node, or all_nodes: true",
            )?;
            Selection::pods_on(&node)
        };
        Ok(Selection {
            labels: self.config.label_selector.clone(),
            ..pods
        })
    }

    /// What keeps a reader for every container of the pods that are watched.
    fn targets(
        &self,
        shared: &Arc<Shared>,
        changed: &Arc<Notify>,
        stop: &CancellationToken,
    ) -> Targets {
        let tasks = self.cx.tasks().clone();
        let positions = Arc::clone(&shared.positions);
        let (shared, changed, stop) = (Arc::clone(shared), Arc::clone(changed), stop.clone());
        let begin = move |target, life| {
            let progress = Progress::new(Arc::clone(&changed));
            let reader = Reader::new(Arc::clone(&shared), target, life, progress);
            let stop = stop.clone();
            tasks.spawn("log", async move {
                tokio::select! {
                    () = reader.run() => {}
                    () = stop.cancelled() => {}
                }
            });
        };
        Targets::new(
            Filter::new(&self.config.namespaces),
            Filter::new(&self.config.containers),
            begin,
            move |there| positions.retain(there),
        )
    }

    fn recall(&self) -> Result<(Positions, Option<Checkpoint>), BoxError> {
        let Some(storage) = &self.config.storage else {
            return Ok((Positions::default(), None));
        };
        let (kind, id) = (self.cx.kind(), self.cx.id());
        let path = self.cx.storage(storage)?.directory(kind, id, "positions")?;
        let directory = Directory::open(path, &format!("receivers::{id}"))?;
        let (checkpoint, loaded) = Checkpoint::open(directory, "positions");
        if let Outcome::Lost { reason } = &loaded.outcome {
            tracing::error!(reason, "the positions are lost: logs are read again");
        }
        Ok((Positions::parse(&loaded.bytes), Some(checkpoint)))
    }
}

#[async_trait]
impl Component for K8sLogs {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let config = &self.config;
        let selection = self.selection()?;
        let (positions, checkpoint) = self.recall()?;
        let [stop, end, done] = std::array::from_fn(|_| CancellationToken::new());
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let changed = Arc::<Notify>::default();
        let most_room = u32::try_from(config.max_in_flight.get() >> 10)
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 28);
        let shared = Arc::new(Shared {
            client: ApiClient::new(config.api(), Surroundings::of_pod()),
            positions: Arc::new(positions),
            outbox,
            room: Arc::new(Semaphore::new(usize::try_from(most_room).unwrap_or(1))),
            most_room,
            streams: Semaphore::new(config.max_concurrent_streams.min(Semaphore::MAX_PERMITS)),
            opening: Semaphore::new(OPENING),
            metrics: Metrics::new(&self.cx),
            refused: Mutex::default(),
            longest_line: config.max_log_size.as_usize(),
            idle: config.reopen_idle_after.get(),
            from_end: config.start_at == StartAt::End,
            attributes: LineAttributes::new(|out| {
                for (name, value) in &config.attributes {
                    out.attribute_str(name, value);
                }
            }),
            resource: config.resource.clone().into_iter().collect(),
        });
        let tasks = self.cx.tasks();
        let shipping = ship(
            self.cx.clone(),
            self.next.clone(),
            inbox,
            Pauses {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(30),
            },
            end.clone(),
        );
        let answered = CancellationToken::new();
        let finished = answered.clone();
        tasks.spawn("shipper", async move {
            // Also when it is dropped.
            let _answered = answered.drop_guard();
            shipping.await;
        });
        let state = Arc::clone(&shared.positions);
        let saving = save_progress(
            checkpoint,
            Arc::clone(&changed),
            SAVE,
            finished,
            move || state.take(),
        );
        let all = done.clone();
        tasks.spawn("positions", async move {
            let _done = all.drop_guard();
            saving.await;
        });
        let targets = self.targets(&shared, &changed, &stop);
        let until = stop.clone();
        tasks.spawn("pods", async move {
            let mut targets = targets;
            tokio::select! {
                () = run::<LogPod, _>(&shared.client, &selection, &mut targets, Timing::default()) => {}
                () = until.cancelled() => {}
            }
        });
        *self.running.lock() = Some(Running { stop, end, done });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
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
        Ok(())
    }
}

impl Receiver for K8sLogs {}
