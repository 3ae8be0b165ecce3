//! The container runtime interface, version 1: `runtime.v1.RuntimeService` of Kubernetes'
//! `cri-api`, over a Unix socket. Only the fields that are used are spelled out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use corten_component::Context;
use corten_config::settings;
use corten_net::client::SetupError;
use corten_net::grpc::{GrpcClient, Message as Call};
use http::uri::PathAndQuery;
use prost::Message;

use crate::known::{CONTAINER_NAME, Container, Known};
use crate::{Config, RuntimeError};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
    #[prost(string, tag = "18")]
    user_specified: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Listed {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    sandbox: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "4")]
    image: Option<ImageSpec>,
    #[prost(int32, tag = "6")]
    state: i32,
    #[prost(int64, tag = "7")]
    created_at: i64,
    #[prost(map = "string, string", tag = "8")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Containers {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Listed>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(uint32, tag = "4")]
    attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<SandboxMetadata>,
    #[prost(int32, tag = "3")]
    state: i32,
    #[prost(int64, tag = "4")]
    created_at: i64,
    #[prost(map = "string, string", tag = "5")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Sandbox>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerStatus {
    #[prost(message, optional, tag = "8")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

/// The answer about a sandbox: its status has other fields under the numbers above, and none that is needed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SandboxStatusResponse {
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

/// What the verbose part of a status tells, in JSON that every runtime makes up for itself.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Info {
    pid: Option<u32>,
    image: Option<String>,
}

/// What does not change in a container's life.
#[derive(Clone, Debug, Default)]
struct Fixed {
    pid: Option<u32>,
    image: String,
}

/// Asks one socket.
pub(crate) struct Cri {
    path: PathBuf,
    client: GrpcClient,
    fixed: HashMap<String, Fixed>,
}

const RUNNING: i32 = 1;
const READY: i32 = 0;

impl Cri {
    pub(crate) fn new(cx: &Context, config: &Config, path: &Path) -> Result<Self, SetupError> {
        let settings = settings::GrpcClient {
            endpoint: format!("unix://{}", path.display()),
            timeout: config.timeout,
            ..settings::GrpcClient::default()
        };
        Ok(Self {
            path: path.to_owned(),
            client: GrpcClient::new(cx, &settings)?,
            fixed: HashMap::new(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds everything that the runtime knows.
    pub(crate) async fn list(&mut self, known: &mut Known) -> Result<(), RuntimeError> {
        let sandboxes: Sandboxes = self.call("ListPodSandbox", &Empty {}).await?;
        let containers: Containers = self.call("ListContainers", &Empty {}).await?;
        let crio = self
            .path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains("crio"));
        let mut fixed = HashMap::new();
        let mut pods = HashMap::new();
        for sandbox in sandboxes.items {
            let told = if sandbox.state == READY {
                self.fixed(&sandbox.id, true).await
            } else {
                Fixed::default()
            };
            let metadata = sandbox.metadata.unwrap_or_default();
            let mut container = Container {
                pid: told.pid,
                image: told.image.clone(),
                created: seconds(sandbox.created_at),
                labels: sandbox.labels.into_iter().collect(),
                has_network: true,
                ..Container::default()
            }
            .named_by_labels();
            if container.pod.is_empty() {
                container.pod.clone_from(&metadata.name);
                container.namespace.clone_from(&metadata.namespace);
            }
            container.name = if crio {
                long_name("POD", &metadata, metadata.attempt)
            } else {
                sandbox.id.clone()
            };
            if !metadata.uid.is_empty() {
                let pod = crate::Pod {
                    namespace: metadata.namespace.clone(),
                    name: metadata.name.clone(),
                };
                known.pods.insert(metadata.uid.clone(), pod);
            }
            known.insert(&sandbox.id, container);
            fixed.insert(sandbox.id.clone(), told);
            pods.insert(sandbox.id, metadata);
        }
        for listed in containers.containers {
            let told = if listed.state == RUNNING {
                self.fixed(&listed.id, false).await
            } else {
                Fixed::default()
            };
            let image = listed.image.unwrap_or_default();
            let metadata = listed.metadata.unwrap_or_default();
            let mut container = Container {
                pid: told.pid,
                image: [&image.user_specified, &told.image, &image.image]
                    .into_iter()
                    .find(|image| !image.is_empty())
                    .cloned()
                    .unwrap_or_default(),
                created: seconds(listed.created_at),
                labels: listed.labels.into_iter().collect(),
                ..Container::default()
            }
            .named_by_labels();
            if container.label(CONTAINER_NAME).is_empty() {
                container.container.clone_from(&metadata.name);
            }
            let pod = pods.get(&listed.sandbox);
            if let Some(pod) = pod.filter(|_| container.pod.is_empty()) {
                container.pod.clone_from(&pod.name);
                container.namespace.clone_from(&pod.namespace);
            }
            container.name = match pod {
                Some(pod) if crio => long_name(&metadata.name, pod, metadata.attempt),
                _ => listed.id.clone(),
            };
            known.insert(&listed.id, container);
            fixed.insert(listed.id, told);
        }
        self.fixed = fixed;
        Ok(())
    }

    /// Asked once in a container's life. A container that has gone meanwhile has nothing to tell.
    async fn fixed(&self, id: &str, sandbox: bool) -> Fixed {
        if let Some(told) = self.fixed.get(id)
            && told.pid.is_some()
        {
            return told.clone();
        }
        let request = StatusRequest {
            id: id.to_owned(),
            verbose: true,
        };
        let (image, info) = if sandbox {
            let answer: Result<SandboxStatusResponse, _> =
                self.call("PodSandboxStatus", &request).await;
            (None, answer.map(|answer| answer.info))
        } else {
            let answer: Result<StatusResponse, _> = self.call("ContainerStatus", &request).await;
            match answer {
                Ok(answer) => {
                    let image = answer.status.and_then(|status| status.image);
                    (image.map(|image| image.image), Ok(answer.info))
                }
                Err(error) => (None, Err(error)),
            }
        };
        let info = info.unwrap_or_default();
        // Keys and content are the runtime's own business; both containerd and CRI-O have `info`.
        let info: Info = info
            .get("info")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Fixed {
            pid: info.pid.filter(|pid| *pid > 0),
            image: image
                .filter(|image| !image.is_empty() && !image.starts_with("sha256:"))
                .or(info.image)
                .unwrap_or_default(),
        }
    }

    async fn call<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<A, RuntimeError> {
        let path = format!("/runtime.v1.RuntimeService/{method}");
        let answer = |reason: String| RuntimeError::Answer {
            from: self.path.display().to_string(),
            expected: "an answer of the CRI",
            reason,
        };
        let path: PathAndQuery = path
            .parse()
            .map_err(|_| answer(format!("'{method}' is no method")))?;
        let call = Call {
            parts: vec![request.encode_to_vec().into()],
            encoding: None,
        };
        let reply = self
            .client
            .unary(&path, call)
            .await
            .map_err(|source| RuntimeError::Cri {
                path: self.path.clone(),
                source: Box::new(source),
            })?;
        A::decode(reply.message).map_err(|error| answer(error.to_string()))
    }
}

/// What CRI-O calls its containers.
fn long_name(container: &str, pod: &SandboxMetadata, attempt: u32) -> String {
    let SandboxMetadata {
        name,
        uid,
        namespace,
        ..
    } = pod;
    format!("k8s_{container}_{name}_{namespace}_{uid}_{attempt}")
}

fn seconds(nanoseconds: i64) -> Option<u64> {
    u64::try_from(nanoseconds / 1_000_000_000)
        .ok()
        .filter(|seconds| *seconds > 0)
}
