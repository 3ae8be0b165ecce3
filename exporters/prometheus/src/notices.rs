//! Saying once what happens at every scrape.

use std::collections::HashSet;

use parking_lot::Mutex;

/// How many different messages are remembered. A sender that makes up names could fill the log
/// otherwise, and memory.
const REMEMBERED: usize = 256;

/// Logs every message the first time it occurs.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<HashSet<String>>);

impl Notices {
    /// Logs `message` about `exporter`, unless it did so before.
    pub(crate) fn say(&self, exporter: &impl std::fmt::Display, message: String) {
        let mut said = self.0.lock();
        if said.len() >= REMEMBERED || said.contains(&message) {
            return;
        }
        tracing::warn!(%exporter, "{message}");
        said.insert(message);
    }

    /// Forgets `message`, so that it is logged when it occurs again.
    pub(crate) fn forget(&self, message: impl Fn(&str) -> bool) {
        self.0.lock().retain(|said| !message(said));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let notices = Notices::default();
        for number in 0..1000 {
            notices.say(&"prometheus", format!("message {number}"));
        }
        assert_eq!(notices.0.lock().len(), REMEMBERED);
        notices.forget(|said| said.starts_with("message 1"));
        assert!(notices.0.lock().len() < REMEMBERED);
    }
}
