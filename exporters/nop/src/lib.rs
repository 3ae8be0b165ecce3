//! The `nop` exporter: takes everything and keeps nothing.

use corten_component::{
    Batch, Component, Consumer, Exporter, Factory, Kind, Metadata, Refused, Signal, Stability,
    async_trait,
};
use corten_config::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `nop`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "nop",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Takes everything and keeps nothing; for trying a pipeline out",
};

/// The factory of `nop`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, |_cx, _config: Config| Ok(Nop))
}

/// `nop` has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Config {}

impl Check for Config {}

struct Nop;

impl Component for Nop {}

impl Exporter for Nop {}

#[async_trait]
impl Consumer for Nop {
    async fn consume(&self, _batch: Batch) -> Result<(), Refused> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(super::factory(), "{}").await;
    }
}
