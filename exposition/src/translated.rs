//! Names that were translated before: the same few hundred come with every batch and every scrape.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// Places for names: 16 KiB once one is used.
const PLACES: usize = 1024;

/// How many places a name may take.
const WAYS: usize = 4;

/// Longer names are not worth remembering: nobody means them.
const LONGEST: usize = 256;

/// Remembers translations, so that a name is spelled once and not for each point. Takes a fixed number; what finds no
/// place is translated anew each time. Never locks.
#[derive(Debug, Default)]
pub struct Translated(OnceLock<Box<[OnceLock<Box<Entry>>]>>);

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    unit: Box<str>,
    sort: u8,
    translated: Option<Box<str>>,
}

impl Clone for Translated {
    /// Begins anew: what is remembered belongs to the settings, and they may be changed in the copy.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Translated {
    /// What `make` makes of a name with its unit; `sort` tells names apart that are translated otherwise.
    pub(crate) fn get<'a>(
        &'a self,
        name: &str,
        unit: &str,
        sort: u8,
        make: impl Fn() -> Option<String>,
    ) -> Option<Cow<'a, str>> {
        if name.len() + unit.len() > LONGEST {
            return make().map(Cow::Owned);
        }
        let places = self
            .0
            .get_or_init(|| (0..PLACES).map(|_| OnceLock::new()).collect());
        let mut hasher = std::hash::DefaultHasher::new();
        (name, unit, sort).hash(&mut hasher);
        let hash = usize::try_from(hasher.finish() & 0xffff).unwrap_or_default();
        for way in 0..WAYS {
            let Some(place) = places.get((hash + way) % PLACES) else {
                break;
            };
            let entry = place.get_or_init(|| {
                Box::new(Entry {
                    name: name.into(),
                    unit: unit.into(),
                    sort,
                    translated: make().map(String::into_boxed_str),
                })
            });
            if entry.sort == sort && *entry.name == *name && *entry.unit == *unit {
                return entry.translated.as_deref().map(Cow::Borrowed);
            }
        }
        make().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_once_and_never_mixed_up() {
        let translated = Translated::default();
        let get = |name: &str, unit: &str, sort: u8| {
            translated.get(name, unit, sort, || Some(format!("{name}/{unit}/{sort}")))
        };
        // Far more than there are places for.
        for _ in 0..2 {
            for number in 0..5000 {
                let name = number.to_string();
                assert_eq!(get(&name, "s", 1).unwrap(), format!("{name}/s/1"));
                assert_eq!(get(&name, "s", 2).unwrap(), format!("{name}/s/2"));
            }
        }
        let other = Translated::default();
        assert!(other.get("a", "", 0, || None).is_none());
        // It is remembered that nothing is left of it.
        assert!(other.get("a", "", 0, || Some("b".to_owned())).is_none());
        let remembered = other.get("c", "", 0, || Some("d".to_owned())).unwrap();
        assert!(matches!(remembered, Cow::Borrowed("d")));
    }
}
