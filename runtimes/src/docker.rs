//! Docker's HTTP API on its socket.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::RuntimeError;
use crate::known::{Container, Known};

/// No answer is near this.
const LARGEST: usize = 32 << 20;

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inspected {
    name: String,
    created: String,
    state: State,
    config: Settings,
    host_config: HostConfig,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    pid: u32,
    health: Option<Health>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Settings {
    image: String,
    env: Option<Vec<String>>,
    labels: Option<HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
}

/// What Docker says of the host it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DockerHost {
    /// The host's name.
    #[serde(rename = "Name")]
    pub name: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub os_type: String,
}

/// Asks the Docker behind the socket `path` about its host.
///
/// # Errors
///
/// Nobody answers, or something else than Docker does.
pub async fn docker_host(path: &Path, timeout: Duration) -> Result<DockerHost, RuntimeError> {
    Docker::new(path, timeout).json("/info").await
}

/// Asks one socket.
pub(crate) struct Docker {
    path: PathBuf,
    timeout: Duration,
}

impl Docker {
    pub(crate) fn new(path: &Path, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            timeout,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds every running container.
    pub(crate) async fn list(&self, known: &mut Known) -> Result<(), RuntimeError> {
        let listed: Vec<Listed> = self.json("/containers/json").await?;
        for Listed { id } in listed {
            // One that has gone meanwhile is none.
            let inspected: Result<Inspected, _> =
                self.json(&format!("/containers/{id}/json")).await;
            if let Ok(inspected) = inspected {
                known.insert(&id, inspected.into());
            }
        }
        Ok(())
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, RuntimeError> {
        let body = tokio::time::timeout(self.timeout, self.get(path))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)))
            .map_err(|reason| RuntimeError::Docker {
                path: self.path.clone(),
                reason,
            })?;
        serde_json::from_slice(&body).map_err(|error| RuntimeError::Answer {
            from: format!("{}{path}", self.path.display()),
            expected: "JSON of Docker's API",
            reason: error.to_string(),
        })
    }

    async fn get(&self, path: &str) -> Result<Bytes, String> {
        let words = |error: hyper::Error| error.to_string();
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(words)?;
        let exchange = async {
            let request = Request::get(path)
                .header(http::header::HOST, "docker")
                .header(http::header::USER_AGENT, corten_net::USER_AGENT)
                .body(Empty::<Bytes>::new())
                .map_err(|error| error.to_string())?;
            let response = sender.send_request(request).await.map_err(words)?;
            let status = response.status();
            #[expect(clippy::disallowed_methods, reason = "`Limited` is the cap")]
            let body = Limited::new(response.into_body(), LARGEST)
                .collect()
                .await
                .map_err(|error| error.to_string())?;
            if status.is_success() {
                Ok(body.to_bytes())
            } else {
                Err(format!("{path} was answered with {status}"))
            }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            result = &mut exchange => result,
            // What came before the end is still to be read.
            _ = &mut connection => exchange.await,
        }
    }
}

impl From<Inspected> for Container {
    fn from(inspected: Inspected) -> Self {
        let created = inspected.created.parse::<jiff::Timestamp>().ok();
        let env = inspected.config.env.unwrap_or_default();
        Self {
            name: inspected.name.trim_start_matches('/').to_owned(),
            image: inspected.config.image,
            labels: inspected
                .config
                .labels
                .unwrap_or_default()
                .into_iter()
                .collect(),
            env: env
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            pid: Some(inspected.state.pid).filter(|pid| *pid > 0),
            created: created.and_then(|created| u64::try_from(created.as_second()).ok()),
            health: inspected.state.health.unwrap_or_default().status,
            // Containers of a pod are in their sandbox's.
            has_network: !inspected.host_config.network_mode.starts_with("container:"),
            ..Self::default()
        }
        .named_by_labels()
    }
}
