//! What the receiver makes of a folder of files that stands for a host.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{CollectRequest, ComponentId, Context, Create, Kind, Source};
use corten_host_metrics_receiver::factory;
use corten_pdata::metrics::MetricData;
use corten_pdata::{Data, Metrics};
use corten_testing::{RecordingSink, decode, render_metrics};
use expect_test::{Expect, expect, expect_file};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The source that `yaml` makes.
fn source(yaml: &str) -> Arc<dyn Source> {
    let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let id: ComponentId = "host_metrics".parse().unwrap();
    let cx = Context::detached(Kind::Receiver, id);
    create(cx, RecordingSink::new().next())
        .unwrap()
        .source()
        .unwrap()
}

async fn collect(source: &Arc<dyn Source>) -> Metrics {
    let request = CollectRequest::all(Duration::from_secs(60));
    match source.collect(&request).await.unwrap() {
        Data::Metrics(metrics) => metrics,
        other => panic!("{other:?}"),
    }
}

/// What `scrapers` make of the fixtures.
async fn scraped(root: &str, scrapers: &str) -> String {
    let yaml = format!("root_path: '{root}'\nscrapers:\n{scrapers}");
    render_metrics(&collect(&source(&yaml)).await)
}

/// What differs from one machine to the next is shown as `…`.
fn masked(text: &str) -> String {
    text.lines()
        .map(|line| {
            let changing = line.starts_with("system.filesystem.")
                || line.starts_with("system.memory.page_size");
            match line.rsplit_once(' ') {
                Some((series, _)) if changing => format!("{series} …\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect()
}

#[tokio::test]
async fn defaults_of_every_scraper() {
    let text = scraped(
        FIXTURES,
        "  {cpu: , disk: , filesystem: , load: , memory: , network: , nfs: , paging: , processes: , system: }",
    )
    .await;
    expect_file!["fixtures/defaults.txt"].assert_eq(&masked(&text));
}

#[tokio::test]
async fn everything_that_can_be_turned_on() {
    let on = |names: &[&str]| -> String {
        let all: Vec<_> = names
            .iter()
            .map(|name| format!("{name}: {{enabled: true}}"))
            .collect();
        format!("{{metrics: {{{}}}}}", all.join(", "))
    };
    let text = scraped(
        FIXTURES,
        &format!(
            "  {{cpu: {}, filesystem: {}, memory: {}, network: {}, paging: {}}}",
            on(&["system.cpu.physical.count", "system.cpu.frequency"]),
            on(&["system.filesystem.utilization"]),
            on(&[
                "system.memory.utilization",
                "system.memory.limit",
                "system.memory.page_size",
                "system.linux.memory.available",
                "system.linux.memory.dirty",
                "system.memory.linux.shared",
                "system.memory.linux.hugepages.limit",
                "system.memory.linux.hugepages.page_size",
                "system.memory.linux.hugepages.reserved",
                "system.memory.linux.hugepages.surplus",
                "system.memory.linux.hugepages.usage",
                "system.memory.linux.hugepages.utilization",
            ]),
            on(&[
                "system.network.conntrack.count",
                "system.network.conntrack.max"
            ]),
            on(&["system.paging.utilization"]),
        ),
    )
    .await;
    // Only what the defaults do not show.
    let defaults = include_str!("fixtures/defaults.txt");
    let more: String = masked(&text)
        .lines()
        .filter(|line| !defaults.lines().any(|known| known == *line))
        .map(|line| format!("{line}\n"))
        .collect();
    expect_file!["fixtures/more.txt"].assert_eq(&more);
}

#[tokio::test]
async fn points_have_the_attributes_that_are_asked_for() {
    let text = scraped(
        FIXTURES,
        "  cpu: {metrics: {system.cpu.time: {attributes: [cpu, state]}, system.cpu.logical.count: {enabled: false}}}\n  \
           disk: {metrics: {system.disk.io: {attributes: [direction], aggregation_strategy: max}, system.disk.operations: {enabled: false}, \
             system.disk.operation_time: {enabled: false}, system.disk.merged: {attributes: []}, system.disk.io_time: {enabled: false}, \
             system.disk.weighted_io_time: {attributes: [], aggregation_strategy: avg}, system.disk.pending_operations: {attributes: [], aggregation_strategy: min}}}",
    )
    .await;
    expect![[r##"
        # system.cpu.time: cumulative monotonic sum [s]
        system.cpu.time{cpu="cpu0",state="user"} 10.0
        system.cpu.time{cpu="cpu0",state="system"} 3.0
        system.cpu.time{cpu="cpu0",state="idle"} 200.0
        system.cpu.time{cpu="cpu0",state="interrupt"} 0.02
        system.cpu.time{cpu="cpu0",state="nice"} 0.1
        system.cpu.time{cpu="cpu0",state="softirq"} 0.05
        system.cpu.time{cpu="cpu0",state="steal"} 0.03
        system.cpu.time{cpu="cpu0",state="wait"} 0.4
        system.cpu.time{cpu="cpu2",state="user"} 20.0
        system.cpu.time{cpu="cpu2",state="system"} 6.0
        system.cpu.time{cpu="cpu2",state="idle"} 300.0
        system.cpu.time{cpu="cpu2",state="interrupt"} 0.03
        system.cpu.time{cpu="cpu2",state="nice"} 0.1
        system.cpu.time{cpu="cpu2",state="softirq"} 0.1
        system.cpu.time{cpu="cpu2",state="steal"} 0.04
        system.cpu.time{cpu="cpu2",state="wait"} 0.6
        # system.disk.io: cumulative monotonic sum [By]
        system.disk.io{direction="read"} 3245265920
        system.disk.io{direction="write"} 586018816
        # system.disk.merged: cumulative monotonic sum [{operations}]
        system.disk.merged 22591
        # system.disk.weighted_io_time: cumulative monotonic sum [s]
        system.disk.weighted_io_time 12.047500000000001
        # system.disk.pending_operations: cumulative sum [{operations}]
        system.disk.pending_operations 0
    "##]]
    .assert_eq(&text);
}

#[tokio::test]
async fn shares_of_time_are_taken_between_two_looks() {
    let folder = tempfile::tempdir().unwrap();
    let stat = folder.path().join("proc/stat");
    std::fs::create_dir_all(stat.parent().unwrap()).unwrap();
    let yaml = format!(
        "root_path: '{}'\nscrapers: {{cpu: {{metrics: {{system.cpu.utilization: {{enabled: true}}, system.cpu.time: {{enabled: false}}, system.cpu.logical.count: {{enabled: false}}}}}}}}",
        folder.path().display()
    );
    let source = source(&yaml);
    std::fs::write(&stat, "cpu0 100 0 0 100\ncpu1 0 0 0 100\nbtime 1\n").unwrap();
    assert_eq!(render_metrics(&collect(&source).await), "");
    std::fs::write(&stat, "cpu0 150 0 0 150\ncpu1 0 0 0 200\nbtime 1\n").unwrap();
    let text = render_metrics(&collect(&source).await);
    assert!(text.contains("{state=\"user\"} 0.25\n"), "{text}");
    assert!(text.contains("{state=\"idle\"} 0.75\n"), "{text}");
}

#[tokio::test]
async fn names_are_chosen_whole_or_by_expressions() {
    let text = scraped(
        FIXTURES,
        "  disk: {exclude: {devices: ['^loop'], match_type: regexp}}\n  \
           network: {include: {interfaces: [eth0], match_type: strict}}\n  \
           filesystem: {include_virtual_filesystems: true, exclude_fs_types: {fs_types: [proc]}, include_mount_points: {mount_points: ['^/(run|mnt)'], match_type: regexp}}",
    )
    .await;
    assert!(!text.contains("loop0") && text.contains("sda"));
    assert!(!text.contains("\"lo\"") && text.contains("\"eth0\""));
    let points: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("system.filesystem.usage{") && line.contains("\"used\""))
        .map(|line| {
            line.split("mountpoint=")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(points, ["\"/run\"", "\"/mnt/back up\""]);
}

#[tokio::test]
async fn averages_are_shared_out_among_cpus() {
    let text = scraped(FIXTURES, "  load: {cpu_average: true}").await;
    assert!(text.contains("system.cpu.load_average.1m 0.25\n"), "{text}");
}

#[tokio::test]
async fn sums_begin_at_boot() {
    let yaml = format!("root_path: '{FIXTURES}'\nscrapers: {{cpu: }}");
    let metrics = collect(&source(&yaml)).await;
    let scope = metrics.resources().next().unwrap().scopes().next().unwrap();
    assert_eq!(scope.scope().name(), "host_metrics/cpu");
    let time = scope.metrics().next().unwrap();
    let MetricData::Sum(sum) = time.data() else {
        panic!("a sum")
    };
    let point = sum.points().next().unwrap();
    assert_eq!(point.start_time_unix_nano(), 1_700_000_000_000_000_000);
    assert!(point.time_unix_nano() > point.start_time_unix_nano());
}

#[tokio::test]
async fn one_scraper_fails_alone() {
    let text = scraped("/absent", "  {memory: , system: }").await;
    assert_eq!(text, "");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    std::fs::write(folder.path().join("proc/uptime"), "12.5 1\n").unwrap();
    let text = scraped(folder.path().to_str().unwrap(), "  {memory: , system: }").await;
    assert!(text.ends_with("system.uptime 12.5\n"), "{text}");
}

#[tokio::test]
async fn a_request_names_its_scrapers() {
    let yaml = format!("root_path: '{FIXTURES}'\nscrapers: {{cpu: , load: , system: }}");
    let mut request = CollectRequest::all(Duration::from_secs(60));
    request.exclude = vec!["cpu".into(), "load".into()];
    let data = source(&yaml).collect(&request).await.unwrap();
    assert_eq!(data.items(), 1);
}

fn problems(yaml: &str, expected: Expect) {
    let problems = decode(&factory(), yaml).err().unwrap_or_default();
    expected.assert_eq(&problems);
}

#[test]
fn wrong_settings_are_explained() {
    problems(
        "{}",
        expect![
            "config:1:1: receivers::host_metrics: must specify at least one scraper when using the host_metrics receiver"
        ],
    );
    problems(
        "collection_interval: 0s\n\
         scrapers:\n\
         \x20 cpu: {metrics: {system.cpu.tiem: {enabled: true}, system.cpu.time: {attributes: [core]}}}\n\
         \x20 disk: {include: {devices: ['('], match_type: regexp}, exclude: {device: [x]}}\n\
         \x20 network: {include: {interfaces: [a], match_type: glob}}\n\
         \x20 process: {exclude: {names: ['('], match_type: regexp}}\n\
         \x20 hardware:\n\
         \x20 pagin:\n",
        expect![[r#"
            config:1:22: receivers::host_metrics: collection_interval must be greater than zero
            config:3:36: receivers::host_metrics::scrapers::cpu::metrics: unknown metric 'system.cpu.tiem', did you mean 'system.cpu.time'?
            config:3:83: receivers::host_metrics::scrapers::cpu::metrics::system.cpu.time: attributes has 'core', but the points of system.cpu.time have state, cpu
            config:4:30: receivers::host_metrics::scrapers::disk::include::devices[0]: expected a regular expression, found '(': unclosed group
            config:4:67: receivers::host_metrics::scrapers::disk::exclude: unknown field 'device', did you mean 'devices'?
            config:5:52: receivers::host_metrics::scrapers::network::include::match_type: unknown value 'glob' (valid: strict, regexp)
            config:6:31: receivers::host_metrics::scrapers::process::exclude::names[0]: expected a regular expression, found '(': unclosed group
            config:7:3: receivers::host_metrics::scrapers: the scraper 'hardware' is not in Corten yet; there are cpu, disk, filesystem, load, memory, network, nfs, paging, process, processes, system
            config:8:3: receivers::host_metrics::scrapers: unknown field 'pagin', did you mean 'paging'?"#]],
    );
}

/// Ends with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_process_is_a_resource() {
    // A name that the kernel cuts off, and words of its own.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("a-name-that-is-long");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let running = Running(
        std::process::Command::new(&program)
            .arg("4321")
            .spawn()
            .unwrap(),
    );
    let pid = running.0.id();
    let on = [
        "process.cpu.utilization",
        "process.memory.utilization",
        "process.disk.operations",
        "process.paging.faults",
        "process.signals_pending",
        "process.threads",
        "process.open_file_descriptors",
        "process.context_switches",
        "process.uptime",
    ];
    let on: Vec<_> = on
        .iter()
        .map(|name| format!("{name}: {{enabled: true}}"))
        .collect();
    let source = source(&format!(
        "scrapers: {{cpu: , process: {{include: {{names: [a-name-that-is-long], match_type: strict}}, resource_attributes: {{process.cgroup: {{enabled: true}}}}, metrics: {{{}}}}}}}",
        on.join(", ")
    ));
    collect(&source).await;
    let metrics = collect(&source).await;
    let request = metrics.decode().unwrap();
    let of = |resource: &corten_pdata::model::metrics::ResourceMetrics| -> std::collections::BTreeMap<String, String> {
        let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
        attributes
            .map(|attribute| {
                let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
                (attribute.key.clone(), format!("{value:?}"))
            })
            .collect()
    };
    let [host, process] = request.resource_metrics.as_slice() else {
        panic!(
            "the host and one process, not {}",
            request.resource_metrics.len()
        )
    };
    assert!(
        of(host).is_empty(),
        "the host's own metrics are not the process's"
    );
    let called = format!("{:?}", program.to_str().unwrap());
    let attributes = of(process);
    for (key, expected) in [
        ("process.pid", format!("IntValue({pid})")),
        (
            "process.parent_pid",
            format!("IntValue({})", std::process::id()),
        ),
        (
            "process.executable.name",
            "StringValue(\"a-name-that-is-long\")".to_owned(),
        ),
        ("process.executable.path", format!("StringValue({called})")),
        ("process.command", format!("StringValue({called})")),
        (
            "process.command_line",
            format!("StringValue(\"{} 4321\")", program.display()),
        ),
    ] {
        assert_eq!(attributes[key], expected, "{key}");
    }
    assert!(attributes.contains_key("process.owner") && attributes.contains_key("process.cgroup"));
    let scope = &process.scope_metrics[0];
    let names: Vec<_> = scope
        .metrics
        .iter()
        .map(|metric| metric.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "process.cpu.time",
            "process.cpu.utilization",
            "process.memory.usage",
            "process.memory.virtual",
            "process.memory.utilization",
            "process.disk.io",
            "process.disk.operations",
            "process.paging.faults",
            "process.signals_pending",
            "process.threads",
            "process.open_file_descriptors",
            "process.context_switches",
            "process.uptime",
        ]
    );
    let text = render_metrics(&metrics);
    let value = |series: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(series)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = |key: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!(value("process.memory.virtual"), kib("VmSize:") * 1024.0);
    assert_eq!(value("process.threads"), 1.0);
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    assert_eq!(value("process.open_file_descriptors"), open as f64);
    assert!((0.0..60.0).contains(&value("process.uptime")), "{text}");
}

#[test]
fn the_collectors_older_name_is_known() {
    assert_eq!(factory().metadata().aliases, ["hostmetrics"]);
}

#[tokio::test]
async fn it_keeps_the_contract() {
    corten_testing::conforms(factory(), "scrapers:\n  cpu:\n").await;
}
