//! What users set.

use corten_config::settings::HttpServer;
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `health_check` extension: those of an HTTP server at `localhost:13133`, and its own.
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
            server: HttpServer::at("localhost", 13133),
            own: Own::default(),
        }
    }
}

/// What is not the server's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// The path that probes ask.
    pub(crate) path: String,
    /// What is answered in place of the JSON.
    pub(crate) response_body: Option<ResponseBody>,
    /// How long a component may fail to do its job (an exporter to deliver) before the answer is 503. By default that does
    /// not count: a probe of liveness must not restart an agent because a backend is away.
    pub(crate) not_ready_after: Option<Duration>,
    /// Accepted for compatibility; it has no effect in the Collector either.
    pub(crate) check_collector_pipeline: Option<CheckCollectorPipeline>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            response_body: None,
            not_ready_after: None,
            check_collector_pipeline: None,
        }
    }
}

/// What is answered in place of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ResponseBody {
    /// With 200.
    pub(crate) healthy: String,
    /// With 503.
    pub(crate) unhealthy: String,
}

/// Accepted for compatibility.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct CheckCollectorPipeline {
    /// Has no effect.
    pub(crate) enabled: bool,
    /// Has no effect.
    pub(crate) interval: Option<Duration>,
    /// Has no effect.
    pub(crate) exporter_failure_threshold: Option<u64>,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.server.check(at);
        if !self.own.path.starts_with('/') || self.own.path.ends_with('*') {
            at.field("path").error("must start with /");
        }
        if self.own.check_collector_pipeline.is_some() {
            at.on("check_collector_pipeline").warning(
                "'check_collector_pipeline' has no effect; set 'not_ready_after' to hear of exporters that do not deliver",
            );
        }
    }
}
