//! Pauses between attempts.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use corten_config::settings::Retry;

/// The pause after the `failed`-th failure (from 1): growing, at random within its factor, and never shorter than
/// what Loki asked for.
pub(crate) fn pause(retry: &Retry, failed: u32, asked: Option<Duration>) -> Duration {
    pause_at(retry, failed, asked, random())
}

fn pause_at(retry: &Retry, failed: u32, asked: Option<Duration>, random: f64) -> Duration {
    let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
    let longest = retry.max_interval.get().as_secs_f64();
    let grown = retry.initial_interval.get().as_secs_f64() * retry.multiplier.powi(exponent);
    let grown = if grown.is_finite() {
        grown.min(longest)
    } else {
        longest
    };
    let spread = retry.randomization_factor.clamp(0.0, 1.0);
    let pause = Duration::from_secs_f64(grown * (1.0 - spread + 2.0 * spread * random));
    // A server that asks for days has not meant it.
    pause.max(asked.unwrap_or_default().min(Duration::from_secs(3600)))
}

/// At least zero, less than one.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let numerator = bits as f64;
    numerator / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> Retry {
        Retry {
            initial_interval: corten_config::types::Duration::from_secs(1),
            multiplier: 2.0,
            max_interval: corten_config::types::Duration::from_secs(30),
            ..Retry::default()
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let middle = |failed| pause_at(&retry(), failed, None, 0.5);
        assert_eq!(middle(1), Duration::from_secs(1));
        assert_eq!(middle(3), Duration::from_secs(4));
        assert_eq!(middle(u32::MAX), Duration::from_secs(30));
        assert_eq!(pause_at(&retry(), 1, None, 0.0), Duration::from_millis(500));
        assert!(pause(&retry(), 1, None) <= Duration::from_millis(1500));
    }

    #[test]
    fn what_the_server_asks_for_is_the_least() {
        assert_eq!(
            pause_at(&retry(), 1, Some(Duration::from_secs(17)), 0.5),
            Duration::from_secs(17)
        );
        assert_eq!(
            pause_at(&retry(), 1, Some(Duration::from_millis(1)), 0.5),
            Duration::from_secs(1)
        );
        assert_eq!(
            pause_at(&retry(), 1, Some(Duration::from_secs(1 << 40)), 0.5),
            Duration::from_secs(3600)
        );
    }

    #[test]
    fn random_numbers_differ_and_are_below_one() {
        let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(
            numbers.iter().any(|number| *number < 0.5)
                && numbers.iter().any(|number| *number >= 0.5)
        );
    }
}
