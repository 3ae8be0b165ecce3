//! Telemetry that gets the names of its pods from a scripted API server over real HTTP, whatever that server does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, ClientMetadata, Create, Health, Kind, Processor};
use corten_k8s_attributes_processor::factory;
use corten_pdata::build::TracesBuilder;
use corten_pdata::{AnyValue, Data};
use corten_testing::{
    Cluster, RecordingSink, Reply, conforms, context_with, decode, eventually, http_server,
    kubeconfig,
};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods";

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "cart-7d9f8-x2x7q", "namespace": "shop", "uid": "u-1",
            "labels": {"app.kubernetes.io/name": "cart", "pod-template-hash": "7d9f8", "team": "blue"},
            "annotations": {"resource.opentelemetry.io/deployment.environment": "prod", "note.example/a": "1", "note.example/b": "2"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-7d9f8", "uid": "rs-1", "controller": true}],
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}], "startTime": "2026-11-23T10:00:00Z",
            "containerStatuses": [
                {"name": "main", "image": "registry:5000/cart:1.2", "containerID": "containerd://c-main"},
                {"name": "proxy", "image": "envoy", "containerID": "containerd://c-proxy"},
            ],
        },
    })
}

struct Play {
    cluster: Cluster,
    sink: Arc<RecordingSink>,
    processor: Arc<dyn Processor>,
    _folder: tempfile::TempDir,
}

impl Play {
    async fn start(cluster: Cluster, settings: &str) -> Self {
        let server = cluster.clone();
        let answer = move |asked| {
            let missing = || Reply::Whole(404, "{}".to_owned());
            server.answer(&asked).unwrap_or_else(missing)
        };
        let address = http_server(answer).await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "one").unwrap();
        let config = folder.path().join("config");
        std::fs::write(&config, kubeconfig(address, Some(&token))).unwrap();
        let yaml = format!(
            "auth_type: kubeConfig\nkubeconfig_path: {}\nwait_for_metadata: true\n{}{settings}",
            config.display(),
            if settings.contains("filter:") {
                ""
            } else {
                "filter: {all_nodes: true}\n"
            },
        );
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Processor(create) = prepared.create else {
            panic!("no processor");
        };
        let sink = RecordingSink::new();
        let cx = context_with(Kind::Processor, "k8s_attributes", &[], &Health::new());
        let processor = create(cx, Arc::clone(&sink) as _).unwrap();
        Arc::clone(&processor).start().await.unwrap();
        Self {
            cluster,
            sink,
            processor,
            _folder: folder,
        }
    }

    /// What a resource with these attributes has behind the processor.
    async fn resource(
        &self,
        attributes: &[(&str, &str)],
        peer: Option<&str>,
    ) -> BTreeMap<String, String> {
        let mut traces = TracesBuilder::new();
        traces.resource(|resource| {
            for (key, value) in attributes {
                resource.attribute_str(key, value);
            }
        });
        traces.scope("", "");
        traces.span(|span| {
            span.name("x");
        });
        let mut batch = Batch::new(traces.finish());
        if let Some(peer) = peer {
            let metadata = ClientMetadata::default().with_peer(peer.parse().unwrap());
            batch = batch.with_metadata(Arc::new(metadata));
        }
        self.processor.consume(batch).await.unwrap();
        let Data::Traces(traces) = self.sink.batches().pop().unwrap().data else {
            panic!("no traces");
        };
        let resource = traces.resources().next().unwrap().resource();
        let all = resource.attributes();
        all.into_iter()
            .map(|attribute| {
                let value = match attribute.value() {
                    AnyValue::Array(all) => {
                        let texts = all.iter().map(|text| text.as_str().unwrap().to_owned());
                        format!("[{}]", texts.collect::<Vec<_>>().join(", "))
                    }
                    text => text.as_str().unwrap().to_owned(),
                };
                (attribute.key().to_owned(), value)
            })
            .collect()
    }
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const DEFAULTS: [(&str, &str); 6] = [
    ("k8s.namespace.name", "shop"),
    ("k8s.pod.name", "cart-7d9f8-x2x7q"),
    ("k8s.pod.uid", "u-1"),
    ("k8s.pod.start_time", "2026-11-23T10:00:00Z"),
    ("k8s.deployment.name", "cart"),
    ("k8s.node.name", "node-1"),
];

#[tokio::test]
async fn a_pod_is_found_by_whatever_is_known_of_it() {
    let cluster = Cluster::new().with(PODS);
    cluster.put(PODS, pod());
    let play = Play::start(cluster, "").await;
    for (attributes, peer) in [
        (vec![("k8s.pod.uid", "u-1")], None),
        (vec![("k8s.pod.ip", "10.0.0.7")], None),
        (vec![("ip", "fd00::7")], None),
        (vec![("host.name", "10.0.0.7")], None),
        (vec![], Some("10.0.0.7:4711")),
        (vec![], Some("[::ffff:10.0.0.7]:4711")),
    ] {
        let mut wanted = expected(&DEFAULTS);
        wanted.extend(expected(&attributes));
        assert_eq!(
            play.resource(&attributes, peer).await,
            wanted,
            "{attributes:?} {peer:?}"
        );
    }
    // A container that is named brings its image.
    for container in [("k8s.container.name", "main"), ("container.id", "c-main")] {
        let seen = play
            .resource(&[("k8s.pod.uid", "u-1"), container], None)
            .await;
        assert_eq!(seen["container.image.name"], "registry:5000/cart");
        assert_eq!(seen["container.image.tags"], "[1.2]");
    }
    // What is there already stays, and what is not known stays as it is.
    let seen = play
        .resource(&[("k8s.pod.uid", "u-1"), ("k8s.pod.name", "mine")], None)
        .await;
    assert_eq!(seen["k8s.pod.name"], "mine");
    let stranger = [("k8s.pod.uid", "u-2"), ("service.name", "x")];
    assert_eq!(
        play.resource(&stranger, Some("10.9.9.9:1")).await,
        expected(&stranger)
    );
}

#[tokio::test]
async fn rules_name_what_has_to_agree() {
    let cluster = Cluster::new().with(PODS);
    cluster.put(PODS, pod());
    let play = Play::start(
        cluster,
        "pod_association: [{sources: [{from: resource_attribute, name: k8s.pod.name}, {from: resource_attribute, name: k8s.namespace.name}]}]\n\
         extract: {metadata: [k8s.pod.uid]}",
    )
    .await;
    let there = [
        ("k8s.pod.name", "cart-7d9f8-x2x7q"),
        ("k8s.namespace.name", "shop"),
    ];
    assert_eq!(play.resource(&there, None).await["k8s.pod.uid"], "u-1");
    for other in [
        vec![("k8s.pod.name", "cart-7d9f8-x2x7q")],
        vec![
            ("k8s.pod.name", "cart-7d9f8-x2x7q"),
            ("k8s.namespace.name", "other"),
        ],
        vec![("k8s.pod.ip", "10.0.0.7")],
    ] {
        assert_eq!(
            play.resource(&other, None).await,
            expected(&other),
            "{other:?}"
        );
    }
}

#[tokio::test]
async fn labels_annotations_and_owners_become_attributes() {
    let cluster = Cluster::new()
        .with(PODS)
        .with("/api/v1/namespaces")
        .with("/api/v1/nodes")
        .with("/apis/apps/v1/replicasets")
        .with("/apis/apps/v1/deployments");
    cluster.put(PODS, pod());
    cluster.put(
        "/api/v1/namespaces",
        json!({"metadata": {"name": "shop", "uid": "ns-1", "labels": {"cost": "retail"}}}),
    );
    cluster.put(
        "/api/v1/nodes",
        json!({"metadata": {"name": "node-1", "uid": "n-1", "labels": {"zone": "a"}}}),
    );
    cluster.put(
        "/apis/apps/v1/replicasets",
        json!({"metadata": {"name": "cart-7d9f8", "namespace": "shop", "uid": "rs-1", "ownerReferences": [{"kind": "Deployment", "name": "cart-of-record", "uid": "d-1", "controller": true}]}}),
    );
    cluster.put(
        "/apis/apps/v1/deployments",
        json!({"metadata": {"name": "cart-of-record", "namespace": "shop", "uid": "d-1", "annotations": {"owner": "blue"}}}),
    );
    let play = Play::start(
        cluster,
        "extract:\n  otel_annotations: true\n  metadata: [k8s.deployment.name, k8s.deployment.uid, k8s.node.uid, service.name, service.instance.id, k8s.replicaset.name]\n  \
         labels: [{key: team}, {tag_name: cost, key: cost, from: namespace}, {key: zone, from: node}]\n  \
         annotations: [{tag_name: 'note.$1', key_regex: 'note\\.example/(.*)'}, {tag_name: owner, key: owner, from: deployment}]",
    )
    .await;
    let known = [("k8s.pod.uid", "u-1"), ("k8s.container.name", "main")];
    let mut wanted = expected(&known);
    wanted.extend(expected(&[
        ("k8s.deployment.name", "cart-of-record"),
        ("k8s.deployment.uid", "d-1"),
        ("k8s.replicaset.name", "cart-7d9f8"),
        ("k8s.node.uid", "n-1"),
        ("service.name", "cart"),
        ("service.instance.id", "shop.cart-7d9f8-x2x7q.main"),
        ("k8s.pod.label.team", "blue"),
        ("cost", "retail"),
        ("k8s.node.label.zone", "a"),
        ("note.a", "1"),
        ("note.b", "2"),
        ("owner", "blue"),
        ("deployment.environment", "prod"),
    ]));
    assert_eq!(play.resource(&known, None).await, wanted);
}

/// The pod of a cron job's job, with containers of every kind.
#[tokio::test]
async fn the_cluster_the_cron_job_and_every_container_are_told() {
    let cluster = Cluster::new()
        .with(PODS)
        .with("/api/v1/namespaces")
        .with("/apis/batch/v1/jobs")
        .with("/apis/batch/v1/cronjobs");
    let mut backup = pod();
    backup["metadata"]["ownerReferences"] =
        json!([{"kind": "Job", "name": "backup-29", "uid": "j-1", "controller": true}]);
    backup["spec"]["hostname"] = json!("backup-host");
    backup["spec"]["containers"] = json!([{"name": "main", "image": "cart:1.2@sha256:aa"}, {"name": "proxy", "image": "envoy"}]);
    backup["spec"]["initContainers"] = json!([{"name": "prepare", "image": "busybox:9"}]);
    backup["status"]["initContainerStatuses"] = json!([{"name": "prepare", "image": "busybox:9", "imageID": "busybox@sha256:bb", "containerID": "containerd://c-prepare"}]);
    backup["status"]["ephemeralContainerStatuses"] =
        json!([{"name": "debugger", "image": "tools:3", "containerID": "containerd://c-debugger"}]);
    cluster.put(PODS, backup);
    cluster.put(
        "/api/v1/namespaces",
        json!({"metadata": {"name": "kube-system", "uid": "cluster-1"}}),
    );
    cluster.put(
        "/apis/batch/v1/jobs",
        json!({"metadata": {"name": "backup-29", "namespace": "shop", "uid": "j-1", "ownerReferences": [{"kind": "CronJob", "name": "backup", "uid": "cj-1", "controller": true}]}}),
    );
    cluster.put(
        "/apis/batch/v1/cronjobs",
        json!({"metadata": {"name": "backup", "namespace": "shop", "uid": "cj-1", "labels": {"tier": "cold", "empty": ""}}}),
    );
    let play = Play::start(
        cluster,
        "extract:\n  metadata: [k8s.cluster.uid, k8s.cronjob.name, k8s.cronjob.uid, k8s.job.uid, k8s.pod.hostname, k8s.container.name, container.id, \
         container.image.name, container.image.tags, container.image.repo_digests, service.version]\n  \
         labels: [{key_regex: '.*', from: cronjob}]",
    )
    .await;
    let asked = play.cluster.seen();
    assert!(
        asked
            .iter()
            .filter(|target| target.starts_with("/api/v1/namespaces"))
            .all(|target| target.contains("metadata.name%3Dkube-system")),
        "one namespace alone is asked about: {asked:?}"
    );
    let common = [
        ("k8s.cluster.uid", "cluster-1"),
        ("k8s.cronjob.name", "backup"),
        ("k8s.cronjob.uid", "cj-1"),
        ("k8s.job.uid", "j-1"),
        ("k8s.pod.hostname", "backup-host"),
        ("k8s.cronjob.label.tier", "cold"),
        ("k8s.cronjob.label.empty", ""),
        ("k8s.pod.uid", "u-1"),
    ];
    for own in [
        vec![
            ("k8s.container.name", "main"),
            ("container.id", "c-main"),
            ("container.image.name", "cart"),
            ("container.image.tags", "[1.2]"),
            ("service.version", "1.2@sha256:aa"),
        ],
        vec![
            ("container.id", "c-prepare"),
            ("k8s.container.name", "prepare"),
            ("container.image.name", "busybox"),
            ("container.image.tags", "[9]"),
            (
                "container.image.repo_digests",
                "[docker.io/library/busybox@sha256:bb]",
            ),
            ("service.version", "9"),
        ],
        vec![
            ("container.id", "c-debugger"),
            ("k8s.container.name", "debugger"),
            ("container.image.name", "tools"),
            ("container.image.tags", "[3]"),
            ("service.version", "3"),
        ],
    ] {
        let mut wanted = expected(&common);
        wanted.extend(expected(&own));
        let known = [("k8s.pod.uid", "u-1"), own[0]];
        assert_eq!(play.resource(&known, None).await, wanted);
    }
}

/// A resource whose pod is not known is told of the namespace and the node that it names.
#[tokio::test]
async fn resources_without_pods_are_told_of_what_they_name() {
    let cluster = Cluster::new()
        .with(PODS)
        .with("/api/v1/namespaces")
        .with("/api/v1/nodes");
    cluster.put(
        "/api/v1/namespaces",
        json!({"metadata": {"name": "shop", "uid": "ns-1", "labels": {"cost": "retail"}}}),
    );
    cluster.put(
        "/api/v1/nodes",
        json!({"metadata": {"name": "node-1", "uid": "n-1", "labels": {"zone": "a"}}}),
    );
    let play = Play::start(
        cluster,
        "extract: {metadata: [k8s.node.uid, k8s.pod.name], labels: [{key: cost, from: namespace}, {key: zone, from: node}, {key: team}]}",
    )
    .await;
    let known = [("k8s.namespace.name", "shop"), ("k8s.node.name", "node-1")];
    let mut wanted = expected(&known);
    wanted.extend(expected(&[
        ("k8s.namespace.label.cost", "retail"),
        ("k8s.node.label.zone", "a"),
        ("k8s.node.uid", "n-1"),
    ]));
    assert_eq!(play.resource(&known, None).await, wanted);
}

/// With roles for some namespaces nothing is asked beyond them.
#[tokio::test]
async fn pods_and_workloads_of_namespaces_are_asked_for_there() {
    for filter in ["shop", "[shop, other]"] {
        let mut cluster = Cluster::new();
        for namespace in ["shop", "other"] {
            let pods = format!("/api/v1/namespaces/{namespace}/pods");
            let sets = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
            cluster = cluster.with(&pods).with(&sets);
            let mut own = pod();
            own["metadata"]["namespace"] = json!(namespace);
            own["metadata"]["uid"] = json!(namespace);
            own["metadata"]["ownerReferences"][0]["uid"] = json!(format!("rs-{namespace}"));
            cluster.put(&pods, own);
            cluster.put(
                &sets,
                json!({"metadata": {"name": "cart-7d9f8", "namespace": namespace, "uid": format!("rs-{namespace}"),
                    "ownerReferences": [{"kind": "Deployment", "name": "cart", "uid": format!("d-{namespace}"), "controller": true}]}}),
            );
        }
        let play = Play::start(
            cluster,
            &format!("extract: {{metadata: [k8s.deployment.uid]}}\nfilter: {{namespace: {filter}, all_nodes: true}}"),
        )
        .await;
        let mut looked = vec!["shop"];
        if filter != "shop" {
            looked.push("other");
        }
        for namespace in &looked {
            let seen = play.resource(&[("k8s.pod.uid", namespace)], None).await;
            assert_eq!(seen["k8s.deployment.uid"], format!("d-{namespace}"));
        }
        let asked = play.cluster.seen();
        let beyond = |target: &&String| {
            let within = |namespace: &&str| target.contains(&format!("/namespaces/{namespace}/"));
            !looked.iter().any(within)
        };
        assert_eq!(asked.iter().find(beyond), None);
    }
}

#[tokio::test]
async fn a_pod_may_ask_to_be_left_alone() {
    let cluster = Cluster::new().with(PODS);
    let mut shy = pod();
    shy["metadata"]["annotations"]["opentelemetry.io/k8s-processor/ignore"] = json!("True ");
    cluster.put(PODS, shy);
    let play = Play::start(cluster, "").await;
    let known = [("k8s.pod.uid", "u-1")];
    assert_eq!(play.resource(&known, None).await, expected(&known));
}

#[tokio::test]
async fn older_names_of_labels_are_kept_on_request() {
    let cluster = Cluster::new().with(PODS);
    cluster.put(PODS, pod());
    let play = Play::start(
        cluster,
        "compat: v0\nextract: {metadata: [container.image.tags], labels: [{key: team}]}",
    )
    .await;
    let known = [("k8s.pod.uid", "u-1"), ("k8s.container.name", "main")];
    let seen = play.resource(&known, None).await;
    assert_eq!(seen["k8s.pod.labels.team"], "blue");
    assert_eq!(seen["container.image.tag"], "1.2");
}

#[tokio::test]
async fn pods_that_are_excluded_and_passthrough_ask_nothing() {
    let cluster = Cluster::new().with(PODS);
    cluster.put(PODS, pod());
    let play = Play::start(cluster, "exclude: {pods: [{name: '^cart-'}]}").await;
    let known = [("k8s.pod.uid", "u-1")];
    assert_eq!(play.resource(&known, None).await, expected(&known));

    let play = Play::start(Cluster::new(), "passthrough: true").await;
    let seen = play.resource(&[], Some("10.1.2.3:99")).await;
    assert_eq!(seen, expected(&[("k8s.pod.ip", "10.1.2.3")]));
    assert!(play.cluster.seen().is_empty(), "{:?}", play.cluster.seen());
}

/// What was known stands while the server is away, a deleted pod is named for a while, and news come when it is back.
#[tokio::test]
async fn an_api_server_that_goes_away_takes_nothing_with_it() {
    let cluster = Cluster::new().with(PODS);
    cluster.put(PODS, pod());
    let play = Play::start(cluster, "").await;
    let known = [("k8s.pod.uid", "u-1")];
    play.cluster.set_away(true);
    play.cluster.cut();
    assert_eq!(
        play.resource(&known, None).await["k8s.pod.name"],
        "cart-7d9f8-x2x7q"
    );
    let mut other = pod();
    other["metadata"]["name"] = json!("other");
    other["metadata"]["uid"] = json!("u-2");
    other["status"]["podIP"] = json!("10.0.0.8");
    other["status"]["podIPs"] = json!([]);
    play.cluster.put(PODS, other);
    play.cluster.delete(PODS, "cart-7d9f8-x2x7q");
    play.cluster.forget();
    play.cluster.set_away(false);
    let news = [("k8s.pod.uid", "u-2")];
    eventually("the new pod is known", Duration::from_secs(30), || async {
        (play.resource(&news, None).await.len() > 1).then_some(())
    })
    .await;
    assert_eq!(
        play.resource(&known, None).await["k8s.pod.name"],
        "cart-7d9f8-x2x7q",
        "within its grace time"
    );
}

/// Telemetry does not wait for an API server that never answers.
#[tokio::test]
async fn without_an_api_server_telemetry_goes_on_as_it_is() {
    let cluster = Cluster::new().with(PODS);
    cluster.set_away(true);
    let play = Play::start(cluster, "wait_for_metadata_timeout: 50ms").await;
    let known = [("k8s.pod.uid", "u-1")];
    assert_eq!(play.resource(&known, None).await, expected(&known));
}

#[test]
fn wrong_settings_are_explained() {
    for (yaml, why) in [
        (
            "filter: {fields: [{key: status.phase, op: exists}]}",
            "op is equals or not-equals",
        ),
        (
            "extract: {metadata: [k8s.pod.nam]}",
            "unknown attribute 'k8s.pod.nam'",
        ),
        (
            "extract: {labels: [{tag_name: a}]}",
            "exactly one of key and key_regex",
        ),
        ("pod_association: [{sources: []}]", "one to four sources"),
        (
            "pod_association: [{sources: [{name: k8s.pod.name}]}]",
            "does not tell one pod from others",
        ),
        (
            "pod_association: [{sources: [{name: color}]}]",
            "no pod is known by 'color'",
        ),
    ] {
        let problems = decode(&factory(), yaml).err().unwrap().to_string();
        assert!(problems.contains(why), "{yaml}: {problems}");
    }
}

#[tokio::test]
async fn it_conforms() {
    conforms(factory(), "passthrough: true").await;
}
