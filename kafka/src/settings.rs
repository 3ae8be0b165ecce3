//! Which brokers, and how to speak to them.

use corten_config::settings::TlsClient;
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::Auth;

/// What the receiver and the exporter have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Client {
    /// The brokers to begin with, each `host:port`; the others are found through them.
    pub brokers: Vec<String>,
    /// Accepted for compatibility: what to speak is agreed on with each broker (0.10 and newer).
    pub protocol_version: String,
    /// The name under which the brokers log and limit this client.
    pub client_id: String,
    /// Look up the canonical names of `brokers` and speak to those (for Kerberos and names that stand for several
    /// brokers).
    pub resolve_canonical_bootstrap_servers_only: bool,
    /// As whom to speak to the brokers.
    pub auth: Auth,
    /// Speak TLS. Needs a binary built with `kafka-tls`.
    pub tls: Option<TlsClient>,
    /// What is asked of the brokers about topics and partitions.
    pub metadata: Metadata,
    /// How long a connection may lie unused before it is closed.
    pub conn_idle_timeout: Duration,
}

/// `metadata`: what is asked of the brokers about topics and partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metadata {
    /// Accepted for compatibility: only the topics in use are asked for, and all of them only where a topic is a
    /// pattern.
    pub full: bool,
    /// How often to ask again, so that new partitions are seen.
    pub refresh_interval: Duration,
    /// How to ask again when a broker did not answer.
    pub retry: MetadataRetry,
}

/// `metadata::retry`: how to ask again when a broker did not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetadataRetry {
    /// Accepted for compatibility: the brokers are asked until one answers.
    pub max: u32,
    /// The pause before the next attempt.
    pub backoff: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            brokers: vec!["localhost:9092".to_owned()],
            protocol_version: String::new(),
            client_id: "otel-collector".to_owned(),
            resolve_canonical_bootstrap_servers_only: false,
            auth: Auth::default(),
            tls: None,
            metadata: Metadata::default(),
            conn_idle_timeout: Duration::from_secs(540),
        }
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            full: true,
            refresh_interval: Duration::from_secs(600),
            retry: MetadataRetry::default(),
        }
    }
}

impl Default for MetadataRetry {
    fn default() -> Self {
        Self {
            max: 3,
            backoff: Duration::from_millis(250),
        }
    }
}

/// A duration as librdkafka writes it, within what it takes.
#[must_use]
pub fn milliseconds(duration: Duration, least: u128, most: u128) -> String {
    duration.get().as_millis().clamp(least, most).to_string()
}

impl Client {
    fn tls(&self) -> Option<&TlsClient> {
        let tls = self.tls.as_ref().or(self.auth.tls.as_ref());
        tls.filter(|tls| !tls.insecure)
    }

    /// The brokers, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.brokers.join(",")
    }

    /// These settings as properties of librdkafka.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.address())
            .set("client.id", &self.client_id)
            .set(
                "topic.metadata.refresh.interval.ms",
                milliseconds(self.metadata.refresh_interval, 10, 3_600_000),
            )
            .set(
                "retry.backoff.ms",
                milliseconds(self.metadata.retry.backoff, 1, 1000),
            )
            .set(
                "connections.max.idle.ms",
                milliseconds(self.conn_idle_timeout, 0, 2_147_483_647),
            )
            // Back within a second of a broker's return, without a storm while it is away.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true");
        if self.resolve_canonical_bootstrap_servers_only {
            config.set(
                "client.dns.lookup",
                "resolve_canonical_bootstrap_servers_only",
            );
        }
        let credentials = self.auth.credentials();
        let protocol = match (self.tls().is_some(), credentials.is_some()) {
            (false, false) => "plaintext",
            (false, true) => "sasl_plaintext",
            (true, false) => "ssl",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some((mechanism, username, password)) = credentials {
            config
                .set("sasl.mechanisms", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password.expose());
        }
        if let Some(tls) = self.tls() {
            let files = [
                ("ssl.ca.location", &tls.ca_file),
                ("ssl.certificate.location", &tls.cert_file),
                ("ssl.key.location", &tls.key_file),
            ];
            for (name, path) in files {
                if let Some(path) = path {
                    config.set(name, path.to_string_lossy());
                }
            }
            let texts = [
                ("ssl.ca.pem", &tls.ca_pem),
                ("ssl.certificate.pem", &tls.cert_pem),
                ("ssl.key.pem", &tls.key_pem),
            ];
            for (name, text) in texts {
                if let Some(text) = text {
                    config.set(name, text.expose());
                }
            }
            if tls.insecure_skip_verify {
                config.set("enable.ssl.certificate.verification", "false");
            }
        }
        config
    }
}

impl Check for Client {
    fn check(&self, at: &mut Checker<'_>) {
        if self.brokers.iter().all(String::is_empty) {
            at.field("brokers").error("must not be empty");
        }
        for (index, broker) in self.brokers.iter().enumerate() {
            if broker.contains([',', '/']) {
                at.item("brokers", index)
                    .error(format!("expected host:port, found '{broker}'"));
            }
        }
        self.auth.check(&mut at.section("auth"));
        if self.auth.tls.is_some() {
            at.section("auth")
                .on("tls")
                .warning("'auth::tls' is deprecated; use 'tls' instead");
        }
        match (&self.tls, &self.auth.tls) {
            (Some(tls), _) => check_tls(tls, &mut at.section("tls")),
            (None, Some(tls)) => check_tls(tls, &mut at.section("auth").section("tls")),
            (None, None) => {}
        }
    }
}

fn check_tls(tls: &TlsClient, at: &mut Checker<'_>) {
    tls.check(at);
    if tls.insecure {
        return;
    }
    if !cfg!(feature = "tls") {
        at.error(
            "TLS to Kafka needs OpenSSL, which this binary was built without: build it with --features kafka-tls",
        );
    }
    // What librdkafka has no property for must not be passed over: it would be less safe than it looks.
    let unsupported = [
        ("server_name_override", tls.server_name_override.is_some()),
        (
            "include_system_ca_certs_pool",
            tls.include_system_ca_certs_pool && (tls.ca_file.is_some() || tls.ca_pem.is_some()),
        ),
        ("min_version", tls.min_version.is_some()),
        ("max_version", tls.max_version.is_some()),
        ("cipher_suites", !tls.cipher_suites.is_empty()),
        ("curve_preferences", !tls.curve_preferences.is_empty()),
    ];
    for (field, set) in unsupported {
        if set {
            at.field(field).error("is not supported for Kafka");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> String {
        match corten_config::from_str::<Client>(yaml) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn settings_become_properties() {
        let client: Client = corten_config::from_str(
            "{brokers: [a:1, b:2], client_id: me, auth: {sasl: {username: u, password: p, mechanism: PLAIN}}, \
             metadata: {refresh_interval: 1m, retry: {backoff: 1s}}, conn_idle_timeout: 1m}",
        )
        .unwrap();
        let config = client.config();
        for (name, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "me"),
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
            ("topic.metadata.refresh.interval.ms", "60000"),
            ("retry.backoff.ms", "1000"),
            ("connections.max.idle.ms", "60000"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        // librdkafka knows every one of them and takes the values.
        config.create_native_config().unwrap();
    }

    #[cfg(feature = "tls")]
    #[test]
    fn librdkafka_takes_certificates_and_scram() {
        let client: Client = corten_config::from_str(
            "{tls: {insecure_skip_verify: true, ca_file: /a, cert_file: /b, key_file: /c}, \
             auth: {sasl: {username: u, password: p, mechanism: SCRAM-SHA-512}}}",
        )
        .unwrap();
        let config = client.config();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("ssl.ca.location"), Some("/a"));
        config.create_native_config().unwrap();
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert!(problems("brokers: []").contains("brokers must not be empty"));
        assert!(problems("brokers: ['http://a:1']").contains("expected host:port"));
        let sasl = |mechanism: &str| {
            problems(&format!(
                "auth: {{sasl: {{username: u, password: p, mechanism: {mechanism}}}}}"
            ))
        };
        assert_eq!(sasl("PLAIN"), "");
        assert!(sasl("OAUTHBEARER").contains("is not supported"));
        assert!(sasl("plain").contains("expected PLAIN, SCRAM-SHA-256"));
        assert!(problems("auth: {sasl: {mechanism: PLAIN}}").contains("username is required"));
        assert!(problems("auth: {kerberos: {realm: x}}").contains("Kerberos is not supported"));
        assert!(problems("tls: {min_version: '1.2'}").contains("min_version is not supported"));
        assert_eq!(problems("tls: {insecure: true}"), "");
        let built = cfg!(feature = "tls");
        assert_eq!(problems("tls: {}").contains("kafka-tls"), !built);
        assert_eq!(sasl("SCRAM-SHA-512").contains("kafka-tls"), !built);
    }
}
