//! From an endpoint to the receivers that it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corten_component::{ComponentId, Endpoint, Factories, Factory, Kind, Signal};
use corten_config::types::ParseIdError;
use corten_config::{
    Entry, Node, Problems, Section, Severity, Source, Span, Value as Setting, nearest,
};
use corten_operators::{EvalError, Map, Value};
use parking_lot::Mutex;

use crate::config::{Attributes, Config};
use crate::confine::{ConfineError, confine};
use crate::expand::{self, ExpandError, SettingError, Text};
use crate::hints::{self, HintError};

/// A receiver that should run, with everything that decides how: two that are equal need not be told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// What it is called, unlike any other.
    pub(crate) id: ComponentId,
    /// The signals that it may bring.
    pub(crate) signals: Vec<Signal>,
    /// Its settings, expanded.
    pub(crate) config: Section,
    /// What its data gets.
    pub(crate) attributes: Vec<(String, String)>,
}

/// Why an endpoint does not get a receiver that it should have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WantedError {
    /// The rule cannot be evaluated.
    #[error("the rule has no answer: {0}")]
    Rule(#[from] EvalError),
    /// The settings cannot be expanded.
    #[error("{0}")]
    Setting(#[from] SettingError),
    /// An attribute cannot be expanded.
    #[error("resource attribute {name}: {source}")]
    Attribute {
        /// Which.
        name: String,
        /// Why.
        source: ExpandError,
    },
    /// The annotations cannot be followed.
    #[error("{0}")]
    Hint(#[from] HintError),
    /// There is no such receiver.
    #[error("{0}")]
    Unknown(#[from] UnknownReceiver),
    /// The annotations ask for more than they may.
    #[error("{0}")]
    Confined(#[from] ConfineError),
    /// What it would be called is no name.
    #[error("{0}")]
    Id(#[from] ParseIdError),
}

/// There is no receiver of this type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no receiver \"{name}\"{near}")]
pub(crate) struct UnknownReceiver {
    name: String,
    near: String,
}

/// What went wrong for one endpoint.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The receiver's name in the configuration or its annotation.
    pub(crate) receiver: String,
    /// Its type, of those that there are.
    pub(crate) kind: &'static str,
    /// Why.
    pub(crate) error: WantedError,
}

/// Knows the templates, and says what an endpoint should have.
pub(crate) struct Planner {
    creator: ComponentId,
    config: Config,
    factories: Arc<Factories>,
    /// The names of receivers' settings; schemas are not cheap.
    settings: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
}

/// A receiver to be made for an endpoint.
struct Asked<'a> {
    /// Its type and name.
    name: &'a str,
    config: Option<&'a Section>,
    attributes: Option<&'a Attributes>,
    /// The only signal, where an annotation asks.
    hinted: Option<Signal>,
}

impl Planner {
    pub(crate) fn new(creator: ComponentId, config: Config, factories: Arc<Factories>) -> Self {
        Self {
            creator,
            config,
            factories,
            settings: Mutex::default(),
        }
    }

    /// Holds every template against its receiver, as far as that can be told before there is an endpoint.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (name, template) in &self.config.receivers {
            let factory = name
                .parse()
                .map_err(|error: ParseIdError| error.to_string())
                .and_then(|id| self.factory(&id).map_err(|error| error.to_string()));
            let factory = match factory {
                Ok(factory) => factory,
                Err(error) => {
                    wrong.push(format!("receivers::{name}: {error}"));
                    continue;
                }
            };
            let Some(config) = &template.config else {
                continue;
            };
            let mut problems = Problems::new();
            drop(factory.decode(config, &mut problems));
            // What is filled in later may be wrong now; its names are not.
            let complete = expand::is_static(config.node())
                && (config.node().get("endpoint").is_some() || !self.has_target(factory));
            let errors = problems
                .iter()
                .filter(|problem| problem.severity == Severity::Error)
                .filter(|problem| complete || problem.message.starts_with("unknown field"));
            wrong.extend(errors.map(ToString::to_string));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(wrong.join("; "))
    }

    /// The factory of receivers of this type.
    pub(crate) fn factory(&self, id: &ComponentId) -> Result<&Factory, UnknownReceiver> {
        let name = id.component_type();
        if let Some(factory) = self.factories.find(Kind::Receiver, name) {
            return Ok(factory);
        }
        let all = self.factories.of_kind(Kind::Receiver);
        let near = nearest(name, all.map(|factory| factory.metadata().type_name));
        Err(UnknownReceiver {
            name: name.to_owned(),
            near: near.map_or_else(String::new, |near| format!(", did you mean \"{near}\"?")),
        })
    }

    /// The receivers that this endpoint should have, and those that it should have and cannot.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> (Vec<Wanted>, Vec<Failed>) {
        let names = names(endpoint);
        let mut wanted = Vec::new();
        let mut failed = Vec::new();
        let mut note = |receiver: &str, outcome: Result<Option<Wanted>, WantedError>| match outcome
        {
            Ok(found) => wanted.extend(found),
            Err(error) => failed.push(Failed {
                receiver: receiver.to_owned(),
                kind: self.kind(receiver),
                error,
            }),
        };
        match hints::hint(&self.config.discovery, endpoint) {
            Ok(None) => {}
            // As upstream: where a pod asks for itself, no rule is looked at.
            Ok(Some(hint)) if self.is_ignored(&hint.receiver) => {}
            Ok(Some(hint)) => {
                let name = format!("{}/{}", hint.receiver, hint.name);
                let asked = Asked {
                    name: &name,
                    config: Some(&hint.config),
                    attributes: None,
                    hinted: Some(hint.signal),
                };
                note(&name, self.wanted(&asked, endpoint, &names).map(Some));
                return (wanted, failed);
            }
            Err(error) => note("annotations", Err(error.into())),
        }
        for (name, template) in &self.config.receivers {
            let outcome = match template.rule.matches(&names) {
                Ok(false) => continue,
                Err(error) => Err(error.into()),
                Ok(true) => {
                    let asked = Asked {
                        name,
                        config: template.config.as_ref(),
                        attributes: Some(&template.resource_attributes),
                        hinted: None,
                    };
                    self.wanted(&asked, endpoint, &names)
                }
            };
            note(name, outcome.map(Some));
        }
        (wanted, failed)
    }

    /// The type of the receiver of this name; whoever writes annotations shall not make up series.
    fn kind(&self, name: &str) -> &'static str {
        let factory = name.parse().ok().and_then(|id| self.factory(&id).ok());
        factory.map_or("unknown", |factory| factory.metadata().type_name)
    }

    /// Whether annotations may not ask for it, under whichever of its names.
    fn is_ignored(&self, receiver: &str) -> bool {
        let known = |name: &str| {
            let factory = self.factories.find(Kind::Receiver, name);
            factory.map(|factory| factory.metadata().type_name)
        };
        let ignored = &self.config.discovery.ignore_receivers;
        ignored.iter().any(|ignored| {
            ignored == receiver || (known(ignored).is_some() && known(ignored) == known(receiver))
        })
    }

    fn wanted(
        &self,
        asked: &Asked<'_>,
        endpoint: &Endpoint,
        names: &Map,
    ) -> Result<Wanted, WantedError> {
        let name: ComponentId = asked.name.parse()?;
        let factory = self.factory(&name)?;
        let config = match asked.config {
            Some(config) => config.clone(),
            None => Section::new(
                Node::empty(Span::whole(&Source::new(asked.name))),
                format!("receivers::{}::receivers::{name}::config", self.creator),
            ),
        };
        let mut node = expand::settings(config.node(), names)?;
        if node.is_null() {
            node = Node::empty(node.span);
        }
        let has_target = self.has_target(factory);
        if has_target && node.get("endpoint").is_none() {
            node = with_target(node, &endpoint.target);
        }
        if asked.hinted == Some(Signal::Metrics) {
            let account = self.has(factory, "auth_type");
            confine(&node, has_target, account, &endpoint.target)?;
        }
        let all = factory.metadata().signals.iter().copied();
        let signals = all.filter(|signal| asked.hinted.is_none_or(|hinted| hinted == *signal));
        Ok(Wanted {
            id: self.id(&name, endpoint)?,
            signals: signals.collect(),
            config: Section::new(node, config.path()),
            attributes: self.attributes(asked.attributes, endpoint, names)?,
        })
    }

    fn has_target(&self, factory: &Factory) -> bool {
        self.has(factory, "endpoint")
    }

    /// Whether receivers of this type have a setting of this name.
    fn has(&self, factory: &Factory, setting: &str) -> bool {
        let mut known = self.settings.lock();
        let settings = known
            .entry(factory.metadata().type_name)
            .or_insert_with(|| {
                let schema = factory.schema();
                let fields = schema
                    .get("properties")
                    .and_then(|fields| fields.as_object());
                let names = fields.into_iter().flat_map(|fields| fields.keys());
                names.cloned().collect()
            });
        settings.contains(setting)
    }

    /// `redis/1` for an endpoint is called `redis/1/receiver_creator/k8s_observer/…`.
    fn id(&self, name: &ComponentId, endpoint: &Endpoint) -> Result<ComponentId, WantedError> {
        let mut text = name.to_string();
        for part in [&self.creator.to_string(), &*endpoint.id] {
            text.push('/');
            text.extend(part.chars().map(|c| match c {
                c if c.is_whitespace() || c.is_control() => '_',
                c => c,
            }));
        }
        Ok(text.parse()?)
    }

    fn attributes(
        &self,
        own: Option<&Attributes>,
        endpoint: &Endpoint,
        names: &Map,
    ) -> Result<Vec<(String, String)>, WantedError> {
        let mut all = self.config.attributes_of(endpoint.kind);
        all.extend(own.cloned().unwrap_or_default());
        let mut expanded = Vec::new();
        for (name, text) in all {
            let value = Text::parse(&text).and_then(|text| text.expand(names));
            match value {
                // What is not known is not said.
                Ok(value) => {
                    let value = expand::shown(&value).filter(|value| !value.is_empty());
                    expanded.extend(value.map(|value| (name, value.into_owned())));
                }
                Err(source) => return Err(WantedError::Attribute { name, source }),
            }
        }
        Ok(expanded)
    }
}

/// What rules and settings may say about an endpoint.
fn names(endpoint: &Endpoint) -> Map {
    let fields = endpoint.fields.iter();
    let mut names = Map::new();
    for (name, value) in fields {
        names.insert(name.as_str(), Value::from_json(value.clone()));
    }
    names.insert("id", &*endpoint.id);
    names.insert("type", endpoint.kind);
    names.insert("endpoint", endpoint.target.as_str());
    names
}

fn with_target(node: Node, target: &str) -> Node {
    let Some(map) = node.as_map() else {
        return node;
    };
    let target = Entry {
        key: "endpoint".to_owned(),
        key_span: node.span.clone(),
        value: Node::text(target, node.span.clone()),
    };
    let entries = map.iter().cloned().chain([target]);
    Node {
        value: Setting::Map(entries.collect()),
        span: node.span.clone(),
        original: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_component::{BoxError, Component, Context, Metadata, Next, Receiver, Stability};
    use corten_config::{Check, from_str};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct WithTarget {
        endpoint: String,
    }

    #[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Without {
        include: Vec<String>,
    }

    impl Check for WithTarget {}
    impl Check for Without {}

    struct Nothing;
    impl Component for Nothing {}
    impl Receiver for Nothing {}

    fn nothing<C>(_: Context, _: C, _: Next) -> Result<Nothing, BoxError> {
        Ok(Nothing)
    }

    const REDIS: Metadata = Metadata {
        kind: Kind::Receiver,
        type_name: "redis",
        aliases: &["redisreceiver"],
        signals: &[Signal::Metrics, Signal::Logs],
        produces: &[],
        stability: Stability::Beta,
        summary: "redis",
    };
    const FILES: Metadata = Metadata {
        type_name: "file_log",
        aliases: &["filelog"],
        signals: &[Signal::Logs],
        ..REDIS
    };

    fn planner(yaml: &str) -> Planner {
        let config: Config = from_str(yaml).unwrap();
        let factories = Factories::new(vec![
            Factory::receiver(&REDIS, nothing::<WithTarget>),
            Factory::receiver(&FILES, nothing::<Without>),
        ]);
        let creator = "receiver_creator".parse().unwrap();
        Planner::new(creator, config, Arc::new(factories))
    }

    fn port(annotations: &serde_json::Value) -> Endpoint {
        let fields = json!({"name": "redis", "port": 6379, "container_name": "c", "pod": {
            "name": "redis-0", "namespace": "shop", "uid": "u", "labels": {"app": "redis"}, "annotations": annotations}});
        Endpoint {
            id: Arc::from("o/u/a b(6379)"),
            target: "10.0.0.7:6379".to_owned(),
            kind: "port",
            fields: fields.as_object().cloned().unwrap_or_default(),
        }
    }

    /// `id {settings} attributes`, and errors, a line each.
    fn shown(planner: &Planner, endpoint: &Endpoint) -> Vec<String> {
        let (wanted, failed) = planner.of(endpoint);
        let wanted = wanted.iter().map(|wanted| {
            let config = serde_json::to_string(&wanted.config).unwrap();
            let attributes = wanted.attributes.iter();
            let attributes: Vec<_> = attributes
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {config} {}", wanted.id, attributes.join(" "))
        });
        let failed = failed.iter();
        let failed = failed.map(|failed| format!("{}: {}", failed.receiver, failed.error));
        wanted.chain(failed).collect()
    }

    #[test]
    fn a_rule_that_is_true_wants_a_receiver_with_the_target_if_it_has_one() {
        let planner = planner(
            r#"
receivers:
  redis/1: {rule: type == "port" && port == 6379}
  redis/2: {rule: type == "port", config: {endpoint: 'tcp://`endpoint`'}, resource_attributes: {k8s.pod.uid: "", app: '`pod.labels["app"]`', team: '`pod.labels["team"]`', gone: '`nothing`'}}
  redis/3: {rule: type == "pod"}
  file_log: {rule: type == "port"}
"#,
        );
        let pod = "k8s.namespace.name=shop k8s.pod.name=redis-0";
        let id = "receiver_creator/o/u/a_b(6379)";
        let target = r#"{"endpoint":"10.0.0.7:6379"}"#;
        assert_eq!(
            shown(&planner, &port(&json!({}))),
            [
                format!("file_log/{id} {{}} {pod} k8s.pod.uid=u"),
                format!("redis/1/{id} {target} {pod} k8s.pod.uid=u"),
                format!(r#"redis/2/{id} {{"endpoint":"tcp://10.0.0.7:6379"}} app=redis {pod}"#),
            ]
        );
    }

    #[test]
    fn own_resource_attributes_stand_in_place_of_a_types_defaults() {
        let planner = planner(
            "receivers: {redis: {rule: type == 'port'}}\nresource_attributes: {port: {n: '`name`'}}",
        );
        let all = shown(&planner, &port(&json!({})));
        assert_eq!(
            all,
            [r#"redis/receiver_creator/o/u/a_b(6379) {"endpoint":"10.0.0.7:6379"} n=redis"#]
        );
    }

    #[test]
    fn what_cannot_be_is_said_and_the_rest_goes_on() {
        let planner = planner(
            r#"
receivers:
  redis/a: {rule: type == "port" && port}
  redis/b: {rule: type == "port", config: {endpoint: 'x`pod`'}}
  redis/c: {rule: type == "port", resource_attributes: {x: 'x`port + pod`'}}
  redi: {rule: type == "port"}
  redis: {rule: type == "port"}
"#,
        );
        let all = shown(&planner, &port(&json!({}))).join("\n");
        for expected in [
            "redis/a: the rule has no answer: ",
            "redis/b: config:4:54: `pod` is a map",
            "redis/c: resource attribute x: `port + pod`: ",
            "redi: there is no receiver \"redi\", did you mean \"redis\"?",
            "redis/receiver_creator/o/u/a_b(6379) {",
        ] {
            assert!(all.contains(expected), "{expected} in\n{all}");
        }
        assert_eq!(all.lines().count(), 5);
    }

    #[test]
    fn templates_are_held_against_their_receivers() {
        let check = |yaml: &str| planner(yaml).check();
        assert_eq!(
            check("receivers: {redis: {rule: type == 'port', config: {endpoint: '`endpoint`'}}}"),
            Ok(())
        );
        assert_eq!(
            check(
                "receivers: {file_log: {rule: type == 'port', config: {include: [a, '`name`']}}}"
            ),
            Ok(())
        );
        for (receivers, expected) in [
            (
                "redi: {rule: type == 'port'}",
                "receivers::redi: there is no receiver",
            ),
            (
                "redis: {rule: type == 'port', config: {endpiont: '`endpoint`'}}",
                "unknown field 'endpiont', did you mean 'endpoint'?",
            ),
            (
                "file_log: {rule: type == 'port', config: {include: 5}}",
                "config::include: expected a list",
            ),
        ] {
            let error = check(&format!("receivers: {{{receivers}}}")).unwrap_err();
            assert!(error.contains(expected), "{expected} in {error}");
        }
    }

    fn hinted(scraper: &str, config: &str) -> Endpoint {
        port(&json!({
            "io.opentelemetry.discovery.metrics/enabled": "true",
            "io.opentelemetry.discovery.metrics/scraper": scraper,
            "io.opentelemetry.discovery.metrics/config": config,
        }))
    }

    #[test]
    fn annotations_come_before_rules_and_stay_at_their_pod() {
        let on = planner("discovery: {enabled: true}\nreceivers: {redis: {rule: type == 'port'}}");
        let at = |config: &str| shown(&on, &hinted("redis", config)).join("\n");
        assert!(at("").starts_with(
            r#"redis/u_6379/receiver_creator/o/u/a_b(6379) {"endpoint":"10.0.0.7:6379"} k8s"#
        ));
        assert!(
            at("endpoint: 'http://`endpoint`/status'")
                .contains(r#"{"endpoint":"http://10.0.0.7:6379/status"}"#)
        );
        let (wanted, _) = on.of(&hinted("redis", ""));
        assert_eq!(
            wanted.first().map(|wanted| wanted.signals.clone()),
            Some(vec![Signal::Metrics])
        );
        for elsewhere in [
            "endpoint: http://10.0.0.8:6379",
            "endpoint: http://10.0.0.7:6379@evil",
            "endpoint: '`\"http://evil\"`'",
            "endpoint: 'evil/`endpoint`'",
            "endpoint: ''",
        ] {
            let said = at(elsewhere);
            assert!(said.contains("the pod's own, found"), "{elsewhere}: {said}");
        }
        assert!(
            shown(&on, &hinted("file_log", ""))
                .join("")
                .contains("with an endpoint")
        );
        assert!(
            shown(&on, &hinted("nothing", ""))
                .join("")
                .contains("no receiver \"nothing\"")
        );
        // What is ignored, under any of its names, leaves the endpoint to the rules.
        let off = planner(
            "discovery: {enabled: true, ignore_receivers: [redisreceiver]}\nreceivers: {redis: {rule: type == 'port'}}",
        );
        let all = shown(&off, &hinted("redis", ""));
        assert!(
            all.join("").starts_with("redis/receiver_creator/"),
            "{all:?}"
        );
    }
}
