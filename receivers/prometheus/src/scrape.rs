//! Asks a target, on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use corten_component::{Batch, Consumer};
use corten_pdata::Metrics;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Answer, AskError, Client};
use crate::config::{Job, Protocol};
use crate::metadata::Instruments;
use crate::page::{self, Outcome, PageError, Report, Seen, Text, Treatment};
use crate::target::Target;

/// What the scrapes of a job have in common.
pub(crate) struct Shared {
    pub(crate) job: Job,
    pub(crate) client: Client,
    pub(crate) headers: HeaderMap,
    pub(crate) treatment: Treatment,
    pub(crate) next: Arc<dyn Consumer>,
    pub(crate) instruments: Instruments,
    /// Whether there are more targets than `target_limit`.
    pub(crate) too_many: AtomicBool,
}

/// What every request of a job says.
pub(crate) fn headers(job: &Job, global: Option<&[Protocol]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let protocols = job.scrape_protocols.as_deref().or(global);
    let known = protocols.unwrap_or(&Protocol::USUAL).iter();
    let mut accept = String::new();
    for (media_type, quality) in known.filter_map(|one| one.media_type()).zip((2..=8).rev()) {
        accept.push_str(&format!("{media_type};q=0.{quality},"));
    }
    accept.push_str("*/*;q=0.1");
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::ACCEPT, accept);
    }
    let encoding = if job.enable_compression {
        "gzip"
    } else {
        "identity"
    };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    headers
}

/// Why a scrape brought nothing.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("no answer within {0:?} (scrape_timeout)")]
    Timeout(Duration),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(
        "the page is '{0}', which is not read here: expected text/plain or application/openmetrics-text"
    )]
    Format(String),
    #[error("target_limit: the job has more targets than it may have")]
    TooMany,
}

impl ScrapeError {
    /// A short reason, for a counter.
    fn reason(&self) -> &'static str {
        match self {
            Self::Ask(AskError::Client(_)) => "unreachable",
            Self::Ask(AskError::Status(_)) => "http_status",
            Self::Ask(AskError::Credentials(_) | AskError::NoHeader) => "credentials",
            Self::Ask(_) => "bad_answer",
            Self::Timeout(_) => "timeout",
            Self::Page(_) => "bad_page",
            Self::Format(_) => "bad_format",
            Self::TooMany => "target_limit",
        }
    }
}

/// One target, and what is known of it from one scrape to the next.
pub(crate) struct Scraper {
    shared: Arc<Shared>,
    target: Target,
    headers: HeaderMap,
    seen: Seen,
    failing: bool,
    refused: bool,
    doubled: bool,
}

impl Scraper {
    pub(crate) fn new(shared: Arc<Shared>, target: Target) -> Self {
        let mut headers = shared.headers.clone();
        let seconds = target.timeout.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        Self {
            shared,
            target,
            headers,
            seen: Seen::default(),
            failing: false,
            refused: false,
            doubled: false,
        }
    }

    /// Scrapes in the target's interval until `stop`, and tells then that its series have ended.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let interval = self.target.interval;
        let mut at = Instant::now() + self.offset();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(at) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.scrape() => {}
            }
            at += interval;
            // Whoever was held up does not catch up.
            while at < Instant::now() {
                at += interval;
            }
        }
        let metrics = page::ended(
            &self.target.identity,
            &self.shared.treatment,
            nanoseconds(SystemTime::now()),
            None,
            &mut self.seen,
        );
        self.send(metrics).await;
    }

    /// Targets of a job are asked one after the other, each at the same time of its interval after every start.
    fn offset(&self) -> Duration {
        let interval = self.target.interval.as_nanos().max(1);
        let now = u128::from(nanoseconds(SystemTime::now())) % interval;
        let own = u128::from(self.target.hash()) % interval;
        let wait = (own + interval - now) % interval;
        Duration::from_nanos(u64::try_from(wait).unwrap_or_default())
    }

    async fn scrape(&mut self) {
        let (began, now) = (Instant::now(), nanoseconds(SystemTime::now()));
        let text = match tokio::time::timeout(self.target.timeout, self.ask()).await {
            Ok(text) => text,
            Err(_) => Err(ScrapeError::Timeout(self.target.timeout)),
        };
        let report = |up| Report {
            up,
            seconds: began.elapsed().as_secs_f64(),
        };
        let (identity, treatment) = (&self.target.identity, &self.shared.treatment);
        let converted = text.and_then(|text| {
            let live = || report(true);
            Ok(page::convert(
                text,
                identity,
                treatment,
                now,
                live,
                &mut self.seen,
            )?)
        });
        let job = &self.shared.job.job_name;
        let metrics = match converted {
            Ok((metrics, outcome)) => {
                self.shared.instruments.scraped(job, "success");
                self.worked(&outcome);
                metrics
            }
            Err(error) => {
                self.shared.instruments.scraped(job, error.reason());
                if !self.failing {
                    tracing::warn!(job, url = %self.target.url, "scrape failed: {error}");
                }
                self.failing = true;
                let report = Some(report(false));
                page::ended(identity, treatment, now, report, &mut self.seen)
            }
        };
        self.send(metrics).await;
    }

    fn worked(&mut self, outcome: &Outcome) {
        let (job, url) = (&self.shared.job.job_name, &self.target.url);
        if self.failing {
            tracing::info!(job, %url, "scraped again");
        }
        self.failing = false;
        if outcome.duplicates > 0 && !self.doubled {
            let count = outcome.duplicates;
            tracing::warn!(job, %url, count, "samples of series that are on the page already, or that relabeling made the same, are left out");
        }
        self.doubled = outcome.duplicates > 0;
    }

    async fn ask(&self) -> Result<Text, ScrapeError> {
        if self.shared.too_many.load(Ordering::Relaxed) {
            return Err(ScrapeError::TooMany);
        }
        let Answer {
            content_type,
            body,
            packed,
        } = self
            .shared
            .client
            .get(&self.target.url, self.headers.clone())
            .await?;
        let fallback = self.shared.job.fallback_scrape_protocol.is_open_metrics();
        let open_metrics = match content_type.as_deref().map(media_type).as_deref() {
            Some("application/openmetrics-text") => true,
            Some("text/plain") => false,
            Some("application/vnd.google.protobuf" | "text/html") => {
                return Err(ScrapeError::Format(content_type.unwrap_or_default()));
            }
            _ => fallback,
        };
        Ok(Text::new(body, packed, open_metrics))
    }

    async fn send(&mut self, metrics: Metrics) {
        match self.shared.next.consume(Batch::new(metrics)).await {
            Ok(()) => self.refused = false,
            Err(refused) => {
                // Counted on the pipeline's edge; the next scrape brings newer values.
                if !self.refused {
                    let job = &self.shared.job.job_name;
                    let reason = refused.reason();
                    tracing::warn!(job, url = %self.target.url, "what was scraped was refused: {reason}");
                }
                self.refused = true;
            }
        }
    }
}

/// `text/plain; version=0.0.4` without its parameters.
fn media_type(header: &str) -> String {
    let plain = header.split(';').next().unwrap_or_default();
    plain.trim().to_ascii_lowercase()
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
