//! What dashboards and alerts ask for is there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::collections::{BTreeMap, BTreeSet};

/// What the fixtures' host does not show, and why that breaks nobody's dashboard.
const ELSEWHERE: [(&str, &str); 10] = [
    (
        "node_netstat_Tcp_MaxConn",
        "not among node_exporter's default fields either; `netstat: {fields}` names it",
    ),
    (
        "node_systemd_service_restart_total",
        "needs a bus: the collector's own test has one",
    ),
    (
        "node_systemd_socket_accepted_connections_total",
        "needs a bus: the collector's own test has one",
    ),
    (
        "node_systemd_unit_state",
        "needs a bus: the collector's own test has one",
    ),
    (
        "node_systemd_units",
        "needs a bus: the collector's own test has one",
    ),
    (
        "process_cpu_seconds_total",
        "of the exporter's own process: the `admin` extension has the agent's",
    ),
    (
        "process_max_fds",
        "of the exporter's own process: the `admin` extension has the agent's",
    ),
    (
        "process_open_fds",
        "of the exporter's own process: the `admin` extension has the agent's",
    ),
    (
        "process_resident_memory_bytes",
        "of the exporter's own process: the `admin` extension has the agent's",
    ),
    (
        "process_virtual_memory_bytes",
        "of the exporter's own process: the `admin` extension has the agent's",
    ),
];

#[test]
fn every_family_is_there_or_reasoned_away() {
    let golden = include_str!("fixtures/golden.txt");
    let shown: BTreeSet<&str> = golden
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(": "))
        .map(|(name, _)| name)
        .collect();
    let wanted: BTreeMap<&str, &str> = include_str!("dashboards.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    // The dashboard asks for 224 and more, by its variables.
    assert!(wanted.values().filter(|who| who.contains('D')).count() >= 224);
    assert!(wanted.values().filter(|who| who.contains('M')).count() >= 44);
    let reasoned: BTreeSet<&str> = ELSEWHERE.into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = wanted
        .keys()
        .filter(|name| !shown.contains(*name) && !reasoned.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let needless: Vec<_> = reasoned
        .iter()
        .filter(|name| shown.contains(*name) || !wanted.contains_key(*name))
        .collect();
    assert!(needless.is_empty(), "reasoned away in vain: {needless:?}");
}
