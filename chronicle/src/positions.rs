//! Where each watch goes on, kept over restarts.

use std::collections::BTreeMap;

/// Versions by watch. Kept as a map in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, String>);

impl Positions {
    /// What was saved. Whatever it is, it is no error: nothing is known then.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let map: BTreeMap<String, String> = serde_json::from_slice(bytes).unwrap_or_default();
        Self(map.into_iter().filter(|(_, at)| !at.is_empty()).collect())
    }

    /// What is saved.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// Where `watch` goes on.
    #[must_use]
    pub fn get(&self, watch: &str) -> Option<&str> {
        self.0.get(watch).map(String::as_str)
    }

    /// `watch` goes on behind `version`.
    pub fn put(&mut self, watch: &str, version: String) {
        if !version.is_empty() {
            self.0.insert(watch.to_owned(), version);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_survive(pairs in proptest::collection::btree_map(".{0,8}", ".{1,8}", 0..5)) {
            let mut positions = Positions::default();
            for (watch, version) in &pairs {
                positions.put(watch, version.clone());
            }
            prop_assert_eq!(Positions::parse(&positions.to_bytes()), positions);
        }

        #[test]
        fn any_bytes_are_nothing_at_worst(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(Positions::parse(&bytes));
        }
    }
}
