//! The work.

use std::sync::Arc;

use corten_actions::Actions;
use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Processor, Refused, async_trait,
};

use crate::config::Config;
use crate::matching::Matcher;

/// The processor.
pub(crate) struct AttributesProcessor {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    actions: Actions,
    next: Arc<dyn Consumer>,
}

impl AttributesProcessor {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature that a factory takes"
    )]
    pub(crate) fn create(
        _cx: Context,
        config: Config,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            include: config.include.as_ref().map(Matcher::new),
            exclude: config.exclude.as_ref().map(Matcher::new),
            actions: Actions::new(&config.actions),
            next,
        })
    }
}

impl Component for AttributesProcessor {}

impl Processor for AttributesProcessor {}

#[async_trait]
impl Consumer for AttributesProcessor {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let signal = batch.signal();
        let edits = self.actions.edits(&batch.metadata);
        let edited = batch.data.edit_record_attributes(&edits, |record| {
            let holds = |matcher: &Matcher| matcher.matches(signal, record);
            self.include.as_ref().is_none_or(holds) && !self.exclude.as_ref().is_some_and(holds)
        });
        self.next.consume(batch.with_data(edited)).await
    }
}

#[cfg(test)]
mod tests {
    use corten_component::Kind;
    use corten_pdata::Data;
    use corten_pdata::build::{LogsBuilder, TracesBuilder};
    use corten_testing::RecordingSink;

    use super::*;

    async fn through(yaml: &str, batch: Batch) -> Data {
        let sink = RecordingSink::new();
        let config = corten_config::from_str(yaml).unwrap();
        let cx = Context::detached(Kind::Processor, "attributes".parse().unwrap());
        let processor = AttributesProcessor::create(cx, config, Arc::clone(&sink) as _).unwrap();
        processor.consume(batch).await.unwrap();
        sink.take().remove(0).data
    }

    fn spans() -> Batch {
        let mut traces = TracesBuilder::new();
        for service in ["checkout", "cart"] {
            traces.resource(|attributes| {
                attributes.attribute_str("service.name", service);
            });
            traces.scope("lib", "1");
            for (name, kind) in [("GET /", 2), ("health", 2), ("query", 3)] {
                traces.span(|span| {
                    span.name(name).kind(kind);
                    span.attribute_str("route", name);
                });
            }
        }
        Batch::new(traces.finish())
    }

    /// The names of the spans that got the attribute `new`, with their services.
    fn marked(data: &Data) -> Vec<String> {
        let Data::Traces(traces) = data else {
            panic!("not traces");
        };
        let mut marked = Vec::new();
        for resource in traces.resources() {
            let attributes = resource.resource().attributes();
            let service = attributes.get_str("service.name").unwrap();
            for span in resource.scopes().flat_map(|scope| scope.spans()) {
                if span.attributes().get("new").is_some() {
                    marked.push(format!("{service} {}", span.name()));
                }
            }
        }
        marked
    }

    const ACTION: &str = "actions: [{key: new, action: insert, value: 1}]";

    #[tokio::test]
    async fn without_a_choice_every_record_is_changed() {
        assert_eq!(marked(&through(ACTION, spans()).await).len(), 6);
    }

    #[tokio::test]
    async fn include_and_exclude_choose() {
        let yaml = format!(
            "include: {{match_type: regexp, services: ['^check'], span_kinds: [server]}}\n\
             exclude: {{match_type: strict, span_names: [health]}}\n{ACTION}"
        );
        assert_eq!(marked(&through(&yaml, spans()).await), ["checkout GET /"]);
        let yaml = format!(
            "include: {{match_type: strict, attributes: [{{key: route, value: query}}]}}\n{ACTION}"
        );
        let all = ["checkout query", "cart query"];
        assert_eq!(marked(&through(&yaml, spans()).await), all);
        let yaml = format!("include: {{match_type: strict, log_bodies: [x]}}\n{ACTION}");
        assert!(
            marked(&through(&yaml, spans()).await).is_empty(),
            "spans have no log body"
        );
    }

    #[tokio::test]
    async fn logs_are_chosen_by_severity() {
        let mut logs = LogsBuilder::new();
        logs.resource(|_| {});
        logs.scope("", "");
        for severity in [0, 5, 9, 17] {
            logs.record(|record| {
                record.severity(severity, "");
            });
        }
        let yaml = format!(
            "include: {{match_type: strict, log_severity_number: {{min: INFO}}}}\n{ACTION}"
        );
        let Data::Logs(logs) = through(&yaml, Batch::new(logs.finish())).await else {
            panic!("not logs");
        };
        let changed: Vec<i32> = logs
            .resources()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.records())
            .filter(|record| !record.attributes().is_empty())
            .map(|record| record.severity_number())
            .collect();
        assert_eq!(changed, [9, 17]);
    }

    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(crate::factory(), ACTION).await;
    }
}
