//! What users set.

use corten_component::Signal;
use corten_config::settings::{HttpClient, Queue, Retry};
use corten_config::{Check, Checker};
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How telemetry is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// Binary protobuf: what telemetry is in memory already.
    #[default]
    Proto,
    /// OTLP/JSON: larger and slower, for backends that take nothing else.
    Json,
}

/// Settings of the `otlp_http` exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    /// The connection.
    #[serde(flatten)]
    pub(crate) client: HttpClient,
    /// What is the exporter's own.
    #[serde(flatten)]
    pub(crate) own: Own,
}

/// What is not the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// Where traces go, the whole URL; by default `endpoint` with `/v1/traces` behind it.
    pub(crate) traces_endpoint: String,
    /// Where metrics go, the whole URL; by default `endpoint` with `/v1/metrics` behind it.
    pub(crate) metrics_endpoint: String,
    /// Where logs go, the whole URL; by default `endpoint` with `/v1/logs` behind it.
    pub(crate) logs_endpoint: String,
    /// Where profiles go. Accepted for compatibility; Corten has no profiles.
    pub(crate) profiles_endpoint: String,
    /// `proto` or `json`.
    pub(crate) encoding: Encoding,
    /// Holds data while the backend is slow or away.
    pub(crate) sending_queue: Queue,
    /// Sends again what the backend did not take for now.
    pub(crate) retry_on_failure: Retry,
    /// No request is larger than this many bytes of OTLP before compression; larger batches are cut. OTLP receivers
    /// take 20 MiB by default, so this is a little less. `0` means no limit: then only what the server refuses as
    /// too large is cut.
    pub(crate) max_request_bytes: usize,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            traces_endpoint: String::new(),
            metrics_endpoint: String::new(),
            logs_endpoint: String::new(),
            profiles_endpoint: String::new(),
            encoding: Encoding::Proto,
            sending_queue: Queue::default(),
            retry_on_failure: Retry::default(),
            max_request_bytes: 16 << 20,
        }
    }
}

corten_config::squash!(Config { client, own });

impl Config {
    fn own_endpoint(&self, signal: Signal) -> (&'static str, &str) {
        match signal {
            Signal::Logs => ("logs_endpoint", &self.own.logs_endpoint),
            Signal::Metrics => ("metrics_endpoint", &self.own.metrics_endpoint),
            Signal::Traces => ("traces_endpoint", &self.own.traces_endpoint),
        }
    }

    /// Where a signal goes; `None` when nothing says so.
    ///
    /// # Errors
    ///
    /// It is no URL.
    pub(crate) fn url(&self, signal: Signal) -> Result<Option<Uri>, String> {
        let (_, own) = self.own_endpoint(signal);
        let url = match (own, self.client.endpoint.as_str()) {
            ("", "") => return Ok(None),
            ("", base) => format!("{}/v1/{signal}", base.trim_end_matches('/')),
            (own, _) => own.to_owned(),
        };
        let wrong = || format!("expected a URL such as http://localhost:4318, found '{url}'");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        match known && uri.host().is_some_and(|host| !host.is_empty()) {
            true => Ok(Some(uri)),
            false => Err(wrong()),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.client.check(at);
        self.own
            .sending_queue
            .check(&mut at.section("sending_queue"));
        self.own
            .retry_on_failure
            .check(&mut at.section("retry_on_failure"));
        let mut any = !self.client.endpoint.is_empty();
        for signal in Signal::ALL {
            let (field, own) = self.own_endpoint(signal);
            if own.is_empty() {
                continue;
            }
            any = true;
            if let Err(error) = self.url(signal) {
                at.on(field).error(error);
            }
        }
        if !any {
            at.error("at least one endpoint must be specified");
        }
    }
}
