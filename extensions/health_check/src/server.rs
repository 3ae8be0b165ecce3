//! The server with its one path.

use std::sync::Arc;
use std::time::Instant;

use corten_component::{
    BoxError, Component, Condition, Context, Extension, Health, Services, async_trait,
};
use corten_config::types::Duration as Printed;
use corten_net::body::Body;
use corten_net::listen::{Guard, Listener, Listeners, handler, text};
use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::config::{Config, Own};

/// One URL for probes.
pub(crate) struct HealthCheck {
    listener: Listener,
    probe: Arc<Probe>,
}

struct Probe {
    settings: Own,
    services: Services,
    /// Since when everything runs, as far as anybody asked.
    up: Mutex<Option<(Timestamp, Instant)>>,
}

impl HealthCheck {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let listener = Listeners::of(&cx).http(&cx, "", &config.server)?;
        let guard = Guard::new(&cx, &config.server)?;
        let probe = Arc::new(Probe {
            settings: config.own,
            services: cx.services().clone(),
            up: Mutex::new(None),
        });
        let asked = Arc::clone(&probe);
        let answer = handler(move |_| std::future::ready(asked.answer()));
        // Any method: probes ask in their own ways.
        listener.route(&[], &probe.settings.path, guard.wrap(answer))?;
        Ok(Self { listener, probe })
    }

    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.listener.local_addr()
    }
}

impl Probe {
    fn is_up(&self) -> bool {
        let Some(health) = self.services.get::<Health>() else {
            return true;
        };
        match self.settings.not_ready_after {
            Some(patience) => health.not_ready(patience.into()).is_empty(),
            None => health.components().iter().all(|component| {
                matches!(
                    component.condition,
                    Condition::Ok | Condition::Failing { .. }
                )
            }),
        }
    }

    fn answer(&self) -> Response<Body> {
        let up = self.is_up();
        let since = {
            let mut since = self.up.lock();
            *since = if up {
                Some(since.unwrap_or_else(|| (Timestamp::now(), Instant::now())))
            } else {
                None
            };
            *since
        };
        let status = if up { 200 } else { 503 };
        if let Some(body) = &self.settings.response_body {
            return text(
                status,
                if up {
                    body.healthy.clone()
                } else {
                    body.unhealthy.clone()
                },
            );
        }
        let body = match since {
            Some((at, began)) => format!(
                "{{\"status\":\"Server available\",\"upSince\":\"{at}\",\"uptime\":\"{}\"}}",
                Printed::from(began.elapsed())
            ),
            // Go's zero time: what the Collector answers while it is not up.
            None => "{\"status\":\"Server not available\",\"upSince\":\"0001-01-01T00:00:00Z\",\"uptime\":\"\"}".to_owned(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = if up {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}

#[async_trait]
impl Component for HealthCheck {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        self.listener.start().await?;
        // Extensions start first: what is asked before everything runs forgets this again.
        *self.probe.up.lock() = Some((Timestamp::now(), Instant::now()));
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.listener.shutdown().await;
        *self.probe.up.lock() = None;
        Ok(())
    }
}

impl Extension for HealthCheck {}
