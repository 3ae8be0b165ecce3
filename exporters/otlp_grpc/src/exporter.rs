//! The component: a sink behind a delivery.

use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Refused, async_trait,
};
use corten_delivery::{Delivery, Settings};

use crate::config::Config;
use crate::sink::GrpcSink;

/// The exporter.
pub(crate) struct OtlpGrpc {
    delivery: Delivery<GrpcSink>,
}

impl OtlpGrpc {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let sink = GrpcSink::new(&cx, &config)?;
        let settings = Settings {
            queue: config.own.sending_queue,
            retry: config.own.retry_on_failure,
            timeout: config.client.timeout.get(),
        };
        Ok(Self {
            delivery: Delivery::new(&cx, settings, sink)?,
        })
    }
}

#[async_trait]
impl Component for OtlpGrpc {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        self.delivery.start().await
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.delivery.shutdown().await;
        Ok(())
    }
}

#[async_trait]
impl Consumer for OtlpGrpc {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.delivery.consume(batch).await
    }
}

impl Exporter for OtlpGrpc {
    fn counts_deliveries(&self) -> bool {
        true
    }
}
