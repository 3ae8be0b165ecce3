//! Logs of a scripted API server over real HTTP: every line once, whatever the streams do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, Create, Extension, Health, Kind};
use corten_k8s_logs_receiver::factory;
use corten_pdata::Data;
use corten_testing::{
    Answer, Asked, Cluster, Disk, RecordingSink, Reply, conforms, context_with, decode, eventually,
    http_server, kubeconfig,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

const PODS: &str = "/api/v1/pods";
const SECOND: u64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z.
const BEGIN: u64 = 1_767_225_600 * SECOND;

/// What the kubelet has of one container.
#[derive(Default)]
struct Log {
    lines: Vec<(u64, String)>,
    previous: Vec<(u64, String)>,
    following: Vec<mpsc::Sender<Vec<u8>>>,
    /// Whether it is ended: who follows it is told so.
    over: bool,
}

fn line((time, text): &(u64, String)) -> Vec<u8> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(*time)).unwrap();
    format!("{time:.9} {text}\n").into_bytes()
}

type Logs = Arc<Mutex<BTreeMap<String, Log>>>;

fn answer(logs: &Logs, asked: &Asked) -> Reply {
    // /api/v1/namespaces/{namespace}/pods/{pod}/log
    let pod = asked
        .path()
        .split('/')
        .nth(6)
        .unwrap_or_default()
        .to_owned();
    let mut logs = logs.lock();
    let Some(log) = logs.get_mut(&pod) else {
        return Reply::Whole(404, r#"{"message":"not found"}"#.to_owned());
    };
    assert_eq!(asked.parameter("timestamps"), "true");
    let since = match asked.parameter("sinceTime") {
        "" => 0,
        time => {
            let time: jiff::Timestamp = time.parse().unwrap();
            u64::try_from(time.as_nanosecond()).unwrap()
        }
    };
    let previous = asked.parameter("previous") == "true";
    let lines = if previous { &log.previous } else { &log.lines };
    let text: Vec<u8> = lines
        .iter()
        .filter(|(time, _)| *time >= since)
        .flat_map(line)
        .collect();
    if asked.parameter("follow") != "true" || previous || log.over {
        return Reply::ok(String::from_utf8(text).unwrap());
    }
    // The kubelet sends no head before the first line.
    let (sender, pieces) = mpsc::channel(1024);
    if !text.is_empty() {
        sender.try_send(text).unwrap();
    }
    log.following.push(sender);
    Reply::Late(pieces)
}

struct Play {
    cluster: Cluster,
    logs: Logs,
    folder: tempfile::TempDir,
    sink: Arc<RecordingSink>,
}

impl Play {
    async fn new() -> Self {
        let cluster = Cluster::new().with(PODS);
        let logs = Logs::default();
        let (server, files) = (cluster.clone(), Arc::clone(&logs));
        let reply = move |asked: Asked| {
            let of_log = || answer(&files, &asked);
            server.answer(&asked).unwrap_or_else(of_log)
        };
        let address = http_server(reply).await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "one").unwrap();
        let file = folder.path().join("config");
        std::fs::write(file, kubeconfig(address, Some(&token))).unwrap();
        Self {
            cluster,
            logs,
            folder,
            sink: RecordingSink::new(),
        }
    }

    async fn start(&self, settings: &str) -> Arc<dyn Component> {
        let config = self.folder.path().join("config");
        let yaml = format!(
            "auth_type: kubeConfig\nkubeconfig_path: {}\nnode: here\nreopen_idle_after: 1s\n{settings}",
            config.display()
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver");
        };
        let disk: Arc<dyn Extension> = Arc::new(Disk(self.folder.path().to_owned()));
        let cx = context_with(
            Kind::Receiver,
            "k8s_logs",
            &[("disk", disk)],
            &Health::new(),
        );
        let receiver = create(cx, self.sink.next()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        receiver
    }

    fn pod(&self, name: &str, restart: u32, running: bool) {
        self.logs.lock().entry(name.to_owned()).or_default();
        let state = if running {
            json!({"running": {"startedAt": "x"}})
        } else {
            json!({"terminated": {"exitCode": 0}})
        };
        self.cluster.put(
            PODS,
            json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
                "status": {"containerStatuses": [{"name": "app", "restartCount": restart, "containerID": "containerd://x", "state": state}]}}),
        );
    }

    /// Writes a line, `at` nanoseconds after the beginning; who follows gets it.
    fn write(&self, pod: &str, at: u64, text: &str) {
        let mut logs = self.logs.lock();
        let log = logs.get_mut(pod).unwrap();
        let entry = (BEGIN + at, text.to_owned());
        log.following
            .retain(|sender| sender.try_send(line(&entry)).is_ok());
        log.lines.push(entry);
    }

    /// The texts of the records, in the order in which they were kept, with the life of the container that is not the first.
    fn told(&self, pod: &str) -> Vec<String> {
        let mut all = Vec::new();
        for batch in self.sink.batches() {
            let Data::Logs(logs) = batch.data else {
                panic!("no logs");
            };
            for resource in logs.resources() {
                let of = resource.resource();
                if of.attributes().get_str("k8s.pod.name") != Some(pod) {
                    continue;
                }
                let life = of.attributes().get_str("k8s.container.restart_count");
                let life = life
                    .filter(|life| *life != "0")
                    .unwrap_or_default()
                    .to_owned();
                for scope in resource.scopes() {
                    for record in scope.records() {
                        let body = record.body().unwrap();
                        all.push(format!("{life}{}", body.as_str().unwrap()));
                    }
                }
            }
        }
        all
    }

    fn following(&self, pod: &str) -> usize {
        let mut logs = self.logs.lock();
        let log = logs.get_mut(pod).unwrap();
        log.following.retain(|sender| !sender.is_closed());
        log.following.len()
    }

    fn asked(&self, pod: &str) -> usize {
        let path = format!("/pods/{pod}/log");
        let seen = self.cluster.seen();
        seen.iter().filter(|target| target.contains(&path)).count()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    eventually(what, Duration::from_secs(30), || async {
        holds().then_some(())
    })
    .await;
}

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(
        factory(),
        "{auth_type: kubeConfig, kubeconfig_path: /nonexistent, node: here}",
    )
    .await;
}

#[tokio::test]
async fn lines_have_their_time_and_the_resource_of_pod_logs() {
    let play = Play::new().await;
    play.pod("web-0", 2, true);
    play.write("web-0", 5, "hello");
    let receiver = play
        .start("attributes: {a: b}\nresource: {cluster: c}\n")
        .await;
    let batches = play.sink.wait_for_items(1).await;
    let Data::Logs(logs) = &batches[0].data else {
        panic!("no logs");
    };
    let resource = logs.resources().next().unwrap();
    let of: Vec<(String, String)> = resource
        .resource()
        .attributes()
        .iter()
        .map(|one| {
            (
                one.key().to_owned(),
                one.value().as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "web-0"),
        ("k8s.pod.uid", "uid-web-0"),
        ("k8s.container.name", "app"),
        ("k8s.container.restart_count", "2"),
        ("cluster", "c"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(of, expected);
    let record = resource.scopes().next().unwrap().records().next().unwrap();
    assert_eq!(record.time_unix_nano(), BEGIN + 5);
    assert_eq!(record.attributes().get_str("a"), Some("b"));
    assert!(batches[0].replayable);
    receiver.shutdown().await.unwrap();
    let seen = play.cluster.seen();
    assert!(
        seen[0].contains("fieldSelector=spec.nodeName%3Dhere"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn every_line_is_told_once_through_cuts_silence_absence_and_a_new_token() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    play.write("a", 1, "one");
    let receiver = play.start("").await;
    play.sink.wait_for_items(1).await;
    // The stream is cut; the same text is written again, at the same moment.
    play.logs.lock().get_mut("a").unwrap().following.clear();
    play.write("a", 1, "one");
    play.write("a", 2, "two");
    play.sink.wait_for_items(3).await;
    // The kubelet rotates: what follows falls silent, and the older lines are gone.
    let silent = {
        let mut logs = play.logs.lock();
        let log = logs.get_mut("a").unwrap();
        log.lines.remove(0);
        std::mem::take(&mut log.following)
    };
    play.write("a", 3, "three");
    play.sink.wait_for_items(4).await;
    drop(silent);
    // The API server is away, and comes back with another token.
    play.cluster.set_away(true);
    play.logs.lock().get_mut("a").unwrap().following.clear();
    play.write("a", SECOND + 4, "four");
    std::fs::write(play.folder.path().join("token"), "two").unwrap();
    play.cluster.set_token("two");
    play.cluster.set_away(false);
    play.sink.wait_for_items(5).await;
    until("it follows", || play.following("a") == 1).await;
    play.write("a", SECOND + 5, "five");
    play.sink.wait_for_items(6).await;
    assert_eq!(
        play.told("a"),
        ["one", "one", "two", "three", "four", "five"]
    );
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restart_tells_again_only_what_was_not_kept() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    for number in 0..5 {
        play.write("a", number, "same");
    }
    let receiver = play.start("storage: disk").await;
    play.sink.wait_for_items(5).await;
    until("it follows", || play.following("a") == 1).await;
    play.sink.then([Answer::Hang]);
    play.write("a", 5, "hangs");
    until("it is offered", || play.sink.offered() == 2).await;
    receiver.shutdown().await.unwrap();
    play.write("a", 5, "later");
    let receiver = play.start("storage: disk").await;
    play.sink.wait_for_items(7).await;
    receiver.shutdown().await.unwrap();
    let mut expected = vec!["same"; 5];
    expected.extend(["hangs", "later"]);
    assert_eq!(play.told("a"), expected);
}

#[tokio::test]
async fn the_end_of_a_life_is_told_before_the_next_one() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    play.write("a", 1, "first");
    let receiver = play.start("").await;
    play.sink.wait_for_items(1).await;
    {
        let mut logs = play.logs.lock();
        let log = logs.get_mut("a").unwrap();
        log.previous = std::mem::take(&mut log.lines);
        log.previous.push((BEGIN + 2, "last words".to_owned()));
        log.lines.push((BEGIN + 3, "again".to_owned()));
        log.over = true;
        log.following.clear();
    }
    // News of it comes before the log is opened again.
    play.pod("a", 1, true);
    play.logs.lock().get_mut("a").unwrap().over = false;
    play.sink.wait_for_items(3).await;
    assert_eq!(play.told("a"), ["first", "last words", "1again"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_has_ended_is_read_once_and_a_pod_that_is_gone_no_more() {
    let play = Play::new().await;
    play.pod("job", 0, false);
    play.pod("web", 0, true);
    play.write("job", 1, "done");
    let receiver = play.start("").await;
    play.sink.wait_for_items(1).await;
    until("it follows", || play.following("web") == 1).await;
    play.logs.lock().remove("web");
    play.cluster.delete(PODS, "web");
    until("an idle log was asked for again", || play.asked("web") >= 1).await;
    // A pod that comes later is read, while the others are left alone.
    play.pod("new", 0, true);
    play.write("new", 1, "hello");
    play.sink.wait_for_items(2).await;
    until("it follows", || play.following("new") == 1).await;
    assert_eq!(play.asked("job"), 1);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_pod_that_is_refused_does_not_keep_the_others() {
    let play = Play::new().await;
    play.pod("secret", 0, true);
    play.pod("web", 0, true);
    let log = "/api/v1/namespaces/shop/pods/secret/log";
    play.cluster.set_forbidden(log, true);
    let receiver = play.start("").await;
    until("it is asked for", || play.asked("secret") == 1).await;
    until("it follows", || play.following("web") == 1).await;
    play.write("web", 1, "hello");
    play.sink.wait_for_items(1).await;
    // News of the pod makes it be asked for again.
    play.write("secret", 1, "psst");
    play.cluster.set_forbidden(log, false);
    play.pod("secret", 0, false);
    play.sink.wait_for_items(2).await;
    assert_eq!(play.told("secret"), ["psst"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wanted_is_chosen_and_old_logs_may_be_begun_at_their_end() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    play.write("a", 1, "old");
    let receiver = play
        .start("start_at: end\ncontainers: {exclude: [istio-*]}")
        .await;
    until("it follows", || play.following("a") == 1).await;
    let hour = 3600 * SECOND * 24 * 365 * 20;
    play.write("a", hour, "new");
    play.sink.wait_for_items(1).await;
    assert_eq!(play.told("a"), ["new"]);
    receiver.shutdown().await.unwrap();
    let seen = play.sink.offered();
    let receiver = play.start("namespaces: {include: [other]}").await;
    until("pods are listed", || play.cluster.watches() == 1).await;
    assert_eq!(play.sink.offered(), seen);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_full_node_is_read_whole_through_storms_of_cuts() {
    let play = Play::new().await;
    let pods: Vec<String> = (0..110).map(|number| format!("p{number:03}")).collect();
    for pod in &pods {
        play.pod(pod, 0, true);
        for number in 0..20 {
            play.write(pod, number, &format!("line {number}"));
        }
    }
    let receiver = play.start("").await;
    play.sink.wait_for_items(110 * 20).await;
    for round in 1..4 {
        for log in play.logs.lock().values_mut() {
            log.following.clear();
        }
        for pod in &pods {
            for number in 0..20 {
                play.write(
                    pod,
                    round * SECOND / 2 + number,
                    &format!("line {}", round * 20 + number),
                );
            }
        }
        let items = usize::try_from(round + 1).unwrap() * 110 * 20;
        until("all lines", || play.sink.items() >= items).await;
    }
    let expected: Vec<String> = (0..80).map(|number| format!("line {number}")).collect();
    for pod in &pods {
        assert_eq!(play.told(pod), expected, "{pod}");
    }
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_line_that_is_cut_by_the_end_of_a_stream_comes_whole() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    let receiver = play.start("").await;
    until("it follows", || play.following("a") == 1).await;
    let entry = (BEGIN + 1, "a whole line".to_owned());
    {
        let mut logs = play.logs.lock();
        let log = logs.get_mut("a").unwrap();
        let text = line(&entry);
        log.following[0]
            .try_send(text[..text.len() - 6].to_vec())
            .unwrap();
        log.following.clear();
        log.lines.push(entry);
    }
    play.sink.wait_for_items(1).await;
    until("it follows", || play.following("a") == 1).await;
    play.write("a", 2, "the next");
    play.sink.wait_for_items(2).await;
    assert_eq!(play.told("a"), ["a whole line", "the next"]);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_line_that_is_too_long_comes_in_pieces_once() {
    let play = Play::new().await;
    play.pod("a", 0, true);
    play.write("a", 1, &"x".repeat(250));
    play.write("a", 2, "short");
    let receiver = play.start("max_log_size: 100").await;
    play.sink.wait_for_items(4).await;
    play.logs.lock().get_mut("a").unwrap().following.clear();
    play.write("a", 3, "end");
    play.sink.wait_for_items(5).await;
    let told = play.told("a");
    assert_eq!(told[..3].concat(), "x".repeat(250));
    assert_eq!(told[3..], ["short", "end"]);
    receiver.shutdown().await.unwrap();
}
