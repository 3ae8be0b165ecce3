//! The `resource` processor: changes the attributes of resources.

use std::sync::Arc;

use corten_actions::{Action, Actions};
use corten_component::{
    Batch, Component, Consumer, Factory, Kind, Metadata, Processor, Refused, Signal, Stability,
    async_trait,
};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `resource`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "resource",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Changes the attributes of resources",
};

/// The factory of `resource`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, |_cx, config: Config, next| {
        Ok(ResourceProcessor {
            actions: Actions::new(&config.attributes),
            next,
        })
    })
}

/// Settings of the `resource` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Config {
    /// Actions on the attributes of every resource, carried out in this order.
    attributes: Vec<Action>,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.attributes.is_empty() {
            at.field("attributes").error("needs at least one action");
        }
        for (index, action) in self.attributes.iter().enumerate() {
            action.check(&mut at.item("attributes", index));
        }
    }
}

struct ResourceProcessor {
    actions: Actions,
    next: Arc<dyn Consumer>,
}

impl Component for ResourceProcessor {}

impl Processor for ResourceProcessor {}

#[async_trait]
impl Consumer for ResourceProcessor {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let edits = self.actions.edits(&batch.metadata);
        let edited = batch.data.edit_resource_attributes(&edits);
        self.next.consume(batch.with_data(edited)).await
    }
}

#[cfg(test)]
mod tests {
    use corten_pdata::Data;
    use corten_pdata::build::TracesBuilder;
    use corten_testing::RecordingSink;

    const YAML: &str = "attributes: [{key: cluster, action: insert, value: eu-1}]";

    #[tokio::test]
    async fn resources_get_the_attribute() {
        let sink = RecordingSink::new();
        let prepared = corten_testing::decode(&super::factory(), YAML).unwrap();
        let corten_component::Create::Processor(create) = prepared.create else {
            panic!("no processor");
        };
        let id = "resource".parse().unwrap();
        let cx = corten_component::Context::detached(super::Kind::Processor, id);
        let processor = create(cx, std::sync::Arc::clone(&sink) as _).unwrap();
        let mut traces = TracesBuilder::new();
        traces.resource(|attributes| {
            attributes.attribute_str("service.name", "shop");
        });
        traces.scope("", "");
        traces.span(|span| {
            span.name("x");
        });
        let batch = super::Batch::new(traces.finish()).replayable();
        processor.consume(batch).await.unwrap();
        let batches = sink.batches();
        assert!(batches[0].replayable, "the batch's provenance stays");
        let Data::Traces(traces) = &batches[0].data else {
            panic!("not traces");
        };
        let resource = traces.resources().next().unwrap().resource();
        assert_eq!(resource.attributes().get_str("cluster"), Some("eu-1"));
        assert_eq!(resource.attributes().get_str("service.name"), Some("shop"));
    }

    #[test]
    fn an_action_that_lacks_something_is_named_with_its_place() {
        let problems = corten_config::from_str::<super::Config>(
            "attributes: [{key: a, action: delete}, {key: b, action: insert}]",
        )
        .unwrap_err()
        .to_string();
        assert!(problems.contains("attributes[1]"), "{problems}");
        assert!(problems.contains("exactly one of"), "{problems}");
    }

    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(super::factory(), YAML).await;
    }
}
