//! What users set: the Collector's keys around those of a `prometheus.yml`.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use corten_config::settings::{TlsClient, TlsVersion};
use corten_config::types::{ByteSize, Duration, OneOrMany, Secret};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::relabel::Rule;

/// Settings of the `prometheus` receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// What a `prometheus.yml` says: `global` and `scrape_configs`.
    pub(crate) config: PrometheusYml,
    /// Leave out of metrics' names what the type and the unit say: `_total` of counters, and the unit that the page names
    /// (`# UNIT`).
    pub(crate) trim_metric_suffixes: bool,
    /// The OpenTelemetry operator's target allocator. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_allocator: Option<Value>,
    /// A server with Prometheus's own pages. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_server: Option<Value>,
}

/// The part of a `prometheus.yml` that is about scraping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct PrometheusYml {
    /// What is the same for every job that does not say otherwise.
    pub(crate) global: Global,
    /// Whom to scrape, and how.
    pub(crate) scrape_configs: Vec<ScrapeConfig>,
    /// Files with more of them, by patterns such as `/etc/corten/scrape.d/*.yaml`; read at the start.
    pub(crate) scrape_config_files: Vec<String>,
    /// Rules are Prometheus's. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule_files: Option<Value>,
    /// Alerts are Prometheus's. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alerting: Option<Value>,
    /// Sending is an exporter's. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_write: Option<Value>,
    /// Reading is Prometheus's. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_read: Option<Value>,
    /// Accepted for compatibility; nothing is stored here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<Value>,
}

/// What is the same for every job that does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Global {
    #[serde(flatten)]
    pub(crate) pace: Pace,
    #[serde(flatten)]
    pub(crate) limits: Limits,
}

corten_config::squash!(Global { pace, limits });

/// When is scraped, and what every series is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Pace {
    /// How often every target is scraped.
    pub(crate) scrape_interval: Duration,
    /// How long a scrape may take. Never longer than the interval.
    pub(crate) scrape_timeout: Duration,
    /// Labels that every series gets that has none of the name.
    pub(crate) external_labels: BTreeMap<String, String>,
    /// Accepted for compatibility; rules are Prometheus's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evaluation_interval: Option<Duration>,
    /// Which formats are asked for, the best liked first, by every job that has no list of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrape_protocols: Option<Vec<Protocol>>,
    /// Accepted for compatibility; every name in UTF-8 is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metric_name_validation_scheme: Option<NameScheme>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            external_labels: BTreeMap::new(),
            evaluation_interval: None,
            scrape_protocols: None,
            metric_name_validation_scheme: None,
        }
    }
}

/// What a job may bring at most; `0` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Limits {
    /// Bytes of a page after decompression. Without it, 256MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_size_limit: Option<ByteSize>,
    /// Samples of a page, after relabeling. A page with more is as good as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_limit: Option<u64>,
    /// Labels of a series. A page with a series that has more is as good as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_limit: Option<u64>,
    /// Bytes of a label's name, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_name_length_limit: Option<u64>,
    /// Bytes of a label's value, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_value_length_limit: Option<u64>,
    /// Targets of a job, after relabeling. With more, every scrape of the job fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_limit: Option<u64>,
}

impl Limits {
    /// These, and where nothing is said, those of `global`.
    pub(crate) fn over(self, global: Self) -> Self {
        Self {
            body_size_limit: self.body_size_limit.or(global.body_size_limit),
            sample_limit: self.sample_limit.or(global.sample_limit),
            label_limit: self.label_limit.or(global.label_limit),
            label_name_length_limit: self
                .label_name_length_limit
                .or(global.label_name_length_limit),
            label_value_length_limit: self
                .label_value_length_limit
                .or(global.label_value_length_limit),
            target_limit: self.target_limit.or(global.target_limit),
        }
    }
}

/// A job: targets that are scraped alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ScrapeConfig {
    #[serde(flatten)]
    pub(crate) job: Job,
    #[serde(flatten)]
    pub(crate) access: Access,
    #[serde(flatten)]
    pub(crate) limits: Limits,
}

corten_config::squash!(ScrapeConfig {
    job,
    access,
    limits
});

/// What is a job's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Job {
    /// The job's name: the label `job`, and `service.name` of what it brings. Every job has another.
    pub(crate) job_name: String,
    /// How often its targets are scraped. Without it, what `global` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrape_interval: Option<Duration>,
    /// How long a scrape may take. Without it, what `global` says, or the interval where that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrape_timeout: Option<Duration>,
    /// Where the page is.
    pub(crate) metrics_path: String,
    /// `http` or `https`.
    pub(crate) scheme: Scheme,
    /// Parameters of the URL.
    pub(crate) params: BTreeMap<String, OneOrMany<String>>,
    /// Keep the page's own labels where they are called as the target's are. Without it they become `exported_…`.
    pub(crate) honor_labels: bool,
    /// Take times from the page, where it has them.
    pub(crate) honor_timestamps: bool,
    /// Tell of the end of series whose times the page says, too.
    pub(crate) track_timestamps_staleness: bool,
    /// Ask for gzip.
    pub(crate) enable_compression: bool,
    /// Which formats are asked for, the best liked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrape_protocols: Option<Vec<Protocol>>,
    /// What a page is that does not say.
    pub(crate) fallback_scrape_protocol: Protocol,
    /// Accepted for compatibility; every name in UTF-8 is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metric_name_validation_scheme: Option<NameScheme>,
    /// Accepted for compatibility; text formats have classic histograms alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) always_scrape_classic_histograms: Option<bool>,
    /// Accepted for compatibility; text formats have classic histograms alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrape_native_histograms: Option<bool>,
    /// Accepted for compatibility; targets that are left out are not kept.
    pub(crate) keep_dropped_targets: u64,
    /// Targets that are written here.
    pub(crate) static_configs: Vec<Group>,
    /// Targets that files name.
    pub(crate) file_sd_configs: Vec<FileDiscovery>,
    /// Targets that an HTTP server names.
    pub(crate) http_sd_configs: Vec<HttpDiscovery>,
    /// Targets that the name service has addresses of.
    pub(crate) dns_sd_configs: Vec<DnsDiscovery>,
    /// Targets that are objects of Kubernetes.
    pub(crate) kubernetes_sd_configs: Vec<KubernetesDiscovery>,
    /// Rules that choose targets and make their labels.
    pub(crate) relabel_configs: Vec<Rule>,
    /// Rules that choose series and make their labels.
    pub(crate) metric_relabel_configs: Vec<Rule>,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            scrape_interval: None,
            scrape_timeout: None,
            metrics_path: "/metrics".to_owned(),
            scheme: Scheme::Http,
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            scrape_protocols: None,
            fallback_scrape_protocol: Protocol::Text004,
            metric_name_validation_scheme: None,
            always_scrape_classic_histograms: None,
            scrape_native_histograms: None,
            keep_dropped_targets: 0,
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
        }
    }
}

/// How a target is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    /// Without TLS.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A format of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Protocol {
    /// Protobuf. Accepted for compatibility; not asked for.
    #[serde(rename = "PrometheusProto")]
    Proto,
    /// Prometheus's text, version 0.0.4.
    #[serde(rename = "PrometheusText0.0.4")]
    Text004,
    /// Prometheus's text, version 1.0.0: with names in quotes.
    #[serde(rename = "PrometheusText1.0.0")]
    Text100,
    /// OpenMetrics 0.0.1.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetrics001,
    /// OpenMetrics 1.0.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetrics100,
}

impl Protocol {
    /// What Prometheus asks for.
    pub(crate) const USUAL: [Self; 4] = [
        Self::OpenMetrics100,
        Self::OpenMetrics001,
        Self::Text100,
        Self::Text004,
    ];

    /// As `Accept` has it.
    pub(crate) fn media_type(self) -> Option<&'static str> {
        Some(match self {
            Self::Proto => return None,
            Self::Text004 => "text/plain;version=0.0.4",
            Self::Text100 => "text/plain;version=1.0.0;escaping=allow-utf-8",
            Self::OpenMetrics001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetrics100 => {
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
            }
        })
    }

    pub(crate) fn is_open_metrics(self) -> bool {
        matches!(self, Self::OpenMetrics001 | Self::OpenMetrics100)
    }
}

/// Which names are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NameScheme {
    /// Every text.
    Utf8,
    /// Letters, digits, underscores and colons.
    Legacy,
}

/// How an HTTP server is reached, and who one is to it: Prometheus's `http_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Access {
    /// A name and a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) basic_auth: Option<BasicAuth>,
    /// What the header `Authorization` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization: Option<Authorization>,
    /// A bearer token. Older than `authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bearer_token: Option<Secret>,
    /// A file with a bearer token, read again when it changes. Older than `authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// OAuth 2.0. Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oauth2: Option<Value>,
    /// How to speak TLS.
    pub(crate) tls_config: TlsConfig,
    /// A proxy, `http://host:port`.
    pub(crate) proxy_url: String,
    /// Use the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
    pub(crate) proxy_from_environment: bool,
    /// Go where the server points to.
    pub(crate) follow_redirects: bool,
    /// Speak HTTP/2 where the server can.
    pub(crate) enable_http2: bool,
    /// More headers.
    pub(crate) http_headers: BTreeMap<String, Header>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            bearer_token: None,
            bearer_token_file: None,
            oauth2: None,
            tls_config: TlsConfig::default(),
            proxy_url: String::new(),
            proxy_from_environment: false,
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
        }
    }
}

/// A name and a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct BasicAuth {
    /// The name.
    pub(crate) username: String,
    /// A file with the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username_file: Option<PathBuf>,
    /// The password.
    pub(crate) password: Secret,
    /// A file with the password, read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
}

/// What the header `Authorization` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Authorization {
    /// The kind of credentials.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The credentials.
    pub(crate) credentials: Secret,
    /// A file with the credentials, read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            kind: "Bearer".to_owned(),
            credentials: Secret::default(),
            credentials_file: None,
        }
    }
}

/// A header's values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Header {
    /// Values.
    pub(crate) values: Vec<String>,
    /// Values that are not shown.
    pub(crate) secrets: Vec<Secret>,
}

/// How to speak TLS, with Prometheus's keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct TlsConfig {
    /// The authorities that sign servers' certificates, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<Secret>,
    /// A file with them. Without either, the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The certificate to present, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// The name that the server's certificate has to have, when it is not the address's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    /// Accept any certificate.
    pub(crate) insecure_skip_verify: bool,
    /// The oldest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_version: Option<Tls>,
    /// The newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_version: Option<Tls>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Tls {
    /// 1.0.
    #[serde(rename = "TLS10")]
    V10,
    /// 1.1.
    #[serde(rename = "TLS11")]
    V11,
    /// 1.2.
    #[serde(rename = "TLS12")]
    V12,
    /// 1.3.
    #[serde(rename = "TLS13")]
    V13,
}

impl TlsConfig {
    /// The same with the Collector's keys.
    pub(crate) fn settings(&self) -> TlsClient {
        let version = |version: Option<Tls>| {
            version.map(|version| match version {
                Tls::V10 => TlsVersion::V1_0,
                Tls::V11 => TlsVersion::V1_1,
                Tls::V12 => TlsVersion::V1_2,
                Tls::V13 => TlsVersion::V1_3,
            })
        };
        TlsClient {
            insecure_skip_verify: self.insecure_skip_verify,
            server_name_override: self.server_name.clone(),
            ca_file: self.ca_file.clone(),
            ca_pem: self.ca.clone(),
            cert_file: self.cert_file.clone(),
            cert_pem: self.cert.clone(),
            key_file: self.key_file.clone(),
            key_pem: self.key.clone(),
            min_version: version(self.min_version),
            max_version: version(self.max_version),
            ..TlsClient::default()
        }
    }
}

/// Targets and labels that all of them have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Group {
    /// Addresses, `host:port`.
    pub(crate) targets: Vec<String>,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Check for Group {}

/// Targets that files name: JSON or YAML, a list of groups as in `static_configs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct FileDiscovery {
    /// The files, by patterns such as `/etc/targets/*.json`.
    pub(crate) files: Vec<String>,
    /// How often they are looked at, at least. A change of a file is seen within seconds.
    pub(crate) refresh_interval: Duration,
}

impl Default for FileDiscovery {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            refresh_interval: Duration::from_secs(300),
        }
    }
}

/// Targets that an HTTP server names: JSON, a list of groups as in `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct HttpDiscovery {
    #[serde(flatten)]
    pub(crate) list: HttpList,
    #[serde(flatten)]
    pub(crate) access: Access,
}

corten_config::squash!(HttpDiscovery { list, access });

/// Where the list is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HttpList {
    /// The list's URL.
    pub(crate) url: String,
    /// How often it is asked for.
    pub(crate) refresh_interval: Duration,
}

impl Default for HttpList {
    fn default() -> Self {
        Self {
            url: String::new(),
            refresh_interval: Duration::from_secs(60),
        }
    }
}

/// Targets that the name service has addresses of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct DnsDiscovery {
    /// The names.
    pub(crate) names: Vec<String>,
    /// Which records: `A` and `AAAA` ask the system for the name's addresses.
    #[serde(rename = "type")]
    pub(crate) kind: Record,
    /// The port of every target.
    pub(crate) port: u16,
    /// How often it is asked.
    pub(crate) refresh_interval: Duration,
}

impl Default for DnsDiscovery {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            kind: Record::Srv,
            port: 0,
            refresh_interval: Duration::from_secs(30),
        }
    }
}

/// A kind of record of the name service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Record {
    /// Addresses of IPv4.
    A,
    /// Addresses of IPv6.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Services. Not supported.
    #[serde(rename = "SRV")]
    Srv,
    /// Mail servers. Not supported.
    #[serde(rename = "MX")]
    Mx,
    /// Name servers. Not supported.
    #[serde(rename = "NS")]
    Ns,
}

/// Targets that are objects of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct KubernetesDiscovery {
    /// What becomes a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// The API server's address, when it is not the one around the pod. Not supported: use `kubeconfig_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_server: Option<String>,
    /// A kubeconfig file. Without it, the pod's service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig_file: Option<PathBuf>,
    /// In which namespaces. By default in all.
    pub(crate) namespaces: Namespaces,
    /// Which objects, by their fields and labels.
    pub(crate) selectors: Vec<Selector>,
    /// What else targets are told about.
    pub(crate) attach_metadata: AttachMetadata,
    /// The node whose pods (role `pod`) and whose own object (role `node`) are watched. Without it, what the
    /// environment variables `KUBE_NODE_NAME` or `K8S_NODE_NAME` say; without these, the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Watch the whole cluster, whatever this node's name is.
    pub(crate) all_nodes: bool,
}

/// What becomes a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Every node, at its kubelet's port.
    Node,
    /// Every port of every pod.
    Pod,
    /// Every port of every service.
    Service,
    /// Every address and port behind services, from `Endpoints`.
    Endpoints,
    /// Every address and port behind services, from `EndpointSlice`.
    EndpointSlice,
    /// Every path of every ingress.
    Ingress,
}

/// Namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Namespaces {
    /// The one this pod is in.
    pub(crate) own_namespace: bool,
    /// These.
    pub(crate) names: Vec<String>,
}

/// Which objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Selector {
    /// Of which kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// A label selector, `app=web,tier!=db`.
    pub(crate) label: String,
    /// A field selector, `spec.nodeName=node-1`.
    pub(crate) field: String,
}

/// What else targets are told about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AttachMetadata {
    /// Their node's labels and annotations, for pods and endpoints.
    pub(crate) node: bool,
    /// Their namespace's labels and annotations.
    pub(crate) namespace: bool,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.target_allocator.is_some() {
            at.on("target_allocator").error(
                "the operator's target allocator is not supported: discover targets with kubernetes_sd_configs on every node, which watches that node's pods alone",
            );
        }
        if self.api_server.is_some() {
            at.on("api_server").error(
                "Prometheus's own pages are not served here: leave api_server out; targets' states are in the metric up and in corten_prometheus_scrapes_total",
            );
        }
        self.config.check(&mut at.section("config"));
    }
}

impl Check for PrometheusYml {
    fn check(&self, at: &mut Checker<'_>) {
        for (key, given, whose) in [
            (
                "rule_files",
                &self.rule_files,
                "rules are evaluated by Prometheus",
            ),
            ("alerting", &self.alerting, "alerts are sent by Prometheus"),
            (
                "remote_write",
                &self.remote_write,
                "name an exporter in the pipeline in its place",
            ),
            ("remote_read", &self.remote_read, "nothing is queried here"),
        ] {
            if given.is_some() {
                at.on(key)
                    .error(format!("unsupported feature '{key}': {whose}"));
            }
        }
        if self.scrape_configs.is_empty() && self.scrape_config_files.is_empty() {
            at.error("no Prometheus scrape_configs: say whom to scrape");
        }
        let pace = &self.global.pace;
        for (key, value) in [
            ("scrape_interval", pace.scrape_interval),
            ("scrape_timeout", pace.scrape_timeout),
        ] {
            if value.is_zero() {
                at.section("global")
                    .field(key)
                    .error("must be greater than zero");
            }
        }
        let mut names = HashSet::new();
        for (index, config) in self.scrape_configs.iter().enumerate() {
            let at = &mut at.item("scrape_configs", index);
            config.check(at);
            let name = &config.job.job_name;
            if !name.is_empty() && !names.insert(name) {
                at.on("job_name").error(format!(
                    "found multiple scrape configs with job name \"{name}\""
                ));
            }
            if let Some(timeout) = config.job.scrape_timeout
                && timeout > config.job.scrape_interval.unwrap_or(pace.scrape_interval)
            {
                at.field("scrape_timeout")
                    .error("must not be greater than the interval between scrapes");
            }
        }
    }
}

impl Check for ScrapeConfig {
    fn check(&self, at: &mut Checker<'_>) {
        let job = &self.job;
        if job.job_name.is_empty() {
            at.error("job_name is empty: every job needs a name");
        }
        for (key, value) in [
            ("scrape_interval", job.scrape_interval),
            ("scrape_timeout", job.scrape_timeout),
        ] {
            if value.is_some_and(Duration::is_zero) {
                at.field(key).error("must be greater than zero");
            }
        }
        if job.fallback_scrape_protocol == Protocol::Proto {
            at.field("fallback_scrape_protocol")
                .error("cannot be PrometheusProto: pages in protobuf are not read here");
        }
        let only_proto = |list: &Vec<Protocol>| list.iter().all(|one| one.media_type().is_none());
        if job.scrape_protocols.as_ref().is_some_and(only_proto) {
            at.field("scrape_protocols").error(
                "names no format that is read here: add OpenMetricsText1.0.0 or PrometheusText0.0.4",
            );
        }
        self.access.check(at);
        for (index, one) in job.static_configs.iter().enumerate() {
            for target in one.targets.iter().filter(|target| target.contains('/')) {
                at.item("static_configs", index).error(format!(
                    "'{target}' is no address: write host:port; the scheme and the path are scheme and metrics_path"
                ));
            }
        }
        for (index, one) in job.file_sd_configs.iter().enumerate() {
            let at = &mut at.item("file_sd_configs", index);
            if one.files.is_empty() {
                at.error("files is empty: name at least one file");
            }
            for file in &one.files {
                if let Err(error) = globset::Glob::new(file) {
                    at.field("files")
                        .error(format!("has a bad pattern: {error}"));
                }
            }
        }
        for (index, one) in job.http_sd_configs.iter().enumerate() {
            let at = &mut at.item("http_sd_configs", index);
            if !one.list.url.starts_with("http://") && !one.list.url.starts_with("https://") {
                at.field("url").error("has to be http://… or https://…");
            }
            one.access.check(at);
        }
        for (index, one) in job.dns_sd_configs.iter().enumerate() {
            let at = &mut at.item("dns_sd_configs", index);
            if one.names.is_empty() {
                at.error("names is empty: name at least one");
            }
            match one.kind {
                Record::A | Record::Aaaa if one.port == 0 => {
                    at.error("port is missing: records of addresses have none");
                }
                Record::A | Record::Aaaa => {}
                Record::Srv | Record::Mx | Record::Ns => at
                    .on("type")
                    .error("only the types A and AAAA are supported, with a port"),
            }
        }
        for (index, one) in job.kubernetes_sd_configs.iter().enumerate() {
            one.check(&mut at.item("kubernetes_sd_configs", index));
        }
        for (list, rules) in [
            ("relabel_configs", &job.relabel_configs),
            ("metric_relabel_configs", &job.metric_relabel_configs),
        ] {
            for (index, rule) in rules.iter().enumerate() {
                rule.check(&mut at.item(list, index));
            }
        }
    }
}

impl Check for KubernetesDiscovery {
    fn check(&self, at: &mut Checker<'_>) {
        if self.role.is_none() {
            at.error(
                "role is missing: one of node, pod, service, endpoints, endpointslice, ingress",
            );
        }
        if self.api_server.is_some() {
            at.on("api_server").error(
                "api_server is not supported: use kubeconfig_file, or the pod's service account without both",
            );
        }
        for (index, one) in self.selectors.iter().enumerate() {
            if one.role.is_none() {
                at.item("selectors", index)
                    .error("role is missing: which objects the selector is for");
            }
        }
    }
}

impl Check for Access {
    fn check(&self, at: &mut Checker<'_>) {
        if self.oauth2.is_some() {
            at.on("oauth2").error(
                "oauth2 is not supported: use authorization with a credentials_file that something else renews",
            );
        }
        let ways = [
            self.basic_auth.is_some(),
            self.authorization.is_some(),
            self.bearer_token.is_some(),
            self.bearer_token_file.is_some(),
        ];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            at.error(
                "at most one of basic_auth, authorization, bearer_token and bearer_token_file can be set",
            );
        }
        if let Some(basic) = &self.basic_auth {
            let at = &mut at.section("basic_auth");
            if !basic.username.is_empty() && basic.username_file.is_some() {
                at.error("at most one of username and username_file can be set");
            }
            if !basic.password.is_empty() && basic.password_file.is_some() {
                at.error("at most one of password and password_file can be set");
            }
        }
        if let Some(authorization) = &self.authorization {
            let at = &mut at.section("authorization");
            if !authorization.credentials.is_empty() && authorization.credentials_file.is_some() {
                at.error("at most one of credentials and credentials_file can be set");
            }
            if authorization.kind.eq_ignore_ascii_case("basic") {
                at.on("type").error(
                    "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
                );
            }
        }
        if !self.proxy_url.is_empty() && self.proxy_from_environment {
            at.error("at most one of proxy_url and proxy_from_environment can be set");
        }
        self.tls_config
            .settings()
            .check(&mut at.section("tls_config"));
    }
}

#[cfg(test)]
mod tests;
