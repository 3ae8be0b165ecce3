//! A backend: a name on the ring, with a queue and retries of its own.

use std::sync::{Arc, Weak};
use std::time::Duration;

use corten_component::{Batch, BoxError, ComponentId, Consumer, Context, Refused};
use corten_delivery::{Delivery, Settings};
use tokio_util::sync::CancellationToken;

use crate::balancer::Balancer;
use crate::config::Otlp;
use crate::sink::BackendSink;

/// Between the word that a backend is gone and the end of its queue: whoever has just heard from it has heard that too.
const LINGER: Duration = Duration::from_millis(500);

/// A backend.
pub(crate) struct Backend {
    /// As the resolver calls it, which is its name on the ring.
    pub(crate) name: String,
    delivery: Delivery<BackendSink>,
    gone: CancellationToken,
}

impl Backend {
    /// Does no IO.
    pub(crate) fn new(
        cx: &Context,
        settings: &Otlp,
        name: &str,
        home: Weak<Balancer>,
    ) -> Result<Arc<Self>, BoxError> {
        let gone = CancellationToken::new();
        let cx = cx.part(id(cx.id(), name));
        let sink = BackendSink::new(&cx, settings, with_port(name), gone.clone(), home)?;
        let settings = Settings {
            queue: settings.own.sending_queue.clone(),
            retry: settings.own.retry_on_failure.clone(),
            // The sink has its own: what is dealt out anew may wait for longer.
            timeout: Duration::ZERO,
        };
        Ok(Arc::new(Self {
            name: name.to_owned(),
            delivery: Delivery::new(&cx, settings, sink)?,
            gone,
        }))
    }

    pub(crate) async fn start(&self) -> Result<(), BoxError> {
        self.delivery.start().await
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    pub(crate) async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.delivery.consume(batch).await
    }

    /// Takes nothing new, and deals out anew what waits.
    pub(crate) async fn leave(&self) {
        self.gone.cancel();
        tokio::time::sleep(LINGER).await;
        self.delivery.shutdown().await;
    }

    /// Takes nothing new, and gives what waits one more attempt.
    pub(crate) async fn shutdown(&self) {
        self.delivery.shutdown().await;
    }
}

/// The name of the backend's part of the component, for its metrics.
fn id(own: &ComponentId, name: &str) -> ComponentId {
    format!("{own}/{name}").parse().unwrap_or_else(|_| {
        // Resolvers make names without spaces.
        own.clone()
    })
}

/// The endpoint of a name: port 4317 unless it has one.
fn with_port(name: &str) -> String {
    let has_port = match name.rsplit_once(']') {
        Some((_, port)) => port.starts_with(':'),
        None => name.contains(':'),
    };
    if has_port {
        name.to_owned()
    } else {
        format!("{name}:4317")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_is_added_where_none_is() {
        for (name, endpoint) in [
            ("backend", "backend:4317"),
            ("backend:1", "backend:1"),
            ("10.0.0.1", "10.0.0.1:4317"),
            ("[::1]", "[::1]:4317"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(with_port(name), endpoint);
        }
    }
}
