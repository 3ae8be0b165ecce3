//! The queue on disk: what stands between tasks and the blocking [`Log`](log::Log).
//!
//! One thread per signal writes: it takes everything that has arrived, appends it, syncs once (group commit: while one
//! sync is under way the next group gathers) and answers all of the group. A lone batch is synced at once. After
//! a sync the next one waits as long as that took, at most `fsync` (100 ms): so syncs take half of the disk's time at most,
//! a slow disk is asked ten times a second, and a fast one makes nobody wait. `fsync: always` does not wait.
//!
//! Reading goes through the disk only when there is a backlog. What has just been synced is kept at hand
//! (up to 8 MiB) and taken from there when reading has caught up. A backlog is read about 1 MiB at a time on a
//! blocking thread, checked there, and at most that much is held besides what is being sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use corten_component::{Batch, Signal, Tasks};
use corten_config::settings::{Fsync, Overflow};
use corten_storage::Directory;
use corten_storage::record::HEADER_LEN;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

use crate::metrics::Metrics;
use crate::part::{Lost, Origin, Part, Ticket};
use crate::report::Reporter;

pub(crate) mod log;
pub(crate) mod payload;

use log::Place;
pub(crate) use log::{Found, Limits, Log};

/// Read at once from a backlog.
const CHUNK: usize = 1 << 20;
/// Synced batches kept at hand.
const AT_HAND: usize = 8 << 20;
/// Unsynced batches in memory beyond which new ones wait; a single one may be larger.
const UNSYNCED: u64 = 16 << 20;
/// So much is synced without waiting for more.
const FULL_GROUP: u64 = 4 << 20;
/// A batch above this is cut into several records.
const RECORD: usize = 32 << 20;
/// The cursor is saved at most this often, unless a file can be removed.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// After this many failed reads in a row the rest of the file is given up.
const READ_ATTEMPTS: u32 = 10;
/// How long draining goes on after the stop, while it works.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a batch did not get into the queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotQueued {
    #[error("sending queue is full")]
    Full,
    #[error("sending queue is full, and its oldest data can't be dropped: {0}")]
    Stuck(String),
    #[error("the queue on disk can't be written: {0}")]
    Disk(String),
    #[error("the exporter is shut down")]
    Closed,
}

/// The disk queue of one signal.
pub(crate) struct DiskQueue {
    shared: Arc<Shared>,
    capacity: u64,
    overflow: Overflow,
}

/// What is the user's choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// Bytes of the queue.
    pub(crate) capacity: u64,
    pub(crate) overflow: Overflow,
    pub(crate) fsync: Fsync,
}

struct Shared {
    log: Arc<Log>,
    /// The longest that a sync waits for more.
    gather: Duration,
    signal: Signal,
    metrics: Arc<Metrics>,
    reporter: Arc<Reporter>,
    lost: Arc<Lost>,
    inbox: Mutex<Inbox>,
    /// Wakes the writing thread.
    work: Condvar,
    /// Wakes who waits for room.
    freed: Notify,
    /// Wakes who waits for parts.
    available: Notify,
    /// Read from the disk, in order.
    ready: Mutex<VecDeque<Part>>,
    at_hand: Mutex<AtHand>,
    /// Whether nothing is on the disk that was not read, or is not at hand.
    caught_up: AtomicBool,
    reading: AtomicBool,
    read_failures: AtomicU32,
    read_order: Mutex<()>,
    /// Something was acknowledged since the cursor was saved.
    unsaved: AtomicBool,
    /// An attempt failed after the stop.
    drain_failed: AtomicBool,
}

#[derive(Default)]
struct Inbox {
    entries: Vec<Entry>,
    /// Of entries, and of what is being written.
    bytes: u64,
    thread: bool,
    closed: bool,
    ended: Option<oneshot::Sender<()>>,
}

struct Entry {
    batch: Batch,
    parts: Vec<Bytes>,
    len: u64,
    done: oneshot::Sender<Result<(), String>>,
}

impl AsRef<[Bytes]> for Entry {
    fn as_ref(&self) -> &[Bytes] {
        &self.parts
    }
}

#[derive(Default)]
struct AtHand {
    batches: VecDeque<(Place, Batch)>,
    bytes: usize,
}

/// Acknowledges one record.
pub(crate) struct DiskTicket {
    shared: Arc<Shared>,
    sequence: u64,
}

impl DiskTicket {
    pub(crate) fn done(self) {
        self.shared.acknowledge(self.sequence);
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// It was not delivered. `true` when the disk has it still; otherwise it was dropped for newer data.
    pub(crate) fn is_kept(&self) -> bool {
        !self.shared.log.is_released(self.sequence)
    }
}

impl DiskQueue {
    /// Opens the queue of one signal. Blocks.
    pub(crate) fn open(
        directory: Directory,
        signal: Signal,
        choice: Choice,
        metrics: Arc<Metrics>,
        reporter: Arc<Reporter>,
        lost: Arc<Lost>,
    ) -> std::io::Result<Self> {
        let place = directory.path().display().to_string();
        let (log, recovered) = Log::open(directory, signal.as_str(), Limits::of(choice.capacity))?;
        for torn in &recovered.torn {
            metrics.torn(torn.len);
            tracing::warn!(
                file = format!("{place}/{}", torn.file),
                offset = torn.offset,
                bytes = torn.len,
                "an unfinished write at the end of the queue was cut off; it had not been answered"
            );
        }
        for file in &recovered.unreadable {
            tracing::error!(
                file = format!("{place}/{}", file.name),
                "a file of the queue can't be opened and is set aside: {}",
                file.error
            );
        }
        if let Some(reason) = &recovered.cursor {
            tracing::warn!(
                directory = place,
                "how far the queue was delivered is lost, the oldest data may be sent twice: {reason}"
            );
        }
        if recovered.bytes > 0 {
            tracing::info!(
                directory = place,
                bytes = recovered.bytes,
                "{signal} from before are waiting on the disk and are delivered first"
            );
        }
        let shared = Arc::new(Shared {
            log: Arc::new(log),
            gather: match choice.fsync {
                Fsync::Always => Duration::ZERO,
                Fsync::Within(within) => within.get(),
            },
            signal,
            metrics,
            reporter,
            lost,
            inbox: Mutex::default(),
            work: Condvar::new(),
            freed: Notify::new(),
            available: Notify::new(),
            ready: Mutex::default(),
            at_hand: Mutex::default(),
            caught_up: AtomicBool::new(recovered.bytes == 0),
            reading: AtomicBool::new(false),
            read_failures: AtomicU32::new(0),
            read_order: Mutex::new(()),
            unsaved: AtomicBool::new(false),
            drain_failed: AtomicBool::new(false),
        });
        Ok(Self {
            shared,
            capacity: choice.capacity,
            overflow: choice.overflow,
        })
    }

    /// Bytes that wait.
    pub(crate) fn pending(&self) -> u64 {
        let unsynced = self.shared.inbox.lock().bytes;
        self.shared.log.pending().saturating_add(unsynced)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Queues a batch; resolves when it is on the disk.
    pub(crate) async fn put(&self, batch: &Batch, block: bool) -> Result<(), NotQueued> {
        if batch.bytes_len() > RECORD {
            for piece in batch.data.clone().split_bytes(RECORD) {
                self.put_record(&batch.with_data(piece), block).await?;
            }
            return Ok(());
        }
        self.put_record(batch, block).await
    }

    async fn put_record(&self, batch: &Batch, block: bool) -> Result<(), NotQueued> {
        let parts = payload::encode(batch);
        let len = parts.iter().map(Bytes::len).sum::<usize>() + HEADER_LEN;
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let (done, answer) = oneshot::channel();
        let mut entry = Entry {
            batch: batch.clone(),
            parts,
            len,
            done,
        };
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.shared.offer(entry) {
                Ok(()) => break,
                // The disk is busy, not full: its next sync makes room.
                Err((refused, NotQueued::Full))
                    if self.shared.is_only_unsynced(len)
                        || (block && self.overflow == Overflow::Block) =>
                {
                    entry = refused;
                    freed.await;
                }
                Err((refused, NotQueued::Full)) if self.overflow == Overflow::DropOldest => {
                    entry = refused;
                    let shared = Arc::clone(&self.shared);
                    match tokio::task::spawn_blocking(move || shared.make_room(len)).await {
                        Ok(made) => made?,
                        Err(error) => return Err(NotQueued::Stuck(error.to_string())),
                    }
                }
                Err((_, reason)) => return Err(reason),
            }
        }
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(NotQueued::Disk(error)),
            Err(_) => Err(NotQueued::Closed),
        }
    }

    /// The oldest part that waits; `None` when it is time to stop.
    pub(crate) async fn pop(&self, tasks: &Tasks) -> Option<Part> {
        let shared = &self.shared;
        let mut stopped_at = None;
        loop {
            let available = shared.available.notified();
            tokio::pin!(available);
            available.as_mut().enable();
            if tasks.is_stopping() {
                let since = *stopped_at.get_or_insert_with(tokio::time::Instant::now);
                if shared.drain_failed.load(Ordering::Acquire) || since.elapsed() > DRAIN {
                    return None;
                }
            }
            if let Some(part) = shared.next_part() {
                // Several arrivals may have left one notification.
                shared.available.notify_one();
                return Some(part);
            }
            if !shared.caught_up.load(Ordering::Acquire) {
                if shared.read_failures.load(Ordering::Acquire) > 0 {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                        () = tasks.stopping() => return None,
                    }
                }
                if !shared.reading.swap(true, Ordering::AcqRel) {
                    let shared = Arc::clone(shared);
                    tasks.spawn_blocking(move || shared.read());
                }
            } else if tasks.is_stopping() {
                return None;
            }
            tokio::select! {
                () = available => {}
                () = tasks.stopping(), if !tasks.is_stopping() => {}
            }
        }
    }

    /// An attempt failed; matters only once it is time to stop: then the rest stays for the next start.
    pub(crate) fn stop_draining(&self) {
        self.shared.drain_failed.store(true, Ordering::Release);
        self.shared.available.notify_waiters();
    }

    /// Lets everybody who waits look whether it is time to stop.
    pub(crate) fn wake(&self) {
        self.shared.available.notify_waiters();
    }

    /// Writes what is in the inbox, saves the cursor, ends the thread.
    pub(crate) async fn close(&self) {
        let ended = {
            let mut inbox = self.shared.inbox.lock();
            inbox.closed = true;
            if inbox.thread {
                let (ended, wait) = oneshot::channel();
                inbox.ended = Some(ended);
                self.shared.work.notify_all();
                Some(wait)
            } else {
                None
            }
        };
        match ended {
            // The thread is gone either way.
            Some(wait) => drop(wait.await),
            None => self.shared.save(),
        }
        let ready = std::mem::take(&mut *self.shared.ready.lock());
        drop(ready);
        *self.shared.at_hand.lock() = AtHand::default();
    }
}

impl Drop for DiskQueue {
    fn drop(&mut self) {
        self.shared.inbox.lock().closed = true;
        self.shared.work.notify_all();
        // Parts hold on to the queue.
        let ready = std::mem::take(&mut *self.shared.ready.lock());
        drop(ready);
    }
}

impl Shared {
    #[expect(
        clippy::result_large_err,
        reason = "hands the entry back so that it is encoded once"
    )]
    fn offer(self: &Arc<Self>, entry: Entry) -> Result<(), (Entry, NotQueued)> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err((entry, NotQueued::Closed));
        }
        let unsynced = inbox.bytes.saturating_add(entry.len);
        if (inbox.bytes > 0 && unsynced > UNSYNCED) || !self.log.has_room(unsynced) {
            return Err((entry, NotQueued::Full));
        }
        if let Err(error) = self.ensure_thread(&mut inbox) {
            return Err((entry, NotQueued::Disk(error)));
        }
        inbox.bytes = unsynced;
        inbox.entries.push(entry);
        self.work.notify_all();
        Ok(())
    }

    /// Whether the last refusal was for what waits to be synced, not for the bound of the queue.
    fn is_only_unsynced(&self, len: u64) -> bool {
        let inbox = self.inbox.lock();
        inbox.bytes > 0 && self.log.has_room(inbox.bytes.saturating_add(len))
    }

    fn ensure_thread(self: &Arc<Self>, inbox: &mut Inbox) -> Result<(), String> {
        if inbox.thread {
            return Ok(());
        }
        let shared = Arc::clone(self);
        std::thread::Builder::new()
            .name(format!("queue-{}", self.signal))
            .spawn(move || shared.write_until_closed())
            .map_err(|error| format!("no thread for it: {error}"))?;
        inbox.thread = true;
        Ok(())
    }

    /// The writing thread.
    fn write_until_closed(&self) {
        let mut saved = std::time::Instant::now();
        let mut next_sync = saved;
        loop {
            let (mut group, closed) = {
                let mut inbox = self.inbox.lock();
                while inbox.entries.is_empty() && !inbox.closed {
                    if self.log.has_finished_files() {
                        break;
                    }
                    if self.unsaved.load(Ordering::Acquire) {
                        let left = SAVE_EVERY.saturating_sub(saved.elapsed());
                        if self.work.wait_for(&mut inbox, left).timed_out() {
                            break;
                        }
                    } else {
                        self.work.wait(&mut inbox);
                    }
                }
                while !inbox.entries.is_empty() && !inbox.closed && inbox.bytes < FULL_GROUP {
                    if self.work.wait_until(&mut inbox, next_sync).timed_out() {
                        break;
                    }
                }
                (std::mem::take(&mut inbox.entries), inbox.closed)
            };
            let nothing = group.is_empty();
            if !nothing {
                let begun = std::time::Instant::now();
                self.write(&mut group);
                next_sync = std::time::Instant::now() + begun.elapsed().min(self.gather);
            }
            if closed || saved.elapsed() >= SAVE_EVERY || self.log.has_finished_files() {
                self.save();
                saved = std::time::Instant::now();
            }
            if closed && nothing {
                let mut inbox = self.inbox.lock();
                inbox.thread = false;
                // Dropping the sender tells whoever closed.
                inbox.ended = None;
                return;
            }
        }
    }

    fn write(&self, group: &mut Vec<Entry>) {
        let mut kept = Vec::with_capacity(group.len());
        let result = self.log.append(group, &mut kept);
        let bytes: u64 = group.iter().map(|entry| entry.len).sum();
        let count = kept.len();
        self.keep_at_hand(group, kept);
        let error = match &result {
            Ok(()) => String::new(),
            Err(error) => {
                let place = self.log.directory().path().display().to_string();
                self.reporter.disk_failed(&place, &error.to_string());
                error.to_string()
            }
        };
        {
            let mut inbox = self.inbox.lock();
            inbox.bytes = inbox.bytes.saturating_sub(bytes);
        }
        for (index, entry) in group.drain(..).enumerate() {
            let answer = if index < count {
                Ok(())
            } else {
                Err(error.clone())
            };
            // A caller that is gone needs no answer.
            drop(entry.done.send(answer));
        }
        self.available.notify_one();
        self.freed.notify_waiters();
    }

    /// Keeps what was just written at hand if reading has caught up that far.
    fn keep_at_hand(&self, group: &[Entry], kept: Vec<Place>) {
        let mut at_hand = self.at_hand.lock();
        for (entry, place) in group.iter().zip(kept) {
            let len = entry.batch.bytes_len();
            let next = match at_hand.batches.back() {
                Some((last, _)) => last.sequence + 1,
                None => self.log.next_read(),
            };
            if next == place.sequence && at_hand.bytes + len <= AT_HAND {
                at_hand.bytes += len;
                at_hand.batches.push_back((place, entry.batch.clone()));
            } else {
                self.caught_up.store(false, Ordering::Release);
            }
        }
    }

    /// Drops the oldest file, and more if that is not enough, until `len` bytes fit. Blocks.
    fn make_room(self: &Arc<Self>, len: u64) -> Result<(), NotQueued> {
        // One at a time, and not beside the reading that it does itself.
        let order = self.read_order.lock();
        let has_room = || {
            let unsynced = self.inbox.lock().bytes;
            self.log.has_room(unsynced.saturating_add(len))
        };
        let mut before = None;
        while !has_room() {
            let pending = self.log.pending();
            if before == Some(pending) {
                // All that is left is being written.
                return Err(NotQueued::Full);
            }
            before = Some(pending);
            self.drop_oldest_file()
                .map_err(|error| NotQueued::Stuck(error.to_string()))?;
        }
        drop(order);
        self.available.notify_one();
        self.freed.notify_waiters();
        Ok(())
    }

    fn drop_oldest_file(self: &Arc<Self>) -> std::io::Result<()> {
        let mut dropped = 0;
        let mut records = 0u64;
        loop {
            self.caught_up.store(false, Ordering::Release);
            let found = self.log.read_oldest_file(CHUNK)?;
            if found.is_empty() {
                break;
            }
            for item in found {
                match item {
                    Found::Record { sequence, payload } => {
                        dropped += payload::items(&payload);
                        records += 1;
                        self.log.acknowledge(sequence);
                    }
                    Found::Damage(_) => self.take_in(item),
                }
            }
        }
        self.metrics.dropped(self.signal, dropped);
        // What is being sent is in memory and may yet arrive; it is counted when it does not.
        let released = self.log.release_oldest();
        let mut unsent = Vec::new();
        {
            let mut ready = self.ready.lock();
            while let Some(part) = ready.pop_front_if(|part| {
                part.sequence()
                    .is_some_and(|sequence| released.contains(&sequence))
            }) {
                unsent.push(part);
            }
        }
        let waiting: usize = unsent.iter().map(|part| part.batch.items()).sum();
        drop(unsent);
        self.log.save()?;
        self.reporter.dropped(
            self.signal,
            dropped.saturating_add(waiting),
            records,
            "the queue on disk is full",
        );
        Ok(())
    }

    fn next_part(self: &Arc<Self>) -> Option<Part> {
        if let Some(part) = self.ready.lock().pop_front() {
            return Some(part);
        }
        if self.reading.load(Ordering::Acquire) {
            // What it finds comes first.
            return None;
        }
        let mut at_hand = self.at_hand.lock();
        while let Some((place, batch)) = at_hand.batches.front() {
            if self.log.read_from_memory(*place) {
                let part = self.part(place.sequence, batch.clone());
                at_hand.bytes = at_hand.bytes.saturating_sub(batch.bytes_len());
                at_hand.batches.pop_front();
                return Some(part);
            }
            if place.sequence >= self.log.next_read() {
                // Others come first.
                self.caught_up.store(false, Ordering::Release);
                return None;
            }
            // It was read from the disk meanwhile.
            at_hand.bytes = at_hand.bytes.saturating_sub(batch.bytes_len());
            at_hand.batches.pop_front();
        }
        None
    }

    fn part(self: &Arc<Self>, sequence: u64, batch: Batch) -> Part {
        let origin = Origin::Disk(DiskTicket {
            shared: Arc::clone(self),
            sequence,
        });
        let ticket = Ticket::new(
            origin,
            None,
            Arc::clone(&self.metrics),
            Arc::clone(&self.lost),
        );
        Part::new(batch, ticket)
    }

    /// Reads the next chunk of the backlog, on a blocking thread.
    fn read(self: &Arc<Self>) {
        let order = self.read_order.lock();
        self.caught_up.store(true, Ordering::Release);
        match self.log.read(CHUNK) {
            Ok(found) => {
                self.read_failures.store(0, Ordering::Release);
                if !found.is_empty() {
                    self.caught_up.store(false, Ordering::Release);
                }
                for item in found {
                    self.take_in(item);
                }
            }
            Err(error) => {
                self.caught_up.store(false, Ordering::Release);
                let place = self.log.directory().path().display().to_string();
                self.reporter.unreadable(&place, &error.to_string());
                let failures = self.read_failures.fetch_add(1, Ordering::AcqRel) + 1;
                if failures >= READ_ATTEMPTS
                    && let Some(lost) = self.log.give_up_file()
                {
                    self.read_failures.store(0, Ordering::Release);
                    self.take_in(Found::Damage(lost));
                }
            }
        }
        drop(order);
        self.reading.store(false, Ordering::Release);
        self.available.notify_one();
    }

    fn take_in(self: &Arc<Self>, found: Found) {
        match found {
            Found::Record { sequence, payload } => {
                let len = u64::try_from(payload.len()).unwrap_or(u64::MAX);
                match payload::decode(payload) {
                    Ok(batch) => {
                        let part = self.part(sequence, batch);
                        self.ready.lock().push_back(part);
                    }
                    Err(error) => {
                        self.metrics.damaged(len);
                        let place = self.log.directory().path().display().to_string();
                        self.reporter.damaged(&place, 0, len, &error.to_string());
                        self.acknowledge(sequence);
                    }
                }
            }
            Found::Damage(lost) => {
                self.metrics.damaged(lost.len);
                let file = self.log.directory().path().join(&lost.file);
                let reason = format!("{:?}", lost.reason);
                self.reporter
                    .damaged(&file.display().to_string(), lost.offset, lost.len, &reason);
            }
        }
    }

    fn acknowledge(self: &Arc<Self>, sequence: u64) {
        self.log.acknowledge(sequence);
        let first = !self.unsaved.swap(true, Ordering::AcqRel);
        if first || self.log.has_finished_files() {
            // Under the lock, so that the thread isn't between looking and waiting.
            let mut inbox = self.inbox.lock();
            if !inbox.closed
                && let Err(error) = self.ensure_thread(&mut inbox)
            {
                tracing::error!(%error, "how far the queue was delivered can't be saved");
            }
            self.work.notify_all();
        }
        self.freed.notify_waiters();
    }

    fn save(&self) {
        self.unsaved.store(false, Ordering::Release);
        if self.log.is_unsaved()
            && let Err(error) = self.log.save()
        {
            let place = self.log.directory().path().display().to_string();
            self.reporter.disk_failed(&place, &error.to_string());
        }
        self.freed.notify_waiters();
    }
}
