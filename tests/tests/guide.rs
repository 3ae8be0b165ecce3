//! The guide's whole job: its configuration runs as it stands, beside a real Prometheus that runs its scrape job as it
//! stands.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use corten_tests::{
    Command, FakeLoki, Metrics, OtlpSink, PodLogs, Prometheus, case, export_traces, get, post,
    promtool_check_metrics, repository, request_of, wait_for,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

const SOON: Duration = Duration::from_secs(20);

/// The addresses that the guide fixes.
const GRPC: u16 = 4317;
const HTTP: u16 = 4318;
const ADMIN: u16 = 12345;

/// What is scraped there: the node, its containers, Corten itself.
const NODE: &str = "/api/v0/component/prometheus.exporter.unix.system/metrics";
const CONTAINERS: &str = "/metrics/cadvisor";
const OWN: &str = "/metrics";

fn span(name: &str) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1_767_607_200_000_000_000,
        end_time_unix_nano: 1_767_607_200_250_000_000,
        ..Span::default()
    };
    request_of(vec![span])
}

#[test]
fn one_process_does_the_whole_job() {
    let dir = tempfile::tempdir().unwrap();
    let (loki, tempo) = (FakeLoki::start(), OtlpSink::start());
    let mut logs = PodLogs::new(&dir.path().join("pods"));
    let web = logs.add("shop", "web-7d4b9c", "app");
    logs.container(web).out("before the start");
    let agent = Command::new()
        .arg("--config")
        .arg(case("guide").join("corten.yaml"))
        .env("LOG_ROOT", dir.path().join("pods"))
        .env("STATE_DIR", dir.path().join("state"))
        .env("LOKI_URL", loki.url())
        .env("TEMPO_ENDPOINT", format!("127.0.0.1:{}", tempo.port()))
        .start();
    let prometheus = Prometheus::start(&case("guide").join("prometheus.yml"));

    // Logs and traces.
    logs.container(web).out("while it runs");
    loki.wait_for_lines(2, SOON);
    logs.assert_exactly(&loki);
    export_traces(GRPC, span("over gRPC")).unwrap();
    let headers = [("content-type", "application/x-protobuf")];
    let reply = post(
        HTTP,
        "/v1/traces",
        &headers,
        &span("over HTTP").encode_to_vec(),
    )
    .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let names = || {
        tempo
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect::<BTreeSet<_>>()
    };
    wait_for("both spans", SOON, || (names().len() == 2).then_some(()));
    assert_eq!(
        names(),
        BTreeSet::from(["over HTTP".to_owned(), "over gRPC".to_owned()])
    );

    // Metrics, as Prometheus has them.
    for job in ["alloy", "cadvisor", "corten"] {
        let up = wait_for(&format!("{job} is up"), SOON, || {
            let up = prometheus.query(&format!("up{{job=\"{job}\"}}"));
            (up.first()?.1 == 1.0).then_some(up)
        });
        assert_eq!(up.len(), 1, "{up:?}");
        let instance = if job == "alloy" {
            "k8s-worker1"
        } else {
            "127.0.0.1:12345"
        };
        assert_eq!(
            up[0].0["instance"], instance,
            "the label that Prometheus was told"
        );
    }
    let node = |name: &str| {
        prometheus.wait_for(&format!(
            "{name}{{job=\"alloy\", instance=\"k8s-worker1\"}}"
        ))
    };
    let modes: BTreeSet<_> = node("node_cpu_seconds_total")
        .into_iter()
        .map(|(labels, _)| labels["mode"].clone())
        .collect();
    assert_eq!(modes.len(), 8, "{modes:?}");
    assert!(node("node_memory_MemAvailable_bytes")[0].1 > 1e6);
    assert!(
        node("node_filesystem_size_bytes")
            .iter()
            .any(|(labels, size)| labels["mountpoint"] == "/" && *size > 1e6)
    );
    assert_eq!(node("node_load1").len(), 1);
    assert!(node("node_uname_info")[0].0.contains_key("nodename"));
    assert!(
        !prometheus
            .wait_for("container_cpu_usage_seconds_total{job=\"cadvisor\"}")
            .is_empty()
    );
    assert!(
        !prometheus
            .wait_for("container_memory_working_set_bytes{job=\"cadvisor\"}")
            .is_empty()
    );
    let accepted = prometheus
        .wait_for("otelcol_receiver_accepted_log_records{job=\"corten\", receiver=\"file_log\"}");
    assert_eq!(accepted.len(), 1, "{accepted:?}");

    // What Prometheus's own tool thinks of what was scraped.
    for path in [NODE, CONTAINERS, OWN] {
        let reply = get(ADMIN, path).unwrap();
        assert_eq!(reply.status, 200, "{path}");
        let mut complaints = promtool_check_metrics(&reply.body);
        complaints.retain(|complaint| !is_others_name(complaint));
        assert_eq!(complaints, [""; 0], "{path}");
        assert!(
            !Metrics::parse(&reply.text()).samples.is_empty(),
            "{path} is empty"
        );
    }
    for path in ["/-/ready", "/-/healthy"] {
        assert_eq!(get(ADMIN, path).unwrap().status, 200, "{path}");
    }
    assert!(agent.stop().success());
}

/// Names that are not Corten's to choose: node_exporter spells memory and the network's counters as the kernel does, its entropy is in bits, cAdvisor has a counter that is
/// not called so, gauges that are called counters, a load "d" and labels of two words, and the Collector's own counters, among which Corten's stand, have no suffix.
fn is_others_name(complaint: &str) -> bool {
    let (name, complaint) = complaint.split_once(' ').unwrap();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match complaint {
        "metric names should be written in 'snake_case' not 'camelCase'" => {
            begins(&["node_memory_", "node_netstat_"])
        }
        "use base unit \"bytes\" instead of \"bits\"" => begins(&["node_entropy_"]),
        "counter metrics should have \"_total\" suffix" => {
            begins(&["container_memory_failcnt", "otelcol_", "corten_"])
        }
        "label names should be written in 'snake_case' not 'camelCase'" => {
            begins(&["cadvisor_version_info"])
        }
        "metric names should not contain abbreviated units" => {
            begins(&["container_cpu_load_d_average_10s"])
        }
        "non-counter metrics should not have \"_total\" suffix" => {
            begins(&["container_fs_inodes_total"])
        }
        _ => false,
    }
}

/// The built-in configuration is the guide's, apart from its comments.
#[test]
fn the_built_in_configuration_is_the_guides() {
    let plain = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| {
            line.split_once('#')
                .map_or(line, |(code, _)| code)
                .trim_end()
        });
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let guide = plain(&case("guide").join("corten.yaml"));
    assert!(guide.len() > 60, "{guide:?}");
    assert_eq!(
        plain(&repository().join("distro/configs/kubernetes-node.yaml")),
        guide
    );
    // Both are read to the same settings.
    let printed = |uri: &std::ffi::OsStr| {
        let (status, out, err) = Command::new()
            .arg("print-config")
            .arg("--config")
            .arg(uri)
            .output();
        assert!(status.success(), "{err}");
        out
    };
    let guide = printed(case("guide").join("corten.yaml").as_os_str());
    assert_eq!(printed("builtin:kubernetes-node".as_ref()), guide);
}
