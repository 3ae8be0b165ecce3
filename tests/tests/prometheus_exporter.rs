//! The `prometheus` exporter beside real Prometheus: text, OpenMetrics and protobuf, as it asks for them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::Duration;

use corten_tests::{
    Agent, Command, Prometheus, Reply, case, free_port, get, post, promtool_check_metrics, request,
    scrape, wait_for,
};

const SOON: Duration = Duration::from_secs(20);
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// Corten with what two applications told it.
struct Setup {
    _agent: Agent,
    port: u16,
    otlp: u16,
    directory: tempfile::TempDir,
}

impl Setup {
    fn start() -> Self {
        let (port, otlp) = (free_port(), free_port());
        let agent = Command::new()
            .arg("--config")
            .arg(case("prometheus_exporter").join("corten.yaml"))
            .env("PORT", port.to_string())
            .env("OTLP_PORT", otlp.to_string())
            .start();
        let setup = Self {
            _agent: agent,
            port,
            otlp,
            directory: tempfile::tempdir().unwrap(),
        };
        setup.push(&application("one"));
        setup.push(&application("two"));
        setup
    }

    fn push(&self, body: &str) {
        let headers = [("content-type", "application/json")];
        let reply = post(self.otlp, "/v1/metrics", &headers, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    fn ask(&self, path: &str, accept: &str) -> Reply {
        let reply = request(self.port, "GET", path, &[("accept", accept)], b"").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    }

    /// A Prometheus that scrapes all paths, each in a job of that name.
    fn prometheus(&self, features: &str) -> Prometheus {
        let jobs: String = ["text", "open", "utf8", "node", "host"]
            .iter()
            .map(|path| {
                format!(
                    "- job_name: {path}\n  metrics_path: /{path}\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  \
                     static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
                    self.port
                )
            })
            .collect();
        let config = self.directory.path().join("prometheus.yml");
        std::fs::write(&config, format!("scrape_configs:\n{jobs}")).unwrap();
        Prometheus::start_with(&config, &[&format!("--enable-feature={features}")])
    }
}

/// A counter, a gauge, a summary, a classic and an exponential histogram, with examples of now.
fn application(instance: &str) -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    let times = format!(
        r#""startTimeUnixNano": "{}", "timeUnixNano": "{now}""#,
        now - 60_000_000_000
    );
    let example = |value: f64| {
        format!(
            r#""exemplars": [{{"timeUnixNano": "{now}", "asDouble": {value}, "spanId": "eee19b7ec3c1b174",
               "traceId": "5b8efff798038103d269b633813fc60c", "filteredAttributes": [{{"key": "user.id", "value": {{"stringValue": "7"}}}}]}}]"#
        )
    };
    format!(
        r#"{{"resourceMetrics": [{{"resource": {{"attributes": [
            {{"key": "service.name", "value": {{"stringValue": "shop"}}}},
            {{"key": "service.instance.id", "value": {{"stringValue": "{instance}"}}}},
            {{"key": "k8s.pod.name", "value": {{"stringValue": "shop-{instance}"}}}}]}},
          "scopeMetrics": [{{"metrics": [
            {{"name": "app.requests", "unit": "{{request}}", "description": "Requests.", "sum": {{"aggregationTemporality": 2, "isMonotonic": true,
              "dataPoints": [{{{times}, "asInt": "42", {}}}]}}}},
            {{"name": "app.load", "description": "Load.", "gauge": {{"dataPoints": [{{{times}, "asDouble": 0.25,
              "attributes": [{{"key": "job", "value": {{"stringValue": "mine"}}}}]}}]}}}},
            {{"name": "app.latency", "unit": "s", "description": "Latency.", "histogram": {{"aggregationTemporality": 2, "dataPoints": [{{{times},
              "count": "10", "sum": 12.5, "explicitBounds": [1, 2], "bucketCounts": ["4", "5", "1"], {}}}]}}}},
            {{"name": "app.took", "unit": "s", "description": "Took.", "exponentialHistogram": {{"aggregationTemporality": 2, "dataPoints": [{{{times},
              "count": "9", "sum": 25.5, "scale": 0, "zeroCount": "1", "positive": {{"offset": 0, "bucketCounts": ["2", "4", "2"]}}, {}}}]}}}},
            {{"name": "app.size", "unit": "By", "description": "Size.", "summary": {{"dataPoints": [{{{times},
              "count": "3", "sum": 6, "quantileValues": [{{"quantile": 0.5, "value": 2}}, {{"quantile": 1, "value": 3}}]}}]}}}}
          ]}}]}}]}}"#,
        example(1.0),
        example(1.5),
        example(3.0)
    )
}

/// The value of the only series.
fn one(prometheus: &Prometheus, expression: &str) -> f64 {
    let answer = prometheus.wait_for(expression);
    assert_eq!(answer.len(), 1, "{expression}: {answer:?}");
    answer[0].1
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{what} is {found}, not {expected}"
    );
}

fn assert_all_are_up(prometheus: &Prometheus) {
    wait_for("five targets", SOON, || {
        assert_eq!(prometheus.scrape_errors(), BTreeMap::new());
        let up = prometheus.query("up == 1");
        (up.len() == 5).then_some(())
    });
    // No sample was refused either.
    for refused in [
        "target_scrapes_sample_duplicate_timestamp",
        "target_scrapes_sample_out_of_order",
    ] {
        assert_eq!(
            prometheus.query(&format!("prometheus_{refused}_total > 0")),
            []
        );
    }
}

#[test]
fn prometheus_reads_text_and_open_metrics() {
    let setup = Setup::start();
    let prometheus = setup.prometheus("exemplar-storage");
    let of = |name: &str, job: &str| format!(r#"{name}{{job="{job}",service_instance_id="one"}}"#);
    for job in ["text", "open"] {
        for (name, expected) in [
            ("app_requests_total", 42.0),
            ("app_load", 0.25),
            ("app_latency_seconds_count", 10.0),
            ("app_latency_seconds_sum", 12.5),
            ("app_took_seconds_count", 9.0),
            ("app_size_bytes_count", 3.0),
        ] {
            assert_close(one(&prometheus, &of(name, job)), expected, name);
        }
        for (selector, expected) in [
            (r#"app_latency_seconds_bucket{le=~"1|1\\.0","#, 4.0),
            (r#"app_latency_seconds_bucket{le="+Inf","#, 10.0),
            (r#"app_took_seconds_bucket{le=~"4|4\\.0","#, 7.0),
            (r#"app_size_bytes{quantile="0.5","#, 2.0),
        ] {
            let expression = format!(r#"{selector}job="{job}",service_instance_id="two"}}"#);
            assert_close(one(&prometheus, &expression), expected, &expression);
        }
        // Sources stay apart, and what is known of them joins.
        let joined = format!(
            r#"app_load{{job="{job}"}} * on (job, service_name, service_instance_id) group_left (k8s_pod_name) target_info"#
        );
        let mut pods: Vec<String> = prometheus
            .wait_for(&joined)
            .into_iter()
            .map(|(labels, _)| labels["k8s_pod_name"].clone())
            .collect();
        pods.sort();
        assert_eq!(pods, ["shop-one", "shop-two"]);
    }
    let (labels, _) = &prometheus.wait_for(r#"app_load{job="text"}"#)[0];
    assert_eq!(labels["exported_job"], "mine");
    assert_eq!(labels["cluster"], "eu-1");
    assert_eq!(labels["instance"], format!("127.0.0.1:{}", setup.port));

    // Examples travel in OpenMetrics.
    for name in [
        "app_requests_total",
        "app_latency_seconds_bucket",
        "app_took_seconds_bucket",
    ] {
        let exemplars = prometheus.exemplars(&of(name, "open"));
        assert_eq!(exemplars.len(), 1, "{name}: {exemplars:?}");
        let labels = &exemplars[0]["labels"];
        assert_eq!(labels["trace_id"], "5b8efff798038103d269b633813fc60c");
        assert_eq!(labels["span_id"], "eee19b7ec3c1b174");
        assert_eq!(labels["user_id"], "7");
        assert_eq!(prometheus.exemplars(&of(name, "text")).len(), 0);
    }
    assert_all_are_up(&prometheus);
}

#[test]
fn prometheus_reads_native_histograms_over_protobuf() {
    let setup = Setup::start();
    let prometheus = setup.prometheus("native-histograms,exemplar-storage");
    let took = r#"app_took_seconds{job="text",service_instance_id="one"}"#;
    // Nine values: one at zero, two in (1, 2], four in (2, 4], two in (4, 8].
    assert_close(
        one(&prometheus, &format!("histogram_count({took})")),
        9.0,
        "count",
    );
    assert_close(
        one(&prometheus, &format!("histogram_sum({took})")),
        25.5,
        "sum",
    );
    // The median is the 4.5th value, 1.5 of four into its bucket; 0.9 is the 8.1th, 1.1 of two.
    assert_close(
        one(&prometheus, &format!("histogram_quantile(0.5, {took})")),
        2.0 + 2.0 * 1.5 / 4.0,
        "median",
    );
    assert_close(
        one(&prometheus, &format!("histogram_quantile(0.9, {took})")),
        4.0 + 4.0 * 1.1 / 2.0,
        "0.9",
    );
    assert_eq!(
        prometheus.query("app_took_seconds_bucket"),
        [],
        "classic buckets are passed over"
    );
    // Everything else is the same as ever.
    for (expression, expected) in [
        (
            r#"app_requests_total{job="open",service_instance_id="one"}"#,
            42.0,
        ),
        (r#"app_load{job="open",service_instance_id="two"}"#, 0.25),
        (
            r#"app_latency_seconds_bucket{job="text",le="2.0",service_instance_id="one"}"#,
            9.0,
        ),
        (
            r#"app_latency_seconds_bucket{job="text",le="+Inf",service_instance_id="one"}"#,
            10.0,
        ),
        (
            r#"app_size_bytes{job="text",quantile="0.5",service_instance_id="one"}"#,
            2.0,
        ),
        (r#"target_info{job="text",service_instance_id="one"}"#, 1.0),
    ] {
        assert_close(one(&prometheus, expression), expected, expression);
    }
    for name in [
        "app_requests_total",
        "app_latency_seconds_bucket",
        "app_took_seconds",
    ] {
        let exemplars = prometheus.exemplars(&format!(
            r#"{name}{{job="text",service_instance_id="one"}}"#
        ));
        assert_eq!(exemplars.len(), 1, "{name}: {exemplars:?}");
        assert_eq!(exemplars[0]["labels"]["user_id"], "7");
    }
    assert_all_are_up(&prometheus);
    assert!(!prometheus.wait_for("node_cpu_seconds_total").is_empty());
    assert!(!prometheus.wait_for("system_memory_usage_bytes").is_empty());
}

#[test]
fn every_page_passes_promtool() {
    let setup = Setup::start();
    // Names that are not ours, which promtool dislikes wherever they are shown: those of node_exporter, those of the
    // Collector (its own, and host_metrics'), and those of an application that asked for NoTranslation.
    let known = |line: &str| {
        let (name, complaint) = line.split_once(' ').unwrap_or((line, ""));
        name.starts_with("node_")
            || name.starts_with("otelcol_")
            || name.starts_with("system_")
            || line == "app_requests counter metrics should have \"_total\" suffix"
            || (name.starts_with("corten_") && complaint.ends_with("\"_total\" suffix"))
    };
    for path in [
        "/text", "/open", "/utf8", "/node", "/host", "/metrics", "/capped",
    ] {
        let page = setup.ask(path, "text/plain").body;
        assert!(!page.is_empty());
        let mut complaints = promtool_check_metrics(&page);
        complaints.retain(|line| !known(line));
        assert_eq!(complaints, Vec::<String>::new(), "{path}");
    }
}

#[test]
fn what_is_asked_for_is_answered() {
    let setup = Setup::start();
    let content_type = |path: &str, accept: &str| {
        let reply = setup.ask(path, accept);
        reply.header("content-type").unwrap().to_owned()
    };
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(
        content_type("/text", open_metrics),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(content_type("/open", open_metrics), open_metrics);
    assert!(content_type("/text", PROTOBUF).starts_with("application/vnd.google.protobuf;"));
    let utf8 = setup
        .ask("/utf8", "text/plain;version=1.0.0;escaping=allow-utf-8")
        .text();
    assert!(
        utf8.contains("\n{\"app.load\",\"exported_job\"=\"mine\"")
            || utf8.contains("{\"app.load\",exported_job=\"mine\""),
        "{utf8}"
    );
    assert!(utf8.contains("\"service.name\"=\"shop\""), "{utf8}");
    let values = setup
        .ask("/utf8", "text/plain;version=1.0.0;escaping=values")
        .text();
    assert!(values.contains("U__app_2e_load{"), "{values}");
    let zstd = request(
        setup.port,
        "GET",
        "/node",
        &[("accept-encoding", "gzip;q=0.5, zstd")],
        b"",
    )
    .unwrap();
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    let plain = zstd::decode_all(&*zstd.body).unwrap();
    assert!(plain.starts_with(b"# HELP "));

    // Two applications with five metrics each, and two descriptions: two series are kept, each refusal counted.
    let capped = scrape(setup.port, "/capped");
    assert!(capped.families().len() <= 2, "{:?}", capped.families());
    let own = scrape(setup.port, "/metrics");
    let exporter = [
        ("exporter", "prometheus/capped"),
        ("reason", "series_limit"),
    ];
    assert_close(
        own.sum("corten_exporter_rejected_metric_points", &exporter),
        10.0,
        "refused",
    );
}

#[test]
fn a_family_that_clashes_costs_only_itself() {
    let setup = Setup::start();
    setup.push(
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
             {"name": "app.load", "sum": {"aggregationTemporality": 2, "isMonotonic": false, "dataPoints": [{"timeUnixNano": "1", "asDouble": 1}]}},
             {"name": "app_latency_seconds_count", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asDouble": 7}]}},
             {"name": "app.took.seconds", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asDouble": 8}]}}]}]}]}"#,
    );
    let page = scrape(setup.port, "/text");
    // A gauge and a sum that may shrink are the same to Prometheus; a histogram and a gauge are not.
    assert_eq!(page.types["app_load"], "gauge");
    assert_eq!(page.types["app_took_seconds"], "histogram");
    assert!(!page.types.contains_key("app_latency_seconds_count"));
    assert_eq!(
        page.value("app_requests_total", &[("service_instance_id", "one")]),
        Some(42.0)
    );
    let own = scrape(setup.port, "/metrics");
    let sum = |name: &str, reason: &str| {
        own.sum(name, &[("exporter", "prometheus/text"), ("reason", reason)])
    };
    assert_close(
        sum("corten_exporter_rejected_metric_points", "type_conflict"),
        1.0,
        "refused",
    );
    assert_close(
        sum("corten_exporter_left_out_families", "name_of_a_part"),
        1.0,
        "left out",
    );
    assert_eq!(get(setup.port, "/text").unwrap().status, 200);
}

#[test]
fn only_scrapes_collect_and_those_at_the_same_time_once() {
    let setup = Setup::start();
    let points = |receiver: &str| {
        let own = scrape(setup.port, "/metrics");
        own.sum(
            "otelcol_receiver_accepted_metric_points",
            &[("receiver", receiver)],
        )
    };
    wait_for("twenty intervals", SOON, || {
        let own = scrape(setup.port, "/metrics");
        let uptime = own.sum("otelcol_process_uptime", &[]);
        (uptime > 1.0).then_some(())
    });
    assert_close(points("host_metrics"), 0.0, "collected for nobody");
    assert_close(points("node_exporter"), 0.0, "collected for nobody");

    // How long a collector took is different each time. Ten connections may be far apart on a busy machine, so it takes a
    // few attempts to be at the same time.
    let took = || {
        let page = scrape(setup.port, "/node");
        let labels = [("collector", "cpu")];
        page.sum("node_scrape_collector_duration_seconds", &labels)
    };
    let (one, other) = (took(), took());
    assert!(
        one > 0.0 && one.to_bits() != other.to_bits(),
        "{one} {other}"
    );
    wait_for("one collection for ten scrapes", SOON, || {
        let barrier = Barrier::new(10);
        let times: BTreeSet<u64> = std::thread::scope(|scope| {
            let scrapes = [(); 10].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    took().to_bits()
                })
            });
            scrapes.map(|scrape| scrape.join().unwrap()).into()
        });
        (times.len() == 1).then_some(())
    });
}
