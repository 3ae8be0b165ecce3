//! How far the journal was delivered, in the order in which it was read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use corten_lines::Receipt;
use corten_operators::{Origin, Origins};
use corten_storage::Checkpoint;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::metadata::{Event, Metrics};

/// The first byte of a saved position.
const VERSION: u8 = 1;
/// Between two saves.
const INTERVAL: Duration = Duration::from_millis(500);
/// After a save that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// A place in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The cursor of the last entry; empty when there is none yet.
    pub(crate) cursor: String,
    /// The entry's time, or without one from when on entries are wanted: microseconds since 1970; 0 is the beginning.
    pub(crate) micros: u64,
}

impl Position {
    /// One byte version, eight bytes time (little-endian), then the cursor.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.micros.to_le_bytes());
        bytes.extend_from_slice(self.cursor.as_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote; `None` for anything else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (micros, cursor) = rest.split_first_chunk::<8>()?;
        Some(Self {
            cursor: str::from_utf8(cursor).ok()?.to_owned(),
            micros: u64::from_le_bytes(*micros),
        })
    }
}

/// The batches on their way, and up to where all of them have arrived.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the first of `under_way`.
    first: u64,
    under_way: VecDeque<Slot>,
    /// Not saved yet.
    arrived: Option<Position>,
}

#[derive(Debug)]
struct Slot {
    last: Position,
    kept: bool,
}

impl Progress {
    /// Where nothing is known, the first position is worth saving itself.
    pub(crate) fn new(unsaved: Option<Position>) -> Arc<Self> {
        let progress = Self {
            state: Mutex::new(State {
                arrived: unsaved,
                ..State::default()
            }),
            changed: Notify::new(),
        };
        progress.changed.notify_one();
        Arc::new(progress)
    }

    /// A batch whose last entry is `last` begins its way, after all that have begun before.
    pub(crate) fn begin(self: &Arc<Self>, last: Position) -> Delivery {
        let mut state = self.state.lock();
        let number = state.first + u64::try_from(state.under_way.len()).unwrap_or(u64::MAX);
        state.under_way.push_back(Slot { last, kept: false });
        Delivery {
            progress: Arc::clone(self),
            number,
        }
    }

    fn kept(&self, number: u64) {
        let mut state = self.state.lock();
        let index = usize::try_from(number - state.first).unwrap_or(usize::MAX);
        if let Some(slot) = state.under_way.get_mut(index) {
            slot.kept = true;
        }
        let mut moved = false;
        while state.under_way.front().is_some_and(|slot| slot.kept) {
            if let Some(slot) = state.under_way.pop_front() {
                state.first += 1;
                state.arrived = Some(slot.last);
                moved = true;
            }
        }
        drop(state);
        if moved {
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Option<Position> {
        self.state.lock().arrived.take()
    }

    /// After a failed save, unless a newer position has come.
    fn put_back(&self, position: Position) {
        let mut state = self.state.lock();
        if state.arrived.is_none() {
            state.arrived = Some(position);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Saves positions, each at most half a second after it was reached, until `finished`, and the last one then. Without a
    /// checkpoint it only waits.
    pub(crate) async fn save(
        self: Arc<Self>,
        checkpoint: Option<Checkpoint>,
        metrics: Arc<Metrics>,
        finished: CancellationToken,
    ) {
        let Some(mut checkpoint) = checkpoint else {
            finished.cancelled().await;
            return;
        };
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = finished.cancelled() => {}
            }
            let last = finished.is_cancelled();
            let mut pause = INTERVAL;
            if let Some(position) = self.take() {
                let bytes = position.to_bytes();
                let saving = tokio::task::spawn_blocking(move || {
                    let saved = checkpoint.save(&bytes);
                    (checkpoint, saved)
                });
                let Ok((returned, saved)) = saving.await else {
                    return;
                };
                checkpoint = returned;
                if let Err(error) = saved {
                    metrics.count(Event::CheckpointError);
                    tracing::warn!(%error, "the journal's cursor is not saved");
                    self.put_back(position);
                    pause = AGAIN;
                }
            }
            if last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = finished.cancelled() => {}
            }
        }
    }
}

/// The responsibility for one page: entries that were read one after another.
#[derive(Debug)]
pub(crate) struct Delivery {
    progress: Arc<Progress>,
    number: u64,
}

impl Delivery {
    /// All of them are safe.
    pub(crate) fn kept(self) {
        self.progress.kept(self.number);
    }
}

/// A page whose entries go through operators, which share it: it is kept when the last of them is done with, and none was lost.
#[derive(Debug, Default)]
pub(crate) struct Page {
    delivery: OnceLock<Delivery>,
    lost: AtomicBool,
}

impl Page {
    /// No more entries come.
    pub(crate) fn close(self: Arc<Self>, delivery: Delivery) {
        // Only once: it is given up here.
        drop(self.delivery.set(delivery));
    }
}

impl Origin for Page {
    fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take()
            && !self.lost.load(Ordering::Relaxed)
        {
            delivery.kept();
        }
    }
}

/// What a batch answers for.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nothing more is needed than that it is kept.
    Page(Delivery),
    /// The pages that its entries are of.
    Entries(Origins),
}

/// The responsibility for one batch.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) answer: Answer,
    /// Bounds how much is under way.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Receipt for Claim {
    fn kept(self) {
        match self.answer {
            Answer::Page(delivery) => delivery.kept(),
            Answer::Entries(origins) => origins.settle(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begin(progress: &Arc<Progress>, count: usize) -> Vec<Option<Delivery>> {
        (1..=count)
            .map(|number| {
                let last = Position {
                    cursor: format!("c{number}"),
                    micros: number as u64,
                };
                Some(progress.begin(last))
            })
            .collect()
    }

    #[test]
    fn moves_over_what_arrived_without_a_gap() {
        let progress = Progress::new(None);
        let mut deliveries = begin(&progress, 4);
        deliveries[2].take().unwrap().kept();
        deliveries[1].take().unwrap().kept();
        assert_eq!(progress.take(), None);
        deliveries[0].take().unwrap().kept();
        assert_eq!(progress.take().unwrap().cursor, "c3");
        // The last one is lost.
        deliveries[3].take();
        assert_eq!(progress.take(), None);
    }

    #[test]
    fn a_page_is_kept_with_its_last_entry() {
        let progress = Progress::new(None);
        let deliveries = begin(&progress, 3);
        let mut held = Vec::new();
        for delivery in deliveries {
            let page = Arc::new(Page::default());
            held.push(Origins::of(Arc::clone(&page) as Arc<dyn Origin>));
            page.close(delivery.unwrap());
        }
        let (third, second, first) = (
            held.pop().unwrap(),
            held.pop().unwrap(),
            held.pop().unwrap(),
        );
        second.settle();
        assert_eq!(progress.take(), None);
        first.settle();
        assert_eq!(progress.take().unwrap().cursor, "c2");
        // Forgotten in place of settled.
        drop(third);
        assert_eq!(progress.take(), None);
    }

    proptest! {
        #[test]
        fn never_beyond_the_first_that_is_missing(order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(), lost in prop::collection::vec(any::<bool>(), 12)) {
            let progress = Progress::new(None);
            let mut deliveries = begin(&progress, 12);
            let mut at = 0;
            let mut kept = [false; 12];
            for index in order {
                let delivery = deliveries[index].take().unwrap();
                if lost[index] {
                    drop(delivery);
                } else {
                    kept[index] = true;
                    delivery.kept();
                }
                if let Some(position) = progress.take() {
                    at = position.micros;
                }
                let expected = kept.iter().take_while(|kept| **kept).count();
                prop_assert_eq!(at, expected as u64);
            }
        }

        #[test]
        fn positions_survive(cursor in any::<String>(), micros: u64) {
            let position = Position { cursor, micros };
            prop_assert_eq!(Position::from_bytes(&position.to_bytes()), Some(position));
        }

        #[test]
        fn other_bytes_are_no_position(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(position) = Position::from_bytes(&bytes) {
                prop_assert_eq!(position.to_bytes(), bytes);
            }
        }
    }
}
