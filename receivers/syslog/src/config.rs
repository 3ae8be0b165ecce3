//! What users set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_config::settings::TlsServer;
use corten_config::types::{ByteSize, ComponentId, Duration, Endpoint, Optional};
use corten_config::{Check, Checker};
use corten_operators::{Operators, syslog};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::Framing;

/// Settings of the `syslog` receiver. At least one of `tcp`, `udp` and `unix` is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Takes connections over TCP, with or without TLS.
    pub(crate) tcp: Optional<Tcp>,
    /// Takes datagrams over UDP.
    pub(crate) udp: Optional<Udp>,
    /// Takes messages through a socket in the file system, such as `/dev/log`.
    pub(crate) unix: Optional<Unix>,
    /// Which format messages have: `rfc5424` or `rfc3164`.
    pub(crate) protocol: Protocol,
    /// Where times of RFC 3164 are, which have no zone: a name such as `Europe/Berlin`, `UTC` or `Local`.
    pub(crate) location: String,
    /// Messages over TCP begin with how many bytes they have (RFC 6587, 3.4.1; rsyslog's and syslog-ng's "octet counted"). Those
    /// that do not end at a newline. With `rfc5424` only.
    pub(crate) enable_octet_counting: bool,
    /// The longest message that is counted; `tcp::max_log_size` when it is not set.
    pub(crate) max_octets: Option<ByteSize>,
    /// Also takes messages without `<priority>` at their beginning.
    pub(crate) allow_skip_pri_header: bool,
    /// What ends a message over TCP (RFC 6587, 3.4.2): `LF` or `NUL`. A newline by default. With `rfc5424` only.
    pub(crate) non_transparent_framing_trailer: Option<Trailer>,
    /// What becomes of a message that is none of the protocol: passed on as text (`send`, `send_quiet`) or dropped (`drop`,
    /// `drop_quiet`). It is counted in any case.
    pub(crate) on_error: OnError,
    /// What the body is: the message as it came (`raw`), or its text without what stands before, which is in attributes (`message`).
    pub(crate) body: Body,
    /// Attributes that every record gets.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets.
    pub(crate) resource: BTreeMap<String, String>,
    /// What is done with messages after they were parsed.
    pub(crate) operators: Operators,
    /// Accepted without effect: there is nothing to remember.
    pub(crate) storage: Option<ComponentId>,
    /// How what is refused for now is offered again. Always on; there is no end.
    pub(crate) retry_on_failure: RetryOnFailure,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tcp: Optional::Off,
            udp: Optional::Off,
            unix: Optional::Off,
            protocol: Protocol::Unset,
            location: "UTC".to_owned(),
            enable_octet_counting: false,
            max_octets: None,
            allow_skip_pri_header: false,
            non_transparent_framing_trailer: None,
            on_error: OnError::Send,
            body: Body::Raw,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            operators: Operators::default(),
            storage: None,
            retry_on_failure: RetryOnFailure::default(),
        }
    }
}

/// Connections over TCP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tcp {
    /// Where to listen, such as `0.0.0.0:601`.
    pub(crate) listen_address: Option<Endpoint>,
    /// The longest message; of a longer one the beginning remains.
    #[serde(alias = "max_buffer_size")]
    pub(crate) max_log_size: ByteSize,
    /// Speaks TLS. Off unless it is written.
    pub(crate) tls: Optional<TlsServer>,
    /// Adds the addresses of both ends: `net.transport`, `net.peer.ip`, `net.peer.port`, `net.host.ip`, `net.host.port`.
    pub(crate) add_attributes: bool,
    /// What comes over a connection until its end is one message.
    pub(crate) one_log_per_packet: bool,
    /// `utf-8` (bytes that are none become U+FFFD), `utf-8-raw`, `ascii` and `nop` (the same).
    pub(crate) encoding: String,
    /// Keeps white space at the beginning of messages.
    pub(crate) preserve_leading_whitespaces: bool,
    /// Keeps white space at the end of messages.
    pub(crate) preserve_trailing_whitespaces: bool,
    /// Connections at most. More are closed at once, and counted.
    pub(crate) max_connections: usize,
    /// A connection over which nothing came for so long is closed. `0`: never.
    pub(crate) idle_timeout: Duration,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            listen_address: None,
            max_log_size: ByteSize::mib(1),
            tls: Optional::Off,
            add_attributes: false,
            one_log_per_packet: false,
            encoding: "utf-8".to_owned(),
            preserve_leading_whitespaces: false,
            preserve_trailing_whitespaces: false,
            max_connections: 1024,
            idle_timeout: Duration::ZERO,
        }
    }
}

/// Datagrams over UDP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Udp {
    /// Where to listen, such as `0.0.0.0:514`.
    pub(crate) listen_address: Option<Endpoint>,
    /// Adds the addresses of both ends: `net.transport`, `net.peer.ip`, `net.peer.port`, `net.host.ip`, `net.host.port`.
    pub(crate) add_attributes: bool,
    /// A datagram is one message, as RFC 5426 has it. Without, each of its lines is one.
    pub(crate) one_log_per_packet: bool,
    /// `utf-8` (bytes that are none become U+FFFD), `utf-8-raw`, `ascii` and `nop` (the same).
    pub(crate) encoding: String,
    /// Keeps white space at the beginning of messages.
    pub(crate) preserve_leading_whitespaces: bool,
    /// Keeps white space at the end of messages.
    pub(crate) preserve_trailing_whitespaces: bool,
    /// The size of the kernel's buffer for datagrams that were not read yet; the system may allow less.
    pub(crate) receive_buffer: ByteSize,
    /// Accepted without effect: reading and sending never wait for each other.
    #[serde(rename = "async")]
    pub(crate) asynchronous: Optional<Asynchronous>,
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            listen_address: None,
            add_attributes: false,
            one_log_per_packet: true,
            encoding: "utf-8".to_owned(),
            preserve_leading_whitespaces: false,
            preserve_trailing_whitespaces: false,
            receive_buffer: ByteSize::mib(4),
            asynchronous: Optional::Off,
        }
    }
}

/// How many tasks the Collector has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Asynchronous {
    /// Without effect.
    pub(crate) readers: usize,
    /// Without effect.
    pub(crate) processors: usize,
    /// Without effect.
    pub(crate) max_queue_length: usize,
}

impl Default for Asynchronous {
    fn default() -> Self {
        Self {
            readers: 1,
            processors: 1,
            max_queue_length: 100,
        }
    }
}

/// A socket in the file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Unix {
    /// Its path, such as `/dev/log`. One that nobody listens at any more is replaced.
    pub(crate) path: PathBuf,
    /// What programs expect of it: datagrams (`datagram`, as `/dev/log` takes), or connections (`stream`).
    #[serde(rename = "type")]
    pub(crate) kind: SocketKind,
    /// Who may write to it, as `chmod` has it. For `/dev/log` it is `"0666"`.
    pub(crate) permissions: String,
    /// The longest message; of a longer one the beginning remains.
    pub(crate) max_log_size: ByteSize,
    /// Connections at most. More are closed at once, and counted.
    pub(crate) max_connections: usize,
}

impl Default for Unix {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            kind: SocketKind::Datagram,
            permissions: "0660".to_owned(),
            max_log_size: ByteSize::mib(1),
            max_connections: 1024,
        }
    }
}

impl Unix {
    /// The mode's bits.
    pub(crate) fn mode(&self) -> Option<u32> {
        let octal = self.permissions.len() <= 4
            && self.permissions.bytes().all(|b| (b'0'..=b'7').contains(&b));
        u32::from_str_radix(&self.permissions, 8)
            .ok()
            .filter(|mode| octal && *mode <= 0o777)
    }
}

/// What goes over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SocketKind {
    /// Datagrams.
    Datagram,
    /// Connections.
    Stream,
}

/// Which format messages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Not said, which is not allowed.
    #[serde(rename = "")]
    Unset,
    /// RFC 5424.
    #[serde(alias = "RFC5424")]
    Rfc5424,
    /// RFC 3164.
    #[serde(alias = "RFC3164")]
    Rfc3164,
}

/// What ends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Trailer {
    /// A newline.
    Lf,
    /// A zero byte.
    Nul,
}

/// What becomes of a message that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// Passed on as it is, and told.
    Send,
    /// Passed on as it is.
    SendQuiet,
    /// Dropped, and told.
    Drop,
    /// Dropped.
    DropQuiet,
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// All of it.
    Raw,
    /// The message's text.
    Message,
}

/// How a refusal is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RetryOnFailure {
    /// Without effect: always on.
    pub(crate) enabled: bool,
    /// The pause after the first refusal.
    pub(crate) initial_interval: Duration,
    /// The longest pause.
    pub(crate) max_interval: Duration,
    /// Without effect: there is no end.
    pub(crate) max_elapsed_time: Duration,
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::ZERO,
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if !(self.tcp.is_on() || self.udp.is_on() || self.unix.is_on()) {
            at.error("needs at least one of `tcp`, `udp` and `unix`, such as `tcp: {listen_address: 0.0.0.0:601}`");
        }
        if self.protocol == Protocol::Unset {
            at.on("protocol")
                .error("missing required field `protocol`: rfc5424 or rfc3164");
        }
        if let Err(error) = syslog::Parser::new(syslog::Protocol::Rfc3164, &self.location) {
            at.on("location").error(error.to_string());
        }
        let framed = self.enable_octet_counting || self.non_transparent_framing_trailer.is_some();
        if framed && self.protocol == Protocol::Rfc3164 {
            at.on("protocol").error(
                "octet_counting and non_transparent_framing are only compatible with protocol rfc5424",
            );
        }
        if self.enable_octet_counting && self.non_transparent_framing_trailer.is_some() {
            at.on("enable_octet_counting")
                .error("only one of octet_counting or non_transparent_framing can be enabled");
        }
        if self.enable_octet_counting && self.allow_skip_pri_header {
            at.on("allow_skip_pri_header")
                .error("needs `enable_octet_counting: false`");
        }
        if self.max_octets.is_some_and(|octets| octets.get() == 0) {
            at.field("max_octets").error("must be positive");
        }
        if let Some(tcp) = self.tcp.as_ref() {
            let mut at = at.section("tcp");
            tcp.check(&mut at);
        }
        if let Some(udp) = self.udp.as_ref() {
            let mut at = at.section("udp");
            address(&mut at, udp.listen_address.as_ref(), "0.0.0.0:514");
            encoding(&mut at, &udp.encoding);
        }
        if let Some(unix) = self.unix.as_ref() {
            let mut at = at.section("unix");
            if !unix.path.is_absolute() {
                at.field("path")
                    .error("must be an absolute path, such as /dev/log");
            }
            if unix.mode().is_none() {
                at.field("permissions")
                    .error("must be octal digits in quotes, such as \"0660\"");
            }
            sizes(&mut at, unix.max_log_size, unix.max_connections);
        }
        for (name, values) in [
            ("attributes", &self.attributes),
            ("resource", &self.resource),
        ] {
            if values.values().any(|value| value.starts_with("EXPR(")) {
                at.field(name)
                    .error("has an expression: take the operator `add` for it");
            }
        }
        // Their problems have places of their own.
        drop(self.operators.build(at.problems()));
    }
}

impl Tcp {
    fn check(&self, at: &mut Checker<'_>) {
        address(at, self.listen_address.as_ref(), "0.0.0.0:601");
        encoding(at, &self.encoding);
        sizes(at, self.max_log_size, self.max_connections);
        if let Some(tls) = self.tls.as_ref() {
            tls.check(&mut at.section("tls"));
        }
    }
}

fn address(at: &mut Checker<'_>, address: Option<&Endpoint>, example: &str) {
    if address.is_none() {
        at.on("listen_address").error(format!(
            "missing required field `listen_address`, such as {example}"
        ));
    }
}

fn encoding(at: &mut Checker<'_>, encoding: &str) {
    if !matches!(
        encoding,
        "" | "utf-8" | "utf8" | "utf-8-raw" | "ascii" | "nop"
    ) {
        at.field("encoding").error(
            "is not supported; supported are utf-8, utf-8-raw, ascii and nop, and bytes that are no UTF-8 become U+FFFD",
        );
    }
}

fn sizes(at: &mut Checker<'_>, max_log_size: ByteSize, max_connections: usize) {
    // A message that RFC 5424 wants everybody to take.
    if max_log_size.get() < 480 {
        at.field("max_log_size").error("must be at least 480 bytes");
    }
    if max_connections == 0 {
        at.field("max_connections").error("must be positive");
    }
}

impl Config {
    /// How messages are told apart in a stream, the longest of which has `limit` bytes.
    pub(crate) fn framing(&self, limit: ByteSize) -> Framing {
        let limit = limit.as_usize();
        if self.enable_octet_counting {
            let octets = self.max_octets.map_or(limit, ByteSize::as_usize);
            return Framing::Octets { limit: octets };
        }
        let end = match self.non_transparent_framing_trailer {
            Some(Trailer::Nul) => 0,
            Some(Trailer::Lf) | None => b'\n',
        };
        Framing::Ended { by: end, limit }
    }

    /// The parser of messages.
    pub(crate) fn parser(&self) -> Result<syslog::Parser, syslog::UnknownLocation> {
        let protocol = match self.protocol {
            Protocol::Rfc5424 => syslog::Protocol::Rfc5424,
            Protocol::Rfc3164 | Protocol::Unset => syslog::Protocol::Rfc3164,
        };
        let parser = syslog::Parser::new(protocol, &self.location)?;
        Ok(parser.allow_skip_pri(self.allow_skip_pri_header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn a_collectors_file_is_understood() {
        let config: Config = from_str(
            "tcp: {listen_address: '0.0.0.0:54526', max_log_size: 2MiB, add_attributes: true}\nudp: {listen_address: '0.0.0.0:54526', async: {readers: 2}}\n\
             protocol: rfc5424\nlocation: UTC\nenable_octet_counting: true\nmax_octets: 16384\nretry_on_failure: {enabled: true}\n",
        )
        .unwrap();
        let tcp = config.tcp.as_ref().unwrap();
        assert_eq!(
            config.framing(tcp.max_log_size),
            Framing::Octets { limit: 16384 }
        );
        assert!(config.udp.is_on());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (yaml, expected) in [
            ("{}", "needs at least one of `tcp`, `udp` and `unix`"),
            ("{}", "missing required field `protocol`"),
            ("tcp: {}", "tcp: missing required field `listen_address`"),
            ("udp: {listen_address: 'x'}", "host:port"),
            ("protocol: rfc9", "rfc5424"),
            ("location: Mars", "found 'Mars'"),
            (
                "protocol: rfc3164\nenable_octet_counting: true",
                "only compatible with protocol rfc5424",
            ),
            (
                "protocol: rfc5424\nenable_octet_counting: true\nnon_transparent_framing_trailer: LF",
                "only one of",
            ),
            (
                "enable_octet_counting: true\nallow_skip_pri_header: true",
                "needs `enable_octet_counting: false`",
            ),
            ("non_transparent_framing_trailer: CR", "CR"),
            (
                "tcp: {listen_address: ':1', encoding: utf-16}",
                "tcp: encoding is not supported",
            ),
            (
                "tcp: {listen_address: ':1', max_log_size: 10, max_connections: 0}",
                "max_log_size must be at least 480",
            ),
            (
                "tcp: {listen_address: ':1', tls: {}}",
                "must include both certificate and key",
            ),
            (
                "unix: {path: x, permissions: '0999'}",
                "unix: path must be an absolute path",
            ),
            (
                "unix: {path: /x, permissions: '0999'}",
                "permissions must be octal",
            ),
            ("operators: [{type: json_parse}]", "json_parse"),
            ("attributes: {a: EXPR(1)}", "attributes has an expression"),
        ] {
            let problems = from_str::<Config>(yaml).unwrap_err().to_string();
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }
}
