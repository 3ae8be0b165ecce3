//! Between real peers: Corten scrapes Debian's node_exporter and shows what it found; a real Prometheus scrapes both.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use corten_tests::{
    Child, Command, Metrics, Peer, Prometheus, free_port, get, peer, promtool_check_metrics,
    scrape, wait_for,
};

/// A sample's name and labels, without what Corten adds to tell targets apart.
fn series(metrics: &Metrics) -> BTreeSet<String> {
    let added = ["service_name", "service_instance_id"];
    metrics
        .samples
        .iter()
        .map(|(name, labels, _)| {
            let labels = labels.iter();
            let labels: Vec<_> = labels
                .filter(|(name, _)| !added.contains(&name.as_str()))
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            format!("{name}{{{}}}", labels.join(","))
        })
        .collect()
}

/// What a scrape adds.
fn is_of_a_scrape(series: &str) -> bool {
    [
        "up{",
        "scrape_duration_seconds{",
        "scrape_samples_",
        "scrape_series_added{",
        "target_info{",
    ]
    .iter()
    .any(|name| series.starts_with(name))
}

#[test]
fn what_a_real_exporter_shows_comes_through_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (free_port(), free_port());
    let _exporter = Child::start(
        std::process::Command::new(peer(Peer::NodeExporter))
            .args([
                "--collector.disable-defaults",
                "--collector.meminfo",
                "--collector.cpu",
                "--collector.uname",
                "--collector.netdev",
            ])
            .arg(format!("--web.listen-address=127.0.0.1:{theirs}")),
    );
    wait_for("node_exporter", Duration::from_secs(20), || {
        get(theirs, "/metrics")
            .ok()
            .filter(|reply| reply.status == 200)
    });
    let config = format!(
        "receivers:
  prometheus:
    config:
      global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
      scrape_configs:
        - job_name: inner
          static_configs: [{{targets: ['127.0.0.1:{theirs}', 'localhost:{theirs}']}}]
        - job_name: away
          static_configs: [{{targets: ['127.0.0.1:1']}}]
exporters:
  prometheus: {{endpoint: '127.0.0.1:{ours}'}}
service:
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [prometheus]}}
"
    );
    let mut agent = Command::yaml(&config).start();
    let page = wait_for("both targets", Duration::from_secs(20), || {
        let page = scrape(ours, "/metrics");
        (page.sum("up", &[("service_name", "inner")]) >= 2.0
            && page.value(
                "up",
                &[
                    ("service_name", "away"),
                    ("service_instance_id", "127.0.0.1:1"),
                ],
            ) == Some(0.0))
        .then_some(page)
    });
    let direct = scrape(theirs, "/metrics");
    let (direct, through) = (series(&direct), series(&page));
    let lost: Vec<_> = direct.difference(&through).collect();
    assert!(lost.is_empty(), "lost on the way: {lost:?}");
    let invented: Vec<_> = through
        .difference(&direct)
        .filter(|series| !is_of_a_scrape(series))
        .collect();
    assert!(invented.is_empty(), "not on the page: {invented:?}");
    // Types are those of the page, or every type would be said to be unknown.
    let (shown, original) = (
        get(ours, "/metrics").unwrap().text(),
        get(theirs, "/metrics").unwrap().text(),
    );
    let types = |text: &str| -> BTreeSet<String> {
        let all = text.lines().filter(|line| line.starts_with("# TYPE "));
        all.map(str::to_owned).collect()
    };
    let (shown, original) = (types(&shown), types(&original));
    let missing: Vec<_> = original.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let page = get(ours, "/metrics").unwrap();
    let complaints = promtool_check_metrics(&page.body);
    let theirs_too = promtool_check_metrics(&get(theirs, "/metrics").unwrap().body);
    let own: Vec<_> = complaints
        .iter()
        .filter(|line| !theirs_too.contains(line))
        .collect();
    assert!(own.is_empty(), "{own:?}");
    agent.wait_for_line("scrape failed: ");

    let prometheus = dir.path().join("prometheus.yml");
    fs::write(
        &prometheus,
        format!(
            "scrape_configs:\n- job_name: outer\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  static_configs: [{{targets: ['127.0.0.1:{ours}']}}]\n"
        ),
    )
    .unwrap();
    let server = Prometheus::start(&prometheus);
    let found =
        server.wait_for("node_memory_MemTotal_bytes{job=\"outer\", service_name=\"inner\"}");
    assert_eq!(found.len(), 2, "{found:?}");
    // The scraper's own `up` and the targets' stand side by side.
    let ups = server.wait_for("count(up{job=\"outer\"}) == 4");
    assert_eq!(ups[0].1, 4.0);
    assert!(
        server.scrape_errors().values().all(String::is_empty),
        "{:?}",
        server.scrape_errors()
    );
    assert!(agent.stop().success());
}
