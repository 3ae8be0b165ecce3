//! The component's life, and the queue in front of all backends where one is wanted.

use std::borrow::Cow;
use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Refused, async_trait,
};
use corten_delivery::{Delivery, Encoded, SendError, Sent, Settings, Sink};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::balancer::Balancer;
use crate::config::{Config, Resolver};
use crate::resolver;

/// The exporter.
pub(crate) struct LoadBalancing {
    cx: Context,
    resolver: Resolver,
    pub(crate) balancer: Arc<Balancer>,
    front: Option<Delivery<Front>>,
    /// Ends the resolver.
    resolving: Mutex<Option<DropGuard>>,
}

impl LoadBalancing {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let balancer = Balancer::new(&cx, &config);
        let front = config
            .sending_queue
            .into_option()
            .filter(|queue| queue.enabled);
        let front = front.map(|queue| {
            let settings = Settings {
                queue,
                retry: config.retry_on_failure.into_option().unwrap_or_default(),
                timeout: config.timeout.get(),
            };
            let sink = Front {
                balancer: Arc::clone(&balancer),
            };
            // With tasks of its own: it ends before the backends do.
            Delivery::new(&cx.part(cx.id().clone()), settings, sink)
        });
        Ok(Self {
            front: front.transpose()?,
            resolver: config.resolver,
            balancer,
            resolving: Mutex::new(None),
            cx,
        })
    }
}

#[async_trait]
impl Component for LoadBalancing {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        resolver::begin(&self.resolver, &self.balancer).await?;
        let stop = CancellationToken::new();
        let follow = resolver::follow(self.resolver.clone(), Arc::clone(&self.balancer));
        let stopping = stop.clone();
        self.cx.tasks().spawn("resolver", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = follow => {}
            }
        });
        *self.resolving.lock() = Some(stop.drop_guard());
        match &self.front {
            Some(front) => front.start().await,
            None => Ok(()),
        }
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        if let Some(front) = &self.front {
            front.shutdown().await;
        }
        drop(self.resolving.lock().take());
        self.balancer.shutdown().await;
        Ok(())
    }
}

#[async_trait]
impl Consumer for LoadBalancing {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        match &self.front {
            Some(front) => front.consume(batch).await,
            None => self.balancer.consume(batch).await,
        }
    }
}

impl Exporter for LoadBalancing {
    fn counts_deliveries(&self) -> bool {
        true
    }
}

/// The backends, for the queue in front of them.
struct Front {
    balancer: Arc<Balancer>,
}

#[async_trait]
impl Sink for Front {
    type Request = Batch;

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Batch>>, BoxError> {
        Ok(vec![Encoded {
            // What lies in the queue can be sent again: backends answer when they have it, not before.
            request: batch.clone().replayable(),
            items: batch.items(),
            data: batch.data.clone(),
        }])
    }

    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let Err(refused) = self.balancer.consume(batch.clone()).await else {
            return Ok(Sent::all());
        };
        let (status, message) = (refused.status(), refused.to_string());
        if refused.is_retryable() {
            return Err(SendError::Retryable {
                status,
                after: refused.delay(),
                message,
            });
        }
        let rejected = refused.rest().items();
        Err(SendError::Permanent {
            status,
            reason: "refused",
            message,
            rejected: (rejected < batch.items()).then_some(rejected),
        })
    }

    fn compresses(&self) -> bool {
        false
    }

    fn address(&self) -> Cow<'_, str> {
        "the backends".into()
    }
}
