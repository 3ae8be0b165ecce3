//! What to do when a backend is not there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::{Check, Checker};
use crate::types::Duration;

/// `retry_on_failure`: sending again, with growing pauses, what a backend did not take for now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retry {
    /// Whether to send again at all.
    pub enabled: bool,
    /// The pause after the first failure.
    pub initial_interval: Duration,
    /// How far a pause is changed at random, so that many agents do not come back at the same moment: 0.5 means
    /// from half to one and a half of it. From 0 to 1.
    pub randomization_factor: f64,
    /// By what each pause is longer than the one before.
    pub multiplier: f64,
    /// The longest pause.
    pub max_interval: Duration,
    /// How long to try before the data is given up; `0` means for ever. Data that its source can send again (a
    /// file) is never given up.
    pub max_elapsed_time: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_secs(300),
        }
    }
}

impl Check for Retry {
    fn check(&self, at: &mut Checker<'_>) {
        if !self.enabled {
            return;
        }
        // Not a number is in no range.
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            at.on("randomization_factor")
                .error("'randomization_factor' must be within [0, 1]");
        }
        if !(0.0..f64::INFINITY).contains(&self.multiplier) {
            at.on("multiplier")
                .error("'multiplier' must be non-negative");
        }
        if self.max_elapsed_time.is_zero() {
            return;
        }
        if self.max_elapsed_time < self.initial_interval {
            at.on("max_elapsed_time")
                .error("'max_elapsed_time' must not be less than 'initial_interval'");
        }
        if self.max_elapsed_time < self.max_interval {
            at.on("max_elapsed_time")
                .error("'max_elapsed_time' must not be less than 'max_interval'");
        }
    }
}
