//! What users set: the Collector's keys.

use std::collections::BTreeMap;

use corten_config::types::ComponentId;
use corten_config::{Check, Checker, Problem, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::expand::{self, SettingError, Text};
use crate::rule::{ENDPOINT_TYPES, Rule};

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Settings of the `receiver_creator` receiver.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The extensions whose endpoints are looked at, such as `k8s_observer`.
    pub(crate) watch_observers: Vec<ComponentId>,
    /// The receivers to create, by their type and a name: `redis`, `file_log/app`. Each has a `rule`, an expression that begins
    /// with the endpoint's type, such as `type == "port" && port == 6379`; a `config`, the receiver's own settings, in which
    /// what stands between backticks is an expression about the endpoint; and `resource_attributes` for its data.
    pub(crate) receivers: BTreeMap<String, Template>,
    /// Resource attributes that everything from an endpoint gets, by the endpoint's type (`pod`, `pod.container`, `port`,
    /// `k8s.service`, `k8s.ingress`, `k8s.node`, …), in place of the type's defaults: `k8s.pod.name`, `k8s.pod.uid` and
    /// `k8s.namespace.name` of what belongs to a pod, `k8s.container.name`, `container.id` and `container.image.name` of
    /// containers, `k8s.namespace.name` of services and ingresses, `k8s.node.name` and `k8s.node.uid` of nodes. With
    /// backticks, as in `config`.
    pub(crate) resource_attributes: BTreeMap<String, Attributes>,
    /// Receivers that pods ask for by annotations.
    pub(crate) discovery: Discovery,
}

/// A receiver to create.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Template {
    /// When: an expression that begins with the endpoint's type, such as `type == "port" && port == 6379`.
    pub(crate) rule: Rule,
    /// The receiver's own settings. What stands between backticks is an expression about the endpoint: `` '`endpoint`' ``,
    /// `` '`pod.labels["x"]`' ``. A receiver that has an `endpoint` gets the endpoint's target there, if nothing else is set.
    #[serde(default, serialize_with = "without_secrets")]
    pub(crate) config: Option<Section>,
    /// More resource attributes for this receiver's data, over those of the endpoint's type. With backticks; an
    /// empty value takes an attribute away.
    #[serde(default)]
    pub(crate) resource_attributes: Attributes,
}

/// Receivers that pods ask for by annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Discovery {
    /// Whether a pod's annotations `io.opentelemetry.discovery.metrics/…` and `io.opentelemetry.discovery.logs/…` create
    /// receivers. Where this is on, whoever may annotate a pod decides about receivers of this agent.
    pub(crate) enabled: bool,
    /// Receivers that annotations cannot ask for.
    pub(crate) ignore_receivers: Vec<String>,
    /// Annotations that every pod counts as having, unless it has others.
    pub(crate) default_annotations: Attributes,
}

/// What every endpoint's data gets unless `resource_attributes` says otherwise.
const DEFAULTS: [(&str, &[(&str, &str)]); 7] = [
    (
        "pod",
        &[
            ("k8s.pod.name", "`name`"),
            ("k8s.pod.uid", "`uid`"),
            ("k8s.namespace.name", "`namespace`"),
        ],
    ),
    (
        "pod.container",
        &[
            ("k8s.pod.name", "`pod.name`"),
            ("k8s.pod.uid", "`pod.uid`"),
            ("k8s.namespace.name", "`pod.namespace`"),
            ("k8s.container.name", "`container_name`"),
            ("container.id", "`container_id`"),
            ("container.image.name", "`container_image`"),
        ],
    ),
    (
        "port",
        &[
            ("k8s.pod.name", "`pod.name`"),
            ("k8s.pod.uid", "`pod.uid`"),
            ("k8s.namespace.name", "`pod.namespace`"),
        ],
    ),
    (
        "container",
        &[
            ("container.name", "`name`"),
            ("container.image.name", "`image`"),
        ],
    ),
    ("k8s.service", &[("k8s.namespace.name", "`namespace`")]),
    ("k8s.ingress", &[("k8s.namespace.name", "`namespace`")]),
    (
        "k8s.node",
        &[("k8s.node.name", "`name`"), ("k8s.node.uid", "`uid`")],
    ),
];

impl Config {
    /// The attributes of one type of endpoint, not yet expanded.
    pub(crate) fn attributes_of(&self, kind: &str) -> Attributes {
        if let Some(own) = self.resource_attributes.get(kind) {
            return own.clone();
        }
        let defaults = DEFAULTS.iter().find(|(name, _)| *name == kind);
        let defaults = defaults.map_or(&[][..], |(_, attributes)| attributes);
        defaults
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }
}

/// Parts of keys whose values nobody should see printed: only the receiver's own type knows which of its settings are secret.
const SECRETS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "authorization",
    "credential",
    "header",
];

fn without_secrets<S: Serializer>(section: &Option<Section>, to: S) -> Result<S::Ok, S::Error> {
    let section = section.as_ref().map(serde_json::to_value).transpose();
    let mut section = section.map_err(serde::ser::Error::custom)?;
    if let Some(value) = &mut section {
        hide(value, false);
    }
    section.serialize(to)
}

fn hide(value: &mut serde_json::Value, secret: bool) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let key = key.to_ascii_lowercase();
                hide(
                    value,
                    secret || SECRETS.iter().any(|part| key.contains(part)),
                );
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secret)),
        serde_json::Value::String(text) if secret => "[REDACTED]".clone_into(text),
        _ => {}
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.watch_observers.is_empty() {
            at.field("watch_observers").warning(
                "is empty: without an observer, such as k8s_observer, no receiver is created",
            );
        }
        for (name, template) in &self.receivers {
            let mut at = at.section("receivers");
            if let Err(error) = name.parse::<ComponentId>() {
                at.error(format!(
                    "expected the type of a receiver, and perhaps a name: {error}"
                ));
            }
            let mut at = at.section(name);
            if let Some(config) = &template.config {
                let mut wrong = Vec::new();
                expand::check(config.node(), &mut wrong);
                for SettingError { span, error } in wrong {
                    let problem = Problem::error(error.to_string());
                    at.problems().push(problem.span(&span).path(config.path()));
                }
            }
            check_attributes(
                &template.resource_attributes,
                &mut at.section("resource_attributes"),
            );
        }
        for (kind, attributes) in &self.resource_attributes {
            let mut at = at.section("resource_attributes");
            if !ENDPOINT_TYPES.contains(&kind.as_str()) {
                at.error(format!(
                    "resource attributes for unsupported endpoint type \"{kind}\": expected one of {}",
                    ENDPOINT_TYPES.join(", ")
                ));
            }
            check_attributes(attributes, &mut at.section(kind));
        }
    }
}

fn check_attributes(attributes: &Attributes, at: &mut Checker<'_>) {
    for (name, value) in attributes {
        if let Err(error) = Text::parse(value) {
            at.on(name).error(format!("{name}: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let yaml = r#"
watch_observers: [k8s_observer]
receivers:
  redis: {rule: type == "port", config: {a: {b: '`'}}}
  "": {rule: type == "pod"}
  file_log: {rule: type == "pod", resource_attributes: {x: '``'}}
resource_attributes:
  prot: {}
"#;
        let problems = from_str::<Config>(yaml).unwrap_err().to_string();
        for expected in [
            "config:4:49: receivers::redis::config: the expression that begins at character 1",
            "id must not be empty",
            "x: the expression between backticks is empty",
            "unsupported endpoint type \"prot\"",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
        let problems = from_str::<Config>("receivers: {redis: {rule: port == 1}}").unwrap_err();
        assert!(
            problems.to_string().contains("rule must specify type"),
            "{problems}"
        );
        let problems = from_str::<Config>("receivers: {redis: {config: {}}}").unwrap_err();
        assert!(problems.to_string().contains("rule"), "{problems}");
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let yaml = "receivers: {a: {rule: type == 'port', config: {password: x, headers: {h: y}, endpoint: z, n: 1}}}";
        let config: Config = from_str(yaml).unwrap();
        let shown = serde_json::to_string(&config).unwrap();
        assert!(
            shown.contains(
                r#"{"endpoint":"z","headers":{"h":"[REDACTED]"},"n":1,"password":"[REDACTED]"}"#
            ),
            "{shown}"
        );
    }
}
