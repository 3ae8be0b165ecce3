//! What users set.

use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verbosity {
    /// A line a batch: how much it holds.
    #[default]
    Basic,
    /// A line an item.
    Normal,
    /// Every field of every item.
    Detailed,
}

/// Settings of the `debug` exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// `basic`, `normal` or `detailed`.
    pub(crate) verbosity: Verbosity,
    /// How many batches are shown in every second before sampling begins.
    pub(crate) sampling_initial: u64,
    /// After that, every so-manieth batch of the second is shown; `0` shows none, `1` all.
    pub(crate) sampling_thereafter: u64,
    /// Whether it goes into the agent's own log instead of `output_paths`.
    pub(crate) use_internal_logger: bool,
    /// Where to write: `stdout`, `stderr`, or the paths of files that are appended to.
    pub(crate) output_paths: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: vec!["stdout".to_owned()],
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if !self.use_internal_logger && self.output_paths.is_empty() {
            at.field("output_paths")
                .error("needs at least one path when use_internal_logger is false");
        }
    }
}
