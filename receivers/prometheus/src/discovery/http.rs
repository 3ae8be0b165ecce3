//! Targets that an HTTP server names.

use std::time::Duration;

use corten_component::{BoxError, Context};
use http::{HeaderMap, HeaderValue, Uri, header};

use super::{Complaint, Tell, labelled, pause};
use crate::access::Client;
use crate::config::{Group, HttpDiscovery};
use crate::target::LabelMap;

/// The longest list that is read, in bytes.
const LARGEST: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A list at a URL.
pub(crate) struct List {
    client: Client,
    url: Uri,
    interval: Duration,
}

impl List {
    pub(super) fn new(cx: &Context, config: &HttpDiscovery) -> Result<Self, BoxError> {
        let url = &config.list.url;
        let url = url
            .parse()
            .map_err(|_| format!("http_sd_configs: '{url}' is no URL"))?;
        Ok(Self {
            client: Client::new(cx, &config.access, LARGEST)?,
            url,
            interval: config.list.refresh_interval.get(),
        })
    }

    async fn ask(&self) -> Result<Vec<LabelMap>, BoxError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            "x-prometheus-refresh-interval-seconds",
            HeaderValue::from(self.interval.as_secs()),
        );
        let answer = tokio::time::timeout(PATIENCE, self.client.get(&self.url, headers));
        let answer = answer.await.map_err(|_| "no answer in time")??;
        let groups: Vec<Group> = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("expected a list of targets in JSON: {error}"))?;
        let from = ("__meta_url".to_owned(), self.url.to_string());
        Ok(labelled(&groups, &LabelMap::from([from])))
    }

    pub(super) async fn run(self, tell: Tell) {
        let what = format!("http_sd_configs: {}", self.url);
        let mut complaint = Complaint::default();
        let mut known = None;
        loop {
            match self.ask().await {
                Ok(targets) => {
                    complaint.worked(&what);
                    if known.as_ref() != Some(&targets) {
                        tell.all(targets.clone()).await;
                        known = Some(targets);
                    }
                }
                Err(error) => complaint.failed(&what, &error),
            }
            pause(self.interval).await;
        }
    }
}
