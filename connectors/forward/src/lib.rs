//! The `forward` connector: what leaves one pipeline enters another.

use corten_component::{
    Batch, Component, Connector, Consumer, Factory, Kind, Metadata, Next, Refused, Signal,
    Stability, async_trait,
};
use corten_config::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `forward`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Connector,
    type_name: "forward",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    stability: Stability::Stable,
    summary: "Joins pipelines of one signal: the end of one is the beginning of another",
};

/// The factory of `forward`.
#[must_use]
pub fn factory() -> Factory {
    Factory::connector(&METADATA, |_cx, _config: Config, next| Ok(Forward { next }))
}

/// `forward` has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Config {}

impl Check for Config {}

struct Forward {
    next: Next,
}

impl Component for Forward {}

impl Connector for Forward {}

#[async_trait]
impl Consumer for Forward {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.next.consume(batch).await
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(super::factory(), "{}").await;
    }
}
