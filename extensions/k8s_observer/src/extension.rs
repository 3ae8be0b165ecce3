//! The extension's life.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Endpoints, Extension, Observer, async_trait};
use corten_kubernetes::object::Object;
use corten_kubernetes::{ApiClient, Selection, Surroundings, Timing, node_from_environment, run};
use tokio::sync::watch;

use crate::board::{Board, Collection};
use crate::config::Config;
use crate::endpoints::{Observed, Settings};
use crate::objects::{Ingress, Node, Pod, Service};

/// Watches while it runs.
pub(crate) struct K8sObserver {
    cx: Context,
    config: Config,
    board: Arc<Board>,
}

impl K8sObserver {
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        let board = Board::new(Settings {
            observer: cx.id().to_string(),
            phases: config.observe_pod_phases.clone(),
            init_containers: config.observe_init_containers,
            terminated: config.container_terminated_ttl.get(),
        });
        Ok(Self { cx, config, board })
    }

    /// The field selector for this node; empty for all of them.
    fn on_node(&self, field: &str) -> Result<String, BoxError> {
        if self.config.all_nodes {
            return Ok(String::new());
        }
        let node = match self.config.node.as_str() {
            "" => node_from_environment(),
            node => Some(node.to_owned()),
        };
        match node {
            Some(node) => Ok(format!("{field}={node}")),
            None => Err("which node this is is not known: set KUBE_NODE_NAME in the pod's specification from spec.nodeName, or node, or all_nodes: true".into()),
        }
    }

    fn watch<T: Object + Observed + 'static>(
        &self,
        client: &Arc<ApiClient>,
        path: &str,
        fields: String,
    ) {
        let selection = Selection {
            fields,
            ..Selection::all(path)
        };
        let mut collection = Collection::new(&self.board);
        let (client, stopping) = (Arc::clone(client), self.cx.tasks().stopping());
        self.cx.tasks().spawn("watch", async move {
            tokio::select! {
                () = run::<T, _>(&client, &selection, &mut collection, Timing::default()) => {}
                () = stopping => {}
            }
        });
    }
}

#[async_trait]
impl Component for K8sObserver {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let config = &self.config;
        let client = Arc::new(ApiClient::new(config.api(), Surroundings::of_pod()));
        if config.observe_pods {
            let fields = self.on_node("spec.nodeName")?;
            for path in config.collections("/api/v1", "pods") {
                self.watch::<Pod>(&client, &path, fields.clone());
            }
        }
        if config.observe_nodes {
            let fields = self.on_node("metadata.name")?;
            self.watch::<Node>(&client, "/api/v1/nodes", fields);
        }
        if config.observe_services {
            for path in config.collections("/api/v1", "services") {
                self.watch::<Service>(&client, &path, String::new());
            }
        }
        if config.observe_ingresses {
            for path in config.collections("/apis/networking.k8s.io/v1", "ingresses") {
                self.watch::<Ingress>(&client, &path, String::new());
            }
        }
        let (board, stopping) = (Arc::clone(&self.board), self.cx.tasks().stopping());
        self.cx.tasks().spawn("endings", async move {
            tokio::select! {
                () = board.expire() => {}
                () = stopping => {}
            }
        });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.cx.tasks().shutdown(Duration::from_secs(1)).await;
        Ok(())
    }
}

impl Extension for K8sObserver {
    fn observer(&self) -> Option<&dyn Observer> {
        Some(self)
    }
}

impl Observer for K8sObserver {
    fn endpoints(&self) -> watch::Receiver<Arc<Endpoints>> {
        self.board.subscribe()
    }
}
