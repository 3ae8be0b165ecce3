//! What users set.

use corten_config::settings::HttpServer;
use corten_config::types::ByteSize;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `zipkin` receiver. It listens at `localhost:9411` unless `endpoint` says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    /// The server.
    #[serde(flatten)]
    pub(crate) server: HttpServer,
    /// What is the receiver's own.
    #[serde(flatten)]
    pub(crate) own: Own,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: HttpServer::at("localhost", 9411),
            own: Own::default(),
        }
    }
}

corten_config::squash!(Config { server, own });

/// What is not the server's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// Tags are text in Zipkin. Make numbers, `true` and `false` of those that look so.
    pub(crate) parse_string_tags: bool,
    /// How many bytes of requests may be in memory between their arrival and their answer. What comes beyond is told
    /// to come again, before it is read.
    pub(crate) max_in_flight_size: ByteSize,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            parse_string_tags: false,
            max_in_flight_size: ByteSize::mib(64),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.server.check(at);
        if self.own.max_in_flight_size.get() == 0 {
            at.field("max_in_flight_size").error("must be positive");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_collectors() {
        let config: Config = corten_config::from_str("{}").unwrap();
        assert_eq!(config.server.endpoint.to_string(), "localhost:9411");
        assert_eq!(config.server.max_request_body_size, 20 << 20);
        assert!(!config.own.parse_string_tags);
        let config: Config =
            corten_config::from_str("{endpoint: '0.0.0.0:1', parse_string_tags: true}").unwrap();
        assert!(config.own.parse_string_tags);
    }

    #[test]
    fn problems_are_named() {
        for (yaml, expected) in [
            ("{max_in_flight_size: 0}", "must be positive"),
            (
                "{parse_string_tag: true}",
                "did you mean 'parse_string_tags'?",
            ),
        ] {
            let problems = corten_config::from_str::<Config>(yaml)
                .unwrap_err()
                .to_string();
            assert!(problems.contains(expected), "{yaml}: {problems}");
        }
    }
}
