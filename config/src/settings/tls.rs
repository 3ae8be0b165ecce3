//! TLS of clients and servers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::{Check, Checker};
use crate::types::{Duration, Secret};

/// A version of TLS.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum TlsVersion {
    /// TLS 1.0: refused, since nothing that speaks it is safe.
    #[serde(rename = "1.0")]
    V1_0,
    /// TLS 1.1: refused, since nothing that speaks it is safe.
    #[serde(rename = "1.1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// How a client speaks TLS and whom it trusts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsClient {
    /// Send in the clear. For gRPC, where the endpoint has no scheme that says so.
    pub insecure: bool,
    /// Accept any certificate. Anybody in between can read and change everything: for tests only.
    pub insecure_skip_verify: bool,
    /// The name that the server's certificate has to have, and that is sent as SNI, when it is not the endpoint's host.
    pub server_name_override: Option<String>,
    /// A PEM file with the certificates of the authorities to trust. The system's when neither this nor `ca_pem` is
    /// given.
    pub ca_file: Option<PathBuf>,
    /// The same as `ca_file`, the PEM text itself.
    pub ca_pem: Option<Secret>,
    /// Trust the system's authorities beside those of `ca_file` or `ca_pem`.
    pub include_system_ca_certs_pool: bool,
    /// A PEM file with the certificate to present to the server; needs a key.
    pub cert_file: Option<PathBuf>,
    /// The same as `cert_file`, the PEM text itself.
    pub cert_pem: Option<Secret>,
    /// A PEM file with the private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The same as `key_file`, the PEM text itself.
    pub key_pem: Option<Secret>,
    /// The oldest version to speak: `"1.2"` (the default) or `"1.3"`.
    pub min_version: Option<TlsVersion>,
    /// The newest version to speak: `"1.2"` or `"1.3"`; no limit by default.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 to offer, by their IANA names; all safe ones when empty. Those of
    /// TLS 1.3 cannot be chosen.
    pub cipher_suites: Vec<String>,
    /// The key exchange groups to offer, in this order: `X25519`, `P256`, `P384`; all of them when empty.
    pub curve_preferences: Vec<String>,
    /// How often to read the files again, so that a renewed certificate needs no restart. By default they are read
    /// again when they change.
    pub reload_interval: Option<Duration>,
}

/// How a server speaks TLS and whom it lets in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsServer {
    /// A PEM file with the server's certificate, followed by those in between it and the authority.
    pub cert_file: Option<PathBuf>,
    /// The same as `cert_file`, the PEM text itself.
    pub cert_pem: Option<Secret>,
    /// A PEM file with the private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The same as `key_file`, the PEM text itself.
    pub key_pem: Option<Secret>,
    /// A PEM file with the authorities that sign clients' certificates. With it only clients that present such a
    /// certificate are let in.
    pub client_ca_file: Option<PathBuf>,
    /// Read `client_ca_file` again when it changes.
    pub client_ca_file_reload: bool,
    /// A PEM file with the authorities of servers. A server does not use it; accepted since the Collector accepts it.
    pub ca_file: Option<PathBuf>,
    /// The same as `ca_file`, the PEM text itself; not used either.
    pub ca_pem: Option<Secret>,
    /// Not used by a server; accepted since the Collector accepts it.
    pub include_system_ca_certs_pool: bool,
    /// The oldest version to speak: `"1.2"` (the default) or `"1.3"`.
    pub min_version: Option<TlsVersion>,
    /// The newest version to speak: `"1.2"` or `"1.3"`; no limit by default.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 to accept, by their IANA names; all safe ones when empty. Those of
    /// TLS 1.3 cannot be chosen.
    pub cipher_suites: Vec<String>,
    /// The key exchange groups to accept, in this order: `X25519`, `P256`, `P384`; all of them when empty.
    pub curve_preferences: Vec<String>,
    /// How often to read the files again, so that a renewed certificate needs no restart. By default they are read
    /// again when they change.
    pub reload_interval: Option<Duration>,
}

impl Check for TlsClient {
    fn check(&self, at: &mut Checker<'_>) {
        one_of(
            at,
            "ca_pem",
            self.ca_file.is_some() && self.ca_pem.is_some(),
            "a CA file",
        );
        let (cert, key) = pair(
            at,
            (&self.cert_file, &self.cert_pem),
            (&self.key_file, &self.key_pem),
        );
        if cert != key {
            at.error("for auth via TLS, provide both certificate and key, or neither");
        }
        versions(at, self.min_version, self.max_version);
    }
}

impl Check for TlsServer {
    fn check(&self, at: &mut Checker<'_>) {
        one_of(
            at,
            "ca_pem",
            self.ca_file.is_some() && self.ca_pem.is_some(),
            "a CA file",
        );
        let (cert, key) = pair(
            at,
            (&self.cert_file, &self.cert_pem),
            (&self.key_file, &self.key_pem),
        );
        if !cert || !key {
            at.error(
                "TLS configuration must include both certificate and key for server connections",
            );
        }
        versions(at, self.min_version, self.max_version);
    }
}

type FileOrText<'a> = (&'a Option<PathBuf>, &'a Option<Secret>);

/// Whether there is a certificate, and a key.
fn pair(at: &mut Checker<'_>, cert: FileOrText<'_>, key: FileOrText<'_>) -> (bool, bool) {
    one_of(
        at,
        "cert_pem",
        cert.0.is_some() && cert.1.is_some(),
        "a certificate file",
    );
    one_of(
        at,
        "key_pem",
        key.0.is_some() && key.1.is_some(),
        "a key file",
    );
    (
        cert.0.is_some() || cert.1.is_some(),
        key.0.is_some() || key.1.is_some(),
    )
}

fn one_of(at: &mut Checker<'_>, field: &str, both: bool, file: &str) {
    if both {
        at.on(field).error(format!(
            "provide either {file} or the PEM-encoded string, but not both"
        ));
    }
}

fn versions(at: &mut Checker<'_>, min: Option<TlsVersion>, max: Option<TlsVersion>) {
    for (field, version) in [("min_version", min), ("max_version", max)] {
        if version.is_some_and(|version| version < TlsVersion::V1_2) {
            at.field(field)
                .error("must be \"1.2\" or \"1.3\"; older versions of TLS are not safe");
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        at.on("min_version")
            .error("min_version cannot be greater than max_version");
    }
}
