//! The server: which path does what.

use std::sync::Arc;

use corten_component::{BoxError, Component, Context, Extension, Recent, Reload, async_trait};
use corten_net::body::Body;
use corten_net::listen::{Guard, Listener, Listeners, handler, text};
use http::{Method, Request, Response};

use crate::config::Config;
use crate::{metrics, readiness, recent};

/// What an operator asks the process itself.
pub(crate) struct Admin {
    listener: Listener,
}

const INDEX: &str = "Corten

/metrics      own metrics
/-/ready      whether every component does its job, and who does not
/-/healthy    whether the process is alive
/-/reload     POST: reads the configuration again
/recent       telemetry that passed last (?pipeline=logs, ?format=json)
";

impl Admin {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let listener = Listeners::of(&cx).http(&cx, "", &config.server)?;
        let guard = Guard::new(&cx, &config.server)?;
        let services = cx.services().clone();
        let keep = config.own.recent_max_size.as_usize();
        if keep > 0 {
            // Before any pipeline is built, so that all of them find it.
            services.get_or_insert_with(|| Recent::new(keep));
        }
        let get = |path: &str, answer: Answer| {
            let handler = handler(move |request| std::future::ready(answer(&request)));
            listener.route(&[Method::GET], path, guard.wrap(handler))
        };
        get("/", Box::new(|_| text(200, INDEX)))?;
        let translation = metrics::translation();
        let of = services.clone();
        get(
            "/metrics",
            Box::new(move |request| metrics::answer(&of, &translation, request.headers())),
        )?;
        let (of, patience) = (services.clone(), config.own.not_ready_after.into());
        get(
            "/-/ready",
            Box::new(move |_| readiness::ready(&of, patience)),
        )?;
        let of = services.clone();
        get("/-/healthy", Box::new(move |_| readiness::healthy(&of)))?;
        let of = services.clone();
        get(
            "/recent",
            Box::new(move |request| recent::answer(&of, request.uri().query().unwrap_or_default())),
        )?;
        let reload = handler(move |_| {
            let reload = services.get::<Arc<dyn Reload>>();
            async move {
                match reload {
                    Some(reload) => match reload.reload().await {
                        Ok(()) => text(200, "config reloaded\n"),
                        Err(problems) => text(400, problems),
                    },
                    None => text(503, "this process cannot read its configuration again\n"),
                }
            }
        });
        listener.route(&[Method::POST], "/-/reload", guard.wrap(reload))?;
        Ok(Self { listener })
    }

    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a path answers.
type Answer = Box<dyn Fn(&Request<Body>) -> Response<Body> + Send + Sync>;

#[async_trait]
impl Component for Admin {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        self.listener.start().await?;
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.listener.shutdown().await;
        Ok(())
    }
}

impl Extension for Admin {}
