//! What sends.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::{Check, Checker};
use crate::settings::{Auth, Headers, TlsClient};
use crate::types::{Duration, Optional};

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip.
    #[default]
    Gzip,
    /// zstd.
    Zstd,
    /// Snappy; over HTTP one block, over gRPC in its framing format, as each is usual.
    Snappy,
    /// Snappy in its framing format, for HTTP.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// zlib.
    Zlib,
    /// deflate, which is zlib by another name.
    Deflate,
    /// LZ4.
    Lz4,
    /// No compression.
    #[serde(alias = "")]
    None,
}

/// How hard to compress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CompressionParams {
    /// gzip, zlib and deflate: 1 (fastest) to 9 (smallest). zstd: 1 to 22. `0` or `-1`: the compression's own default.
    pub level: i32,
}

/// An HTTP client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpClient {
    /// Where to send: `http://host:port/path` or `https://…`.
    pub endpoint: String,
    /// A proxy to send through, `http://host:port`. By default the environment's `HTTP_PROXY`, `HTTPS_PROXY` and
    /// `NO_PROXY` say.
    pub proxy_url: String,
    /// How to speak TLS with an `https` endpoint.
    pub tls: TlsClient,
    /// How requests are compressed: `gzip`, `zstd`, `snappy`, `x-snappy-framed`, `zlib`, `deflate`, `lz4` or `none`.
    pub compression: Compression,
    /// How hard to compress.
    pub compression_params: CompressionParams,
    /// How long one request may take.
    pub timeout: Duration,
    /// Headers that are added to every request.
    pub headers: Headers,
    /// Authenticate with an extension. Off unless it is written.
    pub auth: Optional<Auth>,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub read_buffer_size: u64,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub write_buffer_size: u64,
    /// How many idle connections are kept. Deprecated: use `keepalive::max_idle_conns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_idle_conns: Option<u32>,
    /// How many idle connections are kept per host. Deprecated: use `keepalive::max_idle_conns_per_host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_idle_conns_per_host: Option<u32>,
    /// How long a connection may be idle before it is closed. Deprecated: use `keepalive::idle_conn_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_conn_timeout: Option<Duration>,
    /// Open a connection for every request. Deprecated: use `keepalive::enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_keep_alives: Option<bool>,
    /// How connections are kept for further requests.
    pub keepalive: HttpClientKeepalive,
    /// How many connections there may be per host; `0` means no limit.
    pub max_conns_per_host: u32,
    /// How long an HTTP/2 connection may be silent before the server is asked whether it is still there; `0` means
    /// never.
    pub http2_read_idle_timeout: Duration,
    /// How long the server may take to answer that; `0` means 15s.
    pub http2_ping_timeout: Duration,
    /// Speak HTTP/2 where the server can.
    pub force_attempt_http2: bool,
    /// Keep the cookies that the server sets. Accepted for compatibility; cookies are not kept.
    pub cookies: Optional<Cookies>,
    /// Extensions that see every request. Accepted for compatibility; none is known.
    pub middlewares: Vec<serde_json::Value>,
}

/// How a client keeps connections for further requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpClientKeepalive {
    /// Whether a connection may carry several requests.
    pub enabled: bool,
    /// How many idle connections are kept.
    pub max_idle_conns: u32,
    /// How many idle connections are kept per host; `0` means no limit of its own.
    pub max_idle_conns_per_host: u32,
    /// How long a connection may be idle before it is closed; `0` means no limit.
    pub idle_conn_timeout: Duration,
}

impl Default for HttpClientKeepalive {
    fn default() -> Self {
        Self {
            enabled: true,
            max_idle_conns: 100,
            max_idle_conns_per_host: 0,
            idle_conn_timeout: Duration::from_secs(90),
        }
    }
}

/// No settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cookies {}

impl Default for HttpClient {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            proxy_url: String::new(),
            tls: TlsClient::default(),
            compression: Compression::Gzip,
            compression_params: CompressionParams::default(),
            timeout: Duration::from_secs(30),
            headers: Headers::default(),
            auth: Optional::Off,
            read_buffer_size: 0,
            write_buffer_size: 512 << 10,
            max_idle_conns: None,
            max_idle_conns_per_host: None,
            idle_conn_timeout: None,
            disable_keep_alives: None,
            keepalive: HttpClientKeepalive::default(),
            max_conns_per_host: 0,
            http2_read_idle_timeout: Duration::ZERO,
            http2_ping_timeout: Duration::ZERO,
            force_attempt_http2: true,
            cookies: Optional::Off,
            middlewares: Vec::new(),
        }
    }
}

impl HttpClient {
    /// How connections are kept, with the deprecated settings resolved.
    pub fn keeps_alive(&self) -> HttpClientKeepalive {
        let keepalive = &self.keepalive;
        HttpClientKeepalive {
            enabled: self
                .disable_keep_alives
                .map_or(keepalive.enabled, |disabled| !disabled),
            max_idle_conns: self.max_idle_conns.unwrap_or(keepalive.max_idle_conns),
            max_idle_conns_per_host: self
                .max_idle_conns_per_host
                .unwrap_or(keepalive.max_idle_conns_per_host),
            idle_conn_timeout: self
                .idle_conn_timeout
                .unwrap_or(keepalive.idle_conn_timeout),
        }
    }
}

impl Check for HttpClient {
    /// Checks everything but that there is an endpoint, since not every component needs this one.
    fn check(&self, at: &mut Checker<'_>) {
        for (field, url) in [("endpoint", &self.endpoint), ("proxy_url", &self.proxy_url)] {
            if !url.is_empty()
                && let Err(error) = check_url(url)
            {
                at.section(field).error(error);
            }
        }
        self.tls.check(&mut at.section("tls"));
        headers(&self.headers, at);
        authenticated(&self.auth, at);
        for (old, new) in [
            ("max_idle_conns", "max_idle_conns"),
            ("max_idle_conns_per_host", "max_idle_conns_per_host"),
            ("idle_conn_timeout", "idle_conn_timeout"),
            ("disable_keep_alives", "enabled"),
        ] {
            if at.has(old) && at.has("keepalive") {
                at.on(old).error(format!(
                    "'{old}' is deprecated and cannot be used together with 'keepalive'"
                ));
            } else if at.has(old) {
                at.on(old).warning(format!(
                    "'{old}' is deprecated; use 'keepalive::{new}' instead"
                ));
            }
        }
        if !self.keeps_alive().enabled {
            return;
        }
        if !self.http2_ping_timeout.is_zero() && self.http2_read_idle_timeout.is_zero() {
            at.on("http2_ping_timeout")
                .warning("http2_ping_timeout means nothing without http2_read_idle_timeout");
        }
    }
}

/// Whether `url` is an absolute `http` or `https` URL.
///
/// # Errors
/// What was expected and found, for a message.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let error = || {
        format!(
            "expected a URL such as http://localhost:4318, found {}",
            crate::node::quoted(url)
        )
    };
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            url.get(..scheme.len())
                .filter(|start| start.eq_ignore_ascii_case(scheme))
                .and(url.get(scheme.len()..))
        })
        .ok_or_else(error)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let bad =
        url.chars().any(|c| c.is_whitespace() || c.is_control()) || !is_authority(host_and_port);
    if bad { Err(error()) } else { Ok(()) }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, after)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (
                host,
                after
                    .strip_prefix(':')
                    .or((!after.is_empty()).then_some("x")),
            ),
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    !host.is_empty()
        && port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

fn headers(headers: &Headers, at: &mut Checker<'_>) {
    for (name, value) in headers.iter() {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            at.section("headers").on(name).error(format!(
                "{} is not a header's name",
                crate::node::quoted(name)
            ));
        }
        if value.expose().chars().any(|c| c.is_control() && c != '\t') {
            at.section("headers")
                .field(name)
                .error("has a line break or another control character in its value");
        }
    }
}

fn authenticated(auth: &Optional<Auth>, at: &mut Checker<'_>) {
    if let Some(auth) = auth.as_ref()
        && auth.authenticator.is_none()
    {
        at.section("auth")
            .field("authenticator")
            .error("is required: name an extension");
    }
}

/// A gRPC client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcClient {
    /// Where to send: `host:port`. `http://` and `https://` are accepted and decide about TLS; `dns:///` and
    /// `passthrough:///` are accepted and mean nothing more; `unix:///path` is a socket of this machine.
    pub endpoint: String,
    /// How to speak TLS. On unless `tls::insecure` is set or the endpoint begins with `http://`.
    pub tls: TlsClient,
    /// How requests are compressed: `gzip`, `zstd`, `snappy` or `none`.
    pub compression: Compression,
    /// How long one request may take.
    pub timeout: Duration,
    /// Metadata that is added to every request.
    pub headers: Headers,
    /// When the server is asked whether it is still there. Off unless it is written.
    pub keepalive: Optional<KeepaliveClient>,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub read_buffer_size: u64,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub write_buffer_size: u64,
    /// Wait for the connection, up to `timeout`, instead of failing at once while there is none.
    pub wait_for_ready: bool,
    /// How to choose among the addresses of a name: `round_robin` sends to all of them in turn, over a connection to each,
    /// and asks the name service again every 15 seconds; `pick_first` keeps to one until its connection breaks.
    pub balancer_name: String,
    /// The `:authority` to send, when it is not the endpoint.
    pub authority: String,
    /// The `User-Agent` to send instead of Corten's own.
    pub user_agent: String,
    /// Authenticate with an extension. Off unless it is written.
    pub auth: Optional<Auth>,
    /// Extensions that see every request. Accepted for compatibility; none is known.
    pub middlewares: Vec<serde_json::Value>,
}

impl Default for GrpcClient {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            tls: TlsClient::default(),
            compression: Compression::Gzip,
            timeout: Duration::from_secs(5),
            headers: Headers::default(),
            keepalive: Optional::Off,
            read_buffer_size: 0,
            write_buffer_size: 512 << 10,
            wait_for_ready: false,
            balancer_name: "round_robin".to_owned(),
            authority: String::new(),
            user_agent: String::new(),
            auth: Optional::Off,
            middlewares: Vec::new(),
        }
    }
}

/// Where a gRPC client connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host and a port.
    Tcp {
        /// `host:port`, an IPv6 address in brackets.
        authority: String,
        /// Whether to speak TLS.
        tls: bool,
    },
    /// A socket of this machine.
    Unix {
        /// The socket's path.
        path: String,
    },
}

/// The endpoint of a gRPC client cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError(String);

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TargetError {}

impl GrpcClient {
    /// Where to connect to.
    ///
    /// # Errors
    /// When there is no endpoint, or it names no host and port.
    pub fn target(&self) -> Result<Target, TargetError> {
        let endpoint = self.endpoint.trim();
        if endpoint.is_empty() {
            return Err(TargetError("requires a non-empty \"endpoint\"".to_owned()));
        }
        if let Some(path) = endpoint.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Target::Unix {
                    path: path.to_owned(),
                }),
                false => Err(TargetError(format!(
                    "expected unix:///path, found {}",
                    crate::node::quoted(endpoint)
                ))),
            };
        }
        let (rest, tls) = if let Some(rest) = endpoint.strip_prefix("https://") {
            (rest, true)
        } else if let Some(rest) = endpoint.strip_prefix("http://") {
            (rest, false)
        } else {
            let rest = ["dns:///", "dns:", "passthrough:///", "passthrough:"]
                .iter()
                .find_map(|scheme| endpoint.strip_prefix(scheme));
            (rest.unwrap_or(endpoint), !self.tls.insecure)
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let has_port = rest.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !is_authority(rest) || !has_port {
            let found = crate::node::quoted(endpoint);
            return Err(TargetError(format!(
                "expected host:port such as localhost:4317, found {found}"
            )));
        }
        Ok(Target::Tcp {
            authority: rest.to_owned(),
            tls,
        })
    }
}

impl Check for GrpcClient {
    fn check(&self, at: &mut Checker<'_>) {
        match self.target() {
            Err(error) if self.endpoint.is_empty() => at.on("endpoint").error(error.to_string()),
            Err(error) => at.section("endpoint").error(error.to_string()),
            Ok(_) => {}
        }
        if !matches!(
            self.compression,
            Compression::Gzip | Compression::Zstd | Compression::Snappy | Compression::None
        ) {
            at.field("compression")
                .error("must be gzip, zstd, snappy or none for gRPC");
        }
        self.tls.check(&mut at.section("tls"));
        headers(&self.headers, at);
        authenticated(&self.auth, at);
    }
}

/// When a gRPC client asks the server whether it is still there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KeepaliveClient {
    /// How long nothing may arrive before the server is asked.
    pub time: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// Ask without requests under way, too.
    pub permit_without_stream: bool,
}

impl Default for KeepaliveClient {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            permit_without_stream: false,
        }
    }
}
