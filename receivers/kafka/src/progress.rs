//! Which offset is safe.
//!
//! Messages of a partition are under way at the same time and end in any order; an offset says "everything before". So the
//! offset moves to a message only when it and all before it have ended. One that does not end holds the offset while others
//! go on, but not for ever: a partition that is [`SPAN`] messages ahead of its offset is crowded, and waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many messages a partition may be ahead of its offset: what comes twice at the most when the process ends.
pub(crate) const SPAN: usize = 4096;

/// The messages under way of every partition that the consumer has.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    topics: HashMap<Arc<str>, HashMap<i32, Partition>>,
    epochs: u64,
}

#[derive(Debug)]
struct Partition {
    /// Of this assignment: what ends after the partition was taken away says nothing any more, even when it is back.
    epoch: u64,
    /// Offsets in order, and whether each has ended.
    under_way: VecDeque<(i64, bool)>,
    crowded: bool,
}

/// What the end of a message changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The last message up to which all have ended, when that has moved.
    pub(crate) safe: Option<i64>,
    /// The partition was crowded, and is not any more.
    pub(crate) relieved: bool,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    epoch: u64,
}

impl Progress {
    /// A message has come. Offsets of a partition come in order; one that steps back begins the partition anew. Also returns
    /// whether the partition is crowded now.
    pub(crate) fn began(&mut self, topic: &str, partition: i32, offset: i64) -> (Place, bool) {
        let topic = match self.topics.get_key_value(topic) {
            Some((topic, _)) => Arc::clone(topic),
            None => Arc::from(topic),
        };
        let partitions = self.topics.entry(Arc::clone(&topic)).or_default();
        let epochs = &mut self.epochs;
        let mut begin = || {
            *epochs += 1;
            Partition {
                epoch: *epochs,
                under_way: VecDeque::new(),
                crowded: false,
            }
        };
        let known = partitions.entry(partition).or_insert_with(&mut begin);
        if known.under_way.back().is_some_and(|last| last.0 >= offset) {
            *known = begin();
        }
        known.under_way.push_back((offset, false));
        known.crowded |= known.under_way.len() >= SPAN;
        let place = Place {
            topic,
            partition,
            offset,
            epoch: known.epoch,
        };
        (place, known.crowded)
    }

    /// A message has ended: it was kept, or will never be.
    pub(crate) fn ended(&mut self, place: &Place) -> Ended {
        let partitions = self.topics.get_mut(&place.topic);
        let partition = partitions.and_then(|partitions| partitions.get_mut(&place.partition));
        match partition.filter(|partition| partition.epoch == place.epoch) {
            Some(partition) => partition.ended(place.offset),
            None => Ended::default(),
        }
    }

    /// Whether a partition has to wait for its offset.
    pub(crate) fn is_crowded(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.topics.get(topic);
        partitions
            .and_then(|partitions| partitions.get(&partition))
            .is_some_and(|partition| partition.crowded)
    }

    /// A partition was taken away.
    pub(crate) fn revoked(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.topics.get_mut(topic) {
            partitions.remove(&partition);
        }
    }

    /// All of them were.
    pub(crate) fn clear(&mut self) {
        self.topics.clear();
    }
}

impl Partition {
    fn ended(&mut self, offset: i64) -> Ended {
        let index = self
            .under_way
            .binary_search_by_key(&offset, |entry| entry.0);
        let entry = index.ok().and_then(|index| self.under_way.get_mut(index));
        if let Some(entry) = entry {
            entry.1 = true;
        }
        let mut safe = None;
        while let Some((offset, true)) = self.under_way.front() {
            safe = Some(*offset);
            self.under_way.pop_front();
        }
        let relieved = self.crowded && self.under_way.len() <= SPAN / 2;
        self.crowded &= !relieved;
        Ended { safe, relieved }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// Begins a message.
    fn began(progress: &mut Progress, partition: i32, offset: i64) -> Place {
        progress.began("t", partition, offset).0
    }

    #[test]
    fn a_partition_far_ahead_of_its_offset_waits() {
        let mut progress = Progress::default();
        let span = i64::try_from(SPAN).unwrap();
        let stuck = began(&mut progress, 0, 0);
        for offset in 1..span - 1 {
            let (place, crowded) = progress.began("t", 0, offset);
            assert!(!crowded);
            assert_eq!(progress.ended(&place), Ended::default());
        }
        let (last, crowded) = progress.began("t", 0, span - 1);
        assert!(crowded && progress.is_crowded("t", 0));
        assert!(!progress.is_crowded("t", 1));
        assert_eq!(progress.ended(&last), Ended::default());
        let ended = progress.ended(&stuck);
        assert_eq!(ended.safe, Some(span - 1));
        assert!(ended.relieved && !progress.is_crowded("t", 0));
    }

    #[test]
    fn the_offset_waits_for_what_stands_before_it() {
        let mut progress = Progress::default();
        let places: Vec<Place> = [3, 4, 7]
            .into_iter()
            .map(|offset| began(&mut progress, 0, offset))
            .collect();
        let other = began(&mut progress, 1, 100);
        assert_eq!(progress.ended(&places[2]).safe, None);
        assert_eq!(progress.ended(&other).safe, Some(100));
        assert_eq!(progress.ended(&places[0]).safe, Some(3));
        assert_eq!(progress.ended(&places[1]).safe, Some(7));
        assert_eq!(progress.ended(&places[1]).safe, None);
    }

    #[test]
    fn what_was_taken_away_moves_nothing() {
        let mut progress = Progress::default();
        let old = began(&mut progress, 0, 3);
        progress.revoked("t", 0);
        assert_eq!(progress.ended(&old).safe, None);
        // It comes back, and the same message with it.
        let again = began(&mut progress, 0, 3);
        assert_eq!(progress.ended(&old).safe, None);
        assert_eq!(progress.ended(&again).safe, Some(3));
        // The log was truncated: the offset steps back.
        let high = began(&mut progress, 0, 9);
        let low = began(&mut progress, 0, 5);
        assert_eq!(progress.ended(&high).safe, None);
        assert_eq!(progress.ended(&low).safe, Some(5));
        let last = began(&mut progress, 0, 6);
        progress.clear();
        assert_eq!(progress.ended(&last).safe, None);
    }

    proptest! {
        /// Against the plain statement: safe is the highest message such that all up to it have ended.
        #[test]
        fn safe_is_what_has_ended_without_a_gap(
            steps in proptest::collection::vec(1i64..4, 1..40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut progress = Progress::default();
            let mut offset = 0;
            let places: Vec<Place> = steps.iter().map(|step| {
                offset += step;
                began(&mut progress, 0, offset)
            }).collect();
            let mut ended = BTreeSet::new();
            let mut stored = None;
            for index in order {
                let place = &places[index.index(places.len())];
                ended.insert(place.offset);
                let moved = progress.ended(place).safe;
                let safe = places.iter().map(|place| place.offset).take_while(|offset| ended.contains(offset)).last();
                prop_assert_eq!(moved.or(stored), safe);
                stored = safe;
            }
        }
    }
}
