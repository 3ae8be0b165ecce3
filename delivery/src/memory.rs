//! The queue in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use corten_component::{Batch, Tasks};
use corten_config::settings::Sizer;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::part::Part;

/// How much a batch counts.
pub(crate) fn size(sizer: Sizer, batch: &Batch) -> u64 {
    let size = match sizer {
        Sizer::Requests => 1,
        Sizer::Items => batch.items(),
        Sizer::Bytes => batch.bytes_len(),
    };
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// The bound of a memory queue. What is being sent still counts: it is still in memory.
#[derive(Debug)]
pub(crate) struct Room {
    capacity: u64,
    /// Of bytes, whatever else is counted.
    bytes_capacity: u64,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    size: u64,
    bytes: u64,
}

/// A share of the room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    room: Arc<Room>,
    share: Used,
}

impl Room {
    pub(crate) fn new(capacity: u64, bytes_capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            bytes_capacity,
            used: Mutex::default(),
            freed: Notify::new(),
        })
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.lock().size
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// A share, when there is room. An empty queue takes a batch of any size, since it is in memory anyway.
    pub(crate) fn try_take(self: &Arc<Self>, size: u64, bytes: u64) -> Option<Permit> {
        let mut used = self.used.lock();
        let after = Used {
            size: used.size.saturating_add(size),
            bytes: used.bytes.saturating_add(bytes),
        };
        if used.size > 0 && (after.size > self.capacity || after.bytes > self.bytes_capacity) {
            return None;
        }
        *used = after;
        Some(Permit {
            room: Arc::clone(self),
            share: Used { size, bytes },
        })
    }

    /// Waits until no more than `bytes` are used.
    pub(crate) async fn below(&self, bytes: u64) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.used.lock().bytes <= bytes {
                return;
            }
            freed.await;
        }
    }

    /// Waits for a share.
    pub(crate) async fn take(self: &Arc<Self>, size: u64, bytes: u64) -> Permit {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(permit) = self.try_take(size, bytes) {
                return permit;
            }
            freed.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.room.used.lock();
        used.size = used.size.saturating_sub(self.share.size);
        used.bytes = used.bytes.saturating_sub(self.share.bytes);
        drop(used);
        self.room.freed.notify_waiters();
    }
}

/// First in, first out; bounded by [`Room`], not here.
#[derive(Default)]
pub(crate) struct MemoryQueue {
    parts: Mutex<VecDeque<Part>>,
    available: Notify,
}

impl MemoryQueue {
    pub(crate) fn push(&self, part: Part) {
        self.parts.lock().push_back(part);
        self.available.notify_one();
    }

    /// The oldest part; `None` when it is time to stop and nothing is left.
    pub(crate) async fn pop(&self, tasks: &Tasks) -> Option<Part> {
        loop {
            let available = self.available.notified();
            tokio::pin!(available);
            available.as_mut().enable();
            {
                let mut parts = self.parts.lock();
                if let Some(part) = parts.pop_front() {
                    if !parts.is_empty() {
                        // Several pushes may have left one notification.
                        self.available.notify_one();
                    }
                    return Some(part);
                }
            }
            if tasks.is_stopping() {
                return None;
            }
            tokio::select! {
                () = available => {}
                () = tasks.stopping() => {}
            }
        }
    }

    /// The oldest part that nobody sends yet.
    pub(crate) fn take_oldest(&self) -> Option<Part> {
        self.parts.lock().pop_front()
    }

    /// Drops everything, which tells whoever waits.
    pub(crate) fn clear(&self) {
        let parts = std::mem::take(&mut *self.parts.lock());
        drop(parts);
    }
}
