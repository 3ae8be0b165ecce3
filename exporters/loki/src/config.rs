//! Settings.

use std::collections::BTreeMap;

use corten_config::settings::{Auth, Headers, Queue, Retry, TlsClient};
use corten_config::types::{ByteSize, Duration, Optional};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mapping::is_tenant;

/// Where Loki takes pushes.
pub(crate) const PUSH_PATH: &str = "/loki/api/v1/push";

/// Labels that Loki adds or that no stream may have more of.
const MOST_LABELS: usize = 15;

/// Pushes logs to Loki.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Loki's push URL, such as `http://loki:3100/loki/api/v1/push`. A URL without a path gets that path.
    #[serde(alias = "url")]
    pub(crate) endpoint: String,
    /// The labels of a stream: a name, and the resource attribute that its value comes from. Instead of the
    /// attribute's name there may be `{from: resource | attribute | static, name: …, value: …}`. What is no label
    /// becomes structured metadata. Few labels with few values each make Loki fast.
    pub(crate) labels: BTreeMap<String, LabelSource>,
    /// Labels that every stream gets, unless `labels` gives it one of that name.
    pub(crate) external_labels: BTreeMap<String, String>,
    /// The tenant (`X-Scope-OrgID`), for a Loki that has several.
    pub(crate) tenant_id: Option<String>,
    /// The resource attribute that names the tenant. `tenant_id` is for records without it, and for those whose
    /// value is no legal tenant.
    pub(crate) tenant_from: Option<String>,
    /// What is sent beside the line and its labels.
    pub(crate) structured_metadata: StructuredMetadata,
    /// Headers that are added to every request.
    pub(crate) headers: Headers,
    /// How to speak TLS with an `https` endpoint.
    #[serde(alias = "tls_config")]
    pub(crate) tls: TlsClient,
    /// Authenticate with an extension. Off unless it is written.
    pub(crate) auth: Optional<Auth>,
    /// A proxy to send through, `http://host:port`. By default the environment says.
    pub(crate) proxy_url: String,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// While a request is under way, how long lines are held back to fill the next one. The first after a pause
    /// is sent at once.
    pub(crate) batchwait: Duration,
    /// The largest request, in bytes before compression. A single line that is larger is sent by itself.
    pub(crate) batchsize: ByteSize,
    /// Promtail's name for the pauses between attempts; `retry_on_failure` takes precedence.
    pub(crate) backoff_config: Optional<Backoff>,
    /// Holds lines whose sender cannot send them again while Loki is slow or away. Lines of files are not held:
    /// their place in the file moves on when Loki has them.
    pub(crate) sending_queue: Queue,
    /// Sending again what Loki did not take for now. By default without an end.
    #[serde(deserialize_with = "retry")]
    pub(crate) retry_on_failure: Retry,
}

impl Default for Config {
    fn default() -> Self {
        let from = |attribute: &str| LabelSource::Resource(attribute.to_owned());
        Self {
            endpoint: String::new(),
            labels: BTreeMap::from([
                ("namespace".to_owned(), from("k8s.namespace.name")),
                ("pod".to_owned(), from("k8s.pod.name")),
                ("container".to_owned(), from("k8s.container.name")),
            ]),
            external_labels: BTreeMap::new(),
            tenant_id: None,
            tenant_from: None,
            structured_metadata: StructuredMetadata::default(),
            headers: Headers::default(),
            tls: TlsClient::default(),
            auth: Optional::Off,
            proxy_url: String::new(),
            timeout: Duration::from_secs(10),
            batchwait: Duration::from_secs(1),
            batchsize: ByteSize::mib(1),
            backoff_config: Optional::Off,
            sending_queue: Queue::default(),
            retry_on_failure: default_retry(),
        }
    }
}

/// As Promtail begins, and without an end: what a file still has is not lost by waiting.
fn default_retry() -> Retry {
    Retry {
        initial_interval: Duration::from_millis(500),
        multiplier: 2.0,
        max_interval: Duration::from_secs(60),
        max_elapsed_time: Duration::ZERO,
        ..Retry::default()
    }
}

fn retry<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Retry, D::Error> {
    corten_config::over(deserializer, &default_retry())
}

/// Where the value of a label comes from: the name of a resource attribute, or one of three sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum LabelSource {
    /// The name of a resource attribute.
    Resource(String),
    /// One of three sources.
    Full(FullSource),
}

impl LabelSource {
    pub(crate) fn full(&self) -> FullSource {
        match self {
            Self::Resource(name) => FullSource {
                from: From::Resource,
                name: name.clone(),
                value: String::new(),
            },
            Self::Full(source) => source.clone(),
        }
    }
}

/// Where the value of a label comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FullSource {
    /// `resource`: an attribute of the resource. `attribute`: an attribute of the record; only for those with few
    /// values. `static`: the same value always.
    pub(crate) from: From,
    /// The attribute's name.
    pub(crate) name: String,
    /// The value, with `from: static`.
    pub(crate) value: String,
}

/// Where the value of a label comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// An attribute of the resource.
    #[default]
    Resource,
    /// An attribute of the record.
    Attribute,
    /// The same value always.
    Static,
}

/// What is sent beside the line and its labels: remaining resource attributes, scope, record attributes,
/// severity, trace and span ids, as Loki's own OTLP endpoint stores them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct StructuredMetadata {
    /// Send it. Turn it off for a Loki before 3.0, or one that does not allow it.
    pub(crate) enabled: bool,
    /// The most that one line may have, names and values together. What goes beyond is left out and counted.
    pub(crate) max_bytes: ByteSize,
    /// The most entries that one line may have. What goes beyond is left out and counted.
    pub(crate) max_entries: usize,
}

impl Default for StructuredMetadata {
    fn default() -> Self {
        Self {
            enabled: true,
            max_bytes: ByteSize::kib(64),
            max_entries: 128,
        }
    }
}

/// Promtail's pauses between attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Backoff {
    /// The first pause.
    pub(crate) min_period: Duration,
    /// The longest pause.
    pub(crate) max_period: Duration,
    /// Accepted for compatibility: attempts are not counted, see `retry_on_failure::max_elapsed_time`.
    pub(crate) max_retries: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min_period: Duration::from_millis(500),
            max_period: Duration::from_secs(300),
            max_retries: 10,
        }
    }
}

impl Config {
    /// The URL to push to: a bare base gets Loki's path.
    pub(crate) fn push_url(&self) -> String {
        let endpoint = self.endpoint.trim();
        let authority = endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest);
        match authority.split_once('/') {
            None => format!("{endpoint}{PUSH_PATH}"),
            Some((_, "")) => format!("{}{PUSH_PATH}", endpoint.trim_end_matches('/')),
            Some(_) => endpoint.to_owned(),
        }
    }

    /// The pauses between attempts, whoever named them.
    pub(crate) fn retry(&self) -> Retry {
        match self.backoff_config.as_ref() {
            Some(backoff) if self.retry_on_failure == default_retry() => Retry {
                initial_interval: backoff.min_period,
                max_interval: backoff.max_period,
                ..default_retry()
            },
            _ => self.retry_on_failure.clone(),
        }
    }

    /// The settings that all HTTP clients share.
    pub(crate) fn client(&self) -> corten_config::settings::HttpClient {
        corten_config::settings::HttpClient {
            endpoint: self.push_url(),
            proxy_url: self.proxy_url.clone(),
            tls: self.tls.clone(),
            compression: corten_config::settings::Compression::None,
            timeout: self.timeout,
            headers: self.headers.clone(),
            auth: self.auth.clone(),
            ..corten_config::settings::HttpClient::default()
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.endpoint.is_empty() {
            at.field("endpoint")
                .error("must be set: Loki's push URL, such as http://loki:3100/loki/api/v1/push");
        } else {
            self.client().check(at);
            if self.push_url().contains("/otlp") {
                at.on("endpoint").error(format!(
                    "this is Loki's OTLP endpoint; the exporter loki pushes to {PUSH_PATH} (or use the exporter otlp_http with it)"
                ));
            }
        }
        let legal = |name: &str| !name.is_empty() && crate::labels::legal_name(name) == name;
        for (section, names) in [
            ("labels", self.labels.keys().collect::<Vec<_>>()),
            ("external_labels", self.external_labels.keys().collect()),
        ] {
            for name in names.into_iter().filter(|name| !legal(name)) {
                let legal = crate::labels::legal_name(name);
                at.section(section).on(name).error(format!(
                    "'{name}' is not a label's name: letters, digits and '_', not beginning with a digit, such as '{legal}'"
                ));
            }
        }
        for (label, source) in &self.labels {
            let source = source.full();
            let mut labels = at.section("labels");
            let mut at = labels.section(label);
            match source.from {
                From::Static if source.value.is_empty() => at.error("expected a value"),
                From::Resource | From::Attribute if source.name.is_empty() => {
                    at.error("expected the name of an attribute")
                }
                From::Static if !source.name.is_empty() => {
                    at.field("name").error("means nothing with from: static")
                }
                From::Resource | From::Attribute if !source.value.is_empty() => {
                    at.field("value").error("is only for from: static");
                }
                _ => {}
            }
        }
        let most = self.labels.len()
            + self
                .external_labels
                .keys()
                .filter(|name| !self.labels.contains_key(*name))
                .count();
        if most > MOST_LABELS {
            at.on("labels").warning(format!(
                "{most} labels: Loki takes {MOST_LABELS} by default and refuses streams with more"
            ));
        }
        if self
            .tenant_id
            .as_deref()
            .is_some_and(|tenant| !is_tenant(tenant))
        {
            at.field("tenant_id")
                .error("must be letters, digits and any of !-_.*'(), at most 150");
        }
        if self.batchsize.get() == 0 {
            at.field("batchsize").error("must be positive");
        }
        if self.timeout.is_zero() {
            at.field("timeout").error("must be positive");
        }
        self.sending_queue.check(&mut at.section("sending_queue"));
        self.retry_on_failure
            .check(&mut at.section("retry_on_failure"));
        if self.backoff_config.is_on() && at.has("retry_on_failure") {
            at.on("backoff_config")
                .warning("backoff_config is not used, retry_on_failure takes precedence");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        corten_config::from_str(yaml).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn problems(yaml: &str) -> String {
        corten_config::from_str::<Config>(yaml)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_bare_base_gets_the_push_path() {
        for (endpoint, url) in [
            ("http://loki:3100", "http://loki:3100/loki/api/v1/push"),
            ("http://loki:3100/", "http://loki:3100/loki/api/v1/push"),
            (
                "http://loki/loki/api/v1/push",
                "http://loki/loki/api/v1/push",
            ),
            ("https://gate/tenant/push", "https://gate/tenant/push"),
        ] {
            assert_eq!(config(&format!("endpoint: {endpoint}")).push_url(), url);
        }
    }

    #[test]
    fn promtails_names_are_accepted() {
        let config = config(
            "url: http://loki:3100/loki/api/v1/push
tenant_id: team-a
batchwait: 2s
batchsize: 524288
timeout: 5s
external_labels: {cluster: east}
backoff_config: {min_period: 100ms, max_period: 10s, max_retries: 20}
",
        );
        assert_eq!(config.batchsize.get(), 524_288);
        assert_eq!(config.retry().initial_interval, Duration::from_millis(100));
        assert_eq!(config.retry().max_interval, Duration::from_secs(10));
        assert!(config.retry().max_elapsed_time.is_zero());
    }

    #[test]
    fn labels_have_three_sources() {
        let config = config(
            "endpoint: http://loki
labels:
  namespace: k8s.namespace.name
  stream: {from: attribute, name: log.iostream}
  cluster: {from: static, value: east}
",
        );
        let sources: Vec<_> = config.labels.values().map(LabelSource::full).collect();
        assert_eq!(
            sources[0],
            FullSource {
                from: From::Static,
                value: "east".to_owned(),
                name: String::new()
            }
        );
        assert_eq!(sources[1].from, From::Resource);
        assert_eq!(sources[2].from, From::Attribute);
    }

    #[test]
    fn retrying_has_no_end_unless_somebody_says_so() {
        assert!(
            config("endpoint: http://loki")
                .retry()
                .max_elapsed_time
                .is_zero()
        );
        let some = config("{endpoint: http://loki, retry_on_failure: {max_interval: 5s}}");
        assert!(some.retry().max_elapsed_time.is_zero());
        let ended = config("{endpoint: http://loki, retry_on_failure: {max_elapsed_time: 100s}}");
        assert_eq!(ended.retry().max_elapsed_time, Duration::from_secs(100));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert!(problems("{}").contains("endpoint must be set"));
        assert!(problems("endpoint: loki").contains("expected a URL"));
        assert!(problems("endpoint: http://loki/otlp").contains("this is Loki's OTLP endpoint"));
        assert!(
            problems("{endpoint: http://loki, labels: {a.b: x}}")
                .contains("'a.b' is not a label's name")
        );
        assert!(
            problems("{endpoint: http://loki, labels: {a: {from: static}}}")
                .contains("expected a value")
        );
        assert!(
            problems("{endpoint: http://loki, labels: {a: {from: attribute}}}")
                .contains("expected the name of an attribute")
        );
        assert!(
            problems("{endpoint: http://loki, tenant_id: 'a|b'}").contains("tenant_id must be")
        );
        assert!(
            problems("{endpoint: http://loki, batchsize: 0}")
                .contains("batchsize must be positive")
        );
    }
}
