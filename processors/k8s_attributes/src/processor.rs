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
use crate::surroundings::{Around, Belongs, Surroundings};

/// Beyond so many remembered pods, and twice as many as there are, those that are gone are forgotten.
const LEAST: usize = 256;

pub(crate) struct K8sAttributes {
    cx: Context,
    config: Config,
    next: Arc<dyn Consumer>,
    associations: Associations,
    extraction: Extraction,
    pods: Pods,
    around: Surroundings,
    /// By the pods' uids.
    made: Mutex<HashMap<String, Made>>,
    metrics: Metrics,
    /// Whether the user counts on the senders' addresses and has not been told yet that none come.
    counts_on_peers: AtomicBool,
    stop: CancellationToken,
}

/// What resources of one pod and of its containers are told, made once.
struct Made {
    pod: Arc<Pod>,
    around: Around,
    /// The count of changes at which `around` was looked at.
    changes: u64,
    /// By the container and its run, where one is known.
    edits: Vec<(Option<Own>, Arc<AttributeEdits>)>,
}

/// A container by its name, and which run of it.
type Own = (String, Run);

impl Made {
    /// Throws away what was made of something that is different now.
    fn refresh(&mut self, pod: &Arc<Pod>, surroundings: &Surroundings) {
        let changes = surroundings.changes();
        let same = Arc::ptr_eq(&self.pod, pod);
        if same && changes == self.changes {
            return;
        }
        let around = surroundings.around(&Belongs::of_pod(pod));
        if !same || !around.is_same(&self.around) {
            self.edits.clear();
            (self.pod, self.around) = (Arc::clone(pod), around);
        }
        self.changes = changes;
    }
}

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
        let extraction = Extraction::new(&config)?;
        Ok(Self {
            associations: Associations::new(&config.pod_association),
            pods: Pods::new(limits),
            around: Surroundings::needed(&config, &extraction),
            extraction,
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

    /// Which pods are watched, and what keeps those of each watch.
    fn selections(&self) -> Vec<(Selection, Pods)> {
        let filter = &self.config.filter;
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
        let selection = |path: &str| Selection {
            fields: fields.join(","),
            labels: written(&filter.labels).join(","),
            ..Selection::all(path)
        };
        let mut all: Vec<_> = filter
            .namespaces()
            .map(|namespace| {
                let path = format!("/api/v1/namespaces/{namespace}/pods");
                (selection(&path), self.pods.part(namespace))
            })
            .collect();
        if all.is_empty() {
            all.push((selection("/api/v1/pods"), self.pods.clone()));
        }
        all
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
        let uid = pod.metadata.uid.as_str();
        let mut made = self.made.lock();
        if !made.contains_key(uid) {
            if made.len() >= LEAST.max(2 * self.pods.len()) {
                made.retain(|uid, _| self.pods.by_uid(uid).is_some());
            }
            let changes = self.around.changes();
            let first = Made {
                pod: Arc::clone(pod),
                around: self.around.around(&Belongs::of_pod(pod)),
                changes,
                edits: Vec::new(),
            };
            made.insert(uid.to_owned(), first);
        }
        let Some(made) = made.get_mut(uid) else {
            return Arc::default();
        };
        made.refresh(pod, &self.around);
        let own = container.map(|container| (container.name, container.run));
        let whose = |of: &Option<Own>| of.as_ref().map(|(name, run)| (name.as_str(), *run)) == own;
        if let Some((_, edits)) = made.edits.iter().find(|(of, _)| whose(of)) {
            return Arc::clone(edits);
        }
        let edits = Arc::new(self.extraction.edits(pod, container, &made.around));
        let own = own.map(|(name, run)| (name.to_owned(), run));
        made.edits.push((own, Arc::clone(&edits)));
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
        for (selection, mut pods) in self.selections() {
            let (asking, stop) = (Arc::clone(&client), self.stop.clone());
            tasks.spawn("pods", async move {
                tokio::select! {
                    () = run::<Pod, _>(&asking, &selection, &mut pods, Timing::default()) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        let node = self.node();
        for collection in self.around.collections(node.as_deref()) {
            let selection = Selection {
                metadata_only: true,
                fields: collection.fields,
                ..Selection::all(&collection.path)
            };
            let mut objects = collection.objects;
            let (asking, stop) = (Arc::clone(&client), self.stop.clone());
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
                while !(self.pods.complete() && self.around.complete()) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if tokio::time::timeout(patience, known).await.is_err() {
                tracing::warn!(
                    ?patience,
                    pods = self.pods.complete(),
                    "not everything is known yet: telemetry goes on without its names until it is"
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

#[cfg(test)]
mod tests {
    use corten_component::{Health, Kind};
    use corten_kubernetes::Keep as _;
    use corten_pdata::build::TracesBuilder;
    use corten_testing::{RecordingSink, context_with};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::{Extract, Field, Source};

    fn processor() -> K8sAttributes {
        let label = |from| Field {
            key: "team".to_owned(),
            from,
            ..Field::default()
        };
        let extract = Extract {
            metadata: vec![
                "k8s.deployment.uid".to_owned(),
                "k8s.cluster.uid".to_owned(),
            ],
            labels: vec![
                label(Source::Namespace),
                label(Source::Node),
                label(Source::Deployment),
                label(Source::Pod),
            ],
            ..Extract::default()
        };
        let config = Config {
            extract,
            ..Config::default()
        };
        let cx = context_with(Kind::Processor, "k8s_attributes", &[], &Health::new());
        K8sAttributes::create(cx, config, RecordingSink::new()).unwrap()
    }

    /// What edits make of a resource without attributes.
    fn bytes(edits: &AttributeEdits) -> Vec<u8> {
        let mut traces = TracesBuilder::new();
        traces.resource(|_| ());
        traces.scope("", "");
        traces.span(|_| ());
        let data = corten_pdata::Data::Traces(traces.finish()).edit_resource_attributes(edits);
        data.to_bytes().to_vec()
    }

    /// Something happens to an object: which of them, what its label is then, and in which way.
    #[derive(Clone, Debug)]
    struct Event {
        object: usize,
        number: usize,
        team: &'static str,
        gone: bool,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = (
            0..5_usize,
            0..2_usize,
            prop::sample::select(&["a", "b"][..]),
            prop::bool::weighted(0.2),
        );
        let event = event.prop_map(|(object, number, team, gone)| Event {
            object,
            number,
            team,
            gone,
        });
        prop::collection::vec(event, 1..40)
    }

    proptest! {
        /// What is remembered is what would be made anew, whatever has happened in between.
        #[test]
        fn what_is_remembered_is_never_old(events in events()) {
            let processor = processor();
            let mut pods = processor.pods.clone();
            for event in events {
                let Event { object, number, team, gone } = event;
                let owner = |kind: &str, uid: &str| json!([{"kind": kind, "name": uid, "uid": uid, "controller": true}]);
                let owners = match object {
                    0 => owner("ReplicaSet", &format!("3-{number}")),
                    3 => owner("Deployment", if team == "a" { "4-0" } else { "4-1" }),
                    _ => json!([]),
                };
                let name = match (object, number) {
                    (1, 1) => "kube-system".to_owned(),
                    _ => number.to_string(),
                };
                // Namespaces and nodes are the cluster's.
                let within = if matches!(object, 1 | 2) { "" } else { "0" };
                let metadata = json!({"metadata": {
                    "name": name, "namespace": within, "uid": format!("{object}-{number}"), "labels": {"team": team},
                    "annotations": {"noise": team}, "ownerReferences": owners,
                }, "spec": {"nodeName": "0"}});
                if object == 0 {
                    let pod: Pod = serde_json::from_value(metadata).unwrap();
                    if gone { pods.delete(pod) } else { pods.put(pod) }
                } else {
                    let collections = processor.around.collections(None);
                    let path = ["", "namespaces", "nodes", "replicasets", "deployments"][object];
                    let collection = collections.iter().find(|collection| collection.path.ends_with(path)).unwrap();
                    let mut objects = collection.objects.clone();
                    let object: Partial = serde_json::from_value(metadata).unwrap();
                    if gone { objects.delete(object) } else { objects.put(object) }
                }
                for uid in ["0-0", "0-1"] {
                    let Some(pod) = processor.pods.by_uid(uid) else { continue };
                    let around = processor.around.around(&Belongs::of_pod(&pod));
                    let anew = processor.extraction.edits(&pod, None, &around);
                    let remembered = processor.edits(&pod, None);
                    prop_assert_eq!(bytes(&remembered), bytes(&anew));
                    prop_assert!(Arc::ptr_eq(&remembered, &processor.edits(&pod, None)));
                }
            }
        }
    }

    /// What happens to others, and what nobody asks about, makes nothing anew.
    #[test]
    fn only_what_matters_to_a_pod_makes_its_attributes_anew() {
        let processor = processor();
        let mut pods = processor.pods.clone();
        pods.put(serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "own", "uid": "1"}, "spec": {"nodeName": "n"}})).unwrap());
        let pod = processor.pods.by_uid("1").unwrap();
        let put = |path: &str, object: serde_json::Value| {
            let collections = processor.around.collections(None);
            let collection = collections
                .iter()
                .find(|collection| collection.path.ends_with(path))
                .unwrap();
            collection
                .objects
                .clone()
                .put(serde_json::from_value(json!({"metadata": object})).unwrap());
        };
        let first = processor.edits(&pod, None);
        put(
            "namespaces",
            json!({"name": "other", "uid": "ns-2", "labels": {"team": "x"}}),
        );
        put(
            "replicasets",
            json!({"name": "r", "namespace": "own", "uid": "rs-1"}),
        );
        assert!(Arc::ptr_eq(&first, &processor.edits(&pod, None)));
        put(
            "namespaces",
            json!({"name": "own", "uid": "ns-1", "labels": {"team": "x"}}),
        );
        let second = processor.edits(&pod, None);
        assert!(!Arc::ptr_eq(&first, &second));
        put(
            "namespaces",
            json!({"name": "own", "uid": "ns-1", "labels": {"team": "x", "other": "y"}, "resourceVersion": "9"}),
        );
        assert!(Arc::ptr_eq(&second, &processor.edits(&pod, None)));
    }

    /// Pods that are gone are not remembered for ever.
    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_by_the_pods() {
        let processor = processor();
        let mut pods = processor.pods.clone();
        for number in 0..4 * LEAST {
            let pod: Pod = serde_json::from_value(
                json!({"metadata": {"name": "p", "uid": number.to_string()}}),
            )
            .unwrap();
            pods.put(pod.clone());
            processor.edits(&processor.pods.by_uid(&number.to_string()).unwrap(), None);
            pods.delete(pod);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert!(processor.made.lock().len() <= LEAST);
    }
}
