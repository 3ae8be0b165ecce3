//! What an endpoint is goes with its data.

use std::sync::Arc;

use corten_component::{Batch, Consumer, Next, Refused, Signal, async_trait};
use corten_pdata::edit::AttributeEdits;

/// Puts attributes on every resource that passes; one that is there already gets the new value.
struct Enhance {
    edits: Arc<AttributeEdits>,
    next: Arc<dyn Consumer>,
}

#[async_trait]
impl Consumer for Enhance {
    async fn consume(&self, mut batch: Batch) -> Result<(), Refused> {
        batch.data = batch.data.edit_resource_attributes(&self.edits);
        self.next.consume(batch).await
    }
}

/// `next` for these signals, with these attributes on all that passes.
pub(crate) fn enhance(next: &Next, signals: &[Signal], attributes: &[(String, String)]) -> Next {
    let edits = attributes
        .iter()
        .fold(AttributeEdits::new(), |edits, (name, value)| {
            edits.upsert(name.as_str(), value.as_str())
        });
    let edits = Arc::new(edits);
    let mut to = Next::new();
    for signal in signals {
        let Some(consumer) = next.get(*signal) else {
            continue;
        };
        let consumer = if attributes.is_empty() {
            Arc::clone(consumer)
        } else {
            Arc::new(Enhance {
                edits: Arc::clone(&edits),
                next: Arc::clone(consumer),
            })
        };
        to = to.with(*signal, consumer);
    }
    to
}
