//! One exporter's way out: queues in front, a sink behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Consumer, Context, MissingExtension, Refused, Signal, Status, Storage,
    async_trait,
};
use corten_config::settings::{Overflow, Queue, Retry, Sizer, WaitForResult};
use corten_storage::Directory;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Sink;
use crate::courier::{Courier, Group, Kept, Patience};
use crate::dead_letters::DeadLetters;
use crate::disk::{Choice, DiskQueue, NotQueued};
use crate::grouping::{self, Grouping};
use crate::memory::{MemoryQueue, Room, size};
use crate::metrics::Metrics;
use crate::part::{Failure, Lost, Origin, Part, Ticket, refusal};
use crate::report::Reporter;

/// What a sender is told to wait when the queue is full.
const FULL_DELAY: Duration = Duration::from_secs(1);

/// With more bytes than this in a memory queue, its callers are answered later, though for no longer than [`PACE`]: who
/// waits for answers slows down to what the sink takes. A queue that a sink keeps up with stays small enough for the
/// processor's caches; one whose sink is away still fills to its limit.
const BACKLOG: u64 = 8 << 20;

/// See [`BACKLOG`].
const PACE: Duration = Duration::from_millis(100);

/// What users set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sending_queue`. With `storage`, the queue of each signal lies in the storage's directory of this
    /// component, and is bounded by [`Queue::byte_limit`] alone.
    pub queue: Queue,
    /// `retry_on_failure`.
    pub retry: Retry,
    /// `timeout`: of one attempt; zero means no limit.
    pub timeout: Duration,
}

/// Delivers batches with a [`Sink`]: a [`Consumer`] that an exporter forwards to.
///
/// One `Delivery` takes every signal. Each signal has a queue and consumers of its own, made when its first
/// batch comes, so that one signal's outage does not hold up another's.
pub struct Delivery<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    cx: Context,
    courier: Courier<S>,
    queue: Queue,
    grouping: Option<Grouping>,
    storage: Option<Arc<dyn Storage>>,
    directory: Mutex<Option<Directory>>,
    lanes: RwLock<Vec<Arc<Lane>>>,
    metrics: Arc<Metrics>,
    reporter: Arc<Reporter>,
    /// The tasks that send; they end by themselves at shutdown, when the queues are empty or at `abandon`.
    senders: TaskTracker,
    abandon: CancellationToken,
    stopped: AtomicBool,
}

/// One signal's queue.
struct Lane {
    signal: Signal,
    queue: LaneQueue,
    lost: Arc<Lost>,
    departures: Departures,
    /// Whether its senders run.
    started: AtomicBool,
}

enum LaneQueue {
    Memory { queue: MemoryQueue, room: Arc<Room> },
    Disk(DiskQueue),
}

/// KiB that each consumer may have on the way, all of a lane's together: a batch of 8,192 spans takes the room of two or
/// three, so that ten consumers of such batches do not hold forty megabytes.
const EACH: u32 = 1600;

/// Lets what is sent leave one after the other, as long as there is room on the way.
struct Departures {
    /// Whoever takes the next part waits for its room before another one is taken.
    next: tokio::sync::Mutex<()>,
    /// In KiB.
    room: Arc<Semaphore>,
    capacity: u32,
}

impl Departures {
    fn new(consumers: u32) -> Self {
        let capacity = consumers.saturating_mul(EACH);
        let permits = usize::try_from(capacity).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            next: tokio::sync::Mutex::default(),
            room: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            capacity,
        }
    }

    /// What `take` brings, with its room. What is larger than all of it has it alone.
    async fn next<T>(
        &self,
        take: impl Future<Output = Option<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Option<(T, OwnedSemaphorePermit)> {
        let _next = self.next.lock().await;
        let taken = take.await?;
        let kib = u32::try_from(bytes(&taken) >> 10).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(kib.min(self.capacity))
            .await
            .ok()?;
        Some((taken, room))
    }
}

impl<S: Sink> Delivery<S> {
    /// Makes the way to `sink`. Does no IO.
    ///
    /// # Errors
    ///
    /// `sending_queue::storage` names an extension that is not running or keeps nothing.
    pub fn new(cx: &Context, settings: Settings, sink: S) -> Result<Self, MissingExtension> {
        let Settings {
            queue,
            retry,
            timeout,
        } = settings;
        let storage = match &queue.storage {
            Some(id) if queue.enabled => Some(cx.storage(id)?),
            _ => None,
        };
        let metrics = Arc::new(Metrics::new(cx));
        let reporter = Arc::new(Reporter::new(cx));
        let courier = Courier {
            sink: Arc::new(sink),
            retry,
            timeout: (!timeout.is_zero()).then_some(timeout),
            tasks: cx.tasks().clone(),
            closing: cx.closing(),
            metrics: Arc::clone(&metrics),
            reporter: Arc::clone(&reporter),
            dead_letters: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                cx: cx.clone(),
                courier,
                grouping: if queue.enabled {
                    Grouping::of(&queue)
                } else {
                    None
                },
                queue,
                storage,
                directory: Mutex::new(None),
                lanes: RwLock::default(),
                metrics,
                reporter,
                senders: TaskTracker::new(),
                abandon: CancellationToken::new(),
                stopped: AtomicBool::new(false),
            }),
        })
    }

    /// The sink.
    #[must_use]
    pub fn sink(&self) -> &S {
        &self.inner.courier.sink
    }

    /// Starts the sink; opens the disk queue, if there is one, and goes on with what it holds.
    ///
    /// # Errors
    ///
    /// The sink's own. Or: the queue's directory can't be used: in use by another process, or not writable. Damage is no error.
    pub async fn start(&self) -> Result<(), BoxError> {
        self.sink().start()?;
        let Some(storage) = self.inner.storage.clone() else {
            return Ok(());
        };
        let inner = Arc::clone(&self.inner);
        let opened = tokio::task::spawn_blocking(move || inner.open_disk(&*storage));
        let queues = opened.await??;
        for (signal, queue, lost) in queues {
            let waiting = queue.pending() > 0;
            let lane = self.inner.add_lane(signal, LaneQueue::Disk(queue), lost);
            if waiting {
                self.inner.spawn_senders(&lane);
            }
        }
        Ok(())
    }

    /// Stops intake, gives everything in memory at least one attempt, and returns when that is done. The disk queue
    /// keeps what isn't delivered. When the future is dropped before it resolves (the deadline), what memory still
    /// holds is counted as lost, told, and its waiting callers are refused.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.cx.tasks().stop();
        inner.stopped.store(true, Ordering::Release);
        let ending = Ending(inner);
        let lanes = inner.lanes.read().clone();
        for lane in &lanes {
            lane.lost.begin_shutdown();
            if let LaneQueue::Disk(queue) = &lane.queue {
                // Wakes what waits for a batch that never comes.
                queue.wake();
            }
        }
        inner.senders.close();
        inner.senders.wait().await;
        for lane in &lanes {
            if let LaneQueue::Disk(queue) = &lane.queue {
                queue.close().await;
            }
        }
        drop(ending);
    }
}

impl<S> std::fmt::Debug for Delivery<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({})", self.inner.cx.id())
    }
}

#[async_trait]
impl<S: Sink> Consumer for Delivery<S> {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let inner = &self.inner;
        if batch.data.segments().is_empty() {
            return Ok(());
        }
        if inner.stopped.load(Ordering::Acquire) || inner.cx.tasks().is_stopping() {
            inner.metrics.enqueue_failed(batch.signal(), batch.items());
            let text = "the exporter is shut down";
            return Err(Refused::retryable(Status::UNAVAILABLE, batch, text));
        }
        if !inner.queue.enabled {
            return inner.deliver_now(batch).await;
        }
        let lane = inner.lane(batch.signal(), &batch)?;
        match &lane.queue {
            LaneQueue::Memory { queue, room } => {
                inner.put_in_memory(&lane, queue, room, batch).await
            }
            LaneQueue::Disk(queue) => {
                inner.spawn_senders(&lane);
                inner.put_on_disk(queue, batch).await
            }
        }
    }
}

impl<S: Sink> Inner<S> {
    /// Without a queue: the caller waits for the sink.
    async fn deliver_now(&self, batch: Batch) -> Result<(), Refused> {
        let patience = if batch.replayable {
            Patience::Endless
        } else {
            Patience::Limited
        };
        let failures = self
            .courier
            .transmit(batch.clone(), patience, Kept::BySource)
            .await;
        for failure in failures.iter().filter(|failure| failure.retryable) {
            self.metrics
                .send_failed(failure.data.signal(), failure.data.items());
        }
        match refusal(&batch, failures) {
            None => Ok(()),
            Some(refused) => Err(refused),
        }
    }

    async fn put_in_memory(
        &self,
        lane: &Lane,
        queue: &MemoryQueue,
        room: &Arc<Room>,
        batch: Batch,
    ) -> Result<(), Refused> {
        let len = size(self.queue.sizer, &batch);
        let bytes = size(Sizer::Bytes, &batch);
        let mut share = room.try_take(len, bytes);
        if self.queue.overflow == Overflow::DropOldest {
            let mut dropped = 0;
            let mut records = 0;
            while share.is_none()
                && let Some(oldest) = queue.take_oldest()
            {
                dropped += oldest.give_way();
                records += 1;
                share = room.try_take(len, bytes);
            }
            if dropped > 0 {
                self.metrics.dropped_early(batch.signal(), dropped);
                let why = "the sending queue is full";
                self.reporter.dropped(batch.signal(), dropped, records, why);
            }
        }
        let permit = match share {
            Some(permit) => permit,
            None if self.queue.block_on_overflow => {
                tokio::select! {
                    permit = room.take(len, bytes) => permit,
                    () = self.cx.tasks().stopping() => {
                        return Err(self.not_queued(batch, &NotQueued::Closed));
                    }
                }
            }
            None => return Err(self.not_queued(batch, &NotQueued::Full)),
        };
        let waits = match self.queue.wait_for_result {
            WaitForResult::Auto => batch.replayable,
            WaitForResult::Always => true,
            WaitForResult::Never => false,
        };
        let (origin, answer) = if waits {
            let (sender, answer) = oneshot::channel();
            (Origin::Waiting(sender), Some(answer))
        } else {
            (Origin::Answered(batch.items()), None)
        };
        let ticket = Ticket::new(
            origin,
            Some(permit),
            Arc::clone(&self.metrics),
            Arc::clone(&lane.lost),
        );
        queue.push(Part::new(batch.clone(), ticket));
        if self.abandon.is_cancelled() {
            // Came while the queue was being given up.
            queue.clear();
        }
        let Some(answer) = answer else {
            // It is accepted; only the answer takes a moment.
            tokio::select! {
                () = room.below(BACKLOG) => {}
                () = tokio::time::sleep(PACE) => {}
                () = self.cx.tasks().stopping() => {}
            }
            return Ok(());
        };
        let failures = match answer.await {
            Ok(failures) => failures,
            Err(_) => vec![Failure::stopped(batch.data.clone())],
        };
        match refusal(&batch, failures) {
            None => Ok(()),
            Some(refused) => Err(refused),
        }
    }

    async fn put_on_disk(&self, queue: &DiskQueue, batch: Batch) -> Result<(), Refused> {
        let stopping = self.cx.tasks().stopping();
        let queued = tokio::select! {
            queued = queue.put(&batch, self.queue.block_on_overflow) => queued,
            () = stopping, if self.queue.block_on_overflow => Err(NotQueued::Closed),
        };
        queued.map_err(|reason| self.not_queued(batch, &reason))
    }

    fn not_queued(&self, batch: Batch, reason: &NotQueued) -> Refused {
        self.metrics.enqueue_failed(batch.signal(), batch.items());
        let text = reason.to_string();
        match reason {
            NotQueued::Full | NotQueued::Stuck(_) | NotQueued::Disk(_) => {
                Refused::retryable(Status::RESOURCE_EXHAUSTED, batch, text).after(FULL_DELAY)
            }
            NotQueued::Closed => Refused::retryable(Status::UNAVAILABLE, batch, text),
        }
    }

    /// The lane of a signal; a memory lane is made when its first batch comes.
    fn lane(self: &Arc<Self>, signal: Signal, batch: &Batch) -> Result<Arc<Lane>, Refused> {
        if let Some(lane) = self.find_lane(signal) {
            return Ok(lane);
        }
        if self.storage.is_some() {
            let text = "the exporter's queue on disk is not open";
            return Err(Refused::retryable(Status::UNAVAILABLE, batch.clone(), text));
        }
        let room = Room::new(self.queue.queue_size, self.queue.byte_limit());
        let queue = MemoryQueue::default();
        let lane = self.add_lane(signal, LaneQueue::Memory { queue, room }, Arc::default());
        self.spawn_senders(&lane);
        Ok(lane)
    }

    fn find_lane(&self, signal: Signal) -> Option<Arc<Lane>> {
        let lanes = self.lanes.read();
        lanes.iter().find(|lane| lane.signal == signal).cloned()
    }

    fn add_lane(&self, signal: Signal, queue: LaneQueue, lost: Arc<Lost>) -> Arc<Lane> {
        let mut lanes = self.lanes.write();
        if let Some(known) = lanes.iter().find(|lane| lane.signal == signal) {
            return Arc::clone(known);
        }
        let lane = Arc::new(Lane {
            signal,
            queue,
            lost,
            departures: Departures::new(self.queue.num_consumers.max(1)),
            started: AtomicBool::new(false),
        });
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Shows the queue's size; only of signals that come here.
    fn watch(&self, lane: &Arc<Lane>) {
        let unit = match (&lane.queue, self.queue.sizer) {
            (LaneQueue::Disk(_), _) | (_, Sizer::Bytes) => "By",
            (_, Sizer::Requests) => "{requests}",
            (_, Sizer::Items) => "{items}",
        };
        let weak = Arc::downgrade(lane);
        self.metrics.watch_queue(lane.signal, unit, move || {
            weak.upgrade().map(|lane| match &lane.queue {
                LaneQueue::Memory { room, .. } => (room.used(), room.capacity()),
                LaneQueue::Disk(queue) => (queue.pending(), queue.capacity()),
            })
        });
    }

    /// Opens the disk queues of all signals. Blocks.
    fn open_disk(
        &self,
        storage: &dyn Storage,
    ) -> Result<Vec<(Signal, DiskQueue, Arc<Lost>)>, BoxError> {
        let path: PathBuf = storage.directory(self.cx.kind(), self.cx.id(), "queue")?;
        let directory = Directory::open(path, &self.cx.id().to_string())?;
        let choice = Choice {
            capacity: self.queue.byte_limit(),
            overflow: self.queue.overflow,
            fsync: self.queue.fsync,
        };
        let mut queues = Vec::new();
        for signal in Signal::ALL {
            let lost = Arc::<Lost>::default();
            let queue = DiskQueue::open(
                directory.clone(),
                signal,
                choice,
                Arc::clone(&self.metrics),
                Arc::clone(&self.reporter),
                Arc::clone(&lost),
            )?;
            queues.push((signal, queue, lost));
        }
        if let Some(settings) = self.queue.dead_letters.as_ref() {
            let path = storage.directory(self.cx.kind(), self.cx.id(), "dead_letters")?;
            let directory = Directory::open(path, &self.cx.id().to_string())?;
            let letters = DeadLetters::open(
                &directory,
                settings.max_bytes.get(),
                Arc::clone(&self.metrics),
                Arc::clone(&self.reporter),
            )?;
            *self.courier.dead_letters.lock() = Some(Arc::new(letters));
        }
        *self.directory.lock() = Some(directory);
        Ok(queues)
    }

    /// Starts the tasks that send, once.
    fn spawn_senders(self: &Arc<Self>, lane: &Arc<Lane>) {
        if lane.started.swap(true, Ordering::AcqRel) {
            return;
        }
        self.watch(lane);
        let consumers = self.queue.num_consumers.max(1);
        let Some(grouping) = self.grouping.clone() else {
            for _ in 0..consumers {
                let (inner, lane) = (Arc::clone(self), Arc::clone(lane));
                self.spawn(async move {
                    let pop = || lane.pop(&inner.cx);
                    let bytes = |part: &Part| part.batch.bytes_len();
                    while let Some((part, _room)) = lane.departures.next(pop(), bytes).await {
                        inner.send(&lane, Group { parts: vec![part] }).await;
                    }
                });
            }
            return;
        };
        // Groups are made one ahead of the consumers.
        let (sender, receiver) = mpsc::channel::<Group>(1);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let (inner, source) = (Arc::clone(self), Arc::clone(lane));
        self.spawn(async move {
            let pop = || source.pop(&inner.cx);
            let emit = async |group| {
                // The consumers outlive this task.
                drop(sender.send(group).await);
            };
            grouping::run(grouping, inner.cx.tasks().clone(), pop, emit).await;
        });
        for _ in 0..consumers {
            let (inner, lane, receiver) =
                (Arc::clone(self), Arc::clone(lane), Arc::clone(&receiver));
            self.spawn(async move {
                let recv = async || receiver.lock().await.recv().await;
                let bytes = |group: &Group| group.parts.iter().map(|p| p.batch.bytes_len()).sum();
                while let Some((group, _room)) = lane.departures.next(recv(), bytes).await {
                    inner.send(&lane, group).await;
                }
            });
        }
    }

    async fn send(&self, lane: &Lane, group: Group) {
        let kept = match &lane.queue {
            LaneQueue::Disk(_) => Kept::OnDisk,
            LaneQueue::Memory { .. } => Kept::InMemory,
        };
        let reached = self.courier.deliver(group, kept).await;
        if let (false, LaneQueue::Disk(queue)) = (reached, &lane.queue) {
            queue.stop_draining();
        }
    }

    /// Runs `work` until it ends or everything is given up.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let abandon = self.abandon.clone();
        let token = self.senders.token();
        self.cx.tasks().spawn("sender", async move {
            let _token = token;
            tokio::select! {
                () = abandon.cancelled() => {}
                () = work => {}
            }
        });
    }
}

impl Lane {
    async fn pop(&self, cx: &Context) -> Option<Part> {
        match &self.queue {
            LaneQueue::Memory { queue, .. } => queue.pop(cx.tasks()).await,
            LaneQueue::Disk(queue) => queue.pop(cx.tasks()).await,
        }
    }
}

/// Gives everything up when dropped, tells what was lost by it, and lets go of the disk.
struct Ending<'a, S>(&'a Arc<Inner<S>>);

impl<S> Drop for Ending<'_, S> {
    fn drop(&mut self) {
        self.0.abandon.cancel();
        let lanes = std::mem::take(&mut *self.0.lanes.write());
        for lane in &lanes {
            if let LaneQueue::Memory { queue, .. } = &lane.queue {
                queue.clear();
            }
            let lost = lane.lost.total();
            if lost > 0 {
                self.0.reporter.lost(lane.signal, lost);
            }
        }
        self.0.courier.dead_letters.lock().take();
        self.0.directory.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_left_bounds_what_may_leave() {
        let departures = Departures::new(10);
        let mut waiting = [9_000_000_usize, 9_000_000, 100, 40_000_000].into_iter();
        let mut take = async || {
            let next = departures.next(std::future::ready(waiting.next()), |bytes| *bytes);
            tokio::time::timeout(Duration::from_secs(1), next).await
        };
        let (first, room) = take().await.unwrap().unwrap();
        assert_eq!(first, 9_000_000);
        // The second waits for the first; nothing small gets past it.
        assert!(take().await.is_err());
        drop(room);
        let (third, room) = take().await.unwrap().unwrap();
        assert_eq!(third, 100);
        drop(room);
        // One that is larger than all of the room has it alone.
        let (fourth, _room) = take().await.unwrap().unwrap();
        assert_eq!(fourth, 40_000_000);
        assert!(matches!(take().await, Ok(None)));
    }
}
