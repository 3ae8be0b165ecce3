//! Where something listens.

use std::fmt;
use std::str::FromStr;

/// A host and a port to listen at, such as `localhost:4317`, `0.0.0.0:9100`, `[::1]:80` or `:8080` (every address of the
/// machine). Port 0 lets the system choose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// `host` is a name or an address, an IPv6 one without its brackets; empty for every address.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The name or address, without brackets; empty for every address of the machine.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reachable from other machines: neither `localhost` nor a loopback address.
    pub fn is_public(&self) -> bool {
        match self.host.parse::<std::net::IpAddr>() {
            Ok(address) => !address.is_loopback(),
            Err(_) => self.host != "localhost",
        }
    }
}

/// The text is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseEndpointError {
    /// There is no port, or it is not a number below 65536.
    #[error("expected host:port such as localhost:4317, found '{0}'")]
    Shape(String),
    /// It is a URL.
    #[error("expected host:port without a scheme or a path, found '{0}'")]
    Url(String),
    /// An IPv6 address needs brackets.
    #[error("an IPv6 address needs brackets, such as [::1]:4317, found '{0}'")]
    Brackets(String),
}

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let shape = || ParseEndpointError::Shape(text.to_owned());
        if text.contains('/') {
            return Err(ParseEndpointError::Url(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
        // `parse` would take "+80".
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(shape());
        }
        let port = port.parse().map_err(|_| shape())?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']').ok_or_else(shape)?;
                // A zone (`fe80::1%eth0`) is for the system to judge.
                let address = inner.split_once('%').map_or(inner, |(address, _)| address);
                address.parse::<std::net::Ipv6Addr>().map_err(|_| shape())?;
                inner
            }
            None if host.contains(':') => {
                return Err(ParseEndpointError::Brackets(text.to_owned()));
            }
            None => host,
        };
        if host.chars().any(|c| {
            c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '@' | '?' | '#')
        }) {
            return Err(shape());
        }
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

super::as_text!(
    Endpoint,
    "host:port such as localhost:4317",
    "localhost:4317"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_hosts_and_ports() {
        for (text, host, port) in [
            ("localhost:4317", "localhost", 4317),
            ("0.0.0.0:0", "0.0.0.0", 0),
            (":8080", "", 8080),
            ("[::1]:80", "::1", 80),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port));
            assert_eq!(endpoint.to_string(), text);
        }
        for text in [
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "a:+1",
            "::1:80",
            "[::1]",
            "[x]:1",
            "http://x:1",
            "a b:1",
            "",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        assert_eq!(
            "::1:80".parse::<Endpoint>().unwrap_err().to_string(),
            "an IPv6 address needs brackets, such as [::1]:4317, found '::1:80'"
        );
    }

    #[test]
    fn knows_what_is_public() {
        for (text, public) in [
            ("localhost:1", false),
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            (":1", true),
            ("0.0.0.0:1", true),
            ("node:1", true),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap().is_public(),
                public,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_or_refused(text in r"[a-f0-9:.\[\]%]{0,16}|\PC{0,12}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }
    }
}
