//! A scripted kubelet over real HTTP: what it says becomes metrics, and what it refuses says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its server ends with its runtime"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{CollectRequest, Context, Create, Kind, Next, Receiver, Source};
use corten_kubelet_stats_receiver::factory;
use corten_pdata::Data;
use corten_testing::{
    Asked, Reply, conforms, decode, http_server, kubeconfig, render_metrics, serve_connection,
};
use expect_test::expect;
use parking_lot::Mutex;

const SUMMARY: &str = r#"{
 "node": {"nodeName": "node-1", "startTime": "2026-01-01T00:00:00Z",
  "systemContainers": [{"name": "kubelet", "startTime": "2026-01-01T00:00:00Z", "cpu": {"usageNanoCores": 20000000, "usageCoreNanoSeconds": 3000000000}, "memory": {"usageBytes": 90000000, "workingSetBytes": 80000000}}],
  "cpu": {"time": "x", "usageNanoCores": 250000000, "usageCoreNanoSeconds": 90500000000},
  "memory": {"availableBytes": 6000, "usageBytes": 4000, "workingSetBytes": 3000, "rssBytes": 2000, "pageFaults": 5, "majorPageFaults": 1},
  "network": {"name": "eth0", "rxBytes": 10, "rxErrors": 1, "txBytes": 20, "txErrors": 0,
   "interfaces": [{"name": "eth0", "rxBytes": 10, "rxErrors": 1, "txBytes": 20, "txErrors": 0}, {"name": "eth1", "rxBytes": 7}]},
  "fs": {"availableBytes": 500, "capacityBytes": 1000, "usedBytes": 500, "inodes": 10, "inodesFree": 9}, "rlimit": {"maxpid": 4194304, "curproc": 321}},
 "pods": [
  {"podRef": {"name": "web-0", "namespace": "shop", "uid": "u-1"}, "startTime": "2026-01-01T00:00:00Z",
   "containers": [
    {"name": "app", "startTime": "2026-01-01T00:00:00Z", "cpu": {"usageNanoCores": 100000000, "usageCoreNanoSeconds": 1000000000},
     "memory": {"usageBytes": 536870912, "workingSetBytes": 400}, "rootfs": {"availableBytes": 500, "capacityBytes": 1000, "usedBytes": 40}, "logs": {"usedBytes": 3}},
    {"name": "new", "startTime": null}],
   "cpu": {"usageNanoCores": 100000000}, "memory": {"usageBytes": 536870912},
   "network": {"name": "eth0", "rxBytes": 1, "txBytes": 2, "rxErrors": 0, "txErrors": 0},
   "ephemeral-storage": {"usedBytes": 41},
   "volume": [{"name": "data", "availableBytes": 9, "capacityBytes": 10, "usedBytes": 1, "inodes": 100, "inodesFree": 90, "inodesUsed": 10, "pvcRef": {"name": "data-web-0", "namespace": "shop"}}]},
  {"podRef": {"name": "idle", "namespace": "shop", "uid": "u-2"}, "containers": null}
 ]}"#;

const PODS: &str = r#"{"items": [{"metadata": {"uid": "u-1"}, "spec": {
   "containers": [{"name": "app", "resources": {"limits": {"cpu": "200m", "memory": "1Gi"}, "requests": {"cpu": "50m"}}}, {"name": "new", "resources": {}}],
   "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]},
  "status": {"containerStatuses": [{"name": "app", "containerID": "containerd://c-1"}]}}]}"#;

const NODE: &str =
    r#"{"metadata": {"name": "node-1"}, "status": {"capacity": {"cpu": "2", "memory": "1Gi"}}}"#;

/// Serves what a kubelet has, below what path it is asked for.
fn kubelet(asked: &Asked) -> Reply {
    let path = asked.path();
    let path = path.rsplit_once("/proxy").map_or(path, |(_, path)| path);
    match path {
        "/stats/summary" => Reply::ok(SUMMARY),
        "/pods" => Reply::ok(PODS),
        "/api/v1/nodes/node-1" => Reply::ok(NODE),
        "/api/v1/namespaces/shop/persistentvolumeclaims/data-web-0" => {
            Reply::ok(r#"{"spec": {"volumeName": "pv-1"}}"#)
        }
        "/api/v1/persistentvolumes/pv-1" => Reply::ok(
            r#"{"spec": {"capacity": {"storage": "1Gi"}, "awsElasticBlockStore": {"volumeID": "vol-1"}}}"#,
        ),
        _ => Reply::Whole(404, String::new()),
    }
}

fn source(yaml: &str) -> Arc<dyn Source> {
    let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("no receiver");
    };
    let cx = Context::detached(Kind::Receiver, "kubelet_stats".parse().unwrap());
    let receiver: Arc<dyn Receiver> = create(cx, Next::new()).unwrap();
    receiver.source().unwrap()
}

async fn collect(source: &Arc<dyn Source>) -> Result<String, String> {
    let request = CollectRequest::all(Duration::from_secs(10));
    match source.collect(&request).await {
        Ok(Data::Metrics(metrics)) => Ok(render_metrics(&metrics)),
        Ok(_) => panic!("no metrics"),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(factory(), "{auth_type: none, endpoint: '127.0.0.1:1'}").await;
}

#[tokio::test]
async fn what_is_on_by_default() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let address = http_server(move |asked| {
        seen.lock().push(asked.target.clone());
        kubelet(&asked)
    })
    .await;
    let source = source(&format!("{{auth_type: none, endpoint: '{address}'}}"));
    let text = collect(&source).await.unwrap();
    assert_eq!(*asked.lock(), ["/stats/summary"], "nothing else is needed");
    let expected = expect![[r#"
        resource{k8s.node.name="node-1"}
        # k8s.node.cpu.time: cumulative monotonic sum [s]
        k8s.node.cpu.time 90.5
        # k8s.node.cpu.usage: gauge [{cpu}]
        k8s.node.cpu.usage 0.25
        # k8s.node.memory.available: gauge [By]
        k8s.node.memory.available 6000
        # k8s.node.memory.usage: gauge [By]
        k8s.node.memory.usage 4000
        # k8s.node.memory.rss: gauge [By]
        k8s.node.memory.rss 2000
        # k8s.node.memory.working_set: gauge [By]
        k8s.node.memory.working_set 3000
        # k8s.node.memory.page_faults: gauge [1]
        k8s.node.memory.page_faults 5
        # k8s.node.memory.major_page_faults: gauge [1]
        k8s.node.memory.major_page_faults 1
        # k8s.node.filesystem.available: gauge [By]
        k8s.node.filesystem.available 500
        # k8s.node.filesystem.capacity: gauge [By]
        k8s.node.filesystem.capacity 1000
        # k8s.node.filesystem.usage: gauge [By]
        k8s.node.filesystem.usage 500
        # k8s.node.network.io: cumulative monotonic sum [By]
        k8s.node.network.io{interface="eth0",direction="receive"} 10
        k8s.node.network.io{interface="eth0",direction="transmit"} 20
        # k8s.node.network.errors: cumulative monotonic sum [1]
        k8s.node.network.errors{interface="eth0",direction="receive"} 1
        k8s.node.network.errors{interface="eth0",direction="transmit"} 0
        resource{k8s.pod.uid="u-1",k8s.pod.name="web-0",k8s.namespace.name="shop"}
        # k8s.pod.cpu.usage: gauge [{cpu}]
        k8s.pod.cpu.usage 0.1
        # k8s.pod.memory.usage: gauge [By]
        k8s.pod.memory.usage 536870912
        # k8s.pod.filesystem.usage: gauge [By]
        k8s.pod.filesystem.usage 41
        # k8s.pod.network.io: cumulative monotonic sum [By]
        k8s.pod.network.io{interface="eth0",direction="receive"} 1
        k8s.pod.network.io{interface="eth0",direction="transmit"} 2
        # k8s.pod.network.errors: cumulative monotonic sum [1]
        k8s.pod.network.errors{interface="eth0",direction="receive"} 0
        k8s.pod.network.errors{interface="eth0",direction="transmit"} 0
        resource{k8s.pod.uid="u-1",k8s.pod.name="web-0",k8s.namespace.name="shop",k8s.container.name="app"}
        # container.cpu.time: cumulative monotonic sum [s]
        container.cpu.time 1.0
        # container.cpu.usage: gauge [{cpu}]
        container.cpu.usage 0.1
        # container.memory.usage: gauge [By]
        container.memory.usage 536870912
        # container.memory.working_set: gauge [By]
        container.memory.working_set 400
        # container.filesystem.available: gauge [By]
        container.filesystem.available 500
        # container.filesystem.capacity: gauge [By]
        container.filesystem.capacity 1000
        # container.filesystem.usage: gauge [By]
        container.filesystem.usage 40
    "#]];
    expected.assert_eq(&text);
}

#[tokio::test]
async fn what_has_to_be_turned_on() {
    let address = http_server(|asked| kubelet(&asked)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(address, None)).unwrap();
    let file = file.display();
    let source = source(&format!(
        "auth_type: kubeConfig\nkubeconfig_path: {file}\nendpoint: node-1\nnode: node-1\n\
         k8s_api_config: {{auth_type: kubeConfig, kubeconfig_path: {file}}}\n\
         extra_metadata_labels: [container.id, k8s.volume.type]\nmetric_groups: [container, pod, volume]\n\
         resource_attributes: {{k8s.pod.uid: {{enabled: false}}, aws.volume.id: {{enabled: true}}}}\n\
         metrics:\n  k8s.container.cpu_limit_utilization: {{enabled: true}}\n  k8s.container.cpu_request_utilization: {{enabled: true}}\n  \
         k8s.container.memory_limit_utilization: {{enabled: true}}\n  k8s.pod.cpu_limit_utilization: {{enabled: true}}\n  \
         k8s.pod.cpu.node.utilization: {{enabled: true}}\n  k8s.pod.memory.node.utilization: {{enabled: true}}\n  \
         k8s.pod.volume.usage: {{enabled: true}}\n  k8s.container.ephemeral_storage.usage: {{enabled: true}}\n  container.cpu.time: {{enabled: false}}\n"
    ));
    let text = collect(&source).await.unwrap();
    for expected in [
        "k8s.container.cpu_limit_utilization 0.5",
        "k8s.container.cpu_request_utilization 2.0",
        "k8s.container.memory_limit_utilization 0.5",
        "k8s.pod.cpu.node.utilization 0.05",
        "k8s.pod.memory.node.utilization 0.5",
        "k8s.pod.volume.usage 1",
        r#"k8s.container.ephemeral_storage.usage{fs.type="logs"} 3"#,
        r#"k8s.container.name="app",container.id="c-1""#,
        r#"k8s.volume.name="data",k8s.persistentvolumeclaim.name="data-web-0",k8s.volume.type="awsElasticBlockStore",aws.volume.id="vol-1""#,
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    for unexpected in [
        // One of its containers has no limit.
        "k8s.pod.cpu_limit_utilization",
        "container.cpu.time",
        "k8s.pod.uid",
        "k8s.node",
    ] {
        assert!(!text.contains(&format!("\n{unexpected}")), "{text}");
        assert!(!text.contains(&format!("{{{unexpected}")), "{text}");
    }
}

#[tokio::test]
async fn all_interfaces_and_system_containers_when_they_are_wanted() {
    let address = http_server(|asked| kubelet(&asked)).await;
    let source = source(&format!(
        "auth_type: none\nendpoint: '{address}'\nmetric_groups: [node]\ncollect_all_network_interfaces: {{node: true}}\n\
         metrics: {{k8s.node.system_container.cpu.time: {{enabled: true}}, k8s.node.uptime: {{enabled: true}}, k8s.node.pid.usage: {{enabled: true}}, k8s.node.filesystem.inode.free: {{enabled: true}}}}"
    ));
    let text = collect(&source).await.unwrap();
    assert!(text.contains(r#"k8s.node.network.io{interface="eth1",direction="receive"} 7"#));
    assert!(!text.contains(r#"interface="eth1",direction="transmit""#));
    assert!(text.contains(r#"k8s.node.system_container.name="kubelet""#));
    assert!(text.contains("k8s.node.system_container.cpu.time 3.0"));
    assert!(text.contains("k8s.node.pid.usage 321\n"));
    assert!(text.contains("# k8s.node.filesystem.inode.free: cumulative sum [{inode}]"));
    assert!(text.contains("# k8s.node.uptime: cumulative monotonic sum [s]"));
}

#[tokio::test]
async fn what_is_refused_names_the_rule_and_what_depends_on_pods_alone_is_missing() {
    let status = Arc::new(Mutex::new(403));
    let now = Arc::clone(&status);
    let address = http_server(move |asked| match asked.path() {
        "/pods" => Reply::Whole(403, String::new()),
        _ => match *now.lock() {
            200 => kubelet(&asked),
            0 => Reply::Nothing,
            status => Reply::Whole(status, "no".to_owned()),
        },
    })
    .await;
    let source = source(&format!(
        "{{auth_type: none, endpoint: '{address}', extra_metadata_labels: [container.id]}}"
    ));
    let error = collect(&source).await.unwrap_err();
    assert!(error.contains("'nodes/stats' in a ClusterRole"), "{error}");
    *status.lock() = 0;
    assert!(collect(&source).await.is_err(), "away");
    *status.lock() = 200;
    let text = collect(&source).await.unwrap();
    assert!(text.contains("container.cpu.time 1.0") && !text.contains("container.id"));
}

#[tokio::test]
async fn a_token_goes_over_tls_alone_and_a_rotated_one_is_read_again() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(
        certificate.signing_key.serialize_der(),
    )
    .unwrap();
    let config = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let token = Arc::new(Mutex::new("one"));
    let wanted = Arc::clone(&token);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, wanted) = (acceptor.clone(), Arc::clone(&wanted));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let answer = move |asked: Asked| {
                    if asked.header("authorization") == format!("Bearer {}", wanted.lock()) {
                        kubelet(&asked)
                    } else {
                        Reply::Whole(401, String::new())
                    }
                };
                drop(serve_connection(stream, &answer).await);
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let [ca, file] = ["ca.crt", "token"].map(|name| folder.path().join(name));
    std::fs::write(&ca, certificate.cert.pem()).unwrap();
    std::fs::write(&file, "one").unwrap();
    let source = source(&format!(
        "endpoint: 'localhost:{port}'\nca_file: {}\ntoken_file: {}",
        ca.display(),
        file.display()
    ));
    assert!(collect(&source).await.is_ok());
    *token.lock() = "two";
    let error = collect(&source).await.unwrap_err();
    assert!(error.contains("is not accepted"), "{error}");
    std::fs::write(&file, "two").unwrap();
    assert!(collect(&source).await.is_ok());
}
