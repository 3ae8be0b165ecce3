//! Not more than a person can read.

use std::time::{Duration, Instant};

/// Counts the batches of each second and picks those that are shown.
pub(crate) struct Sampling {
    initial: u64,
    thereafter: u64,
    second: Instant,
    seen: u64,
}

impl Sampling {
    pub(crate) fn new(initial: u64, thereafter: u64) -> Self {
        Self {
            initial,
            thereafter,
            second: Instant::now(),
            seen: 0,
        }
    }

    /// Whether the batch that comes at `now` is shown.
    pub(crate) fn shows(&mut self, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.seen = 0;
        }
        self.seen += 1;
        match self.seen.checked_sub(self.initial) {
            None | Some(0) => true,
            Some(after) => self.thereafter > 0 && after % self.thereafter == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_second_and_then_every_so_manieth() {
        let mut sampling = Sampling::new(2, 3);
        let now = Instant::now();
        let shown: Vec<bool> = (0..8).map(|_| sampling.shows(now)).collect();
        assert_eq!(shown, [true, true, false, false, true, false, false, true]);
        assert!(sampling.shows(now + Duration::from_secs(2)), "a new second");
        let mut none = Sampling::new(1, 0);
        assert!(none.shows(now) && !none.shows(now) && !none.shows(now));
    }
}
