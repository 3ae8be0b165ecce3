//! What users set.

use corten_config::settings::{GrpcClient, Queue, Retry};
use corten_config::types::{Duration, Optional};
use corten_config::{Check, Checker, over};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the `load_balancing` exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// What belongs together: `traceID` (traces, logs), `service` (all signals), `attributes` (all signals), `resource`,
    /// `metric` or `streamID` (metrics). Unless it is written: `traceID` for traces and logs, `service` for metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing_key: Option<RoutingKey>,
    /// For `routing_key: attributes`: the attributes that make the key, looked for in the resource, in the scope, then in the
    /// span, log record or data point; `span.name` and `span.kind` are known too.
    pub(crate) routing_attributes: Vec<String>,
    /// How to send to every backend.
    pub(crate) protocol: Protocol,
    /// Where backends are found. Exactly one has to be written.
    pub(crate) resolver: Resolver,
    /// A queue in front of all backends, which may be on disk. Off unless it is written; every backend has a queue of
    /// its own in memory either way, `protocol::otlp::sending_queue`.
    pub(crate) sending_queue: Optional<Queue>,
    /// How the queue in front of all backends tries again what they did not take. On with it unless it is written.
    pub(crate) retry_on_failure: Optional<Retry>,
    /// How long the queue in front of all backends waits for them; `0` means no limit.
    pub(crate) timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            routing_key: None,
            routing_attributes: Vec::new(),
            protocol: Protocol::default(),
            resolver: Resolver::default(),
            sending_queue: Optional::Off,
            retry_on_failure: Optional::Off,
            timeout: Duration::ZERO,
        }
    }
}

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum RoutingKey {
    /// Of one trace.
    #[serde(rename = "traceID")]
    TraceId,
    /// Of one service.
    #[serde(rename = "service")]
    Service,
    /// With the same attributes.
    #[serde(rename = "attributes")]
    Attributes,
    /// Of one resource.
    #[serde(rename = "resource")]
    Resource,
    /// Of one metric.
    #[serde(rename = "metric")]
    Metric,
    /// Of one stream of data points.
    #[serde(rename = "streamID")]
    StreamId,
}

/// How to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Protocol {
    /// OTLP over gRPC, with the settings of the `otlp_grpc` exporter; the endpoint is the resolver's.
    pub(crate) otlp: Otlp,
}

/// OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Otlp {
    /// The connection.
    #[serde(flatten)]
    pub(crate) client: GrpcClient,
    /// What is not the client's.
    #[serde(flatten)]
    pub(crate) own: Own,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            client: GrpcClient {
                endpoint: PLACEHOLDER.to_owned(),
                ..GrpcClient::default()
            },
            own: Own::default(),
        }
    }
}

/// The endpoint that nobody connects to.
const PLACEHOLDER: &str = "placeholder:4317";

corten_config::squash!(Otlp { client, own });

/// What is not the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// Holds data while a backend is slow or away; every backend has one of its own, in memory.
    pub(crate) sending_queue: Queue,
    /// Sends again what a backend did not take for now.
    pub(crate) retry_on_failure: Retry,
    /// No request is larger than this many bytes of OTLP before compression; larger batches are cut. `0` means no
    /// limit: then only what the server refuses as too large is cut.
    pub(crate) max_request_bytes: usize,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            sending_queue: Queue::default(),
            retry_on_failure: Retry::default(),
            max_request_bytes: (4 << 20) - (64 << 10),
        }
    }
}

/// Where backends are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Resolver {
    /// In a list.
    #[serde(rename = "static")]
    pub(crate) fixed: Optional<Static>,
    /// Behind a name: all of its addresses.
    #[serde(deserialize_with = "dns")]
    pub(crate) dns: Optional<Dns>,
    /// Behind a service of Kubernetes: all of its ready pods.
    #[serde(deserialize_with = "k8s")]
    pub(crate) k8s: Optional<K8s>,
    /// Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aws_cloud_map: Option<serde_json::Value>,
}

fn dns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<Dns>, D::Error> {
    over(deserializer, &Optional::On(Dns::default()))
}

fn k8s<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<K8s>, D::Error> {
    over(deserializer, &Optional::On(K8s::default()))
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Static {
    /// The backends: `host:port`; without a port, 4317.
    pub(crate) hostnames: Vec<String>,
}

/// A name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Dns {
    /// The name whose addresses are the backends. In Kubernetes it has to be that of a headless service: the address
    /// of any other service is one, whatever stands behind it.
    pub(crate) hostname: String,
    /// The backends' port. 4317 unless it is written.
    #[serde(deserialize_with = "port", skip_serializing_if = "String::is_empty")]
    pub(crate) port: String,
    /// How often the name is looked up.
    pub(crate) interval: Duration,
    /// How long looking it up may take.
    pub(crate) timeout: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            hostname: String::new(),
            port: String::new(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
        }
    }
}

/// A port, written as text or as a number.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Port {
        Number(u16),
        Text(String),
    }
    Ok(match Port::deserialize(deserializer)? {
        Port::Number(port) => port.to_string(),
        Port::Text(port) => port,
    })
}

/// A service of Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct K8s {
    /// The service: `name.namespace`; without a namespace, Corten's own.
    pub(crate) service: String,
    /// The ports: every one of every pod is a backend.
    pub(crate) ports: Vec<u16>,
    /// Accepted for compatibility; the watch has its own paces.
    pub(crate) timeout: Duration,
    /// Not supported: backends are addresses.
    pub(crate) return_hostnames: bool,
}

impl Default for K8s {
    fn default() -> Self {
        Self {
            service: String::new(),
            ports: vec![4317],
            timeout: Duration::from_secs(60),
            return_hostnames: false,
        }
    }
}

impl Check for Resolver {
    fn check(&self, at: &mut Checker<'_>) {
        if self.aws_cloud_map.is_some() {
            at.field("aws_cloud_map")
                .error("is not supported; use dns with the name that Cloud Map serves");
            return;
        }
        let on = [self.fixed.is_on(), self.dns.is_on(), self.k8s.is_on()];
        match on.iter().filter(|on| **on).count() {
            0 => at.error("no resolvers specified for the exporter, expected static, dns or k8s"),
            1 => {}
            _ => at.error("only one resolver should be specified"),
        }
        if let Some(fixed) = self.fixed.as_ref()
            && fixed.hostnames.is_empty()
        {
            at.section("static")
                .field("hostnames")
                .error("no hosts are specified in the static resolver");
        }
        if let Some(dns) = self.dns.as_ref() {
            let mut at = at.section("dns");
            if dns.hostname.is_empty() {
                at.field("hostname")
                    .error("no hostname specified to resolve the backends");
            }
            if !dns.port.is_empty() && !dns.port.parse().is_ok_and(|port: u16| port > 0) {
                at.field("port").error("expected a port from 1 to 65535");
            }
        }
        if let Some(k8s) = self.k8s.as_ref() {
            let mut at = at.section("k8s");
            let is_name = |name: &str| {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !name.is_empty() && name.bytes().all(known)
            };
            let (name, namespace) = k8s.service.split_once('.').unwrap_or((&k8s.service, "x"));
            if !is_name(name) || !is_name(namespace) {
                at.field("service")
                    .error("expected the service as name.namespace");
            }
            if k8s.ports.is_empty() || k8s.ports.contains(&0) {
                at.field("ports")
                    .error("expected at least one port from 1 to 65535");
            }
            if k8s.return_hostnames {
                at.field("return_hostnames")
                    .error("is not supported; backends are addresses, verified by tls::server_name_override");
            }
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.resolver.check(&mut at.section("resolver"));
        let by_attributes = self.routing_key == Some(RoutingKey::Attributes);
        if by_attributes && self.routing_attributes.is_empty() {
            at.field("routing_attributes")
                .error("expected at least one attribute for routing_key: attributes");
        }
        if !by_attributes && !self.routing_attributes.is_empty() {
            at.field("routing_attributes")
                .warning("means nothing without routing_key: attributes");
        }
        if let Some(queue) = self.sending_queue.as_ref() {
            queue.check(&mut at.section("sending_queue"));
        } else if self.retry_on_failure.is_on() {
            at.field("retry_on_failure")
                .warning("means nothing without sending_queue; backends have protocol::otlp::retry_on_failure");
        }
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.check(&mut at.section("retry_on_failure"));
        }
        let mut at = at.section("protocol");
        let mut at = at.section("otlp");
        let otlp = &self.protocol.otlp;
        otlp.client.check(&mut at);
        if otlp.client.endpoint != PLACEHOLDER {
            at.field("endpoint")
                .warning("means nothing here; the resolver says where backends are");
        }
        let mut at = at.section("sending_queue");
        otlp.own.sending_queue.check(&mut at);
        if otlp.own.sending_queue.storage.is_some() {
            at.field("storage").error(
                "backends come and go, and their queues with them; give storage to the exporter's own sending_queue",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Config, String> {
        corten_config::from_str(yaml).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_defaults_are_the_collectors() {
        let config = read(
            "{resolver: {dns: {hostname: backends}}, protocol: {otlp: {tls: {insecure: true}}}}",
        )
        .unwrap();
        let dns = config.resolver.dns.into_option().unwrap();
        assert_eq!(dns.interval, Duration::from_secs(5));
        assert_eq!(dns.timeout, Duration::from_secs(1));
        assert_eq!(dns.port, "");
        assert!(config.protocol.otlp.own.sending_queue.enabled);
        assert!(config.protocol.otlp.client.tls.insecure);
        assert!(!config.sending_queue.is_on() && config.routing_key.is_none());
        let config = read("{routing_key: streamID, resolver: {k8s: {service: a.b}}}").unwrap();
        assert_eq!(config.resolver.k8s.into_option().unwrap().ports, [4317]);
        assert_eq!(config.routing_key, Some(RoutingKey::StreamId));
        for port in ["'4318'", "4318"] {
            let yaml = format!("{{resolver: {{dns: {{hostname: a, port: {port}}}}}}}");
            let dns = read(&yaml).unwrap().resolver.dns.into_option().unwrap();
            assert_eq!(dns.port, "4318");
        }
    }

    #[test]
    fn problems_are_named() {
        for (yaml, expected) in [
            ("{}", "no resolvers specified"),
            (
                "{resolver: {static: {hostnames: [a]}, dns: {hostname: b}}}",
                "only one resolver should be specified",
            ),
            (
                "{resolver: {static: {hostnames: []}}}",
                "no hosts are specified",
            ),
            ("{resolver: {dns: }}", "no hostname specified"),
            ("{resolver: {dns: {hostname: a, port: x}}}", "1 to 65535"),
            ("{resolver: {k8s: {service: 'a b'}}}", "name.namespace"),
            ("{resolver: {aws_cloud_map: {}}}", "is not supported"),
            (
                "{resolver: {static: {hostnames: [a]}}, routing_key: attributes}",
                "at least one attribute",
            ),
            (
                "{resolver: {static: {hostnames: [a]}}, routing_key: trace}",
                "trace",
            ),
            (
                "{resolver: {static: {hostnames: [a]}}, protocol: {otlp: {sending_queue: {storage: file_storage}}}}",
                "give storage to the exporter's own sending_queue",
            ),
        ] {
            let problems = read(yaml).unwrap_err();
            assert!(problems.contains(expected), "{yaml}: {problems}");
        }
    }
}
