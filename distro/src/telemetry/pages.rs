//! Own metrics for Prometheus where `service::telemetry::metrics` asks for it: `/metrics` of every pull
//! reader. (The `admin` extension shows them too.)

use std::sync::Arc;

use corten_component::{SelfMetrics, Services};
use corten_config::model::{PrometheusReader, Telemetry};
use corten_config::settings::HttpServer;
use corten_exposition::naming::{Namer, TranslationStrategy};
use corten_exposition::{Encoding, Format, Page, ResourceLabels, Translation};
use corten_net::body::Body;
use corten_net::listen::{Listen, ListenError, Listener, Listeners, handler, text};
use http::{HeaderMap, HeaderValue, Method, Response, header};

/// The pages of one configuration.
pub(crate) struct MetricsPages(Vec<Listener>);

impl MetricsPages {
    /// Takes the paths; nothing listens yet. Without `readers` and `address` there is no page: the
    /// Collector's default port would be one more that every process on a machine wants.
    ///
    /// # Errors
    ///
    /// A component serves the path at the same address.
    pub(crate) fn build(telemetry: &Telemetry, services: &Services) -> Result<Self, ListenError> {
        let listeners = services.get_or_insert_with(Listeners::new);
        let mut pages = Vec::new();
        for (index, reader) in telemetry.metrics.effective_readers().iter().enumerate() {
            let pull = reader.pull.as_ref();
            let Some(prometheus) = pull.and_then(|pull| pull.exporter.prometheus.as_ref()) else {
                continue;
            };
            let mut listen = Listen::from(&HttpServer::at(&prometheus.host, prometheus.port));
            let mut owner = "service::telemetry::metrics".to_owned();
            if telemetry.metrics.readers.is_some() {
                owner.push_str(&format!("::readers[{index}]::pull::exporter::prometheus"));
                listen.key = "port";
            } else {
                listen.key = "address";
            }
            let listener = listeners.listen(owner, listen)?;
            let (translation, of) = (translation(prometheus), services.clone());
            let page = handler(move |request: http::Request<Body>| {
                std::future::ready(answer(&of, &translation, request.headers()))
            });
            listener.route(&[Method::GET], "/metrics", page)?;
            pages.push(listener);
        }
        Ok(Self(pages))
    }

    /// Begins to answer.
    ///
    /// # Errors
    ///
    /// A port is taken.
    pub(crate) async fn start(&self) -> Result<(), ListenError> {
        for page in &self.0 {
            page.start().await?;
        }
        Ok(())
    }

    /// Ends answering. Once more does no harm.
    pub(crate) async fn shutdown(&self) {
        for page in &self.0 {
            page.shutdown().await;
        }
    }
}

/// The reader's wishes. Units are part of a name when its type is: there is no form between.
fn translation(reader: &PrometheusReader) -> Translation {
    let strategy = if reader.without_type_suffix {
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes
    } else {
        TranslationStrategy::UnderscoreEscapingWithSuffixes
    };
    let labels = &reader.with_resource_constant_labels;
    Translation {
        namer: Namer::new(strategy, ""),
        scope_labels: !reader.without_scope_info,
        resource_labels: ResourceLabels {
            included: labels.included.clone(),
            excluded: labels.excluded.clone(),
        },
        ..Translation::default()
    }
}

fn answer(services: &Services, translation: &Translation, request: &HeaderMap) -> Response<Body> {
    let collected = services
        .get::<Arc<dyn SelfMetrics>>()
        .map(|metrics| metrics.collect());
    let metrics = match collected {
        Some(Ok(metrics)) => metrics,
        Some(Err(error)) => return text(500, format!("own metrics: {error}\n")),
        None => return text(503, "own metrics are not there yet\n"),
    };
    // Text alone: OpenMetrics has no counters whose names do not end in `_total`.
    let format = Format::negotiate(request, false);
    let mut page = Page::new(format);
    translation.visit(&metrics, &mut page);
    let mut out = Vec::with_capacity(16 << 10);
    for problem in page.write(&mut out).problems {
        tracing::debug!(%problem, "an own metric cannot be shown");
    }
    let (page, encoding) = Encoding::negotiate(request).encode(out);
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(encoding) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}
