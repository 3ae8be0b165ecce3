//! Container logs that get the names of their pods' teams from the API server, over TLS, while that server does everything that such servers do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use corten_testing::{Cluster, Reply, http_server};
use corten_tests::{
    Agent, Authority, Command, FakeLoki, OtlpSink, PodLogs, TlsFront, export_traces, free_port,
    request_of, wait_for,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

const PODS: &str = "/api/v1/pods";
const SOON: Duration = Duration::from_secs(20);

/// An agent on a node, the API server that it asks, and Loki.
struct Node {
    cluster: Cluster,
    front: TlsFront,
    loki: FakeLoki,
    logs: PodLogs,
    agent: Agent,
    folder: tempfile::TempDir,
    _server: tokio::runtime::Runtime,
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let servers = Authority::new("servers");
        let clients = Authority::new("clients");
        servers.write(&path.join("servers.pem"));
        clients.write(&path.join("clients.pem"));
        let server = servers.issue(path, "server");
        let client = clients.issue(path, "client");

        let cluster = Cluster::new().with(PODS);
        cluster.set_token("first");
        std::fs::write(path.join("token"), "first").unwrap();
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
        let front = TlsFront::start(address.port(), server, path.join("clients.pem"));
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'https://localhost:{}', certificate-authority: {}}}}}]\n\
             users: [{{name: test, user: {{tokenFile: {}, client-certificate: {}, client-key: {}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            front.port(),
            path.join("servers.pem").display(),
            path.join("token").display(),
            client.cert.display(),
            client.key.display(),
        );
        std::fs::write(path.join("kubeconfig"), kubeconfig).unwrap();
        let loki = FakeLoki::start();
        let agent = Command::yaml(&format!(
            "
receivers:
  file_log:
    include: ['{path}/pods/*/*/*.log']
    start_at: beginning
    poll_interval: 20ms
    operators: [{{type: container}}]
processors:
  k8s_attributes:
    auth_type: kubeConfig
    kubeconfig_path: {path}/kubeconfig
    filter: {{node: node-1}}
    extract: {{labels: [{{tag_name: team, key: team}}]}}
    wait_for_metadata: true
exporters:
  loki:
    endpoint: {loki}/loki/api/v1/push
    labels: {{namespace: k8s.namespace.name, pod: k8s.pod.name, container: k8s.container.name, team: team}}
service:
  pipelines:
    logs: {{receivers: [file_log], processors: [k8s_attributes], exporters: [loki]}}
",
            path = path.display(),
            loki = loki.url(),
        ))
        .start();
        let logs = PodLogs::new(&path.join("pods"));
        Self {
            cluster,
            front,
            loki,
            logs,
            agent,
            folder,
            _server: runtime,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A pod that the API server knows, with one container.
    fn pod(&mut self, name: &str, team: &str) -> usize {
        let number = self.logs.add("shop", name, "main");
        self.cluster.put(
            PODS,
            json!({
                "metadata": {"name": name, "namespace": "shop", "uid": self.logs.uid(number), "labels": {"team": team}},
                "spec": {"nodeName": "node-1"},
                "status": {"containerStatuses": [{"name": "main", "image": "shop:1", "containerID": "containerd://1"}]},
            }),
        );
        number
    }

    /// The lines of a pod that Loki has, with its team or without.
    fn lines(&self, pod: &str, team: Option<&str>) -> Vec<String> {
        let streams = self.loki.streams();
        let of = streams.iter().filter(|(labels, _)| {
            labels.contains(&format!("pod=\"{pod}\""))
                && match team {
                    Some(team) => labels.contains(&format!("team=\"{team}\"")),
                    None => !labels.contains("team="),
                }
        });
        of.flat_map(|(_, entries)| entries.iter().map(|entry| entry.line.clone()))
            .collect()
    }

    /// Writes lines until one of them has the team: the pod is known. Answers how many.
    fn known(&mut self, number: usize, pod: &str, team: &str, within: Duration) -> usize {
        let mut count = 0;
        wait_for(&format!("the team of {pod}"), within, || {
            count += 1;
            self.logs
                .container(number)
                .out(&format!("is it known {count}"));
            (!self.lines(pod, Some(team)).is_empty()).then_some(count)
        })
    }

    /// Writes a line and waits until it is where it belongs.
    fn writes(&mut self, number: usize, pod: &str, text: &str, team: Option<&str>) {
        self.logs.container(number).out(text);
        wait_for(&format!("{text} of {pod} with {team:?}"), SOON, || {
            self.lines(pod, team)
                .contains(&text.to_owned())
                .then_some(())
        });
    }
}

/// Watches are cut, versions forgotten, tokens rotated and certificates asked for; the server is away meanwhile. Every line
/// arrives at once and exactly once, what was known stands, and what is new is known soon after the server is back.
#[test]
fn logs_never_wait_for_the_api_server() {
    let mut node = Node::start();
    let cart = node.pod("cart", "blue");
    let first = node.known(cart, "cart", "blue", SOON);
    node.writes(cart, "cart", "one", Some("blue"));

    // Away, and everything that was open is cut.
    node.cluster.set_away(true);
    node.front.cut();
    node.writes(cart, "cart", "two", Some("blue"));
    let late = node.pod("late", "red");
    node.writes(late, "late", "before", None);

    // Back with another token, and without any version that was known.
    node.cluster.forget();
    node.cluster.set_token("second");
    std::fs::write(node.path().join("token"), "second").unwrap();
    node.cluster.set_away(false);
    let back = Instant::now();
    let number = node.known(late, "late", "red", Duration::from_secs(60));
    assert!(back.elapsed() < Duration::from_secs(60));
    node.writes(cart, "cart", "three", Some("blue"));

    // Every line once, whatever its labels are.
    for (pod, lines) in [("cart", first + 3), ("late", 1 + number)] {
        let all = || {
            let mut all = node.lines(pod, None);
            all.extend(node.lines(pod, Some("blue")));
            all.extend(node.lines(pod, Some("red")));
            all
        };
        wait_for("every line", SOON, || (all().len() >= lines).then_some(()));
        let mut seen = all();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), all().len()), (lines, lines), "{pod}");
    }
    assert!(node.agent.stop().success());
}

/// A missing rule is named once, in the words of the ClusterRole, and logs go on without names.
#[test]
fn a_missing_rule_is_named_and_costs_names_alone() {
    let mut node = Node::start();
    let cart = node.pod("cart", "blue");
    node.known(cart, "cart", "blue", SOON);
    node.cluster.set_forbidden(PODS, true);
    node.cluster.forget();
    let line = node.agent.wait_for_line("resources: [\"pods\"]");
    assert!(line.contains("watch"), "{line}");
    let other = node.pod("other", "green");
    node.writes(other, "other", "two", None);
    node.writes(cart, "cart", "three", Some("blue"));
}

/// Spans are told apart by the pods that send them, where the receiver hands the senders' addresses on; where it does not, the remedy is said once.
#[test]
fn spans_are_told_apart_by_their_senders() {
    for include in [true, false] {
        let sink = OtlpSink::start();
        let port = free_port();
        let mut agent = Command::yaml(&format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', include_metadata: {include}}}}}}}}}
processors: {{k8s_attributes: {{passthrough: true}}}}
exporters: {{otlp_grpc: {{endpoint: '127.0.0.1:{}', tls: {{insecure: true}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [k8s_attributes], exporters: [otlp_grpc]}}}}}}
",
            sink.port()
        ))
        .start();
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            name: "x".to_owned(),
            ..Span::default()
        };
        export_traces(port, request_of(vec![span])).unwrap();
        wait_for("the span", SOON, || {
            (!sink.spans().is_empty()).then_some(())
        });
        let traces = sink.traces();
        let resource = traces[0].resource_spans[0]
            .resource
            .clone()
            .unwrap_or_default();
        let seen: Vec<_> = resource
            .attributes
            .iter()
            .map(|attribute| attribute.key.clone())
            .collect();
        if include {
            assert_eq!(seen, ["k8s.pod.ip"]);
        } else {
            assert!(seen.is_empty(), "{seen:?}");
            agent.wait_for_line("set include_metadata: true");
        }
    }
}
