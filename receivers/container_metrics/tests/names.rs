//! Names that a kubelet tells, on the samples of a tree of groups.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{CollectRequest, Context, Create, Kind, Source};
use corten_container_metrics_receiver::factory;
use corten_pdata::Data;
use corten_testing::{RecordingSink, decode, render_metrics};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A kubelet that lists one pod.
fn kubelet() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).unwrap();
            let body = format!(
                r#"{{"items":[{{"metadata":{{"name":"web-1","namespace":"shop","uid":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}},
                "status":{{"containerStatuses":[{{"name":"nginx","image":"nginx:1","containerID":"containerd://{CONTAINER}"}}]}}}}]}}"#
            );
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

async fn text(source: &Arc<dyn Source>) -> String {
    let request = CollectRequest::all(Duration::from_secs(60));
    match source.collect(&request).await.unwrap() {
        Data::Metrics(metrics) => render_metrics(&metrics),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn containers_and_pods_get_their_names_once_the_kubelet_has_told() {
    let port = kubelet();
    let yaml = format!(
        "path: {{cgroup: '{FIXTURES}/v2', procfs: '{FIXTURES}/proc', sysfs: '{FIXTURES}/sys', rootfs: '{FIXTURES}/root'}}
runtime: {{type: kubelet, kubelet: {{endpoint: 'http://127.0.0.1:{port}'}}}}"
    );
    let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let cx = Context::detached(Kind::Receiver, "container_metrics".parse().unwrap());
    let receiver = create(cx, RecordingSink::new().next()).unwrap();
    let source = receiver.source().unwrap();
    // Before anybody was asked the metrics are there, without names.
    let nameless = text(&source).await;
    assert!(nameless.contains("container_memory_rss{") && !nameless.contains("web-1"));
    Arc::clone(&receiver).start().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let named = loop {
        let text = text(&source).await;
        if text.contains("web-1") {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let slice = "/kubepods.slice/kubepods-podaaaaaaaa_bbbb_cccc_dddd_eeeeeeeeeeee.slice";
    for line in [
        format!(
            r#"container_memory_rss{{container="nginx",id="{slice}/cri-containerd-{CONTAINER}.scope",image="nginx:1",name="{CONTAINER}",namespace="shop",pod="web-1"}} "#
        ),
        format!(
            r#"container_memory_rss{{container="",id="{slice}",image="",name="",namespace="shop",pod="web-1"}} "#
        ),
        r#"container_memory_rss{container="",id="/",image="",name="",namespace="",pod=""} "#
            .to_owned(),
    ] {
        assert!(named.contains(&line), "{line}\n{named}");
    }
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn groups_are_chosen() {
    let of = async |more: &str| {
        let yaml = format!(
            "path: {{cgroup: '{FIXTURES}/v2', procfs: '{FIXTURES}/proc', sysfs: '{FIXTURES}/sys', rootfs: '{FIXTURES}/root'}}\nruntime: {{type: none}}\n{more}"
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Receiver(create) = prepared.create else {
            panic!("a receiver")
        };
        let cx = Context::detached(Kind::Receiver, "container_metrics".parse().unwrap());
        let source = create(cx, RecordingSink::new().next()).unwrap().source();
        text(&source.unwrap()).await
    };
    let only = of("enable_metrics: [cpu]").await;
    assert!(only.contains("container_cpu_usage") && !only.contains("container_memory_rss"));
    let without = of("disable_metrics: [cpu, process]").await;
    assert!(!without.contains("container_cpu_usage") && without.contains("container_memory_rss"));
    assert!(!without.contains("container_processes"));
    let groups = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("container_last_seen{"))
            .count()
    };
    assert_eq!(groups(&of("").await), 4);
    // The root and the container.
    assert_eq!(groups(&of("docker_only: true").await), 2);
    assert_eq!(
        groups(&of("raw_cgroup_prefix_whitelist: [/kubepods.slice/]").await),
        3
    );
}
