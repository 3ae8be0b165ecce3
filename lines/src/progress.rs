//! How far what was read has arrived: positions move in the order of reading, over what is kept without a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use corten_storage::Checkpoint;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::shipper::Receipt;

/// The batches of one source that are on their way, each with the position behind it.
#[derive(Debug)]
pub struct Progress<P> {
    state: Mutex<State<P>>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State<P> {
    /// The number of the first of `under_way`.
    first: u64,
    under_way: VecDeque<Slot<P>>,
    arrived: Vec<P>,
}

#[derive(Debug)]
struct Slot<P> {
    position: P,
    kept: bool,
}

impl<P> Progress<P> {
    /// Nothing is on its way. `changed` is notified whenever something has arrived; many may share it.
    #[must_use]
    pub fn new(changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                first: 0,
                under_way: VecDeque::new(),
                arrived: Vec::new(),
            }),
            changed,
        })
    }

    /// A batch up to `position` begins its way, after all that have begun before. `permit` is held until it
    /// has arrived, and bounds how much is under way.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        position: P,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Delivery<P> {
        let mut state = self.state.lock();
        let number = state.first + u64::try_from(state.under_way.len()).unwrap_or(u64::MAX);
        state.under_way.push_back(Slot {
            position,
            kept: false,
        });
        Delivery {
            progress: Arc::clone(self),
            number,
            _permit: permit,
        }
    }

    /// What has arrived since the last call, in order: every position before which nothing is missing.
    #[must_use]
    pub fn arrived(&self) -> Vec<P> {
        std::mem::take(&mut self.state.lock().arrived)
    }

    fn kept(&self, number: u64) {
        let mut state = self.state.lock();
        let index = number
            .checked_sub(state.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| state.under_way.get_mut(index)) {
            slot.kept = true;
        }
        let mut moved = false;
        while state.under_way.front().is_some_and(|slot| slot.kept) {
            if let Some(slot) = state.under_way.pop_front() {
                state.first += 1;
                state.arrived.push(slot.position);
                moved = true;
            }
        }
        drop(state);
        if moved {
            self.changed.notify_one();
        }
    }
}

/// The responsibility for one batch. Dropped without being [kept](Receipt::kept), nothing behind it arrives: it is to be
/// read again.
#[derive(Debug)]
pub struct Delivery<P> {
    progress: Arc<Progress<P>>,
    number: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<P: Send + 'static> Receipt for Delivery<P> {
    fn kept(self) {
        self.progress.kept(self.number);
    }
}

/// Saves a state whenever `changed` is notified, at most once per `interval`, until `finished`, and once more then.
/// `state` makes the bytes to save; `None` when there is nothing new. Without a checkpoint it is called all the same, so that
/// what has arrived is taken.
pub async fn save_progress(
    mut checkpoint: Option<Checkpoint>,
    changed: Arc<Notify>,
    interval: Duration,
    finished: CancellationToken,
    mut state: impl FnMut() -> Option<Vec<u8>> + Send,
) {
    let mut unsaved: Option<Vec<u8>> = None;
    let mut told = false;
    loop {
        tokio::select! {
            () = changed.notified() => {}
            () = finished.cancelled() => {}
        }
        let last = finished.is_cancelled();
        if let Some(bytes) = state() {
            unsaved = Some(bytes);
        }
        if let Some(bytes) = unsaved.take()
            && let Some(mut taken) = checkpoint.take()
        {
            let saving = tokio::task::spawn_blocking(move || {
                let saved = taken.save(&bytes);
                (taken, bytes, saved)
            });
            let Ok((returned, bytes, saved)) = saving.await else {
                return;
            };
            checkpoint = Some(returned);
            match saved {
                Ok(()) => told = false,
                Err(error) => {
                    if !told {
                        tracing::warn!(%error, "positions are not saved; they are tried again");
                        told = true;
                    }
                    unsaved = Some(bytes);
                    changed.notify_one();
                }
            }
        }
        if last {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = finished.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_over_what_arrived_without_a_gap() {
        let progress = Progress::new(Arc::default());
        let mut deliveries: Vec<_> = (1..=4).map(|at| Some(progress.begin(at, None))).collect();
        deliveries[2].take().unwrap().kept();
        deliveries[1].take().unwrap().kept();
        assert!(progress.arrived().is_empty());
        deliveries[0].take().unwrap().kept();
        assert_eq!(progress.arrived(), [1, 2, 3]);
        // The last one is lost.
        deliveries[3].take();
        progress.begin(5, None).kept();
        assert!(progress.arrived().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_state_is_saved_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let directory = corten_storage::Directory::open(folder.path(), "test").unwrap();
            Checkpoint::open(directory, "position")
        };
        let changed = Arc::<Notify>::default();
        let finished = CancellationToken::new();
        let mut states = vec![b"two".to_vec(), b"one".to_vec()];
        changed.notify_one();
        let saving = save_progress(
            Some(open().0),
            changed,
            Duration::from_secs(60),
            finished.clone(),
            move || states.pop(),
        );
        let end = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            finished.cancel();
        };
        tokio::join!(saving, end);
        assert_eq!(open().1.bytes, b"two");
    }
}
