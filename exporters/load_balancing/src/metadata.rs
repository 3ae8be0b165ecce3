//! Who this component is, and what only it can count.

use std::time::Duration;

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};

/// `load_balancing`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "load_balancing",
    aliases: &["loadbalancing"],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Sends what belongs together to the same of several OTLP backends",
};

/// The Collector's metrics of the ring, and one of our own.
pub(crate) struct Metrics {
    resolutions: Counter<u64>,
    backends: Gauge<u64>,
    updates: Counter<u64>,
    outcome: Counter<u64>,
    latency: Histogram<u64>,
    rerouted: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        let meter = cx.meter();
        Self {
            resolutions: meter
                .u64_counter("otelcol_loadbalancer_num_resolutions")
                .with_description("Number of times the resolver has triggered new resolutions")
                .build(),
            backends: meter
                .u64_gauge("otelcol_loadbalancer_num_backends")
                .with_description("Current number of backends in use")
                .build(),
            updates: meter
                .u64_counter("otelcol_loadbalancer_num_backend_updates")
                .with_description("Number of times the list of backends was updated")
                .build(),
            outcome: meter
                .u64_counter("otelcol_loadbalancer_backend_outcome")
                .with_description("Number of successes and failures for each endpoint")
                .build(),
            latency: meter
                .u64_histogram("otelcol_loadbalancer_backend_latency")
                .with_unit("ms")
                .with_description("Response latency in ms for the backends")
                .build(),
            rerouted: meter
                .u64_counter("corten_loadbalancer_rerouted_items")
                .with_description(
                    "Number of items that waited for a backend that left, and went to others",
                )
                .build(),
        }
    }

    pub(crate) fn resolved(&self, resolver: &'static str, success: bool) {
        let attributes = [
            KeyValue::new("resolver", resolver),
            KeyValue::new("success", success),
        ];
        self.resolutions.add(1, &attributes);
    }

    pub(crate) fn updated(&self, resolver: &'static str, backends: usize) {
        let attributes = [KeyValue::new("resolver", resolver)];
        self.backends.record(backends as u64, &attributes);
        self.updates.add(1, &attributes);
    }

    pub(crate) fn offered(&self, endpoint: &str, success: bool, took: Duration) {
        let endpoint = KeyValue::new("endpoint", endpoint.to_owned());
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.latency.record(took, std::slice::from_ref(&endpoint));
        self.outcome
            .add(1, &[endpoint, KeyValue::new("success", success)]);
    }

    pub(crate) fn rerouted(&self, items: usize) {
        self.rerouted.add(items as u64, &[]);
    }
}
