//! A scripted API server over real HTTP: pages, watches, versions that are gone, tokens that rotate, absence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its server ends with its runtime"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_kubernetes::{ApiClient, ApiConfig, Limits, Pods, Selection, Surroundings, Timing, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the server has and does. Changes reach open watches at once.
#[derive(Clone, Default)]
struct Script {
    token: String,
    pods: Vec<String>,
    events: Vec<String>,
    /// How many watches are still answered with 410.
    gone: usize,
    lists: usize,
    seen: Vec<String>,
    /// Open watches of an older life are cut.
    life: usize,
    /// Whether every connection is cut as soon as it is made.
    away: bool,
    turned_away: usize,
}

type Shared = Arc<watch::Sender<Script>>;

fn object(name: &str, version: usize) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"{name}","resourceVersion":"{version}"}}}}"#
    )
}

fn add(script: &Shared, name: &str) {
    script.send_modify(|s| {
        let version = s.events.len() + 1;
        s.pods.push(name.to_owned());
        s.events
            .push(format!(r#"{{"type":"ADDED","object":{}}}"#, object(name, version)) + "\n");
    });
}

async fn serve(listener: TcpListener, script: Shared) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if script.borrow().away {
            script.send_modify(|s| s.turned_away += 1);
            continue;
        }
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            // A peer that goes away is part of the play.
            let _outcome = answer(stream, script).await;
        });
    }
}

fn parameter<'a>(target: &'a str, name: &str) -> &'a str {
    target
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or("")
}

async fn answer(mut stream: TcpStream, script: Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    script.send_modify(|s| s.seen.push(target.clone()));
    let now = script.borrow().clone();
    let authorized = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(k, v)| {
            k.eq_ignore_ascii_case("authorization") && v == format!("Bearer {}", now.token)
        })
    });
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    if !authorized {
        let said = r#"{"kind":"Status","message":"Unauthorized","code":401}"#;
        return stream
            .write_all(whole("401 Unauthorized", said).as_bytes())
            .await;
    }
    if parameter(&target, "watch") != "1" {
        script.send_modify(|s| s.lists += 1);
        let from: usize = parameter(&target, "continue").parse().unwrap_or(0);
        let limit: usize = parameter(&target, "limit").parse().unwrap();
        let items: Vec<String> = now
            .pods
            .iter()
            .skip(from)
            .take(limit)
            .map(|p| object(p, 0))
            .collect();
        let next = if from + limit < now.pods.len() {
            (from + limit).to_string()
        } else {
            String::new()
        };
        let body = format!(
            r#"{{"metadata":{{"resourceVersion":"{}","continue":"{next}"}},"items":[{}]}}"#,
            now.events.len(),
            items.join(",")
        );
        return stream.write_all(whole("200 OK", &body).as_bytes()).await;
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        .await?;
    if now.gone > 0 {
        script.send_modify(|s| s.gone -= 1);
        return stream
            .write_all(b"{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}\n")
            .await;
    }
    let mut sent: usize = parameter(&target, "resourceVersion").parse().unwrap();
    let mut changes = script.subscribe();
    loop {
        let current = changes.borrow_and_update().clone();
        if current.life != now.life {
            return Ok(());
        }
        for event in current.events.iter().skip(sent) {
            stream.write_all(event.as_bytes()).await?;
        }
        sent = current.events.len();
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
}

struct Play {
    script: Shared,
    account: tempfile::TempDir,
    pods: Pods,
}

async fn play(prepare: impl FnOnce(&Shared)) -> Play {
    let script: Shared = Arc::new(
        watch::channel(Script {
            token: "one".into(),
            ..Script::default()
        })
        .0,
    );
    prepare(&script);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::clone(&script)));
    let account = tempfile::tempdir().unwrap();
    std::fs::write(account.path().join("token"), "one").unwrap();
    let surroundings = Surroundings {
        server: Some(format!("http://{address}")),
        service_account: account.path().to_owned(),
    };
    let pods = Pods::new(Limits {
        grace: Duration::from_secs(60),
        ..Limits::default()
    });
    let mut keep = pods.clone();
    tokio::spawn(async move {
        let client = ApiClient::new(ApiConfig::default(), surroundings);
        let selection = Selection {
            page: 2,
            ..Selection::pods_on("here")
        };
        let timing = Timing {
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(200),
            watch: Duration::from_secs(20),
        };
        run(&client, &selection, &mut keep, timing).await;
    });
    Play {
        script,
        account,
        pods,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn lists_in_pages_then_watches_this_node_alone() {
    let play = play(|s| ["a", "b", "c", "d", "e"].iter().for_each(|p| add(s, p))).await;
    until("five pods", || play.pods.complete() && play.pods.len() == 5).await;
    add(&play.script, "f");
    until("the sixth", || play.pods.by_name("n", "f").is_some()).await;
    let script = play.script.borrow().clone();
    assert_eq!(script.lists, 3, "{:?}", script.seen);
    assert!(
        script
            .seen
            .iter()
            .all(|path| path.contains("fieldSelector=spec.nodeName%3Dhere"))
    );
}

#[tokio::test]
async fn a_storm_of_410_ends_in_a_list_and_takes_nothing_away() {
    let play = play(|s| {
        add(s, "a");
        s.send_modify(|s| s.gone = 6);
    })
    .await;
    until("the storm is over", || play.script.borrow().gone == 0).await;
    assert!(play.pods.by_uid("a").is_some());
    add(&play.script, "b");
    until("what came later", || play.pods.by_uid("b").is_some()).await;
    let lists = play.script.borrow().lists;
    assert!(lists <= 8, "one list for each 410, not {lists}");
}

#[tokio::test]
async fn a_rotated_token_is_read_again_at_once() {
    let play = play(|s| add(s, "a")).await;
    until("the first pod", || play.pods.by_uid("a").is_some()).await;
    std::fs::write(play.account.path().join("token"), "two").unwrap();
    play.script.send_modify(|s| {
        s.token = "two".into();
        s.life += 1;
    });
    add(&play.script, "b");
    until("a pod seen with the new token", || {
        play.pods.by_uid("b").is_some()
    })
    .await;
}

#[tokio::test]
async fn while_the_server_is_away_everything_stands_and_then_comes_back() {
    let play = play(|s| add(s, "a")).await;
    until("the first pod", || play.pods.by_uid("a").is_some()).await;
    play.script.send_modify(|s| {
        s.away = true;
        s.life += 1;
    });
    add(&play.script, "b");
    until("many attempts", || play.script.borrow().turned_away >= 8).await;
    assert!(play.pods.by_uid("a").is_some() && play.pods.by_uid("b").is_none());
    play.script.send_modify(|s| s.away = false);
    until("the second pod", || play.pods.by_uid("b").is_some()).await;
}

#[tokio::test]
async fn missing_credentials_say_what_to_do() {
    let nowhere = |server| Surroundings {
        server,
        service_account: "/nonexistent".into(),
    };
    let client = ApiClient::new(ApiConfig::default(), nowhere(None));
    let said = client
        .open("/", "*/*")
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(said.contains("auth_type: kubeConfig"), "{said}");
    let client = ApiClient::new(
        ApiConfig::default(),
        nowhere(Some("http://127.0.0.1:1".into())),
    );
    let said = client
        .open("/", "*/*")
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("/nonexistent/token") && said.contains("automountServiceAccountToken"),
        "{said}"
    );
}
