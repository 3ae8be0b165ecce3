//! Which offset is safe.
//!
//! Messages of a partition are under way at the same time and end in any order; an offset says "everything before". So the
//! offset moves to a message only when it and all before it have ended.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

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
    /// A message has come. Offsets of a partition come in order; one that steps back begins the partition anew.
    pub(crate) fn began(&mut self, topic: &str, partition: i32, offset: i64) -> Place {
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
            }
        };
        let known = partitions.entry(partition).or_insert_with(&mut begin);
        if known.under_way.back().is_some_and(|last| last.0 >= offset) {
            *known = begin();
        }
        known.under_way.push_back((offset, false));
        Place {
            topic,
            partition,
            offset,
            epoch: known.epoch,
        }
    }

    /// A message has ended: it was kept, or will never be. Returns the last message up to which all have, when that has moved.
    pub(crate) fn ended(&mut self, place: &Place) -> Option<i64> {
        let partition = self
            .topics
            .get_mut(&place.topic)?
            .get_mut(&place.partition)?;
        if partition.epoch != place.epoch {
            return None;
        }
        let index = partition
            .under_way
            .binary_search_by_key(&place.offset, |entry| entry.0)
            .ok()?;
        partition.under_way.get_mut(index)?.1 = true;
        let mut safe = None;
        while let Some((offset, true)) = partition.under_way.front() {
            safe = Some(*offset);
            partition.under_way.pop_front();
        }
        safe
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_offset_waits_for_what_stands_before_it() {
        let mut progress = Progress::default();
        let places: Vec<Place> = [3, 4, 7]
            .into_iter()
            .map(|offset| progress.began("t", 0, offset))
            .collect();
        let other = progress.began("t", 1, 100);
        assert_eq!(progress.ended(&places[2]), None);
        assert_eq!(progress.ended(&other), Some(100));
        assert_eq!(progress.ended(&places[0]), Some(3));
        assert_eq!(progress.ended(&places[1]), Some(7));
        assert_eq!(progress.ended(&places[1]), None);
    }

    #[test]
    fn what_was_taken_away_moves_nothing() {
        let mut progress = Progress::default();
        let old = progress.began("t", 0, 3);
        progress.revoked("t", 0);
        assert_eq!(progress.ended(&old), None);
        // It comes back, and the same message with it.
        let again = progress.began("t", 0, 3);
        assert_eq!(progress.ended(&old), None);
        assert_eq!(progress.ended(&again), Some(3));
        // The log was truncated: the offset steps back.
        let high = progress.began("t", 0, 9);
        let low = progress.began("t", 0, 5);
        assert_eq!(progress.ended(&high), None);
        assert_eq!(progress.ended(&low), Some(5));
        let last = progress.began("t", 0, 6);
        progress.clear();
        assert_eq!(progress.ended(&last), None);
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
                progress.began("t", 0, offset)
            }).collect();
            let mut ended = BTreeSet::new();
            let mut stored = None;
            for index in order {
                let place = &places[index.index(places.len())];
                ended.insert(place.offset);
                let moved = progress.ended(place);
                let safe = places.iter().map(|place| place.offset).take_while(|offset| ended.contains(offset)).last();
                prop_assert_eq!(moved.or(stored), safe);
                stored = safe;
            }
        }
    }
}
