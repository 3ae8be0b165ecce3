//! The receiver's life.

use std::sync::Arc;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_net::admission::Admission;
use corten_net::body::Limits;
use corten_net::listen::{Guard, Listener, Listeners};

use crate::config::Config;
use crate::http::Service;
use crate::metadata::Metrics;

/// The receiver: its listener, which holds the handlers.
pub(crate) struct Zipkin {
    pub(crate) listener: Listener,
}

impl Zipkin {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let server = &config.server;
        let listener = Listeners::of(&cx).http(&cx, "", server)?;
        let guard = Guard::new(&cx, server)?;
        let limits = Limits {
            total: server.read_timeout.non_zero(),
            ..Limits::new(usize::try_from(server.max_request_body_size)?)
        };
        let service = Service {
            next,
            admission: Admission::new(config.own.max_in_flight_size.as_usize()),
            metrics: Metrics::new(&cx),
            limits,
            include_metadata: server.include_metadata,
            compression: server.compression_algorithms.clone().into(),
            parse_string_tags: config.own.parse_string_tags,
        };
        let handler = guard.wrap(Arc::new(service));
        listener.route(&[], "/api/v2/spans", Arc::clone(&handler))?;
        listener.route(&[], "/*", handler)?;
        Ok(Self { listener })
    }
}

#[async_trait]
impl Component for Zipkin {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        Ok(self.listener.start().await?)
    }

    /// Takes nothing new, and waits until every request under way has its answer.
    async fn shutdown(&self) -> Result<(), BoxError> {
        self.listener.shutdown().await;
        Ok(())
    }
}

impl Receiver for Zipkin {}
