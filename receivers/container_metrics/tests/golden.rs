//! What the receiver makes of folders of files that stand for control groups of both versions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{CollectRequest, ComponentId, Context, Create, Kind, Source};
use corten_container_metrics_receiver::factory;
use corten_pdata::{Data, Metrics};
use corten_testing::{RecordingSink, decode, render_metrics};
use expect_test::{expect, expect_file};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn source(yaml: &str) -> Arc<dyn Source> {
    let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let id: ComponentId = "container_metrics".parse().unwrap();
    let cx = Context::detached(Kind::Receiver, id);
    create(cx, RecordingSink::new().next())
        .unwrap()
        .source()
        .unwrap()
}

/// The source that reads the fixtures' groups of one version.
fn fixtures(version: &str) -> Arc<dyn Source> {
    source(&format!(
        "path: {{cgroup: '{FIXTURES}/{version}', procfs: '{FIXTURES}/proc', sysfs: '{FIXTURES}/sys', rootfs: '{FIXTURES}/root'}}"
    ))
}

fn everything() -> CollectRequest {
    CollectRequest::all(Duration::from_secs(60))
}

async fn collect(source: &Arc<dyn Source>, request: &CollectRequest) -> Metrics {
    match source.collect(request).await.unwrap() {
        Data::Metrics(metrics) => metrics,
        other => panic!("{other:?}"),
    }
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Times, which differ from one checkout to the next, are shown as `…`, the container's long id as
/// `<id>`.
fn masked(text: &str) -> String {
    const TIMES: [&str; 3] = [
        "container_last_seen{",
        "container_start_time_seconds{",
        "container_creation_time_seconds{",
    ];
    text.replace(CONTAINER, "<id>")
        .lines()
        .map(|line| match line.rsplit_once(' ') {
            Some((series, _)) if TIMES.iter().any(|name| line.starts_with(name)) => {
                format!("{series} …\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

#[tokio::test]
async fn version_2() {
    let text = render_metrics(&collect(&fixtures("v2"), &everything()).await);
    expect_file!["fixtures/v2.txt"].assert_eq(&masked(&text));
}

#[tokio::test]
async fn version_1() {
    let text = render_metrics(&collect(&fixtures("v1"), &everything()).await);
    expect_file!["fixtures/v1.txt"].assert_eq(&masked(&text));
}

#[tokio::test]
async fn times_are_between_boot_and_now() {
    let text = render_metrics(&collect(&fixtures("v2"), &everything()).await);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let mut seen = 0;
    for line in text
        .lines()
        .filter(|line| line.starts_with("container_start_time_seconds{"))
    {
        let time: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!((1_700_000_000.0..=now).contains(&time), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[tokio::test]
async fn a_request_names_its_parts() {
    let mut request = everything();
    request.include = vec!["cpu".into()];
    let text = render_metrics(&collect(&fixtures("v2"), &request).await);
    let names: std::collections::BTreeSet<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    assert!(names.contains("container_cpu_usage_seconds_total"));
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("container_cpu_") || *name == "container_scrape_error"),
        "{names:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let source = source("path: {cgroup: /absent, procfs: /absent, rootfs: /absent}");
    let text = render_metrics(&collect(&source, &everything()).await);
    expect![[r##"
        # container_scrape_error: gauge (gauge)
        container_scrape_error 1.0
        # cadvisor_version_info: gauge (gauge)
        cadvisor_version_info{kernelVersion="",osVersion=""} 1.0
        # machine_scrape_error: gauge (gauge)
        machine_scrape_error 1.0
    "##]]
    .assert_eq(&text);
}

#[test]
fn wrong_settings_are_explained() {
    let problems = decode(
        &factory(),
        "collection_interval: never\npath: {cgroups: /sys/fs/cgroup}\n",
    );
    expect![[r#"
        config:1:22: receivers::container_metrics::collection_interval: expected a duration such as 5s, 1m30s or 200ms, found 'never'
        config:2:8: receivers::container_metrics::path: unknown field 'cgroups', did you mean 'cgroup'?"#]].assert_eq(&problems.err().unwrap());
}

#[tokio::test]
async fn it_keeps_the_contract() {
    corten_testing::conforms(factory(), "collection_interval: 10s").await;
}
