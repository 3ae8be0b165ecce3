//! A scripted API server over real HTTP: what the cluster's objects say becomes metrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{CollectRequest, Component, Create, Extension, Health, Kind, Next, Source};
use corten_k8s_cluster_receiver::factory;
use corten_pdata::Data;
use corten_testing::{
    Cluster, Elected, Reply, conforms, context_with, decode, eventually, http_server, kubeconfig,
    render_metrics,
};
use expect_test::expect;
use serde_json::{Value, json};

const COLLECTIONS: [&str; 15] = [
    "/api/v1/nodes",
    "/api/v1/namespaces",
    "/api/v1/pods",
    "/api/v1/replicationcontrollers",
    "/api/v1/resourcequotas",
    "/api/v1/services",
    "/api/v1/persistentvolumes",
    "/api/v1/persistentvolumeclaims",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
    "/apis/autoscaling/v2/horizontalpodautoscalers",
];

struct Play {
    cluster: Cluster,
    folder: tempfile::TempDir,
    elected: Arc<Elected>,
}

fn object(name: &str, mut rest: Value) -> Value {
    rest["metadata"] = json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}")});
    rest
}

impl Play {
    async fn new() -> Self {
        let cluster = COLLECTIONS
            .iter()
            .fold(Cluster::new(), |all, one| all.with(one));
        let server = cluster.clone();
        let answer = move |asked| {
            let missing = || Reply::Whole(404, "{}".to_owned());
            server.answer(&asked).unwrap_or_else(missing)
        };
        let address = http_server(answer).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(file, kubeconfig(address, None)).unwrap();
        Self {
            cluster,
            folder,
            elected: Elected::new(true),
        }
    }

    async fn start(&self, settings: &str) -> (Arc<dyn Component>, Arc<dyn Source>) {
        let config = self.folder.path().join("config");
        let yaml = format!(
            "auth_type: kubeConfig\nkubeconfig_path: {}\n{settings}",
            config.display()
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver");
        };
        let elected = Arc::clone(&self.elected) as Arc<dyn Extension>;
        let extensions = [("elected", elected)];
        let cx = context_with(Kind::Receiver, "k8s_cluster", &extensions, &Health::new());
        let receiver = create(cx, Next::new()).unwrap();
        Arc::clone(&receiver).start().await.unwrap();
        let source = receiver.source().unwrap();
        (receiver, source)
    }
}

async fn collect(source: &Arc<dyn Source>) -> String {
    let request = CollectRequest::all(Duration::from_secs(10));
    match source.collect(&request).await.unwrap() {
        Data::Metrics(metrics) => render_metrics(&metrics),
        _ => panic!("no metrics"),
    }
}

/// Collects until what is collected is as wanted.
async fn collected(source: &Arc<dyn Source>, what: &str, holds: impl Fn(&str) -> bool) -> String {
    eventually(what, Duration::from_secs(20), || async {
        let text = collect(source).await;
        holds(&text).then_some(text)
    })
    .await
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
async fn what_is_on_by_default() {
    let play = Play::new().await;
    let put = |at: usize, name: &str, rest| play.cluster.put(COLLECTIONS[at], object(name, rest));
    put(
        0,
        "n1",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    put(1, "shop", json!({"status": {"phase": "Active"}}));
    put(
        2,
        "web-0",
        json!({
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "r:5000/web:2",
            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": 1}}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": true, "restartCount": 3, "containerID": "containerd://c1"}]}}),
    );
    put(
        4,
        "quota",
        json!({"status": {"hard": {"requests.cpu": "1500m", "pods": "10"}, "used": {"pods": "2"}}}),
    );
    put(
        8,
        "web",
        json!({"spec": {"replicas": 3}, "status": {"availableReplicas": 2}}),
    );
    put(
        10,
        "db",
        json!({"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}),
    );
    put(
        11,
        "agent",
        json!({"status": {"desiredNumberScheduled": 5, "numberReady": 4}}),
    );
    put(
        12,
        "once",
        json!({"spec": {"completions": 1, "parallelism": 2}, "status": {"succeeded": 1}}),
    );
    put(13, "nightly", json!({"status": {"active": [{}, {}]}}));
    put(
        14,
        "web",
        json!({"spec": {"maxReplicas": 9}, "status": {"currentReplicas": 3, "desiredReplicas": 4}}),
    );
    let (receiver, source) = play.start("").await;
    let all = [
        "k8s.hpa.",
        "k8s.cronjob.",
        "k8s.job.",
        "k8s.daemonset.",
        "k8s.statefulset.",
        "k8s.deployment.",
        "k8s.resource_quota.",
        "k8s.container.",
        "k8s.namespace.phase",
        "k8s.node.",
    ];
    let text = collected(&source, "everything is listed", |text| {
        all.iter().all(|name| text.contains(&format!("# {name}")))
    })
    .await;
    let expected = expect![[r#"
        resource{k8s.node.name="n1",k8s.node.uid="uid-n1"}
        # k8s.node.condition_ready: gauge
        k8s.node.condition_ready 1
        resource{k8s.namespace.name="shop",k8s.namespace.uid="uid-shop"}
        # k8s.namespace.phase: gauge
        k8s.namespace.phase 1
        resource{k8s.namespace.name="shop",k8s.node.name="n1",k8s.pod.name="web-0",k8s.pod.uid="uid-web-0"}
        # k8s.pod.phase: gauge
        k8s.pod.phase 2
        resource{k8s.namespace.name="shop",k8s.node.name="n1",k8s.pod.name="web-0",k8s.pod.uid="uid-web-0",k8s.container.name="app",container.id="c1",container.image.name="r:5000/web",container.image.tag="2"}
        # k8s.container.cpu_limit: gauge [{cpu}]
        k8s.container.cpu_limit 0.5
        # k8s.container.cpu_request: gauge [{cpu}]
        k8s.container.cpu_request 1.0
        # k8s.container.memory_limit: gauge [By]
        k8s.container.memory_limit 1073741824
        # k8s.container.ready: gauge
        k8s.container.ready 1
        # k8s.container.restarts: gauge [{restart}]
        k8s.container.restarts 3
        resource{k8s.namespace.name="shop",k8s.resourcequota.name="quota",k8s.resourcequota.uid="uid-quota"}
        # k8s.resource_quota.hard_limit: gauge [{resource}]
        k8s.resource_quota.hard_limit{resource="pods"} 10
        k8s.resource_quota.hard_limit{resource="requests.cpu"} 1500
        # k8s.resource_quota.used: gauge [{resource}]
        k8s.resource_quota.used{resource="pods"} 2
        resource{k8s.namespace.name="shop",k8s.deployment.name="web",k8s.deployment.uid="uid-web"}
        # k8s.deployment.desired: gauge [{pod}]
        k8s.deployment.desired 3
        # k8s.deployment.available: gauge [{pod}]
        k8s.deployment.available 2
        resource{k8s.namespace.name="shop",k8s.statefulset.name="db",k8s.statefulset.uid="uid-db"}
        # k8s.statefulset.desired_pods: gauge [{pod}]
        k8s.statefulset.desired_pods 1
        # k8s.statefulset.ready_pods: gauge [{pod}]
        k8s.statefulset.ready_pods 1
        # k8s.statefulset.current_pods: gauge [{pod}]
        k8s.statefulset.current_pods 0
        # k8s.statefulset.updated_pods: gauge [{pod}]
        k8s.statefulset.updated_pods 0
        resource{k8s.namespace.name="shop",k8s.daemonset.name="agent",k8s.daemonset.uid="uid-agent"}
        # k8s.daemonset.current_scheduled_nodes: gauge [{node}]
        k8s.daemonset.current_scheduled_nodes 0
        # k8s.daemonset.desired_scheduled_nodes: gauge [{node}]
        k8s.daemonset.desired_scheduled_nodes 5
        # k8s.daemonset.misscheduled_nodes: gauge [{node}]
        k8s.daemonset.misscheduled_nodes 0
        # k8s.daemonset.ready_nodes: gauge [{node}]
        k8s.daemonset.ready_nodes 4
        resource{k8s.namespace.name="shop",k8s.job.name="once",k8s.job.uid="uid-once"}
        # k8s.job.active_pods: gauge [{pod}]
        k8s.job.active_pods 0
        # k8s.job.failed_pods: gauge [{pod}]
        k8s.job.failed_pods 0
        # k8s.job.successful_pods: gauge [{pod}]
        k8s.job.successful_pods 1
        # k8s.job.desired_successful_pods: gauge [{pod}]
        k8s.job.desired_successful_pods 1
        # k8s.job.max_parallel_pods: gauge [{pod}]
        k8s.job.max_parallel_pods 2
        resource{k8s.namespace.name="shop",k8s.cronjob.name="nightly",k8s.cronjob.uid="uid-nightly"}
        # k8s.cronjob.active_jobs: gauge [{job}]
        k8s.cronjob.active_jobs 2
        resource{k8s.namespace.name="shop",k8s.hpa.name="web",k8s.hpa.uid="uid-web"}
        # k8s.hpa.max_replicas: gauge [{pod}]
        k8s.hpa.max_replicas 9
        # k8s.hpa.min_replicas: gauge [{pod}]
        k8s.hpa.min_replicas 1
        # k8s.hpa.current_replicas: gauge [{pod}]
        k8s.hpa.current_replicas 3
        # k8s.hpa.desired_replicas: gauge [{pod}]
        k8s.hpa.desired_replicas 4
    "#]];
    expected.assert_eq(&text);
    let seen = play.cluster.seen();
    assert!(
        !seen
            .iter()
            .any(|target| target.contains("persistentvolume") || target.contains("services")),
        "of which no metric is on"
    );
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_has_to_be_turned_on() {
    let play = Play::new().await;
    let put = |at: usize, name: &str, rest| play.cluster.put(COLLECTIONS[at], object(name, rest));
    put(
        0,
        "n1",
        json!({"status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PIDPressure", "status": "Unknown"}],
        "allocatable": {"cpu": "3800m", "memory": "7Gi", "pods": "110"},
        "nodeInfo": {"kubeletVersion": "v1.33.1", "containerRuntimeVersion": "containerd://2.1.0"}}}),
    );
    put(
        2,
        "web-0",
        json!({"spec": {"containers": [{"name": "app"}]}, "status": {"qosClass": "Burstable",
        "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}]}}),
    );
    put(
        5,
        "web",
        json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}),
    );
    put(
        6,
        "pv",
        json!({"spec": {"capacity": {"storage": "10Gi"}, "storageClassName": "fast"}, "status": {"phase": "Bound"}}),
    );
    put(
        7,
        "data",
        json!({"spec": {"resources": {"requests": {"storage": "5Gi"}}}, "status": {"phase": "Pending"}}),
    );
    let names = [
        "k8s.node.condition",
        "k8s.container.status.state",
        "k8s.container.status.reason",
        "k8s.service.load_balancer.ingress.count",
        "k8s.persistentvolume.status.phase",
        "k8s.persistentvolume.storage.capacity",
        "k8s.persistentvolumeclaim.status.phase",
        "k8s.persistentvolumeclaim.storage.request",
    ];
    let on: String = names
        .iter()
        .map(|name| format!("  {name}: {{enabled: true}}\n"))
        .collect();
    let (receiver, source) = play
        .start(&format!(
            "node_conditions_to_report: [Ready, PIDPressure, MemoryPressure]\nallocatable_types_to_report: [cpu, memory, pods]\nmetrics:\n{on}  k8s.pod.phase: {{enabled: false}}\n\
             resource_attributes: {{k8s.kubelet.version: {{enabled: true}}, container.runtime: {{enabled: true}}, k8s.pod.uid: {{enabled: false}}, k8s.container.status.last_terminated_reason: {{enabled: true}}}}"
        ))
        .await;
    let text = collected(&source, "everything is listed", |text| {
        names.iter().all(|name| text.contains(&format!("# {name}")))
    })
    .await;
    for expected in [
        "k8s.node.condition_ready 1\n",
        "k8s.node.condition_pid_pressure -1\n",
        "k8s.node.condition_memory_pressure -1\n",
        "k8s.node.condition{condition=\"PIDPressure\"} -1\n",
        "k8s.node.allocatable_cpu 3.8\n",
        "k8s.node.allocatable_memory 7516192768\n",
        "k8s.node.allocatable_pods 110\n",
        "k8s.kubelet.version=\"v1.33.1\",container.runtime=\"containerd\"",
        "k8s.container.status.state{k8s.container.status.state=\"waiting\"} 1\n",
        "k8s.container.status.state{k8s.container.status.state=\"running\"} 0\n",
        "k8s.container.status.reason{k8s.container.status.reason=\"CrashLoopBackOff\"} 1\n",
        "k8s.container.status.last_terminated_reason=\"OOMKilled\"",
        "k8s.service.load_balancer.ingress.count 1\n",
        "k8s.persistentvolume.status.phase{k8s.persistentvolume.status.phase=\"Bound\"} 1\n",
        "k8s.persistentvolume.storage.capacity 10737418240\n",
        "k8s.persistentvolumeclaim.storage.request 5368709120\n",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("k8s.pod.phase") && !text.contains("k8s.pod.uid"));
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_follows_what_happens_and_what_is_known_stands_while_the_server_is_away() {
    let play = Play::new().await;
    let deployment = |replicas: u32| object("web", json!({"spec": {"replicas": replicas}}));
    play.cluster.put(COLLECTIONS[8], deployment(1));
    let (receiver, source) = play.start("").await;
    let desired =
        |count: u32| move |text: &str| text.contains(&format!("k8s.deployment.desired {count}\n"));
    collected(&source, "one", desired(1)).await;
    play.cluster.put(COLLECTIONS[8], deployment(2));
    collected(&source, "two", desired(2)).await;
    play.cluster.set_away(true);
    play.cluster.put(COLLECTIONS[8], deployment(3));
    assert!(desired(2)(&collect(&source).await));
    // It forgot what happened, too.
    play.cluster.forget();
    play.cluster.set_away(false);
    collected(&source, "three", desired(3)).await;
    play.cluster.delete(COLLECTIONS[8], "web");
    collected(&source, "none", |text| !text.contains("k8s.deployment")).await;
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_who_leads_reports_and_a_kind_that_is_refused_does_not_keep_the_others() {
    let play = Play::new().await;
    play.elected.set(false);
    play.cluster.set_forbidden(COLLECTIONS[2], true);
    let web = object("web", json!({"spec": {"replicas": 1}}));
    play.cluster.put(COLLECTIONS[8], web);
    let (receiver, source) = play.start("k8s_leader_elector: elected").await;
    assert!(collect(&source).await.is_empty() && play.cluster.seen().is_empty());
    play.elected.set(true);
    collected(&source, "the deployment", |text| {
        text.contains("k8s.deployment")
    })
    .await;
    play.elected.set(false);
    collected(&source, "nothing", str::is_empty).await;
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_may_see_one_namespace_asks_for_nothing_else() {
    let play = Play::new().await;
    let (receiver, _source) = play.start("namespaces: [shop]").await;
    let all = || async { (play.cluster.seen().len() >= 10).then_some(()) };
    eventually("all kinds are asked for", Duration::from_secs(20), all).await;
    for target in play.cluster.seen() {
        assert!(target.contains("/namespaces/shop/"), "{target}");
    }
    receiver.shutdown().await.unwrap();
}
