//! Events of a scripted API server over real HTTP: each told once, whatever happens to the watch.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, Create, Extension, Health, Kind, Status};
use corten_k8s_events_receiver::factory;
use corten_pdata::Data;
use corten_testing::{
    Answer, Cluster, Disk, Elected, RecordingSink, Reply, conforms, context_with, decode,
    eventually, http_server, kubeconfig,
};
use serde_json::json;

const EVENTS: &str = "/api/v1/events";

struct Play {
    cluster: Cluster,
    folder: tempfile::TempDir,
    sink: Arc<RecordingSink>,
    elected: Arc<Elected>,
    health: Health,
}

fn happen(cluster: &Cluster, collection: &str, name: &str) {
    cluster.put(
        collection,
        json!({"metadata": {"name": name, "uid": name}, "message": name, "type": "Normal", "involvedObject": {"kind": "Pod", "name": "web"}}),
    );
}

impl Play {
    async fn new(cluster: Cluster) -> Self {
        let server = cluster.clone();
        let answer = move |asked| {
            let missing = || Reply::Whole(404, "{}".to_owned());
            server.answer(&asked).unwrap_or_else(missing)
        };
        let address = http_server(answer).await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "one").unwrap();
        let file = folder.path().join("config");
        std::fs::write(file, kubeconfig(address, Some(&token))).unwrap();
        Self {
            cluster,
            folder,
            sink: RecordingSink::new(),
            elected: Elected::new(true),
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
        let elected = Arc::clone(&self.elected) as Arc<dyn Extension>;
        let extensions = [("disk", disk), ("elected", elected)];
        let cx = context_with(Kind::Receiver, "k8s_events", &extensions, &self.health);
        let receiver = create(cx, self.sink.next()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        receiver
    }

    fn happen(&self, name: &str) {
        happen(&self.cluster, EVENTS, name);
    }

    /// The messages of the records, in the order in which they were kept.
    fn told(&self) -> Vec<String> {
        let mut all = Vec::new();
        for batch in self.sink.batches() {
            let Data::Logs(logs) = batch.data else {
                panic!("no logs");
            };
            for resource in logs.resources() {
                for scope in resource.scopes() {
                    for record in scope.records() {
                        all.push(record.body().unwrap().as_str().unwrap().to_owned());
                    }
                }
            }
        }
        all
    }

    async fn watching(&self, count: usize) {
        until("a watch", || self.cluster.watches() == count).await;
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
        "{auth_type: kubeConfig, kubeconfig_path: /nonexistent}",
    )
    .await;
}

#[tokio::test]
async fn what_comes_is_told_once_through_everything_that_ends_a_watch() {
    let play = Play::new(Cluster::new().with(EVENTS)).await;
    play.happen("old");
    let receiver = play.start("").await;
    play.watching(1).await;
    play.happen("a");
    play.sink.wait_for_items(1).await;
    // The watch is cut, and something happens meanwhile.
    play.cluster.cut();
    play.happen("b");
    play.sink.wait_for_items(2).await;
    // The token rotates.
    std::fs::write(play.folder.path().join("token"), "two").unwrap();
    play.cluster.set_token("two");
    play.happen("c");
    play.sink.wait_for_items(3).await;
    // The server is away.
    play.cluster.set_away(true);
    play.happen("d");
    let asked = play.cluster.seen().len();
    until("attempts", || play.cluster.seen().len() > asked + 1).await;
    play.cluster.set_away(false);
    play.sink.wait_for_items(4).await;
    play.watching(1).await;
    // The version is gone: only what is newer is told of the list.
    play.cluster.set_away(true);
    play.happen("e");
    play.cluster.forget();
    play.cluster.set_away(false);
    play.sink.wait_for_items(5).await;
    assert_eq!(play.told(), ["a", "b", "c", "d", "e"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_began_to_count_anew_is_told_of_whole() {
    let play = Play::new(Cluster::new().with(EVENTS)).await;
    let receiver = play.start("").await;
    play.watching(1).await;
    play.happen("a");
    play.sink.wait_for_items(1).await;
    play.cluster.rewind(7);
    play.sink.wait_for_items(2).await;
    play.watching(1).await;
    play.happen("b");
    play.sink.wait_for_items(3).await;
    assert_eq!(play.told(), ["a", "a", "b"], "rather twice than never");
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restart_goes_on_where_the_pipeline_had_kept_everything() {
    let play = Play::new(Cluster::new().with(EVENTS)).await;
    let receiver = play.start("storage: disk").await;
    play.watching(1).await;
    play.happen("a");
    play.sink.wait_for_items(1).await;
    // This one is on its way when the process ends.
    play.sink.then([Answer::Hang]);
    play.happen("b");
    until("b is offered", || play.sink.offered() == 2).await;
    receiver.shutdown().await.unwrap();
    play.happen("c");
    let receiver = play.start("storage: disk").await;
    play.sink.wait_for_items(3).await;
    assert_eq!(play.told(), ["a", "b", "c"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_now_is_offered_again() {
    let play = Play::new(Cluster::new().with(EVENTS)).await;
    let receiver = play.start("").await;
    play.watching(1).await;
    play.sink.then([Answer::Retry(Status::Unset, None)]);
    play.happen("a");
    play.sink.wait_for_items(1).await;
    assert_eq!(play.told(), ["a"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_refused_does_not_keep_the_others() {
    let [a, b] = ["a", "b"].map(|name| format!("/api/v1/namespaces/{name}/events"));
    let play = Play::new(Cluster::new().with(&a).with(&b)).await;
    play.cluster.set_forbidden(&a, true);
    let receiver = play.start("namespaces: [a, b]").await;
    play.watching(1).await;
    happen(&play.cluster, &b, "of b");
    play.sink.wait_for_items(1).await;
    let failing = || format!("{:?}", play.health.components());
    until("it says which rule is missing", || {
        failing().contains(r#"resources: [\"events\"], verbs: [\"list\", \"watch\"]"#)
    })
    .await;
    play.cluster.set_forbidden(&a, false);
    play.watching(2).await;
    happen(&play.cluster, &a, "of a");
    play.sink.wait_for_items(2).await;
    assert!(!failing().contains("Failing"), "{}", failing());
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_who_leads_reads_and_goes_on_where_it_was() {
    let play = Play::new(Cluster::new().with(EVENTS)).await;
    play.elected.set(false);
    let receiver = play.start("k8s_leader_elector: elected").await;
    assert!(play.cluster.seen().is_empty());
    play.elected.set(true);
    play.watching(1).await;
    play.happen("a");
    play.sink.wait_for_items(1).await;
    play.elected.set(false);
    play.watching(0).await;
    play.happen("b");
    play.elected.set(true);
    play.sink.wait_for_items(2).await;
    assert_eq!(play.told(), ["a", "b"]);
    receiver.shutdown().await.unwrap();
}
