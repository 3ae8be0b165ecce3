//! The command line: what it says about bad configurations, and what its commands print.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::path::Path;
use std::process::{Command, Output};

use expect_test::expect_file;

fn corten(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corten"))
        .args(args)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn tests() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}

/// Every file below `tests/bad` is refused with the messages that stand beside it.
#[test]
fn bad_configurations_are_refused_with_clear_words() {
    let bad = tests().join("bad");
    let mut cases: Vec<_> = std::fs::read_dir(&bad)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for case in cases {
        let output = corten(&["validate", "--config", &case], &bad);
        assert_eq!(output.status.code(), Some(1), "{case} must be refused");
        let messages = String::from_utf8(output.stderr).unwrap();
        expect_file![bad.join(case.replace(".yaml", ".txt"))].assert_eq(&messages);
        let run = corten(&["--config", &case], &bad);
        assert_eq!(run.status.code(), Some(1), "{case} must not run");
        assert_eq!(String::from_utf8(run.stderr).unwrap(), messages, "{case}");
    }
}

#[test]
fn the_built_in_configurations_are_valid() {
    for name in ["default", "kubernetes-node", "gateway"] {
        let uri = format!("builtin:{name}");
        let output = corten(&["validate", "--config", &uri], tests());
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}:\n{messages}");
        assert!(!messages.contains("error"), "{name}:\n{messages}");
    }
}

/// What is printed can be run, and prints itself.
#[test]
fn what_print_config_prints_is_a_configuration() {
    let first = corten(
        &["print-config", "--config", "builtin:kubernetes-node"],
        tests(),
    );
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("printed.yaml");
    std::fs::write(&path, &first.stdout).unwrap();
    let second = corten(
        &["print-config", "--config", path.to_str().unwrap()],
        tests(),
    );
    let (first, second) = (
        String::from_utf8(first.stdout).unwrap(),
        String::from_utf8(second.stdout).unwrap(),
    );
    assert_eq!(first, second);
}

#[test]
fn secrets_are_not_printed() {
    let yaml = "yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {nop: }, extensions: {basicauth: {client_auth: {username: u, password: hunter2}}}, service: {extensions: [basicauth], pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}}";
    let output = corten(&["print-config", "--config", yaml], tests());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[REDACTED]"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn set_wins_over_files() {
    let output = corten(
        &[
            "print-config",
            "--config",
            "builtin:default",
            "--set",
            "processors.batch.timeout=7s",
            "--format",
            "json",
        ],
        tests(),
    );
    let config: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(config["processors"]["batch"]["timeout"], "7s");
}

#[test]
fn components_lists_every_kind() {
    let output = corten(&["components", "--format", "json"], tests());
    let components: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (kind, name) in [
        ("receivers", "otlp"),
        ("receivers", "file_log"),
        ("processors", "batch"),
        ("exporters", "loki"),
        ("connectors", "forward"),
        ("extensions", "admin"),
    ] {
        let all = components[kind].as_array().unwrap();
        assert!(
            all.iter().any(|one| one["name"] == name),
            "no {name} in {kind}"
        );
    }
}

/// Editors get a schema that is valid JSON, knows every component and forbids what the reader
/// forbids.
#[test]
fn the_schema_knows_every_component() {
    let output = corten(&["schema"], tests());
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = schema.to_string();
    for name in [
        "file_log",
        "filelog",
        "node_exporter",
        "otlp_grpc",
        "memory_limiter",
        "forward",
    ] {
        assert!(text.contains(name), "no {name} in the schema");
    }
}

#[test]
fn feature_gates_are_named_and_harmless() {
    let output = corten(
        &[
            "validate",
            "--config",
            "builtin:default",
            "--feature-gates",
            "-a.b,+c.d",
        ],
        tests(),
    );
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("a.b") && said.contains("c.d"), "{said}");
}
