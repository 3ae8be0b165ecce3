//! Answering a scrape.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use corten_component::{Batch, BoxError, CollectRequest, Context, Feed, async_trait};
use corten_exposition::{Encoding, Format, Kind, LabelSet, Page, Report, Translation, Value};
use corten_net::body::Body;
use corten_net::listen::{Handler, text};
use corten_pdata::{Data, Metrics};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;

use crate::config::Own;
use crate::notices::Notices;
use crate::query;
use crate::remembered::Remembered;
use crate::store::Store;

/// What the exporter and its endpoint share.
pub(crate) struct Shared {
    pub(crate) cx: Context,
    pub(crate) settings: Own,
    pub(crate) translation: Translation,
    pub(crate) store: Mutex<Store>,
    pub(crate) feeds: Mutex<Arc<[Arc<dyn Feed>]>>,
    pub(crate) notices: Notices,
    pub(crate) left_out: Counter<u64>,
    pub(crate) remembered: Mutex<Remembered>,
    /// Bytes of the largest page so far: the next one grows without being moved.
    pub(crate) page_size: AtomicUsize,
}

/// What one feed brought.
struct Collected<'f> {
    feed: &'f Arc<dyn Feed>,
    outcome: Result<Vec<Batch>, BoxError>,
}

/// Shown, at 0, for a receiver that could not be collected.
const SOURCE_UP: &str = "corten_scrape_source_up";

#[async_trait]
impl Handler for Shared {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let timeout = query::timeout(&parts.headers, self.settings.scrape_timeout.into());
        let request = query::collect_request(parts.uri.query().unwrap_or_default(), timeout);
        let Ok(request) = request else {
            return text(400, "Combined collect and exclude queries are not allowed.");
        };
        let feeds = Arc::clone(&self.feeds.lock());
        let mut collected = collect(&feeds, &request).await;
        if let Some(refusal) = refuse(&collected, &request) {
            return refusal;
        }
        // Another receiver has it, so to lack it is no failure.
        collected.retain(|collected| collected.lacks_collector().is_none());
        self.note(&collected);
        let format = Format::negotiate(&parts.headers, self.settings.enable_open_metrics);
        match self.render(format, &collected) {
            Ok(page) => answer(page, format, &parts.headers),
            Err(reasons) => text(500, reasons),
        }
    }
}

/// Collects from all feeds at the same time. They keep to the deadline themselves.
async fn collect<'f>(feeds: &'f [Arc<dyn Feed>], request: &CollectRequest) -> Vec<Collected<'f>> {
    let collections = feeds.iter().map(|feed| async move {
        let outcome = feed.collect(request).await;
        Collected { feed, outcome }
    });
    join_all(collections).await
}

/// The answer to a request for collectors that no receiver has, in node_exporter's words. A receiver
/// says so with an error that begins with `missing collector:` or `disabled collector:`, or by bringing nothing.
fn refuse(collected: &[Collected<'_>], request: &CollectRequest) -> Option<Response<Body>> {
    let names = if request.include.is_empty() {
        &request.exclude
    } else {
        &request.include
    };
    let name = names.first()?;
    let mut unknown = None;
    for collected in collected {
        match (&collected.outcome, collected.lacks_collector()) {
            (_, Some(reason)) => unknown = Some(reason),
            // To exclude what is not there leaves everything, which is something.
            (Ok(batches), None)
                if request.include.is_empty() || batches.iter().any(|batch| batch.items() > 0) =>
            {
                return None;
            }
            (Ok(_), None) => {}
            (Err(_), None) => return None,
        }
    }
    if collected.is_empty() {
        return None;
    }
    let unknown = unknown.unwrap_or_else(|| format!("missing collector: {name}"));
    Some(text(
        400,
        format!("Couldn't create filtered metrics handler: couldn't create collector: {unknown}"),
    ))
}

impl Shared {
    /// Tells the board and the log how the receivers did.
    fn note(&self, collected: &[Collected<'_>]) {
        let mut failures = Vec::new();
        for Collected { feed, outcome } in collected {
            let receiver = feed.source();
            match outcome {
                Ok(_) => {
                    let beginning = format!("receiver {receiver} could not be collected: ");
                    self.notices.forget(|said| said.starts_with(&beginning));
                }
                Err(error) => {
                    let message = format!("receiver {receiver} could not be collected: {error}");
                    failures.push(message.clone());
                    self.notices.say(self.cx.id(), message);
                }
            }
        }
        if failures.is_empty() || failures.len() < collected.len() {
            self.cx.health().ok();
        } else {
            self.cx.health().failing(failures.join("; "));
        }
    }

    /// The page, or what to say if there is nothing but failures.
    fn render(&self, format: Format, collected: &[Collected<'_>]) -> Result<Vec<u8>, String> {
        let mut store = self.store.lock();
        store.sweep(Instant::now());
        let failures: Vec<String> = collected
            .iter()
            .filter_map(|collected| {
                let error = collected.outcome.as_ref().err()?;
                Some(format!("{}: {error}\n", collected.feed.source()))
            })
            .collect();
        if !failures.is_empty() && failures.len() == collected.len() && store.len() == 0 {
            return Err(failures.concat());
        }
        let mut out = Vec::with_capacity(self.page_size.load(Ordering::Relaxed).max(16 << 10));
        let metrics = collected.iter().flat_map(Collected::metrics);
        // Only telemetry that was collected comes again in the same order.
        let comes_again = failures.is_empty() && store.len() == 0;
        let mut remembered = self.remembered.lock();
        if comes_again && let Some(report) = remembered.write(format, metrics.clone(), &mut out) {
            self.report(report);
            return Ok(out);
        }
        let learns = comes_again && remembered.learns();
        let mut page = Page::new(format).with_timestamps(self.settings.send_timestamps);
        if learns {
            page = page.noting_origins();
        }
        store.show(&mut page);
        for metrics in metrics.clone() {
            self.translation.visit(metrics, &mut page);
        }
        let sources: Vec<String> = collected
            .iter()
            .filter(|collected| collected.outcome.is_err())
            .map(|collected| collected.feed.source().to_string())
            .collect();
        if !sources.is_empty() {
            let help = "Whether a receiver could be collected for this scrape; only those that could not are shown.";
            page.begin(
                Cow::Borrowed(SOURCE_UP),
                Kind::Gauge,
                help,
                Cow::Borrowed(""),
            );
            let mut labels = LabelSet::new();
            for source in &sources {
                labels.clear();
                labels.add(Cow::Borrowed("receiver"), Cow::Borrowed(source.as_str()));
                page.series(&mut labels, Value::Number(0.0), 0, None);
            }
        }
        let (report, template) = page.write_and_learn(metrics, &mut out);
        if learns {
            remembered.keep(template);
        }
        drop((store, remembered));
        self.page_size.fetch_max(out.len(), Ordering::Relaxed);
        self.report(report);
        Ok(out)
    }

    fn report(&self, report: Report) {
        for problem in report.problems {
            let attributes = [
                KeyValue::new("exporter", self.cx.id().to_string()),
                KeyValue::new("reason", problem.reason()),
            ];
            self.left_out.add(1, &attributes);
            self.notices.say(self.cx.id(), problem.to_string());
        }
    }
}

impl Collected<'_> {
    /// What the receiver said, if it has no collector that the request names.
    fn lacks_collector(&self) -> Option<String> {
        let error = self.outcome.as_ref().err()?.to_string();
        let says_so = ["missing collector:", "disabled collector:"];
        says_so
            .iter()
            .any(|start| error.starts_with(start))
            .then_some(error)
    }

    fn metrics(&self) -> impl Iterator<Item = &Metrics> + Clone {
        let batches = self.outcome.as_deref().unwrap_or_default();
        batches.iter().filter_map(|batch| match &batch.data {
            Data::Metrics(metrics) => Some(metrics),
            _ => None,
        })
    }
}

fn answer(page: Vec<u8>, format: Format, request: &HeaderMap) -> Response<Body> {
    let (page, encoding) = Encoding::negotiate(request).encode(page);
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if let Some(encoding) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept, Accept-Encoding"),
    );
    response
}
