//! What users set.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use corten_config::settings::HttpServer;
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_exposition::naming::{Namer, TranslationStrategy, is_legacy_label, underscored};
use corten_exposition::{ResourceLabels, Translation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `prometheus` exporter: those of an HTTP server, and its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) server: HttpServer,
    #[serde(flatten)]
    pub(crate) own: Own,
}

corten_config::squash!(Config { server, own });

/// What is not the server's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// The path that is scraped. Exporters and the `admin` extension may share one `endpoint` when their paths
    /// differ.
    pub(crate) metrics_path: String,
    /// A prefix for the names of all metrics, joined with an underscore. Metrics that are Prometheus's already (of
    /// `node_exporter`, `container_metrics`) keep their names.
    pub(crate) namespace: String,
    /// Labels that every series gets. What may not stand in a label's name becomes an underscore. `job` and `instance`
    /// are the scraper's own and are shown as `exported_job` and `exported_instance`.
    pub(crate) const_labels: BTreeMap<String, String>,
    /// Whether samples carry the time they were measured at. Prometheus takes the time of the scrape otherwise, which
    /// is what it wants nearly always.
    pub(crate) send_timestamps: bool,
    /// How long a pushed series is shown after its last point. Metrics that are collected when somebody asks do not
    /// expire.
    pub(crate) metric_expiration: Duration,
    /// Attributes of the resource as labels of every series, all or none.
    pub(crate) resource_to_telemetry_conversion: ResourceToTelemetry,
    /// Attributes of the resource as labels of every series, by name.
    pub(crate) resource_constant_labels: ResourceConstantLabels,
    /// Whether OpenMetrics is served to those who ask for it; exemplars travel in no other format.
    pub(crate) enable_open_metrics: bool,
    /// Whether units and `_total` are appended to names. Superseded by `translation_strategy`.
    pub(crate) add_metric_suffixes: bool,
    /// How OTLP's names become Prometheus's. By default underscores with suffixes, or without them if
    /// `add_metric_suffixes` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) translation_strategy: Option<TranslationStrategy>,
    /// Whether the labels `otel_scope_name`, `otel_scope_version` and the like are left out.
    pub(crate) without_scope_info: bool,
    /// How many pushed series are kept at most; points of further ones are dropped and counted. `0` means no limit.
    pub(crate) max_series: usize,
    /// How long a scrape may take when the scraper does not say (`X-Prometheus-Scrape-Timeout-Seconds`).
    pub(crate) scrape_timeout: Duration,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            metrics_path: "/metrics".to_owned(),
            namespace: String::new(),
            const_labels: BTreeMap::new(),
            send_timestamps: false,
            metric_expiration: Duration::from_secs(300),
            resource_to_telemetry_conversion: ResourceToTelemetry::default(),
            resource_constant_labels: ResourceConstantLabels::default(),
            enable_open_metrics: false,
            add_metric_suffixes: true,
            translation_strategy: None,
            without_scope_info: false,
            max_series: 500_000,
            scrape_timeout: Duration::from_secs(10),
        }
    }
}

/// Attributes of the resource as labels, all or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ResourceToTelemetry {
    /// Whether every attribute of the resource becomes a label of every series.
    pub(crate) enabled: bool,
    /// Whether `service.name`, `service.namespace` and `service.instance.id` are left out of the conversion. They are labels
    /// of every translated series all the same, since they tell sources apart; metrics that are Prometheus's already go
    /// without.
    pub(crate) exclude_service_attributes: bool,
}

/// Attributes of the resource as labels, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ResourceConstantLabels {
    /// Keys of attributes; `*` stands for anything.
    pub(crate) included: Vec<String>,
    /// Keys of attributes that are left out all the same.
    pub(crate) excluded: Vec<String>,
}

impl Config {
    /// The settings ready for use.
    pub(crate) fn translation(&self) -> Translation {
        let own = &self.own;
        let strategy = own
            .translation_strategy
            .unwrap_or(if own.add_metric_suffixes {
                TranslationStrategy::UnderscoreEscapingWithSuffixes
            } else {
                TranslationStrategy::UnderscoreEscapingWithoutSuffixes
            });
        let mut resource_labels = ResourceLabels {
            included: own.resource_constant_labels.included.clone(),
            excluded: own.resource_constant_labels.excluded.clone(),
        };
        if own.resource_to_telemetry_conversion.enabled {
            resource_labels.included = vec!["*".to_owned()];
            if own
                .resource_to_telemetry_conversion
                .exclude_service_attributes
            {
                let service = ["service.name", "service.namespace", "service.instance.id"];
                resource_labels.excluded.extend(service.map(str::to_owned));
            }
        }
        Translation {
            namer: Namer::new(strategy, &own.namespace),
            const_labels: own
                .const_labels()
                .map(|(name, value)| (name.into_owned(), value.to_owned()))
                .collect(),
            scope_labels: !own.without_scope_info,
            resource_labels,
            ..Translation::default()
        }
    }
}

impl Own {
    /// The constant labels by the names they are shown under, in the order of those in the file.
    fn const_labels(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let labels = self.const_labels.iter();
        labels.map(|(name, value)| (underscored(name, is_legacy_label), value.as_str()))
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.server.check(at);
        if !at.has("endpoint") {
            at.on("endpoint")
                .error("expecting a non-blank address to run the Prometheus metrics handler: set endpoint, such as localhost:9464");
        }
        let path = &self.own.metrics_path;
        if !path.starts_with('/') || path.ends_with('*') || path.contains(['?', '#', ' ']) {
            at.field("metrics_path")
                .error("must be a path that begins with '/', such as /metrics");
        }
        let mut seen = BTreeSet::new();
        for (written, (name, _)) in self.own.const_labels.keys().zip(self.own.const_labels()) {
            let mut at = at.section("const_labels");
            if written.is_empty() || name.starts_with("__") {
                at.field(written).error(
                    "is no label name: it is empty or begins with two underscores, which are Prometheus's own",
                );
            } else if matches!(&*name, "job" | "instance") {
                at.field(written).warning(format!(
                    "is the scraper's own label; it is shown as 'exported_{name}': set it in the scrape job",
                ));
            } else if !seen.insert(name.clone()) {
                at.field(written)
                    .error(format!("is the label '{name}', which is there already"));
            }
        }
        if self.own.metric_expiration.non_zero().is_none() {
            at.field("metric_expiration").error("must be positive");
        }
        if self.own.scrape_timeout.non_zero().is_none() {
            at.field("scrape_timeout").error("must be positive");
        }
        if at.has("translation_strategy") && at.has("add_metric_suffixes") {
            at.on("add_metric_suffixes").warning(
                "'add_metric_suffixes' has no effect beside 'translation_strategy'; remove it",
            );
        }
        let converts = self.own.resource_to_telemetry_conversion.enabled;
        if converts && !self.own.resource_constant_labels.included.is_empty() {
            at.on("resource_to_telemetry_conversion").error(
                "'resource_to_telemetry_conversion' and 'resource_constant_labels' cannot be used together; keep the latter",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> String {
        match corten_config::from_str::<Config>(yaml) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn the_collectors_settings_are_read() {
        let config: Config = corten_config::from_str(
            "{endpoint: '0.0.0.0:8889', namespace: app, const_labels: {dc: eu, another label: x}, send_timestamps: true, \
             metric_expiration: 180m, enable_open_metrics: true, add_metric_suffixes: false, \
             resource_to_telemetry_conversion: {enabled: true}}",
        )
        .unwrap();
        assert_eq!(config.server.endpoint.to_string(), "0.0.0.0:8889");
        assert_eq!(config.own.metric_expiration, Duration::from_secs(180 * 60));
        let translation = config.translation();
        assert_eq!(translation.const_labels[0].0, "another_label");
        assert_eq!(
            translation
                .namer
                .metric("a.b", "s", corten_exposition::naming::Shape::Counter)
                .unwrap(),
            "app_a_b"
        );
        assert_eq!(translation.resource_labels, ResourceLabels::all());
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            problems("{}").contains("expecting a non-blank address"),
            "{}",
            problems("{}")
        );
        for (yaml, expected) in [
            (
                "{endpoint: ':1', metrics_path: metrics}",
                "metrics_path must be a path",
            ),
            (
                "{endpoint: ':1', const_labels: {__b: c}}",
                "__b is no label name",
            ),
            (
                "{endpoint: ':1', const_labels: {a-b: c, a b: d}}",
                "is the label 'a_b', which is there already",
            ),
            (
                "{endpoint: ':1', metric_expiration: 0s}",
                "metric_expiration must be positive",
            ),
            (
                "{endpoint: ':1', translation_strategy: Underscores}",
                "translation_strategy",
            ),
            ("{endpoint: ':1', namspace: a}", "did you mean 'namespace'"),
        ] {
            assert!(
                problems(yaml).contains(expected),
                "{yaml}: {}",
                problems(yaml)
            );
        }
    }
}
