//! `/proc/<pid>/stat`: how many processes are in which state.

use crate::scan::only_number;
use crate::{Buffer, HostError, Roots};

/// Processes by the letter of their state (proc_pid_stat(5)): how many there are of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States([u32; 256]);

impl Default for States {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl States {
    /// How many processes are in any of these states.
    #[must_use]
    pub fn of(&self, letters: &[u8]) -> u64 {
        letters
            .iter()
            .filter_map(|letter| self.0.get(usize::from(*letter)))
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Counts all processes below these roots. One that ends meanwhile is passed over.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be listed.
    pub fn count(roots: &Roots, buffer: &mut Buffer) -> Result<Self, HostError> {
        let mut states = Self::default();
        let folder = std::fs::read_dir(&roots.procfs)
            .map_err(|source| HostError::read(&roots.procfs, source))?;
        let mut path = roots.procfs.clone();
        for entry in folder.flatten() {
            let name = entry.file_name();
            if only_number(name.as_encoded_bytes()).is_none() {
                continue;
            }
            path.push(&name);
            path.push("stat");
            if let Ok(text) = buffer.read_quietly(&path)
                && let Some(count) =
                    state(text).and_then(|letter| states.0.get_mut(usize::from(letter)))
            {
                *count += 1;
            }
            path.pop();
            path.pop();
        }
        Ok(states)
    }
}

/// The letter behind the name, which stands in parentheses and may hold any.
fn state(stat: &[u8]) -> Option<u8> {
    let end = memchr::memrchr(b')', stat)?;
    stat.get(end + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse() {
        assert_eq!(state(b"17 (a) R (b) S 1 2\n"), Some(b'S'));
        assert_eq!(state(b"17 (a"), None);
        assert_eq!(state(b"17 (a)"), None);
    }

    #[test]
    fn this_process_is_counted() {
        let states = States::count(&Roots::default(), &mut Buffer::default()).unwrap();
        assert!(states.of(b"RSDI") >= 1);
        assert_eq!(states.of(b""), 0);
    }
}
