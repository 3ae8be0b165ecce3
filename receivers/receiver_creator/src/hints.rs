//! What a pod's annotations ask for.
//!
//! `io.opentelemetry.discovery.metrics/enabled`, `…/scraper` and `…/config` for its ports,
//! `io.opentelemetry.discovery.logs/enabled` and `…/config` for its containers; with `.<port>` or `.<container>` before the
//! slash they mean that one alone, and win. The settings that an annotation gives are YAML, in which `$` means nothing and
//! backticks mean what they mean in a template.

use corten_component::{Endpoint, Signal};
use corten_config::{Entry, Node, Scalar, Section, Source, Span, Style, Value, from_data};

use crate::config::{Attributes, Discovery};

/// A receiver that an annotation asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hint {
    /// The receiver's type, as it is written.
    pub(crate) receiver: String,
    /// Tells it from others of its type.
    pub(crate) name: String,
    /// The one signal that it may bring.
    pub(crate) signal: Signal,
    /// Its settings.
    pub(crate) config: Section,
}

/// An annotation that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HintError {
    /// Its YAML is wrong.
    #[error("annotation {annotation}: {problems}")]
    Yaml {
        /// Which.
        annotation: String,
        /// What is wrong, a line each.
        problems: String,
    },
    /// It is YAML, and no settings.
    #[error("annotation {annotation}: expected a map of settings")]
    NoMap {
        /// Which.
        annotation: String,
    },
}

const PREFIX: &str = "io.opentelemetry.discovery";
/// The receiver that reads the logs of containers.
const LOGS: &str = "file_log";

/// The annotations of a pod with the defaults under them.
struct Annotations<'a> {
    own: Option<&'a serde_json::Map<String, serde_json::Value>>,
    defaults: &'a Attributes,
    /// `metrics` or `logs`.
    what: &'static str,
    /// The port, or the name of the container.
    scope: &'a str,
}

impl<'a> Annotations<'a> {
    /// The value of a hint with its full name: the port's or container's own one before the pod's.
    fn get(&self, hint: &str) -> Option<(String, &'a str)> {
        let scoped = format!("{PREFIX}.{}.{}/{hint}", self.what, self.scope);
        let general = format!("{PREFIX}.{}/{hint}", self.what);
        [scoped, general].into_iter().find_map(|name| {
            let own = self.own.and_then(|own| own.get(&name)?.as_str());
            let value = own.or_else(|| self.defaults.get(&name).map(String::as_str))?;
            Some((name, value))
        })
    }

    fn enabled(&self) -> bool {
        self.get("enabled")
            .is_some_and(|(_, value)| value == "true")
    }

    /// The settings that are written, if any are.
    fn config(&self) -> Result<Option<Section>, HintError> {
        let Some((annotation, yaml)) = self.get("config").filter(|(_, yaml)| !yaml.is_empty())
        else {
            return Ok(None);
        };
        match from_data::<Section>(&annotation, yaml) {
            Ok(section) if section.node().as_map().is_some() => Ok(Some(section)),
            Ok(section) if section.node().is_null() => Ok(None),
            Ok(_) => Err(HintError::NoMap { annotation }),
            Err(problems) => Err(HintError::Yaml {
                problems: problems.to_string(),
                annotation,
            }),
        }
    }
}

/// What the annotations of an endpoint's pod ask for it: a scraper for a port, a log receiver for a container.
pub(crate) fn hint(discovery: &Discovery, endpoint: &Endpoint) -> Result<Option<Hint>, HintError> {
    let Some(pod) = endpoint.fields.get("pod").and_then(|pod| pod.as_object()) else {
        return Ok(None);
    };
    if !discovery.enabled {
        return Ok(None);
    }
    let text = |key: &str| {
        pod.get(key)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    let annotations = |what, scope| Annotations {
        own: pod.get("annotations").and_then(|own| own.as_object()),
        defaults: &discovery.default_annotations,
        what,
        scope,
    };
    let field = |key: &str| endpoint.fields.get(key);
    match endpoint.kind {
        "port" => {
            let port = field("port").map(ToString::to_string).unwrap_or_default();
            let annotations = annotations("metrics", &port);
            let scraper = annotations
                .get("scraper")
                .filter(|(_, name)| !name.is_empty());
            let Some((annotation, receiver)) = scraper.filter(|_| annotations.enabled()) else {
                return Ok(None);
            };
            let config = annotations.config()?;
            Ok(Some(Hint {
                receiver: receiver.to_owned(),
                name: format!("{}_{port}", text("uid")),
                signal: Signal::Metrics,
                config: config.unwrap_or_else(|| Section::empty(annotation)),
            }))
        }
        "pod.container" => {
            let container = field("container_name").and_then(|name| name.as_str());
            let container = container.unwrap_or_default();
            let annotations = annotations("logs", container);
            if container.is_empty() || !annotations.enabled() {
                return Ok(None);
            }
            let path = format!(
                "/var/log/pods/{}_{}_{}/{container}/*.log",
                text("namespace"),
                text("name"),
                text("uid")
            );
            Ok(Some(Hint {
                receiver: LOGS.to_owned(),
                name: format!("{}_{container}", text("uid")),
                signal: Signal::Logs,
                config: logs(&path, annotations.config()?),
            }))
        }
        _ => Ok(None),
    }
}

/// The settings for the logs of a container; an annotation may say more, and nothing about which files.
fn logs(path: &str, written: Option<Section>) -> Section {
    let span = match &written {
        Some(section) => section.span().clone(),
        None => Span::whole(&Source::new(format!("annotations {PREFIX}.logs"))),
    };
    let node = |value| Node {
        value,
        span: span.clone(),
        original: None,
    };
    let entry = |key: &str, value| Entry {
        key: key.to_owned(),
        key_span: span.clone(),
        value,
    };
    let plain = |text: &str| {
        node(Value::Scalar(Scalar {
            text: text.to_owned(),
            style: Style::Plain,
        }))
    };
    let text = |text: &str| Node::text(text, span.clone());
    let operator = [
        entry("id", text("container-parser")),
        entry("type", text("container")),
    ];
    let operators = vec![node(Value::Map(operator.into_iter().collect()))];
    let defaults = [
        entry("include", node(Value::Seq(vec![text(path)]))),
        entry("include_file_path", plain("true")),
        entry("include_file_name", plain("false")),
        entry("operators", node(Value::Seq(operators))),
    ];
    let more = written.iter().flat_map(|section| section.node().as_map());
    let more = more.flat_map(|map| map.iter()).filter(|entry| {
        let other_files = entry.key == "include";
        if other_files {
            tracing::warn!(
                path,
                "annotations cannot say which files are read: include is left out"
            );
        }
        !other_files
    });
    let all = defaults.into_iter().chain(more.cloned());
    Section::new(
        node(Value::Map(all.collect())),
        format!("annotations {PREFIX}.logs"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::Arc;

    fn endpoint(kind: &'static str, annotations: serde_json::Value) -> Endpoint {
        let mut fields = json!({"pod": {"name": "redis-0", "namespace": "shop", "uid": "u", "annotations": annotations},
            "container_name": "redis"});
        if kind == "port" {
            fields["port"] = json!(6379);
        }
        Endpoint {
            id: Arc::from("o/u/x"),
            target: "10.0.0.7:6379".to_owned(),
            kind,
            fields: fields.as_object().cloned().unwrap_or_default(),
        }
    }

    fn discovery(default: &[(&str, &str)]) -> Discovery {
        Discovery {
            enabled: true,
            default_annotations: default
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Discovery::default()
        }
    }

    /// `receiver/name {settings}`, `-` for none.
    fn asked(discovery: &Discovery, endpoint: &Endpoint) -> String {
        match hint(discovery, endpoint) {
            Ok(None) => "-".to_owned(),
            Ok(Some(hint)) => {
                let config = serde_json::to_string(&hint.config).unwrap();
                format!("{}/{} {} {config}", hint.receiver, hint.name, hint.signal)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_port_gets_the_scraper_that_its_pod_names() {
        let own = json!({
            "io.opentelemetry.discovery.metrics/enabled": "true",
            "io.opentelemetry.discovery.metrics/scraper": "redis",
            "io.opentelemetry.discovery.metrics/config": "password: $x\ncollection_interval: 20s",
        });
        assert_eq!(
            asked(&discovery(&[]), &endpoint("port", own.clone())),
            r#"redis/u_6379 metrics {"password":"$x","collection_interval":"20s"}"#
        );
        assert_eq!(
            asked(&Discovery::default(), &endpoint("port", own.clone())),
            "-",
            "off"
        );
        assert_eq!(
            asked(&discovery(&[]), &endpoint("pod", own)),
            "-",
            "no port"
        );
    }

    #[test]
    fn the_ports_own_annotations_win_over_the_pods_and_those_over_the_defaults() {
        let defaults = discovery(&[
            ("io.opentelemetry.discovery.metrics/enabled", "true"),
            ("io.opentelemetry.discovery.metrics/scraper", "a"),
        ]);
        assert_eq!(
            asked(&defaults, &endpoint("port", json!({}))),
            "a/u_6379 metrics {}"
        );
        let own = json!({"io.opentelemetry.discovery.metrics/scraper": "b", "io.opentelemetry.discovery.metrics.6379/scraper": "c"});
        assert_eq!(
            asked(&defaults, &endpoint("port", own)),
            "c/u_6379 metrics {}"
        );
        let off = json!({"io.opentelemetry.discovery.metrics.6379/enabled": "false"});
        assert_eq!(asked(&defaults, &endpoint("port", off)), "-");
    }

    #[test]
    fn a_container_gets_its_own_files_whatever_is_asked_for() {
        let own = json!({
            "io.opentelemetry.discovery.logs/enabled": "true",
            "io.opentelemetry.discovery.logs.redis/config": "include: [/etc/shadow]\nmax_log_size: 2MiB\noperators: []",
        });
        assert_eq!(
            asked(&discovery(&[]), &endpoint("pod.container", own)),
            r#"file_log/u_redis logs {"include":["/var/log/pods/shop_redis-0_u/redis/*.log"],"include_file_path":true,"include_file_name":false,"operators":[],"max_log_size":"2MiB"}"#
        );
        let own = json!({"io.opentelemetry.discovery.logs/enabled": "true"});
        assert_eq!(
            asked(&discovery(&[]), &endpoint("pod.container", own)),
            r#"file_log/u_redis logs {"include":["/var/log/pods/shop_redis-0_u/redis/*.log"],"include_file_path":true,"include_file_name":false,"operators":[{"id":"container-parser","type":"container"}]}"#
        );
    }

    #[test]
    fn what_is_wrong_names_its_annotation() {
        let mut own = json!({
            "io.opentelemetry.discovery.metrics/enabled": "true",
            "io.opentelemetry.discovery.metrics/scraper": "redis",
            "io.opentelemetry.discovery.metrics/config": "[a",
        });
        let error = asked(&discovery(&[]), &endpoint("port", own.clone()));
        assert!(
            error.starts_with("annotation io.opentelemetry.discovery.metrics/config: "),
            "{error}"
        );
        own["io.opentelemetry.discovery.metrics/config"] = json!("[a]");
        let error = asked(&discovery(&[]), &endpoint("port", own));
        assert!(error.ends_with("expected a map of settings"), "{error}");
    }

    proptest! {
        #[test]
        fn any_annotation_is_followed_or_refused(config in "\\PC{0,30}|[a-z]: [\\[{'`*&!a-z\\n: ]{0,20}") {
            let own = json!({
                "io.opentelemetry.discovery.metrics/enabled": "true",
                "io.opentelemetry.discovery.metrics/scraper": "redis",
                "io.opentelemetry.discovery.metrics/config": config,
                "io.opentelemetry.discovery.logs/enabled": "true",
                "io.opentelemetry.discovery.logs/config": config,
            });
            drop(hint(&discovery(&[]), &endpoint("port", own.clone())));
            if let Ok(Some(hint)) = hint(&discovery(&[]), &endpoint("pod.container", own)) {
                let include = hint.config.node().get("include").and_then(Node::as_seq).unwrap_or_default();
                prop_assert_eq!(include.len(), 1);
                prop_assert_eq!(include[0].as_str(), Some("/var/log/pods/shop_redis-0_u/redis/*.log"));
            }
        }
    }
}
