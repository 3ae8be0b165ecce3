//! The labels of one series.

use std::borrow::{Borrow, Cow};

use smallvec::SmallVec;

/// Gathers the labels of one series after the other; one value serves a whole page.
///
/// Names arrive translated. [`finish`](Self::finish) sorts them and settles collisions: two attributes
/// that became one name have their values joined with `;` as the specification wants, and an
/// attribute of the point wins over a label that was added to it (of the resource, the scope, the
/// configuration).
#[derive(Clone, Debug, Default)]
pub struct LabelSet<'a> {
    labels: SmallVec<[Label<'a>; 12]>,
}

#[derive(Clone, Debug)]
struct Label<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    /// The attribute's own key: decides the order of joined values.
    key: &'a str,
    added: bool,
}

impl<'a> LabelSet<'a> {
    /// No labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all labels.
    #[inline]
    pub fn clear(&mut self) {
        self.labels.clear();
    }

    /// An attribute of the point, `key`, under its translated `name`.
    #[inline]
    pub fn attribute(&mut self, key: &'a str, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.labels.push(Label {
            name,
            value,
            key,
            added: false,
        });
    }

    /// A label that the point itself does not have.
    #[inline]
    pub fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.labels.push(Label {
            name,
            value,
            key: "",
            added: true,
        });
    }

    /// Rewrites every name, as escaping for an older scraper does; call [`finish`](Self::finish) after it.
    pub(crate) fn rename(&mut self, rename: impl Fn(&str) -> Option<String>) {
        for label in &mut self.labels {
            if let Some(name) = rename(&label.name) {
                label.name = Cow::Owned(name);
            }
        }
    }

    /// Sorts by name and settles collisions.
    #[inline]
    pub fn finish(&mut self) {
        if self.labels.is_sorted_by(|a, b| a.name < b.name) {
            return;
        }
        self.labels
            .sort_by(|a, b| (&a.name, a.added, a.key).cmp(&(&b.name, b.added, b.key)));
        self.labels.dedup_by(|next, kept| {
            if next.name != kept.name {
                return false;
            }
            if !next.added && next.key != kept.key {
                let joined = kept.value.to_mut();
                joined.push(';');
                joined.push_str(&next.value);
            }
            true
        });
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels
            .iter()
            .map(|label| (&*label.name, &*label.value))
    }

    /// Whether there is a label of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.name == name)
    }

    /// One piece of memory that holds them all.
    #[must_use]
    pub fn pack(&self) -> PackedLabels {
        let mut packed = Vec::new();
        self.pack_into(&mut packed);
        PackedLabels(packed.into_boxed_slice())
    }

    /// The bytes of [`pack`](Self::pack) in place of what `packed` holds: to look for a series without taking
    /// memory.
    pub fn pack_into(&self, packed: &mut Vec<u8>) {
        packed.clear();
        for (name, value) in self.iter() {
            packed.extend_from_slice(name.as_bytes());
            packed.push(SEPARATOR);
            packed.extend_from_slice(value.as_bytes());
            packed.push(SEPARATOR);
        }
    }
}

/// A byte that UTF-8 does not have.
const SEPARATOR: u8 = 0xff;

/// The labels of a series that is kept: sorted, unique, in one piece of memory. Equal labels have
/// equal bytes, so it serves as a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackedLabels(Box<[u8]>);

impl Borrow<[u8]> for PackedLabels {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl PackedLabels {
    /// Names and values in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let name = take(&mut rest)?;
            let value = take(&mut rest)?;
            Some((name, value))
        })
    }

    /// Puts them into `set`, which is cleared before.
    pub fn unpack<'a>(&'a self, set: &mut LabelSet<'a>) {
        set.clear();
        for (name, value) in self.iter() {
            set.attribute(name, Cow::Borrowed(name), Cow::Borrowed(value));
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|byte| *byte == SEPARATOR)?;
    let (text, tail) = rest.split_at_checked(end)?;
    *rest = tail.get(1..)?;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<'a>(
        attributes: &[(&'a str, &'a str, &'a str)],
        added: &[(&'a str, &'a str)],
    ) -> LabelSet<'a> {
        let mut set = LabelSet::new();
        for (key, name, value) in attributes {
            set.attribute(key, Cow::Borrowed(name), Cow::Borrowed(value));
        }
        for (name, value) in added {
            set.add(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        set.finish();
        set
    }

    #[test]
    fn labels_are_sorted_and_unique() {
        let labels = set(
            &[
                ("z", "z", "1"),
                ("a_b", "a_b", "under"),
                ("a.b", "a_b", "dot"),
                ("job", "job", "mine"),
            ],
            &[("job", "theirs"), ("b", "2")],
        );
        let found: Vec<_> = labels.iter().collect();
        assert_eq!(
            found,
            [
                ("a_b", "dot;under"),
                ("b", "2"),
                ("job", "mine"),
                ("z", "1")
            ]
        );
    }

    #[test]
    fn an_attribute_that_occurs_twice_counts_once() {
        let labels = set(&[("a", "a", "1"), ("a", "a", "2")], &[]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1")]);
    }

    #[test]
    fn packing_keeps_everything() {
        let labels = set(&[("a", "a", ""), ("é", "é", "x\ny\"")], &[("c", "d")]);
        let packed = labels.pack();
        let mut unpacked = LabelSet::new();
        packed.unpack(&mut unpacked);
        assert_eq!(
            unpacked.iter().collect::<Vec<_>>(),
            labels.iter().collect::<Vec<_>>()
        );
        assert_eq!(unpacked.pack(), packed);
    }
}
