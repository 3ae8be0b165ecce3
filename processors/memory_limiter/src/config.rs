//! What users set.

use corten_config::types::Duration;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `memory_limiter` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How often resident memory is read while telemetry flows. Needed; `1s` is good.
    pub(crate) check_interval: Duration,
    /// The most memory that the process may take, in MiB. Wins over `limit_percentage`.
    pub(crate) limit_mib: u32,
    /// Telemetry is refused above the limit less this, in MiB. `0`: a fifth of the limit.
    pub(crate) spike_limit_mib: u32,
    /// The limit as a share (1 to 100) of the container's memory limit, or of the machine's memory.
    pub(crate) limit_percentage: u32,
    /// The spike limit as a share of the same.
    pub(crate) spike_limit_percentage: u32,
    /// Accepted for the Collector's sake; there is no garbage collector to pace here.
    pub(crate) min_gc_interval_when_soft_limited: Option<Duration>,
    /// Accepted for the Collector's sake; there is no garbage collector to pace here.
    pub(crate) min_gc_interval_when_hard_limited: Option<Duration>,
    /// Accepted for the Collector's sake; there is no garbage collector to pace here.
    pub(crate) max_gc_interval_when_soft_limited: Option<Duration>,
    /// Accepted for the Collector's sake; there is no garbage collector to pace here.
    pub(crate) max_gc_interval_when_hard_limited: Option<Duration>,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.check_interval.is_zero() {
            at.on("check_interval")
                .error("'check_interval' must be greater than zero");
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            at.on("limit_mib")
                .error("'limit_mib' or 'limit_percentage' must be greater than zero");
        }
        if self.limit_mib > 0 && self.spike_limit_mib >= self.limit_mib {
            at.on("spike_limit_mib")
                .error("'spike_limit_mib' must be smaller than 'limit_mib'");
        }
        for (field, value) in [
            ("limit_percentage", self.limit_percentage),
            ("spike_limit_percentage", self.spike_limit_percentage),
        ] {
            if value > 100 {
                at.on(field)
                    .error(format!("'{field}' must be at most 100, found {value}"));
            }
        }
        if self.limit_mib == 0
            && self.limit_percentage > 0
            && self.spike_limit_percentage >= self.limit_percentage
        {
            at.on("spike_limit_percentage")
                .error("'spike_limit_percentage' must be smaller than 'limit_percentage'");
        }
    }
}

/// The limits in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What the user set as the most.
    pub(crate) hard: u64,
    /// Above this telemetry is refused.
    pub(crate) soft: u64,
}

impl Config {
    /// The limits; `total` is asked for when a percentage is set: the memory there is, in bytes.
    pub(crate) fn limits(&self, total: impl FnOnce() -> u64) -> Limits {
        const MIB: u64 = 1024 * 1024;
        let (hard, spike) = if self.limit_mib > 0 {
            (
                u64::from(self.limit_mib) * MIB,
                u64::from(self.spike_limit_mib) * MIB,
            )
        } else {
            let total = total();
            let share = |percent: u32| total / 100 * u64::from(percent);
            (
                share(self.limit_percentage),
                share(self.spike_limit_percentage),
            )
        };
        let spike = if spike == 0 { hard / 5 } else { spike };
        Limits {
            hard,
            soft: hard.saturating_sub(spike),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(yaml: &str, total: u64) -> Limits {
        let config: Config = corten_config::from_str(yaml).unwrap();
        config.limits(|| total)
    }

    #[test]
    fn the_soft_limit_is_the_limit_less_the_spike() {
        let mib = 1024 * 1024;
        assert_eq!(
            limits(
                "{check_interval: 1s, limit_mib: 256, spike_limit_mib: 64}",
                0
            ),
            Limits {
                hard: 256 * mib,
                soft: 192 * mib
            }
        );
        assert_eq!(
            limits("{check_interval: 1s, limit_mib: 100}", 0),
            Limits {
                hard: 100 * mib,
                soft: 80 * mib
            }
        );
        assert_eq!(
            limits(
                "{check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 20}",
                1000
            ),
            Limits {
                hard: 800,
                soft: 600
            }
        );
    }

    #[test]
    fn what_is_missing_is_named_in_the_collectors_words() {
        let problems = corten_config::from_str::<Config>("{}")
            .unwrap_err()
            .to_string();
        assert!(
            problems.contains("'limit_mib' or 'limit_percentage' must be greater than zero"),
            "{problems}"
        );
        assert!(
            problems.contains("'check_interval' must be greater than zero"),
            "{problems}"
        );
    }
}
