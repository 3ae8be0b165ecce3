//! Endpoints from a scripted API server over real HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Create, Endpoints, Extension, Health, Kind};
use corten_k8s_observer_extension::factory;
use corten_testing::{
    Cluster, Reply, conforms, context_with, decode, eventually, http_server, kubeconfig,
};
use serde_json::json;
use tokio::sync::watch;

const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";

struct Play {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Play {
    async fn new(cluster: Cluster) -> Self {
        let server = cluster.clone();
        let address = http_server(move |asked| {
            let missing = || Reply::Whole(404, "{}".to_owned());
            server.answer(&asked).unwrap_or_else(missing)
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "one").unwrap();
        let file = folder.path().join("config");
        std::fs::write(file, kubeconfig(address, Some(&token))).unwrap();
        Self { cluster, folder }
    }

    async fn start(&self, settings: &str) -> Arc<dyn Extension> {
        let extension = self.create(settings);
        Arc::clone(&extension).start().await.unwrap();
        extension
    }

    fn create(&self, settings: &str) -> Arc<dyn Extension> {
        let config = self.folder.path().join("config");
        let yaml = format!(
            "auth_type: kubeConfig\nkubeconfig_path: {}\n{settings}",
            config.display()
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Extension(create) = prepared.create else {
            panic!("no extension");
        };
        let cx = context_with(Kind::Extension, "k8s_observer", &[], &Health::new());
        create(cx, ()).unwrap()
    }

    fn pod(&self, name: &str, app: &str) {
        self.cluster.put(
            PODS,
            json!({
                "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80}]}]},
                "status": {"phase": "Running", "podIP": "10.0.0.7",
                    "containerStatuses": [{"name": "c", "containerID": "containerd://x", "state": {"running": {}}}]},
            }),
        );
    }
}

/// Waits for exactly these endpoints: `kind id`.
async fn until(seen: &watch::Receiver<Arc<Endpoints>>, wanted: &[&str]) {
    let mut now = Vec::new();
    eventually(&format!("{wanted:?}"), Duration::from_secs(20), || {
        let state = seen.borrow();
        now = state
            .values()
            .map(|endpoint| format!("{} {}", endpoint.kind, endpoint.id))
            .collect();
        let there = now == wanted;
        async move { there.then_some(()) }
    })
    .await;
}

const A: [&str; 3] = [
    "pod k8s_observer/a",
    "pod.container k8s_observer/a/c",
    "port k8s_observer/a/http(80)",
];

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(
        factory(),
        "{auth_type: kubeConfig, kubeconfig_path: /nonexistent, node: n1}",
    )
    .await;
}

#[tokio::test]
async fn endpoints_come_change_and_go_through_everything_that_ends_a_watch() {
    let play = Play::new(Cluster::new().with(PODS)).await;
    play.pod("a", "one");
    let observer = play.start("node: n1").await;
    let seen = observer.observer().unwrap().endpoints();
    until(&seen, &A).await;
    let asked = play.cluster.seen();
    assert!(
        asked
            .iter()
            .all(|target| target.contains("fieldSelector=spec.nodeName%3Dn1")),
        "only this node's pods are asked for: {asked:?}"
    );

    // A label changes while the watch is cut.
    let app = || seen.borrow()["k8s_observer/a"].fields["labels"]["app"].clone();
    assert_eq!(app(), "one");
    play.cluster.cut();
    play.pod("a", "two");
    eventually("the label", Duration::from_secs(20), || async {
        (app() == "two").then_some(())
    })
    .await;

    // The server is away; what was known stands. Meanwhile one pod goes and the server forgets that it was there.
    play.cluster.set_away(true);
    play.cluster.delete(PODS, "a");
    play.pod("b", "one");
    play.cluster.forget();
    until(&seen, &A).await;
    play.cluster.set_away(false);
    let b = A.map(|line| line.replace("/a", "/b"));
    until(&seen, &b.each_ref().map(String::as_str)).await;

    play.cluster.delete(PODS, "b");
    until(&seen, &[]).await;
    observer.shutdown().await.unwrap();
}

#[tokio::test]
async fn everything_that_is_asked_for_is_observed() {
    let cluster = Cluster::new().with(NODES).with(SERVICES).with(INGRESSES);
    cluster.put(NODES, json!({"metadata": {"name": "n1", "uid": "n"}}));
    cluster.put(
        SERVICES,
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "s"}}),
    );
    cluster.put(
        INGRESSES,
        json!({"metadata": {"name": "in", "namespace": "shop", "uid": "i"}, "spec": {"rules": [{"host": "h", "http": {"paths": [{"path": "/p"}]}}]}}),
    );
    let play = Play::new(cluster).await;
    let observer = play
        .start("all_nodes: true\nobserve_pods: false\nobserve_nodes: true\nobserve_services: true\nobserve_ingresses: true")
        .await;
    let seen = observer.observer().unwrap().endpoints();
    until(
        &seen,
        &[
            "k8s.ingress k8s_observer/i/h/p",
            "k8s.node k8s_observer/n1-n",
            "k8s.service k8s_observer/s",
        ],
    )
    .await;
    assert!(
        !play
            .cluster
            .seen()
            .iter()
            .any(|target| target.contains("pods"))
    );
    observer.shutdown().await.unwrap();
}
