//! Growing pauses with jitter.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use corten_config::settings::Retry;

/// The pauses of one request.
#[derive(Debug)]
pub(crate) struct Backoff {
    pause: f64,
    multiplier: f64,
    longest: f64,
    jitter: f64,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(retry: &Retry) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self::seeded(retry, seed)
    }

    fn seeded(retry: &Retry, seed: u64) -> Self {
        Self {
            pause: retry.initial_interval.get().as_secs_f64(),
            multiplier: retry.multiplier.max(1.0),
            longest: retry.max_interval.get().as_secs_f64(),
            jitter: retry.randomization_factor.clamp(0.0, 1.0),
            random: seed | 1,
        }
    }

    /// The next pause: spread evenly over `pause ± jitter·pause`.
    pub(crate) fn next(&mut self) -> Duration {
        // xorshift64: good enough to keep many agents from coming back at the same moment.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = f64::from(u32::try_from(self.random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let pause = self.pause * (1.0 + self.jitter * (2.0 * unit - 1.0));
        self.pause = (self.pause * self.multiplier).min(self.longest);
        Duration::try_from_secs_f64(pause).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_stay_within_the_jitter() {
        let retry = Retry::default();
        let mut expected = 5.0f64;
        let mut backoff = Backoff::seeded(&retry, 7);
        let mut different = std::collections::HashSet::new();
        for _ in 0..30 {
            let pause = backoff.next().as_secs_f64();
            assert!(
                (expected * 0.5..=expected * 1.5).contains(&pause),
                "{pause}"
            );
            expected = (expected * 1.5).min(30.0);
            different.insert(pause.to_bits());
        }
        assert!(different.len() > 25);
    }
}
