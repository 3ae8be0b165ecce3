//! What users set.

use corten_config::settings::HttpServer;
use corten_config::types::{ByteSize, Duration};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `admin` extension: those of an HTTP server at `127.0.0.1:12345`, and its own.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) server: HttpServer,
    #[serde(flatten)]
    pub(crate) own: Own,
}

corten_config::squash!(Config { server, own });

impl Default for Config {
    fn default() -> Self {
        Self {
            server: HttpServer::at("127.0.0.1", 12345),
            own: Own::default(),
        }
    }
}

/// What is not the server's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// How long a component may fail to do its job (an exporter to deliver) before `/-/ready` says so.
    pub(crate) not_ready_after: Duration,
    /// How much of the telemetry that passed last is kept for `/recent`, in bytes of OTLP. `0` keeps none.
    pub(crate) recent_max_size: ByteSize,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            not_ready_after: Duration::from_secs(120),
            recent_max_size: ByteSize::mib(1),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.server.check(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_unless_told_otherwise() {
        let config: Config = corten_config::from_str("{}").unwrap();
        assert_eq!(config.server.endpoint.to_string(), "127.0.0.1:12345");
        let config: Config = corten_config::from_str(
            "{endpoint: '0.0.0.0:1', not_ready_after: 5m, recent_max_size: 2MiB}",
        )
        .unwrap();
        assert_eq!(config.own.not_ready_after, Duration::from_secs(300));
        assert_eq!(config.own.recent_max_size.as_usize(), 2 << 20);
    }
}
