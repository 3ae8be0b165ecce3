//! Targets over real HTTP, discovered in every way, and a scripted API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corten_component::{Component, Create, Health, Kind, Tasks};
use corten_pdata::Data;
use corten_prometheus_receiver::factory;
use corten_testing::{
    Asked, Cluster, RecordingSink, Reply, conforms, context_with, decode, eventually, http_server,
    kubeconfig, render_metrics,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

async fn start(yaml: &str) -> (Arc<dyn Component>, Arc<RecordingSink>) {
    let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("no receiver");
    };
    let sink = RecordingSink::new();
    let cx = context_with(Kind::Receiver, "prometheus", &[], &Health::new());
    let receiver = create(cx, sink.next()).unwrap();
    Arc::clone(&receiver).start().await.unwrap();
    (receiver, sink)
}

/// All batches so far, as text.
fn text(sink: &RecordingSink) -> String {
    let batches = sink.batches();
    let metrics = batches.iter().map(|batch| match &batch.data {
        Data::Metrics(metrics) => render_metrics(metrics),
        _ => panic!("no metrics"),
    });
    metrics.collect()
}

async fn seen(sink: &Arc<RecordingSink>, what: &str) -> String {
    let found = async {
        loop {
            let text = text(sink);
            if text.contains(what) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found)
        .await
        .unwrap_or_else(|_| panic!("no '{what}' in {}", text(sink)))
}

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(
        factory(),
        "{config: {scrape_configs: [{job_name: a, static_configs: [{targets: ['127.0.0.1:1']}]}]}}",
    )
    .await;
}

#[tokio::test]
async fn a_target_is_asked_as_prometheus_asks() {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let log = Arc::clone(&asked);
    let address = http_server(move |request: Asked| {
        log.lock().push(request);
        Reply::ok("# TYPE a counter\na 1\n")
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    let yaml = format!(
        "{{config: {{scrape_configs: [{{job_name: web, scrape_interval: 50ms, metrics_path: /m, params: {{x: [y]}},
           authorization: {{credentials_file: {}}}, http_headers: {{X-Own: {{values: [v]}}}},
           static_configs: [{{targets: ['{address}'], labels: {{team: t}}}}]}}]}}}}",
        token.display()
    );
    let (receiver, sink) = start(&yaml).await;
    let text = seen(&sink, "up{").await;
    assert!(
        text.contains(&format!("service.instance.id=\"{address}\"")),
        "{text}"
    );
    assert!(
        text.contains("# a: cumulative monotonic sum (counter)"),
        "{text}"
    );
    let first = asked.lock()[0].clone();
    assert_eq!(first.target, "/m?x=y");
    assert_eq!(first.header("authorization"), "Bearer first");
    assert_eq!(first.header("x-own"), "v");
    assert_eq!(first.header("accept-encoding"), "gzip");
    assert_eq!(first.header("x-prometheus-scrape-timeout-seconds"), "0.05");
    assert!(
        first
            .header("accept")
            .starts_with("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.8,"),
        "{}",
        first.header("accept")
    );
    // A token that is rotated is used at the next scrape.
    std::fs::write(&token, "second").unwrap();
    eventually("the new token", Duration::from_secs(10), || async {
        let last = asked.lock().last().cloned()?;
        (last.header("authorization") == "Bearer second").then_some(())
    })
    .await;
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_target_that_fails_is_down_and_comes_back() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = http_server(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::ok("a 1\n"),
        1 => Reply::Whole(503, "later".to_owned()),
        2 => Reply::Nothing,
        3 => Reply::ok("a not\n"),
        _ => Reply::ok("b 2\n"),
    })
    .await;
    let yaml = format!(
        "{{config: {{scrape_configs: [{{job_name: web, scrape_interval: 100ms, static_configs: [{{targets: ['{address}']}}]}}]}}}}"
    );
    let (receiver, sink) = start(&yaml).await;
    let text = seen(&sink, "b 2.0").await;
    let ups: Vec<&str> = text.lines().filter(|line| line.starts_with("up")).collect();
    assert_eq!(
        ups[..5],
        ["up 1.0", "up 0.0", "up 0.0", "up 0.0", "up 1.0"],
        "{text}"
    );
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn redirects_are_followed_without_credentials_for_others() {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let log = Arc::clone(&asked);
    let other = http_server(move |request: Asked| {
        log.lock().push(request);
        Reply::ok("a 1\n")
    })
    .await;
    // The scripted server sends no headers of a test's own, so the redirect is made by hand.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = format!("http://{other}/there");
    let tasks = Tasks::new();
    tasks.spawn("redirect", async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let yaml = format!(
        "{{config: {{scrape_configs: [{{job_name: web, scrape_interval: 100ms, bearer_token: secret, static_configs: [{{targets: ['{address}']}}]}}]}}}}"
    );
    let (receiver, sink) = start(&yaml).await;
    seen(&sink, "a 1.0").await;
    let asked = asked.lock()[0].clone();
    assert_eq!(
        (asked.target.as_str(), asked.header("authorization")),
        ("/there", "")
    );
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn targets_come_and_go_with_files_and_servers() {
    let address = http_server(|_| Reply::ok("a 1\n")).await;
    let list = Arc::new(Mutex::new(
        json!([{"targets": [address.to_string()], "labels": {"from": "http"}}]),
    ));
    let answers = Arc::clone(&list);
    let server = http_server(move |_| Reply::ok(answers.lock().to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets.yaml");
    std::fs::write(
        &file,
        format!("- targets: ['{address}']\n  labels: {{from: file}}\n"),
    )
    .unwrap();
    let yaml = format!(
        "{{config: {{scrape_configs: [{{job_name: web, scrape_interval: 100ms,
           file_sd_configs: [{{files: ['{}/*.yaml'], refresh_interval: 100ms}}],
           http_sd_configs: [{{url: 'http://{server}/list', refresh_interval: 100ms}}],
           relabel_configs: [{{source_labels: [__meta_filepath, __meta_url], target_label: found}}]}}]}}}}",
        folder.path().display()
    );
    let (receiver, sink) = start(&yaml).await;
    seen(&sink, &format!("found=\"{};\"", file.display())).await;
    seen(&sink, &format!("found=\";http://{server}/list\"")).await;
    // Gone from the file: its series are ended, the other's go on.
    std::fs::write(&file, "[]").unwrap();
    eventually("the end of the file's target", Duration::from_secs(20), || async {
        let ended = sink.batches().iter().any(|batch| {
            let Data::Metrics(metrics) = &batch.data else { return false };
            metrics.decode().unwrap().resource_metrics.iter().flat_map(|of| &of.scope_metrics).flat_map(|of| &of.metrics).any(|metric| {
                use corten_pdata::model::metrics::metric::Data;
                metric.name == "a" && matches!(&metric.data, Some(Data::Gauge(gauge)) if gauge.data_points.iter().any(|point| point.flags == 1 && format!("{:?}", point.attributes).contains("file")))
            })
        });
        ended.then_some(())
    })
    .await;
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn pods_are_scraped_while_they_are_there() {
    let page = http_server(|_| Reply::ok("a 1\n")).await;
    let cluster = Cluster::new().with("/api/v1/pods");
    let queries: Arc<Mutex<Vec<String>>> = Arc::default();
    let (server, log) = (cluster.clone(), Arc::clone(&queries));
    let address = http_server(move |asked: Asked| {
        log.lock().push(asked.target.clone());
        let missing = || Reply::Whole(404, "{}".to_owned());
        server.answer(&asked).unwrap_or_else(missing)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, kubeconfig(address, None)).unwrap();
    let pod = |name: &str, annotated: &str| -> Value {
        json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "annotations": {"prometheus.io/scrape": annotated}},
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "ports": [{"containerPort": page.port()}]}]},
            "status": {"podIP": "127.0.0.1", "phase": "Running"}})
    };
    cluster.put("/api/v1/pods", pod("cart-0", "true"));
    cluster.put("/api/v1/pods", pod("quiet-0", "false"));
    let yaml = format!(
        "{{config: {{scrape_configs: [{{job_name: pods, scrape_interval: 100ms,
           kubernetes_sd_configs: [{{role: pod, node: n1, kubeconfig_file: '{}', selectors: [{{role: pod, label: 'a=b'}}]}}],
           relabel_configs: [
             {{source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: 'true', action: keep}},
             {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}]}}]}}}}",
        config.display()
    );
    let (receiver, sink) = start(&yaml).await;
    let text = seen(&sink, "a{pod=\"cart-0\"} 1.0").await;
    assert!(text.contains("k8s.pod.name=\"cart-0\""), "{text}");
    cluster.put("/api/v1/pods", pod("cart-1", "true"));
    let text = seen(&sink, "a{pod=\"cart-1\"} 1.0").await;
    assert!(!text.contains("quiet"), "{text}");
    cluster.delete("/api/v1/pods", "cart-0");
    eventually("the end of cart-0", Duration::from_secs(20), || async {
        drop(sink.take());
        tokio::time::sleep(Duration::from_millis(400)).await;
        let text = self::text(&sink);
        (text.contains("a{pod=\"cart-1\"} 1.0") && !text.contains("cart-0")).then_some(())
    })
    .await;
    // Only what is on this node was ever asked for.
    for query in queries.lock().iter() {
        assert!(
            query.contains("fieldSelector=spec.nodeName%3Dn1&labelSelector=a%3Db"),
            "{query}"
        );
    }
    receiver.shutdown().await.unwrap();
}
