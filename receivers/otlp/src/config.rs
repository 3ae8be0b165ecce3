//! What users set.

use corten_config::settings::{GrpcServer, HttpServer};
use corten_config::types::{ByteSize, Duration, Optional};
use corten_config::{Check, Checker, over};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the `otlp` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The protocols to speak. One that is written, even without settings, is on; at least one has to be.
    pub(crate) protocols: Protocols,
    /// How many bytes of requests may be in memory between their arrival and their answer. What comes beyond is told
    /// to come again, before it is read.
    pub(crate) max_in_flight_size: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocols: Protocols::default(),
            max_in_flight_size: ByteSize::mib(128),
        }
    }
}

/// The protocols to speak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Protocols {
    /// OTLP over gRPC, at `localhost:4317` unless `endpoint` says otherwise.
    #[serde(deserialize_with = "grpc")]
    pub(crate) grpc: Optional<GrpcServer>,
    /// OTLP over HTTP, protobuf and JSON, at `localhost:4318` unless `endpoint` says otherwise.
    #[serde(deserialize_with = "http")]
    pub(crate) http: Optional<Http>,
}

fn grpc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<GrpcServer>, D::Error> {
    over(
        deserializer,
        &Optional::On(GrpcServer::at("localhost", 4317)),
    )
}

fn http<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<Http>, D::Error> {
    over(deserializer, &Optional::On(Http::default()))
}

/// OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Http {
    #[serde(flatten)]
    pub(crate) server: HttpServer,
    #[serde(flatten)]
    pub(crate) paths: Paths,
}

impl Default for Http {
    fn default() -> Self {
        let mut server = HttpServer::at("localhost", 4318);
        // Most applications push once a minute: closing after a minute would meet the next push half-way.
        server.keepalive.idle_timeout = Duration::from_secs(300);
        Self {
            server,
            paths: Paths::default(),
        }
    }
}

corten_config::squash!(Http { server, paths });

/// Where each signal is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Paths {
    /// The path for traces.
    pub(crate) traces_url_path: String,
    /// The path for metrics.
    pub(crate) metrics_url_path: String,
    /// The path for logs.
    pub(crate) logs_url_path: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
        }
    }
}

impl Paths {
    /// A path with the slash that users may leave out.
    pub(crate) fn normal(path: &str) -> String {
        format!("/{}", path.trim_start_matches('/'))
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let Protocols { grpc, http } = &self.protocols;
        if !grpc.is_on() && !http.is_on() {
            at.error("must specify at least one protocol when using the OTLP receiver");
        }
        if self.max_in_flight_size.get() == 0 {
            at.field("max_in_flight_size").error("must be positive");
        }
        let mut at = at.section("protocols");
        if let Some(grpc) = grpc.as_ref() {
            grpc.check(&mut at.section("grpc"));
        }
        if let Some(http) = http.as_ref() {
            let mut at = at.section("http");
            http.server.check(&mut at);
            let paths = &http.paths;
            let all = [
                ("traces_url_path", &paths.traces_url_path),
                ("metrics_url_path", &paths.metrics_url_path),
                ("logs_url_path", &paths.logs_url_path),
            ];
            for (index, (field, path)) in all.iter().enumerate() {
                if path.contains(['*', '?', '#']) || path.chars().any(char::is_whitespace) {
                    at.field(field).error("expected a path such as /v1/traces");
                }
                let twin = all
                    .iter()
                    .take(index)
                    .find(|(_, other)| Paths::normal(other) == Paths::normal(path));
                if let Some((other, _)) = twin {
                    at.field(field)
                        .error(format!("is the same path as {other}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Config {
        corten_config::from_str(yaml).unwrap()
    }

    #[test]
    fn a_protocol_that_is_written_is_on_with_the_collectors_defaults() {
        let config = read("{protocols: {grpc: , http: }}");
        let (grpc, http) = (
            config.protocols.grpc.into_option().unwrap(),
            config.protocols.http.into_option().unwrap(),
        );
        assert_eq!(grpc.endpoint.to_string(), "localhost:4317");
        assert_eq!(grpc.max_message_size(), 4 << 20);
        assert_eq!(http.server.endpoint.to_string(), "localhost:4318");
        assert_eq!(http.server.max_request_body_size, 20 << 20);
        assert_eq!(http.paths.traces_url_path, "/v1/traces");
        assert!(
            !read("{protocols: {grpc: {endpoint: 0.0.0.0:1}}}")
                .protocols
                .http
                .is_on()
        );
    }

    #[test]
    fn problems_are_named() {
        for (yaml, expected) in [
            (
                "{}",
                "must specify at least one protocol when using the OTLP receiver",
            ),
            (
                "{protocols: {}}",
                "must specify at least one protocol when using the OTLP receiver",
            ),
            (
                "{protocols: {grpc: {endpont: a:1}}}",
                "unknown field 'endpont', did you mean 'endpoint'?",
            ),
            (
                "{protocols: {http: {traces_url_path: /x, logs_url_path: x}}}",
                "is the same path as traces_url_path",
            ),
            (
                "{protocols: {http: {logs_url_path: '/a*'}}}",
                "expected a path such as /v1/traces",
            ),
            (
                "{protocols: {grpc: }, max_in_flight_size: 0}",
                "must be positive",
            ),
            ("{protocols: {thrift: }}", "unknown field 'thrift'"),
        ] {
            let problems = corten_config::from_str::<Config>(yaml)
                .unwrap_err()
                .to_string();
            assert!(problems.contains(expected), "{yaml}: {problems}");
        }
    }
}
