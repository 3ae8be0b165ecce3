//! Requests to a kubelet: its address, its certificate, the token that rotates.

use std::path::PathBuf;

use bytes::Bytes;
use corten_component::{Context, SecretFile};
use corten_config::settings::{self, TlsClient};
use corten_config::types::Duration;
use corten_net::body::Body;
use corten_net::client::{HttpClient, SetupError};
use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::RuntimeError;

/// The most that is read of an answer. A pod takes some ten kilobytes.
const LARGEST: usize = 64 << 20;

/// How to reach a kubelet.
#[derive(Clone, Debug)]
pub struct KubeletAccess {
    /// `https://node:10250` or `http://node:10255`, without a path.
    pub endpoint: String,
    /// The file with the bearer token, read again when it changes. Sent over TLS alone: a token goes
    /// nowhere in clear text. `None`: nobody.
    pub token_file: Option<PathBuf>,
    /// How to speak TLS with it.
    pub tls: TlsClient,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// Asks one kubelet.
pub struct KubeletClient {
    endpoint: String,
    encrypted: bool,
    token: Option<SecretFile>,
    client: HttpClient,
}

impl KubeletClient {
    /// A client; no IO.
    ///
    /// # Errors
    /// What cannot be used of the settings.
    pub fn new(cx: &Context, access: &KubeletAccess) -> Result<Self, SetupError> {
        let endpoint = access.endpoint.trim_end_matches('/').to_owned();
        let wrong = |reason: &str| SetupError::Endpoint(format!("'{endpoint}': {reason}"));
        let uri: Uri = endpoint
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("expected https://host:10250 or http://host:10255")),
        };
        let settings = settings::HttpClient {
            tls: access.tls.clone(),
            timeout: access.timeout,
            ..settings::HttpClient::default()
        };
        Ok(Self {
            token: access.token_file.as_ref().map(SecretFile::new),
            client: HttpClient::new(cx, &settings)?.with_max_response(LARGEST),
            encrypted,
            endpoint,
        })
    }

    /// Asks for `path`, which begins with a slash.
    ///
    /// # Errors
    /// No answer, or none of success, with what helps: the rule that a 403 wants in a ClusterRole. After a
    /// 401 the token's file is read again.
    pub async fn get(&self, path: &str) -> Result<Bytes, RuntimeError> {
        let url = format!("{}{path}", self.endpoint);
        let failed = |reason: String| RuntimeError::Kubelet {
            url: url.clone(),
            reason,
        };
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| failed(error.to_string()))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token.as_ref().filter(|_| self.encrypted) {
            let token = token.read().map_err(|error| failed(error.to_string()))?;
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| failed("the token is no text for a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let response = self
            .client
            .send(Method::GET, &uri, headers, Body::default())
            .await
            .map_err(|error| failed(error.to_string()))?;
        match response.status {
            200 => Ok(response.body),
            401 => {
                let Some(token) = &self.token else {
                    return Err(failed("401: the kubelet wants to know who asks".to_owned()));
                };
                token.forget();
                Err(failed(format!(
                    "401: the token in {} is not accepted",
                    token.path().display()
                )))
            }
            403 => Err(failed(format!(
                "403: the service account needs the verb 'get' on the resource '{}' in a ClusterRole",
                resource(path)
            ))),
            status => Err(failed(format!("answered with {status}"))),
        }
    }
}

/// What the kubelet has a path authorized as.
fn resource(path: &str) -> &'static str {
    if path.starts_with("/stats") {
        "nodes/stats"
    } else if path.starts_with("/metrics") {
        "nodes/metrics"
    } else {
        "nodes/proxy' (or 'nodes/pods"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_rule() {
        assert_eq!(resource("/stats/summary"), "nodes/stats");
        assert_eq!(resource("/metrics/cadvisor"), "nodes/metrics");
        assert!(resource("/pods").starts_with("nodes/proxy"));
    }
}
