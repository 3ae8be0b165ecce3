//! As whom a client speaks.

use corten_config::settings::TlsClient;
use corten_config::types::Secret;
use corten_config::{Check, Checker, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `auth`: as whom to speak to the brokers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Auth {
    /// A user's name and password.
    pub sasl: Option<Sasl>,
    /// Deprecated: the same as `sasl` with the mechanism `PLAIN`.
    pub plain_text: Option<PlainText>,
    /// Deprecated: use `tls` beside `auth`.
    pub tls: Option<TlsClient>,
    /// Not supported.
    #[schemars(skip)]
    pub kerberos: Option<Section>,
}

/// `auth::sasl`: a user's name and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sasl {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. The latter two need a binary built with `kafka-tls`.
    pub mechanism: String,
    /// Accepted for compatibility: the version follows from the brokers.
    pub version: i32,
}

/// `auth::plain_text`: a user's name and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PlainText {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Auth {
    /// Mechanism, user, password.
    pub(crate) fn credentials(&self) -> Option<(&str, &str, &Secret)> {
        match (&self.sasl, &self.plain_text) {
            (Some(sasl), _) => Some((
                sasl.mechanism.as_str(),
                sasl.username.as_str(),
                &sasl.password,
            )),
            (None, Some(plain)) => Some(("PLAIN", plain.username.as_str(), &plain.password)),
            (None, None) => None,
        }
    }
}

impl Check for Auth {
    fn check(&self, at: &mut Checker<'_>) {
        if self.kerberos.is_some() {
            at.on("kerberos")
                .error("Kerberos is not supported: use sasl with PLAIN or SCRAM");
        }
        if self.plain_text.is_some() {
            at.on("plain_text")
                .warning("'auth::plain_text' is deprecated; use 'auth::sasl' with 'mechanism: PLAIN' instead");
        }
        if let Some(sasl) = &self.sasl {
            sasl.check(&mut at.section("sasl"));
        }
    }
}

impl Check for Sasl {
    fn check(&self, at: &mut Checker<'_>) {
        if self.username.is_empty() {
            at.field("username").error("is required");
        }
        match self.mechanism.as_str() {
            "PLAIN" => {}
            "SCRAM-SHA-256" | "SCRAM-SHA-512" if cfg!(feature = "tls") => {}
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => at.field("mechanism").error(
                "SCRAM needs OpenSSL, which this binary was built without: build it with --features kafka-tls",
            ),
            "AWS_MSK_IAM_OAUTHBEARER" | "OAUTHBEARER" => at.field("mechanism").error(format!(
                "'{}' is not supported: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
                self.mechanism
            )),
            other => at.field("mechanism").error(format!(
                "expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, found '{other}'"
            )),
        }
    }
}
