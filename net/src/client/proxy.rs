//! Proxies: the one of the settings, or those of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
//!
//! An `http` URL is sent to the proxy whole; for `https` the proxy is asked (`CONNECT`) for a tunnel, so that it sees
//! nothing of what goes through. This machine itself is never reached through a proxy of the environment.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SetupError;
use super::error::{ConnectError, in_words};

/// The longest answer of a proxy that is read.
const MAX_ANSWER: usize = 8 << 10;

/// Which proxy is meant for which URL.
pub(crate) struct Proxies {
    matcher: Matcher,
    /// From the settings, so meant for this machine as well.
    explicit: bool,
}

/// A proxy that is meant for a URL.
pub(crate) struct Proxy(Intercept);

impl Proxies {
    /// The proxy at `url`, or those of the environment when it is empty.
    pub(crate) fn new(url: &str) -> Result<Self, SetupError> {
        if url.is_empty() {
            return Ok(Self {
                matcher: Matcher::from_env(),
                explicit: false,
            });
        }
        let parsed = url.parse::<Uri>();
        if !parsed.is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
            return Err(SetupError::Proxy(
                "expected http://host:port; proxies that speak TLS or SOCKS are not supported"
                    .to_owned(),
            ));
        }
        Ok(Self {
            matcher: Matcher::builder().all(url).build(),
            explicit: true,
        })
    }

    /// No proxy, whatever the environment says.
    pub(crate) fn none() -> Self {
        Self {
            matcher: Matcher::builder().build(),
            explicit: true,
        }
    }

    pub(crate) fn to(&self, uri: &Uri) -> Option<Proxy> {
        if !self.explicit && is_this_machine(uri.host().unwrap_or_default()) {
            return None;
        }
        self.matcher.intercept(uri).map(Proxy)
    }

    /// `Proxy-Authorization` for a URL that is sent to a proxy whole.
    pub(crate) fn credentials(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme() != Some(&http::uri::Scheme::HTTP) {
            return None;
        }
        self.to(uri)?.0.basic_auth().cloned()
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

impl Proxy {
    /// Its host, without brackets, and its port.
    pub(crate) fn address(&self) -> Result<(String, u16), ConnectError> {
        let uri = self.0.uri();
        if uri.scheme_str() != Some("http") {
            let scheme = uri.scheme_str().unwrap_or_default();
            return Err(ConnectError(format!(
                "a proxy of the kind {scheme} is not supported: use http://"
            )));
        }
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']');
        Ok((host.to_owned(), uri.port_u16().unwrap_or(80)))
    }

    /// Asks the proxy for a tunnel to the host of `uri`.
    pub(crate) async fn tunnel(
        &self,
        mut stream: TcpStream,
        uri: &Uri,
        port: u16,
    ) -> Result<TcpStream, ConnectError> {
        let target = format!("{}:{port}", uri.host().unwrap_or_default());
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credentials) = self.0.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(credentials.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let lost = |error: std::io::Error| ConnectError(format!("the proxy: {}", in_words(&error)));
        stream.write_all(&request).await.map_err(lost)?;
        let mut answer = Vec::new();
        // Byte by byte, since whatever follows the answer belongs to the tunnel.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                return Err(ConnectError(
                    "the proxy answered with too long a header".to_owned(),
                ));
            }
            answer.push(stream.read_u8().await.map_err(lost)?);
        }
        let first = answer
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        let mut words = first.split(' ');
        let (version, status) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        if version.starts_with("HTTP/1.") && status.starts_with('2') {
            Ok(stream)
        } else {
            Err(ConnectError(format!(
                "the proxy gives no tunnel to {target}: {first}"
            )))
        }
    }
}
