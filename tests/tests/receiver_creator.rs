//! Receivers for the containers of a node as they come and go, by the API server's word, in the real program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::time::Duration;

use corten_testing::{Cluster, Reply, http_server, kubeconfig};
use corten_tests::{Agent, Command, FakeLoki, PodLogs, free_port, get, wait_for};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods";
const SOON: Duration = Duration::from_secs(20);

/// An agent on a node, the API server that it asks, and Loki.
struct Node {
    cluster: Cluster,
    loki: FakeLoki,
    logs: PodLogs,
    agent: Agent,
    /// Where Prometheus would scrape.
    port: u16,
    _folder: tempfile::TempDir,
    server: tokio::runtime::Runtime,
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let cluster = Cluster::new().with(PODS);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let answering = cluster.clone();
        let address = runtime.block_on(http_server(move |asked| {
            let missing = || Reply::Whole(404, "{}".to_owned());
            answering.answer(&asked).unwrap_or_else(missing)
        }));
        std::fs::write(path.join("kubeconfig"), kubeconfig(address, None)).unwrap();
        let loki = FakeLoki::start();
        let port = free_port();
        let agent = Command::yaml(&format!(
            "
extensions:
  file_storage: {{directory: {path}/state, create_directory: true}}
  k8s_observer:
    auth_type: kubeConfig
    kubeconfig_path: {path}/kubeconfig
    node: node-1
receivers:
  receiver_creator:
    watch_observers: [k8s_observer]
    discovery: {{enabled: true}}
    receivers:
      file_log/app:
        rule: type == \"pod.container\" && pod.labels[\"logs\"] == \"on\"
        config:
          include: ['{path}/pods/`pod.namespace`_`pod.name`_`pod.uid`/`container_name`/*.log']
          start_at: beginning
          poll_interval: 20ms
          storage: file_storage
          max_log_size: '`pod.annotations[\"size\"]`'
          operators: [{{type: container, add_metadata_from_filepath: false}}]
        resource_attributes:
          team: '`pod.labels[\"team\"]`'
      host_metrics:
        rule: type == \"pod\" && labels[\"load\"] != \"\"
        config:
          collection_interval: '`labels[\"load\"]`'
          initial_delay: 0s
          scrapers: {{load: {{}}}}
exporters:
  prometheus:
    endpoint: localhost:{port}
    resource_to_telemetry_conversion: {{enabled: true}}
  loki:
    endpoint: {loki}/loki/api/v1/push
    labels: {{namespace: k8s.namespace.name, pod: k8s.pod.name, container: k8s.container.name, team: team}}
service:
  extensions: [file_storage, k8s_observer]
  pipelines:
    metrics: {{receivers: [receiver_creator], exporters: [prometheus]}}
    logs: {{receivers: [receiver_creator], exporters: [loki]}}
",
            path = path.display(),
            loki = loki.url(),
            port = port,
        ))
        .start();
        let logs = PodLogs::new(&path.join("pods"));
        Self {
            cluster,
            loki,
            logs,
            agent,
            port,
            _folder: folder,
            server: runtime,
        }
    }

    /// A pod that writes logs, which the API server does not know yet.
    fn writes(&mut self, name: &str) -> usize {
        let number = self.logs.add("shop", name, "main");
        self.logs.container(number).out(&format!("{name} is up"));
        number
    }

    /// Tells the API server of a pod.
    fn tell(&self, number: usize, name: &str, labels: &Value, size: &str) {
        self.cluster.put(
            PODS,
            json!({
                "metadata": {"name": name, "namespace": "shop", "uid": self.logs.uid(number), "labels": labels, "annotations": {"size": size}},
                "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "shop:1"}]},
                "status": {"phase": "Running", "podIP": "10.0.0.7",
                    "containerStatuses": [{"name": "main", "containerID": "containerd://1", "state": {"running": {}}}]},
            }),
        );
    }

    /// `labels: line` of everything that Loki has of a pod, sorted.
    fn lines(&self, pod: &str) -> Vec<String> {
        let streams = self.loki.streams();
        let of = streams
            .iter()
            .filter(|(labels, _)| labels.contains(&format!("pod=\"{pod}\"")));
        let mut all: Vec<String> = of
            .flat_map(|(labels, entries)| {
                let lines = entries.iter().map(|entry| entry.line.as_str());
                lines.map(move |line| format!("{labels}: {line}"))
            })
            .collect();
        all.sort();
        all
    }

    fn has(&self, pod: &str, wanted: &[&str]) {
        wait_for(&format!("{wanted:?} of {pod}"), SOON, || {
            let lines = self.lines(pod);
            let there = lines.len() >= wanted.len();
            there.then(|| {
                for (line, wanted) in lines.iter().zip(wanted) {
                    assert!(line.ends_with(wanted), "{wanted} in {lines:?}");
                }
            })
        });
    }
}

#[test]
fn containers_are_read_while_their_pods_ask_for_it() {
    let mut node = Node::start();
    let cart = node.writes("cart");
    let quiet = node.writes("quiet");
    let broken = node.writes("broken");
    node.tell(quiet, "quiet", &json!({"team": "red"}), "1MiB");
    node.tell(broken, "broken", &json!({"logs": "on"}), "large");
    node.tell(cart, "cart", &json!({"logs": "on", "team": "blue"}), "1MiB");
    node.has("cart", &["cart is up"]);
    let first = node.lines("cart").remove(0);
    for label in ["namespace=\"shop\"", "container=\"main\"", "team=\"blue\""] {
        assert!(first.contains(label), "{label} in {first}");
    }

    // The one whose settings are wrong says so, once, and is mended by another annotation.
    let said = |node: &Node| {
        let log = node.agent.log();
        log.lines()
            .filter(|line| line.contains("a receiver cannot be created"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let errors = wait_for("the error", SOON, || {
        let errors = said(&node);
        (!errors.is_empty()).then_some(errors)
    });
    assert!(
        errors.len() == 1 && errors.concat().contains("max_log_size"),
        "{errors:?}"
    );
    node.tell(broken, "broken", &json!({"logs": "on"}), "1MiB");
    node.has("broken", &["broken is up"]);
    assert_eq!(said(&node).len(), 1);
    assert!(node.lines("quiet").is_empty(), "nobody asked for it");

    // Settings change: it starts anew, and goes on where it was.
    node.tell(cart, "cart", &json!({"logs": "on", "team": "blue"}), "2MiB");
    wait_for("the restart", SOON, || {
        node.agent
            .log()
            .contains("stopping a receiver")
            .then_some(())
    });
    node.logs.container(cart).out("cart goes on");
    node.has("cart", &["cart goes on", "cart is up"]);

    // Gone, and nothing more is read; the rest goes on.
    node.cluster.delete(PODS, "broken");
    wait_for("the end", SOON, || {
        let log = node.agent.log();
        (log.matches("stopping a receiver").count() == 2).then_some(())
    });
    node.logs.container(broken).out("broken is gone");
    node.logs.container(cart).out("cart stays");
    node.has("cart", &["cart goes on", "cart is up", "cart stays"]);
    assert_eq!(node.lines("cart").len(), 3, "every line once");
    assert_eq!(node.lines("broken").len(), 1);
    node.agent.stop();
}

/// A receiver that scrapes has its own interval, and a Prometheus exporter serves what it brings, for as long as its pod is there.
#[test]
fn what_is_scraped_for_a_pod_carries_its_name() {
    let mut node = Node::start();
    let cart = node.writes("cart");
    node.tell(cart, "cart", &json!({"load": "200ms"}), "1MiB");
    let page = wait_for("the load", SOON, || {
        let page = get(node.port, "/metrics").ok()?.text();
        page.contains("system_cpu_load_average_1m{").then_some(page)
    });
    let line = page
        .lines()
        .find(|line| line.starts_with("system_cpu_load_average_1m{"))
        .unwrap();
    for label in ["k8s_pod_name=\"cart\"", "k8s_namespace_name=\"shop\""] {
        assert!(line.contains(label), "{label} in {line}");
    }
    node.agent.stop();
}

/// A pod says by annotations how its port is scraped.
#[test]
fn a_pod_asks_to_be_scraped() {
    let node = Node::start();
    let page = "# TYPE carts gauge\ncarts{shop=\"blue\"} 7\n";
    let answer = move |_| Reply::Whole(200, page.to_owned());
    let address = node.server.block_on(http_server(answer));
    let config = "
config:
  scrape_configs:
    - job_name: carts
      scrape_interval: 200ms
      scrape_timeout: 200ms
      static_configs: [{targets: ['`endpoint`']}]
";
    let pod = |target: &str| {
        json!({
            "metadata": {"name": "cart", "namespace": "shop", "uid": "u", "annotations": {
                "io.opentelemetry.discovery.metrics/enabled": "true",
                "io.opentelemetry.discovery.metrics/scraper": "prometheus",
                "io.opentelemetry.discovery.metrics/config": config.replace("`endpoint`", target),
            }},
            "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "shop:1", "ports": [{"containerPort": address.port()}]}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1",
                "containerStatuses": [{"name": "main", "containerID": "containerd://1", "state": {"running": {}}}]},
        })
    };
    node.cluster.put(PODS, pod("127.0.0.1:1"));
    wait_for("the error", SOON, || {
        let log = node.agent.log();
        log.contains("the pod's own, found '127.0.0.1:1'")
            .then_some(())
    });
    node.cluster.put(PODS, pod("`endpoint`"));
    let line = wait_for("the carts", SOON, || {
        let page = get(node.port, "/metrics").ok()?.text();
        let line = page.lines().find(|line| line.starts_with("carts{"))?;
        Some(line.to_owned())
    });
    for label in ["k8s_pod_name=\"cart\"", "shop=\"blue\""] {
        assert!(line.contains(label), "{label} in {line}");
    }
    node.agent.stop();
}
