//! Objects of a scripted API server over real HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, Create, Extension, Health, Kind};
use corten_k8s_objects_receiver::factory;
use corten_pdata::{AnyValue, Data};
use corten_testing::{
    Asked, Cluster, Disk, RecordingSink, Reply, conforms, context_with, decode, eventually,
    http_server, kubeconfig,
};
use serde_json::json;

const PODS: &str = "/api/v1/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const NODES: &str = "/api/v1/nodes";

fn discovery(asked: &Asked) -> Reply {
    let answer = match asked.path() {
        "/api/v1" => {
            json!({"resources": [{"name": "pods", "namespaced": true}, {"name": "nodes"}]})
        }
        "/apis" => json!({"groups": [
            {"name": "broken", "preferredVersion": {"groupVersion": "broken/v1"}, "versions": []},
            {"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}, "versions": [{"groupVersion": "apps/v1"}]}]}),
        "/apis/apps/v1" => json!({"resources": [{"name": "deployments", "namespaced": true}]}),
        "/apis/broken/v1" => return Reply::Whole(503, "{}".to_owned()),
        _ => return Reply::Whole(404, "{}".to_owned()),
    };
    Reply::ok(answer.to_string())
}

struct Play {
    cluster: Cluster,
    folder: tempfile::TempDir,
    sink: Arc<RecordingSink>,
    health: Health,
}

fn object(namespace: &str, name: &str) -> serde_json::Value {
    json!({"kind": "X", "metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": 3}})
}

impl Play {
    async fn new() -> Self {
        let cluster = Cluster::new().with(PODS).with(DEPLOYMENTS).with(NODES);
        let server = cluster.clone();
        let answer = move |asked: Asked| {
            let else_discovery = || discovery(&asked);
            server.answer(&asked).unwrap_or_else(else_discovery)
        };
        let address = http_server(answer).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(file, kubeconfig(address, None)).unwrap();
        Self {
            cluster,
            folder,
            sink: RecordingSink::new(),
            health: Health::new(),
        }
    }

    async fn start(&self, settings: &str) -> Arc<dyn Component> {
        let config = self.folder.path().join("config");
        let yaml = format!(
            "auth_type: kubeConfig\nkubeconfig_path: {}\n{settings}",
            config.display()
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver");
        };
        let disk: Arc<dyn Extension> = Arc::new(Disk(self.folder.path().to_owned()));
        let cx = context_with(
            Kind::Receiver,
            "k8s_objects",
            &[("disk", disk)],
            &self.health,
        );
        let receiver = create(cx, self.sink.next()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        receiver
    }

    /// `namespace/name`, with the type of the change before it, of each record in the order in which they were kept.
    fn told(&self) -> Vec<String> {
        let mut all = Vec::new();
        for batch in self.sink.batches() {
            let Data::Logs(logs) = batch.data else {
                panic!("no logs");
            };
            for resource in logs.resources() {
                let of = resource.resource();
                let namespace = of.attributes().get_str("k8s.namespace.name").unwrap_or("");
                for scope in resource.scopes() {
                    for record in scope.records() {
                        let Some(AnyValue::KvList(body)) = record.body() else {
                            panic!("no map");
                        };
                        let (kind, object) = match body.get_str("type") {
                            Some(kind) => (format!("{kind} "), body.get("object").unwrap()),
                            None => (String::new(), record.body().unwrap()),
                        };
                        let AnyValue::KvList(object) = object else {
                            panic!("no object");
                        };
                        let Some(AnyValue::KvList(metadata)) = object.get("metadata") else {
                            panic!("no metadata");
                        };
                        let name = metadata.get_str("name").unwrap();
                        all.push(format!("{kind}{namespace}/{name}"));
                    }
                }
            }
        }
        all
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    eventually(what, Duration::from_secs(20), || async {
        holds().then_some(())
    })
    .await;
}

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(
        factory(),
        "{auth_type: kubeConfig, kubeconfig_path: /nonexistent, objects: [{name: pods}]}",
    )
    .await;
}

#[tokio::test]
async fn pulls_whole_lists_in_pages_again_and_again() {
    let play = Play::new().await;
    for number in 0..150 {
        play.cluster
            .put(PODS, object("shop", &format!("p{number:03}")));
    }
    let settings =
        "objects: [{name: pods, interval: 300ms, label_selector: 'a=b', field_selector: 'c=d'}]";
    let receiver = play.start(settings).await;
    play.sink.wait_for_items(300).await;
    receiver.shutdown().await.unwrap();
    let told = play.told();
    assert_eq!(
        (&*told[0], &*told[149], &*told[150]),
        ("shop/p000", "shop/p149", "shop/p000")
    );
    let seen = play.cluster.seen();
    let lists: Vec<_> = seen
        .iter()
        .filter(|target| target.starts_with(PODS))
        .collect();
    assert!(lists[0].contains("limit=100") && lists[1].contains("continue=100"));
    assert!(lists[0].contains("labelSelector=a%3Db") && lists[0].contains("fieldSelector=c%3Dd"));
}

#[tokio::test]
async fn watches_a_group_in_its_namespaces_and_leaves_out_what_is_not_wanted() {
    let play = Play::new().await;
    play.cluster.put(DEPLOYMENTS, object("shop", "old"));
    let settings = "objects: [{name: deployments, mode: watch, namespaces: [shop], exclude_watch_type: [DELETED]}]";
    let receiver = play.start(settings).await;
    until("a watch", || play.cluster.watches() == 1).await;
    play.cluster.put(DEPLOYMENTS, object("shop", "web"));
    play.cluster.delete(DEPLOYMENTS, "web");
    play.cluster.put(DEPLOYMENTS, object("shop", "old"));
    play.sink.wait_for_items(2).await;
    // What happens while the server is away and forgets is told of from the list.
    play.cluster.set_away(true);
    play.cluster.put(DEPLOYMENTS, object("shop", "new"));
    play.cluster.forget();
    play.cluster.set_away(false);
    play.sink.wait_for_items(3).await;
    receiver.shutdown().await.unwrap();
    assert_eq!(
        play.told(),
        ["ADDED shop/web", "MODIFIED shop/old", "ADDED shop/new"]
    );
}

#[tokio::test]
async fn begins_with_what_there_is_when_that_is_wanted_and_goes_on_after_a_restart() {
    let play = Play::new().await;
    play.cluster.put(NODES, object("", "n1"));
    let settings = "include_initial_state: true\nstorage: disk\nobjects: [{name: nodes, mode: watch, namespaces: [shop]}]";
    let receiver = play.start(settings).await;
    play.sink.wait_for_items(1).await;
    receiver.shutdown().await.unwrap();
    play.cluster.put(NODES, object("", "n2"));
    let receiver = play.start(settings).await;
    play.sink.wait_for_items(2).await;
    receiver.shutdown().await.unwrap();
    assert_eq!(play.told(), ["ADDED /n1", "ADDED /n2"]);
}

#[tokio::test]
async fn a_kind_that_is_not_there_and_one_that_is_refused_do_not_keep_the_others() {
    let play = Play::new().await;
    play.cluster.set_forbidden(PODS, true);
    let settings = "objects: [{name: widgets, mode: watch}, {name: pods, mode: watch}, {name: nodes, mode: watch}]";
    let receiver = play.start(settings).await;
    until("a watch", || play.cluster.watches() == 1).await;
    play.cluster.put(NODES, object("", "n1"));
    play.sink.wait_for_items(1).await;
    until("it says what is wrong", || {
        let said = format!("{:?}", play.health.components());
        said.contains("Failing")
    })
    .await;
    play.cluster.set_forbidden(PODS, false);
    until("the second watch", || play.cluster.watches() == 2).await;
    receiver.shutdown().await.unwrap();
}
