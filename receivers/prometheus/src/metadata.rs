//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, UpDownCounter};

/// `prometheus`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "prometheus",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "Scrapes what exposes metrics to Prometheus, by the scrape_configs of a prometheus.yml",
};

/// What no pipeline's edge can see: scrapes, and those that gave nothing.
#[derive(Clone)]
pub(crate) struct Instruments {
    scrapes: Counter<u64>,
    targets: UpDownCounter<i64>,
    receiver: KeyValue,
}

impl Instruments {
    pub(crate) fn new(cx: &Context) -> Self {
        let meter = cx.meter();
        Self {
            scrapes: meter
                .u64_counter("corten_prometheus_scrapes")
                .with_description("Number of scrapes, by job and by how they ended")
                .build(),
            targets: meter
                .i64_up_down_counter("corten_prometheus_targets")
                .with_description("Number of targets that are scraped, by job")
                .build(),
            receiver: KeyValue::new("receiver", cx.id().to_string()),
        }
    }

    /// A scrape has ended.
    pub(crate) fn scraped(&self, job: &str, outcome: &'static str) {
        let attributes = [
            self.receiver.clone(),
            KeyValue::new("job", job.to_owned()),
            KeyValue::new("outcome", outcome),
        ];
        self.scrapes.add(1, &attributes);
    }

    /// So many targets more, or fewer.
    pub(crate) fn targets(&self, job: &str, change: i64) {
        let attributes = [self.receiver.clone(), KeyValue::new("job", job.to_owned())];
        self.targets.add(change, &attributes);
    }
}
