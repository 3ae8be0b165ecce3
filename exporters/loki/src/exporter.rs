//! The parts put together.

use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Refused, Tasks, async_trait,
};
use corten_config::settings::Queue;
use corten_delivery::{Delivery, Settings};

use crate::config::Config;
use crate::http_transport::HttpTransport;
use crate::mapping::Mapping;
use crate::report::Reporter;
use crate::sender::{self, Counters, Sender};
use crate::sink::LokiSink;

/// How many batches may be with the sender. Their requests are `sending_queue::num_consumers` at a time; a batch
/// waits for all of its lines, and those of a stream that Loki limits must not hold up the batches behind it.
const BATCHES: u32 = 64;

/// The running exporter.
pub(crate) struct Loki {
    delivery: Delivery<LokiSink<HttpTransport>>,
    sender: Arc<Sender<HttpTransport>>,
    workers: u32,
    /// The workers end by themselves when the sender is closed, which is after the delivery's tasks have ended.
    tasks: Tasks,
    cx: Context,
}

impl Loki {
    pub(crate) fn new(cx: Context, config: &Config) -> Result<Self, BoxError> {
        let transport = HttpTransport::new(&cx, config)?;
        let meter = cx.meter();
        let counters = Counters {
            labels_cut: meter
                .u64_counter("corten_loki_label_values_cut")
                .with_description("Number of label values that were cut to Loki's limit of 2048 bytes")
                .build(),
            metadata_trimmed: meter
                .u64_counter("corten_loki_metadata_trimmed")
                .with_description("Number of entries of structured metadata left out because of Loki's limits per line")
                .build(),
            attributes: [opentelemetry::KeyValue::new("exporter", cx.id().to_string())],
        };
        let settings = sender::Settings {
            mapping: Mapping::new(config),
            batchwait: config.batchwait.get(),
            batchsize: config.batchsize.as_usize(),
            timeout: config.timeout.get(),
            retry: config.retry(),
        };
        let reporter = Reporter::new(cx.id().to_string());
        let sender = Arc::new(Sender::new(
            settings,
            transport,
            cx.health().clone(),
            reporter,
            counters,
        ));
        let workers = config.sending_queue.num_consumers.max(1);
        let settings = Settings {
            queue: Queue {
                num_consumers: workers.max(BATCHES),
                ..config.sending_queue.clone()
            },
            retry: config.retry(),
            // An attempt's time is the sender's business: to the delivery, one attempt is all of them.
            timeout: std::time::Duration::ZERO,
        };
        let delivery = Delivery::new(
            &cx,
            settings,
            LokiSink {
                sender: Arc::clone(&sender),
            },
        )?;
        Ok(Self {
            delivery,
            sender,
            workers,
            tasks: Tasks::new(),
            cx,
        })
    }
}

#[async_trait]
impl Component for Loki {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        for _ in 0..self.workers {
            self.tasks
                .spawn("loki worker", Arc::clone(&self.sender).work());
        }
        self.delivery.start().await?;
        // When a shutdown begins, nobody should wait in vain for the next attempt.
        let (closing, sender) = (self.cx.closing(), Arc::clone(&self.sender));
        self.cx.tasks().spawn("loki closing", async move {
            closing.begun().await;
            sender.hurry();
        });
        self.cx.health().ok();
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        // Also when the deadline drops this future: the workers must not stay behind.
        let closing = Closing(&self.sender);
        self.sender.hurry();
        self.delivery.shutdown().await;
        drop(closing);
        self.tasks.shutdown(std::time::Duration::MAX).await;
        self.cx.health().stopped();
        Ok(())
    }
}

/// Closes the sender when dropped.
struct Closing<'a>(&'a Sender<HttpTransport>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[async_trait]
impl Consumer for Loki {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.delivery.consume(batch).await
    }
}

impl Exporter for Loki {
    fn counts_deliveries(&self) -> bool {
        true
    }
}
