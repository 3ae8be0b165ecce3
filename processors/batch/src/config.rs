//! What users set.

use std::time;

use corten_config::types::Duration;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `batch` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How long the first item of a batch waits for others before the batch goes on. A batch that
    /// nothing is added to for a tenth of this goes on as well: its senders wait for their answers
    /// and send no more until they have them. `0s` sends everything at once.
    pub(crate) timeout: Duration,
    /// A batch goes on as soon as it has this many items (log records, data points or spans).
    pub(crate) send_batch_size: usize,
    /// No batch is larger than this many items; larger ones are split. `0` means no limit.
    pub(crate) send_batch_max_size: usize,
    /// Request headers whose values keep batches apart: data of different tenants, say, is never
    /// merged. Needs `include_metadata: true` at the receiver. Without it, data with different
    /// metadata is kept apart whatever the difference.
    pub(crate) metadata_keys: Vec<String>,
    /// At most this many groups wait at the same time; what would begin one more goes on without
    /// waiting.
    pub(crate) metadata_cardinality_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: time::Duration::from_millis(200).into(),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            at.on("send_batch_max_size")
                .error("send_batch_max_size must be greater or equal to send_batch_size");
        }
        let mut seen = std::collections::BTreeSet::new();
        for key in &self.metadata_keys {
            if !seen.insert(key.to_ascii_lowercase()) {
                at.on("metadata_keys")
                    .error(format!("duplicate entry in metadata_keys: \"{key}\""));
            }
        }
    }
}
