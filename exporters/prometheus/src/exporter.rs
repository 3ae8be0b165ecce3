//! The exporter as the pipeline sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Feed, Refused, Status, async_trait,
};
use corten_net::listen::{Guard, Handler, Listener, Listeners};
use corten_pdata::Data;
use http::Method;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;

use crate::config::Config;
use crate::notices::Notices;
use crate::scrape::Shared;
use crate::store::{Outcome, Store};

/// Serves metrics: collected when somebody asks, or kept from what was pushed.
pub(crate) struct Prometheus {
    shared: Arc<Shared>,
    listener: Listener,
    rejected: Counter<u64>,
}

/// How many families a page could not show whole, by exporter and reason.
pub(crate) fn left_out_counter(cx: &Context) -> Counter<u64> {
    cx.meter()
        .u64_counter("corten_exporter_left_out_families")
        .with_description("Families of which a scrape showed nothing or not everything, by reason: once for each scrape.")
        .build()
}

impl Prometheus {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let listener = Listeners::of(&cx).http(&cx, "", &config.server)?;
        let guard = Guard::new(&cx, &config.server)?;
        let translation = config.translation();
        let own = config.own;
        let rejected = cx
            .meter()
            .u64_counter("corten_exporter_rejected_metric_points")
            .with_description("Pushed points that the prometheus exporter cannot show, by reason.")
            .build();
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(own.max_series, own.metric_expiration.into())),
            translation,
            feeds: Mutex::new(Arc::from([])),
            notices: Notices::default(),
            left_out: left_out_counter(&cx),
            remembered: Mutex::default(),
            page_size: AtomicUsize::new(0),
            settings: own,
            cx,
        });
        let handler = guard.wrap(Arc::clone(&shared) as Arc<dyn Handler>);
        listener.route(&[Method::GET], &shared.settings.metrics_path, handler)?;
        Ok(Self {
            shared,
            listener,
            rejected,
        })
    }

    fn note(&self, outcome: Outcome) {
        let id = self.shared.cx.id();
        for (reason, points) in [
            ("series_limit", outcome.over_limit),
            ("type_conflict", outcome.wrong_type),
            ("unit_conflict", outcome.wrong_unit),
            ("not_cumulative", outcome.not_cumulative),
            ("late", outcome.late),
        ] {
            if points > 0 {
                let attributes = [
                    KeyValue::new("exporter", id.to_string()),
                    KeyValue::new("reason", reason),
                ];
                self.rejected.add(points, &attributes);
            }
        }
        if outcome.over_limit > 0 {
            let message = format!(
                "there are {} series already, points of further ones are dropped: raise max_series, or drop labels before",
                self.shared.settings.max_series
            );
            self.shared.notices.say(id, message);
        }
        for problem in outcome.problems {
            self.shared.notices.say(id, problem.to_string());
        }
    }

    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.listener.local_addr()
    }
}

#[async_trait]
impl Component for Prometheus {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        self.listener.start().await?;
        self.shared.cx.health().ok();
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.listener.shutdown().await;
        Ok(())
    }
}

#[async_trait]
impl Consumer for Prometheus {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let Data::Metrics(metrics) = &batch.data else {
            return Err(Refused::permanent(
                Status::UNIMPLEMENTED,
                batch,
                "the prometheus exporter takes metrics only",
            ));
        };
        let outcome = {
            let mut store = self.shared.store.lock();
            let mut taking = store.take(Instant::now());
            self.shared.translation.visit(metrics, &mut taking);
            taking.finish()
        };
        self.note(outcome);
        Ok(())
    }
}

impl Exporter for Prometheus {
    fn collects_on_demand(&self) -> bool {
        true
    }

    fn attach(&self, feeds: Vec<Arc<dyn Feed>>) {
        *self.shared.feeds.lock() = feeds.into();
    }
}
