//! What users set.

use corten_config::settings::{GrpcServer, HttpServer};
use corten_config::types::{ByteSize, Endpoint, Optional};
use corten_config::{Check, Checker, over};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the `jaeger` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The protocols to speak. One that is written, even without settings, is on; at least one has to be.
    pub(crate) protocols: Protocols,
    /// Not served: Jaeger's clients that ask for sampling strategies need a Jaeger collector for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_sampling: Option<serde_json::Value>,
    /// How many bytes may be in memory between their arrival and their answer, those that came as datagrams and wait
    /// for the pipeline included. What comes beyond is told to come again, before it is read; datagrams are dropped.
    pub(crate) max_in_flight_size: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocols: Protocols::default(),
            remote_sampling: None,
            max_in_flight_size: ByteSize::mib(64),
        }
    }
}

/// The protocols to speak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Protocols {
    /// `jaeger.api_v2` over gRPC, as agents and OpenTelemetry's exporters write it, at `localhost:14250` unless
    /// `endpoint` says otherwise.
    #[serde(deserialize_with = "grpc")]
    pub(crate) grpc: Optional<GrpcServer>,
    /// Thrift over HTTP, `/api/traces`, at `localhost:14268` unless `endpoint` says otherwise.
    #[serde(deserialize_with = "thrift_http")]
    pub(crate) thrift_http: Optional<HttpServer>,
    /// Thrift's compact protocol over UDP, as most clients write it, at `localhost:6831` unless `endpoint` says
    /// otherwise.
    #[serde(deserialize_with = "thrift_compact")]
    pub(crate) thrift_compact: Optional<Udp>,
    /// Thrift's binary protocol over UDP, as Node's client writes it, at `localhost:6832` unless `endpoint` says
    /// otherwise.
    #[serde(deserialize_with = "thrift_binary")]
    pub(crate) thrift_binary: Optional<Udp>,
}

fn grpc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<GrpcServer>, D::Error> {
    let server = GrpcServer::at("localhost", 14250);
    over(deserializer, &Optional::On(server))
}

fn thrift_http<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Optional<HttpServer>, D::Error> {
    let server = HttpServer::at("localhost", 14268);
    over(deserializer, &Optional::On(server))
}

fn thrift_compact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<Udp>, D::Error> {
    over(deserializer, &Optional::On(Udp::at(6831)))
}

fn thrift_binary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optional<Udp>, D::Error> {
    over(deserializer, &Optional::On(Udp::at(6832)))
}

/// Datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Udp {
    /// Where to listen: `host:port`. Without a host, `:port`, every machine that can reach this one can send.
    pub(crate) endpoint: Endpoint,
    /// How many datagrams may wait for the pipeline; more are dropped, and counted.
    pub(crate) queue_size: usize,
    /// The longest datagram in bytes; longer ones are cut off by the system, and then refused.
    pub(crate) max_packet_size: usize,
    /// How many batches may be on their way into the pipeline at the same time.
    pub(crate) workers: usize,
    /// The size of the socket's buffer in bytes, as far as the system allows it; `0` leaves it to the system.
    pub(crate) socket_buffer_size: usize,
}

impl Udp {
    fn at(port: u16) -> Self {
        Self {
            endpoint: Endpoint::new("localhost", port),
            ..Self::default()
        }
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::new("localhost", 0),
            queue_size: 1000,
            max_packet_size: 65_000,
            workers: 10,
            socket_buffer_size: 0,
        }
    }
}

impl Check for Udp {
    fn check(&self, at: &mut Checker<'_>) {
        if self.queue_size == 0 {
            at.field("queue_size").error("must be positive");
        }
        if !(1..=65_535).contains(&self.max_packet_size) {
            at.field("max_packet_size")
                .error("expected 1 to 65535, the longest that UDP can carry");
        }
        if !(1..=1024).contains(&self.workers) {
            at.field("workers").error("expected 1 to 1024");
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let Protocols {
            grpc,
            thrift_http,
            thrift_compact,
            thrift_binary,
        } = &self.protocols;
        let any = grpc.is_on() || thrift_http.is_on();
        if !any && !thrift_compact.is_on() && !thrift_binary.is_on() {
            at.error("must specify at least one protocol when using the Jaeger receiver");
        }
        if self.remote_sampling.is_some() {
            at.field("remote_sampling").error(
                "is not served; remove it, and let clients ask a Jaeger collector for their sampling strategies",
            );
        }
        if self.max_in_flight_size.get() == 0 {
            at.field("max_in_flight_size").error("must be positive");
        }
        let mut at = at.section("protocols");
        if let Some(grpc) = grpc.as_ref() {
            grpc.check(&mut at.section("grpc"));
        }
        if let Some(http) = thrift_http.as_ref() {
            let mut at = at.section("thrift_http");
            http.check(&mut at);
        }
        for (name, udp) in [
            ("thrift_compact", thrift_compact),
            ("thrift_binary", thrift_binary),
        ] {
            if let Some(udp) = udp.as_ref() {
                udp.check(&mut at.section(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_that_is_written_is_on_with_the_collectors_defaults() {
        let config: Config = corten_config::from_str(
            "{protocols: {grpc: , thrift_http: {}, thrift_compact: {queue_size: 5}, thrift_binary: }}",
        )
        .unwrap();
        let protocols = config.protocols;
        let grpc = protocols.grpc.into_option().unwrap();
        assert_eq!(grpc.endpoint.to_string(), "localhost:14250");
        let http = protocols.thrift_http.into_option().unwrap();
        assert_eq!(http.endpoint.to_string(), "localhost:14268");
        let compact = protocols.thrift_compact.into_option().unwrap();
        assert_eq!(compact.endpoint.to_string(), "localhost:6831");
        assert_eq!((compact.queue_size, compact.max_packet_size), (5, 65_000));
        let binary = protocols.thrift_binary.into_option().unwrap();
        assert_eq!(binary.endpoint.to_string(), "localhost:6832");
        assert_eq!((binary.queue_size, binary.workers), (1000, 10));
        let one: Config = corten_config::from_str("{protocols: {grpc: }}").unwrap();
        assert!(!one.protocols.thrift_compact.is_on());
    }

    #[test]
    fn problems_are_named() {
        for (yaml, expected) in [
            ("{}", "must specify at least one protocol"),
            (
                "{protocols: {grpc: }, remote_sampling: {host_endpoint: 'a:1'}}",
                "is not served; remove it",
            ),
            (
                "{protocols: {thrift_binary: {max_packet_size: 0}}}",
                "expected 1 to 65535",
            ),
            ("{protocols: {thrift_binary: {workers: 0}}}", "1 to 1024"),
            ("{protocols: {thrift_tchannel: }}", "unknown field"),
        ] {
            let problems = corten_config::from_str::<Config>(yaml)
                .unwrap_err()
                .to_string();
            assert!(problems.contains(expected), "{yaml}: {problems}");
        }
    }
}
