//! Requests to the API server, with credentials that are read again when they stop being good.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use parking_lot::Mutex;

use crate::config::{ApiConfig, AuthType};
use crate::error::ApiError;

/// A body that arrives piece by piece.
pub type Body = kube::client::Body;

/// How long the head of an answer may take.
const HEAD: Duration = Duration::from_secs(30);
/// How much of an error's body is read, in bytes.
const ERROR_BODY: usize = 64 * 1024;

/// What a pod finds around it. [`Surroundings::of_pod`] is the truth; tests put their own in place.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The API server's address, a URL; nothing outside of a cluster.
    pub server: Option<String>,
    /// The folder with `token` and `ca.crt`.
    pub service_account: PathBuf,
}

impl Surroundings {
    /// What Kubernetes gives every pod: two environment variables and a mounted folder.
    #[must_use]
    pub fn of_pod() -> Self {
        let server = std::env::var("KUBERNETES_SERVICE_HOST")
            .ok()
            .zip(std::env::var("KUBERNETES_SERVICE_PORT").ok())
            .map(|(host, port)| {
                if host.contains(':') {
                    format!("https://[{host}]:{port}")
                } else {
                    format!("https://{host}:{port}")
                }
            });
        Self {
            server,
            service_account: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
        }
    }
}

/// A client of the API server. Making one does no IO; the first request reads the credentials.
pub struct ApiClient {
    config: ApiConfig,
    surroundings: Surroundings,
    current: Mutex<Option<Client>>,
}

impl ApiClient {
    /// A client that is whom `config` says.
    #[must_use]
    pub fn new(config: ApiConfig, surroundings: Surroundings) -> Self {
        Self {
            config,
            surroundings,
            current: Mutex::new(None),
        }
    }

    async fn client(&self) -> Result<Client, ApiError> {
        if let Some(client) = self.current.lock().clone() {
            return Ok(client);
        }
        let config = self.read().await?;
        let client = Client::try_from(config).map_err(|error| ApiError::Credentials {
            what: "the connection to the API server".to_owned(),
            reason: error.to_string(),
        })?;
        *self.current.lock() = Some(client.clone());
        Ok(client)
    }

    async fn read(&self) -> Result<Config, ApiError> {
        if self.config.auth_type == AuthType::KubeConfig {
            return self.read_kubeconfig().await;
        }
        let server = self
            .surroundings
            .server
            .as_deref()
            .ok_or(ApiError::NotInCluster)?;
        let url = server
            .parse()
            .map_err(|error: http::uri::InvalidUri| ApiError::Credentials {
                what: server.to_owned(),
                reason: error.to_string(),
            })?;
        let mut config = Config::new(url);
        // A pause between attempts is made by who asks, in one place.
        config.default_retry = false;
        if self.config.auth_type == AuthType::None {
            config.accept_invalid_certs = true;
            return Ok(config);
        }
        let token = self.surroundings.service_account.join("token");
        // kube would report a missing file as a broken service stack.
        if let Err(error) = std::fs::metadata(&token) {
            return Err(ApiError::Credentials {
                what: token.display().to_string(),
                reason: format!(
                    "{error}; set automountServiceAccountToken: true on the pod or its service account"
                ),
            });
        }
        config.root_cert_file =
            Some(self.surroundings.service_account.join("ca.crt")).filter(|file| file.exists());
        config.auth_info = AuthInfo {
            token_file: Some(token.display().to_string()),
            ..AuthInfo::default()
        };
        Ok(config)
    }

    async fn read_kubeconfig(&self) -> Result<Config, ApiError> {
        let options = KubeConfigOptions {
            context: self.config.context.clone(),
            ..KubeConfigOptions::default()
        };
        let (what, read) = match &self.config.kubeconfig_path {
            Some(path) => (path.display().to_string(), Kubeconfig::read_from(path)),
            None => ("kubeconfig".to_owned(), Kubeconfig::read()),
        };
        let broken = |error: kube::config::KubeconfigError| ApiError::Credentials {
            what: what.clone(),
            reason: error.to_string(),
        };
        let mut config = Config::from_custom_kubeconfig(read.map_err(broken)?, &options)
            .await
            .map_err(broken)?;
        config.default_retry = false;
        Ok(config)
    }

    /// Asks for `path` (with its query) and answers when the head of a success is here. An answer
    /// of 401 makes the credentials be read again, at once and once.
    ///
    /// # Errors
    /// Credentials that cannot be read, no connection, no head within 30 seconds, and every status
    /// but success, with what the API server says of it.
    pub async fn open(&self, path: &str, accept: &str) -> Result<Response<Body>, ApiError> {
        self.request(&Method::GET, path, accept, &[], HEAD).await
    }

    /// As [`open`](Self::open), for what may have no head for long: a log that is followed has none before its first line.
    /// The caller bounds the wait.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the time.
    pub async fn open_late(&self, path: &str, accept: &str) -> Result<Response<Body>, ApiError> {
        let ever = Duration::from_secs(24 * 3600);
        self.request(&Method::GET, path, accept, &[], ever).await
    }

    /// Sends an object in JSON (`POST` to a collection, `PUT` to an object) and reads the answer,
    /// of at most `cap` bytes.
    ///
    /// # Errors
    /// As [`get`](Self::get). 409 means that somebody else was faster.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        object: &[u8],
        cap: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let answer = self
            .request(&method, path, "application/json", object, HEAD)
            .await?;
        whole(answer, cap, path).await
    }

    async fn request(
        &self,
        method: &Method,
        path: &str,
        accept: &str,
        object: &[u8],
        head: Duration,
    ) -> Result<Response<Body>, ApiError> {
        let answer = self.once(method, path, accept, object, head).await;
        if answer.as_ref().err().and_then(ApiError::status) == Some(401) {
            *self.current.lock() = None;
            return self.once(method, path, accept, object, head).await;
        }
        answer
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        accept: &str,
        object: &[u8],
        head: Duration,
    ) -> Result<Response<Body>, ApiError> {
        let transport = |reason: String| ApiError::Transport {
            path: path.to_owned(),
            reason,
        };
        let client = self.client().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept);
        let body = if object.is_empty() {
            Body::empty()
        } else {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(object.to_vec())
        };
        let request = request
            .body(body)
            .map_err(|error| transport(error.to_string()))?;
        let answer = tokio::time::timeout(head, client.send(request))
            .await
            .map_err(|_| transport(format!("no answer within {} s", head.as_secs())))?
            .map_err(|error| transport(error.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let message =
            match tokio::time::timeout(HEAD, collect(answer.into_body(), ERROR_BODY, path)).await {
                Ok(Ok(body)) => message(&body),
                _ => String::new(),
            };
        Err(ApiError::Status {
            path: path.to_owned(),
            code: status.as_u16(),
            message,
        })
    }

    /// Asks for `path` and reads the whole answer, of at most `cap` bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a longer or broken body.
    pub async fn get(&self, path: &str, accept: &str, cap: usize) -> Result<Vec<u8>, ApiError> {
        let answer = self.open(path, accept).await?;
        whole(answer, cap, path).await
    }
}

async fn whole(answer: Response<Body>, cap: usize, path: &str) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(HEAD, collect(answer.into_body(), cap, path))
        .await
        .map_err(|_| ApiError::Transport {
            path: path.to_owned(),
            reason: format!("the answer was not complete within {} s", HEAD.as_secs()),
        })?
}

/// What a `Status` object says, or the body itself when it is none.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Status {
        message: String,
    }
    serde_json::from_slice::<Status>(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().to_owned(),
        |status| status.message,
    )
}

async fn collect(mut body: Body, cap: usize, path: &str) -> Result<Vec<u8>, ApiError> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::Transport {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > cap {
                return Err(ApiError::TooLarge {
                    path: path.to_owned(),
                    cap,
                });
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}
