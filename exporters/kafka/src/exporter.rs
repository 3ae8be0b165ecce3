//! The component: a sink behind a delivery.

use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Refused, async_trait,
};
use corten_delivery::{Delivery, Settings};

use crate::config::Config;
use crate::sink::{Connection, KafkaSink};

/// The exporter.
pub(crate) struct Kafka {
    delivery: Delivery<KafkaSink>,
    connection: Arc<Connection>,
}

impl Kafka {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let connection = Arc::new(Connection::new(&cx, &config));
        let sink = KafkaSink::new(&config, Arc::clone(&connection))?;
        let settings = Settings {
            queue: config.own.sending_queue,
            retry: config.own.retry_on_failure,
            timeout: config.own.timeout.get(),
        };
        Ok(Self {
            delivery: Delivery::new(&cx, settings, sink)?,
            connection,
        })
    }
}

#[async_trait]
impl Component for Kafka {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        self.delivery.start().await
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.delivery.shutdown().await;
        self.connection.close().await;
        Ok(())
    }
}

#[async_trait]
impl Consumer for Kafka {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.delivery.consume(batch).await
    }
}

impl Exporter for Kafka {
    fn counts_deliveries(&self) -> bool {
        true
    }
}
