//! Agents and one scripted API server with a real rule: who writes an old version of the lease gets 409.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Context, Create, Extension, Kind};
use corten_k8s_leader_elector_extension::factory;
use corten_testing::{Asked, Reply, conforms, decode, eventually, http_server, kubeconfig};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The API server's one lease.
#[derive(Default)]
struct Leases {
    lease: Option<Value>,
    version: u64,
    writes: usize,
    released: usize,
    away: bool,
    forbidden: bool,
}

impl Leases {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if self.away {
            return Reply::Nothing;
        }
        if self.forbidden {
            return Reply::Whole(403, r#"{"message":"leases is forbidden"}"#.to_owned());
        }
        match asked.method.as_str() {
            "GET" => match &self.lease {
                Some(lease) => Reply::ok(lease.to_string()),
                None => Reply::Whole(404, "{}".to_owned()),
            },
            "POST" if self.lease.is_some() => Reply::Whole(409, "{}".to_owned()),
            method => {
                let mut lease: Value = serde_json::from_slice(&asked.body).unwrap();
                let known = lease["metadata"]["resourceVersion"].as_str();
                let current = self.version.to_string();
                if method == "PUT" && known != Some(&current) {
                    return Reply::Whole(409, "{}".to_owned());
                }
                self.version += 1;
                self.writes += 1;
                self.released += usize::from(lease["spec"]["holderIdentity"] == "");
                lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.lease = Some(lease);
                Reply::ok(self.lease.as_ref().unwrap().to_string())
            }
        }
    }

    fn holder(&self) -> String {
        let lease = self.lease.as_ref().unwrap();
        lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }
}

struct Play {
    leases: Arc<Mutex<Leases>>,
    folder: tempfile::TempDir,
}

async fn play() -> Play {
    let leases = Arc::new(Mutex::new(Leases::default()));
    let server = Arc::clone(&leases);
    let address = http_server(move |asked| server.lock().answer(&asked)).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config"), kubeconfig(address, None)).unwrap();
    Play { leases, folder }
}

impl Play {
    fn agent(&self, identity: &str) -> Arc<dyn Extension> {
        let yaml = format!(
            "{{auth_type: kubeConfig, kubeconfig_path: {}/config, lease_name: corten, lease_namespace: here, identity: {identity}, \
              lease_duration: 4s, renew_deadline: 2s, retry_period: 50ms}}",
            self.folder.path().display()
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Extension(create) = prepared.create else {
            panic!("no extension");
        };
        let cx = Context::detached(Kind::Extension, "k8s_leader_elector".parse().unwrap());
        create(cx, ()).unwrap()
    }
}

fn leads(agent: &Arc<dyn Extension>) -> bool {
    *agent.leadership().unwrap().leading().borrow()
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
        "{lease_name: a, lease_namespace: b, auth_type: kubeConfig, kubeconfig_path: /nonexistent}",
    )
    .await;
}

#[tokio::test]
async fn one_leads_and_the_next_one_follows_when_it_goes() {
    let play = play().await;
    let [a, b] = ["a", "b"].map(|name| play.agent(name));
    Arc::clone(&a).start().await.unwrap();
    until("a leads", || leads(&a)).await;
    Arc::clone(&b).start().await.unwrap();
    let writes = play.leases.lock().writes;
    until("a renews", || play.leases.lock().writes > writes + 5).await;
    assert!(leads(&a) && !leads(&b));
    assert_eq!(play.leases.lock().holder(), "a");
    a.shutdown().await.unwrap();
    assert!(!leads(&a));
    until("b leads", || leads(&b)).await;
    assert_eq!(play.leases.lock().released, 1, "the lease was given up");
    let transitions =
        play.leases.lock().lease.as_ref().unwrap()["spec"]["leaseTransitions"].clone();
    assert_eq!(transitions, 1);
    b.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_cannot_renew_stops_before_anybody_else_may_begin() {
    let play = play().await;
    let a = play.agent("a");
    Arc::clone(&a).start().await.unwrap();
    until("a leads", || leads(&a)).await;
    play.leases.lock().away = true;
    until("a stops by itself", || !leads(&a)).await;
    assert_eq!(play.leases.lock().holder(), "a", "nobody else wrote");
    play.leases.lock().away = false;
    until("a leads again", || leads(&a)).await;
    a.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_nobody_renews_is_taken_over_with_all_that_it_has() {
    let play = play().await;
    play.leases.lock().lease = Some(json!({
        "metadata": {"name": "corten", "labels": {"team": "x"}, "resourceVersion": "0"},
        "spec": {"holderIdentity": "crashed", "leaseDurationSeconds": 1, "leaseTransitions": 4, "strategy": "other"},
    }));
    let b = play.agent("b");
    let began = std::time::Instant::now();
    Arc::clone(&b).start().await.unwrap();
    until("b leads", || leads(&b)).await;
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "not before it ended"
    );
    let lease = play.leases.lock().lease.clone().unwrap();
    assert_eq!(lease["metadata"]["labels"]["team"], "x");
    assert_eq!(lease["spec"]["leaseTransitions"], 5);
    assert_eq!(lease["spec"]["strategy"], "other");
    b.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_the_rule_nobody_leads_and_the_agent_goes_on() {
    let play = play().await;
    play.leases.lock().forbidden = true;
    let a = play.agent("a");
    Arc::clone(&a).start().await.unwrap();
    play.leases.lock().forbidden = false;
    until("a leads once it may", || leads(&a)).await;
    a.shutdown().await.unwrap();
}
