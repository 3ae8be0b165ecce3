//! The edges between components, where items, bytes, time and outcome are counted.
//!
//! Components count only what is their own; whatever every component would count the same way is
//! counted here, under the Collector's metric names.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use corten_component::{Batch, ComponentId, Consumer, Refused, Signal};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use tracing::Instrument;

/// The target of the spans that make up Corten's own traces; they are recorded only where
/// `service::telemetry::traces` sends them somewhere.
macro_rules! own_span {
    ($name:literal, $($fields:tt)*) => {
        tracing::trace_span!(target: "corten::own_traces", $name, $($fields)*)
    };
}

/// The name that the Collector's metrics have for a signal's items.
fn items_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "log_records",
        Signal::Metrics => "metric_points",
        Signal::Traces => "spans",
    }
}

/// Items as a metric value.
fn count(batch: &Batch) -> u64 {
    u64::try_from(batch.items()).unwrap_or(u64::MAX)
}

/// Between a receiver and what takes its batches:
/// `otelcol_receiver_{accepted,refused}_{log_records,metric_points,spans}{receiver}`.
pub(crate) struct ReceiverEdge {
    next: Arc<dyn Consumer>,
    accepted: Counter<u64>,
    refused: Counter<u64>,
    attributes: [KeyValue; 1],
}

impl ReceiverEdge {
    pub(crate) fn before(
        next: Arc<dyn Consumer>,
        id: &ComponentId,
        signal: Signal,
        meter: &Meter,
    ) -> Arc<dyn Consumer> {
        let items = items_of(signal);
        Arc::new(Self {
            next,
            accepted: meter
                .u64_counter(format!("otelcol_receiver_accepted_{items}"))
                .with_description(format!("Number of {items} taken over from the sender"))
                .build(),
            refused: meter
                .u64_counter(format!("otelcol_receiver_refused_{items}"))
                .with_description(format!("Number of {items} that nobody downstream kept"))
                .build(),
            attributes: [KeyValue::new("receiver", id.to_string())],
        })
    }
}

#[async_trait]
impl Consumer for ReceiverEdge {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let items = count(&batch);
        let [receiver] = &self.attributes;
        let span =
            own_span!("receive", receiver = %receiver.value, signal = %batch.signal(), items);
        let outcome = self.next.consume(batch).instrument(span).await;
        let refused = outcome
            .as_ref()
            .err()
            .map_or(0, |refused| count(refused.rest()).min(items));
        self.accepted.add(items - refused, &self.attributes);
        if refused > 0 {
            self.refused.add(refused, &self.attributes);
        }
        outcome
    }
}

/// Around a processor: `otelcol_processor_{incoming,outgoing}_items{processor, otel_signal}`.
pub(crate) struct ProcessorEdge {
    next: Arc<dyn Consumer>,
    items: Counter<u64>,
    attributes: [KeyValue; 2],
}

impl ProcessorEdge {
    /// The edge into a processor.
    pub(crate) fn incoming(
        next: Arc<dyn Consumer>,
        id: &ComponentId,
        signal: Signal,
        meter: &Meter,
    ) -> Arc<dyn Consumer> {
        let counter = meter
            .u64_counter("otelcol_processor_incoming_items")
            .with_description("Number of items passed to the processor");
        Self::around(next, id, signal, counter.build())
    }

    /// The edge out of a processor.
    pub(crate) fn outgoing(
        next: Arc<dyn Consumer>,
        id: &ComponentId,
        signal: Signal,
        meter: &Meter,
    ) -> Arc<dyn Consumer> {
        let counter = meter
            .u64_counter("otelcol_processor_outgoing_items")
            .with_description("Number of items emitted from the processor");
        Self::around(next, id, signal, counter.build())
    }

    fn around(
        next: Arc<dyn Consumer>,
        id: &ComponentId,
        signal: Signal,
        items: Counter<u64>,
    ) -> Arc<dyn Consumer> {
        Arc::new(Self {
            next,
            items,
            attributes: [
                KeyValue::new("processor", id.to_string()),
                KeyValue::new("otel_signal", signal.as_str()),
            ],
        })
    }
}

#[async_trait]
impl Consumer for ProcessorEdge {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.items.add(count(&batch), &self.attributes);
        self.next.consume(batch).await
    }
}

/// Between a pipeline and an exporter: items and bytes by outcome, and the time until the answer.
/// For exporters that deliver before they answer also
/// `otelcol_exporter_{sent,send_failed}_{…}{exporter}`; those with a queue count these themselves.
pub(crate) struct ExporterEdge {
    next: Arc<dyn Consumer>,
    sent: Option<[Counter<u64>; 2]>,
    items: Counter<u64>,
    size: Counter<u64>,
    duration: Histogram<f64>,
    exporter: [KeyValue; 1],
    outcomes: [[KeyValue; 4]; 3],
}

impl ExporterEdge {
    pub(crate) fn before(
        next: Arc<dyn Consumer>,
        id: &ComponentId,
        pipeline: &Arc<str>,
        signal: Signal,
        counts_deliveries: bool,
        meter: &Meter,
    ) -> Arc<dyn Consumer> {
        let name = items_of(signal);
        let outcome = |outcome: &'static str| {
            [
                KeyValue::new("exporter", id.to_string()),
                KeyValue::new("pipeline", Arc::clone(pipeline)),
                KeyValue::new("otel_signal", signal.as_str()),
                KeyValue::new("outcome", outcome),
            ]
        };
        Arc::new(Self {
            next,
            sent: (!counts_deliveries).then(|| {
                [
                    meter
                        .u64_counter(format!("otelcol_exporter_sent_{name}"))
                        .with_description(format!("Number of {name} delivered"))
                        .build(),
                    meter
                        .u64_counter(format!("otelcol_exporter_send_failed_{name}"))
                        .with_description(format!("Number of {name} given up for good"))
                        .build(),
                ]
            }),
            items: meter
                .u64_counter("otelcol_exporter_consumed_items")
                .with_description("Number of items passed to the exporter, by outcome")
                .build(),
            size: meter
                .u64_counter("otelcol_exporter_consumed_size")
                .with_unit("By")
                .with_description("Bytes of OTLP passed to the exporter, by outcome")
                .build(),
            duration: meter
                .f64_histogram("otelcol_exporter_consume_duration")
                .with_unit("s")
                .with_description("Time until the exporter answered for a batch")
                .with_boundaries(vec![
                    0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
                ])
                .build(),
            exporter: [KeyValue::new("exporter", id.to_string())],
            outcomes: [outcome("success"), outcome("refused"), outcome("failure")],
        })
    }
}

#[async_trait]
impl Consumer for ExporterEdge {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let items = count(&batch);
        let size = u64::try_from(batch.bytes_len()).unwrap_or(u64::MAX);
        let begun = Instant::now();
        let [exporter] = &self.exporter;
        let span = own_span!("export", exporter = %exporter.value, signal = %batch.signal(), items);
        let outcome = self.next.consume(batch).instrument(span).await;
        let [success, refused, failure] = &self.outcomes;
        let attributes = match &outcome {
            Ok(()) => success,
            Err(error) if error.is_retryable() => refused,
            Err(_) => failure,
        };
        self.items.add(items, attributes);
        self.size.add(size, attributes);
        self.duration
            .record(begun.elapsed().as_secs_f64(), &self.exporter);
        if let Some([sent, failed]) = &self.sent {
            match &outcome {
                Ok(()) => sent.add(items, &self.exporter),
                Err(error) if !error.is_retryable() => failed.add(items, &self.exporter),
                Err(_) => {}
            }
        }
        outcome
    }
}
