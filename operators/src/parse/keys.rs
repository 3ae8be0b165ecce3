//! The keys of one line for the next: most lines of a log have the same.

use crate::value::Key;

/// Keys that are remembered; a power of two.
const REMEMBERED: usize = 256;
/// Longer keys are not remembered.
const LONGEST: usize = 48;

/// Keys that were met, each in a place that its text tells; nothing is remembered by the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Vec<Option<Key>>);

impl Keys {
    pub(crate) fn remembered() -> Self {
        Self(vec![None; REMEMBERED])
    }

    pub(crate) fn get(&mut self, text: &str) -> Key {
        if text.len() > LONGEST {
            return Key::from(text);
        }
        // FNV-1a: keys are short, and a collision costs one allocation.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let place = usize::try_from((hash >> 20) & (REMEMBERED as u64 - 1)).unwrap_or(0);
        match self.0.get_mut(place) {
            Some(Some(key)) if key.as_str() == text => key.clone(),
            Some(place) => {
                let key = Key::from(text);
                *place = Some(key.clone());
                key
            }
            None => Key::from(text),
        }
    }
}
