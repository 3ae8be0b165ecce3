//! Settings.

use std::path::PathBuf;

use corten_config::types::Secret;
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which token, and in which header it stands. One of `token`, `tokens` and `filename`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The header that carries the token.
    pub(crate) header: String,
    /// What stands before the token, separated by a space; nothing when it is empty.
    pub(crate) scheme: String,
    /// The token.
    pub(crate) token: Secret,
    /// Several tokens: a receiver takes any of them, an exporter sends the first.
    pub(crate) tokens: Vec<Secret>,
    /// A file with a token in every line, read again when it changes and when a server refuses the token. Takes
    /// precedence over `token` and `tokens`.
    pub(crate) filename: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: Secret::default(),
            tokens: Vec::new(),
            filename: None,
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        let (token, tokens) = (!self.token.is_empty(), !self.tokens.is_empty());
        if self
            .filename
            .as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
        {
            at.field("filename").error("must not be empty");
        }
        if self.filename.is_none() && !token && !tokens {
            at.error("no bearer token provided: set token, tokens or filename");
        }
        if token && tokens {
            at.on("tokens")
                .error("either token or tokens should be provided, not both");
        }
        if self.filename.is_some() && (token || tokens) {
            at.on(if token { "token" } else { "tokens" })
                .warning("the token in the configuration is not used, filename takes precedence");
        }
        if http::HeaderName::try_from(&self.header).is_err() {
            at.field("header").error("is not a header's name");
        }
        if self.scheme.chars().any(|c| c.is_control() || !c.is_ascii()) {
            at.field("scheme").error("must be plain ASCII");
        }
        let all = std::iter::once(("token", &self.token))
            .chain(self.tokens.iter().map(|token| ("tokens", token)));
        for (field, token) in all {
            if token.expose().chars().any(char::is_control) {
                at.on(field).error(format!(
                    "{field} must not contain a line break or another control character"
                ));
            }
        }
    }
}
