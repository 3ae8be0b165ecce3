//! Pauses between attempts: doubling, with half of each left to chance.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Grows from `initial` to `max`.
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max,
            next: initial,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }

    /// The pause to make now: between half of the step and all of it, so that the agents of a
    /// cluster do not come back in step after the API server has restarted.
    pub(crate) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        // Every `RandomState` has keys of its own, which is all the chance that is needed.
        let chance = RandomState::new().hash_one(0_u8) % 1024;
        let half = step / 2;
        half + half.mul_f64(chance as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_end_and_never_pauses_less_than_half() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for step in [1, 2, 4, 8, 8] {
            let pause = backoff.pause();
            assert!(pause >= Duration::from_secs(step) / 2 && pause <= Duration::from_secs(step));
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
