//! How many callers there are, when each of them waits for its answer before it sends again.
//!
//! Such callers cannot fill a batch while they wait for it: sixteen with a hundred spans each would spend
//! their time waiting for `timeout`. What gives them away is that all of them are back within a moment of their answers. A
//! batch that everybody who was there last time is in again, so soon, goes on at once. Callers that come
//! in their own time are never back so soon together, and get the batches that the settings ask for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::group::Key;

/// How soon callers that wait for their answers are back.
const SOON: Duration = Duration::from_millis(2);

/// The callers of every kind of group.
#[derive(Default)]
pub(crate) struct Crowds(HashMap<Key, Crowd>);

#[derive(Default)]
struct Crowd {
    /// How many were there last time; `None` until that is known.
    expected: Option<usize>,
    /// How many wait for an answer now.
    waiting: usize,
    /// When the last of them got theirs.
    answered: Option<Instant>,
}

impl Crowds {
    /// One more caller waits; `callers` of them in this group. Answers whether that is everybody.
    pub(crate) fn came(&mut self, key: &Key, callers: usize) -> bool {
        let crowd = match self.0.get_mut(key) {
            Some(crowd) => crowd,
            None => self.0.entry(key.clone()).or_default(),
        };
        crowd.waiting += 1;
        crowd.expected.is_some_and(|expected| callers >= expected)
            && crowd.answered.is_some_and(|at| at.elapsed() <= SOON)
    }

    /// Nobody else came for long: `callers` is how many there are.
    pub(crate) fn quiet(&mut self, key: &Key, callers: usize) {
        if let Some(crowd) = self.0.get_mut(key) {
            crowd.expected = Some(callers);
        }
    }

    /// A group of `callers` is answered for. Whoever else waits by then belongs to the crowd.
    pub(crate) fn answered(&mut self, key: &Key, callers: usize, limit: usize) {
        let Some(crowd) = self.0.get_mut(key) else {
            return;
        };
        if crowd.expected.is_some() {
            crowd.expected = Some(crowd.waiting);
        }
        crowd.waiting = crowd.waiting.saturating_sub(callers);
        crowd.answered = Some(Instant::now());
        if crowd.waiting == 0 && self.0.len() > limit {
            self.0.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_component::Batch;
    use corten_pdata::{Data, Signal};

    use super::*;

    fn key() -> Key {
        Key::of(&Batch::new(Data::empty(Signal::Logs)), &[])
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_is_who_was_there_when_nothing_came_for_long() {
        let (mut crowds, key) = (Crowds::default(), key());
        assert!(!crowds.came(&key, 1), "nothing is known yet");
        assert!(!crowds.came(&key, 2));
        crowds.quiet(&key, 2);
        crowds.answered(&key, 2, 10);
        assert!(!crowds.came(&key, 1), "one is missing");
        assert!(crowds.came(&key, 2), "both are back at once");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_come_in_their_own_time_are_not_taken_for_a_crowd() {
        let (mut crowds, key) = (Crowds::default(), key());
        crowds.came(&key, 1);
        crowds.quiet(&key, 1);
        crowds.answered(&key, 1, 10);
        tokio::time::sleep(SOON * 2).await;
        assert!(!crowds.came(&key, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_grows_by_those_who_wait_when_it_is_answered() {
        let (mut crowds, key) = (Crowds::default(), key());
        crowds.came(&key, 1);
        crowds.quiet(&key, 1);
        crowds.came(&key, 1);
        crowds.came(&key, 2);
        crowds.answered(&key, 1, 10);
        assert!(
            !crowds.came(&key, 2),
            "three wait, two of them in this group"
        );
        assert!(crowds.came(&key, 3));
    }

    #[test]
    fn crowds_of_the_past_are_forgotten() {
        let mut crowds = Crowds::default();
        for n in 0..100 {
            let metadata = corten_component::ClientMetadata::from_entries([(
                "tenant",
                format!("t{n}").as_str(),
            )]);
            let batch = Batch::new(Data::empty(Signal::Logs)).with_metadata(metadata.into());
            let key = Key::of(&batch, &[]);
            crowds.came(&key, 1);
            crowds.answered(&key, 1, 10);
        }
        assert!(crowds.0.len() <= 11, "{}", crowds.0.len());
    }
}
