//! What was decided for the names in a file, which stand in the same places at every reading.

/// The name and the description of a metric.
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) help: String,
}

/// Places that are remembered; the largest file of the kernel's has some hundred.
const MOST: usize = 4096;

/// What each place's name was made into, or that nothing is made of it. A place that has another
/// name than before is decided anew.
pub(crate) struct Remembered<T>(Vec<(Box<[u8]>, Option<T>)>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Remembered<T> {
    /// What was made of `name`, which stands at place number `at`. Places are asked for in their order.
    pub(crate) fn at(
        &mut self,
        at: usize,
        name: &[u8],
        decide: impl FnOnce() -> Option<T>,
    ) -> Option<&T> {
        let known = self.0.get(at).is_some_and(|(known, _)| **known == *name);
        if !known {
            // What comes later has moved too.
            self.0.truncate(at);
            if at >= MOST || at != self.0.len() {
                return None;
            }
            self.0.push((name.into(), decide()));
        }
        self.0.get(at)?.1.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_decided_again_when_its_name_changes() {
        let mut places = Remembered::default();
        assert_eq!(places.at(0, b"a", || Some(1)), Some(&1));
        assert_eq!(places.at(1, b"b", || None), None);
        assert_eq!(places.at(0, b"a", || panic!("it is known")), Some(&1));
        assert_eq!(places.at(1, b"b", || panic!("it is known")), None);
        assert_eq!(places.at(0, b"c", || Some(3)), Some(&3));
        assert_eq!(places.at(1, b"b", || Some(2)), Some(&2));
    }
}
