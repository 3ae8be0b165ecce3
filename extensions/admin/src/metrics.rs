//! `/metrics`: the process's own metrics.

use std::sync::Arc;

use corten_component::{SelfMetrics, Services};
use corten_exposition::naming::{Namer, TranslationStrategy};
use corten_exposition::{Encoding, Format, Page, Translation};
use corten_net::body::Body;
use corten_net::listen::text;
use http::{HeaderMap, HeaderValue, Response, header};

/// The Collector's names for its own metrics: no suffix for unit or type, no scope, no target.
pub(crate) fn translation() -> Translation {
    Translation {
        namer: Namer::new(TranslationStrategy::UnderscoreEscapingWithoutSuffixes, ""),
        scope_labels: false,
        target_labels: false,
        ..Translation::default()
    }
}

/// The answer to a scrape.
pub(crate) fn answer(
    services: &Services,
    translation: &Translation,
    request: &HeaderMap,
) -> Response<Body> {
    let Some(metrics) = services.get::<Arc<dyn SelfMetrics>>() else {
        return text(
            503,
            "own metrics are off: see service::telemetry::metrics\n",
        );
    };
    let metrics = match metrics.collect() {
        Ok(metrics) => metrics,
        Err(error) => return text(500, format!("own metrics: {error}\n")),
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
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if let Some(encoding) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}
