//! Asking in the background.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Context, Tasks};
use corten_net::client::SetupError;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::cri::Cri;
use crate::docker::Docker;
use crate::kubelet::Kubelet;
use crate::{Config, Kind, Known, RuntimeError};

/// Where the sockets are, as a rule.
const CRI_SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
];
const DOCKER_SOCKETS: [&str; 1] = ["/run/docker.sock"];

/// Between two rounds, however much is unknown.
const SOONEST: Duration = Duration::from_millis(500);
/// After a failure, doubled by each further one up to the interval.
const BACKOFF: Duration = Duration::from_secs(1);

/// Somebody who is asked.
#[expect(clippy::large_enum_variant, reason = "there are a handful of them")]
enum Source {
    Cri(Cri),
    Docker(Docker),
    Kubelet(Kubelet),
}

impl Source {
    async fn list(&mut self, known: &mut Known) -> Result<(), RuntimeError> {
        match self {
            Self::Cri(cri) => cri.list(known).await,
            Self::Docker(docker) => docker.list(known).await,
            Self::Kubelet(kubelet) => kubelet.list(known).await,
        }
    }

    /// Whether there is anything to ask: a socket that does not exist is nobody.
    fn is_there(&self) -> bool {
        match self {
            Self::Cri(cri) => cri.path().exists(),
            Self::Docker(docker) => docker.path().exists(),
            Self::Kubelet(_) => true,
        }
    }
}

/// What is known, kept up to date by a task.
pub struct Directory {
    known: RwLock<Arc<Known>>,
    asked: Notify,
    sources: Mutex<Vec<Source>>,
    /// Whether the settings say whom to ask: then nobody else will do.
    named: bool,
    interval: Duration,
}

impl Directory {
    /// A directory of these settings; `rootfs` is where the host's `/` is mounted. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// What cannot be used, and where it stands in the settings.
    pub fn new(cx: &Context, config: &Config, rootfs: &Path) -> Result<Self, SetupError> {
        let mut sources = Vec::new();
        let sockets = |usual: &[&str]| -> Vec<PathBuf> {
            match config.endpoint.trim_start_matches("unix://") {
                "" if rootfs == Path::new("/") => usual.iter().map(PathBuf::from).collect(),
                "" => usual
                    .iter()
                    .flat_map(|path| [rootfs.join(path.trim_start_matches('/')), path.into()])
                    .collect(),
                path => vec![path.into()],
            }
        };
        let named_docker = config.endpoint.contains("docker") && !config.endpoint.contains("cri");
        let wants = |kind| {
            config.kind == kind
                || config.kind == Kind::Auto
                    && match kind {
                        Kind::Cri => config.endpoint.is_empty() || !named_docker,
                        Kind::Docker => config.endpoint.is_empty() || named_docker,
                        _ => !config.kubelet.endpoint.is_empty(),
                    }
        };
        // The kubelet first: who comes later knows more of the same container.
        if wants(Kind::Kubelet) {
            sources.push(Source::Kubelet(Kubelet::new(cx, config)?));
        }
        if wants(Kind::Docker) {
            for path in sockets(&DOCKER_SOCKETS) {
                sources.push(Source::Docker(Docker::new(&path, config.timeout.into())));
            }
        }
        if wants(Kind::Cri) {
            for path in sockets(&CRI_SOCKETS) {
                sources.push(Source::Cri(Cri::new(cx, config, &path)?));
            }
        }
        Ok(Self {
            known: RwLock::default(),
            asked: Notify::new(),
            sources: Mutex::new(sources),
            named: config.kind != Kind::Auto
                || !config.endpoint.is_empty()
                || !config.kubelet.endpoint.is_empty(),
            interval: config.refresh_interval.into(),
        })
    }

    /// What is known now. Never waits for anybody.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read())
    }

    /// Asks soon, since somebody is not known. Does not wait for the answer.
    pub fn refresh(&self) {
        self.asked.notify_one();
    }

    /// Asks in the background until the tasks stop.
    pub fn start(self: Arc<Self>, tasks: &Tasks) {
        let mut sources = std::mem::take(&mut *self.sources.lock());
        if sources.is_empty() {
            return;
        }
        let stopping = tasks.stopping();
        tasks.spawn("container names", async move {
            let work = async {
                let mut failing = false;
                let mut pause = BACKOFF;
                loop {
                    let wait = match self.ask(&mut sources).await {
                        Ok(()) => {
                            if failing {
                                tracing::info!("the names of containers are known again");
                            }
                            failing = false;
                            pause = BACKOFF;
                            self.interval
                        }
                        Err(error) => {
                            self.complain(&error, failing);
                            failing = true;
                            let wait = pause;
                            pause = (pause * 2).min(self.interval.max(BACKOFF));
                            wait
                        }
                    };
                    tokio::time::sleep(SOONEST).await;
                    if failing {
                        tokio::time::sleep(wait).await;
                    } else {
                        tokio::select! {
                            () = tokio::time::sleep(wait) => {}
                            () = self.asked.notified() => {}
                        }
                    }
                }
            };
            tokio::select! {
                () = work => {}
                () = stopping => {}
            }
        });
    }

    /// Once per outage, in one line.
    fn complain(&self, error: &RuntimeError, failing: bool) {
        if failing {
            return;
        }
        const TEXT: &str = "the names of containers are not known for now: metrics come with what was known before, or with their id alone";
        if self.named || !matches!(error, RuntimeError::Nobody) {
            tracing::warn!(%error, "{TEXT}");
        } else {
            // A host without containers is nothing to warn of.
            tracing::info!(%error, "{TEXT}");
        }
    }

    /// One round. One answer is enough: a Docker host has a containerd that serves no CRI.
    async fn ask(&self, sources: &mut [Source]) -> Result<(), RuntimeError> {
        let mut known = Known::default();
        let mut answered = false;
        let mut failed = None;
        for source in sources.iter_mut().filter(|source| source.is_there()) {
            match source.list(&mut known).await {
                Ok(()) => answered = true,
                Err(error) => failed = Some(error),
            }
        }
        if answered {
            *self.known.write() = Arc::new(known);
            return Ok(());
        }
        Err(failed.unwrap_or(RuntimeError::Nobody))
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}
