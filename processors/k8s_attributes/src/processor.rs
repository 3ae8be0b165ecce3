//! The life and the work.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Processor, Refused, async_trait,
};
use corten_kubernetes::object::{Partial, Pod};
use corten_kubernetes::{
    ApiClient, Limits, Pods, Selection, Surroundings as Where, Timing, node_from_environment, run,
};
use corten_pdata::Attributes;
use corten_pdata::edit::AttributeEdits;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::association::Associations;
use crate::config::Config;
use crate::container::{Container, Run};
use crate::extraction::Extraction;
use crate::metadata::Metrics;
use crate::surroundings::{Belongs, Surroundings};

/// Edits that are remembered; a node has some hundred containers.
const MOST: usize = 50_000;

pub(crate) struct K8sAttributes {
    cx: Context,
    config: Config,
    next: Arc<dyn Consumer>,
    associations: Associations,
    extraction: Extraction,
    pods: Pods,
    around: Surroundings,
    made: Mutex<Made>,
    metrics: Metrics,
    /// Whether the user counts on the senders' addresses and has not been told yet that none come.
    counts_on_peers: AtomicBool,
    stop: CancellationToken,
}

/// What resources of pods and their containers are told, made once.
#[derive(Default)]
struct Made {
    /// The state of the surroundings that these were made of.
    changes: u64,
    edits: HashMap<Whose, (Arc<Pod>, Arc<AttributeEdits>)>,
}

/// A pod by its uid, and the run of one of its containers.
type Whose = (String, Option<(String, Run)>);

/// The annotation with which a pod says that its telemetry stays as it is.
const IGNORE: &str = "opentelemetry.io/k8s-processor/ignore";

impl K8sAttributes {
    pub(crate) fn create(
        cx: Context,
        config: Config,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, BoxError> {
        let limits = Limits {
            grace: config.pod_delete_grace_period.get(),
            ..Limits::default()
        };
        Ok(Self {
            associations: Associations::new(&config.pod_association),
            extraction: Extraction::new(&config)?,
            pods: Pods::new(limits),
            around: Surroundings::needed(&config),
            made: Mutex::default(),
            metrics: Metrics::new(&cx),
            counts_on_peers: AtomicBool::new(config.counts_on_peers()),
            stop: CancellationToken::new(),
            cx,
            config,
            next,
        })
    }

    /// The name of the node whose pods are watched; none for those of all.
    fn node(&self) -> Option<String> {
        let filter = &self.config.filter;
        if filter.all_nodes {
            return None;
        }
        if !filter.node.is_empty() {
            return Some(filter.node.clone());
        }
        if !filter.node_from_env_var.is_empty() {
            return std::env::var(&filter.node_from_env_var)
                .ok()
                .filter(|name| !name.is_empty());
        }
        node_from_environment()
    }

    fn selection(&self) -> Selection {
        let filter = &self.config.filter;
        let path = match filter.namespace.as_str() {
            "" => "/api/v1/pods".to_owned(),
            namespace => format!("/api/v1/namespaces/{namespace}/pods"),
        };
        let node = self.node();
        if node.is_none() && !filter.all_nodes {
            tracing::warn!(
                "this node's name is not known, so the pods of the whole cluster are watched: set K8S_NODE_NAME from spec.nodeName in the pod's specification, or filter::all_nodes: true if that is meant"
            );
        }
        let written = |selectors: &[crate::config::Selector]| {
            selectors
                .iter()
                .map(crate::config::Selector::written)
                .collect::<Vec<_>>()
        };
        let mut fields = written(&filter.fields);
        fields.extend(node.map(|node| format!("spec.nodeName={node}")));
        Selection {
            fields: fields.join(","),
            labels: written(&filter.labels).join(","),
            ..Selection::all(&path)
        }
    }

    /// What a resource is told; nothing where its pod is not known or not to be named.
    fn choose(
        &self,
        attributes: &Attributes<'_>,
        peer: Option<IpAddr>,
        found: &mut Option<bool>,
    ) -> Option<Arc<AttributeEdits>> {
        if self.config.passthrough {
            let edits = AttributeEdits::new().insert("k8s.pod.ip", peer?.to_string());
            return Some(Arc::new(edits));
        }
        let pod = self.associations.find(&self.pods, attributes, peer);
        *found = Some(pod.is_some());
        let edits = match pod {
            Some(pod) if self.ignores(&pod) => return None,
            Some(pod) => {
                let container = Container::find(&pod, attributes);
                self.edits(&pod, container.as_ref())
            }
            None if self.around.any() => {
                let belongs = Belongs::of_resource(attributes);
                let around = self.around.around(&belongs);
                Arc::new(self.extraction.edits_around(&belongs, &around))
            }
            None => return None,
        };
        (!edits.is_empty()).then_some(edits)
    }

    /// Whether a pod's telemetry stays as it is.
    fn ignores(&self, pod: &Pod) -> bool {
        let asks = pod.metadata.annotations.get(IGNORE);
        asks.is_some_and(|asks| asks.trim().eq_ignore_ascii_case("true"))
            || self.config.exclude.pods.iter().any(|excluded| {
                let name = excluded.name.as_ref();
                name.is_some_and(|name| name.is_match(&pod.metadata.name))
            })
    }

    fn edits(&self, pod: &Arc<Pod>, container: Option<&Container<'_>>) -> Arc<AttributeEdits> {
        let key = (
            pod.metadata.uid.clone(),
            container.map(|container| (container.name.to_owned(), container.run)),
        );
        let changes = self.around.changes();
        let mut made = self.made.lock();
        if made.changes != changes || made.edits.len() > MOST {
            made.edits.clear();
            made.changes = changes;
        }
        if let Some((of, edits)) = made.edits.get(&key)
            && Arc::ptr_eq(of, pod)
        {
            return Arc::clone(edits);
        }
        let around = self.around.around(&Belongs::of_pod(pod));
        let edits = Arc::new(self.extraction.edits(pod, container, &around));
        made.edits
            .insert(key, (Arc::clone(pod), Arc::clone(&edits)));
        edits
    }
}

#[async_trait]
impl Component for K8sAttributes {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        if self.config.passthrough {
            return Ok(());
        }
        let client = Arc::new(ApiClient::new(self.config.api(), Where::of_pod()));
        let tasks = self.cx.tasks();
        let (selection, mut pods) = (self.selection(), self.pods.clone());
        let (asking, stop) = (Arc::clone(&client), self.stop.clone());
        tasks.spawn("pods", async move {
            tokio::select! {
                () = run::<Pod, _>(&asking, &selection, &mut pods, Timing::default()) => {}
                () = stop.cancelled() => {}
            }
        });
        let node = self.node();
        for collection in self.around.collections(node.as_deref()) {
            let selection = Selection {
                metadata_only: true,
                fields: collection.fields,
                ..Selection::all(&collection.path)
            };
            let objects = collection.objects;
            let (asking, stop, mut objects) =
                (Arc::clone(&client), self.stop.clone(), objects.clone());
            tasks.spawn("objects", async move {
                tokio::select! {
                    () = run::<Partial, _>(&asking, &selection, &mut objects, Timing::default()) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        if self.config.wait_for_metadata {
            let patience = self.config.wait_for_metadata_timeout.get();
            let known = async {
                while !self.pods.complete() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if tokio::time::timeout(patience, known).await.is_err() {
                tracing::warn!(
                    ?patience,
                    "the pods are not known yet: telemetry goes on without their names until they are"
                );
            }
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.stop.cancel();
        Ok(())
    }
}

impl Processor for K8sAttributes {}

#[async_trait]
impl Consumer for K8sAttributes {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let peer = batch.metadata.peer().map(|peer| peer.ip().to_canonical());
        if peer.is_none() && self.counts_on_peers.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                "telemetry comes without its sender's address, by which pods are to be found: set include_metadata: true at the receiver, and put batch behind this processor"
            );
        }
        let (mut found, mut unknown) = (0, 0);
        let edited = batch.data.edit_each_resource(|resource| {
            let mut outcome = None;
            let edits = self.choose(&resource.attributes(), peer, &mut outcome);
            match outcome {
                Some(true) => found += 1,
                Some(false) => unknown += 1,
                None => {}
            }
            edits
        });
        self.metrics.looked_up(found, unknown);
        self.next.consume(batch.with_data(edited)).await
    }
}
