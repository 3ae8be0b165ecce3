//! How far each log has arrived, kept over restarts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use corten_lines::Progress;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::window::{Mark, Window};

/// What a batch says when it has arrived.
#[derive(Debug)]
pub(crate) struct Advance {
    /// The life of the container that it is of.
    pub(crate) restart: u32,
    /// Its lines, the last ones at least.
    pub(crate) marks: Vec<Mark>,
}

/// Where a log goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Position {
    /// The life of the container that was read last.
    #[serde(rename = "r")]
    pub(crate) restart: u32,
    #[serde(flatten)]
    pub(crate) window: Window,
}

#[derive(Debug, Default)]
struct Known {
    /// What was kept and nobody has asked for yet, and what has arrived.
    positions: BTreeMap<String, Position>,
    under_way: HashMap<String, Arc<Progress<Advance>>>,
    /// Whether something was taken out that is not saved.
    changed: bool,
}

/// The positions of all logs, by container.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<Known>);

impl Positions {
    /// What was saved. Whatever it is, it is no error: nothing is known then.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let positions = serde_json::from_slice(bytes).unwrap_or_default();
        Self(Mutex::new(Known {
            positions,
            ..Known::default()
        }))
    }

    /// The position of a log, whose batches go through `progress` from now on.
    pub(crate) fn open(&self, key: &str, progress: &Arc<Progress<Advance>>) -> Option<Position> {
        let mut known = self.0.lock();
        known.under_way.insert(key.to_owned(), Arc::clone(progress));
        known.positions.get(key).cloned()
    }

    /// Begins a log with what comes after `window`.
    pub(crate) fn begin(&self, key: &str, restart: u32, window: &Window) {
        let position = Position {
            restart,
            window: window.clone(),
        };
        let mut known = self.0.lock();
        known.positions.insert(key.to_owned(), position);
        known.changed = true;
    }

    /// Forgets a log that does not come back.
    pub(crate) fn close(&self, key: &str) {
        let mut known = self.0.lock();
        known.under_way.remove(key);
        known.positions.remove(key);
        known.changed = true;
    }

    /// Keeps no logs but these, whose containers are there: the others went while nobody looked.
    pub(crate) fn retain(&self, there: impl Fn(&str) -> bool) {
        let mut known = self.0.lock();
        let before = known.positions.len();
        let Known {
            positions,
            under_way,
            ..
        } = &mut *known;
        positions.retain(|key, _| under_way.contains_key(key) || there(key));
        known.changed |= known.positions.len() != before;
    }

    /// Everything, to be saved, when something has changed.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut known = self.0.lock();
        let mut changed = std::mem::take(&mut known.changed);
        let Known {
            positions,
            under_way,
            ..
        } = &mut *known;
        for (key, progress) in under_way.iter() {
            for advance in progress.arrived() {
                let position = positions.entry(key.clone()).or_default();
                position.restart = advance.restart;
                for mark in advance.marks {
                    position.window.push(mark);
                }
                changed = true;
            }
        }
        if !changed {
            return None;
        }
        let keep: BTreeMap<&String, Position> = positions
            .iter()
            .map(|(key, position)| {
                let position = Position {
                    restart: position.restart,
                    window: position.window.to_keep(),
                };
                (key, position)
            })
            .collect();
        serde_json::to_vec(&keep).ok()
    }
}

#[cfg(test)]
mod tests {
    use corten_lines::Receipt as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_arrived_is_saved_and_what_is_closed_is_forgotten() {
        let positions = Positions::parse(b"");
        let progress = Progress::new(Arc::default());
        assert_eq!(positions.open("a", &progress), None);
        assert_eq!(positions.take(), None);
        let advance = |time| Advance {
            restart: 3,
            marks: vec![(time, 1)],
        };
        let second = {
            let first = progress.begin(advance(7), None);
            let second = progress.begin(advance(8), None);
            first.kept();
            second
        };
        let saved = Positions::parse(&positions.take().unwrap());
        let position = saved.open("a", &progress).unwrap();
        assert_eq!((position.restart, position.window.since()), (3, 7));
        drop(second);
        positions.close("a");
        assert_eq!(positions.take().unwrap(), b"{}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_nothing_at_worst(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(Positions::parse(&bytes));
        }

        #[test]
        fn any_shape_is_nothing_at_worst(inner in "[\\[\\]{}\":,a-z0-9]{0,40}") {
            drop(Positions::parse(format!(r#"{{"a":{inner}}}"#).as_bytes()));
        }
    }
}
