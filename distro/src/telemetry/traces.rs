//! Corten's own spans.

use std::time::Duration;

use corten_config::model::{Telemetry, TracesLevel};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Tracer};

use super::{LAST_WORDS, otlp};

/// How long a span of a `simple` processor waits: sending each by itself would make requests beget
/// requests.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Corten's own spans on their way to an OTLP endpoint.
pub(crate) struct OwnTraces(SdkTracerProvider);

impl OwnTraces {
    /// Starts sending, when `service::telemetry::traces` names an OTLP exporter.
    ///
    /// # Errors
    ///
    /// The exporter cannot be set up as it is configured.
    pub(crate) fn start(telemetry: &Telemetry, resource: Resource) -> anyhow::Result<Option<Self>> {
        if telemetry.traces.level == TracesLevel::None {
            return Ok(None);
        }
        let mut provider = SdkTracerProvider::builder().with_resource(resource);
        let mut any = false;
        for processor in &telemetry.traces.processors {
            let (config, exporter) = match (&processor.batch, &processor.simple) {
                (Some(batch), _) => {
                    let config = BatchConfigBuilder::default()
                        .with_max_queue_size(count(batch.max_queue_size))
                        .with_max_export_batch_size(count(batch.max_export_batch_size))
                        .with_scheduled_delay(Duration::from_millis(batch.schedule_delay));
                    (config, &batch.exporter)
                }
                (None, Some(simple)) => {
                    let config = BatchConfigBuilder::default().with_scheduled_delay(AT_ONCE);
                    (config, &simple.exporter)
                }
                (None, None) => continue,
            };
            if let Some(otlp) = &exporter.otlp {
                let sender = BatchSpanProcessor::builder(otlp::spans(otlp)?)
                    .with_batch_config(config.build())
                    .build();
                provider = provider.with_span_processor(sender);
                any = true;
            }
        }
        Ok(any.then(|| Self(provider.build())))
    }

    /// What records spans.
    pub(crate) fn tracer(&self) -> Tracer {
        self.0.tracer("corten")
    }

    /// Sends what waits. Blocks while it does, and must not be called on a thread of the runtime: the
    /// sending needs that.
    pub(crate) fn shutdown(&self) {
        drop(self.0.shutdown_with_timeout(LAST_WORDS));
    }
}

fn count(count: u32) -> usize {
    usize::try_from(count.max(1)).unwrap_or(usize::MAX)
}
