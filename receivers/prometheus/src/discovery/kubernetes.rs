//! Targets that are objects of Kubernetes.
//!
//! [`objects`] are the fields that are read, [`labels`] what they become (Prometheus's documentation of
//! `kubernetes_sd_config` lists the labels of every role). Objects are kept in [`Shelf`]s, one for each watch;
//! when one changes, the labels of all targets are made anew, from memory alone.
//!
//! Where this node's name is known, only what is on it is watched and told: with an agent on every node each target
//! is scraped once.

mod labels;
mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::BoxError;
use corten_kubernetes::object::Object;
use corten_kubernetes::{
    ApiClient, ApiConfig, AuthType, Keep, Selection, Surroundings, Timing, node_from_environment,
    run,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::labels::Objects;
use super::Tell;
use crate::config::{KubernetesDiscovery, Role};

/// How long news are gathered before the labels of all targets are made anew.
const GATHER: Duration = Duration::from_millis(500);
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// A namespace's name and an object's; the first is empty for what is the cluster's.
type Key = (String, String);

/// The objects of one watch.
type Shelf<T> = Arc<Mutex<BTreeMap<Key, Arc<T>>>>;

/// Objects of one kind.
struct Shelves<T>(Vec<Shelf<T>>);

impl<T> Default for Shelves<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Shelves<T> {
    fn all(&self) -> BTreeMap<Key, Arc<T>> {
        let mut all = BTreeMap::new();
        for shelf in &self.0 {
            let shelf = shelf.lock();
            all.extend(
                shelf
                    .iter()
                    .map(|(key, object)| (key.clone(), Arc::clone(object))),
            );
        }
        all
    }
}

/// Puts what a watch tells on its shelf.
struct Shelve<T> {
    shelf: Shelf<T>,
    /// What a list has named so far.
    listed: Option<BTreeMap<Key, Arc<T>>>,
    news: Arc<Notify>,
}

fn key<T: Object>(object: &T) -> Key {
    let metadata = object.metadata();
    (metadata.namespace.clone(), metadata.name.clone())
}

impl<T: Object + Sync> Keep<T> for Shelve<T> {
    fn listing(&mut self) {
        self.listed = Some(BTreeMap::new());
    }

    fn put(&mut self, object: T) {
        let (key, object) = (key(&object), Arc::new(object));
        match &mut self.listed {
            Some(listed) => {
                listed.insert(key, object);
            }
            None => {
                self.shelf.lock().insert(key, object);
                self.news.notify_one();
            }
        }
    }

    fn listed(&mut self) {
        if let Some(listed) = self.listed.take() {
            *self.shelf.lock() = listed;
            self.news.notify_one();
        }
    }

    fn delete(&mut self, object: T) {
        self.shelf.lock().remove(&key(&object));
        self.news.notify_one();
    }
}

/// A cluster that is watched for targets.
pub(crate) struct Cluster {
    config: KubernetesDiscovery,
    role: Role,
    client: Arc<ApiClient>,
    /// Whose objects are told, when it is not everybody's.
    node: Option<String>,
}

/// What is watched.
struct Watch {
    objects: Objects,
    tasks: JoinSet<()>,
    news: Arc<Notify>,
}

impl Cluster {
    pub(super) fn new(config: &KubernetesDiscovery) -> Result<Self, BoxError> {
        let api = ApiConfig {
            auth_type: match config.kubeconfig_file {
                Some(_) => AuthType::KubeConfig,
                None => AuthType::ServiceAccount,
            },
            kubeconfig_path: config.kubeconfig_file.clone(),
            context: None,
        };
        let node = config.node.clone().filter(|node| !node.is_empty());
        let node = node.or_else(node_from_environment);
        Ok(Self {
            role: config
                .role
                .ok_or("kubernetes_sd_configs: role is missing")?,
            client: Arc::new(ApiClient::new(api, Surroundings::of_pod())),
            node: node.filter(|_| !config.all_nodes),
            config: config.clone(),
        })
    }

    pub(super) async fn run(self, tell: Tell) {
        let by_node = matches!(
            self.role,
            Role::Pod | Role::Node | Role::Endpoints | Role::EndpointSlice
        );
        match &self.node {
            Some(node) if by_node => {
                tracing::info!(role = ?self.role, node, "targets of this node are scraped; all_nodes: true is for those of the whole cluster");
            }
            _ => {
                tracing::info!(role = ?self.role, "targets of the whole cluster are scraped; with an agent on every node, each of them does");
            }
        }
        let mut watch = self.watch();
        loop {
            watch.news.notified().await;
            tokio::time::sleep(GATHER).await;
            let targets = watch.objects.targets(self.role, self.node.as_deref());
            tell.all(targets).await;
            // Watches end with the process alone; a panic in one shows itself here.
            while watch.tasks.try_join_next().is_some() {}
        }
    }

    fn watch(&self) -> Watch {
        let mut watch = Watch {
            objects: Objects::default(),
            tasks: JoinSet::new(),
            news: Arc::new(Notify::new()),
        };
        let attach = self.config.attach_metadata;
        let (role, objects) = (self.role, Objects::default());
        let of_services = matches!(role, Role::Endpoints | Role::EndpointSlice);
        watch.objects = Objects {
            pods: match role {
                Role::Pod => self.open(&mut watch, Role::Pod),
                _ if of_services => self.open(&mut watch, Role::Pod),
                _ => objects.pods,
            },
            nodes: match role {
                Role::Node => self.open(&mut watch, Role::Node),
                Role::Pod if attach.node => self.open(&mut watch, Role::Node),
                _ if of_services && attach.node => self.open(&mut watch, Role::Node),
                _ => objects.nodes,
            },
            services: match role {
                Role::Service => self.open(&mut watch, Role::Service),
                _ if of_services => self.open(&mut watch, Role::Service),
                _ => objects.services,
            },
            endpoints: match role {
                Role::Endpoints => self.open(&mut watch, Role::Endpoints),
                _ => objects.endpoints,
            },
            slices: match role {
                Role::EndpointSlice => self.open(&mut watch, Role::EndpointSlice),
                _ => objects.slices,
            },
            ingresses: match role {
                Role::Ingress => self.open(&mut watch, Role::Ingress),
                _ => objects.ingresses,
            },
            namespaces: if attach.namespace && role != Role::Node {
                let mut namespaces = Selection::all("/api/v1/namespaces");
                namespaces.metadata_only = true;
                Shelves(vec![self.spawn(&mut watch, namespaces)])
            } else {
                objects.namespaces
            },
        };
        watch
    }

    /// The watches of a kind: one, or one for each namespace.
    fn open<T: Object + Sync + 'static>(&self, watch: &mut Watch, kind: Role) -> Shelves<T> {
        let (group, resource) = match kind {
            Role::Node => ("/api/v1", "nodes"),
            Role::Pod => ("/api/v1", "pods"),
            Role::Service => ("/api/v1", "services"),
            Role::Endpoints => ("/api/v1", "endpoints"),
            Role::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Role::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
        };
        let namespaces = self.namespaces();
        let paths = if kind == Role::Node || namespaces.is_empty() {
            vec![format!("{group}/{resource}")]
        } else {
            namespaces
                .iter()
                .map(|namespace| format!("{group}/namespaces/{namespace}/{resource}"))
                .collect()
        };
        let selector = self.config.selectors.iter();
        let selector = selector.rev().find(|selector| selector.role == Some(kind));
        let mut fields: Vec<String> = Vec::new();
        fields.extend(selector.map(|selector| selector.field.clone()));
        if let Some(node) = &self.node {
            match kind {
                Role::Pod => fields.push(format!("spec.nodeName={node}")),
                Role::Node => fields.push(format!("metadata.name={node}")),
                _ => {}
            }
        }
        fields.retain(|field| !field.is_empty());
        let shelves = paths.into_iter().map(|path| {
            let selection = Selection {
                fields: fields.join(","),
                labels: selector.map_or_else(String::new, |selector| selector.label.clone()),
                ..Selection::all(&path)
            };
            self.spawn(watch, selection)
        });
        Shelves(shelves.collect())
    }

    fn namespaces(&self) -> Vec<String> {
        let mut names = self.config.namespaces.names.clone();
        if self.config.namespaces.own_namespace {
            match std::fs::read_to_string(ACCOUNT) {
                Ok(own) => names.push(own.trim().to_owned()),
                Err(error) => {
                    tracing::warn!(
                        "kubernetes_sd_configs: own_namespace: {ACCOUNT}: {error}; set namespaces::names"
                    );
                }
            }
        }
        names
    }

    fn spawn<T: Object + Sync + 'static>(
        &self,
        watch: &mut Watch,
        selection: Selection,
    ) -> Shelf<T> {
        let shelf = Shelf::default();
        let client = Arc::clone(&self.client);
        let mut keep = Shelve {
            shelf: Arc::clone(&shelf),
            listed: None,
            news: Arc::clone(&watch.news),
        };
        watch.tasks.spawn(async move {
            run(&client, &selection, &mut keep, Timing::default()).await;
        });
        shelf
    }
}
