//! Settings.

use std::path::PathBuf;

use corten_config::types::{Optional, Secret};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one of `client_auth` and `htpasswd`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Sign outgoing requests, for exporters.
    pub(crate) client_auth: Optional<ClientAuth>,
    /// Check incoming requests, for receivers.
    pub(crate) htpasswd: Optional<Htpasswd>,
}

/// Who Corten is to a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ClientAuth {
    /// The user's name.
    pub(crate) username: String,
    /// The user's password.
    pub(crate) password: Secret,
    /// A file with the user's name, read again when it changes. Takes precedence over `username`.
    pub(crate) username_file: Option<PathBuf>,
    /// A file with the user's password, read again when it changes. Takes precedence over `password`.
    pub(crate) password_file: Option<PathBuf>,
}

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Htpasswd {
    /// A file of `user:password` lines as `htpasswd` writes them, the password as bcrypt, `{SHA}`, `{SSHA}` or plain.
    /// Read at the start.
    pub(crate) file: Option<PathBuf>,
    /// The same lines in the configuration itself. They take precedence over those of the file.
    pub(crate) inline: Secret,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        match (self.client_auth.as_ref(), self.htpasswd.as_ref()) {
            (None, None) => at.error("no credentials source provided: set client_auth (for exporters) or htpasswd (for receivers)"),
            (Some(_), Some(_)) => {
                at.error("only one of `htpasswd` and `client_auth` can be specified: use two extensions, basicauth/client and basicauth/server");
            }
            (Some(client), None) => client.check(&mut at.section("client_auth")),
            (None, Some(server)) => server.check(&mut at.section("htpasswd")),
        }
    }
}

impl Check for ClientAuth {
    fn check(&self, at: &mut Checker<'_>) {
        if self.username.is_empty() && self.username_file.is_none() {
            at.error("expected username or username_file");
        }
        if self.username.contains(':') {
            at.field("username")
                .error("must not contain a colon: basic authentication cannot carry it");
        }
        if self.username_file.is_some() && !self.username.is_empty() {
            at.on("username")
                .warning("username is not used, username_file takes precedence");
        }
        if self.password_file.is_some() && !self.password.is_empty() {
            at.on("password")
                .warning("password is not used, password_file takes precedence");
        }
    }
}

impl Check for Htpasswd {
    fn check(&self, at: &mut Checker<'_>) {
        if self.file.is_none() && self.inline.is_empty() {
            at.error("expected file or inline");
        }
        if !self.inline.is_empty()
            && let Err(error) = crate::htpasswd::Htpasswd::parse(self.inline.expose())
        {
            at.on("inline").error(format!("inline: {error}"));
        }
    }
}
