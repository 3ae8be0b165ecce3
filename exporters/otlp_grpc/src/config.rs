//! What users set.

use corten_config::settings::{GrpcClient, Queue, Retry};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `otlp_grpc` exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    /// The connection.
    #[serde(flatten)]
    pub(crate) client: GrpcClient,
    /// What is the exporter's own.
    #[serde(flatten)]
    pub(crate) own: Own,
}

/// What is not the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// Holds data while the backend is slow or away.
    pub(crate) sending_queue: Queue,
    /// Sends again what the backend did not take for now.
    pub(crate) retry_on_failure: Retry,
    /// No request is larger than this many bytes of OTLP before compression; larger batches are cut. gRPC servers
    /// refuse messages over 4 MiB unless they are told otherwise, so the default is a little less. `0` means no
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

corten_config::squash!(Config { client, own });

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.client.check(at);
        self.own
            .sending_queue
            .check(&mut at.section("sending_queue"));
        self.own
            .retry_on_failure
            .check(&mut at.section("retry_on_failure"));
    }
}
