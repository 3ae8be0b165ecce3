//! What the receiver makes of a folder of files that stands for a host.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{CollectRequest, ComponentId, Context, Create, Kind, Source};
use corten_node_exporter_receiver::factory;
use corten_pdata::{Data, Metrics};
use corten_testing::{RecordingSink, decode, render_metrics};
use expect_test::{Expect, expect, expect_file};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The source that `yaml` makes; `{fixtures}` stands for the folder.
fn source(yaml: &str) -> Arc<dyn Source> {
    let prepared = decode(&factory(), &yaml.replace("{fixtures}", FIXTURES))
        .unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let id: ComponentId = "node_exporter".parse().unwrap();
    let cx = Context::detached(Kind::Receiver, id);
    create(cx, RecordingSink::new().next())
        .unwrap()
        .source()
        .unwrap()
}

async fn collect(source: &Arc<dyn Source>, request: &CollectRequest) -> Metrics {
    match source.collect(request).await.unwrap() {
        Data::Metrics(metrics) => metrics,
        other => panic!("{other:?}"),
    }
}

fn everything() -> CollectRequest {
    CollectRequest::all(Duration::from_secs(60))
}

const PATHS: &str = "path: {procfs: '{fixtures}/proc', sysfs: '{fixtures}/sys', rootfs: '{fixtures}/root', udev: {data: '{fixtures}/udev'}}\n";

/// What differs from one machine or one run to the next is shown as `…`.
fn masked(text: &str) -> String {
    const CHANGING: [&str; 11] = [
        "node_timex_",
        "node_textfile_mtime_seconds{",
        "node_filesystem_size_bytes{",
        "node_filesystem_free_bytes{",
        "node_filesystem_avail_bytes{",
        "node_filesystem_files{",
        "node_filesystem_files_free{",
        "node_scrape_collector_duration_seconds{",
        "node_time_seconds",
        "node_time_zone_offset_seconds{",
        "node_uname_info{",
    ];
    text.lines()
        .map(|line| {
            let changing = CHANGING.iter().any(|name| line.starts_with(name));
            let line = line.replace(FIXTURES, "fixtures");
            let (series, _) = line.rsplit_once(' ').unwrap();
            let labels = line.starts_with("node_uname_info{")
                || line.starts_with("node_time_zone_offset_seconds{")
                || line.starts_with("node_exporter_build_info{");
            match (changing, labels) {
                (_, true) => {
                    let (name, _) = series.split_once('{').unwrap();
                    format!("{name}{{…}} …\n")
                }
                (true, false) => format!("{series} …\n"),
                (false, false) => format!("{line}\n"),
            }
        })
        .collect()
}

#[tokio::test]
async fn the_whole_host() {
    let source = source(&format!(
        "{PATHS}cpu: {{info: true, flags_include: '^avx', bugs_include: '.'}}\nstat: {{softirq: true}}\nbcache: {{priorityStats: true}}\n\
         textfile: {{directory: '{{fixtures}}/text*'}}\nwifi: {{fixtures: '{{fixtures}}/wifi'}}\n\
         sysctl: {{include: [kernel.threads-max, 'fs.file-nr:total,current,max', fs.file-nr], include_info: [kernel.seccomp.actions_avail]}}\n\
         collectors: {{enable: [buddyinfo, cgroups, cpu_vulnerabilities, drbd, drm, interrupts, ksmd, lnstat, meminfo_numa, mountstats, nvmesubsystem, pcidevice, processes, slabinfo, softirqs, swap, sysctl, tcpstat, wifi, xfrm, zoneinfo]}}"
    ));
    let text = render_metrics(&collect(&source, &everything()).await);
    expect_file!["fixtures/golden.txt"].assert_eq(&masked(&text));
}

#[tokio::test]
async fn a_second_collection_says_the_same() {
    let source = source(PATHS);
    let first = masked(&render_metrics(&collect(&source, &everything()).await));
    let second = masked(&render_metrics(&collect(&source, &everything()).await));
    assert_eq!(first, second);
}

/// The lines of what `request` brings with `yaml` that do not begin with `#`, shortened to names and labels.
async fn series(yaml: &str, request: &CollectRequest) -> Vec<String> {
    let text = render_metrics(&collect(&source(yaml), request).await);
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn a_request_names_its_collectors() {
    let mut request = everything();
    request.include = vec!["loadavg".into(), "stat".into()];
    request.exclude = vec!["stat".into()];
    let seen = series(PATHS, &request).await;
    assert_eq!(
        seen.get(..5).unwrap(),
        [
            "node_load1",
            "node_load5",
            "node_load15",
            r#"node_scrape_collector_duration_seconds{collector="loadavg"}"#,
            r#"node_scrape_collector_success{collector="loadavg"}"#
        ]
    );
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn a_collector_that_does_not_run_is_named() {
    let source = source("collectors: {disable_defaults: true, enable: [loadavg]}");
    for (name, expected) in [
        ("loadav", "missing collector: loadav"),
        ("cpu", "disabled collector: cpu"),
    ] {
        let mut request = everything();
        request.include = vec!["loadavg".to_owned(), name.to_owned()];
        let error = source.collect(&request).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn one_collector_fails_alone() {
    let yaml = "path: {procfs: /absent, sysfs: /absent, rootfs: '{fixtures}/root'}\ncollectors: {disable_defaults: true, enable: [meminfo, uname]}";
    let text = render_metrics(&collect(&source(yaml), &everything()).await);
    assert!(text.contains("node_scrape_collector_success{collector=\"meminfo\"} 0.0\n"));
    assert!(text.contains("node_scrape_collector_success{collector=\"uname\"} 1.0\n"));
    assert!(text.contains("node_uname_info{"));
}

#[tokio::test]
async fn devices_and_mounts_are_chosen_by_expressions() {
    let yaml = format!(
        "{PATHS}collectors: {{disable_defaults: true, enable: [diskstats, filesystem, netdev, vmstat]}}\n\
         diskstats: {{device_include: '^sda'}}\n\
         netdev: {{device_exclude: '^lo$'}}\n\
         filesystem: {{mount_points_exclude: '^/(run|proc)', fs_types_include: '^(xfs|ext4)$'}}\n\
         vmstat: {{fields: '^pgsteal'}}"
    );
    let seen = series(&yaml, &everything()).await;
    let with = |start: &str| -> Vec<&String> {
        seen.iter().filter(|line| line.starts_with(start)).collect()
    };
    assert_eq!(
        with("node_disk_io_now"),
        [
            r#"node_disk_io_now{device="sda"}"#,
            r#"node_disk_io_now{device="sda1"}"#
        ]
    );
    assert_eq!(
        with("node_network_receive_bytes_total"),
        [r#"node_network_receive_bytes_total{device="eth0"}"#]
    );
    let points: Vec<_> = with("node_filesystem_readonly")
        .iter()
        .map(|line| line.rsplit_once("mountpoint=").unwrap().1)
        .collect();
    assert_eq!(points, [r#""/"}"#, r#""/mnt/back up"}"#, r#""/gone"}"#]);
    assert_eq!(with("node_vmstat"), ["node_vmstat_pgsteal_kswapd"]);
}

fn problems(yaml: &str, expected: Expect) {
    let problems = decode(&factory(), yaml).err().unwrap_or_default();
    expected.assert_eq(&problems);
}

#[test]
fn wrong_settings_are_explained() {
    problems(
        "collection_interval: 0s\n\
         collectors: {enable: [runit, memifno], disable: [ntp, cpuu]}\n\
         filesystem: {mount_points_exclude: a, mount_points_include: b, stat_workers: 0}\n\
         netdev: {device_exclude: '(', label_ifalias: true}\n\
         diskstats: {device_exclud: x}\n",
        expect![[r#"
            config:1:22: receivers::node_exporter: collection_interval must be greater than zero
            config:2:23: receivers::node_exporter::collectors::enable[0]: node_exporter's collector 'runit' is not in Corten: node_exporter has deprecated it; a 'textfile' can tell of services
            config:2:30: receivers::node_exporter::collectors::enable[1]: unknown collector 'memifno', did you mean 'meminfo'?
            config:2:55: receivers::node_exporter::collectors::disable[1]: unknown collector 'cpuu', did you mean 'cpu'?
            config:3:61: receivers::node_exporter::filesystem: mount_points_include cannot be set together with mount_points_exclude
            config:3:78: receivers::node_exporter::filesystem: stat_workers must be greater than zero
            config:4:26: receivers::node_exporter::netdev::device_exclude: expected a regular expression, found '(': unclosed group
            config:5:13: receivers::node_exporter::diskstats: unknown field 'device_exclud', did you mean 'device_exclude'?"#]],
    );
}

#[tokio::test]
async fn it_keeps_the_contract() {
    corten_testing::conforms(factory(), "collection_interval: 10s").await;
}
