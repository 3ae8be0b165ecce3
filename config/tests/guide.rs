//! A whole file as a user writes it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;

use corten_config::{Problems, Sources};

const NODE: &str = include_str!("data/node.yaml");

#[test]
fn a_nodes_whole_job_is_read_without_a_word() {
    let env = BTreeMap::from([
        ("LOG_ROOT".to_owned(), "/tmp/pods".to_owned()),
        ("LISTEN".to_owned(), "0.0.0.0".to_owned()),
        ("LOKI_URL".to_owned(), "http://loki:3100".to_owned()),
    ]);
    let mut problems = Problems::new();
    let document = Sources::new()
        .text("node.yaml", NODE)
        .resolve(&env, &mut problems);
    let model = document.model(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(model.receivers.len(), 4);
    assert_eq!(model.service.pipelines.len(), 4);
    let receiver = |id: &str| {
        model
            .receivers
            .get(&id.parse().unwrap())
            .unwrap()
            .section
            .node()
    };
    assert_eq!(
        receiver("file_log")
            .get("include")
            .unwrap()
            .as_seq()
            .unwrap()[0]
            .as_str(),
        Some("/tmp/pods/*/*/*.log")
    );
    let grpc = receiver("otlp")
        .get("protocols")
        .unwrap()
        .get("grpc")
        .unwrap();
    assert_eq!(grpc.get("endpoint").unwrap().as_str(), Some("0.0.0.0:4317"));
    assert_eq!(
        receiver("node_exporter")
            .get("path")
            .unwrap()
            .get("procfs")
            .unwrap()
            .as_str(),
        Some("/proc")
    );
}
