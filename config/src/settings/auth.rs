//! Who may send, or as whom to send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::ComponentId;

/// Authentication by an extension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Auth {
    /// The extension that authenticates, such as `basicauth` or `bearertokenauth/loki`. It has to be listed in
    /// `service::extensions`.
    pub authenticator: Option<ComponentId>,
    /// Query parameters that are handed to the extension beside the headers. HTTP servers only.
    pub request_params: Vec<String>,
}
