//! A node on which containers start and go all the time.
//!
//! `CORTEN_CHURN_SECONDS=300 cargo test -p corten-tests --test log_churn` lets them do it that long.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use corten_tests::{Command, FakeLoki, PodLogs, wait_for};

/// Pods that stay.
const PODS: usize = 110;
/// Pods that come, each second.
const STARTS: u32 = 20;
/// How long one of them writes, and how long its log is there after that.
const LIFE: Duration = Duration::from_secs(2);
const REMAINS: Duration = Duration::from_secs(3);

fn seconds() -> u64 {
    std::env::var("CORTEN_CHURN_SECONDS").map_or(10, |value| value.parse().unwrap())
}

struct Short {
    number: usize,
    begun: Instant,
    lines: usize,
}

#[test]
fn containers_that_come_and_go_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let loki = FakeLoki::start();
    let agent = Command::yaml(&format!(
        "
receivers:
  file_log: {{include: ['{root}/pods/*/*/*.log'], start_at: beginning, include_file_path: true, storage: file_storage, operators: [{{type: container}}]}}
exporters:
  loki: {{endpoint: '{loki}/loki/api/v1/push', labels: {{namespace: k8s.namespace.name, pod: k8s.pod.name, container: k8s.container.name}}}}
extensions:
  file_storage: {{directory: '{root}/state', create_directory: true}}
service:
  extensions: [file_storage]
  pipelines:
    logs: {{receivers: [file_log], exporters: [loki]}}
",
        root = root.display(),
        loki = loki.url(),
    ))
    .start();
    let mut logs = PodLogs::new(&root.join("pods"));
    for pod in 0..PODS {
        logs.add("shop", &format!("stays-{pod}"), "main");
    }
    let descriptors = || {
        let folder = format!("/proc/{}/fd", agent.pid());
        std::fs::read_dir(folder).unwrap().count()
    };
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds());
    let mut alive: VecDeque<Short> = VecDeque::new();
    let mut ended: VecDeque<(Instant, usize)> = VecDeque::new();
    let (mut started, mut round) = (0, 0);
    let mut early = None;
    while Instant::now() < end || !alive.is_empty() || !ended.is_empty() {
        round += 1;
        let now = Instant::now();
        // As many as should have been started by now.
        while now < end && begun + started * (Duration::from_secs(1) / STARTS) < now {
            let number = logs.add("jobs", &format!("short-{started}"), "main");
            alive.push_back(Short {
                number,
                begun: now,
                lines: 0,
            });
            started += 1;
        }
        for short in &mut alive {
            logs.container(short.number)
                .out(&format!("line {} of a short life", short.lines));
            short.lines += 1;
        }
        logs.container(round % PODS).out(&format!("round {round}"));
        while alive
            .front()
            .is_some_and(|short| short.begun.elapsed() > LIFE)
        {
            let short = alive.pop_front().unwrap();
            logs.container(short.number).out("the last words");
            ended.push_back((now, short.number));
        }
        while ended
            .front()
            .is_some_and(|(since, _)| since.elapsed() > REMAINS)
        {
            let (_, number) = ended.pop_front().unwrap();
            logs.remove(number);
        }
        if early.is_none() && begun.elapsed() > LIFE + REMAINS {
            early = Some((agent.resident(), descriptors()));
        }
        // A short pod writes ten lines a second.
        std::thread::sleep(Duration::from_millis(100).saturating_sub(now.elapsed()));
    }
    loki.wait_for_lines(logs.lines(), Duration::from_secs(60));
    logs.assert_exactly(&loki);
    assert!(
        u64::from(started) >= seconds() * u64::from(STARTS) - 1,
        "{started} containers"
    );

    // What is gone takes no room: a removed file is held for a minute, in case that somebody still writes to it.
    let (resident, open) = early.unwrap();
    let lasting = LIFE + REMAINS + Duration::from_secs(60 + 10);
    let most = PODS + usize::try_from(u64::from(STARTS) * lasting.as_secs()).unwrap() + 60;
    assert!(
        open < most && descriptors() < most,
        "{open}, {}",
        descriptors()
    );
    if seconds() > 60 {
        wait_for(
            "descriptors of what is gone are closed",
            Duration::from_secs(120),
            || (descriptors() < PODS + 60).then_some(()),
        );
    }
    let grown = agent.resident().saturating_sub(resident);
    assert!(grown < 32 << 20, "grown by {} KiB", grown >> 10);
    let positions: u64 = walk(&root.join("state"));
    assert!(positions < 4 << 20, "{positions} bytes of positions");
}

fn walk(folder: &std::path::Path) -> u64 {
    let all = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    all.map(|entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            walk(&entry.path())
        } else {
            entry.metadata().unwrap().len()
        }
    })
    .sum()
}
