//! What listens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::{Check, Checker};
use crate::settings::{Auth, Headers, TlsServer};
use crate::types::{Duration, Endpoint, Optional};

/// An HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpServer {
    /// Where to listen: `host:port`. Without a host, `:port`, every machine that can reach this one can connect.
    pub endpoint: Endpoint,
    /// `tcp`, or `tcp4` or `tcp6` for one version of IP alone.
    pub transport: Transport,
    /// Speak HTTPS. Off unless it is written.
    pub tls: Optional<TlsServer>,
    /// Let pages of other sites send requests from a browser. Off unless it is written.
    pub cors: Optional<Cors>,
    /// Let in only what an extension has authenticated. Off unless it is written.
    pub auth: Optional<Auth>,
    /// The largest request in bytes, before and after decompression.
    pub max_request_body_size: u64,
    /// Hand the request's headers on to the pipeline, for components that look at them.
    pub include_metadata: bool,
    /// Headers that are added to every response.
    pub response_headers: Headers,
    /// The `Content-Encoding`s that are accepted; `""` is no compression. All that are known when empty.
    pub compression_algorithms: Vec<String>,
    /// How long a whole request may take to arrive; `0` means no limit.
    pub read_timeout: Duration,
    /// How long a request's headers may take to arrive; `0` means no limit.
    pub read_header_timeout: Duration,
    /// How long a request may take to be answered; `0` means no limit.
    pub write_timeout: Duration,
    /// How long a connection may be idle before it is closed; `0` means no limit. Deprecated: use
    /// `keepalive::idle_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Whether a connection may carry several requests. Deprecated: use `keepalive::enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alives_enabled: Option<bool>,
    /// How connections are kept for further requests.
    pub keepalive: HttpKeepalive,
    /// How many connections may be open at the same time; more wait to be accepted. `0` means no limit.
    pub max_connections: u32,
    /// Extensions that see every request. Accepted for compatibility; none is known.
    pub middlewares: Vec<serde_json::Value>,
}

impl HttpServer {
    /// The defaults, listening at `host` and `port`.
    pub fn at(host: &str, port: u16) -> Self {
        Self {
            endpoint: Endpoint::new(host, port),
            transport: Transport::Tcp,
            tls: Optional::Off,
            cors: Optional::Off,
            auth: Optional::Off,
            max_request_body_size: 20 << 20,
            include_metadata: false,
            response_headers: Headers::default(),
            compression_algorithms: Vec::new(),
            read_timeout: Duration::ZERO,
            read_header_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: None,
            keep_alives_enabled: None,
            keepalive: HttpKeepalive::default(),
            max_connections: 16_384,
            middlewares: Vec::new(),
        }
    }

    /// How long a connection may be idle; `None` means no limit.
    pub fn idle(&self) -> Option<std::time::Duration> {
        self.idle_timeout
            .unwrap_or(self.keepalive.idle_timeout)
            .non_zero()
    }

    /// Whether a connection may carry several requests.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alives_enabled.unwrap_or(self.keepalive.enabled)
    }
}

/// A component gives its own endpoint with [`HttpServer::at`]; this one lets the system choose the port.
impl Default for HttpServer {
    fn default() -> Self {
        Self::at("localhost", 0)
    }
}

impl Check for HttpServer {
    fn check(&self, at: &mut Checker<'_>) {
        for old in ["idle_timeout", "keep_alives_enabled"] {
            let new = if old == "idle_timeout" {
                "keepalive::idle_timeout"
            } else {
                "keepalive::enabled"
            };
            if at.has(old) && at.has("keepalive") {
                at.on(old).error(format!(
                    "'{old}' is deprecated and cannot be used together with 'keepalive'"
                ));
            } else if at.has(old) {
                at.on(old)
                    .warning(format!("'{old}' is deprecated; use '{new}' instead"));
            }
        }
        if self.max_request_body_size == 0 {
            at.field("max_request_body_size").error("must be positive");
        }
        for (index, algorithm) in self.compression_algorithms.iter().enumerate() {
            const KNOWN: [&str; 8] = [
                "",
                "gzip",
                "zstd",
                "zlib",
                "snappy",
                "x-snappy-framed",
                "deflate",
                "lz4",
            ];
            if !KNOWN.contains(&algorithm.as_str()) {
                at.item("compression_algorithms", index)
                    .error(format!("unknown compression '{algorithm}' (valid: gzip, zstd, zlib, snappy, x-snappy-framed, deflate, lz4)"));
            }
        }
        if let Some(tls) = self.tls.as_ref() {
            tls.check(&mut at.section("tls"));
        }
        if let Some(auth) = self.auth.as_ref()
            && auth.authenticator.is_none()
        {
            at.section("auth")
                .field("authenticator")
                .error("is required: name an extension");
        }
    }
}

/// What a server listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP over IPv4 and IPv6.
    #[default]
    Tcp,
    /// TCP over IPv4 alone.
    Tcp4,
    /// TCP over IPv6 alone.
    Tcp6,
}

/// Which pages of other sites may send requests from a browser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cors {
    /// The origins to let in, such as `https://app.example.com` or `https://*.example.com`; `*` lets in all.
    pub allowed_origins: Vec<String>,
    /// Headers that a page may send beside the simple ones (`Accept`, `Content-Type`, …); `*` allows all.
    pub allowed_headers: Vec<String>,
    /// Headers of the response that a page may read.
    pub exposed_headers: Vec<String>,
    /// For how many seconds a browser may remember the answer to its question; `0` leaves it to the browser.
    pub max_age: u32,
}

/// How a server keeps connections for further requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpKeepalive {
    /// Whether a connection may carry several requests.
    pub enabled: bool,
    /// How long a connection may be idle before it is closed; `0` means no limit.
    pub idle_timeout: Duration,
}

impl Default for HttpKeepalive {
    fn default() -> Self {
        Self {
            enabled: true,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// A gRPC server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcServer {
    /// Where to listen: `host:port`. Without a host, `:port`, every machine that can reach this one can connect.
    pub endpoint: Endpoint,
    /// `tcp`, or `tcp4` or `tcp6` for one version of IP alone.
    pub transport: Transport,
    /// Speak TLS. Off unless it is written.
    pub tls: Optional<TlsServer>,
    /// The largest message in MiB, before and after decompression; `0` means 4.
    pub max_recv_msg_size_mib: u32,
    /// How many requests one connection may have under way; `0` means no limit but the server's own.
    pub max_concurrent_streams: u32,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub read_buffer_size: u64,
    /// Accepted for compatibility; buffers grow with what they hold.
    pub write_buffer_size: u64,
    /// When connections are probed and closed.
    pub keepalive: KeepaliveServer,
    /// Let in only what an extension has authenticated. Off unless it is written.
    pub auth: Optional<Auth>,
    /// Hand the request's metadata on to the pipeline, for components that look at it.
    pub include_metadata: bool,
    /// How many connections may be open at the same time; more wait to be accepted. `0` means no limit.
    pub max_connections: u32,
    /// Extensions that see every request. Accepted for compatibility; none is known.
    pub middlewares: Vec<serde_json::Value>,
}

impl GrpcServer {
    /// The defaults, listening at `host` and `port`.
    pub fn at(host: &str, port: u16) -> Self {
        Self {
            endpoint: Endpoint::new(host, port),
            transport: Transport::Tcp,
            tls: Optional::Off,
            max_recv_msg_size_mib: 0,
            max_concurrent_streams: 0,
            read_buffer_size: 512 << 10,
            write_buffer_size: 0,
            keepalive: KeepaliveServer::default(),
            auth: Optional::Off,
            include_metadata: false,
            max_connections: 16_384,
            middlewares: Vec::new(),
        }
    }

    /// The largest message in bytes.
    pub fn max_message_size(&self) -> u64 {
        match self.max_recv_msg_size_mib {
            0 => 4 << 20,
            mib => u64::from(mib) << 20,
        }
    }
}

/// A component gives its own endpoint with [`GrpcServer::at`]; this one lets the system choose the port.
impl Default for GrpcServer {
    fn default() -> Self {
        Self::at("localhost", 0)
    }
}

impl Check for GrpcServer {
    fn check(&self, at: &mut Checker<'_>) {
        if let Some(tls) = self.tls.as_ref() {
            tls.check(&mut at.section("tls"));
        }
        if let Some(auth) = self.auth.as_ref()
            && auth.authenticator.is_none()
        {
            at.section("auth")
                .field("authenticator")
                .error("is required: name an extension");
        }
    }
}

/// When a gRPC server probes and closes connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KeepaliveServer {
    /// What the server does.
    pub server_parameters: ServerParameters,
    /// What it lets clients do.
    pub enforcement_policy: EnforcementPolicy,
}

/// How long a gRPC server keeps a connection. Zero means gRPC's own default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerParameters {
    /// How long a connection may be without requests before it is closed; no limit by default.
    pub max_connection_idle: Duration,
    /// How old a connection may become before it is closed, so that clients spread anew; no limit by default.
    pub max_connection_age: Duration,
    /// How long requests under way may still take after `max_connection_age`; no limit by default.
    pub max_connection_age_grace: Duration,
    /// How long nothing may arrive before the client is asked whether it is still there; 2h by default.
    pub time: Duration,
    /// How long the client may take to answer; 20s by default.
    pub timeout: Duration,
}

/// What a gRPC server lets clients do. Zero means gRPC's own default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnforcementPolicy {
    /// How often a client may ask whether the server is still there; 5m by default. Accepted for compatibility: a client
    /// that asks more often is not punished.
    pub min_time: Duration,
    /// Whether it may ask without requests under way. Accepted for compatibility.
    pub permit_without_stream: bool,
}
